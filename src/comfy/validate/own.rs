//! Node classes that check some of their inputs themselves.
//!
//! Such a function switches off the server's own checks of the inputs that it names. Nothing in
//! `/object_info` tells which classes have one, so the core's are listed here; those of custom
//! nodes can't be known.

use serde_json::Value;

use crate::comfy::nodes::{FILE_INPUTS, IoType, NodeClass, is_loader};

use super::python::{self, Exception, Num};

/// Knows the validation functions of node classes.
pub trait OwnValidation: Sync {
    /// The parameters of the class's function, if it has one.
    fn parameters(&self, class: &NodeClass) -> Option<Parameters>;

    /// What the function answers; every required parameter is among the arguments.
    fn answer(&self, class: &NodeClass, arguments: &Arguments<'_>) -> Result<Answer, Exception>;
}

/// The parameters of a validation function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Parameters without a default; calling the function without one of them raises.
    pub required: &'static [&'static str],
    /// Parameters with a default.
    pub optional: &'static [&'static str],
    /// Whether it takes all other inputs too (`**kwargs`).
    pub any: bool,
}

/// The parameter that asks for the types of linked inputs; the server then leaves their check
/// to the function.
pub const INPUT_TYPES: &str = "input_types";

impl Parameters {
    /// Whether the function takes an input of that name.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.any || self.names(name)
    }

    /// Whether the function names that parameter.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.required.contains(&name) || self.optional.contains(&name)
    }
}

/// What a validation function is called with.
#[derive(Clone, Debug, Default)]
pub struct Arguments<'a> {
    /// Inputs that it takes; null stands for a linked one.
    pub values: Vec<(&'a str, Value)>,
    /// The types that linked inputs receive.
    pub received: Vec<(&'a str, &'a IoType)>,
}

impl Arguments<'_> {
    /// The argument of that name; null if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        let found = self.values.iter().find(|(own, _)| *own == name);
        found.map_or(&Value::Null, |(_, value)| value)
    }
}

/// What a validation function returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `True`
    Good,
    /// `False`
    Bad,
    /// A text that says what is wrong.
    Wrong(String),
}

/// The functions of `ComfyUI`'s own classes, as of 0.33.0.
#[derive(Clone, Copy, Default)]
pub struct CoreValidation<'a> {
    exists: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
    any_model: bool,
}

impl<'a> CoreValidation<'a> {
    /// Without a look at files: every file name is taken to exist.
    #[must_use]
    pub const fn offline() -> Self {
        Self {
            exists: None,
            any_model: false,
        }
    }

    /// Asks `exists` about uploaded files. Names may end in `" [output]"`, `" [temp]"` or
    /// `" [input]"`, which say where the file lies; without that, it lies in the input folder.
    #[must_use]
    pub fn with_files(exists: &'a (dyn Fn(&str) -> bool + Sync)) -> Self {
        Self {
            exists: Some(exists),
            any_model: false,
        }
    }

    /// Without a look at uploaded files, and with every model file taken to be installed: for
    /// facts that are not those of the server that is meant.
    #[must_use]
    pub const fn without_files() -> Self {
        Self {
            exists: None,
            any_model: true,
        }
    }

    fn file(&self, name: &Value, what: &str) -> Result<Answer, Exception> {
        let Value::String(name) = name else {
            return Err(no_attribute(name, "endswith"));
        };
        if self.exists.is_none_or(|exists| exists(name)) {
            return Ok(Answer::Good);
        }
        Ok(Answer::Wrong(format!("Invalid {what} file: {name}")))
    }
}

fn no_attribute(value: &Value, name: &str) -> Exception {
    let given = python::type_name(value);
    Exception::new(
        "AttributeError",
        format!("'{given}' object has no attribute '{name}'"),
    )
}

