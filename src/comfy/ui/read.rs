//! The saved graph, read as far as it matters for running it.
//!
//! Positions, colours, groups and whatever else is there are passed over. Both versions of the
//! format are read: links as lists (0.4) and as objects (1.0, and in every subgraph).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::error::UiError;
use super::js;

/// Where a subgraph's inputs stand as a node in its links.
const INPUT_NODE: &str = "-10";
/// Where its outputs stand.
const OUTPUT_NODE: &str = "-20";

/// A graph: the root, or what a subgraph is defined as.
#[derive(Debug, Default)]
pub(super) struct Graph<'v> {
    /// What instances have as their class; empty for the root.
    pub(super) id: &'v str,
    pub(super) name: &'v str,
    pub(super) nodes: Vec<Node<'v>>,
    pub(super) links: HashMap<String, Link>,
    pub(super) inputs: Vec<Boundary<'v>>,
    pub(super) outputs: Vec<Boundary<'v>>,
}

/// An input or output of a subgraph, with the links inside of it.
#[derive(Debug)]
pub(super) struct Boundary<'v> {
    pub(super) name: &'v str,
    pub(super) io_type: String,
    pub(super) links: Vec<String>,
}

/// A saved node.
#[derive(Debug)]
pub(super) struct Node<'v> {
    pub(super) id: String,
    /// Whether the id was written as a number.
    pub(super) numbered: bool,
    /// For an instance of a subgraph: the ids within it that were changed.
    pub(super) inner_ids: HashMap<String, String>,
    pub(super) class: &'v str,
    pub(super) title: Option<&'v str>,
    pub(super) mode: Mode,
    pub(super) inputs: Vec<SavedInput<'v>>,
    /// The types of the outputs.
    pub(super) outputs: Vec<SavedOutput<'v>>,
    pub(super) values: Option<&'v Value>,
    /// The same by name, which newer versions write beside and don't read.
    pub(super) named: Option<&'v Map<String, Value>>,
    pub(super) properties: Option<&'v Map<String, Value>>,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Runs,
    Muted,
    Bypassed,
}

#[derive(Debug)]
pub(super) struct SavedInput<'v> {
    pub(super) name: &'v str,
    pub(super) io_type: String,
    pub(super) link: Option<String>,
    /// The widget that the input stands for.
    pub(super) widget: Option<&'v str>,
}

#[derive(Debug)]
pub(super) struct SavedOutput<'v> {
    pub(super) name: &'v str,
    pub(super) io_type: String,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) origin: Origin,
    pub(super) origin_slot: usize,
    pub(super) target: String,
    pub(super) target_slot: usize,
}

/// Where a link begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Node(String),
    /// At the inputs of the subgraph.
    Inputs,
}

/// The root graph, the definitions, and the number from which new ids are counted.
#[derive(Debug)]
pub(super) struct Document<'v> {
    pub(super) root: Graph<'v>,
    pub(super) definitions: Vec<Graph<'v>>,
    pub(super) last_node_id: u64,
}

impl<'v> Document<'v> {
    pub(super) fn read(value: &'v Value) -> Result<Self, UiError> {
        let root = value.as_object().ok_or(UiError::NotUi)?;
        if !root.get("nodes").is_some_and(Value::is_array) {
            return Err(UiError::NotUi);
        }
        let definitions = match value.pointer("/definitions/subgraphs") {
            None | Some(Value::Null) => Vec::new(),
            Some(subgraphs) => list(subgraphs, || "definitions.subgraphs".to_owned())?
                .iter()
                .enumerate()
                .map(|(at, subgraph)| {
                    let place = format!("definitions.subgraphs[{at}]");
                    Graph::read(object(subgraph, || place.clone())?, &place)
                })
                .collect::<Result<_, _>>()?,
        };
        let last = root.get("last_node_id").and_then(Value::as_u64);
        let state = value.pointer("/state/lastNodeId").and_then(Value::as_u64);
        Ok(Self {
            root: Graph::read(root, "")?,
            definitions,
            last_node_id: last.or(state).unwrap_or(0),
        })
    }
}

impl<'v> Graph<'v> {
    fn read(graph: &'v Map<String, Value>, place: &str) -> Result<Self, UiError> {
        let text = |name| graph.get(name).and_then(Value::as_str).unwrap_or_default();
        let within = |name: &str| {
            if place.is_empty() {
                name.to_owned()
            } else {
                format!("{place}.{name}")
            }
        };
        let boundaries = |name| -> Result<Vec<Boundary<'v>>, UiError> {
            items(graph.get(name), || within(name))?
                .iter()
                .enumerate()
                .map(|(at, slot)| {
                    let slot = object(slot, || format!("{}[{at}]", within(name)))?;
                    Ok(Boundary {
                        name: slot.get("name").and_then(Value::as_str).unwrap_or_default(),
                        io_type: io_type(slot.get("type")),
                        links: ids(slot.get("linkIds")),
                    })
                })
                .collect()
        };
        // The root's `inputs` and `outputs`, where some program wrote any, mean nothing.
        let is_definition = !place.is_empty();
        Ok(Self {
            id: text("id"),
            name: text("name"),
            nodes: items(graph.get("nodes"), || within("nodes"))?
                .iter()
                .enumerate()
                .map(|(at, node)| Node::read(node, || format!("{}[{at}]", within("nodes"))))
                .collect::<Result<_, _>>()?,
            links: links(graph.get("links"), &within("links"))?,
            inputs: if is_definition {
                boundaries("inputs")?
            } else {
                Vec::new()
            },
            outputs: if is_definition {
                boundaries("outputs")?
            } else {
                Vec::new()
            },
        })
    }
}

