//! Types, bounds and choices of parameters, as far as the server's facts tell them and the value
//! agrees.

use serde_json::Value;

use super::meaning::{FOLDERS, VALUE};
use crate::comfy::nodes::Input;

/// Bounds from here on bound nothing that people set.
const BOUNDLESS: f64 = 2_147_483_648.0;

/// No longer list of choices is shown.
const MOST_CHOICES: usize = 16;

/// The type of the parameter for a value; none if it is not what is usual there.
pub(super) fn type_of(base: &str, value: &Value, declared: Option<&Input>) -> Option<&'static str> {
    let is_media = base.ends_with("_PATH");
    let is_file = FOLDERS.iter().any(|(_, own)| *own == base);
    match value {
        Value::String(_) if is_media => Some(match base {
            "VIDEO_PATH" => "video",
            "AUDIO_PATH" => "audio",
            _ => "image",
        }),
        Value::String(_) if is_file => Some("model"),
        Value::String(_) => {
            let is_text = ["PROMPT", "NEGATIVE", "TEXT", "SAMPLER", "SCHEDULER"].contains(&base)
                || ["RESOLUTION", "ASPECT_RATIO", "SECONDS", VALUE].contains(&base);
            is_text.then_some("string")
        }
        Value::Number(number) if !is_media && !is_file => {
            if ["PROMPT", "NEGATIVE", "TEXT", "SAMPLER", "SCHEDULER"].contains(&base) {
                return None;
            }
            let is_seed = base == "SEED" && number.is_u64();
            // Interfaces to other machines take seeds that end earlier.
            let ends_early = declared
                .and_then(|input| input.max()?.as_f64())
                .is_some_and(|max| max < 9e18);
            if is_seed && (!ends_early || number.as_i64().is_none()) {
                return Some("seed");
            }
            let takes_fractions =
                declared.is_some_and(|input| input.io_type().members().any(|ty| ty == "FLOAT"));
            if number.is_f64() {
                let takes_whole = declared.is_some_and(|input| input.io_type().is("INT"));
                return Some(if takes_whole { "number" } else { "float" });
            }
            number.as_i64()?;
            Some(if takes_fractions { "number" } else { "int" })
        }
        Value::Bool(_) => (base == VALUE).then_some("bool"),
        _ => None,
    }
}

/// The bounds of a number that say something and hold for its value.
pub(super) fn bounds(
    ty: &str,
    value: &Value,
    declared: Option<&Input>,
) -> (Option<Value>, Option<Value>, Option<Value>) {
    let (Some(value), Some(declared)) = (value.as_f64(), declared) else {
        return (None, None, None);
    };
    if ty == "seed" {
        return (None, None, None);
    }
    let sensible = |bound: Option<&Value>, holds: &dyn Fn(f64) -> bool| {
        let bound = bound?;
        let number = bound.as_f64()?;
        (number.abs() < BOUNDLESS && holds(number)).then(|| bound.clone())
    };
    let min = sensible(declared.min(), &|min| min <= value);
    let max = sensible(declared.max(), &|max| max >= value);
    let from = min.as_ref().and_then(Value::as_f64).unwrap_or(0.0);
    let step = sensible(declared.step(), &|step| {
        let steps = (value - from) / step;
        step > 1.0 && (steps - steps.round()).abs() < 1e-6
    });
    (min, max, step.filter(|_| ty == "int"))
}

/// The choices of a short list, where a server has the same ones as any other.
pub(super) fn choices(base: &str, ty: &str, value: &Value, declared: Option<&Input>) -> Vec<Value> {
    let differ = ["SAMPLER", "SCHEDULER"].contains(&base) || ty != "string";
    let choices = declared.and_then(Input::choices).unwrap_or_default();
    let fits = !differ && choices.len() <= MOST_CHOICES && choices.contains(value);
    if fits { choices.to_vec() } else { Vec::new() }
}
