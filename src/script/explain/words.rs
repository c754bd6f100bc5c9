//! What a Rhai error says, as a sentence fragment.

use rhai::{Dynamic, EvalAltResult};

use super::Known;
use super::parsing::parse_message;
use crate::failure::shown;
use crate::script::value::from_dynamic;

/// What it says. With `known` it is told whether a function is unknown or takes something else.
pub(in crate::script) fn message(error: &EvalAltResult, known: Option<&Known>) -> String {
    use EvalAltResult as E;
    match error {
        E::ErrorRuntime(value, _) => thrown(value),
        E::ErrorParsing(error, _) => parse_message(error, None),
        E::ErrorFunctionNotFound(signature, _) => no_function(signature, known),
        E::ErrorVariableNotFound(name, _) => format!("no variable \"{name}\""),
        E::ErrorVariableExists(name, _) => format!("there is a variable \"{name}\" already"),
        E::ErrorForbiddenVariable(name, _) => format!("\"{name}\" can't name a variable"),
        E::ErrorPropertyNotFound(name, _) => format!("no property \"{name}\""),
        E::ErrorIndexNotFound(index, _) => format!("nothing under [{}]", said(index)),
        E::ErrorModuleNotFound(name, _) => format!("no library \"{name}\""),
        E::ErrorDotExpr(text, _) => property(text),
        E::ErrorIndexingType(types, _) => index(types),
        E::ErrorMismatchDataType(wanted, found, _)
        | E::ErrorMismatchOutputType(wanted, found, _) => mismatch(wanted, found),
        E::ErrorArrayBounds(length, index, _) => {
            format!("no item [{index}] in an array of {length}")
        }
        E::ErrorStringBounds(length, index, _) => {
            format!("no character [{index}] in a text of {length}")
        }
        E::ErrorBitFieldBounds(length, index, _) => {
            format!("no bit [{index}] in an int of {length} bits")
        }
        E::ErrorFor(_) => "for has nothing to go through here".to_owned(),
        E::ErrorDataRace(what, _) => match raced(what) {
            Some(function) => format!("{function} is given what is being changed at that moment"),
            None => "it is read here while it is being changed".to_owned(),
        },
        E::ErrorNonPureMethodCallOnConstant(name, _) => {
            let name = name.trim_start_matches("set$").trim_start_matches("get$");
            format!("\"{name}\" would change a constant")
        }
        E::ErrorAssignmentToConstant(name, _) => format!("\"{name}\" is a constant"),
        E::ErrorUnboundThis(_) => "\"this\" is nothing here".to_owned(),
        E::ErrorTooManyOperations(_) => "the script took too many steps".to_owned(),
        E::ErrorTooManyVariables(_) => "the script has too many variables".to_owned(),
        E::ErrorTooManyModules(_) => "the script imports too many libraries".to_owned(),
        E::ErrorStackOverflow(_) => "functions call each other too deeply".to_owned(),
        E::ErrorDataTooLarge(what, _) => format!("{} grew too large", large(what)),
        E::LoopBreak(true, ..) => "break stands outside of a loop".to_owned(),
        E::LoopBreak(false, ..) => "continue stands outside of a loop".to_owned(),
        other => {
            let text = other.to_string();
            let position = format!(" ({})", other.position());
            lower_first(text.trim_end_matches(&position))
        }
    }
}

fn thrown(value: &Dynamic) -> String {
    if value.is_string() {
        return value.to_string();
    }
    if value.is_unit() {
        return "the script threw without saying why".to_owned();
    }
    format!("the script threw {}", said(value))
}

/// A value as a message repeats it.
fn said(value: &Dynamic) -> String {
    match from_dynamic(value) {
        Ok(value) => shown(&value),
        Err(_) => type_word(value.type_name()).to_owned(),
    }
}

fn no_function(signature: &str, known: Option<&Known>) -> String {
    let (name, given) = split(signature);
    let given: Vec<&str> = given.iter().map(|ty| type_word(ty)).collect();
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return match given.as_slice() {
            [one] => format!("{name} does not take {one}"),
            given => format!("{name} does not go with {}", given.join(" and ")),
        };
    }
    if known.is_none_or(|known| known.forms(name).is_empty()) {
        return format!("no function {name}");
    }
    if given.is_empty() {
        format!("{name} is called with nothing")
    } else {
        format!("{name} is called with {}", listed(&given))
    }
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Rhai spells a call `node (Workflow, &str | ImmutableString | String, map)`.
pub(super) fn split(signature: &str) -> (&str, Vec<&str>) {
    let (name, types) = signature.split_once(" (").unwrap_or((signature, ""));
    let types = types.trim_end_matches(')').split(", ");
    (name, types.filter(|ty| !ty.is_empty()).collect())
}

/// `Unknown property 'x' - a getter is not registered for type 'y'`, and the same of setters.
fn property(text: &str) -> String {
    let mut quoted = text.split('\'').skip(1).step_by(2);
    let (Some(name), Some(of)) = (quoted.next(), quoted.next()) else {
        return lower_first(text);
    };
    if of == "()" {
        return format!("it is nothing, (), and has no \"{name}\"");
    }
    let of = type_word(of);
    match quoted.next() {
        Some(value) => format!("{of} has no \"{name}\" that could be {}", type_word(value)),
        None => format!("{of} has no \"{name}\""),
    }
}

/// `T0 [T1]`, and `T0 [T1] = T2` where something is set.
fn index(types: &str) -> String {
    let (read, set) = match types.split_once(" = ") {
        Some((read, set)) => (read, Some(set)),
        None => (types, None),
    };
    let (of, by) = read.split_once(" [").unwrap_or((read, ""));
    let (of, by) = (type_word(of), type_word(by.trim_end_matches(']')));
    match set {
        Some(set) => format!("{of} takes no {} under [{by}]", bare(type_word(set))),
        None => format!("{of} has nothing under [{by}]"),
    }
}

fn bare(word: &str) -> &str {
    word.trim_start_matches("an ").trim_start_matches("a ")
}

fn mismatch(wanted: &str, found: &str) -> String {
    match (type_word(wanted), type_word(found)) {
        (wanted, "") => format!("{wanted} has to stand here"),
        ("", found) => format!("{found} can't stand here"),
        (wanted, found) => format!("expected {wanted}, found {found}"),
    }
}

fn large(what: &str) -> &'static str {
    match what {
        text if text.contains("string") => "a text",
        text if text.contains("map") => "a map",
        _ => "an array",
    }
}

/// The function of which `argument #1 of function 'len'` speaks.
pub(super) fn raced(what: &str) -> Option<&str> {
    what.split('\'').nth(1).filter(|name| !name.is_empty())
}

/// A Rhai type as a person calls it.
pub(in crate::script) fn type_word(name: &str) -> &str {
    if name.starts_with("&str") {
        return "a string";
    }
    match name.rsplit("::").next().unwrap_or(name).trim() {
        "i64" => "an int",
        "f64" => "a float",
        "u64" => "a seed",
        "bool" => "a bool",
        "char" => "a character",
        "string" | "ImmutableString" | "String" => "a string",
        "map" | "Map" => "a map",
        "array" | "Array" => "an array",
        "blob" => "bytes",
        "Fn" | "FnPtr" => "a function",
        "range" | "range=" => "a range",
        "()" => "nothing",
        "?" => "anything",
        "timestamp" => "a time",
        "WorkflowHandle" | "Workflow" => "a workflow",
        "NodeHandle" | "Node" => "a node",
        "Link" => "a link",
        "ReplyHandle" | "Reply" => "a reply",
        "Message" => "a message",
        other => other,
    }
}

pub(in crate::script) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
