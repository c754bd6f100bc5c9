//! Inputs that a class does not have.
//!
//! The server ignores them, so a misspelt one does nothing, and the node does without what was meant.
//! Classes of other authors may read whatever they are given.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::check::suggest::{digits, nearest_choice};
use crate::comfy::nodes::{Input, NodeClass};
use crate::comfy::validate::expand;

/// What editors write down beside a node's own inputs.
const OF_EDITORS: [&str; 6] = [
    "audioUI",
    "choose file to upload",
    "control_after_generate",
    "control_before_generate",
    "is_changed",
    "upload",
];

/// A class of `ComfyUI`'s own that takes what it does not declare (0.33, which does not say so at
/// `/object_info`).
const TAKES_ANYTHING: &str = "CustomCombo";

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for (node, class) in view.known() {
        let Some(inputs) = node.inputs() else {
            continue;
        };
        let unknown = inputs.iter().filter(|(name, _)| !is_known(class, name));
        let mut meant = vec![];
        for (name, value) in unknown {
            found.extend(look(view, node, class, (name, value), &mut meant));
        }
    }
}

fn is_known(class: &NodeClass, name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    class.input(stem).is_some()
}

/// Looks at an unknown input; `taken` are the names that others were found to mean.
fn look(
    view: &View<'_>,
    node: &Node<'_>,
    class: &NodeClass,
    (name, value): (&String, &Value),
    taken: &mut Vec<String>,
) -> Option<Finding> {
    let free = takes_anything(class);
    let given = node.body.get("inputs")?;
    let expanded = expand(class, given, view.rules).ok()?;
    // Where anything is taken, only what the node can't do without is missed.
    let missing = expanded
        .inputs
        .iter()
        .filter(|one| given.get(&*one.name).is_none() && (one.required || !free));
    let missing = missing.map(|one| &*one.name);
    let is_meant = |meant: &String| !taken.contains(meant) && digits(meant) == digits(name);
    let meant = nearest_choice(name, missing).filter(is_meant);
    if let Some(meant) = meant {
        taken.push(meant.clone());
        let finding = Finding::warning("misspelt_input", node.id, node.class_type)
            .at(name, value)
            .says(format!("{} has no input \"{name}\"", node.class_type));
        return Some(if free {
            finding.resembles(meant)
        } else {
            finding.suggests(meant)
        });
    }
    if free || value.is_array() || OF_EDITORS.contains(&&**name) || class.has_hidden(name) {
        return None;
    }
    let names: Vec<&str> = class.inputs().iter().map(Input::name).collect();
    let finding = Finding::warning("unknown_input", node.id, node.class_type)
        .at(name, value)
        .allows(json!({ "inputs": names }));
    Some(finding.says(format!(
        "{} has no input \"{name}\": the server ignores it",
        node.class_type
    )))
}

/// Some classes take whatever they are given.
pub(super) fn takes_anything(class: &NodeClass) -> bool {
    let accepts = class.fact("accept_all_inputs") == Some(&Value::Bool(true));
    accepts || class.is_custom() || class.name() == TAKES_ANYTHING
}

/// What is there under a misspelt name needs no default.
pub(super) fn not_missing(found: &mut [Finding]) {
    let misspelt = found.iter().filter(|one| one.kind == "misspelt_input");
    let meant: HashSet<(Option<String>, Option<String>)> = misspelt
        .map(|one| {
            let name = one.suggestion.as_str().map(str::to_owned);
            (one.node_id.clone(), name)
        })
        .collect();
    for finding in found {
        let is_there = meant.contains(&(finding.node_id.clone(), finding.input.clone()));
        if is_there && finding.kind == "required_input_missing" {
            finding.suggestion = Value::Null;
        }
    }
}
