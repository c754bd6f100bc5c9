//! What a script says about itself: title, description, parameters.
//!
//! A script declares with plain calls at its top:
//!
//! ```rhai
//! title("Text to image with Stable Diffusion 3");
//! about("Paints one picture from a prompt.");
//! param("PROMPT", "string", #{ required: true, about: "What the picture shows" });
//! param("STEPS", "int", #{ value: 28, min: 1, max: 150, about: "Sampling steps" });
//! ```
//!
//! From this one declaration come the MCP input schema ([`Declaration::schema`]), the check of the
//! arguments ([`super::arguments`]), the defaults, the command line's help and the docs.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::InputSchema;

/// Everything that a script says about itself, in the order in which it says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Declaration {
    /// One line for people.
    pub title: String,
    /// What it does and gives, for the agent or person that chooses among scripts.
    pub about: String,
    /// The parameters in their order.
    pub params: Vec<Param>,
    /// The schema of all arguments, where it takes the place of parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<InputSchema>,
    /// Further facts by name, such as `model`, `type` and `tags` of a template, or the
    /// annotations of a tool (`read_only`, `destructive`, `idempotent`).
    pub meta: Map<String, Value>,
}

/// One declared parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Param {
    /// The name; templates write theirs in capitals.
    pub name: String,
    /// What values it takes.
    #[serde(rename = "type")]
    pub ty: Type,
    /// What it means, for the one who sets it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Whether it must be given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Whether null is a value of its own. A nullable parameter that is not given is missing from
    /// what the script gets, so that the two can be told apart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// Whether an object takes the arguments that are not declared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rest: bool,
    /// What it is when not given; null without one.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub default: Value,
    /// The least allowed value of a number, or the least length of a string or list.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bound")]
    pub min: Option<f64>,
    /// The greatest allowed value of a number, or the greatest length of a string or list.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bound")]
    pub max: Option<f64>,
    /// A number is `min` (or 0) plus a multiple of this.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bound")]
    pub step: Option<f64>,
    /// The only allowed values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// For a model file: the folder below `models/` in which it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// What completes it while it is typed.
    #[serde(skip)]
    pub complete: Option<CompletionSource>,
}

/// Where the values come from that complete what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionSource {
    /// The names of templates.
    Templates,
    /// The names of scripts, of one kind if the parameter `kind` says so.
    Scripts,
    /// The classes of nodes.
    Nodes,
    /// Model files, of one folder if the parameter has one or the parameter `folder` says so.
    Models,
    /// The folders of model files.
    ModelFolders,
    /// The ids of the newest assets.
    Assets,
}

impl CompletionSource {
    /// All sources, as they are documented.
    pub const ALL: [Self; 6] = [
        Self::Templates,
        Self::Scripts,
        Self::Nodes,
        Self::Models,
        Self::ModelFolders,
        Self::Assets,
    ];

    /// The word by which declarations name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Templates => "templates",
            Self::Scripts => "scripts",
            Self::Nodes => "nodes",
            Self::Models => "models",
            Self::ModelFolders => "model_folders",
            Self::Assets => "assets",
        }
    }
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number; whole ones become `1.0`.
    Float,
    /// A number as it is given: `1` stays `1`, as editors write it where `1.5` would do as well.
    Number,
    /// True or false.
    Bool,
    /// A seed, 0 to 2^64-1, as `ComfyUI`'s samplers take it; also as a text of digits, for languages
    /// whose numbers end earlier.
    Seed,
    /// The name of a picture in `ComfyUI`'s input folder.
    Image,
    /// The name of a clip in `ComfyUI`'s input folder.
    Video,
    /// The name of a sound in `ComfyUI`'s input folder.
    Audio,
    /// A model file as `ComfyUI` lists it.
    Model,
    /// A workflow in API format.
    Workflow,
    /// An object.
    Object,
    /// A list.
    Array,
    /// Anything.
    Any,
}

impl Type {
    /// All types, as they are documented.
    pub const ALL: [Self; 14] = [
        Self::String,
        Self::Int,
        Self::Float,
        Self::Number,
        Self::Bool,
        Self::Seed,
        Self::Image,
        Self::Video,
        Self::Audio,
        Self::Model,
        Self::Workflow,
        Self::Object,
        Self::Array,
        Self::Any,
    ];

    /// The word by which declarations name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Seed => "seed",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Model => "model",
            Self::Workflow => "workflow",
            Self::Object => "object",
            Self::Array => "array",
            Self::Any => "any",
        }
    }

    /// What a value of it is, as a sentence about the argument says it.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "a whole number",
            Self::Float | Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Seed => "a whole number from 0 to 18446744073709551615",
            Self::Image => "the name of an uploaded picture",
            Self::Video => "the name of an uploaded video",
            Self::Audio => "the name of an uploaded sound",
            Self::Model => "the name of a model file",
            Self::Workflow => "a workflow in API format",
            Self::Object => "an object",
            Self::Array => "a list",
            Self::Any => "any value",
        }
    }

    /// Whether its values are text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::String | Self::Image | Self::Video | Self::Audio | Self::Model
        )
    }

    /// Whether its values are pictures, clips or sounds.
    #[must_use]
    pub fn is_media(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Audio)
    }

    /// Whether its values are numbers.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Number | Self::Seed)
    }

    fn schema_type(self) -> Option<&'static str> {
        match self {
            Self::Int | Self::Seed => Some("integer"),
            Self::Float | Self::Number => Some("number"),
            Self::Bool => Some("boolean"),
            Self::Workflow | Self::Object => Some("object"),
            Self::Array => Some("array"),
            Self::Any => None,
            _ => Some("string"),
        }
    }
}

