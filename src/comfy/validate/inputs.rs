//! One input of one node: is it there, does its link fit, can its value be used.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::comfy::BigIntegers;
use crate::comfy::nodes::{Input, IoType, NodeClass};

use super::expand::Declared;
use super::node::Shared;
use super::own::{INPUT_TYPES, Parameters};
use super::python::{self, Exception, Num, Scalar};
use super::types;
use super::verdict::ServerError;

/// Lists with more choices are not repeated in messages.
const SHOWN_CHOICES: usize = 20;

/// What checking an input came to.
#[derive(Debug)]
pub(super) enum Checked {
    /// Nothing is wrong, and there is nothing behind it.
    Good,
    /// A link that fits; this node is next.
    Follow(usize),
    /// Something is wrong.
    Bad(Box<ServerError>),
}

/// What is taken down of a node while its inputs are checked.
#[derive(Debug, Default)]
pub(super) struct Notes<'a> {
    /// The types that linked inputs receive, if the node's own function asks for them.
    pub(super) received: Vec<(Cow<'a, str>, &'a IoType)>,
    /// Inputs that the server rewrites, which it does before it finds fault with them.
    pub(super) coerced: Vec<(Cow<'a, str>, Value)>,
}

/// What an input is checked against.
pub(super) struct Check<'c, 'a> {
    /// What all checks of the prompt share.
    pub(super) shared: &'c Shared<'c, 'a>,
    /// The node's own validation function.
    pub(super) own: Option<Parameters>,
    /// Whether the node has dynamic inputs.
    pub(super) is_dynamic: bool,
}

