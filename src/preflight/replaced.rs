//! Classes that are gone and have others in their place.
//!
//! Servers from 0.14 on put the new class there themselves, older ones reject the prompt. Where the
//! server has no rule for a class's inputs it drops them all; those that the new class has are kept.

use serde_json::{Map, Value, json};

use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::nodes::{NodeFacts, Replacement};

pub(super) fn find(view: &View<'_>, facts: &NodeFacts, found: &mut Vec<Finding>) {
    for node in view.nodes.iter().filter(|node| node.class.is_none()) {
        let Some((replacement, inputs)) = stand_in(facts, node) else {
            continue;
        };
        let new = &replacement.new;
        let message = format!("{} was replaced by {new}", node.class_type.trim());
        let links = relinked(view, node.id, replacement);
        let suggestion = json!({ "class_type": new, "inputs": inputs, "links": links });
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
        }
    }
}

/// The class that stands for a node's own, with its inputs.
fn stand_in<'f>(
    facts: &'f NodeFacts,
    node: &Node<'_>,
) -> Option<(&'f Replacement, Map<String, Value>)> {
    let replacement = facts.replacement(node.class_type)?;
    let class = facts.class(&replacement.new)?;
    let old = node.inputs()?;
    let mut inputs = replacement.carry_over(old);
    if inputs.is_empty() {
        let kept = old.iter().filter(|(name, _)| class.input(name).is_some());
        inputs = kept
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    Some((replacement, inputs))
}

/// The links that have to lead to other outputs than before.
fn relinked(view: &View<'_>, id: &str, replacement: &Replacement) -> Vec<Value> {
    let all = view.nodes.iter();
    let links = all.flat_map(|node| {
        let inputs = node.inputs().into_iter().flatten();
        inputs.filter_map(move |(name, value)| {
            let slot = value.get(1)?.as_u64().filter(|_| value[0] == id)?;
            let new = Some(replacement.output(slot)).filter(|new| *new != slot)?;
            Some(json!({ "node_id": node.id, "field": name, "to": [id, new] }))
        })
    });
    links.collect()
}
