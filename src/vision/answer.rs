//! What a model answered, out of all that it is wrapped in.

use serde_json::Value;

use super::VisionError;

/// So much of what a server says is repeated, in characters.
const SHOWN: usize = 200;

/// The answer in a body: text, or what fits the schema.
pub(super) fn read(body: &[u8], schema: Option<&Value>) -> Result<Value, VisionError> {
    let unreadable = |reason: String| VisionError::Unreadable { reason };
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| unreadable(format!("the body is not JSON: {error}")))?;
    let message = &body["choices"][0]["message"];
    let text = message["content"].as_str().map(str::trim);
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        let refusal = message["refusal"].as_str();
        return Err(unreadable(match refusal {
            Some(refusal) => format!("it declined: {}", shown(refusal)),
            None => format!("there is no text in {}", shown(&body.to_string())),
        }));
    };
    let Some(schema) = schema else {
        return Ok(text.into());
    };
    let answer: Value = serde_json::from_str(bare(text))
        .map_err(|_| unreadable(format!("it is not JSON: {}", shown(text))))?;
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| unreadable(format!("the schema is none: {error}")))?;
    validator
        .validate(&answer)
        .map_err(|error| unreadable(format!("it does not fit the schema: {error}")))?;
    Ok(answer)
}

/// JSON without the fence that models like to put around it.
fn bare(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```") else {
        return text;
    };
    let inside = inside.strip_suffix("```").unwrap_or(inside);
    inside.strip_prefix("json").unwrap_or(inside).trim()
}

/// What a server says of what it refuses.
pub(super) fn complaint(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let told = told.and_then(|body| {
        let error = &body["error"];
        let message = error["message"].as_str().or(error.as_str());
        message.map(str::to_owned)
    });
    shown(&told.unwrap_or_else(|| text.into_owned()))
}

fn shown(text: &str) -> String {
    text.trim().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(content: &Value, schema: Option<&Value>) -> Result<Value, String> {
        let body = json!({ "choices": [{ "message": { "content": content } }] }).to_string();
        read(body.as_bytes(), schema).map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_is_text_or_what_fits_the_schema_and_nothing_else() {
        let schema = json!({ "type": "object", "properties": { "score": { "type": "number" } }, "required": ["score"] });
        let schema = Some(&schema);
        assert_eq!(answered(&json!(" a fox "), None), Ok(json!("a fox")));
        let scored = Ok(json!({ "score": 7 }));
        for text in [
            r#"{"score": 7}"#,
            "```json\n{\"score\": 7}\n```",
            "```\n{\"score\": 7}```",
        ] {
            assert_eq!(answered(&json!(text), schema), scored, "{text}");
        }
        for wrong in [
            json!("good"),
            json!(r#"{"score": "high"}"#),
            json!("{}"),
            json!(""),
            Value::Null,
        ] {
            assert!(answered(&wrong, schema).is_err(), "{wrong}");
        }
        assert!(answered(&json!(""), None).is_err());
        assert!(read(b"{}", None).is_err() && read(b"<html>", None).is_err());
    }

    #[test]
    fn what_a_server_complains_of_is_told_in_its_words() {
        assert_eq!(
            complaint(br#"{"error": {"message": "no such model"}}"#),
            "no such model"
        );
        assert_eq!(complaint(br#"{"error": "no such model"}"#), "no such model");
        assert_eq!(complaint(b"Bad Gateway\n"), "Bad Gateway");
    }
}