impl OwnValidation for CoreValidation<'_> {
    fn parameters(&self, class: &NodeClass) -> Option<Parameters> {
        let only = |required| Parameters {
            required,
            ..Parameters::default()
        };
        Some(match class.name() {
            "CustomCombo" => Parameters {
                required: &["choice"],
                optional: &["index"],
                any: true,
            },
            "FluxProUltraImageNode" => only(&["aspect_ratio"]),
            "Load3D" | "Load3DAdvanced" => Parameters {
                any: true,
                ..only(&["model_file"])
            },
            "LoadAudio" => only(&["audio"]),
            "LoadImage" | "LoadImageMask" | "LoadImageOutput" | "WebcamCapture" => only(&["image"]),
            "LoadLatent" => only(&["latent"]),
            "LoadVideo" => only(&["file"]),
            "ModelAttentionBackend" => only(&["attention"]),
            "SelectCLIPDevice" | "SelectModelDevice" | "SelectVAEDevice" => Parameters {
                optional: &["device"],
                ..Parameters::default()
            },
            "TripoConversionNode" => only(&[INPUT_TYPES]),
            // A function that takes an input switches off the comparison with its choices.
            name if self.any_model && is_loader(name) => Parameters {
                optional: FILE_INPUTS,
                ..Parameters::default()
            },
            _ => return None,
        })
    }

    fn answer(&self, class: &NodeClass, arguments: &Arguments<'_>) -> Result<Answer, Exception> {
        match class.name() {
            "LoadImage" | "LoadImageMask" | "LoadImageOutput" | "WebcamCapture" => {
                self.file(arguments.get("image"), "image")
            }
            "LoadAudio" => self.file(arguments.get("audio"), "audio"),
            "LoadLatent" => self.file(arguments.get("latent"), "latent"),
            "LoadVideo" => self.file(arguments.get("file"), "video"),
            "Load3D" | "Load3DAdvanced" => {
                let name = arguments.get("model_file");
                if !python::is_true(name) || name == "none" {
                    return Ok(Answer::Good);
                }
                self.file(name, "3D model")
            }
            "FluxProUltraImageNode" => aspect_ratio(arguments.get("aspect_ratio")),
            "TripoConversionNode" => tripo_task(arguments),
            _ => Ok(Answer::Good),
        }
    }
}

fn tripo_task(arguments: &Arguments<'_>) -> Result<Answer, Exception> {
    const TASK: &str = "original_model_task_id";
    let found = arguments.received.iter().find(|(name, _)| *name == TASK);
    let (_, received) = found.ok_or_else(|| Exception::key(&TASK.into()))?;
    if ["MODEL_TASK_ID", "RIG_TASK_ID", "RETARGET_TASK_ID"]
        .iter()
        .any(|name| received.is(name))
    {
        return Ok(Answer::Good);
    }
    Ok(Answer::Wrong(format!(
        "{TASK} must be MODEL_TASK_ID, RIG_TASK_ID or RETARGET_TASK_ID type"
    )))
}

/// `"X:Y"` between 1:4 and 4:1.
fn aspect_ratio(given: &Value) -> Result<Answer, Exception> {
    let Value::String(text) = given else {
        return Err(no_attribute(given, "split"));
    };
    let raised = |message: String| Err(Exception::new("ValueError", message));
    let parts: Vec<&str> = text.split(':').collect();
    let [x, y] = parts[..] else {
        return raised(format!(
            "Aspect ratio must be 'X:Y' (e.g., 16:9), got '{text}'."
        ));
    };
    let whole = |part: &str| python::int(&part.trim().into());
    let (Ok(x), Ok(y)) = (whole(x), whole(y)) else {
        return raised(format!(
            "Aspect ratio must contain integers separated by ':', got '{text}'."
        ));
    };
    let zero = Num::Int(0);
    if [&x, &y]
        .into_iter()
        .any(|part| part.compare(&zero).is_none_or(std::cmp::Ordering::is_le))
    {
        return raised(format!(
            "Aspect ratio parts must be positive integers, got {x}:{y}."
        ));
    }
    let ratio = x.as_f64() / y.as_f64();
    // Both messages show the same sign, and two significant digits.
    if ratio < 0.25 {
        return raised(format!(
            "Aspect ratio `{}` must be ≤ 0.25.",
            two_digits(ratio)
        ));
    }
    if ratio > 4.0 {
        return raised(format!("Aspect ratio `{}` must be ≤ 4.", two_digits(ratio)));
    }
    Ok(Answer::Good)
}

