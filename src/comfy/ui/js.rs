//! Values as JavaScript has them: every number is a double.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// JavaScript writes numbers below this without an exponent.
const NO_EXPONENT_BELOW: f64 = 1e21;

/// The value as it comes back from a browser: `1.0` is `1`, and whole numbers beyond 2^53 lose
/// their last digits.
pub(in crate::comfy) fn value(value: &Value) -> Value {
    match value {
        Value::Number(number) => self::number(number).into(),
        Value::Array(items) => items.iter().map(self::value).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), self::value(field)))
            .collect(),
        other => other.clone(),
    }
}

fn number(number: &Number) -> Number {
    let Some(double) = number.as_f64() else {
        return number.clone();
    };
    if double.fract() == 0.0 && double.abs() < NO_EXPONENT_BELOW {
        // Written out, it has the digits that JavaScript writes: the fewest that tell it apart.
        let text = format!("{double}");
        if let Ok(whole) = text.parse::<i64>() {
            return whole.into();
        }
        if let Ok(whole) = text.parse::<u64>() {
            return whole.into();
        }
    }
    Number::from_f64(double).unwrap_or_else(|| number.clone())
}

/// The value as JavaScript writes it into a text.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "null".into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Number(number) => self::number(number).to_string().into(),
        Value::String(text) => text.into(),
        Value::Array(items) => {
            let items: Vec<Cow<'_, str>> = items
                .iter()
                .map(|item| match item {
                    Value::Null => "".into(),
                    item => text(item),
                })
                .collect();
            items.join(",").into()
        }
        Value::Object(_) => "[object Object]".into(),
    }
}

/// Whether JavaScript takes it for true.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_doubles() {
        for (given, expected) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("0.1", "0.1"),
            ("-3", "-3"),
            ("9007199254740993", "9007199254740992"),
            ("12345678901234567890", "12345678901234567000"),
            ("5e3", "5000"),
        ] {
            let given: Value = serde_json::from_str(given).unwrap();
            assert_eq!(value(&given).to_string(), expected);
        }
    }

    #[test]
    fn the_largest_seed_becomes_a_number_that_is_too_large() {
        let rounded: Value = serde_json::from_str("18446744073709552000").unwrap();
        assert_eq!(value(&json!(u64::MAX)), rounded);
    }

    #[test]
    fn values_are_written_into_texts_as_a_browser_does() {
        assert_eq!(text(&json!(20.0)), "20");
        assert_eq!(text(&json!([1, null, "a"])), "1,,a");
        assert_eq!(text(&json!({})), "[object Object]");
    }
}
