//! Arguments held against the declaration, before a script runs.
//!
//! Every mistake is reported at once, each with the parameter's name, what was received and what
//! is allowed, because an agent that is told of one mistake at a time pays for every round.

use serde_json::{Map, Value};

use super::declaration::number;
use super::{Declaration, Param, Type};
use crate::comfy::Workflow;
use crate::failure::{Code, Failure, shown};

/// One argument that does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArgumentError {
    /// Not declared.
    #[error("no parameter \"{name}\"{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// What was passed.
        name: String,
        /// The declared name that is most like it.
        nearest: Option<String>,
    },
    /// Required and not given.
    #[error("\"{name}\" is required: {allowed}")]
    Missing {
        /// The parameter.
        name: String,
        /// What it takes.
        allowed: String,
    },
    /// Not a workflow in API format.
    #[error("\"{name}\" can't be run: {reason}; {advice}")]
    NoWorkflow {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to pass instead.
        advice: &'static str,
    },
    /// Not what the script's schema says.
    #[error("{}{reason}", at(name))]
    Schema {
        /// The argument, with the way to the place within it: `shots/0/prompt`.
        name: String,
        /// What is wrong there.
        reason: String,
    },
    /// Given, and not what it may be.
    #[error("\"{name}\" is {received}, allowed is {allowed}{}", did_you_mean(.nearest.as_deref()))]
    NotAllowed {
        /// The parameter.
        name: String,
        /// What was passed, shortened.
        received: String,
        /// What it takes.
        allowed: String,
        /// The choice that is most like it.
        nearest: Option<String>,
    },
}

impl ArgumentError {
    /// The name that the mistake is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. }
            | Self::NoWorkflow { name, .. }
            | Self::Missing { name, .. }
            | Self::Schema { name, .. }
            | Self::NotAllowed { name, .. } => name,
        }
    }
}

fn at(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("\"{name}\": ")
    }
}

/// Turns the mistakes into the failure that a caller sees.
pub fn failure(errors: &[ArgumentError], declaration: &Declaration) -> Failure {
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = match &declaration.input_schema {
        Some(schema) => schema.names().collect(),
        None => declaration
            .params
            .iter()
            .map(|param| param.name.as_str())
            .collect(),
    };
    let hint = if names.is_empty() {
        "call it without arguments".to_owned()
    } else {
        format!("the parameters are {}", names.join(", "))
    };
    let fields: Vec<Value> = errors.iter().map(|error| error.name().into()).collect();
    Failure::new(Code::INVALID_PARAMS, messages.join("; "))
        .hint(hint)
        .detail("fields", fields)
}

