//! JSON on the command line: written out, in a file, or on stdin.

use std::io::Read;

use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// An object written as JSON, or in a file, or on stdin.
pub(super) fn object(written: &str) -> Result<Map<String, Value>, Failure> {
    let text = match written.strip_prefix('@') {
        None => written.to_owned(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| invalid(format!("stdin can't be read: {error}")))?;
            text
        }
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            Failure::new(Code::NOT_FOUND, format!("{file} can't be read: {error}"))
        })?,
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(invalid("the arguments have to be a JSON object".to_owned())),
        Err(error) => Err(invalid(format!("the arguments are not JSON: {error}"))),
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::INVALID_PARAMS, message)
        .hint("write '{\"name\": \"sd3_txt2img\"}', or @FILE, or @- for stdin")
}
