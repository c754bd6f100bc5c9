//! From `/object_info` JSON to node facts, one class at a time.
//!
//! Bodies of 100 MiB exist, and most of their bulk is the same lists of files over and over.
//! So only one class at a time is held as JSON, and equal parts are kept once.
//! Custom nodes write strange things; whatever has a class's basic shape is taken as it is.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::class::{NodeClass, Output};
use super::facts::NodeFacts;
use super::input::{Dynamic, DynamicOption, Input, OPTIONS, Section};
use super::io_type::{COMBO, IoType};

/// The most inputs an autogrow row may have (`ComfyUI` cuts off at the same number).
const AUTOGROW_LIMIT: u64 = 100;

impl<'de> Deserialize<'de> for NodeFacts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FactsVisitor)
    }
}

struct FactsVisitor;

impl<'de> Visitor<'de> for FactsVisitor {
    type Value = NodeFacts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of node classes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeFacts, A::Error> {
        let mut facts = NodeFacts::default();
        let mut shared = Shared::default();
        while let Some((name, text)) = map.next_entry::<String, Box<RawValue>>()? {
            let class = serde_json::from_str(text.get()).map_err(A::Error::custom)?;
            let Value::Object(class) = class else {
                return Err(A::Error::custom(format!("class \"{name}\" is no object")));
            };
            facts.note_big_integers(text.get());
            facts.insert(shared.class(&name, class));
        }
        facts.shrink_to_fit();
        Ok(facts)
    }
}

/// What has been read so far, to be shared with what is equal to it.
#[derive(Default)]
struct Shared {
    texts: HashSet<Arc<str>>,
    lists: HashSet<Arc<[Value]>>,
    maps: HashSet<Arc<Map<String, Value>>>,
}

fn share<T: ?Sized + Eq + Hash, O: Borrow<T>>(seen: &mut HashSet<Arc<T>>, own: O) -> Arc<T>
where
    Arc<T>: From<O>,
{
    if let Some(known) = seen.get(own.borrow()) {
        return known.clone();
    }
    let new: Arc<T> = own.into();
    seen.insert(new.clone());
    new
}

impl Shared {
    fn text(&mut self, text: &str) -> Arc<str> {
        share(&mut self.texts, text.to_owned())
    }

    fn list(&mut self, list: Vec<Value>) -> Arc<[Value]> {
        share(&mut self.lists, list)
    }

    fn map(&mut self, map: Map<String, Value>) -> Arc<Map<String, Value>> {
        share(&mut self.maps, map)
    }

    fn class(&mut self, name: &str, mut class: Map<String, Value>) -> NodeClass {
        let mut text = |shared: &mut Self, key: &str| {
            let value = class.remove(key)?;
            value.as_str().map(|text| shared.text(text))
        };
        let display_name = text(self, "display_name");
        let description = text(self, "description");
        let category = text(self, "category");
        let python_module = text(self, "python_module");
        let (inputs, hidden) = match class.remove("input") {
            Some(Value::Object(mut sections)) => {
                let hidden = match sections.remove("hidden") {
                    Some(Value::Object(hidden)) => Some(self.map(hidden)),
                    _ => None,
                };
                (self.inputs(&mut sections), hidden)
            }
            _ => (Vec::new(), None),
        };
        let outputs = self.outputs(&mut class);
        let output_node = class.remove("output_node") == Some(Value::Bool(true));
        class.remove("name");
        class.remove("input_order");
        NodeClass {
            name: self.text(name),
            display_name,
            description,
            category,
            python_module,
            inputs,
            hidden,
            outputs,
            output_node,
            rest: self.map(class),
        }
    }

