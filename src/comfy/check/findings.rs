//! What is wrong with each input of each node, with what a fixer needs to know of it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::comfy::model_name::{is_model_file, same_among};
use crate::comfy::nodes::{Input, NodeClass, NodeFacts, model_folder};
use crate::comfy::validate::{Rules, expand, replacement};
use crate::comfy::{Node, Workflow};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The node.
    pub node_id: String,
    /// Its class; empty if it has none.
    pub class_type: String,
    /// The input, or `class_type`.
    pub field: String,
    /// What kind of thing.
    pub fault: Fault,
    /// What stands there; null if nothing does.
    pub value: Value,
    /// What could be meant; null if nothing is near enough.
    pub suggestion: Value,
}

/// What can be wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The server has no such class.
    UnknownClass,
    /// A link is written with a number for the node's id, or text for the slot.
    LinkForm,
    /// A required input is not there.
    MissingInput,
    /// A value of another type, such as `"20"` for 20.
    WrongType,
    /// A number below the least or above the greatest allowed.
    OutOfRange,
    /// A whole number between the steps that the node works with.
    OffStep,
    /// Not among the choices.
    NotAChoice,
    /// Something for which there is no remedy: a link to nowhere or of the wrong kind.
    BrokenLink,
}

impl Fault {
    /// How bad it is: an unknown class hides whatever else is wrong with its node, and a number
    /// between the steps is still accepted.
    #[must_use]
    pub fn weight(self) -> u64 {
        match self {
            Self::UnknownClass => 1000,
            Self::OffStep => 1,
            _ => 10,
        }
    }
}

/// Everything that is wrong, node by node.
#[must_use]
pub fn findings(facts: &NodeFacts, rules: &Rules, workflow: &Workflow) -> Vec<Finding> {
    let mut found = vec![];
    for node in workflow.nodes() {
        let class_type = node.class_type().unwrap_or_default();
        let mut finder = Finder {
            facts,
            workflow,
            node,
            class_type,
            found: &mut found,
        };
        match facts.class(class_type) {
            Some(class) => finder.inputs(class, rules),
            None if replacement(class_type).is_some() => {}
            None => {
                let suggestion =
                    json!(facts.nearest(class_type).filter(|_| !class_type.is_empty()));
                finder.add(
                    "class_type",
                    Fault::UnknownClass,
                    json!(class_type),
                    suggestion,
                );
            }
        }
    }
    found
}

struct Finder<'a> {
    facts: &'a NodeFacts,
    workflow: &'a Workflow,
    node: Node<'a>,
    class_type: &'a str,
    found: &'a mut Vec<Finding>,
}

impl Finder<'_> {
    fn add(&mut self, field: &str, fault: Fault, value: Value, suggestion: Value) {
        self.found.push(Finding {
            node_id: self.node.id.to_owned(),
            class_type: self.class_type.to_owned(),
            field: field.to_owned(),
            fault,
            value,
            suggestion,
        });
    }

    fn inputs(&mut self, class: &NodeClass, rules: &Rules) {
        let empty = json!({});
        let given = self.node.body().get("inputs").unwrap_or(&empty);
        let Ok(expanded) = expand(class, given, rules) else {
            return;
        };
        for declared in &expanded.inputs {
            let name = &*declared.name;
            match given.get(name) {
                None if declared.required => {
                    let default = default_of(declared.input, self.class_type);
                    self.add(name, Fault::MissingInput, Value::Null, default);
                }
                None => {}
                Some(value) => self.input(name, declared.input, value),
            }
        }
    }

    fn input(&mut self, name: &str, input: &Input, value: &Value) {
        if let Value::Array(items) = value {
            match &items[..] {
                [node, slot] => self.link(name, value, node, slot),
                _ if input.is_widget() => {}
                _ => self.add(name, Fault::BrokenLink, value.clone(), Value::Null),
            }
        } else if input.is_combo() {
            self.choice(name, input, value);
        } else if input.io_type().is("INT") || input.io_type().is("FLOAT") {
            self.number(name, input, value);
        } else if input.io_type().is("BOOLEAN") && !value.is_boolean() {
            let meant = match value.as_str().map(str::to_lowercase).as_deref() {
                Some("true" | "yes" | "on" | "1") => json!(true),
                Some("false" | "no" | "off" | "0") => json!(false),
                _ if value.is_number() => json!(value.as_f64() != Some(0.0)),
                _ => Value::Null,
            };
            self.add(name, Fault::WrongType, value.clone(), meant);
        } else if !input.is_widget() {
            self.add(name, Fault::BrokenLink, value.clone(), Value::Null);
        }
    }

    fn link(&mut self, name: &str, value: &Value, node: &Value, slot: &Value) {
        let id = match node {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        };
        let number = match slot {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        let target = id.as_deref().and_then(|id| self.workflow.node(id));
        match (id, number, target) {
            (Some(_), Some(number), Some(target)) if self.has_slot(target, number) => {
                if !node.is_string() || !slot.is_u64() {
                    let meant = json!([target.id, number]);
                    self.add(name, Fault::LinkForm, value.clone(), meant);
                }
            }
            _ => self.add(name, Fault::BrokenLink, value.clone(), Value::Null),
        }
    }

    /// Nothing is said of nodes that are themselves unknown.
    fn has_slot(&self, target: Node<'_>, slot: u64) -> bool {
        let class = target
            .class_type()
            .and_then(|class| self.facts.class(class));
        class.is_none_or(|class| {
            usize::try_from(slot).is_ok_and(|slot| slot < class.outputs().len())
        })
    }

    fn number(&mut self, name: &str, input: &Input, value: &Value) {
        let is_int = input.io_type().is("INT");
        let Some(number) = value.as_f64() else {
            let read = value.as_str().and_then(|text| numeric(text.trim(), is_int));
            return self.add(name, Fault::WrongType, value.clone(), json!(read));
        };
        let out = |bound: Option<&Value>, beyond: fn(f64, f64) -> bool| {
            bound
                .filter(|bound| bound.as_f64().is_some_and(|bound| beyond(number, bound)))
                .cloned()
        };
        let bound = out(input.min(), |number, least| number < least)
            .or_else(|| out(input.max(), |number, most| number > most));
        if let Some(bound) = bound {
            return self.add(name, Fault::OutOfRange, value.clone(), bound);
        }
        let whole = |value: Option<&Value>| value.and_then(Value::as_i64);
        if let (true, Some(value), Some(step)) = (is_int, value.as_i64(), whole(input.step())) {
            let least = whole(input.min()).unwrap_or(0);
            let over = (value - least).rem_euclid(step.max(1));
            if over != 0 {
                self.add(name, Fault::OffStep, json!(value), json!(value - over));
            }
        }
    }

    fn choice(&mut self, name: &str, input: &Input, value: &Value) {
        let Some(choices) = input.choices() else {
            return;
        };
        if choices.contains(value) || input.is_upload() || input.flag("multiselect") {
            return;
        }
        let names = || choices.iter().filter_map(Value::as_str);
        let meant = value.as_str().and_then(|text| {
            let is_file = model_folder(self.class_type, name).is_some() || is_model_file(text);
            if is_file {
                // Another model would be another picture.
                same_among(text, names()).map(str::to_owned)
            } else {
                nearest_choice(text, names())
            }
        });
        self.add(name, Fault::NotAChoice, value.clone(), json!(meant));
    }
}

