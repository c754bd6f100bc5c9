//! Values in Rhai's words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Number, Value};

/// How deep a value may be nested in one expression: beyond it, the parser counts several levels for
/// each bracket, and nobody reads it.
const DEEPEST: usize = 8;

/// Words that Rhai keeps for itself, now or for later.
const WORDS: [&str; 68] = [
    "as",
    "async",
    "await",
    "begin",
    "break",
    "call",
    "case",
    "catch",
    "const",
    "continue",
    "curry",
    "debug",
    "default",
    "do",
    "each",
    "else",
    "end",
    "eval",
    "exit",
    "export",
    "false",
    "fn",
    "Fn",
    "for",
    "global",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "nil",
    "null",
    "package",
    "print",
    "private",
    "protected",
    "yield",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "super",
    "switch",
    "sync",
    "then",
    "this",
    "thread",
    "throw",
    "true",
    "try",
    "type_of",
    "unless",
    "until",
    "use",
    "var",
    "void",
    "while",
    "with",
];

/// Whether it can stand as a name.
pub(super) fn is_name(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !WORDS.contains(&word)
}

/// The key of a map.
pub(super) fn key(name: &str) -> String {
    if is_name(name) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// A text in quotes.
pub(super) fn string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            c if is_hidden(c) => {
                // Writing to a string does not fail.
                let _ = write!(written, "\\U{:08x}", u32::from(c));
            }
            c => written.push(c),
        }
    }
    written.push('"');
    written
}

/// A text of several lines as it is, where it can be, or else in quotes.
pub(super) fn text(text: &str) -> String {
    let plain = |c: char| c == '\n' || c == '\t' || !is_hidden(c);
    let as_is = text.contains('\n')
        && !text.contains('`')
        && !text.contains("${")
        && text.chars().all(plain);
    if as_is {
        // The line break behind the opening mark is none of the text's.
        format!("`\n{text}`")
    } else {
        string(text)
    }
}

/// Characters that nobody would see, or that would turn the line around.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whole numbers that Rhai can't write, with the parameters that hold them.
pub(super) type Large = BTreeMap<u64, String>;

/// Adds those that stand in a value.
pub(super) fn note_large(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Number(number) if number.as_i64().is_none() => {
            found.extend(number.as_u64().filter(|large| !found.contains(large)));
        }
        Value::Array(items) => items.iter().for_each(|item| note_large(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| note_large(field, found)),
        _ => {}
    }
}

/// Writes values; what is nested deeper than an expression may be gets a statement of its own.
#[derive(Debug)]
pub(super) struct Values<'a> {
    pub(super) large: &'a Large,
    /// Statements that have to stand before the one in which the values stand.
    pub(super) before: Vec<String>,
    /// How many statements there were in all.
    pub(super) counted: usize,
}

impl Values<'_> {
    pub(super) fn write(&mut self, value: &Value) -> String {
        self.nested(value, 0)
    }

    fn nested(&mut self, value: &Value, depth: usize) -> String {
        let is_inner = matches!(value, Value::Array(_) | Value::Object(_));
        if depth >= DEEPEST && is_inner {
            let inner = self.nested(value, 0);
            self.counted += 1;
            let name = format!("inner_{}", self.counted);
            self.before.push(format!("let {name} = {inner};"));
            return name;
        }
        match value {
            Value::Null => "()".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => self.number(value),
            Value::String(text) => string(text),
            Value::Array(items) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| self.nested(item, depth + 1))
                    .collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(fields) if fields.is_empty() => "#{}".to_owned(),
            Value::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, field)| {
                        format!("{}: {}", key(name), self.nested(field, depth + 1))
                    })
                    .collect();
                format!("#{{ {} }}", fields.join(", "))
            }
        }
    }

    fn number(&self, number: &Number) -> String {
        let large = number.as_u64().and_then(|large| self.large.get(&large));
        match large {
            Some(name) => format!("p.{name}"),
            None => scalar(number),
        }
    }
}

/// A number that Rhai can write.
pub(super) fn scalar(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float:?}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_that_counts_as_a_name_is_one_that_rhai_keeps() {
        let engine = rhai::Engine::new();
        let words = "abstract alias and auto class default dyn enum extern final function impl \
            include interface is let local loop macro match mod move mut namespace not operator or \
            override package priv protected pub ref require select self sizeof struct super throw \
            trait type typeof union unsafe using virtual where xor yield init this then until void \
            sync var static shared go goto exit case each begin end do try import export print";
        for word in words.split_whitespace().chain(WORDS) {
            let name = engine.compile(format!("let {word} = #{{ {word}: 1 }}; {word}.{word}"));
            assert!(
                !is_name(word) || name.is_ok(),
                "{word} can't stand as a name: {name:?}"
            );
        }
    }

    #[test]
    fn what_a_person_could_not_see_is_written_by_number() {
        assert_eq!(
            string("a\u{0}\u{200f}b\"\\"),
            r#""a\U00000000\U0000200fb\"\\""#
        );
        assert_eq!(text("a\nb"), "`\na\nb`");
        assert_eq!(text("${a}\nb"), "\"${a}\\nb\"");
    }
}
