//! From the graph that the editor saves to the prompt that the server runs.
//!
//! Exactly as `ComfyUI`'s own frontend does it (observed on 1.49.6, and see [`Editor`]): the graph is
//! first loaded as the editor loads it, with every slot and widget of every node, and then written as
//! the editor writes it when somebody presses Run. What the frontend would leave broken without a word
//! is an error here, unless the [`Options`] want it as it is.

mod editor;
mod error;
mod expand;
mod fit;
mod ids;
mod js;
mod kind;
mod live;
mod note;
mod promote;
mod prompt;
mod read;
mod resolve;
mod text;
mod values;
mod widgets;

pub use editor::Editor;
pub use error::{NodeName, UiError};
pub use fit::{Misfit, Shifted};
pub(super) use js::value as in_browser;
pub use note::{MissingOutput, Note};
pub use prompt::{Converted, Options, Unknown, to_api};
pub(super) use text::dynamic_prompt;
pub(super) use widgets::{Room, lay_out_prompt};

use serde_json::Value;

/// Whether this is a graph as the editor saves it, and not a prompt.
#[must_use]
pub fn is_ui_format(value: &Value) -> bool {
    value.get("nodes").is_some_and(Value::is_array)
}

/// The graph in a value, also in the wrappers in which workflows are passed on: see
/// [`Workflow::from_json`](crate::comfy::Workflow::from_json).
#[must_use]
pub fn graph_in(mut value: &Value) -> Option<&Value> {
    while !is_ui_format(value) {
        let mut inner = ["workflow", "prompt"].iter().map(|name| value.get(name));
        let is_wrapped = |inner: &&Value| inner.is_object() && inner.get("class_type").is_none();
        value = inner.find_map(|inner| inner.filter(is_wrapped))?;
    }
    Some(value)
}
