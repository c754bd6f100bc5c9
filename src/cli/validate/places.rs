//! Where the values of a JSON text stand.

use std::collections::HashMap;
use std::ops::Range;

/// The deepest values that are looked for: a node's input, below two wrappers.
const DEEPEST: usize = 6;

/// Places of values in a text, by the keys that lead to them.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Vec<String>, Place>);

/// Where a value and its key stand, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Places {
    /// Looks through a text that is known to be JSON; of any other it finds what it can.
    pub(super) fn of(text: &str) -> Self {
        let mut scan = Scan {
            text,
            at: 0,
            path: vec![],
            places: Self::default(),
        };
        scan.value();
        scan.places
    }

    /// What stands directly below a path, in the order of the text.
    pub(super) fn below(&self, path: &[&str]) -> Vec<&Place> {
        let is_below = |one: &[String]| {
            one.len() == path.len() + 1 && one.iter().zip(path).all(|(a, b)| a == b)
        };
        let below = self.0.iter().filter(|(one, _)| is_below(one));
        let mut places: Vec<&Place> = below.map(|(_, place)| place).collect();
        places.sort_by_key(|place| place.key.start);
        places
    }

    pub(super) fn get(&self, path: &[&str]) -> Option<&Place> {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        self.0.get(&path)
    }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    path: Vec<String>,
    places: Places,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
        self.at += blank.count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over one value. Nesting was limited when the text was read as JSON.
    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            _ => {
                let rest = self.text.as_bytes()[self.at..].iter();
                let ends =
                    |byte: &&u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                let length = rest.take_while(ends).count();
                self.at += length;
                (length > 0).then_some(())
            }
        }
    }

    fn object(&mut self) -> Option<()> {
        self.at += 1;
        while self.peek()? != b'}' {
            let from = self.at;
            self.string()?;
            let key = from..self.at;
            (self.peek()? == b':').then(|| self.at += 1)?;
            self.peek()?;
            let name = serde_json::from_str(self.text.get(key.clone())?).ok()?;
            self.path.push(name);
            let from = self.at;
            self.value()?;
            if self.path.len() <= DEEPEST {
                let value = from..self.at;
                // Of equal keys the last counts, as everywhere.
                self.places
                    .0
                    .insert(self.path.clone(), Place { key, value });
            }
            self.path.pop();
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        Some(())
    }

    fn array(&mut self) -> Option<()> {
        // What stands in a list has no keys that lead to it.
        let path = std::mem::replace(&mut self.path, vec![String::new(); DEEPEST + 1]);
        self.at += 1;
        while self.peek()? != b']' {
            self.value()?;
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        self.path = path;
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        (self.peek()? == b'"').then_some(())?;
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_found_by_their_keys() {
        let text = r#"{ "3": {"inputs": {"a\"b": ["4", 0], "cfg" : 7.5}, "x": [{"inputs": 1}] } }"#;
        let places = Places::of(text);
        let value = |path: &[&str]| &text[places.get(path).unwrap().value.clone()];
        assert_eq!(value(&["3", "inputs", "a\"b"]), r#"["4", 0]"#);
        assert_eq!(value(&["3", "inputs", "cfg"]), "7.5");
        assert_eq!(&text[places.get(&["3"]).unwrap().key.clone()], "\"3\"");
        assert_eq!(places.get(&["3", "x", "inputs"]), None);
    }

    proptest! {
        #[test]
        fn any_text_is_gone_over(text in r#"[\{\}\[\]",:\\ 0-9a-é]{0,40}"#) {
            let places = Places::of(&text);
            prop_assert!(places.0.len() <= text.len());
        }
    }
}
