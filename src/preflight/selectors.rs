//! Dynamic combos whose choice is missing or unknown.
//!
//! The server then takes the node to have none of the inputs that choices bring, finds nothing
//! wrong, and fails when the node runs.

use serde_json::{Value, json};

use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::check::defaults::{fill_below, first_key};
use crate::comfy::check::suggest::nearest_choice;
use crate::comfy::nodes::{Dynamic, DynamicOption, Input, NodeClass};
use crate::comfy::validate::equal;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    if !view.rules.expands_dynamic_inputs() {
        return;
    }
    for (node, class) in view.known() {
        if node.inputs().is_some() {
            look(node, "", class.inputs(), true, found);
        }
    }
}

/// Looks through inputs; `needed` is false below something that may be left out.
fn look(node: &Node<'_>, prefix: &str, inputs: &[Input], needed: bool, found: &mut Vec<Finding>) {
    for input in inputs {
        let Some(Dynamic::Combo(options)) = input.dynamic() else {
            continue;
        };
        let name = format!("{prefix}{}", input.name());
        let needed = needed && input.is_required();
        let Some(value) = node.input(&name) else {
            // A class that still takes the choice in its old place does without the new one, such as
            // SaveVideo's `codec` beside `format.codec` (0.33).
            let has_old_place = node
                .class
                .is_some_and(|class| class.input(input.name()).is_some());
            if needed && (prefix.is_empty() || !has_old_place) {
                found.push(missing(node, &name, input, options));
            }
            continue;
        };
        let by = |value: &Value| options.iter().find(|option| equal(&option.key, value));
        let wrapped = value.get("__value__").and_then(by);
        match by(value).or(wrapped) {
            Some(option) => {
                if by(value).is_none() {
                    found.push(packed(node, &name, value, (options, option)));
                }
                look(node, &format!("{name}."), &option.inputs, needed, found);
            }
            None => found.push(unknown(node, &name, value, options, needed)),
        }
    }
}

fn keys(options: &[DynamicOption]) -> Value {
    const SHOWN: usize = 8;
    let keys: Vec<&Value> = options.iter().map(|option| &option.key).collect();
    json!({ "choices": keys[..keys.len().min(SHOWN)], "count": keys.len() })
}

/// An error, or a warning where the class may have a value of its own for what is not chosen.
fn failing(kind: &'static str, node: &Node<'_>) -> Finding {
    let is_custom = node.class.is_some_and(NodeClass::is_custom);
    let how = if is_custom {
        Finding::warning
    } else {
        Finding::error
    };
    how(kind, node.id, node.class_type)
}

/// A choice in the wrapping of lists. The server takes it off of every input that it validates, but
/// may have looked for the choice before.
fn packed(
    node: &Node<'_>,
    name: &str,
    value: &Value,
    (options, option): (&[DynamicOption], &DynamicOption),
) -> Finding {
    let finding = Finding::warning("unknown_selector", node.id, node.class_type);
    let message = format!("\"{name}\" is wrapped in \"__value__\", which only lists need to be");
    let finding = finding.at(name, value).allows(keys(options)).says(message);
    choose(finding, node, name, options, &option.key)
}

fn missing(node: &Node<'_>, name: &str, input: &Input, options: &[DynamicOption]) -> Finding {
    let finding = failing("missing_selector", node)
        .at(name, &Value::Null)
        .allows(keys(options))
        .says(format!(
            "\"{name}\" is missing, which the server does not notice before the node runs"
        ));
    let key = by_its_inputs(node, name, options).unwrap_or_else(|| first_key(input, options));
    choose(finding, node, name, options, &key)
}

/// The one choice that brings all the inputs that are there; none if there are none.
fn by_its_inputs(node: &Node<'_>, name: &str, options: &[DynamicOption]) -> Option<Value> {
    let given = node.inputs()?.keys();
    let below = given.filter_map(|given| given.strip_prefix(name)?.strip_prefix('.'));
    let below: Vec<&str> = below.filter_map(|below| below.split('.').next()).collect();
    if below.is_empty() {
        return None;
    }
    let brings = |option: &&DynamicOption| {
        let mut below = below.iter();
        below.all(|name| option.inputs.iter().any(|input| input.name() == *name))
    };
    let mut fitting = options.iter().filter(brings);
    let first = fitting.next();
    let only = first.filter(|_| fitting.next().is_none());
    // Several may bring them, and then none is meant more than another.
    Some(only.map_or(Value::Null, |option| option.key.clone()))
}

/// Suggests a choice, if all that it brings is there or has a default.
fn choose(
    mut finding: Finding,
    node: &Node<'_>,
    name: &str,
    options: &[DynamicOption],
    key: &Value,
) -> Finding {
    let option = options.iter().find(|option| equal(&option.key, key));
    let (Some(option), Some(given)) = (option, node.inputs()) else {
        return finding;
    };
    let mut inputs = given.clone();
    let below = format!("{name}.");
    if !fill_below(node.class_type, &below, &option.inputs, &mut inputs) {
        return finding;
    }
    inputs.retain(|name, _| !given.contains_key(name));
    finding.allowed["brings"] = inputs.into();
    finding.suggests(option.key.clone())
}

fn unknown(
    node: &Node<'_>,
    name: &str,
    value: &Value,
    options: &[DynamicOption],
    needed: bool,
) -> Finding {
    let message = format!(
        "{value} is no choice of \"{name}\", which the server does not notice before the node runs"
    );
    // What a link brings is only known when it runs.
    let finding = if needed && !value.is_array() {
        failing("unknown_selector", node)
    } else {
        Finding::warning("unknown_selector", node.id, node.class_type)
    };
    let near = value.as_str().and_then(|text| {
        let keys = options.iter().filter_map(|option| option.key.as_str());
        nearest_choice(text, keys)
    });
    let finding = finding.at(name, value).allows(keys(options)).says(message);
    let near = near.map_or(Value::Null, Value::from);
    choose(finding, node, name, options, &near)
}
