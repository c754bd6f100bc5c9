//! One input of one node: is it there, does its link fit, can its value be used.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::comfy::nodes::{Input, IoType, NodeClass};

use super::expand::Declared;
use super::own::{INPUT_TYPES, Parameters};
use super::python::{self, Exception, Num, Scalar};
use super::rules::Rules;
use super::types;
use super::verdict::ServerError;

/// Lists with more choices are not repeated in messages.
const SHOWN_CHOICES: usize = 20;

/// What checking an input came to.
#[derive(Debug)]
pub(super) enum Checked<'a> {
    /// Nothing is wrong, and there is nothing behind it.
    Good,
    /// A value that the server rewrites.
    Coerced(Value),
    /// A link that fits; the node of this id is next.
    Follow(&'a str),
    /// Something is wrong; the value may have been rewritten before that.
    Bad(Box<ServerError>, Option<Value>),
}

/// What an input is checked against.
pub(super) struct Check<'c, 'a> {
    /// The server's rules.
    pub(super) rules: &'c Rules,
    /// The node's own validation function.
    pub(super) own: Option<Parameters>,
    /// Whether the node has dynamic inputs.
    pub(super) is_dynamic: bool,
    /// The class of the node under an id.
    pub(super) class_of: &'c dyn Fn(&str) -> Option<&'a NodeClass>,
}

impl<'a> Check<'_, 'a> {
    /// Checks one input; an exception ends the check of the whole node.
    pub(super) fn input(
        &self,
        declared: &Declared<'a>,
        given: &'a Value,
        received: &mut Vec<(String, &'a IoType)>,
    ) -> Result<Checked<'a>, Exception> {
        let name = &*declared.name;
        if !python::contains(given, name)? {
            if declared.required {
                return Ok(bad(missing(name, self.is_dynamic)));
            }
            return Ok(Checked::Good);
        }
        let value = python::item(given, name)?;
        match value {
            Value::Array(link) => self.link(declared, value, link, received),
            _ => self.value(declared, value),
        }
    }

    fn link(
        &self,
        declared: &Declared<'a>,
        value: &'a Value,
        link: &'a [Value],
        received: &mut Vec<(String, &'a IoType)>,
    ) -> Result<Checked<'a>, Exception> {
        let [node, slot] = link else {
            return Ok(bad(bad_link(declared, value)));
        };
        let class = match node {
            Value::String(id) => (self.class_of)(id).ok_or_else(|| Exception::key(node))?,
            Value::Array(_) | Value::Object(_) => return Err(Exception::unhashable(node)),
            _ => return Err(Exception::key(node)),
        };
        let output = output_type(class, slot)?;
        received.push((declared.name.to_string(), output));
        let checks_types = self.own.is_some_and(|own| own.names(INPUT_TYPES));
        if !checks_types && !types::fits(output, declared.input.io_type(), self.rules) {
            return Ok(bad(mismatch(declared, output, value)));
        }
        Ok(node.as_str().map_or(Checked::Good, Checked::Follow))
    }

    fn value(&self, declared: &Declared<'_>, given: &Value) -> Result<Checked<'a>, Exception> {
        let input = declared.input;
        let unwrapped = given
            .as_object()
            .and_then(|wrapper| wrapper.get("__value__"));
        let value = unwrapped.unwrap_or(given);
        let scalar = match coerce(input, value) {
            Ok(scalar) => scalar,
            Err(raised) => {
                let error = not_convertible(declared, value, &raised);
                return Ok(Checked::Bad(Box::new(error), unwrapped.cloned()));
            }
        };
        let coerced = match &scalar {
            Scalar::Json(Cow::Borrowed(_)) => unwrapped.cloned(),
            made => Some(made.to_json()).filter(|made| made != given),
        };
        let takes_over = self.own.is_some_and(|own| own.takes(&declared.name));
        if !takes_over && let Some(error) = self.refuses(declared, &scalar)? {
            return Ok(Checked::Bad(Box::new(error), coerced));
        }
        Ok(coerced.map_or(Checked::Good, Checked::Coerced))
    }

    fn refuses(
        &self,
        declared: &Declared<'_>,
        scalar: &Scalar<'_>,
    ) -> Result<Option<ServerError>, Exception> {
        let input = declared.input;
        // A bound that JSON can't express, such as infinity, bounds nothing.
        let min = input.min().filter(|min| !min.is_null());
        if let Some(min) = min
            && python::compares(scalar, Ordering::Less, min)?
        {
            return Ok(Some(out_of_range(
                "value_smaller_than_min",
                declared,
                scalar,
                min,
            )));
        }
        let max = input.max().filter(|max| !max.is_null());
        if let Some(max) = max
            && python::compares(scalar, Ordering::Greater, max)?
        {
            return Ok(Some(out_of_range(
                "value_bigger_than_max",
                declared,
                scalar,
                max,
            )));
        }
        let Scalar::Json(value) = scalar else {
            return Ok(None);
        };
        if !input.is_combo() || !self.checks_choices(input) {
            return Ok(None);
        }
        Ok(self.not_a_choice(declared, value))
    }

    fn checks_choices(&self, input: &Input) -> bool {
        let fetched_by_editor = input.option("remote_combo").is_some_and(python::is_true);
        matches!(input.io_type(), IoType::Choices(_))
            || (self.rules.checks_combos() && !fetched_by_editor)
    }

    fn not_a_choice(&self, declared: &Declared<'_>, value: &Value) -> Option<ServerError> {
        let choices = declared.input.choices().unwrap_or_default();
        let unknown = |value: &&Value| !choices.iter().any(|choice| python::equal(choice, value));
        let several = declared
            .input
            .option("multiselect")
            .is_some_and(python::is_true);
        let wrong: Vec<&Value> = match value {
            Value::Array(values) if several && self.rules.checks_multiselect() => {
                values.iter().filter(unknown).collect()
            }
            value => Some(value).filter(unknown).into_iter().collect(),
        };
        if wrong.is_empty() {
            return None;
        }
        let shown = if self.rules.checks_multiselect() {
            let shown: Vec<String> = wrong.iter().map(|value| python::repr(value)).collect();
            shown.join(", ")
        } else {
            format!("'{}'", python::text(value))
        };
        let (list, config) = if choices.len() > SHOWN_CHOICES {
            (format!("(list of length {})", choices.len()), Value::Null)
        } else {
            (python::repr_list(choices), declared.input.config())
        };
        Some(ServerError::new(
            "value_not_in_list",
            "Value not in list",
            format!("{}: {shown} not in {list}", declared.name),
            json!({
                "input_name": declared.name,
                "input_config": config,
                "received_value": value,
            }),
        ))
    }
}

