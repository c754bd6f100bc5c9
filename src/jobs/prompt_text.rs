//! The words that a workflow paints, for the preview of an asset.

use std::collections::HashSet;

use serde_json::Value;

use crate::comfy::anatomy::{Anatomy, Role};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::{Node, Workflow};

/// Inputs in which text encoders of all families take their text.
const TEXT_INPUTS: [&str; 7] = [
    "text",
    "prompt",
    "text_g",
    "clip_l",
    "t5xxl",
    "positive_prompt",
    "tags",
];

/// The prompt of the first sampler; without one, the text that leads to the `positive` input of
/// some node, and without that the first text of the workflow.
pub(super) fn prompt_text(workflow: &Workflow) -> Option<String> {
    let anatomy = Anatomy::of(workflow, &NodeFacts::bundled());
    let prompt = anatomy.value(Role::Prompt).and_then(Value::as_str);
    let prompt = prompt.filter(|text| !text.trim().is_empty());
    prompt.or_else(|| some_text(workflow)).map(str::to_owned)
}

fn some_text(workflow: &Workflow) -> Option<&str> {
    let positive = workflow
        .nodes()
        .filter_map(|node| node.inputs()?.get("positive"));
    let upstream = positive
        .filter_map(origin)
        .find_map(|id| text_above(workflow, id));
    upstream.or_else(|| workflow.nodes().find_map(own_text))
}

fn text_above<'a>(workflow: &'a Workflow, id: &'a str) -> Option<&'a str> {
    let mut seen = HashSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(node) = workflow.node(id) else {
            continue;
        };
        if let Some(text) = own_text(node) {
            return Some(text);
        }
        let above = node.inputs().into_iter().flat_map(|inputs| inputs.values());
        open.extend(above.filter_map(origin));
    }
    None
}

fn own_text(node: Node<'_>) -> Option<&str> {
    let inputs = node.inputs()?;
    TEXT_INPUTS
        .iter()
        .filter_map(|name| inputs.get(*name)?.as_str())
        .find(|text| !text.trim().is_empty())
}

/// The node that a link comes from.
fn origin(value: &Value) -> Option<&str> {
    match value.as_array()?.as_slice() {
        [Value::String(id), Value::Number(_)] => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_positive_prompt_is_found_behind_other_conditioning() {
        let workflow = Workflow::from_json(json!({
            "1": { "class_type": "CLIPTextEncode", "inputs": { "text": "ugly" } },
            "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a red fox" } },
            "3": { "class_type": "FluxGuidance", "inputs": { "conditioning": ["2", 0] } },
            "4": { "class_type": "KSampler", "inputs": { "positive": ["3", 0], "negative": ["1", 0] } },
        }))
        .unwrap();
        assert_eq!(prompt_text(&workflow).as_deref(), Some("a red fox"));
    }

    #[test]
    fn a_chain_of_any_length_is_read_on_a_small_stack() {
        let length = 10_000;
        let mut nodes = serde_json::Map::new();
        for at in 0..length {
            let (latent, model) = (format!("l{at}"), format!("m{at}"));
            let (latents, models) = (format!("l{}", at + 1), format!("m{}", at + 1));
            let latents =
                json!({ "class_type": "LatentFlip", "inputs": { "samples": [latents, 0] } });
            let models =
                json!({ "class_type": "LoraLoaderModelOnly", "inputs": { "model": [models, 0] } });
            nodes.insert(latent, latents);
            nodes.insert(model, models);
        }
        nodes.insert(
            format!("l{length}"),
            json!({ "class_type": "EmptyLatentImage", "inputs": {} }),
        );
        nodes.insert(
            format!("m{length}"),
            json!({ "class_type": "UNETLoader", "inputs": {} }),
        );
        nodes.insert(
            "t".into(),
            json!({ "class_type": "CLIPTextEncode", "inputs": { "text": "a fox" } }),
        );
        nodes.insert(
            "s".into(),
            json!({ "class_type": "KSampler", "inputs": {
            "steps": 1, "model": ["m0", 0], "latent_image": ["l0", 0], "positive": ["t", 0],
        } }),
        );
        let workflow = Workflow::from_json(nodes.into()).unwrap();
        assert_eq!(prompt_text(&workflow).as_deref(), Some("a fox"));
    }

    #[test]
    fn a_circle_ends() {
        let workflow = Workflow::from_json(json!({
            "1": { "class_type": "A", "inputs": { "positive": ["1", 0] } },
        }))
        .unwrap();
        assert_eq!(prompt_text(&workflow), None);
    }
}
