//! Python's view of JSON values: `int()`, `float()`, `str()`, `bool()`, `repr()`, `==` and `<`.
//!
//! The server coerces and compares with these and prints them into its messages, so their exact
//! rules decide which prompts pass. Followed: `CPython` 3.12.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// The most digits that `int()` takes out of a text.
const INT_DIGITS_LIMIT: usize = 4300;

/// An exception, as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The class, such as `"KeyError"`.
    pub kind: &'static str,
    /// `str()` of it.
    pub message: String,
}

impl Exception {
    /// An exception of that class and text.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A lookup of a key that is not there.
    pub(super) fn key(key: &Value) -> Self {
        Self::new("KeyError", repr(key))
    }

    /// A list or dict where only what can be a key may stand.
    pub(super) fn unhashable(value: &Value) -> Self {
        Self::new(
            "TypeError",
            format!("unhashable type: '{}'", type_name(value)),
        )
    }
}

/// A number as Python has it. Whole numbers are exact in the range of `i128`; beyond, only their
/// digits are kept, which is enough to compare and to print them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Num {
    /// A whole number.
    Int(i128),
    /// A whole number outside of `i128`: whether it is negative, and its digits.
    Huge(bool, String),
    /// A floating point number, also one that JSON can't express.
    Float(f64),
}

impl Num {
    /// The number of a JSON number or boolean.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Int((*flag).into())),
            Value::Number(number) => Some(Self::of_number(number)),
            _ => None,
        }
    }

    fn of_number(number: &Number) -> Self {
        match number.as_i128() {
            Some(whole) => Self::Int(whole),
            None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    /// In JSON: non-finite numbers are null, whole numbers beyond 64 bits the nearest float.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Int(whole) => i64::try_from(*whole).map(Value::from).unwrap_or_else(|_| {
                u64::try_from(*whole).map_or_else(|_| Value::from(self.as_f64()), Value::from)
            }),
            Self::Huge(..) => Value::from(self.as_f64()),
            Self::Float(float) => Value::from(*float),
        }
    }

    /// The nearest floating point number.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Python rounds to the nearest as well"
    )]
    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Self::Int(whole) => *whole as f64,
            Self::Huge(..) => self.to_string().parse().unwrap_or(f64::INFINITY),
            Self::Float(float) => *float,
        }
    }

    /// Python compares whole and floating numbers by their exact values.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Float(b)) => compare_exactly(*a, *b),
            (Self::Float(a), Self::Int(b)) => compare_exactly(*b, *a).map(Ordering::reverse),
            (Self::Huge(false, a), Self::Huge(false, b)) => Some((a.len(), a).cmp(&(b.len(), b))),
            (Self::Huge(true, a), Self::Huge(true, b)) => Some((b.len(), b).cmp(&(a.len(), a))),
            (Self::Huge(..), _) | (_, Self::Huge(..)) => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is whole and in range"
)]
fn compare_exactly(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let limit = 2_f64.powi(127);
    if float >= limit {
        return Some(Ordering::Less);
    }
    if float < -limit {
        return Some(Ordering::Greater);
    }
    let floor = float.floor();
    Some(whole.cmp(&(floor as i128)).then(if floor < float {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}

impl std::fmt::Display for Num {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(whole) => whole.fmt(f),
            Self::Huge(negative, digits) => {
                write!(f, "{}{digits}", if *negative { "-" } else { "" })
            }
            Self::Float(float) => f.write_str(&repr_float(*float)),
        }
    }
}

/// `key in container`
pub(super) fn contains(container: &Value, key: &str) -> Result<bool, Exception> {
    match container {
        Value::Object(entries) => Ok(entries.contains_key(key)),
        Value::Array(items) => Ok(items.iter().any(|item| item == key)),
        Value::String(text) => Ok(text.contains(key)),
        other => {
            let given = type_name(other);
            let message = format!("argument of type '{given}' is not iterable");
            Err(Exception::new("TypeError", message))
        }
    }
}

/// `container[key]`
pub(super) fn item<'a>(container: &'a Value, key: &str) -> Result<&'a Value, Exception> {
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
pub(super) fn type_name(value: &Value) -> &'static str {
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
pub(super) fn is_true(value: &Value) -> bool {
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
pub(super) fn equal(a: &Value, b: &Value) -> bool {
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
pub(super) fn compares(a: &Scalar<'_>, wanted: Ordering, b: &Value) -> Result<bool, Exception> {
    let order = match (a.num(), Num::of(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        _ => match (a, b) {
            (Scalar::Json(a), Value::String(b)) if a.is_string() => a.as_str().map(|a| a.cmp(b)),
            _ => {
                let sign = if wanted == Ordering::Less { '<' } else { '>' };
                return Err(Exception::new(
                    "TypeError",
                    format!(
                        "'{sign}' not supported between instances of '{}' and '{}'",
                        a.type_name(),
                        type_name(b)
                    ),
                ));
            }
        },
    };
    Ok(order == Some(wanted))
}

/// A value on its way through the server's coercions: JSON, or a number that JSON can't express.
#[derive(Clone, Debug)]
pub(super) enum Scalar<'a> {
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

    fn type_name(&self) -> &'static str {
        match self {
            Self::Json(value) => type_name(value),
            Self::Num(Num::Float(_)) => "float",
            Self::Num(_) => "int",
        }
    }

    /// `str(value)`
    pub(super) fn text(&self) -> String {
        match self {
            Self::Json(value) => text(value),
            Self::Num(num) => num.to_string(),
        }
    }

    /// As it goes back into the prompt.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Json(value) => (**value).clone(),
            Self::Num(num) => num.to_json(),
        }
    }
}

