//! What is different between two workflows: by what they do, not by their ids.
//!
//! The same workflow renumbered or in another order is no other workflow. So the nodes of both are
//! matched first, by class, values and neighbours (`matching`), and then compared input by
//! input. Titles mean nothing to the server: they are told, and make no difference.

mod graph;
mod matching;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use self::graph::{Graph, canonical};
use super::{Node, Workflow, link};

/// The differences between two workflows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether there is none but titles.
    pub identical: bool,
    /// Nodes that only the second has.
    pub nodes_added: Vec<Single>,
    /// Nodes that only the first has.
    pub nodes_removed: Vec<Single>,
    /// Nodes that both have, with other inputs.
    pub nodes_modified: Vec<Modified>,
    /// How many nodes are the same.
    pub nodes_unchanged: usize,
    /// Nodes that are the same but for their titles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes_retitled: Vec<Retitled>,
}

/// A node that only one of the workflows has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Single {
    /// Its id there.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Its inputs.
    pub inputs: Map<String, Value>,
}

/// A node with other inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Modified {
    /// Its id in the first workflow.
    pub id: String,
    /// Its id in the second, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_id: Option<String>,
    /// Its class.
    pub class: String,
    /// What is different, in the order of the inputs.
    pub changes: Vec<Change>,
}

/// One input that is different.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub input: String,
    /// What it is in the first workflow; none if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is in the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// A node with another title.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retitled {
    /// Its id in the first workflow.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Its title there; its class if it has none.
    pub from: String,
    /// Its title in the second.
    pub to: String,
}

/// Compares two workflows.
#[must_use]
pub fn compare(before: &Workflow, after: &Workflow) -> Comparison {
    let (old, new) = (Graph::of(before), Graph::of(after));
    let matched = matching::matching(&old, &new);
    let ids: HashMap<&str, &str> = matched
        .iter()
        .enumerate()
        .filter_map(|(at, to)| Some((old.nodes[at].id, new.nodes[(*to)?].id)))
        .collect();
    let mut comparison = Comparison::default();
    for (node, to) in before.nodes().zip(&matched) {
        let Some(to) = to.and_then(|to| after.node(new.nodes[to].id)) else {
            comparison.nodes_removed.push(single(node));
            continue;
        };
        let changes = changes(node, to, &ids);
        let title = |node: Node<'_>| node.title().unwrap_or_default().to_owned();
        if !changes.is_empty() {
            comparison.nodes_modified.push(Modified {
                id: node.id.to_owned(),
                new_id: (to.id != node.id).then(|| to.id.to_owned()),
                class: node.class_type().unwrap_or_default().to_owned(),
                changes,
            });
            continue;
        }
        comparison.nodes_unchanged += 1;
        if title(node) != title(to) {
            comparison.nodes_retitled.push(Retitled {
                id: node.id.to_owned(),
                class: node.class_type().unwrap_or_default().to_owned(),
                from: title(node),
                to: title(to),
            });
        }
    }
    let kept: Vec<usize> = matched.into_iter().flatten().collect();
    let added = after.nodes().enumerate();
    let added = added.filter(|(at, _)| !kept.contains(at));
    comparison.nodes_added = added.map(|(_, node)| single(node)).collect();
    comparison.identical = comparison.nodes_added.is_empty()
        && comparison.nodes_removed.is_empty()
        && comparison.nodes_modified.is_empty();
    comparison
}

fn single(node: Node<'_>) -> Single {
    Single {
        id: node.id.to_owned(),
        class: node.class_type().unwrap_or_default().to_owned(),
        inputs: node.inputs().cloned().unwrap_or_default(),
    }
}

/// The inputs that are different; links are the same if what they lead to was matched.
fn changes(before: Node<'_>, after: Node<'_>, ids: &HashMap<&str, &str>) -> Vec<Change> {
    let nothing = Map::new();
    let old = before.inputs().unwrap_or(&nothing);
    let new = after.inputs().unwrap_or(&nothing);
    let same = |from: &Value, to: &Value| match (link(from), link(to)) {
        (Some((id, slot)), Some((new, new_slot))) => {
            slot == new_slot && ids.get(id).copied().unwrap_or(id) == new
        }
        _ => canonical(from) == canonical(to),
    };
    let kept = old.iter().filter_map(|(input, from)| {
        let to = new.get(input);
        let is_same = to.is_some_and(|to| same(from, to));
        (!is_same).then(|| Change {
            input: input.clone(),
            from: Some(from.clone()),
            to: to.cloned(),
        })
    });
    let added = new.iter().filter(|(input, _)| !old.contains_key(*input));
    let added = added.map(|(input, to)| Change {
        input: input.clone(),
        from: None,
        to: Some(to.clone()),
    });
    kept.chain(added).collect()
}

#[cfg(test)]
mod tests;
