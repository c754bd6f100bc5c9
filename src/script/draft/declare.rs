//! The declaration of a parameter.

use std::fmt::Write as _;

use serde_json::Value;

use super::lift::Lifted;
use super::literal::{Large, Values, scalar, string, text};
use super::write::INDENT;
use crate::script::declaration::number;

/// The longest line: parameters are read as the rows of a table.
const PARAM_LINE: usize = 130;

/// `param("STEPS", "int", #{ value: 20 });`
pub(super) fn declaration(param: &Lifted) -> String {
    let mut said = vec![("value", default(&param.value))];
    let bounds = [
        ("min", &param.min),
        ("max", &param.max),
        ("step", &param.step),
    ];
    for (name, bound) in bounds {
        if let Some(bound) = bound {
            said.push((name, whole_number(bound)));
        }
    }
    if !param.choices.is_empty() {
        let choices: Vec<String> = param.choices.iter().map(constant).collect();
        said.push(("choices", format!("[{}]", choices.join(", "))));
    }
    if let Some(folder) = &param.folder {
        said.push(("folder", string(folder)));
    }
    if !param.about.is_empty() {
        said.push(("about", string(&param.about)));
    }
    let begin = format!("param(\"{}\", \"{}\", #{{", param.name, param.ty);
    let pairs: Vec<String> = said
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let short = format!("{begin} {} }});", pairs.join(", "));
    if short.chars().count() < PARAM_LINE && !short.contains('\n') {
        return short;
    }
    let mut long = format!("{begin}\n");
    for pair in pairs {
        let _ = writeln!(long, "{INDENT}{pair},");
    }
    long.push_str("});");
    long
}

/// A bound: `0` rather than `0.0`.
fn whole_number(bound: &Value) -> String {
    bound
        .as_f64()
        .map_or_else(|| constant(bound), |float| number(float).to_string())
}

fn default(value: &Value) -> String {
    match value {
        Value::String(words) => text(words),
        // A seed beyond the numbers of scripts.
        Value::Number(number) if number.is_u64() && !number.is_i64() => string(&number.to_string()),
        other => constant(other),
    }
}

fn constant(value: &Value) -> String {
    match value {
        Value::Number(number) => scalar(number),
        other => {
            let none = Large::new();
            let mut values = Values {
                large: &none,
                before: Vec::new(),
                counted: 0,
            };
            values.write(other)
        }
    }
}
