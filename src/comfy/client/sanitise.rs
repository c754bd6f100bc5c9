//! Keeping a workflow from killing the server.
//!
//! `ComfyUI` (all versions up to 0.33 at least) accepts some workflows on which its worker thread
//! then dies: the server goes on answering, but no job ever runs again. Two causes are known: a
//! node without `inputs`, and a link to a missing node in an input that the node's class does not
//! declare, because only declared inputs are validated but all are resolved.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;

/// An input that was left out of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// The node.
    pub node_id: String,
    /// The input, which the node's class does not declare.
    pub input: String,
    /// The link to a missing node that stood there.
    pub value: Value,
}

/// The classes of nodes with a link to a missing node, which have to be known to say whether that
/// link would kill.
pub(super) fn classes_in_doubt(workflow: &Workflow) -> BTreeSet<&str> {
    let ids = ids(workflow);
    let in_doubt = workflow.nodes().filter(|node| {
        let mut inputs = node.inputs().into_iter().flat_map(Map::values);
        inputs.any(|value| is_dangling(value, &ids))
    });
    in_doubt.filter_map(|node| node.class_type()).collect()
}

/// The workflow as it may be sent. Links are only dropped when the node's class is known: a link
/// to a missing node in a declared input is for the server to refuse.
pub(super) fn sanitise(workflow: &Workflow, facts: &[Arc<NodeFacts>]) -> (Workflow, Vec<Dropped>) {
    let ids = ids(workflow);
    let mut dropped = Vec::new();
    let mut clean = Map::new();
    for node in workflow.nodes() {
        let mut body = node.body().clone();
        if node.class_type().is_some() && !body["inputs"].is_object() {
            body["inputs"] = json!({});
        }
        let class = node
            .class_type()
            .and_then(|name| facts.iter().find_map(|facts| facts.class(name)));
        if let (Some(class), Some(inputs)) = (class, body["inputs"].as_object_mut()) {
            inputs.retain(|name, value| {
                let kills = class.input(name).is_none() && is_dangling(value, &ids);
                if kills {
                    dropped.push(Dropped {
                        node_id: node.id.to_owned(),
                        input: name.clone(),
                        value: value.clone(),
                    });
                }
                !kills
            });
        }
        clean.insert(node.id.to_owned(), body);
    }
    let clean = Workflow::from_json(Value::Object(clean)).unwrap_or_else(|_| workflow.clone());
    (clean, dropped)
}

fn ids(workflow: &Workflow) -> HashSet<&str> {
    workflow.nodes().map(|node| node.id).collect()
}

/// What the server takes for a link, a list of a string and a number, to a node that isn't there.
fn is_dangling(value: &Value, ids: &HashSet<&str>) -> bool {
    let Some([Value::String(target), Value::Number(_)]) = value.as_array().map(Vec::as_slice)
    else {
        return false;
    };
    !ids.contains(target.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> NodeFacts {
        let info = json!({ "EmptyImage": {
            "input": { "required": { "width": ["INT", {}] } },
            "output": ["IMAGE"], "output_is_list": [false], "output_name": ["IMAGE"],
            "name": "EmptyImage", "display_name": "EmptyImage", "description": "",
            "python_module": "nodes", "category": "image", "output_node": false,
        }});
        NodeFacts::read(info.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn inputs_are_always_there() {
        let workflow = Workflow::from_json(json!({ "1": { "class_type": "X" } })).unwrap();
        let (clean, dropped) = sanitise(&workflow, &[]);
        assert_eq!(
            clean.as_map()["1"],
            json!({ "class_type": "X", "inputs": {} })
        );
        assert_eq!(dropped, []);
    }

    #[test]
    fn only_links_that_would_kill_the_worker_are_dropped() {
        let workflow = Workflow::from_json(json!({
            "1": { "class_type": "EmptyImage", "inputs": {
                "width": ["9", 0],
                "ghost": ["9", 0],
                "fine": ["2", 0],
                "list": ["a", "b"],
            }},
            "2": { "class_type": "Unknown", "inputs": { "x": ["9", 0] } },
        }))
        .unwrap();
        let (clean, dropped) = sanitise(&workflow, &[Arc::new(facts())]);
        assert_eq!(
            dropped,
            [Dropped {
                node_id: "1".to_owned(),
                input: "ghost".to_owned(),
                value: json!(["9", 0]),
            }]
        );
        let inputs = clean.node("1").unwrap().inputs().unwrap();
        assert_eq!(inputs.keys().collect::<Vec<_>>(), ["width", "fine", "list"]);
        assert_eq!(clean.node("2").unwrap().inputs().unwrap().len(), 1);
    }
}
