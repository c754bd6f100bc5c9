//! From the lists that flow along links to calls of a node and back: a node is called once per
//! member of its longest input, unless it takes lists, and what the calls gave is merged slot by
//! slot.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Map, Value as Json};

use super::bench::Bench;
use super::node::{Call, Inputs, Outcome, Raised};
use super::shape::ClassShape;
use super::value::Value;

/// Per input the members that have come.
pub(super) type Gathered = BTreeMap<String, Vec<Value>>;

/// One call's outcome.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) outcome: Outcome,
    /// The call did not happen, because something upstream blocks it; what is downstream is
    /// blocked too, in silence, as whoever wanted to know has been told.
    pub(super) blocked: bool,
}

/// The inputs of each call.
pub(super) fn slices(gathered: &Gathered, takes_lists: bool) -> Vec<Inputs> {
    if takes_lists {
        let list =
            |(name, members): (&String, &Vec<Value>)| (name.clone(), Value::List(members.clone()));
        return vec![gathered.iter().map(list).collect()];
    }
    let calls = gathered.values().map(Vec::len).max().unwrap_or(1);
    // A shorter input repeats its last member.
    let slice = |index: usize| {
        let member = |members: &Vec<Value>| members.get(index).or(members.last()).cloned();
        gathered
            .iter()
            .filter_map(|(name, members)| Some((name.clone(), member(members)?)))
            .collect()
    };
    (0..calls).map(slice).collect()
}

/// Calls the node for every slice of its inputs.
pub(super) fn call(
    bench: &mut Bench<'_, '_>,
    id: &str,
    class: &str,
    gathered: &Gathered,
    signature: &[u8; 32],
) -> Result<Vec<Called>, Raised> {
    let shape = bench.shape(class);
    let node = bench.node(class);
    let mut called = Vec::new();
    for inputs in slices(gathered, shape.takes_lists) {
        bench.check_interrupt()?;
        if let Some(fault) = bench.fault(class) {
            return Err(fault);
        }
        if let Some(Block(message)) = block(&inputs) {
            if let Some(message) = message {
                bench.report_block(message);
            }
            called.push(Called {
                outcome: Outcome::default(),
                blocked: true,
            });
            continue;
        }
        let mut call = Call {
            id,
            shape: &shape,
            inputs,
            signature: *signature,
            server: bench,
        };
        // A defect in one node type must not take the worker and all other prompts with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| node.run(&mut call)))
            .unwrap_or_else(|_| Err(Raised::new("SystemError", "the simulated node panicked")))?;
        called.push(Called {
            outcome,
            blocked: false,
        });
    }
    Ok(called)
}

/// Something that blocks the node, perhaps with a message.
struct Block<'a>(Option<&'a String>);

fn block(inputs: &Inputs) -> Option<Block<'_>> {
    inputs.values().find_map(|value| match value {
        Value::Blocked(message) => Some(Block(message.as_ref())),
        Value::List(members) => members.iter().find_map(|member| match member {
            Value::Blocked(message) => Some(Block(message.as_ref())),
            _ => None,
        }),
        _ => None,
    })
}

/// Slot by slot the members of all calls; slots that are lists are joined.
pub(super) fn merge_outputs(shape: &ClassShape, called: Vec<Called>) -> Vec<Vec<Value>> {
    let mut slots: Vec<Vec<Value>> = vec![Vec::new(); shape.outputs.len()];
    for one in called {
        let mut outputs = one.outcome.outputs.into_iter();
        for (slot, is_list) in slots.iter_mut().zip(&shape.output_is_list) {
            let value = if one.blocked {
                Value::Blocked(None)
            } else {
                outputs.next().unwrap_or(Value::Json(Json::Null))
            };
            match value {
                Value::List(members) if *is_list => slot.extend(members),
                other => slot.push(other),
            }
        }
    }
    slots
}

/// What the calls show, joined under the keys of the first that shows anything.
pub(super) fn merge_ui(called: &[Called]) -> Option<Json> {
    let mut shown = called.iter().filter_map(|one| one.outcome.ui.as_ref());
    let mut merged: Map<String, Json> = shown
        .next()?
        .iter()
        .map(|(key, value)| (key.clone(), Json::Array(members(value))))
        .collect();
    for ui in shown {
        for (key, value) in &mut merged {
            if let Json::Array(entries) = value {
                entries.extend(ui.get(key).map(members).unwrap_or_default());
            }
        }
    }
    (!merged.is_empty()).then_some(Json::Object(merged))
}

/// As Python iterates over it: a text falls apart into its letters.
fn members(value: &Json) -> Vec<Json> {
    match value {
        Json::Array(entries) => entries.clone(),
        Json::String(text) => text
            .chars()
            .map(|letter| letter.to_string().into())
            .collect(),
        other => vec![other.clone()],
    }
}
