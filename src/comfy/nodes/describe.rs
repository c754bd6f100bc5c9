//! A node class in few words, for those who pay for each.

use serde_json::{Map, Value, json};

use super::class::{NodeClass, Output};
use super::input::{Dynamic, Input};

/// How many choices of a list are told unless all are wanted.
const CHOICES: usize = 12;

impl NodeClass {
    /// What matters for choosing it: title, category, what must be given or linked, what comes
    /// out. The type of an input that may be left out ends in `?`.
    #[must_use]
    pub fn brief(&self) -> Value {
        let mut brief = self.heading();
        let inputs = self.inputs().iter();
        let matters = inputs.filter(|input| input.is_required() || !input.is_widget());
        let inputs: Map<String, Value> = matters
            .map(|input| {
                let optional = if input.is_required() { "" } else { "?" };
                let ty = format!("{}{optional}", type_word(input));
                (input.name().to_owned(), ty.into())
            })
            .collect();
        brief.insert("inputs".to_owned(), inputs.into());
        brief.insert("outputs".to_owned(), self.output_types());
        brief.into()
    }

    /// Every input with its type, range and default; long lists of choices are cut and counted
    /// unless the description has to be `full`, which tells everything the server does.
    #[must_use]
    pub fn details(&self, full: bool) -> Value {
        let mut all = self.heading();
        if !self.description().is_empty() {
            all.insert("description".to_owned(), self.description().into());
        }
        let inputs: Map<String, Value> = self
            .inputs()
            .iter()
            .map(|input| (input.name().to_owned(), describe(input, full)))
            .collect();
        all.insert("inputs".to_owned(), inputs.into());
        all.insert("outputs".to_owned(), self.output_types());
        let names: Vec<&str> = self.outputs().iter().map(Output::name).collect();
        all.insert("output_names".to_owned(), json!(names));
        if self.is_output_node() {
            all.insert("output_node".to_owned(), true.into());
        }
        if full {
            all.insert("python_module".to_owned(), self.python_module().into());
        }
        all.into()
    }

    fn heading(&self) -> Map<String, Value> {
        let mut heading = Map::new();
        heading.insert("name".to_owned(), self.name().into());
        if self.display_name() != self.name() {
            heading.insert("display_name".to_owned(), self.display_name().into());
        }
        heading.insert("category".to_owned(), self.category().into());
        for (flag, is) in [
            ("deprecated", self.is_deprecated()),
            ("experimental", self.is_experimental()),
            ("paid_api", self.is_api_node()),
        ] {
            if is {
                heading.insert(flag.to_owned(), true.into());
            }
        }
        heading
    }

    fn output_types(&self) -> Value {
        let types = self.outputs().iter();
        types.map(|output| plain(output.io_type().name())).collect()
    }
}

/// The type as it is to be read; a row of inputs ends in `...`.
fn type_word(input: &Input) -> String {
    match input.dynamic() {
        Some(Dynamic::Autogrow { template, .. }) => format!("{}...", type_word(template)),
        Some(Dynamic::Combo(_)) => "COMBO".to_owned(),
        _ => plain(input.io_type().name()).to_owned(),
    }
}

/// The server's name for "of the same type as another input" means any type to a reader.
fn plain(name: &str) -> &str {
    match name {
        "COMFY_MATCHTYPE_V3" => "*",
        name => name,
    }
}

fn describe(input: &Input, full: bool) -> Value {
    let mut told = Map::new();
    told.insert("type".to_owned(), type_word(input).into());
    if !input.is_required() {
        told.insert("optional".to_owned(), true.into());
    }
    for option in ["default", "min", "max", "step"] {
        let value = input.option(option).filter(|value| !value.is_null());
        if let Some(value) = value {
            told.insert(option.to_owned(), value.clone());
        }
    }
    if let Some(choices) = input.choices() {
        tell_choices(&mut told, choices.to_vec(), full);
    }
    match input.dynamic() {
        Some(Dynamic::Combo(options)) => {
            tell_choices(
                &mut told,
                options.iter().map(|option| option.key.clone()).collect(),
                true,
            );
            let brings: Map<String, Value> = options
                .iter()
                .map(|option| (word(&option.key), parts(&option.inputs, full)))
                .collect();
            told.insert("brings".to_owned(), brings.into());
        }
        Some(Dynamic::Autogrow { names, min, .. }) => {
            told.insert("at_least".to_owned(), (*min).into());
            told.insert("at_most".to_owned(), names.len().into());
            let first = names.first().map(|name| format!("{}.{name}", input.name()));
            told.insert("first".to_owned(), json!(first));
        }
        Some(Dynamic::Slot(inputs)) => {
            told.insert("brings".to_owned(), parts(inputs, full));
        }
        None => {}
    }
    if full && let Some(options) = input.config()[1].as_object() {
        for (name, value) in options {
            if !told.contains_key(name) && name != "options" && name != "template" {
                told.insert(name.clone(), value.clone());
            }
        }
    }
    told.into()
}

fn parts(inputs: &[Input], full: bool) -> Value {
    inputs
        .iter()
        .map(|input| (input.name().to_owned(), describe(input, full)))
        .collect()
}

fn tell_choices(told: &mut Map<String, Value>, mut choices: Vec<Value>, full: bool) {
    let total = choices.len();
    if !full && total > CHOICES {
        choices.truncate(CHOICES);
        told.insert("choices".to_owned(), choices.into());
        told.insert("choices_total".to_owned(), total.into());
    } else {
        told.insert("choices".to_owned(), choices.into());
    }
}

fn word(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use crate::comfy::nodes::NodeFacts;
    use serde_json::json;

    #[test]
    fn a_hit_tells_what_has_to_be_given_and_linked() {
        let facts = NodeFacts::bundled();
        assert_eq!(
            facts.class("WanImageToVideo").unwrap().brief(),
            json!({
                "name": "WanImageToVideo",
                "category": "model/conditioning/wan",
                "inputs": {
                    "positive": "CONDITIONING", "negative": "CONDITIONING", "vae": "VAE",
                    "width": "INT", "height": "INT", "length": "INT", "batch_size": "INT",
                    "clip_vision_output": "CLIP_VISION_OUTPUT?", "start_image": "IMAGE?",
                },
                "outputs": ["CONDITIONING", "CONDITIONING", "LATENT"],
            })
        );
    }

    #[test]
    fn long_lists_are_cut_and_counted_unless_all_is_wanted() {
        let facts = NodeFacts::bundled();
        let sampler = facts.class("KSampler").unwrap();
        let short = sampler.details(false);
        let input = &short["inputs"]["sampler_name"];
        assert_eq!(input["choices"].as_array().unwrap().len(), 12);
        let total = input["choices_total"].as_u64().unwrap();
        assert_eq!(
            short["inputs"]["seed"],
            json!({ "type": "INT", "default": 0, "min": 0, "max": u64::MAX })
        );
        let full = sampler.details(true);
        let input = &full["inputs"]["sampler_name"];
        assert_eq!(input["choices"].as_array().unwrap().len() as u64, total);
        assert!(input.get("choices_total").is_none());
    }

    #[test]
    fn inputs_that_stand_for_several_say_so() {
        let facts = NodeFacts::bundled();
        let class = facts.class("TextEncodeJoyImageEdit").unwrap();
        assert_eq!(class.brief()["inputs"]["images"], "IMAGE...?");
    }
}
