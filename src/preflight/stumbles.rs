//! What the server would come to say once it gets past its first complaint.
//!
//! It stops at an unknown class, and an exception makes it forget what else is wrong with a node
//! and point at another one. Each node by itself tells all of it in its place.

use serde_json::{Value, json};

use crate::comfy::check::{Finding, node_findings};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::{NodeErrors, Rules};

/// Adds what is not among the findings yet.
pub(super) fn find<'n>(
    facts: &NodeFacts,
    rules: &Rules,
    prompt: &Value,
    apart: impl Iterator<Item = &'n NodeErrors>,
    found: &mut Vec<Finding>,
) {
    let apart: Vec<NodeErrors> = apart.cloned().collect();
    for finding in node_findings(facts, rules, prompt, &apart) {
        let finding = if finding.kind == "exception_during_validation" {
            match in_its_place(facts, prompt, finding) {
                Some(finding) => finding,
                None => continue,
            }
        } else {
            finding
        };
        let is_known = found.iter().any(|known| {
            (known.kind, &known.node_id, &known.input)
                == (finding.kind, &finding.node_id, &finding.input)
        });
        if !is_known {
            found.push(finding);
        }
    }
}

/// An exception as what it comes of.
fn in_its_place(facts: &NodeFacts, prompt: &Value, mut finding: Finding) -> Option<Finding> {
    // A node without inputs has a rule of its own.
    finding.input.as_ref()?;
    // So has one whose inputs are no map.
    prompt
        .get(finding.node_id.as_deref()?)?
        .get("inputs")?
        .as_object()?;
    let Some([node, slot]) = finding.received.as_array().map(Vec::as_slice) else {
        finding.kind = "value_not_comparable";
        return Some(finding);
    };
    let id = match node {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    let number = match slot {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number
            .as_f64()
            .filter(|float| float.fract() == 0.0)
            .and_then(
                #[expect(clippy::cast_possible_truncation, reason = "slots are small")]
                |float| u64::try_from(float as i64).ok(),
            ),
        _ => None,
    };
    let target = id.as_deref().and_then(|id| prompt.get(id));
    let Some(target) = target else {
        finding.kind = "broken_link";
        let shown = id.map_or_else(|| node.to_string(), |id| format!("\"{id}\""));
        return Some(finding.says(format!("there is no node {shown}")));
    };
    let class = target.get("class_type").and_then(Value::as_str);
    let outputs = class
        .and_then(|class| facts.class(class))
        .map(|class| class.outputs().len());
    let fits = number.filter(|number| {
        let number = usize::try_from(*number).ok();
        outputs.is_none_or(|outputs| number.is_some_and(|number| number < outputs))
    });
    match fits {
        Some(number) if !node.is_string() || !slot.is_u64() => {
            finding.kind = "link_form";
            let message = "a link is the node's id as text and the slot as a number";
            Some(finding.says(message).suggests(json!([id, number])))
        }
        _ => {
            finding.kind = "broken_link";
            let count = outputs.unwrap_or_default();
            let class = class.unwrap_or_default();
            let message =
                format!("{class} has {count} outputs, counted from 0, and none is {slot}");
            Some(finding.says(message))
        }
    }
}
