//! The graph held against the way back: what the editor will send.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::editor::name;
use super::{DrawError, Remark};
use crate::clock::Clock;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::{Options, in_browser, to_api};
use crate::comfy::{Workflow, link};
use crate::failure::shown;

/// What is not the same in the prompt that the editor makes of the graph; an error for what
/// changes more than a number's last digits, or for what is lost.
pub(super) fn check(
    workflow: &Workflow,
    graph: &Value,
    facts: &NodeFacts,
    ids: &HashMap<&str, u64>,
) -> Result<Vec<Remark>, DrawError> {
    let options = Options {
        // What is odd in the prompt is as odd in the graph.
        as_is: true,
        ..Options::new(&Clock::default())
    };
    let back = to_api(graph, facts, &options)?.workflow;
    let nothing = Map::new();
    let mut remarks = Vec::new();
    for node in workflow.nodes() {
        let id = ids.get(node.id).map(u64::to_string).unwrap_or_default();
        let there = back.node(&id);
        let there = there.filter(|there| there.class_type() == node.class_type());
        let Some(there) = there else {
            return Err(DrawError::NotRun(name(workflow, node.id)));
        };
        let given = node.inputs().unwrap_or(&nothing);
        let sent = there.inputs().unwrap_or(&nothing);
        for (input, value) in given {
            let Some(sent) = sent.get(input) else {
                let class = node.class_type().and_then(|class| facts.class(class));
                let is_value = link(value).is_none();
                if is_value && class.is_some_and(|class| class.input(input).is_some()) {
                    return Err(DrawError::NoWidget {
                        node: name(workflow, node.id),
                        input: input.clone(),
                        value: shown(value).into(),
                    });
                }
                if is_value && class.is_some_and(|class| !class.is_custom()) && !input.contains('.')
                {
                    remarks.push(Remark::Dropped {
                        node: name(workflow, node.id),
                        input: input.clone(),
                    });
                    continue;
                }
                return Err(DrawError::NoPlace {
                    node: name(workflow, node.id),
                    input: input.clone(),
                });
            };
            if same(value, sent, ids) {
                continue;
            }
            if value.is_number() && in_browser(value) == *sent {
                remarks.push(Remark::Rounded {
                    node: name(workflow, node.id),
                    input: input.clone(),
                    from: value.clone(),
                    to: sent.clone(),
                });
                continue;
            }
            return Err(DrawError::Changed {
                node: name(workflow, node.id),
                input: input.as_str().into(),
                from: shown(value).into(),
                to: shown(sent).into(),
            });
        }
        let filled = sent.iter().filter(|(input, _)| !given.contains_key(*input));
        remarks.extend(filled.map(|(input, value)| Remark::Filled {
            node: name(workflow, node.id),
            input: input.clone(),
            value: value.clone(),
        }));
    }
    Ok(remarks)
}

/// Whether the server takes both for the same.
fn same(given: &Value, sent: &Value, ids: &HashMap<&str, u64>) -> bool {
    if let Some((from, output)) = link(given) {
        let from = ids.get(from).map(u64::to_string);
        return *sent == json!([from, output]);
    }
    let unwrapped = |value: &'_ Value| value.get("__value__").unwrap_or(value).clone();
    let (given, sent) = (unwrapped(given), unwrapped(sent));
    given == sent || (in_browser(&given) == sent && exact(&given))
}

/// Whether no number in a value has more digits than the editor keeps.
fn exact(value: &Value) -> bool {
    match value {
        Value::Number(number) if number.is_u64() => in_browser(value).as_u64() == number.as_u64(),
        Value::Number(number) if number.is_i64() => in_browser(value).as_i64() == number.as_i64(),
        Value::Array(items) => items.iter().all(exact),
        Value::Object(fields) => fields.values().all(exact),
        _ => true,
    }
}
