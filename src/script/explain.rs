//! Rhai's errors in our words: where the innermost one is, what it says, what to do about it.

use rhai::{Engine, EvalAltResult, LexError, ParseErrorType, Position};

use super::arguments::nearest;
use super::limits::Passed;
use super::{Kind, Limit, bindings};

/// The error at the bottom of a chain of calls, with the calls that led to it.
pub(super) struct Innermost<'a> {
    pub(super) error: &'a EvalAltResult,
    pub(super) position: Position,
    /// The script in which it is, as `templates/NAME.rhai`; empty for the one that was called.
    pub(super) source: String,
    /// The calls, the innermost first.
    pub(super) trace: Vec<String>,
}

/// `position()` of a Rhai error is that of the outermost call; this walks down to the cause.
pub(super) fn innermost(error: &EvalAltResult) -> Innermost<'_> {
    let mut found = Innermost {
        error,
        position: error.position(),
        source: String::new(),
        trace: vec![],
    };
    loop {
        let inner = match found.error {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, _) => {
                let function = if name.starts_with("anon$") {
                    "a closure"
                } else {
                    name
                };
                let place = if source.is_empty() {
                    &found.source
                } else {
                    source
                };
                found.trace.insert(0, format!("in {function} ({place})"));
                if !source.is_empty() {
                    found.source.clone_from(source);
                }
                inner
            }
            EvalAltResult::ErrorInModule(name, inner, _) => {
                found.trace.insert(0, format!("in library {name}"));
                inner
            }
            _ => return found,
        };
        if !inner.position().is_none() {
            found.position = inner.position();
        }
        found.error = inner;
    }
}

/// The limit that it says was passed, if it says that.
pub(super) fn passed(error: &EvalAltResult, engine: &Engine) -> Option<Passed> {
    let size = |limit, size: usize| Passed::counted(limit, u64::try_from(size).unwrap_or(u64::MAX));
    Some(match error {
        EvalAltResult::ErrorTerminated(token, _) => return token.clone().try_cast(),
        EvalAltResult::ErrorTooManyOperations(_) => {
            Passed::counted(Limit::Operations, engine.max_operations())
        }
        EvalAltResult::ErrorStackOverflow(_) => size(Limit::CallLevels, engine.max_call_levels()),
        EvalAltResult::ErrorTooManyVariables(_) => size(Limit::Variables, engine.max_variables()),
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("string") => {
            size(Limit::StringSize, engine.max_string_size())
        }
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("map") => {
            size(Limit::MapSize, engine.max_map_size())
        }
        EvalAltResult::ErrorDataTooLarge(..) => size(Limit::ArraySize, engine.max_array_size()),
        _ => return None,
    })
}

/// What it says, as a sentence fragment.
pub(super) fn message(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorRuntime(value, _) if value.is_string() => value.to_string(),
        EvalAltResult::ErrorRuntime(value, _) => format!("thrown: {value}"),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            format!("no function {}", readable(signature))
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => format!("no variable \"{name}\""),
        EvalAltResult::ErrorPropertyNotFound(name, _) => format!("no property \"{name}\""),
        EvalAltResult::ErrorModuleNotFound(name, _) => format!("no library \"{name}\""),
        EvalAltResult::ErrorMismatchDataType(wanted, found, _) if !wanted.is_empty() => {
            format!("expected {wanted}, found {found}")
        }
        EvalAltResult::ErrorTooManyOperations(_) => "the script took too many steps".to_owned(),
        EvalAltResult::ErrorStackOverflow(_) => "functions call each other too deeply".to_owned(),
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            format!("a value grew too large: {}", lower_first(what))
        }
        other => {
            let text = other.to_string();
            let position = format!(" ({})", other.position());
            lower_first(text.trim_end_matches(&position))
        }
    }
}

/// What to do about it, given the functions that the script could have meant.
pub(super) fn hint(error: &EvalAltResult, functions: &[String], kind: Kind) -> Option<String> {
    match error {
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            let name = signature.split(" (").next().unwrap_or(signature);
            if let Some(hint) = effect_hint(name, kind) {
                return Some(hint);
            }
            if functions.iter().any(|function| function == name) {
                return Some(format!("{name} takes other arguments"));
            }
            let like = nearest(name, functions.iter().map(String::as_str))?;
            Some(format!("did you mean {like}?"))
        }
        EvalAltResult::ErrorModuleNotFound(name, _) => purity_hint(name, kind),
        EvalAltResult::ErrorPropertyNotFound(name, _) => Some(format!(
            "for a key that may be missing write .get(\"{name}\") ?? default"
        )),
        _ => None,
    }
}

/// The declared parameter that a missing property is most like.
pub(super) fn misspelt<'a>(
    error: &EvalAltResult,
    parameters: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let EvalAltResult::ErrorPropertyNotFound(name, _) = error else {
        return None;
    };
    let like = nearest(name, parameters)?;
    Some(format!("did you mean {like}?"))
}

/// A Rhai type as a person calls it.
pub(super) fn type_word(name: &str) -> &str {
    match name.rsplit("::").next().unwrap_or(name) {
        "i64" => "an int",
        "f64" => "a float",
        "string" => "a string",
        "map" => "a map",
        "array" => "an array",
        "()" => "nothing",
        "WorkflowHandle" => "a workflow",
        "NodeHandle" => "a node",
        "Link" => "a link",
        "ReplyHandle" => "a reply",
        "Message" => "a message",
        other => other,
    }
}

/// What to do about a text that does not parse.
pub(super) fn parse_hint(error: &ParseErrorType, kind: Kind) -> Option<String> {
    match error {
        ParseErrorType::ModuleUndefined(name) => purity_hint(name, kind),
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => {
            Some("text stands in double quotes: \"...\"".to_owned())
        }
        ParseErrorType::Reserved(word) if word == "default" => {
            Some("a parameter's default is its value: #{ value: 42 }".to_owned())
        }
        ParseErrorType::MissingToken(token, _) if token == ";" => {
            Some("the statement before this place needs a ; at its end".to_owned())
        }
        ParseErrorType::MissingToken(token, _) if token == "}" => {
            Some("a map is written #{ ... }, a block { ... }: one of them is not closed".to_owned())
        }
        ParseErrorType::VariableUndefined(name) => Some(format!(
            "functions see their parameters and constants only; is \"{name}\" spelt right?"
        )),
        _ => None,
    }
}

/// Whether a text does not parse because it names what its kind may not touch.
pub(super) fn is_effect(error: &ParseErrorType, kind: Kind) -> bool {
    matches!(error, ParseErrorType::ModuleUndefined(name) if purity_hint(name, kind).is_some())
}

/// Why a namespace that there is can't be used.
fn purity_hint(namespace: &str, kind: Kind) -> Option<String> {
    let lacks = kind.is_pure() && bindings::effect_namespaces().any(|space| space == namespace);
    lacks.then(|| format!("a {kind} is pure: only tools and pipelines may use {namespace}::"))
}

/// Why a function that there is can't be called.
pub(super) fn effect_hint(function: &str, kind: Kind) -> Option<String> {
    let lacks = kind.is_pure() && bindings::is_effect(function);
    lacks.then(|| {
        format!("a {kind} is pure and has no {function}: what it gives has to be a parameter")
    })
}

/// Rhai spells a call `node (Workflow, &str | ImmutableString | String, map)`.
fn readable(signature: &str) -> String {
    signature
        .replacen(" (", "(", 1)
        .replace("&str | ImmutableString | String", "string")
        .replace("i64", "int")
        .replace("f64", "float")
}

pub(super) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
