//! What the index knows of a record, and how it's laid out in ordered keys.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A property by which records are found: records that share a key are kept in the order of their
/// ids. `("session", "s1")`, say, or `("expires", "0000001763805319000")` for ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(pub String, pub String);

impl Key {
    /// The key `name = value`.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self(name.to_owned(), value.into())
    }
}

/// The part of a record that the index holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// By what the record is found.
    pub keys: Vec<Key>,
    /// What a search for words looks through; best kept short.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Row {
    /// The value of the first key called `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.keys
            .iter()
            .find(|key| key.0 == name)
            .map(|key| key.1.as_str())
    }

    /// Whether the record has this key.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }
}

/// What the key bytes begin with, so that one ordered tree holds four kinds of entries and one
/// batch changes them together.
pub(super) mod space {
    pub(in crate::store) const COUNT: u8 = b'c';
    pub(in crate::store) const KEY: u8 = b'k';
    pub(in crate::store) const META: u8 = b'm';
    pub(in crate::store) const ROW: u8 = b'r';
}

const UUID: u8 = 1;
const TEXT: u8 = 2;

/// UUIDs in canonical form take 17 bytes instead of 37: an id stands in every key of its record.
pub(super) fn encode_id(id: &str, out: &mut Vec<u8>) {
    match Uuid::try_parse(id) {
        Ok(uuid) if uuid.to_string() == id => {
            out.push(UUID);
            out.extend_from_slice(uuid.as_bytes());
        }
        _ => {
            out.push(TEXT);
            out.extend_from_slice(id.as_bytes());
        }
    }
}

pub(super) fn decode_id(bytes: &[u8]) -> Option<String> {
    match bytes.split_first()? {
        (&UUID, rest) => Uuid::from_slice(rest).ok().map(|uuid| uuid.to_string()),
        (&TEXT, rest) => String::from_utf8(rest.to_vec()).ok(),
        _ => None,
    }
}

/// `KEY name 0 value 0`, after which the id stands. Zeros inside are escaped such that the order
/// of the values is kept.
pub(super) fn key_prefix(space: u8, key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.0.len() + key.1.len() + 20);
    out.push(space);
    escape(&key.0, &mut out);
    escape(&key.1, &mut out);
    out
}

/// `KEY name 0`: the beginning of all keys called `name`.
pub(super) fn name_prefix(name: &str) -> Vec<u8> {
    let mut out = vec![space::KEY];
    escape(name, &mut out);
    out
}

pub(super) fn row_key(id: &str) -> Vec<u8> {
    let mut out = vec![space::ROW];
    encode_id(id, &mut out);
    out
}

fn escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            0 | 1 => out.extend_from_slice(&[1, byte + 1]),
            _ => out.push(byte),
        }
    }
    out.push(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ordered(text: &str) -> Vec<u8> {
        key_prefix(space::KEY, &Key::new("n", text))
    }

    proptest! {
        #[test]
        fn any_id_comes_back_as_it_was(id in any::<String>()) {
            let mut bytes = Vec::new();
            encode_id(&id, &mut bytes);
            prop_assert_eq!(decode_id(&bytes), Some(id));
        }

        #[test]
        fn keys_keep_the_order_of_their_values(a in any::<String>(), b in any::<String>()) {
            prop_assert_eq!(ordered(&a).cmp(&ordered(&b)), a.cmp(&b));
        }

        #[test]
        fn no_key_is_the_beginning_of_another(a in "[\0\u{1}\u{2}a]{0,4}", b in "[\0\u{1}\u{2}a]{0,4}") {
            prop_assume!(a != b);
            prop_assert!(!ordered(&a).starts_with(&ordered(&b)));
        }
    }

    #[test]
    fn a_uuid_is_stored_in_its_bytes_and_only_in_canonical_form() {
        let mut bytes = Vec::new();
        encode_id("0196f0c4-7d4b-7000-8000-0000000000aa", &mut bytes);
        assert_eq!(bytes.len(), 17);

        let upper = "0196F0C4-7D4B-7000-8000-0000000000AA";
        bytes.clear();
        encode_id(upper, &mut bytes);
        assert_eq!(decode_id(&bytes).as_deref(), Some(upper));
    }
}
