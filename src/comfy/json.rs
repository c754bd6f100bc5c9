//! JSON as Python writes it.
//!
//! `ComfyUI` answers with `json.dumps`, which prints floats that JSON has no words for as bare
//! `NaN`, `Infinity` and `-Infinity`: in a prompt whose FLOAT was given as `"nan"`, in the options
//! of custom nodes, in `is_changed` records. A strict parser would refuse the whole body; here
//! they are read as `null`.

use std::io::{self, Read};

use serde_json::Value;

const TOKENS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
const BLOCK: usize = 16 * 1024;

/// Reads a JSON body, taking bare `NaN`, `Infinity` and `-Infinity` for `null`.
pub fn parse_lenient(body: &[u8]) -> serde_json::Result<Value> {
    // Almost every body is strict JSON, and the strict parser over a slice is the fastest.
    serde_json::from_slice(body)
        .or_else(|_| serde_json::from_reader(io::BufReader::new(LenientJson::new(body))))
}

/// A reader that passes JSON through and replaces bare `NaN`, `Infinity` and `-Infinity` outside
/// of strings by `null`. Keeps at most one block in memory.
#[derive(Debug)]
pub struct LenientJson<R> {
    inner: R,
    block: Box<[u8]>,
    out: Vec<u8>,
    sent: usize,
    state: State,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Outside,
    InString,
    AfterBackslash,
    /// So many bytes of this token have been seen and held back.
    Matching(&'static [u8], usize),
}

impl<R: Read> LenientJson<R> {
    /// Wraps a reader of JSON text.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            block: vec![0; BLOCK].into_boxed_slice(),
            out: Vec::with_capacity(BLOCK + BLOCK / 4),
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
                if let State::Matching(token, seen) = self.state {
                    self.out.extend_from_slice(&token[..seen]);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) {
        self.state = match self.state {
            State::InString => {
                self.out.push(byte);
                match byte {
                    b'"' => State::Outside,
                    b'\\' => State::AfterBackslash,
                    _ => State::InString,
                }
            }
            State::AfterBackslash => {
                self.out.push(byte);
                State::InString
            }
            State::Outside => self.outside(byte),
            State::Matching(token, seen) if token[seen] == byte => {
                if seen + 1 == token.len() {
                    self.out.extend_from_slice(b"null");
                    State::Outside
                } else {
                    State::Matching(token, seen + 1)
                }
            }
            State::Matching(token, seen) => {
                self.out.extend_from_slice(&token[..seen]);
                self.outside(byte)
            }
        };
    }

    fn outside(&mut self, byte: u8) -> State {
        if let Some(token) = TOKENS.into_iter().find(|token| token[0] == byte) {
            return State::Matching(token, 1);
        }
        self.out.push(byte);
        if byte == b'"' {
            State::InString
        } else {
            State::Outside
        }
    }
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
    use serde_json::json;

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
            parse_lenient(body).unwrap(),
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
    fn what_only_looks_like_a_token_is_still_refused() {
        for body in ["[Nope]", "[Infinit]", "[-Inf]", "[N", "-"] {
            assert_eq!(through(body, 3), body);
            assert!(parse_lenient(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn strict_json_passes_unchanged(texts: Vec<String>, number: f64, step in 1_usize..40) {
            let value = json!({ "texts": texts, "number": number });
            let text = value.to_string();
            prop_assert_eq!(through(&text, step), text);
        }
    }
}
