//! Whole numbers beyond 64 bits.
//!
//! Python has whole numbers of any size, JSON allows them, and `serde_json` reads those beyond 64
//! bits as the nearest floating point number. Where the last digits matter (a bound of
//! -18446744073709551615, a message that repeats a number), they are taken out of the text beside
//! what `serde_json` makes of it.

use std::collections::BTreeMap;

use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

/// No whole number of fewer digits is beyond 64 bits.
const FEWEST_DIGITS: usize = 19;

/// From here on the neighbours of a floating point number are whole numbers.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// The whole numbers beyond 64 bits that stand in a JSON text, by the floating point numbers as
/// which they are read. One that can't be told from another is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BigIntegers(BTreeMap<u64, Option<Box<str>>>);

impl BigIntegers {
    /// None at all.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Finds them in a text, which need not be well-formed.
    #[must_use]
    pub fn in_text(text: &str) -> Self {
        let mut found = Self::default();
        found.add(text);
        found
    }

    /// Adds those of another text.
    pub(super) fn add(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let from = at;
            at = match bytes[at] {
                b'"' => end_of_string(bytes, at),
                b'-' | b'0'..=b'9' => {
                    let end = end_of_number(bytes, at);
                    self.note(&text[from..end]);
                    end
                }
                _ => at + 1,
            };
        }
    }

    fn note(&mut self, number: &str) {
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        let Ok(read) = number.parse::<f64>() else {
            return;
        };
        if is_whole {
            let is_small = digits.len() < FEWEST_DIGITS
                || number.parse::<i64>().is_ok()
                || number.parse::<u64>().is_ok();
            if is_small {
                return;
            }
        } else if read.abs() < TWO_TO_63 {
            return;
        }
        let own = is_whole.then(|| Box::from(number));
        let known = self.0.entry(read.to_bits()).or_insert_with(|| own.clone());
        if *known != own {
            *known = None;
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole number that was read as this one, as it was written.
    #[must_use]
    pub fn written(&self, value: &Value) -> Option<&str> {
        match value {
            Value::Number(number) if !self.is_empty() => self.of(number),
            _ => None,
        }
    }

    fn of(&self, number: &Number) -> Option<&str> {
        let read = number.as_f64().filter(|_| number.is_f64())?;
        self.0.get(&read.to_bits())?.as_deref()
    }

    /// A value to be written with its whole numbers as they were.
    #[must_use]
    pub fn restore<'a>(&'a self, value: &'a Value) -> Restored<'a> {
        Restored { big: self, value }
    }
}

/// The place behind the string that begins here.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    let goes_on = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    from + rest.iter().take_while(|byte| goes_on(byte)).count()
}

/// See [`BigIntegers::restore`].
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    big: &'a BigIntegers,
    value: &'a Value,
}

impl Serialize for Restored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.big.is_empty() {
            return self.value.serialize(serializer);
        }
        match self.value {
            Value::Number(number) => match self.big.of(number) {
                Some(written) => RawValue::from_string(written.to_owned())
                    .map_err(S::Error::custom)?
                    .serialize(serializer),
                None => number.serialize(serializer),
            },
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&self.big.restore(item))?;
                }
                list.end()
            }
            Value::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &self.big.restore(value))?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_written_again_keeps_its_digits() {
        let text = r#"{"a":[-18446744073709551615,18446744073709551615,1e+25,0.5],"12345678901234567890123":"99999999999999999999999"}"#;
        let big = BigIntegers::in_text(text);
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&big.restore(&value)).unwrap(), text);
        assert_eq!(big.written(&value["a"][0]), Some("-18446744073709551615"));
        assert_eq!(big.written(&value["a"][1]), None);
    }

    #[test]
    fn two_numbers_that_are_read_alike_are_not_told_apart() {
        let text = "[18446744073709551616, 18446744073709551617, 1e20, 100000000000000000000]";
        let big = BigIntegers::in_text(text);
        let value: Value = serde_json::from_str(text).unwrap();
        for item in value.as_array().unwrap() {
            assert_eq!(big.written(item), None, "{item}");
        }
    }

    #[test]
    fn a_text_that_is_cut_off_anywhere_is_looked_through() {
        let text = r#"{"a\"": -123456789012345678901234, "b": "\\", "c": 1.5e300}"#;
        for end in 0..=text.len() {
            let found = BigIntegers::in_text(&text[..end]);
            assert!(found.0.len() <= 2);
        }
    }
}
