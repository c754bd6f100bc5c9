//! A workflow in API format: node id -> `{class_type, inputs, _meta?}`, the body of `POST /prompt`.
//!
//! The order of the nodes is kept, because the server reports the first unknown class in that
//! order. Contents are kept as they came: what is wrong with a node is the validator's to say.

use std::collections::{HashMap, HashSet};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};

/// A prompt as `ComfyUI` takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workflow(Map<String, Value>);

/// One node of a [`Workflow`], borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The key under which the node stands; `"12:34"` inside a flattened subgraph.
    pub id: &'a str,
    body: &'a Value,
}

/// Why a value is not a workflow in API format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowError {
    /// Neither an object nor a wrapper around one.
    #[error("a workflow is an object of nodes by id, this is {0}")]
    NotAnObject(&'static str),
    /// The format that the editor saves, with `nodes` and `links` arrays.
    #[error("this is a workflow in the editor's format, not in API format")]
    UiFormat,
    /// A value that can't be a node.
    #[error("node \"{id}\" is {found}, a node is an object with class_type and inputs")]
    NotANode {
        /// The node's key.
        id: String,
        /// What stands there instead.
        found: &'static str,
    },
    /// Ids are the keys of the nodes.
    #[error("two nodes can't both have the id \"{0}\"")]
    SameId(String),
}

impl WorkflowError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UiFormat => {
                "convert it with `mmf convert FILE --to api`, or in ComfyUI use Workflow > Export (API)"
            }
            Self::SameId(_) => "give each node an id of its own",
            _ => "pass {\"1\": {\"class_type\": ..., \"inputs\": {...}}, ...}",
        }
    }
}

impl From<WorkflowError> for Failure {
    fn from(error: WorkflowError) -> Self {
        Self::new(Code::VALIDATION_ERROR, error.to_string()).hint(error.advice())
    }
}

impl Workflow {
    /// Reads a workflow, also out of the wrappers in which it is often passed on:
    /// `{"workflow": {...}}` as tools answer it and `{"prompt": {...}}` as `POST /prompt` takes it.
    pub fn from_json(value: Value) -> Result<Self, WorkflowError> {
        let Value::Object(mut nodes) = value else {
            return Err(WorkflowError::NotAnObject(kind(&value)));
        };
        if let Some(inner) = wrapper(&nodes).and_then(|key| nodes.remove(key)) {
            return Self::from_json(inner);
        }
        if nodes.get("nodes").is_some_and(Value::is_array) {
            return Err(WorkflowError::UiFormat);
        }
        for (id, body) in &nodes {
            if !body.is_object() {
                return Err(WorkflowError::NotANode {
                    id: id.clone(),
                    found: kind(body),
                });
            }
        }
        Ok(Self(nodes))
    }

