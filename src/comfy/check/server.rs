//! The server's own complaints, with what helps to mend them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::{classes, suggest};
use crate::comfy::model_name::is_model_file;
use crate::comfy::nodes::{Input, NodeClass, NodeFacts, model_folder};
use crate::comfy::validate::{NodeErrors, Outcome, Rules, ServerError, expand};

const CYCLE: &str = "dependency_cycle";

/// Between the nodes of a cycle.
const ARROW: &str = " -> ";

/// What the server does not compare where a class's own function takes the input. Nothing tells
/// which classes of other authors have one.
const IN_DOUBT: [&str; 3] = [
    "value_not_in_list",
    "value_smaller_than_min",
    "value_bigger_than_max",
];

/// What the server complains of in a prompt. It stops at the first unknown class; here all are
/// named.
#[must_use]
pub fn server_findings(
    facts: &NodeFacts,
    rules: &Rules,
    prompt: &Value,
    outcome: &Outcome,
) -> Vec<Finding> {
    let mut found = vec![];
    match outcome {
        Outcome::Raised(raised) => {
            let message = format!("the server stumbles over it: {}", raised.message);
            let finding = Finding::server("internal_server_error", "", "").of_the_whole();
            found.push(finding.says(message));
        }
        Outcome::Rejected { error, node_errors } if node_errors.is_empty() => {
            let about_a_class = matches!(error.kind, "missing_node_type" | "invalid_prompt");
            if about_a_class {
                found.extend(unknown_classes(facts, rules, prompt, error.kind));
            }
            if found.is_empty() && error.kind != "prompt_outputs_failed_validation" {
                let finding = Finding::server(error.kind, "", "").of_the_whole();
                found.push(finding.says(&*error.message));
            }
        }
        _ => {}
    }
    found.extend(node_findings(facts, rules, prompt, outcome.node_errors()));
    found
}

/// The errors of nodes as findings.
#[must_use]
pub fn node_findings(
    facts: &NodeFacts,
    rules: &Rules,
    prompt: &Value,
    nodes: &[NodeErrors],
) -> Vec<Finding> {
    let errors = nodes
        .iter()
        .flat_map(|node| node.errors.iter().map(move |error| (node, error)));
    // The server tells a cycle in full at each of its nodes.
    let mut cycles = HashSet::new();
    errors
        .filter(|(_, error)| error.kind != CYCLE || cycles.insert(&error.details))
        .map(|(node, error)| of_error(facts, rules, prompt, node, error))
        .collect()
}

/// Nodes without a class that the server has or replaces by one that it has.
fn unknown_classes(
    facts: &NodeFacts,
    rules: &Rules,
    prompt: &Value,
    kind: &'static str,
) -> Vec<Finding> {
    let is_replaced = |name: &str| {
        let replacement = facts.replacement(name).filter(|_| rules.replaces_nodes());
        replacement.is_some_and(|replacement| facts.class(&replacement.new).is_some())
    };
    let nodes = prompt.as_object().into_iter().flatten();
    let unknown = nodes.filter_map(|(id, node)| {
        let class = node.get("class_type");
        let name = class.and_then(Value::as_str);
        if name.is_some_and(|name| facts.class(name).is_some() || is_replaced(name)) {
            return None;
        }
        let finding = Finding::server(kind, id, name.unwrap_or_default());
        let finding = finding.at("class_type", class.unwrap_or(&Value::Null));
        Some(match name {
            Some(name) => finding
                .says(format!("Node type '{name}' not found"))
                .suggests(classes::meant(facts, name, node, slots_used(prompt, id)))
                .resembles(facts.nearest(name).filter(|_| !name.is_empty())),
            None => finding.says("it has no class_type"),
        })
    });
    unknown.collect()
}

/// How many outputs of a node are linked to, those between counted.
fn slots_used(prompt: &Value, id: &str) -> u64 {
    let nodes = prompt.as_object().into_iter().flatten();
    let inputs = nodes.filter_map(|(_, node)| node.get("inputs")?.as_object());
    let links = inputs.flat_map(|inputs| inputs.values().filter_map(Value::as_array));
    let to_it = links.filter(|link| link.len() == 2 && link[0] == id);
    let slots = to_it.filter_map(|link| Some(link[1].as_u64()?.saturating_add(1)));
    slots.max().unwrap_or_default()
}

fn of_error(
    facts: &NodeFacts,
    rules: &Rules,
    prompt: &Value,
    node: &NodeErrors,
    error: &ServerError,
) -> Finding {
    let mut finding = Finding::server(error.kind, &node.node_id, &node.class_type);
    finding.message = sentence(error);
    let class = facts.class(&node.class_type);
    let is_doubted = class.is_some_and(NodeClass::is_custom) && IN_DOUBT.contains(&error.kind);
    if is_doubted {
        finding.severity = Severity::Warning;
        finding.message += " (unless the node checks that input itself, which can't be known)";
    }
    let Some(name) = error.input_name() else {
        return finding;
    };
    let inputs = &prompt[&node.node_id]["inputs"];
    finding = finding.at(name, inputs.get(name).unwrap_or(&Value::Null));
    match class.and_then(|class| declared(class, inputs, rules, name)) {
        Some(input) if is_doubted && !finding.received.as_str().is_some_and(is_model_file) => {
            finding.allows(suggest::allowed(&input))
        }
        Some(input) => with_remedy(finding, &input, error),
        None => finding,
    }
}

