//! The order of execution: which nodes are needed, which are ready, and which of the ready ones
//! goes first. The choice among equals follows `ComfyUI`'s, because users see it: results that can
//! be shown come before work that cannot.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};

/// The nodes of a prompt with those that expansions have added.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Map<String, Json>,
    ephemeral: HashMap<String, Ephemeral>,
}

/// Where a node that an expansion added comes from.
#[derive(Clone, Debug)]
struct Ephemeral {
    parent: String,
    display: String,
}

impl Graph {
    pub(super) fn new(prompt: Map<String, Json>) -> Self {
        Self {
            nodes: prompt,
            ephemeral: HashMap::new(),
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.nodes.contains_key(id)
    }

    pub(super) fn class(&self, id: &str) -> &str {
        self.nodes
            .get(id)
            .and_then(|node| node["class_type"].as_str())
            .unwrap_or_default()
    }

    pub(super) fn inputs(&self, id: &str) -> Option<&Map<String, Json>> {
        self.nodes.get(id)?.get("inputs")?.as_object()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }

    /// Adds the nodes of an expansion of `parent`; the first id that is taken, if one is.
    pub(super) fn expand(&mut self, parent: &str, nodes: Map<String, Json>) -> Result<(), String> {
        if let Some(taken) = nodes.keys().find(|id| self.has(id)) {
            return Err(taken.clone());
        }
        for (id, node) in nodes {
            let display = node["override_display_id"]
                .as_str()
                .unwrap_or(parent)
                .to_owned();
            self.ephemeral.insert(
                id.clone(),
                Ephemeral {
                    parent: parent.to_owned(),
                    display,
                },
            );
            self.nodes.insert(id, node);
        }
        Ok(())
    }

    /// The node that expanded into this one.
    pub(super) fn parent(&self, id: &str) -> Option<&str> {
        self.ephemeral
            .get(id)
            .map(|ephemeral| ephemeral.parent.as_str())
    }

    /// The node on which the editor shows what this one does.
    pub(super) fn display<'a>(&'a self, id: &'a str) -> &'a str {
        let mut id = id;
        while let Some(ephemeral) = self.ephemeral.get(id) {
            id = &ephemeral.display;
        }
        id
    }

    /// The node of the submitted prompt that this one belongs to.
    pub(super) fn real<'a>(&'a self, id: &'a str) -> &'a str {
        let mut id = id;
        while let Some(ephemeral) = self.ephemeral.get(id) {
            id = &ephemeral.parent;
        }
        id
    }
}

/// The two members of a link, if the value is one: an id and a whole number.
pub(super) fn link(value: &Json) -> Option<(&str, i64)> {
    match value.as_array()?.as_slice() {
        [Json::String(id), slot] => {
            let slot = slot.as_i64().or_else(|| slot.as_bool().map(i64::from));
            // A float is a link too for ComfyUI, and then fails as a list index.
            Some((id, slot.or_else(|| slot_of_float(value))?))
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "slots are small")]
fn slot_of_float(value: &Json) -> Option<i64> {
    value[1].as_f64().map(|slot| slot as i64)
}

/// What the schedule asks about nodes.
pub(super) trait Knowledge {
    /// Whether there is a result already.
    fn is_cached(&self, id: &str) -> bool;
    /// Whether the input waits until its node asks for it.
    fn is_lazy(&self, id: &str, input: &str) -> bool;
    /// Whether the node has an effect of its own.
    fn is_output(&self, id: &str) -> bool;
}

/// A node that links to one that is not in the prompt; this kills the worker of the real server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NodeNotFound(pub(super) String);

/// The nodes still to be executed.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    order: BTreeMap<usize, String>,
    pending: HashMap<String, Pending>,
    added: usize,
}

#[derive(Debug, Default)]
struct Pending {
    place: usize,
    blockers: usize,
    blocks: Vec<String>,
}

impl Schedule {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Puts `id` and everything it needs on the list.
    pub(super) fn add(
        &mut self,
        id: &str,
        graph: &Graph,
        knows: &dyn Knowledge,
    ) -> Result<(), NodeNotFound> {
        let mut stack = vec![id.to_owned()];
        let mut links = Vec::new();
        while let Some(id) = stack.pop() {
            if self.pending.contains_key(&id) {
                continue;
            }
            self.order.insert(self.added, id.clone());
            self.pending.insert(
                id.clone(),
                Pending {
                    place: self.added,
                    ..Pending::default()
                },
            );
            self.added += 1;
            let inputs = graph.inputs(&id).ok_or_else(|| NodeNotFound(id.clone()))?;
            for (name, value) in inputs {
                let Some((from, _)) = link(value) else {
                    continue;
                };
                if knows.is_lazy(&id, name) {
                    continue;
                }
                if !graph.has(from) {
                    return Err(NodeNotFound(from.to_owned()));
                }
                if !knows.is_cached(from) {
                    stack.push(from.to_owned());
                    links.push((from.to_owned(), id.clone()));
                }
            }
        }
        for (from, to) in links {
            self.block(&from, &to);
        }
        Ok(())
    }

