//! What the executor must know about a node class: its inputs, outputs and list flags, read out of
//! the class's `/object_info` entry.

use serde_json::{Map, Value as Json};

/// One declared input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputShape {
    /// The input's name.
    pub name: String,
    /// `INT`, `IMAGE`, ...; `COMBO` for every kind of choice.
    pub kind: String,
    /// What the editor would fill in.
    pub default: Option<Json>,
    /// Computed only if the node asks for it.
    pub lazy: bool,
}

/// One node class as the executor sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassShape {
    /// The class's name.
    pub name: String,
    /// Required, then optional inputs in declared order.
    pub inputs: Vec<InputShape>,
    /// Names of hidden inputs, such as `unique_id`.
    pub hidden: Vec<String>,
    /// The type of every output slot.
    pub outputs: Vec<String>,
    /// The name of every output slot.
    pub output_names: Vec<String>,
    /// Which output slots are lists whose members flow one by one.
    pub output_is_list: Vec<bool>,
    /// Takes whole lists instead of being called once per member.
    pub takes_lists: bool,
    /// Has an effect of its own, so that it is worth executing for itself.
    pub is_output: bool,
    /// Shows its cached result again in runs that don't execute it.
    pub has_intermediate_output: bool,
}

impl ClassShape {
    /// Reads a class's entry of `/object_info`; what is missing counts as empty.
    #[must_use]
    pub fn from_object_info(name: &str, info: &Json) -> Self {
        let section = |name: &str| info["input"][name].as_object();
        let inputs = ["required", "optional"]
            .into_iter()
            .filter_map(section)
            .flatten()
            .map(|(name, spec)| input(name, spec))
            .collect();
        let outputs: Vec<String> = strings(&info["output"]);
        let mut output_names = strings(&info["output_name"]);
        output_names.resize(outputs.len(), String::new());
        let mut output_is_list: Vec<bool> = info["output_is_list"]
            .as_array()
            .map(|flags| flags.iter().map(|flag| flag == true).collect())
            .unwrap_or_default();
        output_is_list.resize(outputs.len(), false);
        Self {
            name: name.to_owned(),
            inputs,
            hidden: section("hidden")
                .map(Map::keys)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            outputs,
            output_names,
            output_is_list,
            takes_lists: info["is_input_list"] == true,
            is_output: info["output_node"] == true,
            has_intermediate_output: info["has_intermediate_output"] == true,
        }
    }

    /// The declaration of one input.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&InputShape> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// Whether any declared input has this type.
    #[must_use]
    pub fn takes(&self, kind: &str) -> bool {
        self.inputs.iter().any(|input| input.kind == kind)
    }
}

fn input(name: &str, spec: &Json) -> InputShape {
    let options = &spec[1];
    let choices = spec[0].as_array().or_else(|| options["options"].as_array());
    let default = options.get("default").or_else(|| choices?.first());
    InputShape {
        name: name.to_owned(),
        kind: spec[0].as_str().unwrap_or("COMBO").to_owned(),
        default: default.cloned(),
        lazy: options["lazy"] == true,
    }
}

fn strings(value: &Json) -> Vec<String> {
    let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .map(|entry| entry.as_str().unwrap_or("COMBO").to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_is_read_with_its_list_flags_and_lazy_inputs() {
        let shape = ClassShape::from_object_info(
            "Switch",
            &json!({
                "input": {
                    "required": { "on": ["BOOLEAN", {"default": true}], "a": ["IMAGE", {"lazy": true}] },
                    "optional": { "mode": [["first", "second"], {}] },
                    "hidden": { "unique_id": "UNIQUE_ID" },
                },
                "output": ["IMAGE", ["x", "y"]],
                "output_is_list": [true],
                "output_node": true,
            }),
        );
        assert_eq!(shape.outputs, ["IMAGE", "COMBO"]);
        assert_eq!(shape.output_is_list, [true, false]);
        assert!(shape.input("a").unwrap().lazy);
        assert_eq!(shape.input("mode").unwrap().default, Some(json!("first")));
        assert_eq!(shape.hidden, ["unique_id"]);
        assert!(shape.is_output && !shape.takes_lists);
    }
}
