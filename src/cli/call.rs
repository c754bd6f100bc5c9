//! `mmf call`: an MCP tool from the shell, with the same answer.

use std::io::Read;

use serde_json::{Map, Value};

use super::args::{CallArgs, Global};
use super::progress::Display;
use super::{Ended, Stopped, report, start};
use crate::failure::{Code, Failure};
use crate::script::Caller;

pub(super) async fn call(global: &Global, args: &CallArgs) -> Result<Ended, Stopped> {
    match answer(global, args).await {
        Ok(value) => {
            report::json(&value);
            Ok(Ended::Well)
        }
        // A failure is an answer, too: the one that an agent would get.
        Err(failure) => {
            report::json(&failure.to_json());
            Err(Stopped::Reported(Box::new(failure)))
        }
    }
}

async fn answer(global: &Global, args: &CallArgs) -> Result<Value, Failure> {
    let arguments = arguments(args.arguments.as_deref().unwrap_or("{}"))?;
    let app = start::app(global, false).await?;
    let tool = app.tool(&args.tool)?;
    let display = Display::start();
    let caller = Caller {
        progress: display.sink(),
        ..Caller::default()
    };
    super::run::cancel_on_interrupt(&caller);
    let result = app.run(tool, arguments, caller).await;
    display.finish();
    Ok(result?)
}

/// An object written as JSON, or in a file, or on stdin.
pub(super) fn arguments(written: &str) -> Result<Map<String, Value>, Failure> {
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