/// The server's message and details, unless one repeats the other.
fn sentence(error: &ServerError) -> String {
    if error.details.is_empty() {
        return error.message.clone();
    }
    if error.kind == CYCLE {
        let steps: Vec<&str> = error.details.split(ARROW).collect();
        return format!("{}: {}", error.message, cycle_path(&steps));
    }
    format!("{}: {}", error.message, error.details)
}

/// The nodes of a cycle, the first again at the end, as people can still read it.
#[must_use]
pub fn cycle_path(steps: &[&str]) -> String {
    const SHOWN: usize = 8;
    if steps.len() <= SHOWN + 1 {
        return steps.join(ARROW);
    }
    let more = steps.len() - 1 - SHOWN;
    format!("{}{ARROW}... and {more} more", steps[..SHOWN].join(ARROW))
}

fn declared(class: &NodeClass, given: &Value, rules: &Rules, name: &str) -> Option<Input> {
    let expanded = expand(class, given, rules).ok()?;
    let mut all = expanded.inputs.into_iter();
    all.find(|declared| declared.name == name)
        .map(|declared| declared.input.clone())
}

fn with_remedy(mut finding: Finding, input: &Input, error: &ServerError) -> Finding {
    finding.allowed = suggest::allowed(input);
    let received = &finding.received;
    let class_type = &finding.class_type;
    match error.kind {
        "required_input_missing" => {
            let default = suggest::default_of(input, class_type);
            finding.suggests(default)
        }
        "value_smaller_than_min" => {
            let least = input.min().cloned();
            finding.suggests(least)
        }
        "value_bigger_than_max" => {
            let most = input.max().cloned();
            finding.suggests(most)
        }
        "invalid_input_type" if received.is_null() => {
            let default = suggest::default_of(input, class_type);
            finding.suggests(default)
        }
        "invalid_input_type" => {
            let is_int = input.io_type().is("INT");
            let read = received.as_str();
            let read = read.and_then(|text| suggest::number(text, is_int));
            finding.suggests(json!(read))
        }
        "value_not_in_list" => {
            let name = finding.input.as_deref().unwrap_or_default();
            let (nearest, meant) = suggest::choice(class_type, name, input, received);
            if suggest::lists_files(class_type, name, received) {
                let folder = model_folder(class_type, name).unwrap_or_default();
                finding.allowed["folder"] = folder.into();
            }
            finding.nearest = nearest;
            finding.suggests(meant)
        }
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::validate::Validator;

    fn found(nodes: &Value) -> Vec<(&'static str, Option<String>, Value)> {
        let facts = NodeFacts::bundled();
        let outcome = Validator::new(&facts).receive(nodes, None).outcome;
        server_findings(&facts, &Rules::default(), nodes, &outcome)
            .into_iter()
            .map(|one| (one.kind, one.input, one.suggestion))
            .collect()
    }

    #[test]
    fn what_the_server_says_comes_with_what_can_be_put_there() {
        let nodes = json!({
            "1": { "class_type": "EmptyImage", "inputs": {
                "width": 0, "height": 99_999, "batch_size": "1x" } },
            "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0] } },
        });
        assert_eq!(
            found(&nodes),
            [
                ("value_smaller_than_min", Some("width".into()), json!(1)),
                ("value_bigger_than_max", Some("height".into()), json!(16384)),
                ("invalid_input_type", Some("batch_size".into()), json!(null)),
                ("required_input_missing", Some("color".into()), json!(0)),
                (
                    "required_input_missing",
                    Some("filename_prefix".into()),
                    json!("ComfyUI")
                ),
            ]
        );
    }

    #[test]
    fn every_unknown_class_is_named() {
        let nodes = json!({
            "1": { "class_type": "KSampller", "inputs": {} },
            "2": { "class_type": "SomethingElseEntirely42", "inputs": {} },
            "3": { "inputs": {} },
        });
        let class = || Some("class_type".to_owned());
        assert_eq!(
            found(&nodes),
            [
                ("missing_node_type", class(), json!("KSampler")),
                ("missing_node_type", class(), json!(null)),
                ("missing_node_type", class(), json!(null)),
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_the_whole_is_said_of_the_whole() {
        assert_eq!(
            found(&json!({})),
            [("prompt_no_outputs", None, json!(null))]
        );
        assert_eq!(
            found(&json!(5)),
            [("internal_server_error", None, json!(null))]
        );
    }
}
