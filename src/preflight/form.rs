//! Nodes whose `inputs` are no object.
//!
//! The server validates only what an output needs, but then reckons with the inputs of every node,
//! and its worker dies of one that has none: the job stays in the queue for ever (issue 16312 of
//! `ComfyUI`, all versions up to 0.33).

use super::view::View;
use crate::comfy::check::Finding;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for node in view.nodes.iter().filter(|node| node.inputs().is_none()) {
        let message = match node.body.get("inputs") {
            None => "it has no inputs, which ends the server's worker",
            Some(_) => "its inputs are no object, which ends the server's worker",
        };
        let received = node.body.get("inputs").cloned().unwrap_or_default();
        let finding = Finding::error("no_inputs_object", node.id, node.class_type)
            .at("inputs", &received)
            .says(message)
            .suggests(serde_json::json!({}));
        found.push(finding);
    }
}
