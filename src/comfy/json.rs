//! JSON as Python writes it.
//!
//! `ComfyUI` answers with `json.dumps`, which prints floats that JSON has no words for as bare
//! `NaN`, `Infinity` and `-Infinity`: in a prompt whose FLOAT was given as `"nan"`, in the options
//! of custom nodes, in `is_changed` records. And of a file whose name is no UTF-8 it prints the
//! bytes as lone surrogates: `"caf\udce9.png"`. And it reads a number beyond all floats, `1e400`, as
//! infinite. A strict parser would refuse the whole body for any of these; here surrogates are read as
//! `U+FFFD` and the others as `null`.

use std::io::{self, Read};

use serde::de::DeserializeOwned;

const TOKENS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
/// What stands for a surrogate without a partner.
const REPLACEMENT: &[u8] = b"\\uFFFD";
/// An escape of four hexadecimal digits, such as a surrogate's.
const ESCAPE: usize = 6;
/// No number of so few digits is beyond all floats, which end at 1.8e308.
const DIGITS: usize = 308;
const BLOCK: usize = 16 * 1024;

/// Reads a JSON body as Python writes it; see the [module](self).
pub fn parse_lenient<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    // Almost every body is strict JSON, and the strict parser over a slice is the fastest.
    serde_json::from_slice(body)
        .or_else(|_| serde_json::from_reader(io::BufReader::new(LenientJson::new(body))))
}

/// Whether a body says no more than JSON has words for. Of any other, [`parse_lenient`] reads a part
/// as something else.
#[must_use]
pub fn is_strict(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok()
}