    /// Lets `to` wait for `from`, which is put on the list if it has no result yet.
    pub(super) fn wait_for(
        &mut self,
        from: &str,
        to: &str,
        graph: &Graph,
        knows: &dyn Knowledge,
    ) -> Result<(), NodeNotFound> {
        if !knows.is_cached(from) {
            self.add(from, graph, knows)?;
            self.block(from, to);
        }
        Ok(())
    }

    fn block(&mut self, from: &str, to: &str) {
        let Some(blocker) = self.pending.get_mut(from) else {
            return;
        };
        if blocker.blocks.iter().any(|blocked| blocked == to) {
            return;
        }
        blocker.blocks.push(to.to_owned());
        if let Some(blocked) = self.pending.get_mut(to) {
            blocked.blockers += 1;
        }
    }

    /// The next node, or nothing if all that is left waits for itself.
    pub(super) fn next(&self, knows: &dyn Knowledge) -> Option<String> {
        let ready: Vec<&String> = self
            .order
            .values()
            .filter(|id| self.pending[*id].blockers == 0)
            .collect();
        let blocks = |id: &str| {
            self.pending
                .get(id)
                .map(|node| node.blocks.as_slice())
                .unwrap_or_default()
        };
        let shows = |id: &&&String| knows.is_output(id);
        let feeds = |id: &&&String| blocks(id).iter().any(|next| knows.is_output(next));
        let feeds_feeder = |id: &&&String| {
            blocks(id)
                .iter()
                .flat_map(|next| blocks(next))
                .any(|last| knows.is_output(last))
        };
        let chosen = ready
            .iter()
            .find(shows)
            .or_else(|| ready.iter().find(feeds))
            .or_else(|| ready.iter().find(feeds_feeder))
            .or_else(|| ready.first());
        chosen.map(|id| (*id).clone())
    }

    /// Takes a finished node off the list.
    pub(super) fn complete(&mut self, id: &str) {
        let Some(done) = self.pending.remove(id) else {
            return;
        };
        self.order.remove(&done.place);
        for blocked in done.blocks {
            if let Some(blocked) = self.pending.get_mut(&blocked) {
                blocked.blockers -= 1;
            }
        }
    }

    /// Some node that waits for itself.
    pub(super) fn any(&self) -> Option<&String> {
        self.order.values().next()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Plain;

    impl Knowledge for Plain {
        fn is_cached(&self, _: &str) -> bool {
            false
        }
        fn is_lazy(&self, _: &str, input: &str) -> bool {
            input == "lazy"
        }
        fn is_output(&self, id: &str) -> bool {
            id.starts_with('s')
        }
    }

    fn order(prompt: &Json, outputs: &[&str]) -> Vec<String> {
        let graph = Graph::new(prompt.as_object().unwrap().clone());
        let mut schedule = Schedule::default();
        for output in outputs {
            schedule.add(output, &graph, &Plain).unwrap();
        }
        let mut order = Vec::new();
        while let Some(id) = schedule.next(&Plain) {
            schedule.complete(&id);
            order.push(id);
        }
        assert!(schedule.is_empty());
        order
    }

    #[test]
    fn what_can_be_shown_comes_before_other_work() {
        let prompt = json!({
            "a": { "inputs": {} },
            "b": { "inputs": { "x": ["a", 0] } },
            "s1": { "inputs": { "x": ["b", 0] } },
            "s2": { "inputs": { "x": ["a", 0] } },
        });
        assert_eq!(order(&prompt, &["s1", "s2"]), ["a", "s2", "b", "s1"]);
    }

    #[test]
    fn lazy_inputs_and_nodes_nobody_needs_stay_out() {
        let prompt = json!({
            "a": { "inputs": {} },
            "b": { "inputs": {} },
            "c": { "inputs": {} },
            "s": { "inputs": { "x": ["a", 0], "lazy": ["b", 0] } },
        });
        assert_eq!(order(&prompt, &["s"]), ["a", "s"]);
    }

    #[test]
    fn a_link_to_nowhere_is_an_error() {
        let prompt = json!({ "s": { "inputs": { "x": ["9", 0] } } });
        let graph = Graph::new(prompt.as_object().unwrap().clone());
        let error = Schedule::default().add("s", &graph, &Plain).unwrap_err();
        assert_eq!(error, NodeNotFound("9".to_owned()));
    }
}
