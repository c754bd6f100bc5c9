//! JSON as Python's `json.dumps` writes it, which is how every answer and message of a real server
//! looks: a space after commas and colons, all but ASCII escaped, floats as `repr()` has them. A
//! client that only ever met compact JSON may rely on it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The JSON text of a value.
pub(super) fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Python))?;
    Ok(bytes)
}

/// The JSON text of a value that always has one.
pub(super) fn to_string(value: &serde_json::Value) -> String {
    // Values have only text for keys, and memory takes every byte: writing can't fail.
    let bytes = to_vec(value).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let is_plain = |letter: char| matches!(letter, ' '..='~');
        for part in text.split_inclusive(|letter| !is_plain(letter)) {
            let plain = part.trim_end_matches(|letter| !is_plain(letter));
            out.write_all(plain.as_bytes())?;
            for unit in part[plain.len()..].encode_utf16() {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    /// The shortest digits, with an exponent below 1e-4 and from 1e16 on.
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, float: f64) -> io::Result<()> {
        let scientific = format!("{float:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if float == 0.0 || (-4..16).contains(&exponent) {
            return write!(out, "{float:?}");
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// The texts are those of `CPython` 3.11.
    #[rstest]
    #[case(json!({ "a": [1, -2], "b": {}, "c": [] }), r#"{"a": [1, -2], "b": {}, "c": []}"#)]
    #[case(json!("füchse 🦊\u{7f}"), r#""f\u00fcchse \ud83e\udd8a\u007f""#)]
    #[case(json!("a\"b\\c\n\u{1}"), r#""a\"b\\c\n\u0001""#)]
    #[case(json!([0.0, 8.0, 0.0001, 0.00001, 1e15, 1e16, 1.5e-7, -0.1]),
           "[0.0, 8.0, 0.0001, 1e-05, 1000000000000000.0, 1e+16, 1.5e-07, -0.1]")]
    #[case(json!([u64::MAX, i64::MIN]), "[18446744073709551615, -9223372036854775808]")]
    fn values_are_written_as_python_writes_them(#[case] value: Value, #[case] text: &str) {
        assert_eq!(to_string(&value), text);
    }
}
