//! Nodes and their values as people read them.

use serde_json::Value;

use crate::comfy::nodes::NodeFacts;
use crate::comfy::{Workflow, link};

/// The most letters that are shown of a value.
const LETTERS: usize = 64;

/// So many letters are shown before the first that is different.
const BEFORE: usize = 16;

/// A node as a person finds it again.
pub(super) fn called(workflow: &Workflow, id: &str) -> String {
    let Some(node) = workflow.node(id) else {
        return format!("(nothing) [{id}]");
    };
    let class = node.class_type().unwrap_or("(no class)");
    match node.title().filter(|title| *title != class) {
        Some(title) => format!("{class} [{id}] \"{title}\""),
        None => format!("{class} [{id}]"),
    }
}

/// A value; of a link, the output that it comes from. Of long ones, the part around a letter.
pub(super) fn value(workflow: &Workflow, facts: &NodeFacts, value: &Value, at: usize) -> String {
    if let Some((id, slot)) = link(value) {
        let class = workflow.node(id).and_then(|node| node.class_type());
        let class = class.and_then(|class| facts.class(class));
        let output = class.and_then(|class| class.outputs().get(slot));
        let output = output.map_or_else(|| slot.to_string(), |output| output.name().to_owned());
        return format!("{}.{output}", called(workflow, id));
    }
    match value {
        Value::String(text) => part(text, at),
        value => {
            let text = value.to_string();
            if text.chars().count() > LETTERS {
                part(&text, at)
            } else {
                text
            }
        }
    }
}

/// The first letter that is different in two texts.
pub(super) fn first_difference(from: &Value, to: &Value) -> usize {
    let (Value::String(from), Value::String(to)) = (from, to) else {
        return 0;
    };
    let pairs = from.chars().zip(to.chars());
    pairs.take_while(|(one, other)| one == other).count()
}

/// The part of a long text around one of its letters, in quotes.
fn part(text: &str, at: usize) -> String {
    let count = text.chars().count();
    let start = if count > LETTERS {
        at.saturating_sub(BEFORE)
    } else {
        0
    };
    let shown: String = text.chars().skip(start).take(LETTERS).collect();
    let quoted = Value::from(&*shown).to_string();
    let before = if start > 0 { "…" } else { "" };
    let behind = if start + LETTERS < count { "…" } else { "" };
    format!("{before}{quoted}{behind}")
}
