//! The check of one node, input by input, with a stop at every link.

use serde_json::{Value, json};

use crate::comfy::BigIntegers;
use crate::comfy::nodes::NodeClass;

use super::expand::{self, Declared, Expanded};
use super::inputs::{Check, Checked, Notes};
use super::own::{Answer, Arguments, INPUT_TYPES, OwnValidation, Parameters};
use super::python::{self, Exception};
use super::rules::Rules;
use super::survey::{Node, Nodes};
use super::verdict::ServerError;

/// What all checks of one prompt share.
pub(super) struct Shared<'c, 'a> {
    /// The server's rules.
    pub(super) rules: &'c Rules,
    /// The validation functions of node classes.
    pub(super) own: &'c dyn OwnValidation,
    /// The prompt's nodes.
    pub(super) nodes: &'c Nodes<'a>,
    /// The prompt's whole numbers beyond 64 bits.
    pub(super) given: &'c BigIntegers,
    /// The same of what is known of the classes.
    pub(super) declared: &'c BigIntegers,
}

/// The check of one node, as far as it has got.
pub(super) struct NodeCheck<'a> {
    class: &'a NodeClass,
    given: &'a Value,
    expanded: Expanded<'a>,
    own: Option<Parameters>,
    next: usize,
    /// What was taken down so far.
    pub(super) notes: Notes<'a>,
    /// What was found so far.
    pub(super) found: Found,
}

/// What the check of a node found.
#[derive(Default)]
pub(super) struct Found {
    /// The node's own errors.
    pub(super) errors: Vec<ServerError>,
    /// A node behind it is invalid, which makes it invalid without an error of its own.
    pub(super) upstream_is_bad: bool,
}

/// Where a check has got to.
pub(super) enum Step {
    /// This node comes first.
    Follow(usize),
    /// All inputs are checked.
    Done,
}

impl<'a> NodeCheck<'a> {
    /// Begins to check a node.
    pub(super) fn begin(shared: &Shared<'_, 'a>, node: &Node<'a>) -> Result<Self, Exception> {
        let given = python::item(node.body, "inputs")?;
        let expanded = expand::expand(node.class, given, shared.rules)?;
        Ok(Self {
            class: node.class,
            given,
            expanded,
            own: shared.own.parameters(node.class),
            next: 0,
            notes: Notes::default(),
            found: Found::default(),
        })
    }

    /// The input whose link was followed last, and that link.
    pub(super) fn followed(&self) -> (&Declared<'a>, Option<&'a Value>) {
        let followed = &self.expanded.inputs[self.next - 1];
        (followed, self.given.get(&*followed.name))
    }

    /// Goes on to the next link or to the end.
    pub(super) fn advance(&mut self, shared: &Shared<'_, 'a>) -> Result<Step, Exception> {
        let check = Check {
            own: self.own,
            is_dynamic: self.expanded.is_dynamic,
            shared,
        };
        while let Some(declared) = self.expanded.inputs.get(self.next) {
            self.next += 1;
            match check.input(declared, self.given, &mut self.notes)? {
                Checked::Good => {}
                Checked::Follow(node) => return Ok(Step::Follow(node)),
                Checked::Bad(error) => self.found.errors.push(*error),
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
            .notes
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
                    .notes
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
