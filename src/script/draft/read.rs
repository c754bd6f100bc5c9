//! The workflow as nodes with links to one another.

use std::collections::HashMap;

use serde_json::Value;

use super::DraftError;
use crate::comfy::nodes::{NodeClass, NodeFacts};
use crate::comfy::{Node, Workflow};

/// The output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Output {
    /// The place of the node in [`Graph::parts`].
    pub(super) part: usize,
    pub(super) slot: u32,
}

/// What an input is given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    Link(Output),
    /// Looks like a link and leads nowhere; the server would not run it.
    Broken(&'a Value),
    Value(&'a Value),
}

/// A node.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) id: &'a str,
    pub(super) class: &'a str,
    pub(super) facts: Option<&'a NodeClass>,
    /// The title, if somebody gave it one.
    pub(super) title: Option<&'a str>,
    pub(super) inputs: Vec<(&'a str, Given<'a>)>,
}

impl<'a> Part<'a> {
    pub(super) fn input(&self, name: &str) -> Option<Given<'a>> {
        let mut inputs = self.inputs.iter();
        inputs
            .find(|(own, _)| *own == name)
            .map(|(_, given)| *given)
    }

    pub(super) fn literals(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.inputs.iter().filter_map(|(name, given)| match given {
            Given::Value(value) => Some((*name, *value)),
            _ => None,
        })
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (&'a str, Output)> {
        self.inputs.iter().filter_map(|(name, given)| match given {
            Given::Link(output) => Some((*name, *output)),
            _ => None,
        })
    }

    /// The types of all outputs, if they are known.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &'a str> {
        let outputs = self.facts.into_iter().flat_map(NodeClass::outputs);
        outputs.map(|output| output.io_type().name())
    }
}

/// All nodes in the order of the workflow.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) by_id: HashMap<&'a str, usize>,
    /// What no run depends on and a template does not keep.
    pub(super) notes: Vec<String>,
}

impl<'a> Graph<'a> {
    pub(super) fn read(workflow: &'a Workflow, facts: &'a NodeFacts) -> Result<Self, DraftError> {
        if workflow.is_empty() {
            return Err(DraftError::Empty);
        }
        let places = workflow.nodes().enumerate();
        let by_id: HashMap<&str, usize> = places.map(|(at, node)| (node.id, at)).collect();
        let mut notes = Vec::new();
        let mut parts = Vec::with_capacity(workflow.len());
        for node in workflow.nodes() {
            note_extras(node, &mut notes);
            parts.push(read_part(node, facts, &by_id)?);
        }
        Ok(Self {
            parts,
            by_id,
            notes,
        })
    }

    /// Who takes an output: node and input.
    pub(super) fn takers(&self, part: usize) -> impl Iterator<Item = (usize, &'a str, u32)> {
        let parts = self.parts.iter().enumerate();
        parts.flat_map(move |(at, taker)| {
            let links = taker.links().filter(move |(_, output)| output.part == part);
            links.map(move |(name, output)| (at, name, output.slot))
        })
    }
}

fn read_part<'a>(
    node: Node<'a>,
    facts: &'a NodeFacts,
    by_id: &HashMap<&'a str, usize>,
) -> Result<Part<'a>, DraftError> {
    let class = node.class_type();
    let class = class.ok_or_else(|| DraftError::NoClass(node.id.to_owned()))?;
    let facts = facts.class(class);
    let inputs = match node.body().get("inputs") {
        None => Vec::new(),
        Some(Value::Object(inputs)) => {
            let inputs = inputs.iter();
            let mut inputs: Vec<(&str, Given<'_>)> = inputs
                .map(|(name, value)| (name.as_str(), given(value, by_id)))
                .collect();
            inputs.sort_by_key(|(name, _)| declared_place(facts, name));
            inputs
        }
        Some(_) => return Err(DraftError::NoInputs(node.id.to_owned())),
    };
    let is_own = |title: &&str| facts.is_none_or(|facts| facts.display_name() != *title);
    let title = node
        .title()
        .filter(|title| *title != class && is_own(title));
    Ok(Part {
        id: node.id,
        class,
        facts,
        title,
        inputs,
    })
}

/// Where a class declares an input; those that belong to another stand beside it.
fn declared_place(facts: Option<&NodeClass>, name: &str) -> usize {
    let inputs = facts.map_or(&[][..], NodeClass::inputs);
    let of = name.split('.').next().unwrap_or(name);
    let place = inputs.iter().position(|input| input.name() == of);
    place.unwrap_or(inputs.len())
}

fn given<'a>(value: &'a Value, by_id: &HashMap<&'a str, usize>) -> Given<'a> {
    let Some([Value::String(id), slot]) = value.as_array().map(Vec::as_slice) else {
        return Given::Value(value);
    };
    if !slot.is_number() {
        return Given::Value(value);
    }
    let slot = slot.as_u64().and_then(|slot| u32::try_from(slot).ok());
    match (by_id.get(id.as_str()), slot) {
        (Some(&part), Some(slot)) => Given::Link(Output { part, slot }),
        _ => Given::Broken(value),
    }
}

/// Old servers note a hash for themselves, editors the place on the screen.
fn note_extras(node: Node<'_>, notes: &mut Vec<String>) {
    let body = node.body().as_object();
    let keys = body.into_iter().flatten().map(|(key, _)| key.as_str());
    let extras = keys.filter(|key| !["class_type", "inputs", "_meta"].contains(key));
    let meta = node.body().get("_meta").and_then(Value::as_object);
    let meta = meta.into_iter().flatten().map(|(key, _)| key.as_str());
    let meta = meta.filter(|key| *key != "title");
    let left: Vec<String> = extras
        .map(str::to_owned)
        .chain(meta.map(|key| format!("_meta.{key}")))
        .collect();
    if !left.is_empty() {
        let left = left.join(", ");
        notes.push(format!("node {} has {left}, which is left out", node.id));
    }
}
