//! A workflow as it is compared.

use std::collections::HashMap;

use serde_json::{Number, Value};

use crate::comfy::{Workflow, link};

/// Nodes with their links in both directions.
#[derive(Debug)]
pub(super) struct Graph<'w> {
    pub(super) nodes: Vec<Vertex<'w>>,
}

#[derive(Debug)]
pub(super) struct Vertex<'w> {
    pub(super) id: &'w str,
    pub(super) class: &'w str,
    pub(super) title: Option<&'w str>,
    /// Values by input, links to nowhere among them.
    pub(super) values: Vec<(&'w str, String)>,
    pub(super) inputs: Vec<Link<'w>>,
    pub(super) outputs: Vec<Link<'w>>,
}

/// A link as one of its ends sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'w> {
    /// The name of the input.
    pub(super) input: &'w str,
    pub(super) slot: usize,
    /// The node at the other end.
    pub(super) other: usize,
}

impl<'w> Graph<'w> {
    pub(super) fn of(workflow: &'w Workflow) -> Self {
        let ids = workflow.nodes().enumerate();
        let index: HashMap<&str, usize> = ids.map(|(at, node)| (node.id, at)).collect();
        let mut nodes: Vec<Vertex<'w>> = workflow
            .nodes()
            .map(|node| Vertex {
                id: node.id,
                class: node.class_type().unwrap_or_default(),
                title: node.title(),
                values: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
            })
            .collect();
        for (at, node) in workflow.nodes().enumerate() {
            for (input, value) in node.inputs().into_iter().flatten() {
                let origin = link(value).and_then(|(id, slot)| Some((*index.get(id)?, slot)));
                let Some((origin, slot)) = origin else {
                    nodes[at].values.push((input, canonical(value).to_string()));
                    continue;
                };
                let link = |other| Link { input, slot, other };
                nodes[at].inputs.push(link(origin));
                nodes[origin].outputs.push(link(at));
            }
            nodes[at].values.sort_unstable();
            nodes[at].inputs.sort_unstable_by_key(|link| link.input);
        }
        Self { nodes }
    }
}

/// A value in the one way to write it: `1.0` is `1`, and wrapped lists are lists.
pub(super) fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => whole(number).map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(fields) => {
            if let Some(list) = fields.get("__value__")
                && fields.len() == 1
            {
                return canonical(list);
            }
            let fields = fields.iter();
            let mut sorted: Value = fields
                .map(|(name, field)| (name.clone(), canonical(field)))
                .collect();
            sorted.sort_all_objects();
            sorted
        }
        other => other.clone(),
    }
}

fn whole(number: &Number) -> Option<i64> {
    let double = number.as_f64().filter(|_| number.is_f64())?;
    let exact = double.fract() == 0.0 && double.abs() < 9e15;
    exact.then(|| format!("{double:.0}").parse().ok()).flatten()
}