    /// The keys of the wrappers that [`Workflow::from_json`] would take a workflow out of, the
    /// outermost first.
    #[must_use]
    pub fn wrappers(value: &Value) -> Vec<&'static str> {
        let mut keys = vec![];
        let mut value = value;
        while let Some(key) = value.as_object().and_then(wrapper) {
            keys.push(key);
            value = &value[key];
        }
        keys
    }

    /// A workflow of nodes that were part of one before, whatever is wrong with them.
    #[must_use]
    pub fn from_nodes(nodes: Map<String, Value>) -> Self {
        Self(nodes)
    }

    /// The nodes in their order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.0.iter().map(|(id, body)| Node { id, body })
    }

    /// The node under `id`.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<Node<'_>> {
        let (id, body) = self.0.get_key_value(id)?;
        Some(Node { id, body })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no node at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a node under the next free whole number and returns that id.
    pub fn add(&mut self, class_type: &str, inputs: Map<String, Value>) -> String {
        let mut n = self.0.len() + 1;
        while self.0.contains_key(&n.to_string()) {
            n += 1;
        }
        let id = n.to_string();
        let mut node = Map::new();
        node.insert("class_type".to_owned(), class_type.into());
        node.insert("inputs".to_owned(), inputs.into());
        self.0.insert(id.clone(), node.into());
        id
    }

    /// Sets one input; false if there is no such node.
    pub fn set_input(&mut self, id: &str, name: &str, value: Value) -> bool {
        let Some(Value::Object(body)) = self.0.get_mut(id) else {
            return false;
        };
        let inputs = body.entry("inputs").or_insert_with(|| json!({}));
        let Value::Object(inputs) = inputs else {
            return false;
        };
        inputs.insert(name.to_owned(), value);
        true
    }

    /// Sets the title that editors show; false if there is no such node.
    pub fn set_title(&mut self, id: &str, title: &str) -> bool {
        let Some(Value::Object(body)) = self.0.get_mut(id) else {
            return false;
        };
        body.insert("_meta".to_owned(), json!({ "title": title }));
        true
    }

    /// Gives the nodes other ids, in their order; links follow. Nodes beyond the last of `ids` keep
    /// theirs, or get the next free number where it is taken now.
    pub fn renumber(&mut self, ids: &[String]) -> Result<(), WorkflowError> {
        let mut seen = HashSet::new();
        if let Some(twice) = ids.iter().find(|id| !seen.insert(id.as_str())) {
            return Err(WorkflowError::SameId(twice.clone()));
        }
        let mut taken: HashSet<String> = ids.iter().take(self.0.len()).cloned().collect();
        let mut new_ids: HashMap<String, String> = HashMap::new();
        for (at, old) in self.0.keys().enumerate() {
            let new = match ids.get(at) {
                Some(id) => id.clone(),
                None => free_id(old, &taken),
            };
            taken.insert(new.clone());
            new_ids.insert(old.clone(), new);
        }
        let nodes = std::mem::take(&mut self.0);
        for (old, mut body) in nodes {
            if let Some(Value::Object(inputs)) = body.get_mut("inputs") {
                for value in inputs.values_mut() {
                    follow(value, &new_ids);
                }
            }
            let new = new_ids.get(&old).cloned();
            self.0.insert(new.unwrap_or(old), body);
        }
        Ok(())
    }

    /// The nodes as JSON.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The nodes as a JSON value.
    #[must_use]
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }

    /// A hash of the meaning: equal for equal nodes and inputs, whatever their order and titles.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut ids: Vec<&String> = self.0.keys().collect();
        ids.sort();
        for id in ids {
            let mut node = self.0[id].clone();
            if let Value::Object(body) = &mut node {
                body.remove("_meta");
            }
            node.sort_all_objects();
            hasher.update(id.as_bytes());
            hasher.update(node.to_string().as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl Serialize for Workflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'a> Node<'a> {
    /// `class_type`, if it is there and a string.
    #[must_use]
    pub fn class_type(&self) -> Option<&'a str> {
        self.body.get("class_type")?.as_str()
    }

    /// `inputs`, if it is there and an object.
    #[must_use]
    pub fn inputs(&self) -> Option<&'a Map<String, Value>> {
        self.body.get("inputs")?.as_object()
    }

    /// The title under `_meta`, or the class's name.
    #[must_use]
    pub fn title(&self) -> Option<&'a str> {
        let title = self
            .body
            .get("_meta")
            .and_then(|meta| meta.get("title")?.as_str());
        title.or_else(|| self.class_type())
    }

    /// The whole node.
    #[must_use]
    pub fn body(&self) -> &'a Value {
        self.body
    }
}

/// What an input's value links to, if it is a link as the server knows them: a node and one of its
/// outputs.
#[must_use]
pub fn link(value: &Value) -> Option<(&str, usize)> {
    match value.as_array()?.as_slice() {
        [Value::String(id), Value::Number(slot)] => {
            Some((id, usize::try_from(slot.as_u64()?).ok()?))
        }
        _ => None,
    }
}

/// `wanted` if nobody has it, or else the next whole number that nobody has.
fn free_id(wanted: &str, taken: &HashSet<String>) -> String {
    let mut id = wanted.to_owned();
    let mut n = taken.len();
    while taken.contains(&id) {
        n += 1;
        id = n.to_string();
    }
    id
}

