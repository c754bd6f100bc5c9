//! `str()` and `repr()`.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::number::Num;

/// `str(value)`
pub(in crate::comfy::validate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)`
pub(in crate::comfy::validate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

/// `repr()` of a list.
pub(in crate::comfy::validate) fn repr_list(items: &[Value]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!(1.0), "1.0")]
    #[case(json!(1e16), "1e+16")]
    #[case(json!(123_456_789_012_345_680.0), "1.2345678901234568e+17")]
    #[case(json!(9_999_999_999_999_998.0), "9999999999999998.0")]
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
}
