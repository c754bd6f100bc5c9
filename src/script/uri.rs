//! The addresses of resources: `mmf://templates/{name}`.
//!
//! Of RFC 6570 there is what addresses of resources need: `{name}` stands for one segment, with
//! everything unusual in it percent-encoded, and `{+name}` for the rest as it is, slashes included.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// An address with variables. One without them is the address of a single resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, reserved: bool },
}

impl UriTemplate {
    /// Reads a template, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Err(format!("\"{text}\" is no address: write scheme://path"));
        }
        let mut parts = vec![];
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (inside, after) = after
                .split_once('}')
                .ok_or_else(|| format!("\"{text}\" has a {{ that is not closed"))?;
            if literal.is_empty() && matches!(parts.last(), Some(Part::Variable { .. })) {
                return Err(format!("\"{text}\" has nothing between two variables"));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let (reserved, name) = match inside.strip_prefix('+') {
                Some(name) => (true, name),
                None => (false, inside),
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(format!("\"{{{inside}}}\" names no variable"));
            }
            let name = name.to_owned();
            parts.push(Part::Variable { name, reserved });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the variables, in their order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { name, .. } => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// How much of it is fixed: of two templates that fit, the one with more says more.
    #[must_use]
    pub fn fixed(&self) -> usize {
        let literals = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Variable { .. } => 0,
        });
        literals.sum()
    }

    /// The values of the variables in an address of this form.
    #[must_use]
    pub fn matches(&self, uri: &str) -> Option<Map<String, Value>> {
        let mut values = Map::new();
        let mut rest = uri;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Variable { name, reserved } => {
                    let end = match parts.peek() {
                        Some(Part::Literal(next)) => rest.find(next.as_str())?,
                        _ => rest.len(),
                    };
                    let (value, after) = rest.split_at(end);
                    if value.is_empty() || (!reserved && value.contains('/')) {
                        return None;
                    }
                    values.insert(name.clone(), decoded(value)?.into());
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(values)
    }

    /// The address with values for its variables, or the first variable that has none.
    pub fn expand(&self, values: &Map<String, Value>) -> Result<String, String> {
        let mut uri = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => uri.push_str(text),
                Part::Variable { name, reserved } => match values.get(name) {
                    Some(Value::String(value)) => encode(value, *reserved, &mut uri),
                    Some(value @ Value::Number(_)) => uri.push_str(&value.to_string()),
                    _ => return Err(name.clone()),
                },
            }
        }
        Ok(uri)
    }
}

/// What may stand in an address as it is: RFC 3986's unreserved characters, and for `{+name}` the
/// reserved ones.
fn encode(value: &str, reserved: bool, uri: &mut String) {
    for byte in value.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (reserved && b":/?#[]@!$&'()*+,;=".contains(&byte)) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values(template: &str, uri: &str) -> Option<Value> {
        UriTemplate::parse(template)
            .unwrap()
            .matches(uri)
            .map(Value::from)
    }

    #[test]
    fn an_address_gives_the_values_of_its_variables() {
        assert_eq!(
            values("mmf://scripts/{kind}/{name}", "mmf://scripts/tool/a%2Fb"),
            Some(json!({ "kind": "tool", "name": "a/b" }))
        );
        assert_eq!(
            values("test://template/{id}/data", "test://template/123/data"),
            Some(json!({ "id": "123" }))
        );
        assert_eq!(
            values("file:///{+path}", "file:///a/b.txt"),
            Some(json!({ "path": "a/b.txt" }))
        );
    }

    #[test]
    fn another_address_does_not_fit() {
        for uri in [
            "mmf://templates/",
            "mmf://templates/a/b",
            "mmf://template/a",
            "mmf://templates/%zz",
        ] {
            assert_eq!(values("mmf://templates/{name}", uri), None, "{uri}");
        }
        assert_eq!(values("mmf://queue", "mmf://queue/1"), None);
    }

    #[test]
    fn a_template_that_makes_no_sense_is_refused() {
        for wrong in ["queue", "a://{b", "a://{}", "a://{b}{c}", "a://{b c}"] {
            assert!(UriTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_into_an_address_comes_out_of_it(kind in ".{1,8}", name in ".{1,8}") {
            let template = UriTemplate::parse("mmf://scripts/{kind}/{name}").unwrap();
            let given = json!({ "kind": kind, "name": name });
            let uri = template.expand(given.as_object().unwrap()).unwrap();
            prop_assert_eq!(template.matches(&uri).map(Value::from), Some(given));
        }
    }
}
