//! Corrections in the text of a workflow, so that all else stays as its author laid it out.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::places::{Place, Places};
use crate::script::Correction;

/// The text with the corrections in it; none if a place can't be found.
///
/// Reading through a text takes long. So edits are gathered until one touches what another changes,
/// and made from the back, so that the places before them stay.
pub(super) fn edited(text: &str, wrappers: &[&str], corrections: &[Correction]) -> Option<String> {
    let mut text = text.to_owned();
    let mut rest = corrections;
    while !rest.is_empty() {
        let (edits, further) = gathered(&text, wrappers, rest)?;
        rest = further;
        for edit in edits.into_values().rev() {
            text.replace_range(edit.range, &edit.put);
        }
    }
    Some(text)
}

/// What to put where in a text.
struct Edit {
    range: Range<usize>,
    put: String,
    /// What it goes by: another edit in there is only made after it.
    scope: Range<usize>,
}

/// Edits that don't touch each other, by the beginnings of their scopes, and the corrections that are
/// left.
fn gathered<'c>(
    text: &str,
    wrappers: &[&str],
    corrections: &'c [Correction],
) -> Option<(BTreeMap<usize, Edit>, &'c [Correction])> {
    let places = Places::of(text);
    let mut edits: BTreeMap<usize, Edit> = BTreeMap::new();
    let mut rest = corrections;
    while let Some((one, further)) = rest.split_first() {
        let mut path = wrappers.to_vec();
        path.push(&one.node_id);
        let next = further.first().filter(|next| is_renaming(one, next));
        let edit = match next {
            Some(next) => rename(&places, path, one, next),
            None => change(text, &places, path, one),
        };
        let Some(edit) = edit else {
            // It may be about what another one puts there.
            return (!edits.is_empty()).then_some((edits, rest));
        };
        let before = edits.range(..edit.scope.end).next_back();
        if before.is_some_and(|(_, before)| before.scope.end > edit.scope.start) {
            return Some((edits, rest));
        }
        edits.insert(edit.scope.start, edit);
        rest = &further[usize::from(next.is_some())..];
    }
    Some((edits, rest))
}

fn rename<'p>(
    places: &Places,
    mut path: Vec<&'p str>,
    one: &'p Correction,
    next: &Correction,
) -> Option<Edit> {
    path.extend(["inputs", &one.field]);
    let key = places.get(&path)?.key.clone();
    Some(Edit {
        put: Value::from(&*next.field).to_string(),
        scope: key.clone(),
        range: key,
    })
}

/// Whether an input goes and comes back under another name.
fn is_renaming(one: &Correction, next: &Correction) -> bool {
    one.removed
        && !next.removed
        && one.node_id == next.node_id
        && next.from.is_null()
        && one.from == next.to
}

fn change<'p>(
    text: &str,
    places: &Places,
    mut path: Vec<&'p str>,
    one: &'p Correction,
) -> Option<Edit> {
    let node = path.clone();
    let is_whole = one.field == "inputs" && one.to.is_object();
    if one.field != "class_type" && !is_whole {
        path.push("inputs");
    }
    path.push(&one.field);
    match places.get(&path) {
        Some(place) if one.removed => {
            let parent = places.get(&path[..path.len() - 1])?;
            Some(Edit {
                range: entry(text, place),
                put: String::new(),
                scope: parent.value.clone(),
            })
        }
        Some(place) => {
            let style = Style::of(text, &place.value);
            Some(Edit {
                range: place.value.clone(),
                put: style.write(&one.to, style.base),
                scope: place.value.clone(),
            })
        }
        None if one.removed => None,
        None if places.get(&node).is_none() => {
            let body = serde_json::json!({ "class_type": one.to, "inputs": {} });
            insert(text, places, &node, &body)
        }
        None => insert(text, places, &path, &one.to),
    }
}

/// An entry with the comma behind it or else the one before.
fn entry(text: &str, place: &Place) -> Range<usize> {
    let behind = &text[place.value.end..];
    let blank = behind.len() - behind.trim_start().len();
    if behind[blank..].starts_with(',') {
        let next = &behind[blank + 1..];
        let blank = blank + 1 + next.len() - next.trim_start().len();
        return place.key.start..place.value.end + blank;
    }
    let before = text[..place.key.start].trim_end();
    let before = before.strip_suffix(',').unwrap_or(before);
    before.len()..place.value.end
}

/// Adds an entry behind the last one of its object, laid out as that one.
fn insert(text: &str, places: &Places, path: &[&str], value: &Value) -> Option<Edit> {
    let (name, parent) = path.split_last()?;
    let key = Value::from(*name).to_string();
    let scope = match places.get(parent) {
        Some(place) => place.value.clone(),
        // The object of all nodes, which may be the whole text.
        None if parent.is_empty() => 0..text.len(),
        None => return None,
    };
    let Some(last) = places.below(parent).pop() else {
        let place = &places.get(parent)?.value;
        let style = Style::of(text, place);
        let whole = serde_json::json!({ *name: value });
        return Some(Edit {
            range: place.clone(),
            put: style.write(&whole, style.base),
            scope,
        });
    };
    let gap = text[..last.key.start].trim_end().len()..last.key.start;
    let colon = &text[last.key.end..last.value.start];
    let style = Style::of(text, &last.value);
    let value = style.write(value, style.base);
    Some(Edit {
        range: last.value.end..last.value.end,
        put: format!(",{}{key}{colon}{value}", &text[gap]),
        scope,
    })
}

