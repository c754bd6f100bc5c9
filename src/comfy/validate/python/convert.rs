//! `int()` and `float()`.

use serde_json::Value;

use super::exception::Exception;
use super::number::Num;
use super::text::repr;
use super::values::type_name;

/// The most digits that `int()` takes out of a text.
const INT_DIGITS_LIMIT: usize = 4300;

/// `int(value)`
pub(in crate::comfy::validate) fn int(value: &Value) -> Result<Num, Exception> {
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
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
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
    Ok(Num::whole(&plain))
}

/// `float(value)`
pub(in crate::comfy::validate) fn float(value: &Value) -> Result<f64, Exception> {
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
}
