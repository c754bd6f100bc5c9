//! What to do about a Rhai error.

use rhai::EvalAltResult;

use super::Known;
use super::words::split;
use crate::script::{Kind, bindings};

/// What to do about it, given the functions that the script could have meant.
pub(in crate::script) fn hint(error: &EvalAltResult, known: &Known) -> Option<String> {
    use EvalAltResult as E;
    let advice = match error {
        E::ErrorFunctionNotFound(signature, _) => return of_function(signature, known),
        E::ErrorModuleNotFound(name, _) => {
            return purity_hint(name, known.kind).or_else(|| {
                Some(format!(
                    "import \"{name}\" as {name}; at the top of the script"
                ))
            });
        }
        E::ErrorPropertyNotFound(name, _) => {
            return Some(format!(
                "for a key that may be missing write .get(\"{name}\") ?? default"
            ));
        }
        E::ErrorVariableNotFound(name, _) => return Some(of_variable(name)),
        E::ErrorDotExpr(text, _) => return Some(of_property(text).to_owned()),
        E::ErrorIndexingType(types, _) => of_index(types),
        E::ErrorMismatchDataType(wanted, found, _)
        | E::ErrorMismatchOutputType(wanted, found, _) => return of_mismatch(wanted, found),
        E::ErrorArrayBounds(0, ..) => "the array is empty: ask .is_empty() before",
        E::ErrorArrayBounds(length, ..) => {
            return Some(format!(
                "items count from 0: the last one is [{}], or [-1]",
                length - 1
            ));
        }
        E::ErrorStringBounds(..) => "characters count from 0; text.len tells how many there are",
        E::ErrorFor(_) => {
            "for goes through an array, a range such as 0..4, a text's chars() or a map's keys()"
        }
        E::ErrorDataRace(..) => {
            "take what is needed of it into a variable before: let size = it.len();"
        }
        E::ErrorNonPureMethodCallOnConstant(..) | E::ErrorAssignmentToConstant(..) => {
            "what changes is made with let; copy a constant first: let copy = CONSTANT;"
        }
        E::ErrorUnboundThis(_) => {
            "only a function that is called like a method, value.name(), has it; hand the value over \
             as a parameter"
        }
        E::ErrorArithmetic(text, _) => return of_arithmetic(text),
        E::LoopBreak(..) => "return leaves a function",
        E::ErrorRuntime(value, _) if !value.is_string() => {
            "say what happened and what to do: throw #{ code: \"NO_MODEL\", message: \"...\", hint: \
             \"...\" };"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn of_function(signature: &str, known: &Known) -> Option<String> {
    let (name, given) = split(signature);
    if let Some(hint) = effect_hint(name, known.kind) {
        return Some(hint);
    }
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return Some(of_operator(name, &given).to_owned());
    }
    known
        .takes(name)
        .or_else(|| foreign(name).map(str::to_owned))
        .or_else(|| {
            let like = known.meant(name)?;
            Some(format!("did you mean {like}?"))
        })
}

/// Functions of other languages.
fn foreign(name: &str) -> Option<&'static str> {
    Some(match name {
        "str" | "String" | "toString" => "value.to_string(), or `${value}` within a text",
        "int" | "parseInt" => "parse_int(text) makes an int of a text, to_int(number) of a float",
        "float" | "parseFloat" => {
            "parse_float(text) makes a float of a text, to_float(number) of an int"
        }
        "length" | "size" | "count" => "value.len() tells how many there are",
        "append" | "add" => "array.push(item), or array += item",
        "println" | "printf" | "console" => {
            "log(\"info\", text) tells the caller, print(text) the log"
        }
        "random" | "rand" => "random_seed() gives a number from 0 to 2^53 - 1",
        "require" | "include" => "import \"library\" as library; at the top of the script",
        "exit" | "quit" => "return leaves a function, throw ends the script with an error",
        _ => return None,
    })
}

fn of_operator(name: &str, given: &[&str]) -> &'static str {
    let text = |ty: &&str| ty.starts_with("&str") || *ty == "string";
    match (name, given) {
        (_, given) if given.contains(&"()") => {
            "one side is (), nothing: give it a value with ?? before, as in (map.get(\"key\") ?? 0)"
        }
        ("-" | "*" | "/" | "%" | "**", given) if given.iter().any(text) => {
            "parse_int(text) or parse_float(text) makes a number of a text"
        }
        ("+" | "+=", given) if given.contains(&"map") => {
            "map + map puts the second over the first; a value goes in with map.key = value"
        }
        ("!" | "&&" | "||", _) => {
            "both sides have to be true or false: write what is asked, as in n > 0"
        }
        ("<" | ">" | "<=" | ">=", _) => "only values of the same kind can be compared",
        _ => "make both sides the same kind of value",
    }
}