/// The choice in other letters or with a slip, if only one is that near.
fn nearest_choice<'a>(
    text: &str,
    choices: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let wanted = plain(text);
    let same = choices.clone().find(|choice| plain(choice) == wanted);
    let ranked = || {
        let mut ranked: Vec<(usize, &str)> = choices
            .map(|choice| (strsim::damerau_levenshtein(&plain(choice), &wanted), choice))
            .collect();
        ranked.sort_by_key(|(distance, _)| *distance);
        match &ranked[..] {
            [(one, choice), (two, _), ..] if one < two && *one <= 1 + wanted.len() / 8 => {
                Some(*choice)
            }
            _ => None,
        }
    };
    same.or_else(ranked).map(str::to_owned)
}

/// What an editor would fill in. A list's first entry is its default, but not a list of files.
fn default_of(input: &Input, class_type: &str) -> Value {
    if !input.is_widget() {
        return Value::Null;
    }
    let first = || {
        let is_files = model_folder(class_type, input.name()).is_some() || input.is_upload();
        let first = input.choices().filter(|_| !is_files)?.first()?;
        let is_file = first.as_str().is_some_and(is_model_file);
        (!is_file).then(|| first.clone())
    };
    input.default().cloned().or_else(first).unwrap_or_default()
}

fn numeric(text: &str, is_int: bool) -> Option<Value> {
    if let Ok(whole) = text.parse::<u64>() {
        return Some(json!(whole));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(json!(whole));
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    (!is_int).then(|| json!(float))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::default_models;

    fn found(nodes: Value) -> Vec<(String, Fault, Value)> {
        let facts = (*NodeFacts::bundled())
            .clone()
            .with_model_files(&default_models());
        let workflow = Workflow::from_json(nodes).unwrap();
        findings(&facts, &Rules::default(), &workflow)
            .into_iter()
            .map(|one| (one.field, one.fault, one.suggestion))
            .collect()
    }

    #[test]
    fn values_of_the_wrong_form_are_found_with_what_is_meant() {
        let nodes = json!({
            "1": { "class_type": "EmptyLatentImage",
                "inputs": { "width": "512", "height": 5, "batch_size": 1 } },
            "2": { "class_type": "KSamplerSelect", "inputs": { "sampler_name": "Eular" } },
            "3": { "class_type": "UNETLoader", "inputs": {
                "unet_name": "flux/FLUX1-dev.sft", "weight_dtype": "default" } },
            "4": { "class_type": "KSampller", "inputs": {} },
            "5": { "class_type": "LatentUpscaleBy", "inputs": { "samples": [1, "0"], "scale_by": 1.5 } },
        });
        assert_eq!(
            found(nodes),
            [
                ("width".into(), Fault::WrongType, json!(512)),
                ("height".into(), Fault::OutOfRange, json!(16)),
                ("sampler_name".into(), Fault::NotAChoice, json!("euler")),
                (
                    "unet_name".into(),
                    Fault::NotAChoice,
                    json!("flux1-dev.safetensors")
                ),
                ("class_type".into(), Fault::UnknownClass, json!("KSampler")),
                ("samples".into(), Fault::LinkForm, json!(["1", 0])),
                (
                    "upscale_method".into(),
                    Fault::MissingInput,
                    json!("nearest-exact")
                ),
            ]
        );
    }

    #[test]
    fn another_model_is_never_suggested() {
        let nodes = json!({ "1": { "class_type": "CheckpointLoaderSimple",
            "inputs": { "ckpt_name": "sd_xl_base_0.9.safetensors" } } });
        assert_eq!(
            found(nodes),
            [("ckpt_name".into(), Fault::NotAChoice, Value::Null)]
        );
    }
}