impl<'v> Node<'v> {
    fn read(node: &'v Value, place: impl Fn() -> String) -> Result<Self, UiError> {
        let node = object(node, &place)?;
        let id = node.get("id").and_then(id);
        let id = id.ok_or_else(|| {
            malformed(
                format!("{}.id", place()),
                "a number or a text",
                node.get("id"),
            )
        })?;
        let class = node.get("type").and_then(Value::as_str);
        let class = class.ok_or_else(|| {
            let place = format!("the type of node {id}");
            malformed(place, "the name of a class", node.get("type"))
        })?;
        let inputs = items(node.get("inputs"), || format!("inputs of node {id}"))?;
        let outputs = items(node.get("outputs"), || format!("outputs of node {id}"))?;
        Ok(Self {
            class,
            numbered: node.get("id").is_some_and(Value::is_number),
            inner_ids: HashMap::new(),
            title: node.get("title").and_then(Value::as_str),
            mode: match node.get("mode").and_then(Value::as_f64) {
                Some(2.0) => Mode::Muted,
                Some(4.0) => Mode::Bypassed,
                _ => Mode::Runs,
            },
            inputs: inputs.iter().filter_map(SavedInput::read).collect(),
            outputs: outputs.iter().filter_map(SavedOutput::read).collect(),
            values: node
                .get("widgets_values")
                .filter(|values| !values.is_null()),
            named: node.get("widgets_values_named").and_then(Value::as_object),
            properties: node.get("properties").and_then(Value::as_object),
            id,
        })
    }
}

impl<'v> SavedInput<'v> {
    fn read(input: &'v Value) -> Option<Self> {
        let input = input.as_object()?;
        Some(Self {
            name: input
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default(),
            io_type: io_type(input.get("type")),
            link: input.get("link").and_then(id),
            widget: input
                .get("widget")
                .and_then(|widget| widget.get("name")?.as_str()),
        })
    }
}

impl<'v> SavedOutput<'v> {
    fn read(output: &'v Value) -> Option<Self> {
        let output = output.as_object()?;
        Some(Self {
            name: output
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default(),
            io_type: io_type(output.get("type")),
        })
    }
}

fn links(links: Option<&Value>, place: &str) -> Result<HashMap<String, Link>, UiError> {
    let links: Vec<&Value> = match links {
        Some(Value::Object(links)) => links.values().collect(),
        links => items(links, || place.to_owned())?.iter().collect(),
    };
    let mut read = HashMap::with_capacity(links.len());
    for (at, link) in links.into_iter().enumerate() {
        if link.is_null() {
            continue;
        }
        let part = |index: usize, name: &str| match link {
            Value::Array(parts) => parts.get(index),
            link => link.get(name),
        };
        let whole = || {
            let slot = |index, name| {
                let slot = part(index, name).and_then(Value::as_f64).unwrap_or(0.0);
                // A slot that is no whole number of outputs names none of them.
                format!("{slot}").parse::<usize>().ok()
            };
            let origin = id(part(1, "origin_id")?)?;
            Some((
                id(part(0, "id")?)?,
                Link {
                    origin: match origin.as_str() {
                        INPUT_NODE => Origin::Inputs,
                        _ => Origin::Node(origin),
                    },
                    origin_slot: slot(2, "origin_slot")?,
                    target: id(part(3, "target_id")?)?,
                    target_slot: slot(4, "target_slot")?,
                },
            ))
        };
        let Some((id, link)) = whole() else {
            let expected = "a link with id, origin and target";
            return Err(malformed(format!("{place}[{at}]"), expected, Some(link)));
        };
        read.insert(id, link);
    }
    Ok(read)
}

impl Link {
    /// Whether it ends at the outputs of the subgraph.
    pub(super) fn goes_out(&self) -> bool {
        self.target == OUTPUT_NODE
    }
}

/// An id, which is a number almost always.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(_) => Some(js::text(value).into_owned()),
        _ => None,
    }
}

fn ids(value: Option<&Value>) -> Vec<String> {
    let ids = value.and_then(Value::as_array);
    ids.into_iter().flatten().filter_map(id).collect()
}

/// A type name; 0 is the oldest way to write "any".
fn io_type(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(name)) => name.clone(),
        // A list of choices.
        Some(Value::Array(_)) => "COMBO".to_owned(),
        _ => "*".to_owned(),
    }
}

fn items(value: Option<&Value>, place: impl Fn() -> String) -> Result<&[Value], UiError> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(value) => list(value, place),
    }
}

fn list(value: &Value, place: impl Fn() -> String) -> Result<&[Value], UiError> {
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| malformed(place(), "a list", Some(value)))
}

fn object(value: &Value, place: impl Fn() -> String) -> Result<&Map<String, Value>, UiError> {
    let object = value.as_object();
    object.ok_or_else(|| malformed(place(), "an object", Some(value)))
}

fn malformed(place: String, expected: &'static str, found: Option<&Value>) -> UiError {
    UiError::Malformed {
        place,
        expected,
        found: found.map_or("missing", js::kind).to_owned(),
    }
}
