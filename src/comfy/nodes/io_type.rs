//! The type of an input or output, as `/object_info` writes it.

use std::sync::Arc;

use serde_json::Value;

/// The type name of a list to choose from in the newer (V3) way of writing it.
pub const COMBO: &str = "COMBO";

/// What an input takes or an output gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoType {
    /// A name: `"INT"`, `"IMAGE"`, a union such as `"FLOAT,INT"`, `"*"` or `"COMBO"`.
    Named(Arc<str>),
    /// The older (V1) way to write a list to choose from: the choices stand in place of a name.
    Choices(Arc<[Value]>),
}

impl IoType {
    /// The name; a V1 list is called `"COMBO"` too.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Choices(_) => COMBO,
        }
    }

    /// Whether this is exactly the type of that name (a V1 list has none).
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Named(own) if &**own == name)
    }

    /// As `/object_info` writes it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Named(name) => Value::from(&**name),
            Self::Choices(choices) => Value::from(choices.to_vec()),
        }
    }

    /// The single type names of a union, or the one name.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.name().split(',').map(str::trim)
    }
}