    /// The inputs of a class or of a dynamic input's option.
    fn inputs(&mut self, sections: &mut Map<String, Value>) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (name, section) in [
            ("required", Section::Required),
            ("optional", Section::Optional),
        ] {
            let Some(Value::Object(specs)) = sections.remove(name) else {
                continue;
            };
            for (name, spec) in specs {
                // The server, too, takes an input declared twice for the required one.
                if !inputs.iter().any(|known: &Input| known.name() == name) {
                    inputs.push(self.input(&name, section, spec));
                }
            }
        }
        inputs.shrink_to_fit();
        inputs
    }

    fn input(&mut self, name: &str, section: Section, spec: Value) -> Input {
        let (io_type, options) = match spec {
            Value::Array(parts) => {
                let mut parts = parts.into_iter();
                let options = |rest: Option<Value>| match rest {
                    Some(Value::Object(options)) => options,
                    _ => Map::new(),
                };
                (parts.next().unwrap_or_default(), options(parts.next()))
            }
            other => (other, Map::new()),
        };
        let io_type = self.io_type(io_type);
        let dynamic = match &io_type {
            IoType::Named(name) => self.dynamic(name, &options).map(Arc::new),
            IoType::Choices(_) => None,
        };
        let (choices, options) = if io_type.is(COMBO) {
            self.take_choices(options)
        } else {
            (None, options)
        };
        Input {
            name: self.text(name),
            section,
            io_type,
            choices,
            options: self.map(options),
            dynamic,
        }
    }

    /// A type that is neither a name nor a list is kept as its JSON text: it matches nothing.
    fn io_type(&mut self, value: Value) -> IoType {
        match value {
            Value::String(name) => IoType::Named(self.text(&name)),
            Value::Array(choices) => IoType::Choices(self.list(choices)),
            other => IoType::Named(self.text(&other.to_string())),
        }
    }

    fn take_choices(
        &mut self,
        mut options: Map<String, Value>,
    ) -> (Option<Arc<[Value]>>, Map<String, Value>) {
        let choices = match options.get_mut(OPTIONS) {
            Some(Value::Array(choices)) => Some(std::mem::take(choices)),
            _ => None,
        };
        let choices = choices.map(|choices| {
            options.insert(OPTIONS.to_owned(), Value::Null);
            self.list(choices)
        });
        (choices, options)
    }

    fn dynamic(&mut self, io_type: &str, options: &Map<String, Value>) -> Option<Dynamic> {
        match io_type {
            "COMFY_DYNAMICCOMBO_V3" => {
                let options = options.get(OPTIONS)?.as_array()?;
                let option = |option: &Value| {
                    let mut sections = option.get("inputs")?.as_object()?.clone();
                    Some(DynamicOption {
                        key: option.get("key")?.clone(),
                        inputs: self.inputs(&mut sections),
                    })
                };
                Some(Dynamic::Combo(options.iter().filter_map(option).collect()))
            }
            "COMFY_AUTOGROW_V3" => self.autogrow(options.get("template")?),
            "COMFY_DYNAMICSLOT_V3" => {
                let mut sections = options.get("inputs")?.as_object()?.clone();
                Some(Dynamic::Slot(self.inputs(&mut sections)))
            }
            _ => None,
        }
    }

    fn autogrow(&mut self, template: &Value) -> Option<Dynamic> {
        let mut sections = template.get("input")?.as_object()?.clone();
        let names = if let Some(names) = template.get("names") {
            names
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .map(|name| self.text(name))
                .collect()
        } else {
            let prefix = template.get("prefix")?.as_str()?;
            let max = template.get("max")?.as_u64()?.min(AUTOGROW_LIMIT);
            (0..max)
                .map(|i| self.text(&format!("{prefix}{i}")))
                .collect()
        };
        let min = template.get("min").and_then(Value::as_u64).unwrap_or(0);
        Some(Dynamic::Autogrow {
            template: self.inputs(&mut sections).into_iter().next()?,
            names,
            min: usize::try_from(min).ok()?,
        })
    }

    fn outputs(&mut self, class: &mut Map<String, Value>) -> Vec<Output> {
        let mut list = |key: &str| match class.remove(key) {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let types = list("output");
        let names = list("output_name");
        let lists = list("output_is_list");
        let output = |(slot, io_type): (usize, Value)| {
            let io_type = self.io_type(io_type);
            let name = names
                .get(slot)
                .and_then(Value::as_str)
                .unwrap_or(io_type.name());
            Output {
                name: self.text(name),
                is_list: lists.get(slot) == Some(&Value::Bool(true)),
                io_type,
            }
        };
        types.into_iter().enumerate().map(output).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> NodeFacts {
        NodeFacts::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_class_of_an_old_server_needs_only_its_basic_shape() {
        let facts = read(r#"{"Old": {"input": {}, "output": ["IMAGE", ["a", "b"]]}}"#);
        let class = facts.class("Old").unwrap();
        assert!(class.inputs().is_empty());
        assert_eq!(class.outputs()[0].name(), "IMAGE");
        assert_eq!(class.outputs()[1].io_type().name(), "COMBO");
        assert_eq!(class.display_name(), "Old");
    }

    #[test]
    fn strange_specs_of_custom_nodes_are_taken_as_they_are() {
        let facts = read(
            r#"{"Odd": {"input": {"required": {
                "nothing": [], "text": "STRING", "number": [5], "list_options": ["INT", []],
                "not_a_number": ["FLOAT", {"default": NaN, "max": Infinity}]
            }}, "output": null}}"#,
        );
        let class = facts.class("Odd").unwrap();
        let types: Vec<&str> = class
            .inputs()
            .iter()
            .map(|input| input.io_type().name())
            .collect();
        assert_eq!(types, ["null", "STRING", "5", "INT", "FLOAT"]);
        assert_eq!(class.inputs()[4].default(), Some(&Value::Null));
    }

    #[test]
    fn an_input_that_is_declared_twice_is_required() {
        let facts = read(
            r#"{"Twice": {"input": {
                "optional": {"a": ["FLOAT"]}, "required": {"a": ["INT"]}
            }, "output": []}}"#,
        );
        let [input] = facts.class("Twice").unwrap().inputs() else {
            panic!("{facts:?}");
        };
        assert!(input.is_required() && input.io_type().is("INT"));
    }

    #[test]
    fn what_is_no_object_of_classes_is_refused() {
        for body in ["[]", "null", r#"{"A": 5}"#, r#"{"error": "no"}"#, ""] {
            assert!(NodeFacts::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn both_ways_to_write_a_list_give_their_choices() {
        let facts = read(
            r#"{"C": {"input": {"required": {
                "old": [["a", 1], {}], "new": ["COMBO", {"options": ["a", 1], "multiselect": false}],
                "remote": ["COMBO", {"remote": {}}]
            }}, "output": []}}"#,
        );
        let class = facts.class("C").unwrap();
        let [old, new, remote] = class.inputs() else {
            panic!("{class:?}")
        };
        assert_eq!(old.choices(), new.choices());
        assert!(remote.is_combo() && remote.choices().is_none());
        assert_eq!(
            new.config(),
            serde_json::json!(["COMBO", { "options": ["a", 1], "multiselect": false }])
        );
    }
}
