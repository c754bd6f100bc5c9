//! Corrections in the text of a workflow, so that all else stays as its author laid it out.

use std::ops::Range;

use serde_json::Value;

use super::places::{Place, Places};
use crate::script::Correction;

/// The text with the corrections in it; none if a place can't be found.
pub(super) fn edited(text: &str, wrappers: &[&str], corrections: &[Correction]) -> Option<String> {
    let mut text = text.to_owned();
    let mut rest = corrections;
    while let Some((one, further)) = rest.split_first() {
        rest = further;
        let mut path = wrappers.to_vec();
        path.push(&one.node_id);
        match rest.first() {
            Some(next) if is_renaming(one, next) => {
                path.extend(["inputs", &one.field]);
                let key = Places::of(&text).get(&path)?.key.clone();
                text.replace_range(key, &Value::from(&*next.field).to_string());
                rest = &rest[1..];
            }
            _ => change(&mut text, path, one)?,
        }
    }
    Some(text)
}

/// Whether an input goes and comes back under another name.
fn is_renaming(one: &Correction, next: &Correction) -> bool {
    one.removed
        && !next.removed
        && one.node_id == next.node_id
        && next.from.is_null()
        && one.from == next.to
}

fn change<'p>(text: &mut String, mut path: Vec<&'p str>, one: &'p Correction) -> Option<()> {
    let places = Places::of(text);
    let node = path.clone();
    let is_whole = one.field == "inputs" && one.to.is_object();
    if one.field != "class_type" && !is_whole {
        path.push("inputs");
    }
    path.push(&one.field);
    match places.get(&path) {
        Some(place) if one.removed => remove(text, place),
        Some(place) => {
            let style = Style::of(text, &place.value);
            text.replace_range(place.value.clone(), &style.write(&one.to, style.base));
        }
        None if one.removed => return None,
        None if places.get(&node).is_none() => {
            let body = serde_json::json!({ "class_type": one.to, "inputs": {} });
            insert(text, &places, &node, &body)?;
        }
        None => insert(text, &places, &path, &one.to)?,
    }
    Some(())
}

/// Takes an entry out, with the comma behind it or else the one before.
fn remove(text: &mut String, place: &Place) {
    let behind = &text[place.value.end..];
    let blank = behind.len() - behind.trim_start().len();
    let range = if behind[blank..].starts_with(',') {
        let next = &behind[blank + 1..];
        let blank = blank + 1 + next.len() - next.trim_start().len();
        place.key.start..place.value.end + blank
    } else {
        let before = text[..place.key.start].trim_end();
        let before = before.strip_suffix(',').unwrap_or(before);
        before.len()..place.value.end
    };
    text.replace_range(range, "");
}

/// Adds an entry behind the last one of its object, laid out as that one.
fn insert(text: &mut String, places: &Places, path: &[&str], value: &Value) -> Option<()> {
    let (name, parent) = path.split_last()?;
    let key = Value::from(*name).to_string();
    let Some(last) = places.below(parent).pop().cloned() else {
        let place = &places.get(parent)?.value;
        let style = Style::of(text, place);
        let whole = serde_json::json!({ *name: value });
        text.replace_range(place.clone(), &style.write(&whole, style.base));
        return Some(());
    };
    let gap = text[..last.key.start].trim_end().len()..last.key.start;
    let colon = &text[last.key.end..last.value.start];
    let style = Style::of(text, &last.value);
    let value = style.write(value, style.base);
    let entry = format!(",{}{key}{colon}{value}", &text[gap]);
    text.insert_str(last.value.end, &entry);
    Some(())
}

/// How values are laid out at a place.
struct Style<'t> {
    /// The blanks before the line.
    base: &'t str,
    /// The blanks of one level; none where it all stands in one line.
    unit: Option<&'t str>,
    /// Whether lists are broken into lines.
    breaks_lists: bool,
}

impl<'t> Style<'t> {
    /// As the value that stands there, or as the text where that value tells nothing.
    fn of(text: &'t str, place: &Range<usize>) -> Self {
        let begin = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
        let unit = unit_of(text);
        let value = &text[place.clone()];
        let is_plain = !value.starts_with(['{', '[']) || value.len() == 2;
        let is_alone = !text[begin..place.start].contains('{');
        let in_lines = value.contains('\n') || (is_plain && is_alone);
        Self {
            base: blanks(&text[begin..]),
            unit: unit.filter(|_| in_lines),
            breaks_lists: in_lines && text.contains("[\n"),
        }
    }

