//! Exceptions.

use serde_json::Value;

use super::text::repr;
use super::values::type_name;

/// An exception, as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The class, such as `"KeyError"`.
    pub kind: &'static str,
    /// `str()` of it.
    pub message: String,
}

impl Exception {
    /// An exception of that class and text.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A lookup of a key that is not there.
    pub(in crate::comfy::validate) fn key(key: &Value) -> Self {
        Self::new("KeyError", repr(key))
    }

    /// A list or dict where only what can be a key may stand.
    pub(in crate::comfy::validate) fn unhashable(value: &Value) -> Self {
        Self::new(
            "TypeError",
            format!("unhashable type: '{}'", type_name(value)),
        )
    }
}