impl Declaration {
    /// The parameter called `name`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// Arguments that were passed as text, as in the address of a resource: those that are not
    /// declared as text are read as JSON. What doesn't parse stays text, to be refused properly.
    #[must_use]
    pub fn from_text(&self, given: Map<String, Value>) -> Map<String, Value> {
        let read = |name: String, value: Value| {
            let written = match (self.param(&name), &value) {
                (Some(param), Value::String(text)) if !param.ty.is_text() => Some(text),
                _ => None,
            };
            let parsed = written.and_then(|text| serde_json::from_str(text).ok());
            (name, parsed.unwrap_or(value))
        };
        given
            .into_iter()
            .map(|(name, value)| read(name, value))
            .collect()
    }

    /// The JSON schema of the arguments. It is kept short: an agent pays for every byte.
    #[must_use]
    pub fn schema(&self) -> Map<String, Value> {
        if let Some(schema) = &self.input_schema {
            return schema.as_map();
        }
        let properties: Map<String, Value> = self
            .params
            .iter()
            .map(|param| (param.name.clone(), param.schema()))
            .collect();
        let required: Vec<&str> = self
            .params
            .iter()
            .filter(|param| param.required)
            .map(|param| param.name.as_str())
            .collect();

        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), properties.into());
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        schema
    }
}

impl Param {
    fn schema(&self) -> Value {
        let mut schema = Map::new();
        if let Some(ty) = self.ty.schema_type() {
            let ty = if self.nullable {
                json!([ty, "null"])
            } else {
                ty.into()
            };
            schema.insert("type".into(), ty);
        }
        let text = self.ty.is_text();
        let (least, most) = match self.ty {
            Type::Array => ("minItems", "maxItems"),
            _ if text => ("minLength", "maxLength"),
            _ => ("minimum", "maximum"),
        };
        if let Some(min) = self.min {
            schema.insert(least.into(), number(min));
        } else if self.ty == Type::Seed {
            schema.insert(least.into(), 0.into());
        }
        if let Some(max) = self.max {
            schema.insert(most.into(), number(max));
        }
        if !self.choices.is_empty() {
            schema.insert("enum".into(), self.choices.clone().into());
        }
        if !self.default.is_null() {
            schema.insert("default".into(), self.default.clone());
        }
        if !self.about.is_empty() {
            schema.insert("description".into(), self.about.as_str().into());
        }
        schema.into()
    }

    /// What is allowed, as an error and the help say it: "a whole number from 64 to 2048 in
    /// steps of 8".
    #[must_use]
    pub fn allowed(&self) -> String {
        if !self.choices.is_empty() {
            let choices: Vec<String> = self.choices.iter().map(Value::to_string).collect();
            return format!("one of {}", choices.join(", "));
        }
        let unit = if self.ty.is_text() {
            " characters"
        } else if self.ty == Type::Array {
            " items"
        } else {
            ""
        };
        let what = self.ty.description();
        let mut allowed = match (self.min, self.max) {
            (Some(min), Some(max)) => {
                format!("{what} from {} to {}{unit}", number(min), number(max))
            }
            (Some(min), None) => format!("{what} of at least {}{unit}", number(min)),
            (None, Some(max)) => format!("{what} of at most {}{unit}", number(max)),
            (None, None) => what.to_owned(),
        };
        if let Some(step) = self.step {
            allowed = format!("{allowed} in steps of {}", number(step));
        }
        if self.nullable {
            allowed = format!("{allowed} or null");
        }
        allowed
    }
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn bound<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(number).serialize(serializer)
}

/// A bound as it was written: whole numbers without a fraction.
pub(super) fn number(value: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the value is whole and below 2^53, where the conversion is exact"
    )]
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &str, ty: Type) -> Param {
        Param {
            ty,
            ..Param::open(name.into())
        }
    }

    #[test]
    fn the_schema_says_what_was_declared_and_no_more() {
        let declaration = Declaration {
            params: vec![
                Param {
                    required: true,
                    about: "What to paint".into(),
                    ..param("PROMPT", Type::String)
                },
                Param {
                    default: json!(28),
                    min: Some(1.0),
                    max: Some(150.0),
                    ..param("STEPS", Type::Int)
                },
                param("SEED", Type::Seed),
                param("EXTRA", Type::Any),
            ],
            ..Declaration::default()
        };
        assert_eq!(
            Value::from(declaration.schema()),
            json!({
                "type": "object",
                "properties": {
                    "PROMPT": { "type": "string", "description": "What to paint" },
                    "STEPS": { "type": "integer", "minimum": 1, "maximum": 150, "default": 28 },
                    "SEED": { "type": "integer", "minimum": 0 },
                    "EXTRA": {},
                },
                "required": ["PROMPT"],
            })
        );
    }

    #[test]
    fn what_is_allowed_reads_as_a_phrase() {
        let width = Param {
            min: Some(64.0),
            max: Some(2048.0),
            step: Some(8.0),
            ..param("WIDTH", Type::Int)
        };
        assert_eq!(
            width.allowed(),
            "a whole number from 64 to 2048 in steps of 8"
        );
        let mode = Param {
            choices: vec![json!("fast"), json!("good")],
            ..param("MODE", Type::String)
        };
        assert_eq!(mode.allowed(), "one of \"fast\", \"good\"");
    }
}
