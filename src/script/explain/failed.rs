//! A script that failed: what it amounts to for whoever called it, and where it was.

use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, Position};

use super::chain::{CLOSURE, Call, Innermost, innermost};
use super::culprit::culprit;
use super::limit::{limit_failure, passed};
use super::{Known, hint, message, type_word};
use crate::failure::{Code, Failure};
use crate::script::arguments::nearest;
use crate::script::host::{caught, stamped};
use crate::script::resolver::{Libraries, library_at};
use crate::script::spot::Spot;
use crate::script::{Diagnostic, FailedNode, Generation, Kind, Layer, Script, ScriptError};

/// What came of a call that failed.
pub(in crate::script) fn explained(
    error: &EvalAltResult,
    engine: &Engine,
    generation: &Generation,
    script: &Script,
) -> ScriptError {
    let found = innermost(error);
    let passed = passed(found.error, engine);
    if passed.is_none() && matches!(found.error, EvalAltResult::ErrorTerminated(..)) {
        return ScriptError::Cancelled;
    }
    let scripts = Scripts {
        script,
        libraries: generation.libraries_of(script),
    };
    if let Some((failure, at)) = scripts.thrown(&found) {
        return failed(failure, at, script);
    }
    let again = rethrown(found.error);
    let (cause, position) = match &again {
        Some((cause, position)) => (cause, *position),
        None => (found.error, found.position),
    };
    let (at, libraries) = scripts.at(&found.source);
    let known = Known::of(engine, at, libraries).for_kind(script.key.kind);
    let parameters = script.declaration.params.iter();
    let parameters = parameters.map(|param| param.name.as_str());
    let failure = if let Some(passed) = passed {
        limit_failure(passed)
    } else {
        let mut failure = Failure::new(code(cause), message(cause, Some(&known)));
        failure.hint = misspelt(cause, parameters).or_else(|| hint(cause, &known));
        failure
    };
    let position = if position.is_none() {
        culprit(cause, passed, at)
    } else {
        position
    };
    let at = scripts.diagnostic(&failure, &found, position);
    failed(failure, at, script)
}

/// What an error is to a script that catches it.
pub(in crate::script) fn failure_of(error: &EvalAltResult) -> Failure {
    let thrown = match error {
        EvalAltResult::ErrorRuntime(value, _) => caught(value),
        _ => None,
    };
    thrown.unwrap_or_else(|| Failure::new(code(error), message(error, None)))
}

/// That a function gave something else than its caller needs.
pub(in crate::script) fn wrong_result(
    script: &Script,
    wanted: &str,
    made: &Dynamic,
) -> ScriptError {
    let entry = script.key.entry().map_or("", |entry| entry.name);
    wrong_result_of(entry, script, wanted, made)
}

/// The same for another function than the entry.
pub(in crate::script) fn wrong_result_of(
    function: &str,
    script: &Script,
    wanted: &str,
    made: &Dynamic,
) -> ScriptError {
    let returned = type_word(made.type_name());
    let message = format!("{function} has to {wanted}, it returned {returned}");
    let hint = if made.is_unit() {
        "a function gives what its last statement gives, and let, for and while give nothing"
    } else if script.key.kind == Kind::Template {
        "let g = workflow(); stands at its beginning, and g as its last line"
    } else {
        "a function gives what its last statement gives"
    };
    let failure = Failure::new(Code::SCRIPT_ERROR, message).hint(hint);
    let position = script.last_of(function);
    let at = Diagnostic::new(
        failure.message.clone(),
        script.path.clone(),
        &script.text,
        position,
    );
    let at = at.hint(failure.hint.clone());
    failed(failure, at, script)
}

/// The failure with its place. Where a shipped script refuses what it was given, that is no matter of
/// a place.
fn failed(failure: Failure, at: Diagnostic, script: &Script) -> ScriptError {
    let is_own = script.layer != Layer::BuiltIn;
    let is_told =
        is_own || failure.code == Code::SCRIPT_ERROR || Diagnostic::of(&failure).is_some();
    let failure = if is_told { at.tell(failure) } else { failure };
    ScriptError::Failed {
        failure,
        at: Box::new(at),
    }
}

fn code(error: &EvalAltResult) -> Code {
    match error {
        EvalAltResult::ErrorTooManyModules(_) => Code::LIMIT_EXCEEDED,
        _ => Code::SCRIPT_ERROR,
    }
}

/// The script that was called, and what it imports.
struct Scripts<'a> {
    script: &'a Script,
    libraries: &'a Arc<Libraries>,
}

