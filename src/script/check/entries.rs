//! Maps that a script writes out.

use rhai::{Expr, Position};
use serde_json::Value;

use super::places;
use crate::script::value::from_dynamic;

/// An entry of a map.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) position: Position,
    /// Its value, if that is written out, too.
    pub(super) value: Option<Value>,
}

/// The entries of a map that is written out, with their places; none of any other expression.
pub(super) fn entries(expression: Option<&Expr>, text: &str) -> Vec<Entry> {
    match expression {
        Some(Expr::Map(entries, _)) => {
            let entries = entries.0.iter();
            let entries = entries.map(|(name, value)| Entry {
                name: name.name.to_string(),
                position: name.pos,
                value: value
                    .get_literal_value(None)
                    .and_then(|value| from_dynamic(&value).ok()),
            });
            entries.collect()
        }
        Some(Expr::DynamicConstant(value, position)) => {
            let map = value.read_lock::<rhai::Map>();
            let entries = map.iter().flat_map(|map| map.iter());
            let entries = entries.map(|(name, value)| Entry {
                name: name.to_string(),
                position: places::key_of_map(name, text, *position),
                value: from_dynamic(value).ok(),
            });
            entries.collect()
        }
        _ => vec![],
    }
}
