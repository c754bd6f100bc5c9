//! The progress of every node of the running prompt, as `progress_state` sends it: always the
//! whole picture of all nodes that have started.

use serde_json::{Map, Value as Json, json};

use super::graph::Graph;

/// All started nodes by id, in the order in which they started.
#[derive(Debug)]
pub(super) struct Progress {
    prompt_id: String,
    nodes: Map<String, Json>,
}

impl Progress {
    pub(super) fn new(prompt_id: &str) -> Self {
        Self {
            prompt_id: prompt_id.to_owned(),
            nodes: Map::new(),
        }
    }

    /// A node begins: 0.0 of 1.0, floats, as the server counts a node that doesn't report steps.
    pub(super) fn start(&mut self, id: &str, graph: &Graph) {
        self.set(id, graph, &json!(0.0), &json!(1.0), "running");
    }

    /// A node reports a step.
    pub(super) fn update(&mut self, id: &str, graph: &Graph, value: u64, max: u64) {
        self.set(id, graph, &json!(value), &json!(max), "running");
    }

    /// A node is done; one that never started (its result was cached) counts as 1 of 1.
    pub(super) fn finish(&mut self, id: &str, graph: &Graph) {
        let max = self
            .nodes
            .get(id)
            .map_or(json!(1), |node| node["max"].clone());
        self.set(id, graph, &max, &max, "finished");
    }

    fn set(&mut self, id: &str, graph: &Graph, value: &Json, max: &Json, state: &str) {
        let node = json!({
            "value": value,
            "max": max,
            "state": state,
            "node_id": id,
            "prompt_id": self.prompt_id,
            "display_node_id": graph.display(id),
            "parent_node_id": graph.parent(id),
            "real_node_id": graph.real(id),
        });
        self.nodes.insert(id.to_owned(), node);
    }

    /// The data of a `progress_state` message.
    pub(super) fn state(&self) -> Json {
        json!({ "prompt_id": self.prompt_id, "nodes": self.nodes })
    }
}
