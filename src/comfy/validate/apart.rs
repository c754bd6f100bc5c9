//! Each node by itself.
//!
//! The server stops at the first unknown class, and an exception in one input makes it forget what
//! it found in the others. Whoever mends a workflow wants to hear of everything at once.

use serde_json::{Value, json};

use crate::comfy::nodes::NodeFacts;

use super::expand;
use super::inputs::{Check, Checked, Notes};
use super::node::Shared;
use super::python::{self, Exception};
use super::survey::{Node, Nodes};
use super::verdict::{Dependents, NodeErrors, ServerError};

/// What is wrong with the inputs of every node whose class is known. Nothing is said of links to
/// nodes of unknown classes.
pub(super) fn apart(facts: &NodeFacts, shared: &Shared<'_, '_>, prompt: &Value) -> Vec<NodeErrors> {
    let found = shared.nodes.all().filter_map(|node| {
        let errors = check(facts, shared, prompt, node);
        (!errors.is_empty()).then(|| NodeErrors {
            node_id: node.id.to_owned(),
            class_type: node.class.name().to_owned(),
            errors,
            dependent_outputs: Dependents::default(),
        })
    });
    found.collect()
}

fn check(
    facts: &NodeFacts,
    shared: &Shared<'_, '_>,
    prompt: &Value,
    node: &Node<'_>,
) -> Vec<ServerError> {
    let begun = python::item(node.body, "inputs").and_then(|given| {
        let expanded = expand::expand(node.class, given, shared.rules)?;
        Ok((given, expanded))
    });
    let (given, expanded) = match begun {
        Ok(begun) => begun,
        Err(raised) => return vec![exception(None, &raised)],
    };
    let check = Check {
        shared,
        own: shared.own.parameters(node.class),
        is_dynamic: expanded.is_dynamic,
    };
    let mut notes = Notes::default();
    let mut errors = vec![];
    for declared in &expanded.inputs {
        if leads_to_unknown(facts, prompt, given.get(&*declared.name)) {
            continue;
        }
        match check.input(declared, given, &mut notes) {
            Ok(Checked::Good | Checked::Follow(_)) => {}
            Ok(Checked::Bad(error)) => errors.push(*error),
            Err(raised) => errors.push(exception(Some(&declared.name), &raised)),
        }
    }
    errors
}

fn leads_to_unknown(facts: &NodeFacts, prompt: &Value, value: Option<&Value>) -> bool {
    let target = value
        .and_then(Value::as_array)
        .filter(|link| link.len() == 2)
        .and_then(|link| prompt.get(link[0].as_str()?));
    target.is_some_and(|node| {
        let class = node.get("class_type").and_then(Value::as_str);
        class.and_then(|class| facts.class(class)).is_none()
    })
}

fn exception(input: Option<&str>, raised: &Exception) -> ServerError {
    let mut info = json!({ "exception_type": raised.kind, "traceback": [] });
    if let Some(input) = input {
        info["input_name"] = input.into();
    }
    ServerError::new(
        "exception_during_validation",
        "Exception when validating node",
        &*raised.message,
        info,
    )
}

impl<'a> Nodes<'a> {
    /// The nodes of known classes, whatever else there is.
    pub(super) fn known(facts: &'a NodeFacts, prompt: &'a Value) -> Self {
        let mut nodes = Self::default();
        for (id, body) in prompt.as_object().into_iter().flatten() {
            let class = body.get("class_type").and_then(Value::as_str);
            if let Some(class) = class.and_then(|class| facts.class(class)) {
                nodes.add(Node { id, class, body });
            }
        }
        nodes
    }
}
