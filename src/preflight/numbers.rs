//! Values that the server takes for something else than was written, and numbers between steps.

use serde_json::{Value, json};

use super::view::{Node, View};
use crate::comfy::check::{Finding, suggest};
use crate::comfy::nodes::{Input, NodeClass};
use crate::comfy::validate::expand;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for (node, class) in view.known() {
        let given = node.body.get("inputs").unwrap_or(&Value::Null);
        if !given.is_object() {
            continue;
        }
        let Ok(expanded) = expand(class, given, view.rules) else {
            continue;
        };
        for declared in &expanded.inputs {
            if let Some(value) = given.get(&*declared.name) {
                let finding = coerced(node, &declared.name, declared.input, value)
                    .or_else(|| off_step((node, class), &declared.name, declared.input, value));
                found.extend(finding);
            }
        }
    }
}

fn coerced(node: &Node<'_>, name: &str, input: &Input, value: &Value) -> Option<Finding> {
    let io_type = input.io_type();
    let (message, meant) = if io_type.is("INT") || io_type.is("FLOAT") {
        let is_int = io_type.is("INT");
        match value {
            Value::String(text) => {
                let read = suggest::number(text, is_int)?;
                (format!("text stands for the number {read}"), read)
            }
            Value::Bool(truth) => {
                let read = json!(u8::from(*truth));
                (format!("{value} stands for the number {read}"), read)
            }
            Value::Number(number) if is_int => {
                let float = number.as_f64().filter(|_| number.is_f64())?;
                if float.fract() == 0.0 || float.abs() > 1e15 {
                    return None;
                }
                #[expect(clippy::cast_possible_truncation, reason = "far below 2^63")]
                let cut = json!(float as i64);
                (format!("the server cuts {value} off to {cut}"), cut)
            }
            _ => return None,
        }
    } else if io_type.is("BOOLEAN") && (value.is_string() || value.is_number()) {
        let meant = suggest::truth(value);
        let read = !matches!(value.as_str(), Some("")) && value.as_f64() != Some(0.0);
        if value.is_string() && meant == json!(false) && read {
            (format!("the server takes the text {value} for true"), meant)
        } else {
            (format!("{value} stands for {read}"), meant)
        }
    } else if io_type.is("STRING") && value.is_null() {
        (
            "the server takes null for the text \"None\"".to_owned(),
            json!(""),
        )
    } else {
        return None;
    };
    let finding = Finding::warning("coerced_value", node.id, node.class_type).at(name, value);
    Some(finding.says(message).suggests(meant))
}

/// The server takes numbers between the steps; most nodes of `ComfyUI`'s own round them down without
/// a word. To other authors a step is often no more than how far the editor's arrows go.
fn off_step(
    (node, class): (&Node<'_>, &NodeClass),
    name: &str,
    input: &Input,
    value: &Value,
) -> Option<Finding> {
    if !input.io_type().is("INT") || class.is_custom() || input.default() == Some(value) {
        return None;
    }
    let step = input.step()?.as_i64().filter(|step| *step > 1)?;
    let least = input.min().and_then(Value::as_i64).unwrap_or(0);
    let value = value.as_i64()?;
    let from = first_step(input, least, step);
    let over = value.checked_sub(from)?.rem_euclid(step);
    if over == 0 || value < least {
        return None;
    }
    let finding = Finding::warning("off_step", node.id, node.class_type)
        .at(name, &json!(value))
        .allows(suggest::allowed(input));
    let message = format!("the node works in steps of {step} from {from}: {value} is between two");
    let below = (value - over).max(least);
    let most = input.max().and_then(Value::as_i64).unwrap_or(i64::MAX);
    let above = below.checked_add(step).filter(|above| *above <= most);
    let nearest = above.filter(|_| over * 2 > step).unwrap_or(below);
    Some(finding.says(message).suggests(json!(nearest)))
}

/// Where steps are counted from: the least number, as the frames of a clip are (1, 5, 9, ...), or 0
/// if the default does not fit that, as 512 from 1 in steps of 8.
fn first_step(input: &Input, least: i64, step: i64) -> i64 {
    let default = input.default().and_then(Value::as_i64);
    let over = default.and_then(|default| default.checked_sub(least));
    if over.is_none_or(|over| over.rem_euclid(step) == 0) {
        least
    } else {
        0
    }
}
