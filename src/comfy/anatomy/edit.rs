//! Writing values into a workflow.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::change::Change;
use crate::comfy::Workflow;

/// One value that is to be written.
pub(super) struct Edit {
    pub(super) node_id: String,
    pub(super) input: String,
    pub(super) value: Value,
    /// The inputs that a copy of the node is to feed instead of the node, which stays.
    pub(super) copy_for: Option<Vec<(String, String)>>,
}

/// Makes the edits in turn and tells what changed.
pub(super) fn apply(workflow: &mut Workflow, edits: Vec<Edit>) -> Vec<Change> {
    let mut changed: Vec<Change> = Vec::new();
    let mut copies: BTreeMap<String, String> = BTreeMap::new();
    for edit in edits {
        let (class_type, from) = match workflow.node(&edit.node_id) {
            Some(node) => {
                let from = node.inputs().and_then(|inputs| inputs.get(&edit.input));
                (
                    node.class_type().unwrap_or_default().to_owned(),
                    from.cloned().unwrap_or_default(),
                )
            }
            None => continue,
        };
        if from == edit.value && edit.copy_for.is_none() {
            continue;
        }
        let (node_id, copy_of) = match &edit.copy_for {
            Some(edges) => {
                let copy = copies
                    .entry(edit.node_id.clone())
                    .or_insert_with(|| copy(workflow, &edit.node_id, edges));
                (copy.clone(), Some(edit.node_id))
            }
            None => (edit.node_id, None),
        };
        workflow.set_input(&node_id, &edit.input, edit.value.clone());
        changed.push(Change {
            node_id,
            class_type,
            input: edit.input,
            from,
            to: edit.value,
            copy_of,
        });
    }
    changed
}

/// Adds a copy of a node that feeds these inputs in its place.
fn copy(workflow: &mut Workflow, id: &str, edges: &[(String, String)]) -> String {
    let Some(node) = workflow.node(id) else {
        return id.to_owned();
    };
    let class_type = node.class_type().unwrap_or_default().to_owned();
    let title = node.title().filter(|title| *title != class_type);
    let title = title.map(str::to_owned);
    let inputs = node.inputs().cloned().unwrap_or_default();
    let copy = workflow.add(&class_type, inputs);
    if let Some(title) = title {
        workflow.set_title(&copy, &title);
    }
    for (node, input) in edges {
        let link = workflow
            .node(node)
            .and_then(|node| node.inputs()?.get(input));
        let slot = link.and_then(|link| link.get(1).cloned());
        let slot = slot.unwrap_or_else(|| 0.into());
        workflow.set_input(node, input, json!([copy, slot]));
    }
    copy
}