impl Scripts<'_> {
    /// The script at `source`, with what it imports itself.
    fn at(&self, source: &str) -> (&Script, &Arc<Libraries>) {
        library_at(self.libraries, source).map_or((self.script, self.libraries), |library| {
            (&library.script, &library.libraries)
        })
    }

    /// What a script threw on purpose or a binding failed with, at its first place.
    fn thrown(&self, found: &Innermost) -> Option<(Failure, Diagnostic)> {
        let EvalAltResult::ErrorRuntime(value, _) = found.error else {
            return None;
        };
        let mut failure = caught(value)?;
        if rethrown(found.error).is_some() {
            return None;
        }
        let via = failure.details.shift_remove("via");
        if let Some(mut within) = Diagnostic::of(&failure) {
            // The mistake was in a script that this one ran.
            let via = via.as_ref().and_then(Spot::of_json);
            // What ships with the program only passed it on.
            if self.script.layer != Layer::BuiltIn {
                within.trace.extend(self.trace(found, via.as_ref()));
            }
            return Some((failure, within));
        }
        let (source, position) = match stamped(&failure) {
            Some(spot) => (spot.script, spot.position),
            None => (found.source.clone(), found.position),
        };
        failure.details.shift_remove("at");
        let mut calls = found.calls.clone();
        if let Some(innermost) = calls.first_mut() {
            innermost.position = position;
        }
        let found = Innermost {
            source,
            calls,
            ..*found
        };
        let at = self.diagnostic(&failure, &found, position);
        Some((failure, at))
    }

    fn diagnostic(&self, failure: &Failure, found: &Innermost, position: Position) -> Diagnostic {
        let (at, _) = self.at(&found.source);
        let message = failure.message.clone();
        let mut diagnostic = Diagnostic::new(message, at.path.clone(), &at.text, position);
        diagnostic.trace = self.trace(found, None);
        diagnostic.node = FailedNode::of(failure);
        diagnostic.hint(failure.hint.clone())
    }

    /// The calls as a person reads them; `via` is the call that led to another script. That of a single
    /// function is no chain.
    fn trace(&self, found: &Innermost, via: Option<&Spot>) -> Vec<String> {
        let mut calls = found.calls.clone();
        if let (Some(via), true) = (via, calls.is_empty()) {
            calls.push(Call {
                function: String::new(),
                source: via.script.clone(),
                position: via.position,
            });
        }
        if let (Some(via), Some(innermost)) = (via, calls.first_mut()) {
            innermost.position = via.position;
        }
        let entry = self.script.key.entry().map_or("", |entry| entry.name);
        let told = calls.iter().filter_map(|call| {
            let (at, _) = self.at(&call.source);
            let name = match call.function.as_str() {
                "" => entry,
                name => name,
            };
            let is_native = !call.function.is_empty()
                && call.function != CLOSURE
                && !at.function_names().any(|own| own == name);
            let path = at.path.display();
            let place = match call.position.line() {
                Some(line) => format!("{path}:{line}"),
                None => path.to_string(),
            };
            match name {
                _ if is_native => None,
                "" => Some(format!("at {place}")),
                name => Some(format!("in {name} ({place})")),
            }
        });
        told.collect()
    }
}

/// An error of Rhai's own that a script caught and threw again: as which it first came, and where.
fn rethrown(error: &EvalAltResult) -> Option<(EvalAltResult, Position)> {
    use EvalAltResult as E;
    let E::ErrorRuntime(value, _) = error else {
        return None;
    };
    let map = value.read_lock::<rhai::Map>()?;
    let text = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
    let number = |key: &str| map.get(key).and_then(|it| it.as_int().ok()).unwrap_or(0);
    let name = text("error");
    if map.contains_key("code") || !name.starts_with("Error") {
        return None;
    }
    let none = Position::NONE;
    let size = usize::try_from(number("length")).unwrap_or_default();
    let error = match name.as_str() {
        "ErrorFunctionNotFound" => E::ErrorFunctionNotFound(text("function"), none),
        "ErrorVariableNotFound" => E::ErrorVariableNotFound(text("variable"), none),
        "ErrorPropertyNotFound" => E::ErrorPropertyNotFound(text("variable"), none),
        "ErrorAssignmentToConstant" => E::ErrorAssignmentToConstant(text("variable"), none),
        "ErrorDataRace" => E::ErrorDataRace(text("variable"), none),
        "ErrorArrayBounds" => E::ErrorArrayBounds(size, number("index"), none),
        "ErrorStringBounds" => E::ErrorStringBounds(size, number("index"), none),
        "ErrorIndexingType" => E::ErrorIndexingType(text("type"), none),
        "ErrorDotExpr" => E::ErrorDotExpr(text("property"), none),
        "ErrorMismatchDataType" => {
            E::ErrorMismatchDataType(text("requested"), text("actual"), none)
        }
        "ErrorFor" => E::ErrorFor(none),
        _ => {
            // Of what happened within functions only Rhai's words are left.
            let message = text("message");
            let first = message.lines().next().unwrap_or_default().to_owned();
            E::ErrorArithmetic(first, none)
        }
    };
    let place = |key: &str| u16::try_from(number(key)).ok();
    let position = match (place("line"), place("position")) {
        (Some(line), Some(column)) if line > 0 => Position::new(line, column),
        _ => none,
    };
    Some((error, position))
}

/// The declared parameter that a missing property is most like.
fn misspelt<'a>(
    error: &EvalAltResult,
    parameters: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let EvalAltResult::ErrorPropertyNotFound(name, _) = error else {
        return None;
    };
    let like = nearest(name, parameters)?;
    Some(format!("did you mean {like}?"))
}
