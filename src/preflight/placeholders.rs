//! Places in a template that nobody filled in.

use serde_json::Value;

use super::view::View;
use crate::comfy::check::Finding;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for (_, node) in view.live_nodes() {
        for (name, value) in node.inputs().into_iter().flatten() {
            let left: Vec<&str> = value.as_str().into_iter().flat_map(placeholders).collect();
            if left.is_empty() {
                continue;
            }
            let (left, were) = (
                left.join(", "),
                if left.len() == 1 { "was" } else { "were" },
            );
            let finding = Finding::warning("placeholder", node.id, node.class_type);
            found.push(
                finding
                    .says(format!("{left} {were} never filled in"))
                    .at(name, &Value::from(left)),
            );
        }
    }
}

/// Each `{{NAME}}` in capitals, digits and underscores, as templates of the original have them.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_uppercase())
            && bytes.all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
    };
    text.match_indices("{{").filter_map(move |(start, _)| {
        let length = text[start + 2..].find("}}")?;
        let end = start + 2 + length;
        is_name(&text[start + 2..end]).then(|| &text[start..end + 2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_capitals_between_two_braces_are_placeholders() {
        for (text, all) in [
            ("a {{PROMPT_2}} b", vec!["{{PROMPT_2}}"]),
            ("{{x}} and {{SEED}}", vec!["{{SEED}}"]),
            ("{{A}} in {{B}}{{C}}", vec!["{{A}}", "{{B}}", "{{C}}"]),
            ("{{A {{B}}", vec!["{{B}}"]),
        ] {
            assert_eq!(placeholders(text).collect::<Vec<_>>(), all, "{text}");
        }
        for text in ["{{}}", "{{red|blue}}", "{A|B}", "{{PROMPT", "é{{a}}"] {
            assert_eq!(placeholders(text).next(), None, "{text}");
        }
    }
}