/// A reader that passes JSON through and replaces bare `NaN`, `Infinity` and `-Infinity` and what is
/// beyond all floats, outside of strings, by `null`, and surrogates without a partner inside of
/// them by `\uFFFD`. Keeps at most one block in memory.
#[derive(Debug)]
pub struct LenientJson<R> {
    inner: R,
    block: Box<[u8]>,
    out: Vec<u8>,
    /// What has been seen of an escape, or of two that may be a pair of surrogates.
    held: Vec<u8>,
    sent: usize,
    state: State,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Outside,
    InString,
    /// Inside of a string, with something held back.
    InEscape,
    /// So many bytes of this token have been seen and held back.
    Matching(&'static [u8], usize),
    /// Inside of a number, held back.
    InNumber,
}

impl<R: Read> LenientJson<R> {
    /// Wraps a reader of JSON text.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            block: vec![0; BLOCK].into_boxed_slice(),
            out: Vec::with_capacity(BLOCK + BLOCK / 4),
            held: Vec::with_capacity(2 * ESCAPE),
            sent: 0,
            state: State::Outside,
            ended: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.sent = 0;
        while self.out.is_empty() && !self.ended {
            let n = self.inner.read(&mut self.block)?;
            for i in 0..n {
                self.take(self.block[i]);
            }
            if n == 0 {
                self.ended = true;
                self.number_is_complete();
                if let State::Matching(token, seen) = self.state {
                    self.out.extend_from_slice(&token[..seen]);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) {
        self.state = match self.state {
            State::InString => self.in_string(byte),
            State::InEscape => self.in_escape(byte),
            State::Outside => self.outside(byte),
            State::Matching(token, seen) if token[seen] == byte => {
                if seen + 1 == token.len() {
                    self.out.extend_from_slice(b"null");
                    State::Outside
                } else {
                    State::Matching(token, seen + 1)
                }
            }
            State::Matching([minus, ..], 1) if *minus == b'-' && byte.is_ascii_digit() => {
                self.held.extend([b'-', byte]);
                State::InNumber
            }
            State::Matching(token, seen) => {
                self.out.extend_from_slice(&token[..seen]);
                self.outside(byte)
            }
            State::InNumber if matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') => {
                self.held.push(byte);
                State::InNumber
            }
            State::InNumber => {
                self.number_is_complete();
                self.outside(byte)
            }
        };
    }

    /// Passes on what is held back, unless it is a number beyond all floats.
    fn number_is_complete(&mut self) {
        let may_be =
            self.held.len() > DIGITS || self.held.iter().any(|byte| matches!(byte, b'e' | b'E'));
        let text = std::str::from_utf8(&self.held).ok().filter(|_| may_be);
        let number = text.and_then(|text| text.parse::<f64>().ok());
        if number.is_some_and(f64::is_infinite) {
            self.held.clear();
            self.out.extend_from_slice(b"null");
        } else {
            self.out.append(&mut self.held);
        }
    }

    fn in_string(&mut self, byte: u8) -> State {
        if byte == b'\\' {
            self.held.push(byte);
            return State::InEscape;
        }
        self.out.push(byte);
        if byte == b'"' {
            State::Outside
        } else {
            State::InString
        }
    }

    fn in_escape(&mut self, byte: u8) -> State {
        let at = self.held.len();
        let goes_on = match at % ESCAPE {
            // A leading surrogate is complete and waits for its partner.
            0 => byte == b'\\',
            1 => byte == b'u',
            _ => byte.is_ascii_hexdigit(),
        };
        if goes_on {
            self.held.push(byte);
            return match at + 1 {
                ESCAPE => self.first_is_complete(),
                length if length == 2 * ESCAPE => self.second_is_complete(),
                _ => State::InEscape,
            };
        }
        if at >= ESCAPE {
            self.out.extend_from_slice(REPLACEMENT);
            self.held.drain(..ESCAPE);
        }
        if self.held.is_empty() {
            return self.in_string(byte);
        }
        // A short escape such as `\"`, or none at all, which is for the parser to refuse.
        self.out.append(&mut self.held);
        self.out.push(byte);
        State::InString
    }

    fn first_is_complete(&mut self) -> State {
        match code_unit(&self.held) {
            0xD800..=0xDBFF => return State::InEscape,
            0xDC00..=0xDFFF => self.out.extend_from_slice(REPLACEMENT),
            _ => self.out.extend_from_slice(&self.held),
        }
        self.held.clear();
        State::InString
    }

    fn second_is_complete(&mut self) -> State {
        if matches!(code_unit(&self.held[ESCAPE..]), 0xDC00..=0xDFFF) {
            self.out.append(&mut self.held);
            return State::InString;
        }
        self.out.extend_from_slice(REPLACEMENT);
        self.held.drain(..ESCAPE);
        self.first_is_complete()
    }

    fn outside(&mut self, byte: u8) -> State {
        if let Some(token) = TOKENS.into_iter().find(|token| token[0] == byte) {
            return State::Matching(token, 1);
        }
        if byte.is_ascii_digit() {
            self.held.push(byte);
            return State::InNumber;
        }
        self.out.push(byte);
        if byte == b'"' {
            State::InString
        } else {
            State::Outside
        }
    }
}

/// The number in `\uXXXX`.
fn code_unit(escape: &[u8]) -> u32 {
    let digits = escape[2..].iter();
    digits.fold(0, |number, &digit| {
        number << 4 | char::from(digit).to_digit(16).unwrap_or(0)
    })
}

impl<R: Read> Read for LenientJson<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.sent == self.out.len() {
            self.refill()?;
        }
        let n = (&self.out[self.sent..]).read(buf)?;
        self.sent += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Hands out its bytes a few at a time, as a socket does.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(buf.len());
            (&mut self.0).take(n as u64).read(buf)
        }
    }

    fn through(text: &str, step: usize) -> String {
        let mut out = String::new();
        LenientJson::new(Drops(text.as_bytes(), step))
            .read_to_string(&mut out)
            .unwrap();
        out
    }

    #[test]
    fn bare_non_numbers_become_null_and_strings_stay() {
        let body = br#"{"a": NaN, "b": [-Infinity, Infinity, -1], "c": "NaN \"Infinity\" \\"}"#;
        assert_eq!(
            parse_lenient::<Value>(body).unwrap(),
            json!({ "a": null, "b": [null, null, -1], "c": "NaN \"Infinity\" \\" })
        );
    }

    #[test]
    fn a_token_may_be_cut_anywhere() {
        for step in 1..12 {
            assert_eq!(
                through("[-Infinity,NaN,-12,Infinity]", step),
                "[null,null,-12,null]"
            );
        }
    }

    #[test]
    fn a_number_beyond_all_floats_becomes_null_wherever_it_is_cut() {
        for step in 1..12 {
            assert_eq!(
                through("[1e400,-1e+400,1e300,-0.5,[\"1e400\", 12]]", step),
                "[null,null,1e300,-0.5,[\"1e400\", 12]]"
            );
        }
        assert_eq!(parse_lenient::<Value>(b"1e400").unwrap(), Value::Null);
        assert!(!is_strict(b"[1e400]") && is_strict(b"[1e300]"));
    }

    #[test]
    fn a_surrogate_without_its_partner_is_replaced_wherever_the_body_is_cut() {
        for (text, expected) in [
            (r#"["caf\udce9.png"]"#, "caf\u{FFFD}.png"),
            (r#"["\ud83d"]"#, "\u{FFFD}"),
            (r#"["\ud83d\ude00"]"#, "\u{1F600}"),
            (r#"["\uD83D\uDE00\uDE00"]"#, "\u{1F600}\u{FFFD}"),
            (r#"["\ud83d\ud83d\ude00"]"#, "\u{FFFD}\u{1F600}"),
            (r#"["\ud83d\n\ude00\""]"#, "\u{FFFD}\n\u{FFFD}\""),
            (r#"["\ud83d\u00e9\u00e9"]"#, "\u{FFFD}\u{e9}\u{e9}"),
            (r#"["\ud83dx\\udce9"]"#, "\u{FFFD}x\\udce9"),
        ] {
            for step in 1..14 {
                let read: Value = serde_json::from_str(&through(text, step)).unwrap();
                assert_eq!(read[0], expected, "{text} in steps of {step}");
            }
            assert_eq!(
                parse_lenient::<Value>(text.as_bytes()).unwrap()[0],
                expected
            );
        }
    }

    #[test]
    fn a_broken_escape_is_still_refused() {
        for body in [
            r#"["\ud8"]"#,
            r#"["\uzzzz"]"#,
            r#"["\x"]"#,
            r#"["\ud83d\ude"#,
        ] {
            assert!(parse_lenient::<Value>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn seeds_are_read_exactly_beside_what_is_replaced() {
        let value: Value = parse_lenient(br#"{"seed": 18446744073709551615, "x": NaN}"#).unwrap();
        assert_eq!(value["seed"].as_u64(), Some(u64::MAX));
    }

    #[test]
    fn what_only_looks_like_a_token_is_still_refused() {
        for body in ["[Nope]", "[Infinit]", "[-Inf]", "[N", "-"] {
            assert_eq!(through(body, 3), body);
            assert!(parse_lenient::<Value>(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn strict_json_passes_unchanged(texts: Vec<String>, number: f64, step in 1_usize..40) {
            let value = json!({ "texts": texts, "number": number });
            let text = value.to_string();
            prop_assert_eq!(through(&text, step), text);
        }

        #[test]
        fn escaped_text_passes_unchanged(text: String, step in 1_usize..40) {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            let text = format!("\"{}\"", units.collect::<String>());
            prop_assert_eq!(through(&text, step), text);
        }
    }
}