/// `int(value)`
pub(super) fn int(value: &Value) -> Result<Num, Exception> {
    match value {
        Value::String(given) => int_of_text(given),
        Value::Bool(_) | Value::Number(_) => match Num::of(value) {
            Some(Num::Float(float)) => int_of_float(float),
            Some(whole) => Ok(whole),
            None => Err(not_convertible("int", value)),
        },
        _ => Err(not_convertible("int", value)),
    }
}

fn not_convertible(to: &str, value: &Value) -> Exception {
    let wanted = if to == "int" {
        "a string, a bytes-like object or a real number"
    } else {
        "a string or a real number"
    };
    let given = type_name(value);
    Exception::new(
        "TypeError",
        format!("{to}() argument must be {wanted}, not '{given}'"),
    )
}

#[expect(clippy::cast_possible_truncation, reason = "int() cuts off")]
fn int_of_float(float: f64) -> Result<Num, Exception> {
    if float.is_nan() {
        return Err(Exception::new(
            "ValueError",
            "cannot convert float NaN to integer",
        ));
    }
    if float.is_infinite() {
        return Err(Exception::new(
            "OverflowError",
            "cannot convert float infinity to integer",
        ));
    }
    if float.abs() < 2_f64.powi(127) {
        return Ok(Num::Int(float as i128));
    }
    Ok(Num::Huge(float < 0.0, format!("{:.0}", float.abs())))
}

fn int_of_text(given: &str) -> Result<Num, Exception> {
    let invalid = || {
        let shown = repr(&Value::from(given));
        Exception::new(
            "ValueError",
            format!("invalid literal for int() with base 10: {shown}"),
        )
    };
    let plain = plain_digits(strip(given)).ok_or_else(invalid)?;
    let (negative, digits) = match plain.strip_prefix(['+', '-']) {
        Some(digits) => (plain.starts_with('-'), digits),
        None => (false, &*plain),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    if digits.len() > INT_DIGITS_LIMIT {
        return Err(Exception::new(
            "ValueError",
            format!(
                "Exceeds the limit ({INT_DIGITS_LIMIT} digits) for integer string conversion: \
                 value has {} digits; use sys.set_int_max_str_digits() to increase the limit",
                digits.len()
            ),
        ));
    }
    Ok(plain.parse().map_or_else(
        |_| Num::Huge(negative, digits.trim_start_matches('0').to_owned()),
        Num::Int,
    ))
}

/// `float(value)`
pub(super) fn float(value: &Value) -> Result<f64, Exception> {
    match value {
        Value::String(given) => {
            let plain = plain_digits(strip(given));
            plain.and_then(|plain| plain.parse().ok()).ok_or_else(|| {
                let shown = repr(value);
                Exception::new(
                    "ValueError",
                    format!("could not convert string to float: {shown}"),
                )
            })
        }
        _ => Num::of(value)
            .map(|num| num.as_f64())
            .ok_or_else(|| not_convertible("float", value)),
    }
}

/// `str.strip()`: Python counts the four separators 0x1c to 0x1f as white space too.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// Digits of all scripts as ASCII and without the underscores that may stand between two digits;
/// `None` if an underscore stands elsewhere.
fn plain_digits(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut after_underscore = false;
    for c in text.chars() {
        let digit = digit(c);
        if c == '_' {
            if after_underscore || !plain.ends_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            after_underscore = true;
            continue;
        }
        if after_underscore && digit.is_none() {
            return None;
        }
        after_underscore = false;
        plain.push(digit.unwrap_or(c));
    }
    (!after_underscore).then_some(plain)
}

/// Where the ten digits of each script begin (Unicode 15, category Nd).
const ZEROS: [u32; 67] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0,
    0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950,
];

fn digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let code = u32::from(c);
    let script = ZEROS.partition_point(|zero| *zero <= code);
    let value = code - ZEROS[script - 1];
    // The segmented digits came last and stand apart from the sorted table.
    let value = if (0x1fbf0..=0x1fbf9).contains(&code) {
        code - 0x1fbf0
    } else {
        value
    };
    char::from_digit(value, 10)
}

