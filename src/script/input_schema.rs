//! A JSON schema that a script gives instead of single parameters, for arguments whose shape those
//! can't tell: objects within lists, one of several forms, definitions used twice.
//!
//! ```rhai
//! input_schema(#{
//!     type: "object",
//!     properties: #{ address: #{ "$ref": "#/$defs/address" } },
//!     "$defs": #{ address: #{ type: "object", properties: #{ city: #{ type: "string" } } } },
//! });
//! ```
//!
//! Agents see it as it stands. It is compiled once, when the script is loaded.

use std::fmt;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::arguments::{ArgumentError, nearest};

/// A schema of all arguments of a script.
#[derive(Clone)]
pub struct InputSchema {
    schema: Value,
    validator: Arc<Validator>,
}

impl InputSchema {
    /// Compiles a schema; what is wrong with it is told in words.
    pub(super) fn new(schema: Map<String, Value>) -> Result<Self, String> {
        if schema.get("type") != Some(&Value::from("object")) {
            return Err("arguments are an object: the schema needs type: \"object\"".to_owned());
        }
        let schema = Value::from(schema);
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| format!("the schema is not valid{}: {error}", place(&error)))?;
        Ok(Self {
            schema,
            validator: Arc::new(validator),
        })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn as_map(&self) -> Map<String, Value> {
        self.schema.as_object().cloned().unwrap_or_default()
    }

    /// The names of the arguments, as far as the schema lists them.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(|properties| properties.keys().map(String::as_str))
    }

    /// Holds arguments against the schema and tells all mistakes at once.
    pub(super) fn check(
        &self,
        given: Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<ArgumentError>> {
        let given = Value::from(given);
        let errors: Vec<ArgumentError> = self
            .validator
            .iter_errors(&given)
            .flat_map(|error| self.explain(&error))
            .collect();
        match given {
            Value::Object(given) if errors.is_empty() => Ok(given),
            _ => Err(errors),
        }
    }

    fn explain(&self, error: &ValidationError<'_>) -> Vec<ArgumentError> {
        let at = error.instance_path().to_string();
        let at = at.trim_start_matches('/');
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind()
            && at.is_empty()
        {
            let unknown = |name: &String| ArgumentError::Unknown {
                nearest: nearest(name, self.names()),
                name: name.clone(),
            };
            return unexpected.iter().map(unknown).collect();
        }
        let name = match error.kind() {
            ValidationErrorKind::Required { property } if at.is_empty() => {
                property.as_str().unwrap_or_default().to_owned()
            }
            _ => at.to_owned(),
        };
        let reason = error.to_string();
        vec![ArgumentError::Schema { name, reason }]
    }
}

/// ` at /properties/size`, or nothing where the whole is meant.
fn place(error: &ValidationError<'_>) -> String {
    let at = error.instance_path().to_string();
    if at.is_empty() {
        at
    } else {
        format!(" at {at}")
    }
}

impl PartialEq for InputSchema {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
    }
}

impl fmt::Debug for InputSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InputSchema").field(&self.schema).finish()
    }
}

impl Serialize for InputSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.schema.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(value: Value) -> Result<InputSchema, String> {
        InputSchema::new(serde_json::from_value(value).unwrap())
    }

    fn shots() -> InputSchema {
        schema(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "shots": { "type": "array", "items": { "$ref": "#/$defs/shot" }, "minItems": 1 },
                "seed": { "type": "integer" },
            },
            "required": ["shots"],
            "additionalProperties": false,
            "$defs": { "shot": {
                "type": "object",
                "properties": { "prompt": { "type": "string" } },
                "required": ["prompt"],
            } },
        }))
        .unwrap()
    }

    #[test]
    fn arguments_that_fit_pass_unharmed() {
        let given = json!({ "shots": [{ "prompt": "a fox" }], "seed": u64::MAX });
        let given: Map<String, Value> = serde_json::from_value(given).unwrap();
        assert_eq!(shots().check(given.clone()), Ok(given));
    }

    #[test]
    fn all_mistakes_are_told_with_their_place() {
        let given = json!({ "shots": [{ "prompt": 5 }, {}], "sed": 1 });
        let errors = shots().check(serde_json::from_value(given).unwrap());
        let told: Vec<String> = errors
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(told.join("; "), @r#""shots/0/prompt": 5 is not of type "string"; "shots/1": "prompt" is a required property; no parameter "sed", did you mean "seed"?"#);
        let missing = shots().check(Map::new()).unwrap_err();
        assert_eq!(missing[0].name(), "shots");
    }

    #[test]
    fn a_schema_that_makes_no_sense_is_refused_with_its_place() {
        let wrong =
            schema(json!({ "type": "object", "properties": { "a": { "type": "nothing" } } }));
        let refusal = wrong.unwrap_err();
        assert!(refusal.contains("/properties/a/type"), "{refusal}");
        let elsewhere = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b" } } });
        assert!(schema(elsewhere).is_err());
        assert!(schema(json!({ "type": "string" })).is_err());
    }
}