/// Puts the new id into what is a link.
fn follow(value: &mut Value, new_ids: &HashMap<String, String>) {
    if let Value::Array(link) = value
        && let [Value::String(id), slot] = link.as_mut_slice()
        && slot.is_u64()
        && let Some(new) = new_ids.get(id)
    {
        id.clone_from(new);
    }
}

/// The key under which the workflow is passed on, if it is.
fn wrapper(object: &Map<String, Value>) -> Option<&'static str> {
    ["workflow", "prompt"].into_iter().find(|key| {
        let inner = object.get(*key);
        inner.is_some_and(|inner| inner.is_object() && inner.get("class_type").is_none())
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Value {
        json!({ "1": { "class_type": "EmptyImage", "inputs": { "width": 64 } } })
    }

    #[test]
    fn a_workflow_is_read_bare_and_out_of_its_wrappers() {
        let bare = Workflow::from_json(nodes()).unwrap();
        for wrapped in [json!({ "workflow": nodes() }), json!({ "prompt": nodes() })] {
            assert_eq!(Workflow::from_json(wrapped).unwrap(), bare);
        }
    }

    #[test]
    fn a_node_named_prompt_is_no_wrapper() {
        let value = json!({ "prompt": { "class_type": "EmptyImage", "inputs": {} } });
        assert!(Workflow::from_json(value).unwrap().node("prompt").is_some());
    }

    #[test]
    fn the_editor_format_is_named_for_what_it_is() {
        let error = Workflow::from_json(json!({ "nodes": [], "links": [] })).unwrap_err();
        assert_eq!(error, WorkflowError::UiFormat);
    }

    #[test]
    fn the_fingerprint_sees_values_but_neither_order_nor_titles() {
        let one = json!({
            "1": { "class_type": "A", "inputs": { "x": 1, "y": 2 } },
            "2": { "class_type": "B", "inputs": {} },
        });
        let same = json!({
            "2": { "inputs": {}, "class_type": "B", "_meta": { "title": "b" } },
            "1": { "class_type": "A", "inputs": { "y": 2, "x": 1 } },
        });
        let other = json!({
            "1": { "class_type": "A", "inputs": { "x": 1, "y": 3 } },
            "2": { "class_type": "B", "inputs": {} },
        });
        let print = |value| Workflow::from_json(value).unwrap().fingerprint();
        assert_eq!(print(one.clone()), print(same));
        assert_ne!(print(one), print(other));
    }

    #[test]
    fn links_follow_when_nodes_get_other_ids() {
        let mut workflow = Workflow::from_json(json!({
            "1": { "class_type": "A", "inputs": {} },
            "2": { "class_type": "B", "inputs": { "a": ["1", 0], "list": ["1", "2"], "gone": ["9", 0] } },
            "3": { "class_type": "C", "inputs": { "b": ["2", 1] } },
        }))
        .unwrap();
        workflow.renumber(&["3".into(), "12:34".into()]).unwrap();
        let expected = json!({
            "3": { "class_type": "A", "inputs": {} },
            "12:34": { "class_type": "B", "inputs": { "a": ["3", 0], "list": ["1", "2"], "gone": ["9", 0] } },
            "4": { "class_type": "C", "inputs": { "b": ["12:34", 1] } },
        });
        assert_eq!(workflow.clone().into_json(), expected);

        let error = workflow.renumber(&["5".into(), "5".into()]).unwrap_err();
        assert_eq!(error, WorkflowError::SameId("5".into()));
        assert_eq!(workflow.into_json(), expected, "nothing has changed");
    }

    #[test]
    fn seeds_up_to_the_largest_stay_exact() {
        let mut workflow = Workflow::default();
        let id = workflow.add("KSampler", Map::new());
        workflow.set_input(&id, "seed", json!(u64::MAX));
        let text = workflow.into_json().to_string();
        assert!(text.contains("18446744073709551615"), "{text}");
    }
}