/// `str(value)`
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)`
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

/// `repr()` of a list.
pub(super) fn repr_list(items: &[Value]) -> String {
    let mut out = String::new();
    write_list(&mut out, items);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&Num::of_number(number).to_string()),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => write_list(out, items),
        Value::Object(entries) => write_dict(out, entries),
    }
}

fn write_list(out: &mut String, items: &[Value]) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_repr(out, item);
    }
    out.push(']');
}

fn write_dict(out: &mut String, entries: &Map<String, Value>) {
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_text(out, key);
        out.push_str(": ");
        write_repr(out, value);
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => write_escape(out, u32::from(c)),
        }
    }
    out.push(quote);
}

fn write_escape(out: &mut String, code: u32) {
    let written = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

/// `str.isprintable()` of one character. The standard library keeps the same table for its own
/// escapes; a letter before the character keeps combining marks from being escaped there.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    let mut pair = String::from("x");
    pair.push(c);
    pair.escape_debug().nth(1) == Some(c)
}

/// `repr()` of a float: the shortest digits that give it back, with an exponent below 1e-4 and
/// from 1e16 on.
fn repr_float(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float == 0.0 || (-4..16).contains(&exponent) {
        return format!("{float:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!("12"), "12")]
    #[case(json!(" 12\n"), "12")]
    #[case(json!("1_000"), "1000")]
    #[case(json!("+7"), "7")]
    #[case(json!("-0"), "0")]
    #[case(json!("٣٤"), "34")]
    #[case(json!("７"), "7")]
    #[case(json!(3.99), "3")]
    #[case(json!(-3.99), "-3")]
    #[case(json!(true), "1")]
    #[case(json!(u64::MAX), "18446744073709551615")]
    #[case(json!("1000000000000000000000000000000000000000000"), "1000000000000000000000000000000000000000000")]
    #[case(json!(1e30), "1000000000000000019884624838656")]
    fn int_takes_what_python_takes(#[case] given: Value, #[case] result: &str) {
        assert_eq!(int(&given).unwrap().to_string(), result);
    }

    #[rstest]
    #[case(json!("4.5"), "invalid literal for int() with base 10: '4.5'")]
    #[case(json!(""), "invalid literal for int() with base 10: ''")]
    #[case(json!("1__0"), "invalid literal for int() with base 10: '1__0'")]
    #[case(json!("_1"), "invalid literal for int() with base 10: '_1'")]
    #[case(json!("1_"), "invalid literal for int() with base 10: '1_'")]
    #[case(json!("it's"), "invalid literal for int() with base 10: \"it's\"")]
    #[case(json!(null), "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'")]
    fn int_refuses_what_python_refuses(#[case] given: Value, #[case] message: &str) {
        assert_eq!(int(&given).unwrap_err().message, message);
    }

    #[rstest]
    #[case(json!("nan"), "nan")]
    #[case(json!("-Infinity"), "-inf")]
    #[case(json!("1e5"), "100000.0")]
    #[case(json!("1_0.5"), "10.5")]
    #[case(json!(".5"), "0.5")]
    #[case(json!(true), "1.0")]
    #[case(json!(u64::MAX), "1.8446744073709552e+19")]
    fn float_takes_what_python_takes(#[case] given: Value, #[case] result: &str) {
        assert_eq!(Num::Float(float(&given).unwrap()).to_string(), result);
    }

    #[rstest]
    #[case("1,5")]
    #[case("0x1p3")]
    #[case("1_e5")]
    #[case("")]
    fn float_refuses_what_python_refuses(#[case] given: &str) {
        let message = format!("could not convert string to float: '{given}'");
        assert_eq!(float(&json!(given)).unwrap_err().message, message);
    }

    #[rstest]
    #[case(json!(1.0), "1.0")]
    #[case(json!(1e16), "1e+16")]
    #[case(json!(123456789012345680.0), "1.2345678901234568e+17")]
    #[case(json!(9999999999999998.0), "9999999999999998.0")]
    #[case(json!(0.0001), "0.0001")]
    #[case(json!(0.00001), "1e-05")]
    #[case(json!(1.5e-300), "1.5e-300")]
    #[case(json!(-0.0), "-0.0")]
    #[case(json!(["a", 1, true, null]), "['a', 1, True, None]")]
    #[case(json!({ "a": { "b": [] } }), "{'a': {'b': []}}")]
    #[case(json!("it's \"so\""), "'it\\'s \"so\"'")]
    #[case(json!("a\u{0}\u{7f}\u{a0}\u{e9}\u{301}\u{200b}\u{1f600}\u{e0001}"),
        "'a\\x00\\x7f\\xa0\u{e9}\u{301}\\u200b\u{1f600}\\U000e0001'")]
    fn repr_is_pythons(#[case] given: Value, #[case] result: &str) {
        assert_eq!(repr(&given), result);
    }

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
        assert!(!equal(&json!(u64::MAX), &json!(18446744073709551616.0)));
    }

    #[test]
    fn comparing_a_text_to_a_number_raises() {
        let less = |a: Value, b: Value| compares(&Scalar::Json(Cow::Owned(a)), Ordering::Less, &b);
        assert_eq!(less(json!(1), json!(1.5)), Ok(true));
        assert_eq!(less(json!("a"), json!("b")), Ok(true));
        assert_eq!(
            less(json!("a"), json!(1)).unwrap_err().message,
            "'<' not supported between instances of 'str' and 'int'"
        );
        let nan = Scalar::Num(Num::Float(f64::NAN));
        assert_eq!(compares(&nan, Ordering::Less, &json!(0)), Ok(false));
    }
}
