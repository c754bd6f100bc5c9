//! What a fixer proposes, and the same as it was done.
//!
//! A proposal is one change or several that only make sense together:
//!
//! | proposal | what it does |
//! |---|---|
//! | `#{ node_id, field, to, reason }` | puts a value into an input |
//! | `#{ node_id, field, remove: true, reason }` | takes an input out |
//! | `#{ changes: [#{ node_id, field, to }, ...], reason }` | all of that or nothing |
//!
//! `field` is an input's name, `class_type`, or `inputs` with a map in `to` for all inputs at once.
//! A `class_type` for a node that there is not adds the node.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A change that a fixer made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Correction {
    /// The node.
    pub node_id: String,
    /// The input, `class_type`, or `inputs` for all of them.
    pub field: String,
    /// What stood there.
    pub from: Value,
    /// What stands there now.
    pub to: Value,
    /// Whether nothing stands there any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// Why.
    pub reason: String,
    /// Who did it.
    pub fixer: String,
}

/// What a fixer wants done, all of it or nothing.
#[derive(Debug)]
pub(super) struct Proposal {
    changes: Vec<Change>,
    reason: String,
}

#[derive(Debug)]
struct Change {
    node_id: String,
    field: String,
    /// None takes it out.
    to: Option<Value>,
}

impl Proposal {
    /// What a fixer wants to hear when it got it wrong.
    pub(super) const FORM: &'static str = "return a list of #{ node_id, field, to, reason }";

