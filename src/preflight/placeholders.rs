//! Places in a template that nobody filled in.

use serde_json::Value;

use super::view::View;
use crate::comfy::check::Finding;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for (_, node) in view.live_nodes() {
        for (name, value) in node.inputs().into_iter().flatten() {
            if let Some(placeholder) = value.as_str().and_then(placeholder) {
                let finding = Finding::warning("placeholder", node.id, node.class_type);
                found.push(
                    finding
                        .at(name, &Value::from(placeholder))
                        .says(format!("{placeholder} was never filled in")),
                );
            }
        }
    }
}

/// `{{NAME}}` in capitals, digits and underscores, as templates of the original have them.
fn placeholder(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let inner = &rest[start + 2..];
        let end = inner.find("}}")?;
        let name = &inner[..end];
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(is_name) {
            return rest.get(start..start + end + 4);
        }
        rest = inner;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_capitals_between_two_braces_are_placeholders() {
        assert_eq!(placeholder("a {{PROMPT_2}} b"), Some("{{PROMPT_2}}"));
        assert_eq!(placeholder("{{x}} and {{SEED}}"), Some("{{SEED}}"));
        for text in ["{{}}", "{{red|blue}}", "{A|B}", "{{PROMPT", "é{{a}}"] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