impl<'a> Check<'_, 'a> {
    /// Checks one input; an exception ends the check of the whole node.
    pub(super) fn input(
        &self,
        declared: &Declared<'a>,
        given: &'a Value,
        notes: &mut Notes<'a>,
    ) -> Result<Checked, Exception> {
        let name = &*declared.name;
        let Some(value) = python::get(given, name)? else {
            if declared.required {
                return Ok(bad(missing(name, self.is_dynamic)));
            }
            return Ok(Checked::Good);
        };
        match value {
            Value::Array(link) => self.link(declared, value, link, notes),
            _ => self.value(declared, value, notes),
        }
    }

    fn link(
        &self,
        declared: &Declared<'a>,
        value: &'a Value,
        link: &'a [Value],
        notes: &mut Notes<'a>,
    ) -> Result<Checked, Exception> {
        let [node, slot] = link else {
            return Ok(bad(bad_link(declared, value)));
        };
        let node = match node {
            Value::String(id) => self
                .shared
                .nodes
                .find(id)
                .ok_or_else(|| Exception::key(node))?,
            Value::Array(_) | Value::Object(_) => return Err(Exception::unhashable(node)),
            _ => return Err(Exception::key(node)),
        };
        let class = self.shared.nodes.at(node).class;
        let output = output_type(class, slot, self.shared.given)?;
        if self.own.is_some_and(|own| own.names(INPUT_TYPES)) {
            notes.received.push((declared.name.clone(), output));
        } else if !types::fits(output, declared.input.io_type(), self.shared.rules) {
            return Ok(bad(mismatch(declared, output, value)));
        }
        Ok(Checked::Follow(node))
    }

    fn value(
        &self,
        declared: &Declared<'a>,
        given: &Value,
        notes: &mut Notes<'a>,
    ) -> Result<Checked, Exception> {
        let unwrapped = given
            .as_object()
            .and_then(|wrapper| wrapper.get("__value__"));
        let value = unwrapped.unwrap_or(given);
        let converted = self.coerce(declared.input, value);
        let rewritten = match &converted {
            Ok(Scalar::Json(Cow::Borrowed(_))) | Err(_) => unwrapped.cloned(),
            Ok(made) => Some(made.to_json()).filter(|made| made != given),
        };
        notes
            .coerced
            .extend(rewritten.map(|value| (declared.name.clone(), value)));
        let scalar = match converted {
            Ok(scalar) => scalar,
            Err(raised) => return Ok(bad(not_convertible(declared, value, &raised))),
        };
        if self.own.is_some_and(|own| own.takes(&declared.name)) {
            return Ok(Checked::Good);
        }
        Ok(self.refuses(declared, &scalar)?.map_or(Checked::Good, bad))
    }

    fn refuses(
        &self,
        declared: &Declared<'_>,
        scalar: &Scalar<'_>,
    ) -> Result<Option<ServerError>, Exception> {
        let input = declared.input;
        // A bound that JSON can't express, such as infinity, bounds nothing.
        let min = input.min().filter(|min| !min.is_null());
        if let Some(min) = min.map(|min| self.bound(min))
            && python::compares(scalar, Ordering::Less, &min)?
        {
            return Ok(Some(out_of_range(
                "value_smaller_than_min",
                declared,
                scalar,
                &min,
            )));
        }
        let max = input.max().filter(|max| !max.is_null());
        if let Some(max) = max.map(|max| self.bound(max))
            && python::compares(scalar, Ordering::Greater, &max)?
        {
            return Ok(Some(out_of_range(
                "value_bigger_than_max",
                declared,
                scalar,
                &max,
            )));
        }
        if !input.is_combo() || !self.checks_choices(input) {
            return Ok(None);
        }
        Ok(self.not_a_choice(declared, scalar))
    }

    /// The server coerces only where the type is exactly one of these names, never in a union.
    fn coerce<'v>(&self, input: &Input, value: &'v Value) -> Result<Scalar<'v>, Exception> {
        let written = || self.shared.given.written(value);
        let as_it_is = match written() {
            Some(digits) => Scalar::Num(Num::whole(digits)),
            None => Scalar::Json(Cow::Borrowed(value)),
        };
        let IoType::Named(name) = input.io_type() else {
            return Ok(as_it_is);
        };
        Ok(match &**name {
            "INT" => Scalar::Num(match written() {
                Some(digits) => Num::whole(digits),
                None => python::int(value)?,
            }),
            "FLOAT" => Scalar::Num(Num::Float(python::float(value)?)),
            "STRING" if !value.is_string() => {
                let text = written().map_or_else(|| python::text(value), str::to_owned);
                Scalar::Json(Cow::Owned(text.into()))
            }
            "BOOLEAN" if !value.is_boolean() => {
                Scalar::Json(Cow::Owned(python::is_true(value).into()))
            }
            _ => as_it_is,
        })
    }

    /// A bound, exactly as it is declared.
    fn bound<'v>(&self, declared: &'v Value) -> Scalar<'v> {
        match self.shared.declared.written(declared) {
            Some(digits) => Scalar::Num(Num::whole(digits)),
            None => Scalar::Json(Cow::Borrowed(declared)),
        }
    }

    fn checks_choices(&self, input: &Input) -> bool {
        let fetched_by_editor = input.option("remote_combo").is_some_and(python::is_true);
        matches!(input.io_type(), IoType::Choices(_))
            || (self.shared.rules.checks_combos() && !fetched_by_editor)
    }

    fn not_a_choice(&self, declared: &Declared<'_>, scalar: &Scalar<'_>) -> Option<ServerError> {
        let value = &scalar.to_json();
        let choices = declared.input.choices().unwrap_or_default();
        let unknown = |value: &&Value| !choices.iter().any(|choice| python::equal(choice, value));
        let several = declared
            .input
            .option("multiselect")
            .is_some_and(python::is_true);
        let wrong: Vec<&Value> = match value {
            Value::Array(values) if several && self.shared.rules.checks_multiselect() => {
                values.iter().filter(unknown).collect()
            }
            value => Some(value).filter(unknown).into_iter().collect(),
        };
        if wrong.is_empty() {
            return None;
        }
        let shown = if self.shared.rules.checks_multiselect() {
            let repr = |value: &&Value| match scalar {
                Scalar::Num(number) => number.to_string(),
                Scalar::Json(_) => python::repr(value),
            };
            wrong.iter().map(repr).collect::<Vec<_>>().join(", ")
        } else {
            format!("'{}'", scalar.text())
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

/// `RETURN_TYPES[slot]`, a tuple in classes of the older interface and a list in the newer.
fn output_type<'a>(
    class: &'a NodeClass,
    slot: &Value,
    big: &BigIntegers,
) -> Result<&'a IoType, Exception> {
    let sequence = if class.is_v3() { "list" } else { "tuple" };
    let index = match Num::of(slot) {
        Some(Num::Int(index)) => index,
        // Read as a float, and written as a whole number.
        Some(Num::Float(_)) if big.written(slot).is_some() => {
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

fn bad(error: ServerError) -> Checked {
    Checked::Bad(Box::new(error))
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
    bound: &Scalar<'_>,
) -> ServerError {
    let relation = if kind == "value_smaller_than_min" {
        "smaller than min"
    } else {
        "bigger than max"
    };
    ServerError::new(
        kind,
        format!("Value {} {relation} of {}", scalar.text(), bound.text()),
        &*declared.name,
        json!({
            "input_name": declared.name,
            "input_config": declared.input.config(),
            "received_value": scalar.to_json(),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Validator;
    use crate::comfy::nodes::NodeFacts;
    use rstest::rstest;
    use serde_json::{Value, json};

    const NODES: &str = r#"{
        "Source": { "input": {}, "output": ["IMAGE", "INT"] },
        "Sink": { "input": { "optional": {
            "image": ["IMAGE"],
            "whole": ["INT", { "min": 0, "max": 10 }],
            "part": ["FLOAT", { "max": 1.0 }],
            "either": ["INT,FLOAT", { "min": 0 }],
            "text": ["STRING"],
            "bounded_text": ["STRING", { "min": 0 }],
            "flag": ["BOOLEAN"],
            "old": [["a", "b", 1]],
            "new": ["COMBO", { "options": ["a", "b"] }],
            "several": ["COMBO", { "options": ["a", "b"], "multiselect": true }],
            "unbounded": ["FLOAT", { "max": Infinity }]
        } }, "output": [], "output_node": true }
    }"#;

    fn judge(name: &str, value: &Value) -> (Option<(&'static str, String)>, Value) {
        let facts = NodeFacts::read(NODES.as_bytes()).unwrap();
        let prompt = json!({
            "1": { "class_type": "Source", "inputs": {} },
            "2": { "class_type": "Sink", "inputs": { name: value } },
        });
        let verdict = Validator::new(&facts).validate(&prompt, None);
        let errors = verdict.outcome.node_errors();
        let error = errors
            .first()
            .map(|node| (node.errors[0].kind, node.errors[0].details.clone()));
        (error, verdict.prompt["2"]["inputs"][name].clone())
    }

    #[rstest]
    #[case("whole", json!("7"), json!(7))]
    #[case("whole", json!(3.9), json!(3))]
    #[case("whole", json!({ "__value__": true }), json!(1))]
    #[case("part", json!(1), json!(1.0))]
    #[case("part", json!("nan"), json!(null))]
    #[case("text", json!(null), json!("None"))]
    #[case("text", json!({ "__value__": [1, 2] }), json!("[1, 2]"))]
    #[case("flag", json!("false"), json!(true))]
    #[case("old", json!(1.0), json!(1.0))]
    #[case("several", json!({ "__value__": ["a", "b"] }), json!(["a", "b"]))]
    #[case("image", json!("a literal on a socket"), json!("a literal on a socket"))]
    #[case("image", json!(["1", -2]), json!(["1", -2]))]
    #[case("image", json!(["1", false]), json!(["1", false]))]
    #[case("unbounded", json!(1e300), json!(1e300))]
    #[case("undeclared", json!(["9", 0]), json!(["9", 0]))]
    fn what_the_server_takes(#[case] name: &str, #[case] given: Value, #[case] kept: Value) {
        assert_eq!(judge(name, &given), (None, kept));
    }

    #[test]
    fn a_value_is_rewritten_also_where_the_server_stumbles_over_it_afterwards() {
        let (error, kept) = judge("bounded_text", &json!(5));
        assert_eq!(error.unwrap().0, "exception_during_validation");
        assert_eq!(kept, json!("5"));
    }

    #[rstest]
    #[case("whole", json!(11), "value_bigger_than_max", "whole")]
    #[case("whole", json!("12.0"), "invalid_input_type",
        "whole, 12.0, invalid literal for int() with base 10: '12.0'")]
    #[case("part", json!("inf"), "value_bigger_than_max", "part")]
    #[case("either", json!("5"), "exception_during_validation",
        "'<' not supported between instances of 'str' and 'int'")]
    #[case("old", json!("c"), "value_not_in_list", "old: 'c' not in ['a', 'b', 1]")]
    #[case("new", json!(null), "value_not_in_list", "new: None not in ['a', 'b']")]
    #[case("several", json!({ "__value__": ["a", "c", 1] }), "value_not_in_list",
        "several: 'c', 1 not in ['a', 'b']")]
    #[case("image", json!(["1", 1]), "return_type_mismatch",
        "image, received_type(INT) mismatch input_type(IMAGE)")]
    #[case("image", json!(["1", 0, 0]), "bad_linked_input", "image")]
    #[case("image", json!(["9", 0]), "exception_during_validation", "'9'")]
    #[case("image", json!([1, 0]), "exception_during_validation", "1")]
    #[case("image", json!([{}, 0]), "exception_during_validation", "unhashable type: 'dict'")]
    #[case("image", json!(["1", 2]), "exception_during_validation", "tuple index out of range")]
    #[case("image", json!(["1", -3]), "exception_during_validation", "tuple index out of range")]
    #[case("image", json!(["1", 0.0]), "exception_during_validation",
        "tuple indices must be integers or slices, not float")]
    fn what_the_server_refuses(
        #[case] name: &str,
        #[case] given: Value,
        #[case] kind: &'static str,
        #[case] details: &str,
    ) {
        assert_eq!(judge(name, &given).0, Some((kind, details.to_owned())));
    }
}
