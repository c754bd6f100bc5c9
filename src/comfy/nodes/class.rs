//! One node class of a server.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::input::{Input, Section};
use super::io_type::IoType;

/// What a server tells about a node class.
#[derive(Clone, Debug)]
pub struct NodeClass {
    pub(super) name: Arc<str>,
    pub(super) display_name: Option<Arc<str>>,
    pub(super) description: Option<Arc<str>>,
    pub(super) category: Option<Arc<str>>,
    pub(super) python_module: Option<Arc<str>>,
    pub(super) inputs: Vec<Input>,
    pub(super) hidden: Option<Arc<Map<String, Value>>>,
    pub(super) outputs: Vec<Output>,
    pub(super) output_node: bool,
    /// Whatever else the server tells, shared between classes that tell the same.
    pub(super) rest: Arc<Map<String, Value>>,
}

/// One output slot.
#[derive(Clone, Debug)]
pub struct Output {
    pub(super) io_type: IoType,
    pub(super) name: Arc<str>,
    pub(super) is_list: bool,
}

impl Output {
    /// What it gives.
    #[must_use]
    pub fn io_type(&self) -> &IoType {
        &self.io_type
    }

    /// The name that editors show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it gives a list, on which the nodes behind it run once per item.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.is_list
    }
}

impl NodeClass {
    /// The `class_type` of a prompt's node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The title that editors show; the class's name if it has none.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }

    /// What the node does, in the words of its author; often empty.
    #[must_use]
    pub fn description(&self) -> &str {
        self.description.as_deref().unwrap_or_default()
    }

    /// The menu under which editors show it, with `/` between the levels.
    #[must_use]
    pub fn category(&self) -> &str {
        self.category.as_deref().unwrap_or_default()
    }

    /// Where it comes from: `nodes`, `comfy_extras.…`, `comfy_api_nodes.…` or `custom_nodes.…`.
    #[must_use]
    pub fn python_module(&self) -> &str {
        self.python_module.as_deref().unwrap_or_default()
    }

    /// Whether somebody else than `ComfyUI` itself wrote it.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.python_module().starts_with("custom_nodes")
    }

    /// The declared inputs in their order: the required ones, then the optional ones.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The declared input of that name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name() == name)
    }

    /// Whether the server itself fills in an input of that name, whatever is given.
    #[must_use]
    pub fn has_hidden(&self, name: &str) -> bool {
        let hidden = self.hidden.as_ref();
        hidden.is_some_and(|hidden| hidden.contains_key(name))
    }

    /// The outputs by slot.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether the server runs it for its own sake; every prompt needs one such node.
    #[must_use]
    pub fn is_output_node(&self) -> bool {
        self.output_node
    }

    /// Whether running it calls a paid service.
    #[must_use]
    pub fn is_api_node(&self) -> bool {
        self.flag("api_node")
    }

    /// Whether its authors advise against using it.
    #[must_use]
    pub fn is_deprecated(&self) -> bool {
        self.flag("deprecated")
    }

    /// Whether its authors may still change it.
    #[must_use]
    pub fn is_experimental(&self) -> bool {
        self.flag("experimental")
    }

    /// Whether it is written against the newer of the server's two interfaces for node authors.
    /// Only such classes tell all three of these flags, and always do.
    #[must_use]
    pub fn is_v3(&self) -> bool {
        ["api_node", "deprecated", "experimental"]
            .iter()
            .all(|flag| self.fact(flag).is_some())
    }

    /// Other words under which people look for it (servers from 0.11 on).
    pub fn search_aliases(&self) -> impl Iterator<Item = &str> {
        let aliases = self.rest.get("search_aliases").and_then(Value::as_array);
        aliases.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Any other fact by the name it has in `/object_info`, such as `price_badge`.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&Value> {
        self.rest.get(name)
    }

    fn flag(&self, name: &str) -> bool {
        self.fact(name) == Some(&Value::Bool(true))
    }

    /// What the server answers about it at `/object_info`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut input = Map::new();
        let mut order = Map::new();
        for (section, name) in [
            (Section::Required, "required"),
            (Section::Optional, "optional"),
        ] {
            let declared: Vec<&Input> = self
                .inputs
                .iter()
                .filter(|input| input.section() == section)
                .collect();
            if declared.is_empty() && section == Section::Optional {
                continue;
            }
            let names: Vec<&str> = declared.iter().map(|input| input.name()).collect();
            order.insert(name.to_owned(), json!(names));
            let specs: Map<String, Value> = declared
                .iter()
                .map(|input| (input.name().to_owned(), input.config()))
                .collect();
            input.insert(name.to_owned(), specs.into());
        }
        if let Some(hidden) = &self.hidden {
            order.insert("hidden".to_owned(), hidden.keys().cloned().collect());
            input.insert("hidden".to_owned(), (**hidden).clone().into());
        }
        let outputs = || self.outputs.iter();
        let mut class = json!({
            "input": input,
            "input_order": order,
            "output": outputs().map(|output| output.io_type.to_json()).collect::<Value>(),
            "output_is_list": outputs().map(Output::is_list).collect::<Value>(),
            "output_name": outputs().map(Output::name).collect::<Value>(),
            "name": self.name(),
            "display_name": self.display_name.as_deref(),
            "description": self.description(),
            "python_module": self.python_module.as_deref(),
            "category": self.category(),
            "output_node": self.output_node,
        });
        for (name, fact) in &*self.rest {
            class[name] = fact.clone();
        }
        class
    }
}
