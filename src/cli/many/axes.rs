//! What a sweep says of its parameters on a command line.
//!
//! ```text
//! --CFG 3,4.5                        these
//! --STEPS 10..30/3                   three, evenly from 10 to 30
//! --STEPS 10..30..5                  10, 15, 20, 25, 30
//! --STEPS 4..8                       4, 5, 6, 7, 8
//! --SEED random:4                    four drawn seeds
//! --CFG random:4:2..7                four numbers drawn from 2 to 7
//! --WIDTH,HEIGHT 512x768,768x512     together
//! --SAMPLER,SCHEDULER euler:simple,dpmpp_2m:karras
//! --PROMPT "a fox, red" --PROMPT "a cat"
//! ```

use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};
use crate::script::{Param, Type};

/// What a number may say of itself, beside a list.
const FORMS: &str = "write 3,4.5 or 10..30/3 (so many values) or 10..30..5 (in steps) or random:4 \
                     (for seeds; random:4:2..7 for other numbers), or JSON as execute_parameter_sweep \
                     takes it";

/// What was said of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// One value for all runs.
    Fixed(Value),
    /// An axis, as `execute_parameter_sweep` takes it.
    Swept(Value),
}

/// What the texts that were given for a parameter say; several are a list of them all.
pub(super) fn of(param: &Param, texts: &[String]) -> Result<Said, Failure> {
    let mut said = texts.iter().map(|text| one(param, text));
    if let [_] = texts {
        return said.next().unwrap_or_else(|| Ok(Said::Fixed(Value::Null)));
    }
    let mut values = vec![];
    for said in said {
        match said? {
            Said::Fixed(value) => values.push(value),
            Said::Swept(Value::Array(several)) => values.extend(several),
            Said::Swept(_) => {
                let message = format!("--{} is given twice, once as a range", param.name);
                return Err(refused(message));
            }
        }
    }
    Ok(Said::Swept(values.into()))
}

fn one(param: &Param, text: &str) -> Result<Said, Failure> {
    let is_chosen = param.ty == Type::Model || !param.choices.is_empty();
    match param.ty {
        ty if ty.is_number() => numbers(param, text),
        Type::Object | Type::Array | Type::Workflow => Ok(Said::Fixed(json_or_text(text))),
        // Nobody knows what it is: it's a list or a range if all of it looks like that.
        Type::Any => Ok(match numbers(param, text) {
            Ok(said) if !is_text(&said) => said,
            _ => Said::Fixed(json_or_text(text)),
        }),
        Type::Bool => Ok(listed(
            text.split(',').map(|part| json_or_text(part.trim())),
        )),
        _ => match serde_json::from_str(text) {
            Ok(Value::Array(values)) => Ok(Said::Swept(values.into())),
            _ if is_chosen => Ok(listed(text.split(',').map(|part| part.trim().into()))),
            // A text may have commas.
            _ => Ok(Said::Fixed(text.into())),
        },
    }
}

fn is_text(said: &Said) -> bool {
    match said {
        Said::Fixed(value) => value.is_string(),
        Said::Swept(Value::Array(values)) => values.iter().any(Value::is_string),
        Said::Swept(_) => false,
    }
}

fn listed(values: impl Iterator<Item = Value>) -> Said {
    let mut values: Vec<Value> = values.collect();
    if values.len() == 1 {
        Said::Fixed(values.remove(0))
    } else {
        Said::Swept(values.into())
    }
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// A list, a range or a draw; what is no number stays text, for the template to refuse.
fn numbers(param: &Param, text: &str) -> Result<Said, Failure> {
    let text = text.trim();
    if text.starts_with(['[', '{']) {
        return Ok(Said::Swept(json_or_text(text)));
    }
    let wrong = || {
        refused(format!(
            "--{} {text} is neither a list nor a range",
            param.name
        ))
    };
    if let Some(rest) = text.strip_prefix("random:") {
        let (count, range) = match rest.split_once(':') {
            Some((count, range)) => (count, Some(range.split_once("..").ok_or_else(wrong)?)),
            None => (rest, None),
        };
        let mut drawn = json!({ "random": number(count).ok_or_else(wrong)? });
        if let Some((from, to)) = range {
            drawn["from"] = number(from).ok_or_else(wrong)?;
            drawn["to"] = number(to).ok_or_else(wrong)?;
        }
        return Ok(Said::Swept(drawn));
    }
    match text.split_once("..") {
        Some((from, rest)) => range(from, rest).map(Said::Swept).ok_or_else(wrong),
        None => Ok(listed(
            text.split(',').map(|part| json_or_text(part.trim())),
        )),
    }
}

/// `FROM..TO/COUNT`, `FROM..TO..STEP`, or each whole number from one to the other.
fn range(from: &str, rest: &str) -> Option<Value> {
    let (to, name, value) = if let Some((to, count)) = rest.split_once('/') {
        (to, "count", count)
    } else if let Some((to, step)) = rest.split_once("..") {
        (to, "step", step)
    } else {
        (rest, "step", "1")
    };
    let mut range = Map::new();
    range.insert("from".to_owned(), number(from)?);
    range.insert("to".to_owned(), number(to)?);
    range.insert(name.to_owned(), number(value)?);
    Some(range.into())
}

fn number(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text.trim()).ok()?;
    value.is_number().then_some(value)
}