/// How values are laid out at a place.
struct Style<'t> {
    /// The blanks before the line.
    base: &'t str,
    /// The blanks of one level; none where it all stands in one line.
    unit: Option<&'t str>,
    /// Whether lists are broken into lines.
    breaks_lists: bool,
    /// How lines end.
    line_end: &'static str,
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
            breaks_lists: in_lines && (text.contains("[\n") || text.contains("[\r\n")),
            line_end: line_end(text),
        }
    }

    fn write(&self, value: &Value, base: &str) -> String {
        match value {
            Value::Array(items) if !items.is_empty() => {
                let items = |base: &str| items.iter().map(|one| self.write(one, base)).collect();
                let unit = self.unit.filter(|_| self.breaks_lists);
                self.lay_out(["[", "]"], "", unit, base, items)
            }
            Value::Object(members) if !members.is_empty() => {
                let members = |base: &str| {
                    let entry = |(name, value): (&String, &Value)| {
                        format!("{}: {}", Value::from(&**name), self.write(value, base))
                    };
                    members.iter().map(entry).collect()
                };
                self.lay_out(["{", "}"], " ", self.unit, base, members)
            }
            other => other.to_string(),
        }
    }

    /// Entries between brackets: one a line, or all in one.
    fn lay_out(
        &self,
        [open, close]: [&str; 2],
        space: &str,
        unit: Option<&str>,
        base: &str,
        entries: impl Fn(&str) -> Vec<String>,
    ) -> String {
        match unit {
            Some(unit) => {
                let end = self.line_end;
                let deeper = format!("{base}{unit}");
                let entries = entries(&deeper).join(&format!(",{end}{deeper}"));
                format!("{open}{end}{deeper}{entries}{end}{base}{close}")
            }
            None => format!("{open}{space}{}{space}{close}", entries(base).join(", ")),
        }
    }
}

/// How the lines of a text end: as its first one does.
pub(super) fn line_end(text: &str) -> &'static str {
    let first = text.split_once('\n').map_or("", |(first, _)| first);
    if first.ends_with('\r') { "\r\n" } else { "\n" }
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
    fn lines_end_as_they_do_in_the_rest_of_the_text() {
        let nodes = json!({ "1": { "inputs": { "x": ["2", 0] }, "class_type": "A" } });
        let text = serde_json::to_string_pretty(&nodes).unwrap();
        let text = text.replace('\n', "\r\n");
        let edited = edited(
            &text,
            &[],
            &[
                correction("1", "x", json!(["2", 0]), Some(json!(["2", 1]))),
                correction("2", "class_type", json!(null), Some(json!("C"))),
                correction("2", "inputs", json!({}), Some(json!({ "b": ["1", 0] }))),
            ],
        )
        .unwrap();
        assert_eq!(
            edited.matches('\n').count(),
            edited.matches("\r\n").count(),
            "{edited:?}"
        );
    }

    #[test]
    fn changes_of_changes_are_made_in_their_order() {
        let text = r#"{ "1": { "class_type": "A", "inputs": { "x": 1, "y": 2 } }, "2": {} }"#;
        let edited = edited(
            text,
            &[],
            &[
                correction("1", "x", json!(1), Some(json!("1"))),
                correction("1", "x", json!("1"), Some(json!(3))),
                correction("1", "y", json!(2), None),
                correction("1", "z", json!(null), Some(json!(4))),
                correction("1", "z", json!(4), None),
                correction("1", "zed", json!(null), Some(json!(4))),
                correction("1", "zed", json!(4), None),
                correction("2", "inputs", json!(null), Some(json!({}))),
                correction("2", "a", json!(null), Some(json!(5))),
            ],
        );
        let expected = r#"{ "1": { "class_type": "A", "inputs": { "x": 3 } }, "2": { "inputs": { "a": 5 } } }"#;
        assert_eq!(edited.unwrap(), expected);
    }

    #[test]
    fn many_changes_are_made_in_one_go() {
        let nodes: Value = (0..50)
            .map(|id| (id.to_string(), json!({ "inputs": { "x": "5", "y": 6 } })))
            .collect();
        let text = serde_json::to_string_pretty(&nodes).unwrap();
        let changes: Vec<Correction> = (0..50)
            .flat_map(|id| {
                let set = |field| correction(&id.to_string(), field, json!(0), Some(json!(7)));
                [set("x"), set("y")]
            })
            .collect();
        let (edits, rest) = gathered(&text, &[], &changes).unwrap();
        assert_eq!((edits.len(), rest.len()), (100, 0));
    }

    #[test]
    fn what_is_not_there_can_not_be_changed() {
        let gone = [correction("1", "x", json!(5), None)];
        assert_eq!(edited("{}", &[], &gone), None);
    }
}
