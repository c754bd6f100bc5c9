//! The check of one node, input by input, with a stop at every link.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::comfy::nodes::{IoType, NodeClass};

use super::expand::{self, Declared, Expanded};
use super::inputs::{Check, Checked};
use super::own::{Answer, Arguments, INPUT_TYPES, OwnValidation, Parameters};
use super::python::{self, Exception};
use super::rules::Rules;
use super::verdict::ServerError;

/// What all checks of one prompt share.
pub(super) struct Shared<'c, 'a> {
    /// The server's rules.
    pub(super) rules: &'c Rules,
    /// The validation functions of node classes.
    pub(super) own: &'c dyn OwnValidation,
    /// The class of the node under an id.
    pub(super) class_of: &'c dyn Fn(&str) -> Option<&'a NodeClass>,
}

/// The check of one node, as far as it has got.
pub(super) struct NodeCheck<'a> {
    class: &'a NodeClass,
    given: &'a Value,
    expanded: Expanded<'a>,
    own: Option<Parameters>,
    next: usize,
    received: Vec<(String, &'a IoType)>,
    /// What was found so far.
    pub(super) found: Found<'a>,
}

/// What the check of a node found.
#[derive(Default)]
pub(super) struct Found<'a> {
    /// The node's own errors.
    pub(super) errors: Vec<ServerError>,
    /// A node behind it is invalid, which makes it invalid without an error of its own.
    pub(super) upstream_is_bad: bool,
    /// Inputs that the server rewrites.
    pub(super) coerced: Vec<(Cow<'a, str>, Value)>,
}

/// Where a check has got to.
pub(super) enum Step<'a> {
    /// The node of this id comes first.
    Follow(&'a str),
    /// All inputs are checked.
    Done,
}

impl<'a> NodeCheck<'a> {
    /// Begins to check the node with this body.
    pub(super) fn begin(
        shared: &Shared<'_, 'a>,
        class: &'a NodeClass,
        body: &'a Value,
    ) -> Result<Self, Exception> {
        let given = python::item(body, "inputs")?;
        let expanded = expand::expand(class, given, shared.rules)?;
        Ok(Self {
            class,
            given,
            expanded,
            own: shared.own.parameters(class),
            next: 0,
            received: Vec::new(),
            found: Found::default(),
        })
    }

    /// The input whose link was followed last.
    pub(super) fn followed(&self) -> &Declared<'a> {
        &self.expanded.inputs[self.next - 1]
    }

    /// Goes on to the next link or to the end.
    pub(super) fn advance(&mut self, shared: &Shared<'_, 'a>) -> Result<Step<'a>, Exception> {
        let check = Check {
            rules: shared.rules,
            own: self.own,
            is_dynamic: self.expanded.is_dynamic,
            class_of: shared.class_of,
        };
        while let Some(declared) = self.expanded.inputs.get(self.next) {
            self.next += 1;
            match check.input(declared, self.given, &mut self.received)? {
                Checked::Good => {}
                Checked::Coerced(value) => self.found.coerced.push((declared.name.clone(), value)),
                Checked::Follow(id) => return Ok(Step::Follow(id)),
                Checked::Bad(error, coerced) => {
                    self.found.errors.push(*error);
                    let coerced = coerced.map(|value| (declared.name.clone(), value));
                    self.found.coerced.extend(coerced);
                }
            }
        }
        if let Some(own) = self.own {
            self.ask_the_class(shared.own, own)?;
        }
        Ok(Step::Done)
    }

    fn ask_the_class(
        &mut self,
        validation: &dyn OwnValidation,
        own: Parameters,
    ) -> Result<(), Exception> {
        let values = self.arguments(own)?;
        self.complain_of_missing(own, &values)?;
        let mut asked_about: Vec<String> =
            values.iter().map(|(name, _)| (*name).to_owned()).collect();
        let received = self
            .received
            .iter()
            .map(|(name, io_type)| (&**name, *io_type))
            .collect();
        if own.names(INPUT_TYPES) {
            asked_about.push(INPUT_TYPES.to_owned());
        }
        let answer = validation.answer(self.class, &Arguments { values, received })?;
        let reason = match answer {
            Answer::Good => return Ok(()),
            Answer::Bad => String::new(),
            Answer::Wrong(reason) => format!(" - {reason}"),
        };
        // One answer for the whole node, repeated for every input that was handed over.
        self.found
            .errors
            .extend(asked_about.into_iter().map(|name| {
                ServerError::new(
                    "custom_validation_failed",
                    "Custom validation failed for node",
                    format!("{name}{reason}"),
                    json!({ "input_name": name }),
                )
            }));
        Ok(())
    }

    /// What the class's function is called with, in the order of the node's inputs.
    fn arguments(&self, own: Parameters) -> Result<Vec<(&'a str, Value)>, Exception> {
        let given = match self.given {
            Value::Object(given) => given,
            Value::Array(items) if items.is_empty() => return Ok(Vec::new()),
            Value::String(text) if text.is_empty() => return Ok(Vec::new()),
            other => return python::item(other, "").map(|_| Vec::new()),
        };
        let mut arguments = Vec::new();
        for (name, value) in given {
            let declared = self
                .expanded
                .inputs
                .iter()
                .find(|declared| declared.name == **name);
            let raw = declared.is_some_and(|declared| declared.input.flag("rawLink"));
            let linked = is_link(value) && !raw;
            if own.takes(name) && (linked || declared.is_some()) {
                let coerced = self
                    .found
                    .coerced
                    .iter()
                    .find(|(coerced, _)| coerced == name);
                let value = coerced.map_or(value, |(_, value)| value);
                arguments.push((&**name, if linked { Value::Null } else { value.clone() }));
            }
        }
        Ok(arguments)
    }

    fn complain_of_missing(
        &self,
        own: Parameters,
        values: &[(&str, Value)],
    ) -> Result<(), Exception> {
        let given = |name: &str| name == INPUT_TYPES || values.iter().any(|(own, _)| *own == name);
        let missing: Vec<String> = own
            .required
            .iter()
            .filter(|name| !given(name))
            .map(|name| format!("'{name}'"))
            .collect();
        let listed = match &missing[..] {
            [] => return Ok(()),
            [one] => one.clone(),
            [one, two] => format!("{one} and {two}"),
            [first @ .., last] => format!("{}, and {last}", first.join(", ")),
        };
        let function = if self.class.is_v3() {
            "validate_inputs"
        } else {
            "VALIDATE_INPUTS"
        };
        let plural = if missing.len() == 1 { "" } else { "s" };
        Err(Exception::new(
            "TypeError",
            format!(
                "{}.{function}() missing {} required positional argument{plural}: {listed}",
                self.class.name(),
                missing.len()
            ),
        ))
    }
}

/// What the executor takes for a link.
fn is_link(value: &Value) -> bool {
    matches!(
        value.as_array().map(Vec::as_slice),
        Some([Value::String(_), Value::Number(_) | Value::Bool(_)])
    )
}
