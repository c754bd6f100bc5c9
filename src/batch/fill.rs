//! Parameters put into a plain workflow: for its `{{PLACEHOLDERS}}`, then for what they mean to it.
//!
//! What is put in is never looked through again, so a prompt that speaks of `{{SEED}}` stays what
//! it is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::BatchError;
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;

/// The workflow with the parameters in their places. A placeholder `{{NAME}}` takes the value with
/// its type when it stands alone, and as text within a text. All other parameters go by
/// [`Workflow::change`]: what they mean (`PROMPT`, `SEED`), an input's name, or `NODE_ID.INPUT`.
/// A seed of null is drawn from `draw`.
pub fn fill(
    workflow: &Workflow,
    facts: &NodeFacts,
    parameters: &Map<String, Value>,
    draw: impl Fn() -> Option<u64>,
) -> Result<Workflow, BatchError> {
    let mut nodes = workflow.as_map().clone();
    let mut filling = Filling {
        parameters,
        used: BTreeSet::new(),
        unfilled: BTreeSet::new(),
    };
    for inputs in nodes.values_mut().filter_map(inputs_of) {
        for value in inputs.values_mut() {
            filling.placeholders(value);
        }
    }
    if !filling.unfilled.is_empty() {
        return Err(BatchError::Unfilled(filling.unfilled.into_iter().collect()));
    }
    let others = parameters
        .iter()
        .filter(|(name, _)| !filling.used.contains(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut filled = Workflow::from_nodes(nodes);
    filled.change(facts, &others, draw)?;
    Ok(filled)
}

/// The names of a workflow's placeholders, in their order and each once.
#[must_use]
pub fn placeholders(workflow: &Workflow) -> Vec<String> {
    let inputs = workflow.nodes().filter_map(|node| node.inputs());
    let texts = inputs.flat_map(Map::values).flat_map(texts);
    let mut names: Vec<String> = vec![];
    for piece in texts.flat_map(pieces) {
        if let Piece::Placeholder(name) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// Whether [`fill`] has a place for a parameter of that name.
#[must_use]
pub fn takes(workflow: &Workflow, facts: &NodeFacts, name: &str) -> bool {
    let inputs = workflow.nodes().filter_map(|node| node.inputs());
    let mut texts = inputs.flat_map(Map::values).flat_map(texts);
    let is_placeholder = |piece: Piece<'_>| matches!(piece, Piece::Placeholder(own) if own == name);
    texts.any(|text| pieces(text).any(is_placeholder)) || workflow.can_change(facts, name)
}

struct Filling<'p> {
    parameters: &'p Map<String, Value>,
    used: BTreeSet<&'p str>,
    unfilled: BTreeSet<String>,
}

impl Filling<'_> {
    fn placeholders(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(filled) = self.filled(text) {
                    *value = filled;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.placeholders(item)),
            Value::Object(members) => members
                .values_mut()
                .for_each(|member| self.placeholders(member)),
            _ => {}
        }
    }

    fn filled(&mut self, text: &str) -> Option<Value> {
        let mut whole = String::new();
        let mut only = None;
        let mut count = 0;
        let mut any = false;
        for piece in pieces(text) {
            count += 1;
            match piece {
                Piece::Text(plain) => whole.push_str(plain),
                Piece::Placeholder(name) => {
                    any = true;
                    let Some((name, value)) = self.parameters.get_key_value(name) else {
                        self.unfilled.insert(name.to_owned());
                        continue;
                    };
                    self.used.insert(name);
                    match value {
                        Value::String(text) => whole.push_str(text),
                        other => whole.push_str(&other.to_string()),
                    }
                    only = Some(value.clone());
                }
            }
        }
        match only {
            Some(value) if count == 1 => Some(value),
            _ => any.then(|| whole.into()),
        }
    }
}

fn inputs_of(node: &mut Value) -> Option<&mut Map<String, Value>> {
    node.get_mut("inputs")?.as_object_mut()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => vec![],
    }
}

enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// A text cut at its placeholders.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut found = vec![];
    let mut from = 0;
    while let Some(open) = rest[from..].find("{{").map(|at| at + from) {
        let inside = &rest[open + 2..];
        let length = inside
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(inside.len());
        if length == 0 || !inside[length..].starts_with("}}") {
            from = open + 2;
            continue;
        }
        if open > 0 {
            found.push(Piece::Text(&rest[..open]));
        }
        found.push(Piece::Placeholder(&inside[..length]));
        rest = &inside[length + 2..];
        from = 0;
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn workflow(inputs: &Value) -> Workflow {
        Workflow::from_json(json!({
            "1": { "class_type": "KSampler", "inputs": inputs },
            "2": { "class_type": "RandomNoise", "inputs": { "noise_seed": 1 } },
        }))
        .unwrap()
    }

    fn fill_with(workflow: &Workflow, parameters: Value) -> Result<Value, BatchError> {
        let Value::Object(parameters) = parameters else {
            panic!("not an object")
        };
        let facts = NodeFacts::bundled();
        fill(workflow, &facts, &parameters, || Some(77)).map(Workflow::into_json)
    }

    fn filled(inputs: &Value, parameters: Value) -> Result<Value, BatchError> {
        Ok(fill_with(&workflow(inputs), parameters)?["1"]["inputs"].clone())
    }

    /// Two encoders, one of which says what must not be seen.
    fn with_both_prompts() -> Workflow {
        Workflow::from_json(json!({
            "1": { "class_type": "KSampler", "inputs": { "seed": 5, "steps": 4, "cfg": 2.0,
                "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0, "model": ["4", 0],
                "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["5", 0] } },
            "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox", "clip": ["4", 1] } },
            "3": { "class_type": "CLIPTextEncode", "inputs": { "text": "blurry", "clip": ["4", 1] } },
            "4": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "x.safetensors" } },
            "5": { "class_type": "EmptyLatentImage",
                "inputs": { "width": 64, "height": 64, "batch_size": 1 } },
            "6": { "class_type": "VAEDecode", "inputs": { "samples": ["1", 0], "vae": ["4", 2] } },
            "7": { "class_type": "SaveImage", "inputs": { "images": ["6", 0], "filename_prefix": "x" } },
        }))
        .unwrap()
    }

    #[test]
    fn a_placeholder_takes_the_value_with_its_type_and_within_a_text_as_text() {
        let inputs = json!({ "seed": "{{SEED}}", "text": "a {{COLOUR}} fox, seed {{SEED}}" });
        let made = filled(&inputs, json!({ "SEED": u64::MAX, "COLOUR": "red" })).unwrap();
        assert_eq!(
            made,
            json!({ "seed": u64::MAX, "text": "a red fox, seed 18446744073709551615" })
        );
    }

    #[test]
    fn what_is_put_in_is_not_looked_through_again() {
        let inputs = json!({ "text": "{{PROMPT}}", "seed": "{{SEED}}" });
        let made = filled(&inputs, json!({ "PROMPT": "say {{SEED}}", "SEED": 5 })).unwrap();
        assert_eq!(made, json!({ "text": "say {{SEED}}", "seed": 5 }));
    }

    #[test]
    fn placeholders_without_a_value_are_all_named() {
        let inputs = json!({ "text": "{{A}} and {{B}} and {{not one}} {{" });
        assert_eq!(
            filled(&inputs, json!({})),
            Err(BatchError::Unfilled(vec!["A".into(), "B".into()]))
        );
    }

    #[test]
    fn a_prompt_goes_to_the_prompt_and_leaves_the_negative_one_alone() {
        let both = with_both_prompts();
        let wanted = json!({ "PROMPT": "a red fox", "NEGATIVE_PROMPT": "grey", "SEED": null });
        let made = fill_with(&both, wanted).unwrap();
        assert_eq!(made["2"]["inputs"]["text"], "a red fox");
        assert_eq!(made["3"]["inputs"]["text"], "grey");
        assert_eq!(made["1"]["inputs"]["seed"], 77, "drawn");

        let error = fill_with(&both, json!({ "text": "a red fox" })).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"text\" stands in several nodes with different values: 2.text = \"a fox\", 3.text = \"blurry\""
        );
    }

    #[test]
    fn one_input_of_one_node_is_set_by_its_path() {
        let made = fill_with(
            &workflow(&json!({ "seed": 0 })),
            json!({ "1.seed": 3, "2.noise_seed": 4 }),
        );
        let made = made.unwrap();
        assert_eq!(made["1"]["inputs"]["seed"], 3);
        assert_eq!(made["2"]["inputs"]["noise_seed"], 4);
    }

    #[test]
    fn a_parameter_without_a_place_is_an_error_and_known_to_have_none() {
        let workflow = with_both_prompts();
        let facts = NodeFacts::bundled();
        let error = fill_with(&workflow, json!({ "GUIDANCE": 2, "COLOUR": "x" })).unwrap_err();
        assert!(
            error.to_string().contains("\"COLOUR\" has nowhere to go"),
            "{error}"
        );
        for (name, has_place) in [
            ("PROMPT", true),
            ("sampler_name", true),
            ("Filename_Prefix", true),
            ("5.width", true),
            ("COLOUR", false),
            ("9.width", false),
        ] {
            assert_eq!(takes(&workflow, &facts, name), has_place, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_without_a_placeholder_stays_as_it_is(text in "[{}a-zA-Z_ ]{0,24}") {
            let has = pieces(&text).any(|piece| matches!(piece, Piece::Placeholder(_)));
            prop_assume!(!has);
            let made = filled(&json!({ "text": text }), json!({})).unwrap();
            prop_assert_eq!(made, json!({ "text": text }));
        }
    }
}
