//! Workflows with something wrong, made of right ones by chance.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// One thing done to a workflow: what, to which node and input, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutation {
    what: What,
    node: usize,
    input: usize,
    how: usize,
}

#[derive(Clone, Copy, Debug)]
enum What {
    DropInput,
    ChangeType,
    MisspellClass,
    MisspellInput,
    ShiftNumber,
    LoseLink,
    MissSlot,
    Relink,
    NumberId,
    RenameFile,
    AddInput,
    DropNode,
    DropInputs,
    Nonsense,
    MisspellText,
}

const ALL: [What; 15] = [
    What::DropInput,
    What::ChangeType,
    What::MisspellClass,
    What::MisspellInput,
    What::ShiftNumber,
    What::LoseLink,
    What::MissSlot,
    What::Relink,
    What::NumberId,
    What::RenameFile,
    What::AddInput,
    What::DropNode,
    What::DropInputs,
    What::Nonsense,
    What::MisspellText,
];

/// Any one of them.
pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    (
        prop::sample::select(&ALL[..]),
        0..1000_usize,
        0..1000_usize,
        0..1000_usize,
    )
        .prop_map(|(what, node, input, how)| Mutation {
            what,
            node,
            input,
            how,
        })
}

impl Mutation {
    /// Does it, if the node has something to do it to.
    pub(crate) fn apply(self, nodes: &mut Value) -> Option<()> {
        let how = self.how;
        let ids: Vec<String> = nodes.as_object()?.keys().cloned().collect();
        let id = pick(&ids, self.node)?;
        let other = pick(&ids, how)?;
        match self.what {
            What::DropNode => {
                nodes.as_object_mut()?.shift_remove(id);
            }
            What::DropInputs => {
                nodes[id].as_object_mut()?.shift_remove("inputs");
            }
            What::MisspellClass => {
                let class = misspelt(nodes[id]["class_type"].as_str()?, how);
                nodes[id]["class_type"] = class.into();
            }
            _ => self.on_input(nodes[id].get_mut("inputs")?.as_object_mut()?, other)?,
        }
        Some(())
    }

    fn on_input(self, inputs: &mut Map<String, Value>, other: &str) -> Option<()> {
        let how = self.how;
        let fits = |value: &Value| match self.what {
            What::LoseLink | What::MissSlot | What::Relink | What::NumberId => value.is_array(),
            What::ShiftNumber => value.is_number(),
            What::ChangeType => !value.is_array(),
            What::RenameFile => value
                .as_str()
                .is_some_and(|text| text.ends_with(".safetensors")),
            What::MisspellText => value.is_string(),
            _ => true,
        };
        let names = inputs.iter().filter(|(_, value)| fits(value));
        let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        if matches!(self.what, What::AddInput) {
            inputs.insert(format!("extra_{}", how % 3), json!(how));
            return Some(());
        }
        let name = pick(&names, self.input)?;
        let value = inputs[name].clone();
        let new = match self.what {
            What::DropInput => {
                inputs.shift_remove(name);
                return Some(());
            }
            What::MisspellInput => {
                inputs.shift_remove(name);
                inputs.insert(misspelt(name, how), value);
                return Some(());
            }
            What::ChangeType => match &value {
                Value::String(text) => json!(text.len()),
                other => json!(other.to_string()),
            },
            What::ShiftNumber => {
                let shifts = [-1.0, 0.0, 0.37, 1.001, 3.0, 1e6, 1e19];
                let shifted = value.as_f64()? * shifts[how % shifts.len()];
                #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
                let whole = json!((shifted as i64).wrapping_add(1));
                if value.is_f64() {
                    json!(shifted)
                } else {
                    whole
                }
            }
            What::LoseLink => json!(["lost", how % 3]),
            What::MissSlot => {
                let slots = [json!(-1), json!(7), json!("0"), json!(0.0), json!(1)];
                json!([value[0], slots[how % slots.len()]])
            }
            What::Relink => json!([other, how % 3]),
            What::NumberId => json!([value[0].as_str()?.parse::<u64>().ok()?, value[1]]),
            What::RenameFile => renamed(value.as_str()?, how).into(),
            What::MisspellText => misspelt(value.as_str()?, how).into(),
            _ => [
                json!(null),
                json!({}),
                json!([]),
                json!([1, 2, 3]),
                json!(true),
            ][how % 5]
                .clone(),
        };
        inputs[name] = new;
        Some(())
    }
}

fn pick(names: &[String], number: usize) -> Option<&String> {
    names.get(number.checked_rem(names.len())?)
}

/// A letter doubled, left out, or exchanged with the next, or all in small letters.
fn misspelt(word: &str, how: usize) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let Some(at) = (how / 4).checked_rem(letters.len()) else {
        return "x".to_owned();
    };
    match how % 4 {
        0 => letters.insert(at, letters[at]),
        1 if letters.len() > 1 => {
            letters.remove(at);
        }
        2 if at + 1 < letters.len() => letters.swap(at, at + 1),
        _ => return word.to_lowercase() + "_",
    }
    letters.into_iter().collect()
}

fn renamed(file: &str, how: usize) -> String {
    let stem = file.trim_end_matches(".safetensors");
    match how % 6 {
        0 => format!("sub\\{file}"),
        1 => format!("{stem}.ckpt"),
        2 => file.to_uppercase(),
        3 => format!("{stem}_fp8_e4m3fn.safetensors"),
        4 => format!("{stem}_v2.safetensors"),
        _ => format!("a/b/{}", file.replace('_', "-")),
    }
}
