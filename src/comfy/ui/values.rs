//! The values that were saved for the widgets of a node, one after the other.

use serde_json::{Map, Value};

use super::js;
use super::widgets::widget_type;
use crate::comfy::link;
use crate::comfy::nodes::NodeClass;

/// What `VideoHelperSuite` keeps of a preview, beside its values.
const PREVIEW: &str = "videopreview";

/// A saved value.
pub(super) enum Saved<'a> {
    Value(&'a Value),
    /// There are values, but none at this place.
    Undefined,
    /// Nothing was saved, so that the widget keeps what it began with.
    Nothing,
}

/// The saved values of a node, from the first to the last.
pub(super) enum Values<'a> {
    List(std::vec::IntoIter<&'a Value>),
    /// An object instead of a list, of a node that reads it by names.
    Named(&'a Map<String, Value>),
    /// An object instead of a list, of a node that doesn't.
    Unreadable,
    /// The inputs of a prompt's node.
    Prompt(&'a Map<String, Value>),
}

impl<'a> Values<'a> {
    pub(super) fn of(class: &NodeClass, saved: Option<&'a Value>) -> Self {
        match saved {
            Some(Value::Array(values)) => Self::List(without_forced(class, values).into_iter()),
            // Node packs that save objects read them themselves.
            Some(Value::Object(values)) if class.is_custom() => Self::Named(values),
            Some(Value::Object(_)) => Self::Unreadable,
            _ => Self::List(Vec::new().into_iter()),
        }
    }

    pub(super) fn next(&mut self, name: &str) -> Saved<'a> {
        match self {
            Self::List(values) => values.next().map_or(Saved::Nothing, Saved::Value),
            Self::Named(values) => values.get(name).map_or(Saved::Nothing, Saved::Value),
            Self::Unreadable => Saved::Undefined,
            Self::Prompt(inputs) => match inputs.get(name) {
                Some(value) if link(value).is_some() => Saved::Nothing,
                Some(value) => Saved::Value(value.get("__value__").unwrap_or(value)),
                None => Saved::Nothing,
            },
        }
    }

    /// Whether there is certainly a value or link of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self, Self::Prompt(inputs) if inputs.contains_key(name))
    }

    /// Those that the class does not declare, of a node that saves them by name: widgets that its
    /// pack adds as it goes, such as the options of a video's format.
    pub(super) fn undeclared(&self, class: &NodeClass) -> Vec<(&'a String, &'a Value)> {
        let Self::Named(values) = self else {
            return Vec::new();
        };
        let named = values.iter();
        named
            .filter(|(name, _)| class.input(name).is_none() && *name != PREVIEW)
            .collect()
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::List(values) => values.len(),
            Self::Named(_) | Self::Unreadable | Self::Prompt(_) => 0,
        }
    }

    /// Those that are left.
    pub(super) fn rest(self) -> Vec<Value> {
        match self {
            Self::List(values) => values.cloned().collect(),
            Self::Named(_) | Self::Unreadable | Self::Prompt(_) => Vec::new(),
        }
    }

    /// Passes over the value of a widget that no prompt has, and tells it.
    pub(super) fn skip(&mut self) -> Option<&'a Value> {
        match self {
            Self::List(values) => values.next(),
            Self::Named(_) | Self::Unreadable | Self::Prompt(_) => None,
        }
    }
}

/// Graphs from before frontend 1.16 have values for inputs that take links only; they are told by
/// their number.
fn without_forced<'a>(class: &NodeClass, values: &'a [Value]) -> Vec<&'a Value> {
    let mut forced = Vec::with_capacity(values.len());
    for input in class.inputs() {
        if input.flag("forceInput") || widget_type(input).is_some() {
            forced.push(input.flag("forceInput"));
            if input
                .option("control_after_generate")
                .is_some_and(js::truthy)
            {
                forced.push(false);
            }
        }
    }
    if forced.len() != values.len() {
        return values.iter().collect();
    }
    let kept = values.iter().zip(forced).filter(|(_, forced)| !forced);
    kept.map(|(value, _)| value).collect()
}
