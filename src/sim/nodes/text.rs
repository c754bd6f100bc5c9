//! Constants, texts and switches.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::node::{Call, Inputs, Outcome, Raised, SimNode};
use super::super::value::Value;
use super::Behaviours;

pub(super) fn register(behaviours: &mut Behaviours) {
    let mut sure = |classes: &[&str], function| super::sure(behaviours, classes, function);
    sure(
        &[
            "PrimitiveInt",
            "PrimitiveFloat",
            "PrimitiveString",
            "PrimitiveStringMultiline",
            "PrimitiveBoolean",
        ],
        primitive,
    );
    sure(&["StringConcatenate"], concatenate);
    sure(&["StringFormat"], format_string);
    sure(&["StringReplace"], replace);
    sure(&["StringTrim"], trim);
    sure(&["StringLength"], length);
    sure(&["TextToUppercase"], |call| mapped(call, str::to_uppercase));
    sure(&["TextToLowercase"], |call| mapped(call, str::to_lowercase));
    sure(&["PreviewAny"], preview_any);
    behaviours.insert("ComfySwitchNode".to_owned(), Arc::new(Switch));
}

fn json_value(value: impl Into<Json>) -> Outcome {
    Outcome::values(vec![Value::Json(value.into())])
}

fn primitive(call: &mut Call<'_>) -> Outcome {
    json_value(call.json("value").cloned().unwrap_or(Json::Null))
}

fn concatenate(call: &mut Call<'_>) -> Outcome {
    let parts = [
        call.text("string_a"),
        call.text("delimiter"),
        call.text("string_b"),
    ];
    json_value(parts.concat())
}

/// `{name}` is replaced by the value of that name.
fn format_string(call: &mut Call<'_>) -> Outcome {
    let mut text = call.text("f_string").to_owned();
    for (name, value) in &call.inputs {
        if let Some(name) = name.strip_prefix("values.") {
            text = text.replace(&format!("{{{name}}}"), &shown(value));
        }
    }
    json_value(text)
}

fn replace(call: &mut Call<'_>) -> Outcome {
    json_value(
        call.text("string")
            .replace(call.text("find"), call.text("replace")),
    )
}

fn trim(call: &mut Call<'_>) -> Outcome {
    let text = call.text("string");
    let trimmed = match call.text("mode") {
        "Left" => text.trim_start(),
        "Right" => text.trim_end(),
        _ => text.trim(),
    };
    json_value(trimmed)
}

fn length(call: &mut Call<'_>) -> Outcome {
    json_value(call.text("string").chars().count())
}

fn mapped(call: &Call<'_>, map: fn(&str) -> String) -> Outcome {
    json_value(map(call.text("text")))
}

/// As `PreviewAny` shows it: texts as they are, numbers and booleans as Python prints them, the
/// rest as JSON or by description.
fn preview_any(call: &mut Call<'_>) -> Outcome {
    let text = call
        .inputs
        .get("source")
        .map_or_else(|| "None".to_owned(), shown);
    json_value(text.clone()).show("text", json!([text]))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Json(Json::String(text)) => text.clone(),
        Value::Json(Json::Bool(true)) => "True".to_owned(),
        Value::Json(Json::Bool(false)) => "False".to_owned(),
        Value::Json(Json::Null) => "None".to_owned(),
        Value::Json(json @ Json::Number(_)) => json.to_string(),
        Value::Json(json) => format!("{json:#}"),
        other => other.describe().as_str().unwrap_or_default().to_owned(),
    }
}

/// Computes only the side that is switched to.
struct Switch;

impl Switch {
    fn side(inputs: &Inputs) -> &'static str {
        let on = inputs
            .get("switch")
            .and_then(|value| value.as_json()?.as_bool());
        if on == Some(true) {
            "on_true"
        } else {
            "on_false"
        }
    }
}

impl SimNode for Switch {
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        let value = call.inputs.get(Self::side(&call.inputs)).cloned();
        Ok(Outcome::values(vec![
            value.unwrap_or(Value::Json(Json::Null)),
        ]))
    }

    fn needs(&self, inputs: &Inputs) -> Vec<String> {
        vec![Self::side(inputs).to_owned()]
    }
}
