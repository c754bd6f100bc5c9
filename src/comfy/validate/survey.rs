//! The first look at a prompt: every node of a known class, and some output to run.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::comfy::nodes::{NodeClass, NodeFacts};

use super::python::{self, Exception};
use super::rules::Rules;
use super::verdict::ServerError;

/// The nodes of a prompt, all of known classes.
#[derive(Default)]
pub(super) struct Nodes<'a> {
    list: Vec<Node<'a>>,
    by_id: HashMap<&'a str, usize>,
}

/// One node of a prompt.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) id: &'a str,
    pub(super) class: &'a NodeClass,
    pub(super) body: &'a Value,
}

/// Why a prompt is not even looked at node by node.
pub(super) enum Stop {
    Rejected(Box<ServerError>),
    Raised(Exception),
}

impl Stop {
    fn reject(error: ServerError) -> Self {
        Self::Rejected(Box::new(error))
    }
}

impl From<Exception> for Stop {
    fn from(raised: Exception) -> Self {
        Self::Raised(raised)
    }
}

impl<'a> Nodes<'a> {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Node<'a>> {
        self.list.iter()
    }

    pub(super) fn add(&mut self, node: Node<'a>) {
        self.by_id.insert(node.id, self.list.len());
        self.list.push(node);
    }

    pub(super) fn at(&self, index: usize) -> &Node<'a> {
        &self.list[index]
    }

    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }
}

/// The nodes and which of them are outputs to run, in the prompt's order. Stops at the first
/// node without a class, as the server does, also where no output needs the node.
pub(super) fn survey<'a>(
    facts: &'a NodeFacts,
    rules: &Rules,
    prompt: &'a Value,
    targets: Option<&[String]>,
) -> Result<(Nodes<'a>, Vec<usize>), Stop> {
    let prompt = match prompt {
        Value::Object(nodes) => nodes,
        Value::Array(items) if items.is_empty() => return Err(no_outputs()),
        Value::String(text) if text.is_empty() => return Err(no_outputs()),
        other => return Err(Stop::Raised(not_a_prompt(other))),
    };
    let mut nodes = Nodes {
        list: Vec::with_capacity(prompt.len()),
        by_id: HashMap::with_capacity(prompt.len()),
    };
    let mut outputs = Vec::new();
    for (id, body) in prompt {
        let class = class_of(facts, rules, id, body)?;
        if class.is_output_node() && targets.is_none_or(|targets| targets.contains(id)) {
            outputs.push(nodes.list.len());
        }
        nodes.add(Node { id, class, body });
    }
    if outputs.is_empty() {
        return Err(no_outputs());
    }
    Ok((nodes, outputs))
}

fn class_of<'a>(
    facts: &'a NodeFacts,
    rules: &Rules,
    id: &str,
    body: &Value,
) -> Result<&'a NodeClass, Stop> {
    let class_type = python::get(body, "class_type")?;
    if let Some(unhashable @ (Value::Array(_) | Value::Object(_))) = class_type {
        return Err(Stop::Raised(Exception::unhashable(unhashable)));
    }
    let class = class_type
        .and_then(Value::as_str)
        .and_then(|name| facts.class(name));
    class.ok_or_else(|| missing_class(rules, id, body, class_type))
}

fn missing_class(rules: &Rules, id: &str, node: &Value, class_type: Option<&Value>) -> Stop {
    let details = format!("Node ID '#{id}'");
    if !rules.names_missing_classes() {
        let message = match class_type {
            Some(class) => format!(
                "Cannot execute because node {} does not exist.",
                python::text(class)
            ),
            None => "Cannot execute because a node is missing the class_type property.".to_owned(),
        };
        return Stop::reject(ServerError::new(
            "invalid_prompt",
            message,
            details,
            json!({}),
        ));
    }
    let title = match title(node) {
        Ok(title) => title.or(class_type),
        Err(raised) => return Stop::Raised(raised),
    };
    let message = match (class_type, title) {
        (Some(_), title) => format!(
            "Node '{}' not found. The custom node may not be installed.",
            python::text(title.unwrap_or_default())
        ),
        (None, title) => {
            let shown = title
                .filter(|title| python::is_true(title))
                .map(python::text);
            format!(
                "Node '{}' has no class_type. The workflow may be corrupted or a custom node \
                 is missing.",
                shown.unwrap_or_else(|| format!("ID #{id}"))
            )
        }
    };
    Stop::reject(ServerError::new(
        "missing_node_type",
        message,
        details,
        json!({ "node_id": id, "class_type": class_type, "node_title": title }),
    ))
}

fn no_outputs() -> Stop {
    let error = ServerError::new("prompt_no_outputs", "Prompt has no outputs", "", json!({}));
    Stop::reject(error)
}

/// What comes of looking for nodes in something else.
fn not_a_prompt(prompt: &Value) -> Exception {
    let given = python::type_name(prompt);
    let message = match prompt {
        Value::Array(items) => {
            let key = items.first().map_or("NoneType", python::type_name);
            format!("list indices must be integers or slices, not {key}")
        }
        Value::String(_) => "string indices must be integers, not 'str'".to_owned(),
        _ => format!("'{given}' object is not iterable"),
    };
    Exception::new("TypeError", message)
}

/// `node.get("_meta", {}).get("title")`
fn title(node: &Value) -> Result<Option<&Value>, Exception> {
    let get = |value: &'_ Value| {
        let given = python::type_name(value);
        Exception::new(
            "AttributeError",
            format!("'{given}' object has no attribute 'get'"),
        )
    };
    let Value::Object(body) = node else {
        return Err(get(node));
    };
    match body.get("_meta") {
        None => Ok(None),
        Some(Value::Object(meta)) => Ok(meta.get("title")),
        Some(other) => Err(get(other)),
    }
}
