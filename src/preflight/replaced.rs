//! Classes that are gone and have others in their place.
//!
//! Servers from 0.14 on put the new class there themselves, older ones reject the prompt. Where the
//! server has no rule for a class's inputs it drops them all; those that the new class has are kept.

use serde_json::{Map, Value, json};

use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::replacement;

pub(super) fn find(view: &View<'_>, facts: &NodeFacts, found: &mut Vec<Finding>) {
    for node in view.nodes.iter().filter(|node| node.class.is_none()) {
        let Some((new, inputs)) = stand_in(facts, node) else {
            continue;
        };
        let message = format!("{} was replaced by {new}", node.class_type.trim());
        let suggestion = json!({ "class_type": new, "inputs": inputs });
        let at = |one: &&mut Finding| {
            one.node_id.as_deref() == Some(node.id) && one.input.as_deref() == Some("class_type")
        };
        if let Some(known) = found.iter_mut().find(at) {
            known.message = format!("{}: {message}", known.message);
            known.suggestion = suggestion;
        } else if view.rules.replaces_nodes() {
            let finding = Finding::warning("replaced_class", node.id, node.class_type)
                .at("class_type", &node.class_type.into());
            found.push(finding.says(message).suggests(suggestion));
        } else {
            let finding = Finding::error("missing_node_type", node.id, node.class_type)
                .at("class_type", &node.class_type.into());
            found.push(finding.says(message).suggests(suggestion));
        }
    }
}

/// The class that stands for a node's own, with its inputs.
fn stand_in(facts: &NodeFacts, node: &Node<'_>) -> Option<(String, Map<String, Value>)> {
    let replacement = replacement(node.class_type)?;
    let class = facts.class(replacement.new)?;
    let old = node.inputs()?;
    let mut inputs = replacement.carry_over(old);
    if inputs.is_empty() {
        let kept = old.iter().filter(|(name, _)| class.input(name).is_some());
        inputs = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    Some((class.name().to_owned(), inputs))
}