    pub(super) fn read(proposed: &Value) -> Option<Self> {
        let changes = match proposed.get("changes") {
            Some(changes) => changes.as_array()?.iter().map(Change::read).collect(),
            None => Change::read(proposed).map(|change| vec![change]),
        };
        Some(Self {
            changes: changes?,
            reason: proposed["reason"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Does all of it and tells what that was; none, and nothing is done, if it can't be done or
    /// changes nothing.
    pub(super) fn apply(
        &self,
        nodes: &mut Map<String, Value>,
        fixer: &str,
    ) -> Option<Vec<Correction>> {
        let before = self.changes.iter().map(|change| {
            let node = nodes.get(&change.node_id);
            (change.node_id.as_str(), node.cloned())
        });
        let before: Vec<(&str, Option<Value>)> = before.collect();
        let done = self.change(nodes, fixer);
        if done.is_none() {
            for (id, node) in before {
                match node {
                    Some(node) => nodes.insert(id.to_owned(), node),
                    None => nodes.shift_remove(id),
                };
            }
        }
        done
    }

    fn change(&self, nodes: &mut Map<String, Value>, fixer: &str) -> Option<Vec<Correction>> {
        let mut done = vec![];
        // The place of an input that was taken out goes to the one that comes in its stead.
        let mut vacant = None;
        for Change { node_id, field, to } in &self.changes {
            let from = change_one(nodes, node_id, field, to.clone(), &mut vacant)?;
            done.push(Correction {
                from,
                to: to.clone().unwrap_or_default(),
                removed: to.is_none(),
                reason: self.reason.clone(),
                fixer: fixer.to_owned(),
                node_id: node_id.clone(),
                field: field.clone(),
            });
        }
        let changes = |one: &Correction| one.removed || one.from != one.to;
        done.iter().any(changes).then_some(done)
    }
}

impl Change {
    fn read(proposed: &Value) -> Option<Self> {
        let word = |name: &str| Some(proposed.get(name)?.as_str()?.to_owned());
        let removes = proposed.get("remove") == Some(&Value::Bool(true));
        let to = match proposed.get("to") {
            _ if removes => None,
            Some(to) => Some(to.clone()),
            None => return None,
        };
        Some(Self {
            node_id: word("node_id")?,
            field: word("field")?,
            to,
        })
    }
}

/// Makes one change and gives what stood there; none if there is no such place.
fn change_one(
    nodes: &mut Map<String, Value>,
    node_id: &str,
    field: &str,
    to: Option<Value>,
    vacant: &mut Option<(String, usize)>,
) -> Option<Value> {
    if field == "class_type" {
        let new = || json!({ "class_type": null, "inputs": {} });
        let node = nodes.entry(node_id).or_insert_with(new).as_object_mut()?;
        return Some(node.insert(field.to_owned(), to?).unwrap_or_default());
    }
    let node = nodes.get_mut(node_id)?.as_object_mut()?;
    let has_own = node.get("inputs").and_then(|inputs| inputs.get("inputs"));
    let is_all = field == "inputs" && to.as_ref().is_some_and(Value::is_object);
    if is_all && has_own.is_none() {
        return Some(node.insert(field.to_owned(), to?).unwrap_or_default());
    }
    let inputs = node.entry("inputs").or_insert_with(|| json!({}));
    let inputs = inputs.as_object_mut()?;
    let Some(to) = to else {
        let at = inputs.keys().position(|key| key == field)?;
        *vacant = Some((node_id.to_owned(), at));
        return inputs.shift_remove(field);
    };
    if let Some(place) = inputs.get_mut(field) {
        return Some(std::mem::replace(place, to));
    }
    match vacant.take() {
        Some((id, at)) if id == node_id => inputs.shift_insert(at, field.to_owned(), to),
        _ => inputs.insert(field.to_owned(), to),
    };
    Some(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(proposed: &Value) -> Option<(Value, Vec<Correction>)> {
        let nodes = json!({ "1": { "class_type": "A", "inputs": { "x": 1, "y": 2, "z": 3 } } });
        applied(proposed, &nodes)
    }

    fn applied(proposed: &Value, nodes: &Value) -> Option<(Value, Vec<Correction>)> {
        let Value::Object(mut changed) = nodes.clone() else {
            panic!("no nodes");
        };
        let done = Proposal::read(proposed)?.apply(&mut changed, "mine");
        let changed = Value::Object(changed);
        assert!(done.is_some() || changed == *nodes, "half of it is done");
        Some((changed, done?))
    }

    fn inputs(proposed: &Value) -> String {
        apply(proposed).unwrap().0["1"]["inputs"].to_string()
    }

    #[test]
    fn an_input_is_set_taken_out_and_renamed_in_its_place() {
        let set = json!({ "node_id": "1", "field": "x", "to": 5 });
        assert_eq!(inputs(&set), r#"{"x":5,"y":2,"z":3}"#);
        let out = json!({ "node_id": "1", "field": "y", "remove": true });
        assert_eq!(inputs(&out), r#"{"x":1,"z":3}"#);
        let renamed = json!({ "changes": [
            { "node_id": "1", "field": "y", "remove": true },
            { "node_id": "1", "field": "why", "to": 2 },
        ] });
        assert_eq!(inputs(&renamed), r#"{"x":1,"why":2,"z":3}"#);
    }

    #[test]
    fn a_class_for_a_node_that_there_is_not_adds_it() {
        let (nodes, done) = apply(&json!({ "reason": "so", "changes": [
            { "node_id": "2", "field": "class_type", "to": "B" },
            { "node_id": "2", "field": "inputs", "to": { "a": ["1", 0] } },
        ] }))
        .unwrap();
        let added = json!({ "class_type": "B", "inputs": { "a": ["1", 0] } });
        assert_eq!(nodes["2"], added);
        assert_eq!((done[0].reason.as_str(), &done[1].from), ("so", &json!({})));
    }

    #[test]
    fn all_changes_are_made_or_none() {
        let half = json!({ "changes": [
            { "node_id": "1", "field": "x", "to": 5 },
            { "node_id": "2", "field": "class_type", "to": "B" },
            { "node_id": "9", "field": "x", "to": 5 },
        ] });
        assert_eq!(apply(&half), None);
        let nothing = json!({ "node_id": "1", "field": "x", "to": 1 });
        assert_eq!(apply(&nothing), None);
    }

    #[test]
    fn what_says_neither_what_nor_where_is_no_proposal() {
        for wrong in [
            json!({ "node_id": 1, "field": "x", "to": 5 }),
            json!({ "node_id": "1", "field": "x" }),
            json!({ "changes": 5 }),
            json!("x"),
        ] {
            assert!(Proposal::read(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_input_named_inputs_is_an_input() {
        let nodes = json!({ "1": { "class_type": "A", "inputs": { "inputs": { "a": 1 } } } });
        let set = json!({ "node_id": "1", "field": "inputs", "to": { "b": 1 } });
        let (nodes, _) = applied(&set, &nodes).unwrap();
        assert_eq!(nodes["1"]["inputs"], json!({ "inputs": { "b": 1 } }));
    }
}