/// The server coerces only where the type is exactly one of these names, never in a union.
fn coerce<'v>(input: &Input, value: &'v Value) -> Result<Scalar<'v>, Exception> {
    let as_it_is = Scalar::Json(Cow::Borrowed(value));
    let IoType::Named(name) = input.io_type() else {
        return Ok(as_it_is);
    };
    Ok(match &**name {
        "INT" => Scalar::Num(python::int(value)?),
        "FLOAT" => Scalar::Num(Num::Float(python::float(value)?)),
        "STRING" if !value.is_string() => Scalar::Json(Cow::Owned(python::text(value).into())),
        "BOOLEAN" if !value.is_boolean() => Scalar::Json(Cow::Owned(python::is_true(value).into())),
        _ => as_it_is,
    })
}

/// `RETURN_TYPES[slot]`, a tuple in classes of the older interface and a list in the newer.
fn output_type<'a>(class: &'a NodeClass, slot: &Value) -> Result<&'a IoType, Exception> {
    let sequence = if class.is_v3() { "list" } else { "tuple" };
    let index = match Num::of(slot) {
        Some(Num::Int(index)) => index,
        Some(Num::Float(float)) if float.fract() == 0.0 && float.abs() >= 2_f64.powi(63) => {
            // A whole number beyond 64 bits, which JSON reads as a float.
            return Err(Exception::new(
                "IndexError",
                "cannot fit 'int' into an index-sized integer",
            ));
        }
        _ => {
            let given = python::type_name(slot);
            let message = format!("{sequence} indices must be integers or slices, not {given}");
            return Err(Exception::new("TypeError", message));
        }
    };
    let index = i64::try_from(index).map_err(|_| {
        Exception::new("IndexError", "cannot fit 'int' into an index-sized integer")
    })?;
    let outputs = class.outputs();
    let from_end = usize::try_from(index.unsigned_abs()).ok();
    let at = if index < 0 {
        from_end.and_then(|n| outputs.len().checked_sub(n))
    } else {
        from_end
    };
    at.and_then(|at| outputs.get(at))
        .map(crate::comfy::nodes::Output::io_type)
        .ok_or_else(|| Exception::new("IndexError", format!("{sequence} index out of range")))
}

fn bad<'a>(error: ServerError) -> Checked<'a> {
    Checked::Bad(Box::new(error), None)
}

fn missing(name: &str, is_dynamic: bool) -> ServerError {
    let shown = if is_dynamic {
        name.rsplit('.').next().unwrap_or(name)
    } else {
        name
    };
    ServerError::new(
        "required_input_missing",
        "Required input is missing",
        shown,
        json!({ "input_name": name }),
    )
}

fn bad_link(declared: &Declared<'_>, value: &Value) -> ServerError {
    ServerError::new(
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        &*declared.name,
        json!({
            "input_name": declared.name,
            "input_config": declared.input.config(),
            "received_value": value,
        }),
    )
}

fn mismatch(declared: &Declared<'_>, output: &IoType, link: &Value) -> ServerError {
    let wanted = declared.input.io_type();
    ServerError::new(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        format!(
            "{}, received_type({}) mismatch input_type({})",
            declared.name,
            python::text(&output.to_json()),
            python::text(&wanted.to_json()),
        ),
        json!({
            "input_name": declared.name,
            "input_config": declared.input.config(),
            "received_type": output.to_json(),
            "linked_node": link,
        }),
    )
}

fn not_convertible(declared: &Declared<'_>, value: &Value, raised: &Exception) -> ServerError {
    let wanted = declared.input.io_type().name();
    ServerError::new(
        "invalid_input_type",
        format!("Failed to convert an input value to a {wanted} value"),
        format!(
            "{}, {}, {}",
            declared.name,
            python::text(value),
            raised.message
        ),
        json!({
            "input_name": declared.name,
            "input_config": declared.input.config(),
            "received_value": value,
            "exception_message": raised.message,
        }),
    )
}

fn out_of_range(
    kind: &'static str,
    declared: &Declared<'_>,
    scalar: &Scalar<'_>,
    bound: &Value,
) -> ServerError {
    let relation = if kind == "value_smaller_than_min" {
        "smaller than min"
    } else {
        "bigger than max"
    };
    ServerError::new(
        kind,
        format!(
            "Value {} {relation} of {}",
            scalar.text(),
            python::text(bound)
        ),
        &*declared.name,
        json!({
            "input_name": declared.name,
            "input_config": declared.input.config(),
            "received_value": scalar.to_json(),
        }),
    )
}
