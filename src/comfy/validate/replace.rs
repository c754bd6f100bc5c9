//! Old node classes that the server replaces by new ones before it validates a prompt.
//!
//! Servers from 0.14 on do so at `POST /prompt`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::comfy::nodes::{From, NodeFacts, Replacement};

use super::python::{self, Exception};

/// Replaces old classes that the server does not have by new ones that it has. Inputs that the
/// table does not name are dropped, as the server drops them.
pub fn replace_old_classes<'p>(
    facts: &NodeFacts,
    prompt: &'p Value,
) -> Result<Cow<'p, Value>, Exception> {
    let Value::Object(nodes) = prompt else {
        return Err(no_items(prompt));
    };
    let mut replaced = Cow::Borrowed(prompt);
    let mut old_nodes = Vec::new();
    for (id, node) in nodes {
        let class = python::get(node, "class_type")?;
        let (Some(class), Some(inputs)) = (class, python::get(node, "inputs")?) else {
            continue;
        };
        if class.is_array() || class.is_object() {
            return Err(Exception::unhashable(class));
        }
        if !inputs.is_object() {
            return Err(no_items(inputs));
        }
        let class = class.as_str().unwrap_or_default();
        if facts.class(class).is_none()
            && let Some(replacement) = facts.replacement(class)
            && facts.class(&replacement.new).is_some()
        {
            old_nodes.push((id, inputs, replacement));
        }
    }
    for (id, inputs, replacement) in old_nodes {
        let inputs = new_inputs(replacement, inputs)?;
        let node = &mut replaced.to_mut()[id];
        node["class_type"] = json!(replacement.new);
        node["inputs"] = inputs;
        if !replacement.outputs.is_empty() {
            relink(replaced.to_mut(), id, replacement);
        }
    }
    Ok(replaced)
}

fn no_items(value: &Value) -> Exception {
    let given = python::type_name(value);
    Exception::new(
        "AttributeError",
        format!("'{given}' object has no attribute 'items'"),
    )
}

/// The new node's inputs, made of the old one's.
fn new_inputs(replacement: &Replacement, old: &Value) -> Result<Value, Exception> {
    let mut inputs = Map::new();
    for (name, from) in &replacement.inputs {
        let value = match from {
            From::Input(old_name) => python::item(old, old_name)?.clone(),
            From::Value(value) => value.clone(),
        };
        inputs.insert(name.clone(), value);
    }
    Ok(inputs.into())
}

/// Leads the links to a node's outputs to those that stand for them.
fn relink(prompt: &mut Value, id: &str, replacement: &Replacement) {
    let nodes = prompt.as_object_mut().into_iter().flat_map(Map::values_mut);
    let inputs = nodes.filter_map(|node| node.get_mut("inputs")?.as_object_mut());
    for link in inputs.flat_map(Map::values_mut) {
        if let Some([from, slot]) = link.as_array_mut().map(Vec::as_mut_slice)
            && from == id
            && let Some(old) = slot.as_u64()
        {
            *slot = json!(replacement.output(old));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_class_that_is_gone_is_replaced_with_its_inputs() {
        let facts = NodeFacts::bundled();
        let prompt = json!({ "1": {
            "class_type": "T2IAdapterLoader",
            "inputs": { "t2i_adapter_name": "a.pth" },
            "_meta": { "title": "t" },
        } });
        assert_eq!(
            *replace_old_classes(&facts, &prompt).unwrap(),
            json!({ "1": {
                "class_type": "ControlNetLoader",
                "inputs": { "control_net_name": "a.pth" },
                "_meta": { "title": "t" },
            } })
        );
    }

    #[test]
    fn a_class_that_the_server_has_stays() {
        let facts = NodeFacts::bundled();
        assert!(facts.class("ImageBatch").is_some());
        let prompt = json!({ "1": { "class_type": "ImageBatch", "inputs": {} } });
        assert_eq!(*replace_old_classes(&facts, &prompt).unwrap(), prompt);
    }

    #[test]
    fn an_old_class_without_its_old_input_raises() {
        let facts = NodeFacts::bundled();
        let prompt = json!({ "1": { "class_type": "T2IAdapterLoader", "inputs": {} } });
        let raised = replace_old_classes(&facts, &prompt).unwrap_err();
        assert_eq!(raised, Exception::new("KeyError", "'t2i_adapter_name'"));
    }
}