/// Python's `format(value, ".2g")` of a positive number.
fn two_digits(value: f64) -> String {
    let scientific = format!("{value:.1e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let short = |digits: &str| {
        let without_zeros = digits.trim_end_matches('0').trim_end_matches('.');
        if digits.contains('.') {
            without_zeros.to_owned()
        } else {
            digits.to_owned()
        }
    };
    if !(-4..2).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", short(digits), exponent.abs());
    }
    let decimals = usize::try_from(1 - exponent).unwrap_or(0);
    short(&format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::nodes::NodeFacts;
    use crate::comfy::validate::Validator;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("16:9", None)]
    #[case(" 4 :1", None)]
    #[case("1.5", Some("Aspect ratio must be 'X:Y' (e.g., 16:9), got '1.5'."))]
    #[case(
        "a:b",
        Some("Aspect ratio must contain integers separated by ':', got 'a:b'.")
    )]
    #[case("0:1", Some("Aspect ratio parts must be positive integers, got 0:1."))]
    #[case("1:5", Some("Aspect ratio `0.2` must be ≤ 0.25."))]
    #[case("123:1", Some("Aspect ratio `1.2e+02` must be ≤ 4."))]
    fn aspect_ratios_are_checked(#[case] given: &str, #[case] message: Option<&str>) {
        let raised = aspect_ratio(&json!(given))
            .err()
            .map(|raised| raised.message);
        assert_eq!(raised.as_deref(), message);
    }

    fn load(inputs: &Value) -> Vec<String> {
        let facts = NodeFacts::bundled();
        let prompt = json!({
            "1": { "class_type": "LoadImage", "inputs": inputs },
            "2": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
        });
        let exists = |name: &str| name == "a.png";
        let core = CoreValidation::with_files(&exists);
        let validator = Validator::new(&facts).own_validation(&core);
        let outcome = validator.validate(&prompt, None).outcome;
        let errors = outcome
            .node_errors()
            .iter()
            .flat_map(|node| node.errors.clone());
        errors
            .map(|error| format!("{}: {}", error.kind, error.details))
            .collect()
    }

    #[test]
    fn an_uploaded_file_is_looked_for_and_not_in_the_list_of_choices() {
        assert!(load(&json!({ "image": "a.png" })).is_empty());
        assert_eq!(
            load(&json!({ "image": "b.png" })),
            ["custom_validation_failed: image - Invalid image file: b.png"]
        );
    }

    #[test]
    fn a_function_that_gets_something_else_than_a_name_raises() {
        let kind = "exception_during_inner_validation";
        assert_eq!(
            load(&json!({ "image": 5 })),
            [format!("{kind}: 'int' object has no attribute 'endswith'")]
        );
        assert_eq!(
            load(&json!({})),
            [format!(
                "{kind}: LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: \
                 'image'"
            )]
        );
    }

    #[test]
    fn without_a_look_at_files_every_name_passes() {
        let facts = NodeFacts::bundled();
        let prompt = json!({
            "1": { "class_type": "LoadImage", "inputs": { "image": "b.png" } },
            "2": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
        });
        assert!(
            Validator::new(&facts)
                .validate(&prompt, None)
                .outcome
                .is_accepted()
        );
    }

    #[test]
    fn every_class_listed_here_is_one_of_the_cores() {
        let facts = NodeFacts::bundled();
        let own = |class: &&NodeClass| CoreValidation::offline().parameters(class).is_some();
        assert_eq!(facts.classes().filter(own).count(), 16);
    }
}