/// Checks `given` and fills in the defaults. The result has a value for every declared
/// parameter (null where there is neither an argument nor a default), in declared order. Only a
/// nullable one is left out where it was left out: null means something else there.
pub fn check(
    declaration: &Declaration,
    mut given: Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ArgumentError>> {
    if let Some(schema) = &declaration.input_schema {
        return schema.check(given);
    }
    gather_rest(declaration, &mut given);
    let mut errors = vec![];
    let mut checked = Map::new();
    for param in &declaration.params {
        let value = match given.shift_remove(&param.name) {
            Some(Value::Null) if param.nullable => Value::Null,
            None if param.nullable && !param.required => continue,
            None | Some(Value::Null) if param.required => {
                errors.push(ArgumentError::Missing {
                    name: param.name.clone(),
                    allowed: param.allowed(),
                });
                continue;
            }
            None | Some(Value::Null) => param.default.clone(),
            Some(value) => match param.accept(value) {
                Ok(value) => value,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            },
        };
        checked.insert(param.name.clone(), value);
    }
    let names = || declaration.params.iter().map(|param| param.name.as_str());
    errors.extend(given.into_iter().map(|(name, _)| ArgumentError::Unknown {
        nearest: nearest(&name, names()),
        name,
    }));
    if errors.is_empty() {
        Ok(checked)
    } else {
        Err(errors)
    }
}

/// Moves what is not declared into the object that takes such arguments, if there is one.
fn gather_rest(declaration: &Declaration, given: &mut Map<String, Value>) {
    let Some(rest) = declaration.params.iter().find(|param| param.rest) else {
        return;
    };
    let (declared, others): (Map<_, _>, Map<_, _>) = std::mem::take(given)
        .into_iter()
        .partition(|(name, _)| declaration.param(name).is_some());
    *given = declared;
    if others.is_empty() {
        return;
    }
    let taken = given
        .entry(rest.name.clone())
        .or_insert_with(|| rest.default.clone());
    if taken.is_null() {
        *taken = Map::new().into();
    }
    if let Value::Object(taken) = taken {
        for (name, value) in others {
            taken.entry(name).or_insert(value);
        }
    }
}

impl Param {
    /// The value if it is allowed. JSON writers do not all keep ints and floats apart, so a
    /// whole float becomes an int and an int a float where that is declared.
    pub(super) fn accept(&self, value: Value) -> Result<Value, ArgumentError> {
        let received = value.clone();
        let refuse = |nearest: Option<String>| ArgumentError::NotAllowed {
            name: self.name.clone(),
            received: shown(&received),
            allowed: self.allowed(),
            nearest,
        };
        if self.ty == Type::Workflow
            && let Err(error) = Workflow::from_json(value.clone())
        {
            return Err(ArgumentError::NoWorkflow {
                name: self.name.clone(),
                reason: error.to_string(),
                advice: error.advice(),
            });
        }
        let value = self.typed(value).ok_or_else(|| refuse(None))?;
        if !self.choices.is_empty() && !self.choices.contains(&value) {
            let choices = self.choices.iter().filter_map(Value::as_str);
            let nearest = value.as_str().and_then(|value| nearest(value, choices));
            return Err(refuse(nearest));
        }
        if self.within_bounds(&value) {
            Ok(value)
        } else {
            Err(refuse(None))
        }
    }

    fn typed(&self, value: Value) -> Option<Value> {
        let fits = match self.ty {
            // A workflow was looked at before.
            Type::Any | Type::Workflow => true,
            Type::Bool => value.is_boolean(),
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::Float => return value.as_f64().map(Value::from),
            Type::Number => value.is_number(),
            // JavaScript writes no whole numbers of this size, and neither does Rhai.
            Type::Seed => match &value {
                Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    return digits.parse::<u64>().ok().map(Value::from);
                }
                value => value.is_u64(),
            },
            Type::Int => {
                return match value.as_f64() {
                    _ if value.is_i64() || value.is_u64() => Some(value),
                    Some(float) if float.fract() == 0.0 => {
                        Some(number(float)).filter(Value::is_i64)
                    }
                    _ => None,
                };
            }
            _ => value.is_string(),
        };
        fits.then_some(value)
    }

    fn within_bounds(&self, value: &Value) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
        let size = match value {
            Value::String(text) => text.chars().count() as f64,
            Value::Array(items) => items.len() as f64,
            _ => match value.as_f64() {
                Some(size) => size,
                None => return true,
            },
        };
        let above = self.min.is_none_or(|min| size >= min);
        let below = self.max.is_none_or(|max| size <= max);
        let on_step = self.step.is_none_or(|step| {
            let steps = (size - self.min.unwrap_or(0.0)) / step;
            (steps - steps.round()).abs() < 1e-6
        });
        above && below && (on_step || !self.ty.is_number())
    }
}

/// Nothing has a longer name, and comparing takes time by the product of both lengths.
const LONGEST_NAME: usize = 200;

