//! Parameters put into a plain workflow: for its `{{PLACEHOLDERS}}`, for its inputs by name, or
//! for the input of one node.
//!
//! What is put in is never looked through again, so a prompt that speaks of `{{SEED}}` stays what
//! it is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::BatchError;
use crate::comfy::Workflow;

/// The workflow with the parameters in their places: a placeholder `{{NAME}}` (alone it takes the
/// value with its type, within a text as text), all inputs of that name that hold a value, in any
/// letters, or one node's input written `NODE_ID.INPUT`.
pub fn fill(workflow: &Workflow, parameters: &Map<String, Value>) -> Result<Workflow, BatchError> {
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
    for name in parameters.keys() {
        if !filling.used.contains(name.as_str()) && set(&mut nodes, name, &parameters[name]) {
            filling.used.insert(name);
        }
    }
    if !filling.unfilled.is_empty() {
        return Err(BatchError::Unfilled(filling.unfilled.into_iter().collect()));
    }
    let lost: Vec<String> = parameters
        .keys()
        .filter(|name| !filling.used.contains(name.as_str()))
        .cloned()
        .collect();
    if !lost.is_empty() {
        return Err(BatchError::NoPlace {
            names: lost,
            known: names(workflow),
        });
    }
    Ok(Workflow::from_nodes(nodes))
}

/// What [`fill`] has a place for: the placeholders, then the names of the inputs with a value.
#[must_use]
pub fn names(workflow: &Workflow) -> Vec<String> {
    let mut placeholders = BTreeSet::new();
    let mut inputs = BTreeSet::new();
    for node in workflow.nodes() {
        for (name, value) in node.inputs().into_iter().flatten() {
            for text in texts(value) {
                placeholders.extend(pieces(text).filter_map(|piece| match piece {
                    Piece::Placeholder(name) => Some(name.to_owned()),
                    Piece::Text(_) => None,
                }));
            }
            if !is_link(value) {
                inputs.insert(name.clone());
            }
        }
    }
    placeholders.into_iter().chain(inputs).collect()
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

/// Sets the inputs that a parameter names; whether there is one.
fn set(nodes: &mut Map<String, Value>, name: &str, value: &Value) -> bool {
    let mut found = false;
    for (id, node) in nodes.iter_mut() {
        let own = name
            .strip_prefix(id.as_str())
            .and_then(|rest| rest.strip_prefix('.'));
        let Some(inputs) = inputs_of(node) else {
            continue;
        };
        for (input, held) in inputs.iter_mut() {
            let meant = match own {
                Some(own) => input == own,
                None => input.eq_ignore_ascii_case(name) && !is_link(held),
            };
            if meant {
                *held = value.clone();
                found = true;
            }
        }
    }
    found
}

fn inputs_of(node: &mut Value) -> Option<&mut Map<String, Value>> {
    node.get_mut("inputs")?.as_object_mut()
}

/// `[node id, slot]`
fn is_link(value: &Value) -> bool {
    matches!(value, Value::Array(items)
        if matches!(&items[..], [Value::String(_), Value::Number(_)]))
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
            "2": { "class_type": "Other", "inputs": { "seed": 1, "image": ["1", 0] } },
        }))
        .unwrap()
    }

    fn filled(inputs: &Value, parameters: Value) -> Result<Value, BatchError> {
        let Value::Object(parameters) = parameters else {
            panic!("not an object")
        };
        let filled = fill(&workflow(inputs), &parameters)?.into_json();
        Ok(filled["1"]["inputs"].clone())
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
    fn an_input_is_set_by_its_name_wherever_it_holds_a_value() {
        let parameters = json!({ "SEED": 9 }).as_object().cloned().unwrap();
        let made = fill(
            &workflow(&json!({ "seed": 0, "model": ["2", 0] })),
            &parameters,
        )
        .unwrap()
        .into_json();
        assert_eq!(
            (&made["1"]["inputs"]["seed"], &made["2"]["inputs"]["seed"]),
            (&json!(9), &json!(9))
        );
        let made = filled(&json!({ "seed": 0 }), json!({ "1.seed": 3, "2.seed": 4 })).unwrap();
        assert_eq!(made, json!({ "seed": 3 }));
    }

    #[test]
    fn a_parameter_without_a_place_is_an_error_that_says_what_there_is() {
        assert_eq!(
            filled(
                &json!({ "cfg": 1.0 }),
                json!({ "GUIDANCE": 2, "image": "x" })
            ),
            Err(BatchError::NoPlace {
                names: vec!["GUIDANCE".into(), "image".into()],
                known: vec!["cfg".into(), "seed".into()],
            })
        );
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
