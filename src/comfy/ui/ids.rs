//! One id for one node.
//!
//! Copies of a subgraph are defined with the ids of what they were copied from. The frontend gives
//! new ids while it loads a graph, and the prompt has the new ones.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::js;
use super::read::{Document, Graph, Node, Origin};

impl Document<'_> {
    /// Gives new ids to nodes of definitions whose id is taken: the root's nodes keep theirs, and
    /// of the definitions those that stand first.
    pub(super) fn tell_ids_apart(&mut self) {
        let mut taken: HashSet<u64> = self.root.nodes.iter().filter_map(number).collect();
        let highest = taken.iter().copied().max().unwrap_or(0);
        let mut last = self.last_node_id.max(highest);
        let mut renamed = HashMap::new();
        for definition in &mut self.definitions {
            let mut new_ids = HashMap::new();
            for node in &mut definition.nodes {
                let Some(id) = number(node) else { continue };
                if taken.insert(id) {
                    last = last.max(id);
                    continue;
                }
                // Ends: each round takes an id that was free, and there are as many as nodes.
                while !taken.insert(last.saturating_add(1)) {
                    last = last.saturating_add(1);
                }
                last = last.saturating_add(1);
                let new = last.to_string();
                new_ids.insert(std::mem::replace(&mut node.id, new.clone()), new);
            }
            if !new_ids.is_empty() {
                definition.rename(&new_ids);
                renamed.insert(definition.id, new_ids);
            }
        }
        let graphs = self.definitions.iter_mut().chain([&mut self.root]);
        for node in graphs.flat_map(|graph| &mut graph.nodes) {
            if let Some(new_ids) = renamed.get(node.class) {
                node.inner_ids.clone_from(new_ids);
            }
        }
    }
}

impl Graph<'_> {
    fn rename(&mut self, new_ids: &HashMap<String, String>) {
        for link in self.links.values_mut() {
            if let Origin::Node(id) = &mut link.origin
                && let Some(new) = new_ids.get(id)
            {
                id.clone_from(new);
            }
            if let Some(new) = new_ids.get(&link.target) {
                link.target.clone_from(new);
            }
        }
    }
}

fn number(node: &Node<'_>) -> Option<u64> {
    // Ids that were saved as texts keep them.
    node.numbered.then(|| node.id.parse().ok())?
}

/// A widget of an inner node that an instance of a subgraph shows, in the older way to say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The inner node; `-1` for an input of the subgraph.
    pub(super) node: String,
    pub(super) widget: String,
}

impl Node<'_> {
    /// What `properties.proxyWidgets` lists; `None` where there is no such list.
    pub(super) fn shown_widgets(&self) -> Option<Vec<Shown>> {
        let listed = self.properties?.get("proxyWidgets")?;
        let parsed;
        let listed = match listed {
            Value::String(text) => {
                parsed = serde_json::from_str::<Value>(text).ok()?;
                parsed.as_array()?
            }
            listed => listed.as_array()?,
        };
        let shown = listed.iter().map(|entry| {
            let node = entry.get(0).map(js::text).unwrap_or_default().into_owned();
            Shown {
                node: self.inner_ids.get(&node).cloned().unwrap_or(node),
                widget: entry.get(1).map(js::text).unwrap_or_default().into_owned(),
            }
        });
        Some(shown.collect())
    }
}