/// The candidate that is most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let folded = name.to_lowercase();
    candidates
        .map(|candidate| {
            (
                strsim::jaro_winkler(&folded, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.78)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// `, did you mean "x"?` or nothing.
pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean \"{nearest}\"?")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn declaration() -> Declaration {
        let param = |name: &str, ty| Param {
            ty,
            ..Param::open(name.into())
        };
        Declaration {
            params: vec![
                Param {
                    required: true,
                    ..param("PROMPT", Type::String)
                },
                Param {
                    default: json!(42),
                    ..param("SEED", Type::Seed)
                },
                Param {
                    default: json!(1024),
                    min: Some(64.0),
                    max: Some(2048.0),
                    step: Some(8.0),
                    ..param("WIDTH", Type::Int)
                },
                Param {
                    choices: vec![json!("euler"), json!("dpmpp_2m")],
                    default: json!("euler"),
                    ..param("SAMPLER", Type::String)
                },
            ],
            ..Declaration::default()
        }
    }

    fn checked(given: Value) -> Result<Value, String> {
        let Value::Object(given) = given else {
            panic!("not an object")
        };
        let declaration = declaration();
        check(&declaration, given)
            .map(Value::from)
            .map_err(|errors| failure(&errors, &declaration).message)
    }

    #[test]
    fn defaults_fill_what_was_not_given() {
        assert_eq!(
            checked(json!({ "PROMPT": "a cat" })).unwrap(),
            json!({ "PROMPT": "a cat", "SEED": 42, "WIDTH": 1024, "SAMPLER": "euler" })
        );
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        insta::assert_snapshot!(
            checked(json!({ "PROMT": "a cat", "WIDTH": 1001, "SEED": -1, "SAMPLER": "eular" })).unwrap_err(),
            @r#""PROMPT" is required: a string; "SEED" is -1, allowed is a whole number from 0 to 18446744073709551615; "WIDTH" is 1001, allowed is a whole number from 64 to 2048 in steps of 8; "SAMPLER" is "eular", allowed is one of "euler", "dpmpp_2m", did you mean "euler"?; no parameter "PROMT", did you mean "PROMPT"?"#
        );
    }

    #[test]
    fn a_whole_float_is_an_int() {
        assert_eq!(
            checked(json!({ "PROMPT": "", "WIDTH": 512.0 })).unwrap()["WIDTH"],
            json!(512)
        );
        assert!(checked(json!({ "PROMPT": "", "WIDTH": 512.5 })).is_err());
    }

    #[test]
    fn null_is_told_apart_from_nothing_where_it_may_be_a_value() {
        let mut declaration = declaration();
        declaration.params[1].nullable = true;
        declaration.params[1].default = Value::Null;
        let checked = |given: Value| {
            let given = given.as_object().cloned().unwrap();
            check(&declaration, given).map(Value::from)
        };
        let absent = checked(json!({ "PROMPT": "" })).unwrap();
        assert_eq!(absent.get("SEED"), None);
        let null = checked(json!({ "PROMPT": "", "SEED": null })).unwrap();
        assert_eq!(null.get("SEED"), Some(&Value::Null));
        let errors = checked(json!({ "PROMPT": "", "SEED": "x" })).unwrap_err();
        assert!(errors[0].to_string().ends_with("or null"), "{errors:?}");
    }

    #[test]
    fn an_object_may_take_the_arguments_that_nobody_declared() {
        let mut declaration = declaration();
        declaration.params.truncate(1);
        declaration.params.push(Param {
            ty: Type::Object,
            rest: true,
            default: json!({}),
            ..declaration.params[0].clone()
        });
        declaration.params[1].name = "more".into();
        declaration.params[1].required = false;
        let checked = |given: Value| {
            let given = given.as_object().cloned().unwrap();
            check(&declaration, given).map(Value::from).unwrap()
        };
        assert_eq!(
            checked(json!({ "PROMPT": "", "width": 64, "more": { "x": 1 } }))["more"],
            json!({ "x": 1, "width": 64 })
        );
        assert_eq!(checked(json!({ "PROMPT": "" }))["more"], json!({}));
    }

    #[test]
    fn a_seed_may_be_written_in_digits() {
        let seed = |given: Value| {
            let given = Map::from_iter([
                ("PROMPT".to_owned(), json!("x")),
                ("SEED".to_owned(), given),
            ]);
            check(&declaration(), given).map(|checked| checked["SEED"].clone())
        };
        assert_eq!(seed(json!("18446744073709551615")), Ok(json!(u64::MAX)));
        for wrong in ["", "-1", "+1", "0x1", "18446744073709551616"] {
            assert!(seed(json!(wrong)).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_seed_passes_unharmed(seed: u64) {
            let checked = checked(json!({ "PROMPT": "x", "SEED": seed })).unwrap();
            prop_assert_eq!(checked["SEED"].as_u64(), Some(seed));
        }
    }
}
