//! Dynamic combos whose choice is missing or unknown.
//!
//! The server then takes the node to have none of the inputs that choices bring, finds nothing
//! wrong, and fails when the node runs.

use serde_json::{Value, json};

use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::nodes::{Dynamic, DynamicOption, Input};
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
            if needed {
                found.push(missing(node, &name, options));
            }
            continue;
        };
        let chosen = options.iter().find(|option| equal(&option.key, value));
        match chosen {
            Some(option) => look(node, &format!("{name}."), &option.inputs, needed, found),
            None => found.push(unknown(node, &name, value, options, needed)),
        }
    }
}

fn keys(options: &[DynamicOption]) -> Value {
    const SHOWN: usize = 8;
    let keys: Vec<&Value> = options.iter().map(|option| &option.key).collect();
    json!({ "choices": keys[..keys.len().min(SHOWN)], "count": keys.len() })
}

fn missing(node: &Node<'_>, name: &str, options: &[DynamicOption]) -> Finding {
    Finding::error("missing_selector", node.id, node.class_type)
        .at(name, &Value::Null)
        .allows(keys(options))
        .says(format!(
            "\"{name}\" is missing, which the server does not notice before the node runs"
        ))
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
        Finding::error("unknown_selector", node.id, node.class_type)
    } else {
        Finding::warning("unknown_selector", node.id, node.class_type)
    };
    let near = value.as_str().and_then(|text| {
        let keys = options.iter().filter_map(|option| option.key.as_str());
        let mut keys = keys.filter(|key| key.eq_ignore_ascii_case(text.trim()));
        keys.next()
    });
    finding
        .at(name, value)
        .allows(keys(options))
        .says(message)
        .suggests(near)
}