    fn write(&self, value: &Value, base: &str) -> String {
        match value {
            Value::Array(items) if !items.is_empty() => {
                let items = |base: &str| items.iter().map(|one| self.write(one, base)).collect();
                let unit = self.unit.filter(|_| self.breaks_lists);
                lay_out(["[", "]"], "", unit, base, items)
            }
            Value::Object(members) if !members.is_empty() => {
                let members = |base: &str| {
                    let entry = |(name, value): (&String, &Value)| {
                        format!("{}: {}", Value::from(&**name), self.write(value, base))
                    };
                    members.iter().map(entry).collect()
                };
                lay_out(["{", "}"], " ", self.unit, base, members)
            }
            other => other.to_string(),
        }
    }
}

/// Entries between brackets: one a line, or all in one.
fn lay_out(
    [open, close]: [&str; 2],
    space: &str,
    unit: Option<&str>,
    base: &str,
    entries: impl Fn(&str) -> Vec<String>,
) -> String {
    match unit {
        Some(unit) => {
            let deeper = format!("{base}{unit}");
            let entries = entries(&deeper).join(&format!(",\n{deeper}"));
            format!("{open}\n{deeper}{entries}\n{base}{close}")
        }
        None => format!("{open}{space}{}{space}{close}", entries(base).join(", ")),
    }
}

/// The blanks by which the first level is moved in.
pub(super) fn unit_of(text: &str) -> Option<&str> {
    let moved_in = text.lines().skip(1).map(blanks);
    moved_in.into_iter().find(|blanks| !blanks.is_empty())
}

fn blanks(line: &str) -> &str {
    let end = line.find(|c| c != ' ' && c != '\t').unwrap_or(line.len());
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn correction(node: &str, field: &str, from: Value, to: Option<Value>) -> Correction {
        Correction {
            node_id: node.to_owned(),
            field: field.to_owned(),
            from,
            removed: to.is_none(),
            to: to.unwrap_or_default(),
            reason: String::new(),
            fixer: String::new(),
        }
    }

    #[test]
    fn a_text_of_few_lines_keeps_its_layout() {
        let text = r#"{"prompt": {
   "1": { "class_type": "A", "inputs": { "x": "5",  "y": 2, "z": ["2", 0] } },
   "2": { "inputs": {}, "class_type": "B" }
}, "client_id": "me"}
"#;
        let edited = edited(
            text,
            &["prompt"],
            &[
                correction("1", "x", json!("5"), Some(json!(5))),
                correction("1", "y", json!(2), None),
                correction("1", "z", json!(["2", 0]), None),
                correction("1", "zed", json!(null), Some(json!(["2", 0]))),
                correction("2", "a", json!(null), Some(json!(true))),
                correction("3", "class_type", json!(null), Some(json!("C"))),
                correction("3", "inputs", json!({}), Some(json!({ "b": ["2", 1] }))),
                correction("2", "class_type", json!("B"), Some(json!("BB"))),
            ],
        );
        let expected = r#"{"prompt": {
   "1": { "class_type": "A", "inputs": { "x": 5,  "zed": ["2", 0] } },
   "2": { "inputs": { "a": true }, "class_type": "BB" },
   "3": { "class_type": "C", "inputs": { "b": ["2", 1] } }
}, "client_id": "me"}
"#;
        assert_eq!(edited.unwrap(), expected);
    }

    #[test]
    fn a_text_of_one_value_a_line_goes_on_so() {
        let nodes = json!({ "1": { "inputs": { "x": ["2", 0], "y": 1 }, "class_type": "A" } });
        let text = serde_json::to_string_pretty(&nodes).unwrap();
        let edited = edited(
            &text,
            &[],
            &[
                correction("1", "y", json!(1), None),
                correction("1", "x", json!(["2", 0]), Some(json!(["2", 1]))),
                correction("2", "class_type", json!(null), Some(json!("C"))),
                correction("2", "inputs", json!({}), Some(json!({ "b": ["1", 0] }))),
            ],
        );
        let expected = json!({
            "1": { "inputs": { "x": ["2", 1] }, "class_type": "A" },
            "2": { "class_type": "C", "inputs": { "b": ["1", 0] } },
        });
        assert_eq!(
            edited.unwrap(),
            serde_json::to_string_pretty(&expected).unwrap()
        );
    }

    #[test]
    fn what_is_not_there_can_not_be_changed() {
        let gone = [correction("1", "x", json!(5), None)];
        assert_eq!(edited("{}", &[], &gone), None);
    }
}
