//! Whether an input takes a value, and in which JSON it is written there.

use serde_json::Value;

use crate::comfy::nodes::Input;

/// Further away than this, the nearest choice is no help.
const LIKENESS: f64 = 0.6;

/// The value as the input takes it, or what it takes instead. `before` is what stands there now,
/// which says what an input takes whose declaration is unknown.
pub(super) fn conform(
    input: Option<&Input>,
    before: &Value,
    value: Value,
) -> Result<Value, String> {
    let Some(input) = input else {
        return as_before(before, value);
    };
    if let Some(choices) = input.choices() {
        // Uploaded files and the choices that a server does not tell are its own to judge.
        if choices.is_empty() || input.is_upload() || choices.contains(&value) {
            return Ok(value);
        }
        return Err(one_of(choices, &value));
    }
    let takes = |ty: &str| input.io_type().members().any(|own| own == ty);
    let value = if takes("INT") && whole(&value).is_some() {
        whole(&value).unwrap_or(value)
    } else if takes("FLOAT") && value.is_number() {
        value
    } else if takes("INT") {
        return Err(range(input, "a whole number"));
    } else if takes("FLOAT") {
        return Err(range(input, "a number"));
    } else if takes("STRING") && !value.is_string() {
        return Err("text".to_owned());
    } else if takes("BOOLEAN") && !value.is_boolean() {
        return Err("true or false".to_owned());
    } else if !input.is_widget() && !takes("*") {
        return Err(format!("a link to a {}", input.io_type().name()));
    } else {
        return Ok(value);
    };
    let beyond = |bound: Option<&Value>, outside: fn(&Value, &Value) -> bool| {
        bound.is_some_and(|bound| outside(&value, bound))
    };
    if beyond(input.min(), less) || beyond(input.max(), |value, max| less(max, value)) {
        return Err(range(input, "a number"));
    }
    match off_step(input, &value) {
        // Whoever was off the steps before knows what they do.
        Some(_) if off_step(input, before).is_some() => Ok(value),
        Some(nearest) => Err(nearest),
        None => Ok(value),
    }
}

fn as_before(before: &Value, value: Value) -> Result<Value, String> {
    let (fits, wanted) = match before {
        Value::Number(_) => (value.is_number(), "a number"),
        Value::String(_) => (value.is_string(), "text"),
        Value::Bool(_) => (value.is_boolean(), "true or false"),
        _ => (true, ""),
    };
    if !fits {
        return Err(wanted.to_owned());
    }
    // 20.0 for a whole number is what some writers of JSON make of 20.
    let is_whole = before.is_i64() || before.is_u64();
    Ok(match whole(&value) {
        Some(whole) if is_whole => whole,
        _ => value,
    })
}

fn whole(value: &Value) -> Option<Value> {
    if value.is_i64() || value.is_u64() {
        return Some(value.clone());
    }
    let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and far from the ends of the range"
    )]
    (float.abs() < 9e15).then(|| Value::from(float as i64))
}

/// Exact for whole numbers, which may be as large as a seed.
fn less(one: &Value, other: &Value) -> bool {
    let exact = |value: &Value| {
        let large = value.as_u64().map(i128::from);
        large.or_else(|| value.as_i64().map(i128::from))
    };
    match (exact(one), exact(other)) {
        (Some(one), Some(other)) => one < other,
        _ => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one < other,
            _ => false,
        },
    }
}

/// What to write instead of a whole number that is between two steps. The server takes it, but
/// most nodes round it down without a word.
fn off_step(input: &Input, value: &Value) -> Option<String> {
    let step = input.step()?.as_i64().filter(|step| *step > 1)?;
    let value = value.as_i64()?;
    let from = input.min().and_then(Value::as_i64).unwrap_or(0);
    let beyond = (value - from).rem_euclid(step);
    let (below, above) = (value - beyond, value - beyond + step);
    (beyond != 0).then(|| format!("{from} plus a multiple of {step}, such as {below} or {above}"))
}

fn range(input: &Input, what: &str) -> String {
    match (input.min(), input.max()) {
        (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
        (Some(min), None) => format!("{what} of at least {min}"),
        (None, Some(max)) => format!("{what} of at most {max}"),
        (None, None) => what.to_owned(),
    }
}

fn one_of(choices: &[Value], value: &Value) -> String {
    const SHOWN: usize = 8;
    let wanted = value.as_str().unwrap_or_default().to_lowercase();
    let mut alike: Vec<(f64, &str)> = choices
        .iter()
        .filter_map(Value::as_str)
        .map(|choice| {
            (
                strsim::jaro_winkler(&choice.to_lowercase(), &wanted),
                choice,
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    let shown: Vec<String> = if alike.is_empty() {
        choices.iter().take(SHOWN).map(Value::to_string).collect()
    } else {
        let alike = alike.iter().take(SHOWN);
        alike.map(|(_, choice)| format!("\"{choice}\"")).collect()
    };
    let more = choices.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("one of {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::comfy::nodes::NodeFacts;

    fn taken(class: &str, input: &str, value: Value) -> Result<Value, String> {
        let facts = NodeFacts::bundled();
        let input = facts.class(class).unwrap().input(input).unwrap();
        conform(Some(input), &Value::Null, value)
    }

    #[test]
    fn numbers_stay_exact_and_within_their_range() {
        assert_eq!(
            taken("KSampler", "seed", json!(u64::MAX)),
            Ok(json!(u64::MAX))
        );
        assert_eq!(taken("KSampler", "steps", json!(20.0)), Ok(json!(20)));
        assert_eq!(taken("KSampler", "cfg", json!(4)), Ok(json!(4)));
        for (input, value) in [
            ("steps", json!(0)),
            ("steps", json!(2.5)),
            ("cfg", json!(101)),
        ] {
            assert!(taken("KSampler", input, value).is_err(), "{input}");
        }
        let refused = taken("KSampler", "seed", json!(-5)).unwrap_err();
        assert_eq!(refused, "a number from 0 to 18446744073709551615");
    }

    #[test]
    fn a_number_between_two_steps_is_told_its_neighbours() {
        let refused = taken("EmptyLatentImage", "width", json!(1001)).unwrap_err();
        assert_eq!(refused, "16 plus a multiple of 8, such as 1000 or 1008");
    }

    #[test]
    fn an_unknown_choice_is_told_those_like_it() {
        let refused = taken("KSampler", "sampler_name", json!("eular")).unwrap_err();
        assert!(refused.starts_with("one of \"euler\""), "{refused}");
    }

    #[test]
    fn without_a_declaration_the_kind_of_value_stays() {
        assert_eq!(conform(None, &json!(20), json!(30.0)), Ok(json!(30)));
        assert!(conform(None, &json!(20), json!("x")).is_err());
        assert_eq!(conform(None, &json!("a"), json!("b")), Ok(json!("b")));
    }
}
