//! Types, truth, equality, order and lookups.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::exception::Exception;
use super::number::Num;
use super::text::text;

/// `container[key] if key in container`, with what Python says where that makes no sense.
pub(in crate::comfy::validate) fn get<'a>(
    container: &'a Value,
    key: &str,
) -> Result<Option<&'a Value>, Exception> {
    let raised = |message: String| Err(Exception::new("TypeError", message));
    match container {
        Value::Object(entries) => Ok(entries.get(key)),
        Value::Array(items) if items.iter().any(|item| item == key) => {
            raised("list indices must be integers or slices, not str".to_owned())
        }
        Value::String(text) if text.contains(key) => {
            raised("string indices must be integers, not 'str'".to_owned())
        }
        Value::Array(_) | Value::String(_) => Ok(None),
        other => raised(format!(
            "argument of type '{}' is not iterable",
            type_name(other)
        )),
    }
}

/// `container[key]`
pub(in crate::comfy::validate) fn item<'a>(
    container: &'a Value,
    key: &str,
) -> Result<&'a Value, Exception> {
    let raised = |message: String| Err(Exception::new("TypeError", message));
    match container {
        Value::Object(entries) => entries.get(key).ok_or_else(|| Exception::key(&key.into())),
        Value::Array(_) => raised("list indices must be integers or slices, not str".to_owned()),
        Value::String(_) => raised("string indices must be integers, not 'str'".to_owned()),
        other => raised(format!(
            "'{}' object is not subscriptable",
            type_name(other)
        )),
    }
}

/// `type(value).__name__`
pub(in crate::comfy::validate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// `bool(value)`
pub(in crate::comfy::validate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// `a == b`
#[must_use]
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Null, Value::Null) => true,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| equal(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => match (Num::of(a), Num::of(b)) {
            (Some(a), Some(b)) => a.compare(&b) == Some(Ordering::Equal),
            _ => false,
        },
    }
}

/// `a < b` for [`Ordering::Less`], `a > b` for [`Ordering::Greater`].
pub(in crate::comfy::validate) fn compares(
    a: &Scalar<'_>,
    wanted: Ordering,
    b: &Scalar<'_>,
) -> Result<bool, Exception> {
    let order = if let (Some(a), Some(b)) = (a.num(), b.num()) {
        a.compare(&b)
    } else if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        Some(a.cmp(b))
    } else {
        let sign = if wanted == Ordering::Less { '<' } else { '>' };
        return Err(Exception::new(
            "TypeError",
            format!(
                "'{sign}' not supported between instances of '{}' and '{}'",
                a.type_name(),
                b.type_name()
            ),
        ));
    };
    Ok(order == Some(wanted))
}

/// A value on its way through the server's coercions: JSON, or a number that JSON can't express.
#[derive(Clone, Debug)]
pub(in crate::comfy::validate) enum Scalar<'a> {
    /// As it stands in the prompt, or a text or flag that was made of that.
    Json(Cow<'a, Value>),
    /// The result of `int()` or `float()`.
    Num(Num),
}

impl Scalar<'_> {
    fn num(&self) -> Option<Num> {
        match self {
            Self::Json(value) => Num::of(value),
            Self::Num(num) => Some(num.clone()),
        }
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Json(value) => value.as_str(),
            Self::Num(_) => None,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Json(value) => type_name(value),
            Self::Num(Num::Float(_)) => "float",
            Self::Num(_) => "int",
        }
    }

    /// `str(value)`
    pub(in crate::comfy::validate) fn text(&self) -> String {
        match self {
            Self::Json(value) => text(value),
            Self::Num(num) => num.to_string(),
        }
    }

    /// As it goes back into the prompt.
    pub(in crate::comfy::validate) fn to_json(&self) -> Value {
        match self {
            Self::Json(value) => (**value).clone(),
            Self::Num(num) => num.to_json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_equal_across_their_types_and_texts_are_not() {
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(equal(&json!(true), &json!(1)));
        assert!(equal(
            &json!([0, { "a": 1 }]),
            &json!([false, { "a": 1.0 }])
        ));
        assert!(!equal(&json!("5"), &json!(5)));
        assert!(!equal(&json!(null), &json!(0)));
        assert!(!equal(
            &json!(u64::MAX),
            &json!(18_446_744_073_709_551_616.0)
        ));
    }

    #[test]
    fn comparing_a_text_to_a_number_raises() {
        let json = |value: Value| Scalar::Json(Cow::Owned(value));
        let less = |a: Value, b: Value| compares(&json(a), Ordering::Less, &json(b));
        assert_eq!(less(json!(1), json!(1.5)), Ok(true));
        assert_eq!(less(json!("a"), json!("b")), Ok(true));
        assert_eq!(
            less(json!("a"), json!(1)).unwrap_err().message,
            "'<' not supported between instances of 'str' and 'int'"
        );
        let nan = Scalar::Num(Num::Float(f64::NAN));
        assert_eq!(compares(&nan, Ordering::Less, &json(json!(0))), Ok(false));
    }
}
