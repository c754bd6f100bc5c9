//! What the tests of scripts are made of:
//!
//! ```rhai
//! fn test_a_picture_of_that_width() {
//!     let g = templates::build("one_colour", #{ WIDTH: 640 });
//!     assert_eq(g.only("EmptyImage").inputs.width, 640);
//!     assert_valid(g);
//! }
//! ```
//!
//! Only `mmf script test` gives scripts these functions.

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{FnPtr, exported_module};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::{SharedModule, indexed};
use crate::comfy::check::Finding;
use crate::comfy::nodes::NodeFacts;
use crate::failure::{Code, Failure, shown};
use crate::preflight::{Files, Preflight};
use crate::script::explain;
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::script::value::from_dynamic;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Values longer than this are compared line by line.
const SHORT: usize = 40;

/// So much of two texts that differ is shown.
const MOST_LINES: usize = 24;

pub(in crate::script) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod functions {
    /// Fails the test unless the condition holds.
    /// Throws `ASSERTION_FAILED`.
    /// Example: `assert(g.size > 2, "the workflow is empty")`
    #[rhai_fn(return_raw)]
    pub fn assert(condition: bool) -> Fallible<()> {
        super::holds(condition, "it does not hold")
    }

    /// The same, and says what should have been.
    #[rhai_fn(name = "assert", return_raw)]
    pub fn assert_with(condition: bool, message: &str) -> Fallible<()> {
        super::holds(condition, message)
    }

    /// Fails the test unless both are the same value; `1` is no `1.0`.
    /// Throws `ASSERTION_FAILED` with what differs.
    /// Example: `assert_eq(g.find("KSampler").len(), 1)`
    #[rhai_fn(return_raw)]
    pub fn assert_eq(found: Dynamic, expected: Dynamic) -> Fallible<()> {
        super::equal(&found, &expected)
    }

    /// Fails the test unless the function throws; gives what it throws as `#{ code, message, ... }`.
    /// Throws `ASSERTION_FAILED` where nothing or another code is thrown.
    /// Example: `assert_throws("NOT_FOUND", || templates::get("nonsense"))`
    #[rhai_fn(return_raw)]
    pub fn assert_throws(call: NativeCallContext, function: FnPtr) -> Fallible<Dynamic> {
        super::throws(&call, None, &function)
    }

    /// The same for a failure of this code.
    #[rhai_fn(name = "assert_throws", return_raw)]
    pub fn assert_throws_code(
        call: NativeCallContext,
        code: &str,
        function: FnPtr,
    ) -> Fallible<Dynamic> {
        super::throws(&call, Some(code), &function)
    }

    /// Fails the test unless ComfyUI 0.33 would take the workflow, whatever model files there are.
    /// Throws `ASSERTION_FAILED` with what is wrong.
    /// Example: `assert_valid(g)`
    #[rhai_fn(return_raw)]
    pub fn assert_valid(call: NativeCallContext, workflow: Dynamic) -> Fallible<()> {
        super::valid(&call, &workflow)
    }

    /// The one node of a class as `#{ id, class_type, title, inputs }`; fails the test if there is
    /// none, or more than one.
    /// Throws `ASSERTION_FAILED`.
    /// Example: `assert_eq(g.only("KSampler").inputs.steps, 20)`
    #[rhai_fn(return_raw, global, pure)]
    pub fn only(workflow: &mut WorkflowHandle, class_type: &str) -> Fallible<Dynamic> {
        super::only(workflow, class_type)
    }
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Code::custom("ASSERTION_FAILED"), message)
}

fn holds(condition: bool, message: &str) -> Fallible<()> {
    if condition {
        Ok(())
    } else {
        Err(thrown(failed(message)))
    }
}

fn equal(found: &Dynamic, expected: &Dynamic) -> Fallible<()> {
    let json = |value: &Dynamic| from_dynamic(value).map_err(|error| error.to_string());
    let (found, expected) = (json(found)?, json(expected)?);
    if found == expected {
        return Ok(());
    }
    let (short, other) = (found.to_string(), expected.to_string());
    if short.len() <= SHORT && other.len() <= SHORT {
        return Err(thrown(failed(format!("found {short}, expected {other}"))));
    }
    let failure = failed("found (+) is not what was expected (-)");
    Err(thrown(failure.hint(difference(&expected, &found))))
}

/// The lines in which two values differ, with one line around each.
fn difference(expected: &Value, found: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    };
    let (expected, found) = (text(expected), text(found));
    let diff = TextDiff::from_lines(&expected, &found);
    let changes = diff.grouped_ops(1).into_iter().flatten();
    let lines = changes.flat_map(|change| {
        let lines = diff.iter_changes(&change).map(|line| {
            let sign = match line.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            format!("{sign} {}", line.value().trim_end())
        });
        lines.collect::<Vec<_>>()
    });
    let mut lines: Vec<String> = lines.collect();
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines.push("...".to_owned());
    }
    lines.join("\n")
}

fn throws(call: &NativeCallContext, code: Option<&str>, function: &FnPtr) -> Fallible<Dynamic> {
    let error = match function.call_within_context::<Dynamic>(call, ()) {
        Err(error) => error,
        Ok(value) => {
            let gave = match from_dynamic(&value) {
                Ok(Value::Null) | Err(_) => String::new(),
                Ok(gave) => format!(" and gives {}", shown(&gave)),
            };
            let message = format!("it throws nothing{gave}");
            return Err(thrown(failed(message)));
        }
    };
    let innermost = explain::innermost(&error).error;
    if matches!(innermost, EvalAltResult::ErrorTerminated(..)) {
        return Err(error);
    }
    let failure = explain::failure_of(innermost);
    let is_other = code.is_some_and(|code| failure.code.as_str() != code);
    if is_other {
        let message = format!("it throws {}: {}", failure.code, failure.message);
        return Err(thrown(failed(message)));
    }
    let mut map = failure.to_json();
    map["code"] = json!(failure.code.as_str());
    answer(map)
}

fn valid(call: &NativeCallContext, workflow: &Dynamic) -> Fallible<()> {
    let nodes = from_dynamic(workflow).map_err(|error| error.to_string())?;
    let facts = NodeFacts::bundled();
    let context = Context::of(call);
    let preflight = Preflight::new(&facts, context.generation.knowledge());
    let report = preflight.files(&Files::Foreign).inspect(&nodes);
    if report.is_valid() {
        return Ok(());
    }
    let errors = report.told().filter(|finding| finding.is_error());
    let mut told: Vec<String> = errors.map(Finding::sentence).collect();
    if told.is_empty() {
        told = report.errors();
    }
    let first = told.first().cloned().unwrap_or_default();
    let failure = failed(format!("ComfyUI would not take it: {first}"));
    Err(thrown(if told.len() > 1 {
        failure.hint(told[1..].join("\n"))
    } else {
        failure
    }))
}

fn only(workflow: &WorkflowHandle, class_type: &str) -> Fallible<Dynamic> {
    let workflow = workflow.lock();
    let mut found = workflow
        .nodes()
        .filter(|node| node.class_type() == Some(class_type));
    let Some(node) = found.next() else {
        return Err(thrown(failed(format!("the workflow has no {class_type}"))));
    };
    let more = found.count();
    if more > 0 {
        let message = format!("the workflow has {} of {class_type}", more + 1);
        return Err(thrown(failed(message)));
    }
    answer(super::workflow::told(&node))
}