fn of_variable(name: &str) -> String {
    match name.strip_prefix("global::") {
        Some(constant) => format!("write const {constant} = ...; at the top of the script"),
        None => format!(
            "functions see their parameters and global::CONSTANTS only; is \"{name}\" spelt right?"
        ),
    }
}

fn of_property(text: &str) -> &'static str {
    let is_of = |ty: &str| text.contains(&format!("for type '{ty}'"));
    if is_of("()") {
        "it is (), nothing: whatever should have made it did not; ask before: if value != () { ... }"
    } else if is_of("array") {
        "an array has items, not names: array[0].name, or array.map(|item| item.name)"
    } else if is_of("Node") {
        "a node has .id and outputs, node[0]; its inputs are set with node.set(\"name\", value)"
    } else if is_of("Workflow") {
        "a workflow has .size, .nodes() and .find(\"Class\"); .to_map() makes a map of it"
    } else {
        "only a map has keys of its own"
    }
}

fn of_index(types: &str) -> &'static str {
    if types.starts_with("()") {
        "it is (), nothing: whatever should have made it did not; ask before: if value != () { ... }"
    } else if types.starts_with("map") {
        "a map's keys are texts: map[\"key\"], or map[`${number}`]"
    } else if types.starts_with("array") {
        "an array's items are counted with ints: array[0]"
    } else if types.starts_with("Node") {
        "an output is named by its number: node[0]"
    } else {
        "arrays have items by number, maps by name"
    }
}

fn of_mismatch(wanted: &str, found: &str) -> Option<String> {
    if wanted == "bool" {
        let asked = match found {
            "()" => "value != ()",
            "string" => "text != \"\"",
            _ => "number != 0",
        };
        return Some(format!("a condition is true or false: write {asked}"));
    }
    let advice = match (wanted, found) {
        (_, "()") => "whatever should have made it did not",
        ("string", _) => "value.to_string() makes a text of it, and so does `${value}`",
        ("i64", "f64") => "number.to_int() cuts it off, number.round().to_int() rounds it",
        ("f64", "i64") => "number.to_float(); written out it is 1.0, not 1",
        ("i64" | "f64", "string") => {
            "parse_int(text) or parse_float(text) makes a number of a text"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn of_arithmetic(text: &str) -> Option<String> {
    let advice = if text.contains("ivision by zero") {
        "ask before: if n != 0 { ... }"
    } else if text.contains("verflow") {
        "an int reaches from -2^63 to 2^63 - 1; a float, as in 2.0, reaches further"
    } else if text.contains("parsing") || text.contains("Error parsing") {
        "only digits make a number; ask before, or catch what is thrown: try { ... } catch { ... }"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// Why a namespace that there is can't be used.
pub(super) fn purity_hint(namespace: &str, kind: Kind) -> Option<String> {
    let lacks = kind.is_pure() && bindings::effect_namespaces().any(|space| space == namespace);
    lacks
        .then(|| format!("a {kind} is pure and can't use {namespace}::, as tools and pipelines do"))
}

/// Why a function that there is can't be called.
pub(in crate::script) fn effect_hint(function: &str, kind: Kind) -> Option<String> {
    let lacks = kind.is_pure() && bindings::is_effect(function);
    lacks.then(|| {
        format!("a {kind} is pure and has no {function}: what it gives has to be a parameter")
    })
}
