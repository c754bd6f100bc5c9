//! What could be meant by a value that is not allowed.

use serde_json::{Value, json};

use crate::comfy::model_name::{is_model_file, nearest_files, same_model_among};
use crate::comfy::nodes::{Input, model_folder};

/// So many choices are shown.
const SHOWN: usize = 8;

/// What an input allows: `{min, max, step}`, `{choices, count}` or `{type}`.
#[must_use]
pub fn allowed(input: &Input) -> Value {
    if let Some(choices) = input.choices() {
        let shown: Vec<&Value> = choices.iter().take(SHOWN).collect();
        return json!({ "choices": shown, "count": choices.len() });
    }
    let bounds = [
        ("min", input.min()),
        ("max", input.max()),
        ("step", input.step()),
    ];
    let bounds = bounds
        .into_iter()
        .filter_map(|(name, bound)| Some((name.to_owned(), bound?.clone())));
    let is_number = input.io_type().is("INT") || input.io_type().is("FLOAT");
    let bounds: Value = bounds.filter(|(_, bound)| bound.is_number()).collect();
    if is_number && bounds.as_object().is_some_and(|bounds| !bounds.is_empty()) {
        return bounds;
    }
    json!({ "type": input.io_type().name() })
}

/// The choice that is most like a value, and the one that is meant by it if only one can be.
#[must_use]
pub fn choice(class_type: &str, name: &str, input: &Input, value: &Value) -> (Value, Value) {
    let Some(text) = value.as_str() else {
        return (Value::Null, Value::Null);
    };
    let choices = input.choices().unwrap_or_default();
    let names = || choices.iter().filter_map(Value::as_str);
    if lists_files(class_type, name, value) {
        // Another model would be another picture.
        let meant = same_model_among(text, names());
        let nearest = meant.or_else(|| nearest_files(text, names(), 1).first().copied());
        return (json!(nearest), json!(meant));
    }
    let nearest = nearest_choice(text, names());
    // What is named by a number is another thing under another number.
    let meant = nearest.clone().filter(|one| digits(one) == digits(text));
    (json!(nearest), json!(meant))
}

/// Whether it is a file that is to be chosen there.
#[must_use]
pub fn lists_files(class_type: &str, name: &str, value: &Value) -> bool {
    model_folder(class_type, name).is_some() || value.as_str().is_some_and(is_model_file)
}

/// The choice in other letters or with a slip, if only one is that near.
#[must_use]
pub fn nearest_choice<'a>(
    text: &str,
    choices: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    // Comparing takes time by the product of both lengths, and nobody slips in a long text.
    const LONGEST: usize = 100;
    if text.len() > LONGEST {
        return None;
    }
    let wanted = plain(text);
    let same = choices.clone().find(|choice| plain(choice) == wanted);
    let ranked = || {
        let mut ranked: Vec<(usize, &str)> = choices
            .map(|choice| (strsim::damerau_levenshtein(&plain(choice), &wanted), choice))
            .collect();
        ranked.sort_by_key(|(distance, _)| *distance);
        match &ranked[..] {
            [(_, choice), ..] if is_near(&ranked, wanted.len()) => Some(*choice),
            _ => None,
        }
    };
    same.or_else(ranked).map(str::to_owned)
}

/// Whether the first is near enough, and nearer than the second.
fn is_near(ranked: &[(usize, &str)], length: usize) -> bool {
    let nearer = |first: usize| ranked.get(1).is_none_or(|(second, _)| first < *second);
    ranked
        .first()
        .is_some_and(|(first, _)| *first <= 1 + length / 8 && *first < length && nearer(*first))
}

/// The digits of a text: versions, sizes and places in a row are told apart by them alone.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The letters and digits of a text, all small.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// What an editor would fill in. A list's first entry is its default, but not a list of files.
#[must_use]
pub fn default_of(input: &Input, class_type: &str) -> Value {
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

/// The number that a text spells.
#[must_use]
pub fn number(text: &str, is_int: bool) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<u64>() {
        return Some(json!(whole));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(json!(whole));
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    (!is_int).then(|| json!(float))
}

/// The truth that a text or number means.
#[must_use]
pub fn truth(value: &Value) -> Value {
    match value.as_str().map(str::to_lowercase).as_deref() {
        Some("true" | "yes" | "on" | "1") => json!(true),
        Some("false" | "no" | "off" | "0") => json!(false),
        _ if value.is_number() => json!(value.as_f64() != Some(0.0)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::nodes::NodeFacts;
    use crate::sim::default_models;

    fn meant(class: &str, name: &str, value: &str) -> (Value, Value) {
        let facts = (*NodeFacts::bundled())
            .clone()
            .with_model_files(&default_models());
        let input = facts.class(class).unwrap().input(name).unwrap().clone();
        choice(class, name, &input, &json!(value))
    }

    #[test]
    fn a_slip_is_corrected_and_the_same_file_found_elsewhere() {
        let sampler = meant("KSamplerSelect", "sampler_name", "Eular");
        assert_eq!(sampler, (json!("euler"), json!("euler")));
        let file = meant("UNETLoader", "unet_name", "flux/FLUX1-dev.sft");
        assert_eq!(file.1, json!("flux1-dev.safetensors"));
    }

    #[test]
    fn another_number_is_named_and_never_put_in_its_place() {
        let encoder = meant("CLIPLoader", "type", "flux");
        assert_eq!(encoder, (json!("flux2"), Value::Null));
        let slip = meant("KSamplerSelect", "sampler_name", "dpmp_2m_sde");
        assert_eq!(slip.1, json!("dpmpp_2m_sde"));
    }

    #[test]
    fn another_model_is_named_and_never_put_in_its_place() {
        let name = "sd_xl_base_0.9.safetensors";
        let (nearest, suggestion) = meant("CheckpointLoaderSimple", "ckpt_name", name);
        assert_eq!(nearest, json!("sd_xl_base_1.0.safetensors"));
        assert_eq!(suggestion, Value::Null);
    }

    #[test]
    fn what_is_allowed_is_said_in_short() {
        let facts = NodeFacts::bundled();
        let of = |class: &str, name: &str| {
            allowed(facts.class(class).unwrap().input(name).unwrap()).to_string()
        };
        assert_eq!(
            of("EmptyLatentImage", "width"),
            r#"{"min":16,"max":16384,"step":8}"#
        );
        assert!(of("KSampler", "sampler_name").contains(r#""count":"#));
        assert_eq!(of("KSampler", "model"), r#"{"type":"MODEL"}"#);
    }
}