/// What was said of parameters that change together: a list with a list of values for each.
pub(super) fn together(params: &[&Param], texts: &[String]) -> Result<Value, Failure> {
    let mut points = vec![];
    for text in texts {
        if let Ok(Value::Array(values)) = serde_json::from_str(text) {
            points.extend(values);
            continue;
        }
        for point in text.split(',') {
            points.push(in_step(params, point.trim())?);
        }
    }
    Ok(points.into())
}

/// One value for each: `512x768` of numbers, `euler:simple` of anything.
fn in_step(params: &[&Param], point: &str) -> Result<Value, Failure> {
    let between = if point.contains(':') { ':' } else { 'x' };
    let parts: Vec<&str> = point.split(between).map(str::trim).collect();
    if parts.len() != params.len() {
        let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
        let message = format!(
            "\"{point}\" are not {} values for {}",
            names.len(),
            names.join(",")
        );
        return Err(Failure::new(Code::INVALID_PARAMS, message).hint(
            "write --WIDTH,HEIGHT 512x768,768x512, with : between values that are no numbers, or \
             JSON: '[[512, 768], [768, 512]]'",
        ));
    }
    let values = params.iter().zip(parts);
    Ok(values
        .map(|(param, part)| {
            if param.ty.is_text() {
                part.into()
            } else {
                json_or_text(part)
            }
        })
        .collect())
}

fn refused(message: String) -> Failure {
    Failure::new(Code::INVALID_PARAMS, message).hint(FORMS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(ty: Type, texts: &[&str]) -> Result<Said, String> {
        let param = Param {
            ty,
            ..Param::open("X".to_owned())
        };
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        of(&param, &texts).map_err(|failure| failure.message)
    }

    #[test]
    fn numbers_are_listed_spread_and_drawn() {
        for (text, meant) in [
            ("3,4.5", json!([3, 4.5])),
            ("-0.5, 0.5", json!([-0.5, 0.5])),
            ("10..30/3", json!({ "from": 10, "to": 30, "count": 3 })),
            ("10..30..5", json!({ "from": 10, "to": 30, "step": 5 })),
            ("0.5..2..0.5", json!({ "from": 0.5, "to": 2, "step": 0.5 })),
            ("-1..1/3", json!({ "from": -1, "to": 1, "count": 3 })),
            ("4..8", json!({ "from": 4, "to": 8, "step": 1 })),
            ("random:4", json!({ "random": 4 })),
            ("random:4:2..7", json!({ "random": 4, "from": 2, "to": 7 })),
            ("[1, 2]", json!([1, 2])),
            ("{\"random\": 2}", json!({ "random": 2 })),
        ] {
            for ty in [Type::Float, Type::Any] {
                assert_eq!(said(ty, &[text]), Ok(Said::Swept(meant.clone())), "{text}");
            }
        }
        assert_eq!(said(Type::Int, &["20"]), Ok(Said::Fixed(json!(20))));
        assert_eq!(
            said(Type::Int, &["1,2", "5"]),
            Ok(Said::Swept(json!([1, 2, 5])))
        );
    }

    #[test]
    fn a_text_is_never_cut_at_its_commas() {
        let fox = "a fox, red";
        assert_eq!(said(Type::String, &[fox]), Ok(Said::Fixed(json!(fox))));
        assert_eq!(said(Type::Any, &[fox]), Ok(Said::Fixed(json!(fox))));
        let both = Said::Swept(json!([fox, "a cat"]));
        assert_eq!(said(Type::String, &[fox, "a cat"]), Ok(both.clone()));
        assert_eq!(
            said(Type::String, &[r#"["a fox, red", "a cat"]"#]),
            Ok(both)
        );
        let models = Said::Swept(json!(["a.safetensors", "b.safetensors"]));
        assert_eq!(
            said(Type::Model, &["a.safetensors,b.safetensors"]),
            Ok(models)
        );
    }

    #[test]
    fn what_is_no_range_is_told_with_how_to_write_one() {
        for text in [
            "1..",
            "..5",
            "1..x",
            "random:",
            "random:x",
            "random:3:5",
            "1..9/",
        ] {
            assert!(said(Type::Int, &[text]).is_err(), "{text}");
        }
        assert!(said(Type::Int, &["1..3", "5"]).is_err());
    }

    #[test]
    fn what_goes_together_is_cut_at_an_x_or_a_colon() {
        let param = |name: &str, ty| Param {
            ty,
            ..Param::open(name.to_owned())
        };
        let (width, height) = (param("W", Type::Int), param("H", Type::Int));
        let text = ["512x768,768x512".to_owned()];
        assert_eq!(
            together(&[&width, &height], &text).unwrap(),
            json!([[512, 768], [768, 512]])
        );
        let (sampler, cfg) = (param("S", Type::String), param("CFG", Type::Float));
        let text = ["euler:3,dpmpp_2m:4.5".to_owned()];
        assert_eq!(
            together(&[&sampler, &cfg], &text).unwrap(),
            json!([["euler", 3], ["dpmpp_2m", 4.5]])
        );
        let text = ["512".to_owned()];
        assert!(together(&[&width, &height], &text).is_err());
    }
}
