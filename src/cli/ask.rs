//! Questions of scripts, asked on the terminal.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::progress::Display;
use super::report;
use crate::failure::{Code, Failure};
use crate::script::Conversation;
use crate::script::conversation::{Answer, Level, Nobody, Question, Sample};

/// Whoever sits at the terminal, if anybody does.
pub(super) fn someone(display: &Display) -> Arc<dyn Conversation> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        Arc::new(Terminal(display.clone()))
    } else {
        Arc::new(Nobody)
    }
}

struct Terminal(Display);

impl Conversation for Terminal {
    /// The log of the program shows it already.
    fn log(&self, _level: Level, _logger: &str, _data: Value) {}

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        ask_aside(&self.0, question, || next_line().ok().flatten()).boxed()
    }

    /// A terminal lends no model.
    fn sample(&self, sample: Sample) -> BoxFuture<'_, Result<Option<String>, Failure>> {
        Nobody.sample(sample)
    }
}

/// Asks while the bars are hidden. Whoever cancels leaves the question open: reading a line can't be
/// broken off, so it has a thread of its own, for which nobody waits.
async fn ask_aside(
    display: &Display,
    question: Question,
    mut line: impl FnMut() -> Option<String> + Send + 'static,
) -> Result<Answer, Failure> {
    let _aside = display.aside();
    let (sender, answer) = oneshot::channel();
    let asking = move || {
        // Nobody listens any more when the command was cancelled.
        let _ = sender.send(ask(&question, &mut line));
    };
    let broken = |error: String| Failure::new(Code::INTERNAL_ERROR, error);
    thread::Builder::new()
        .name("mmf-question".into())
        .spawn(asking)
        .map_err(|error| broken(format!("no thread for the question: {error}")))?;
    answer
        .await
        .unwrap_or_else(|error| Err(broken(error.to_string())))
}

/// The next line that is typed; `None` at the end (Ctrl-D).
fn next_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line)?;
    Ok((read > 0).then_some(line))
}

/// Asks for one field after the other. An empty line takes the default, or leaves out what need
/// not be answered.
fn ask(question: &Question, line: &mut dyn FnMut() -> Option<String>) -> Result<Answer, Failure> {
    report::note(&question.message);
    let mut content = Map::new();
    for (name, field) in question.fields() {
        loop {
            report::note(prompt(name, field));
            let Some(typed) = line() else {
                return Ok(Answer::Cancel);
            };
            match value(field, typed.trim()) {
                Ok(Some(value)) => drop(content.insert(name.clone(), value)),
                Ok(None) if field.get("default").is_none() && question.requires(name) => continue,
                Ok(None) => {}
                Err(wanted) => {
                    report::note(format_args!("that is not {wanted}"));
                    continue;
                }
            }
            break;
        }
    }
    question.accept(content)
}

/// A field as it is asked for: `steps, how many (8, 20 or 50) [20]:`.
fn prompt(name: &str, field: &Value) -> String {
    let mut prompt = field["title"].as_str().unwrap_or(name).to_owned();
    if let Some(description) = field["description"].as_str() {
        prompt = format!("{prompt}, {description}");
    }
    let choices = choices(field);
    if !choices.is_empty() {
        prompt = format!("{prompt} ({})", choices.join(", "));
    }
    match field.get("default") {
        Some(Value::String(text)) => format!("{prompt} [{text}]:"),
        Some(value) => format!("{prompt} [{value}]:"),
        None => format!("{prompt}:"),
    }
}

fn choices(field: &Value) -> Vec<String> {
    let of = |value: &Value| {
        let listed = value["enum"].as_array();
        let titled = value["oneOf"].as_array().or(value["anyOf"].as_array());
        let titled = titled.into_iter().flatten().map(|choice| &choice["const"]);
        let all: Vec<&Value> = listed.into_iter().flatten().chain(titled).collect();
        all.into_iter()
            .filter_map(|choice| choice.as_str().map(str::to_owned))
            .collect::<Vec<String>>()
    };
    let own = of(field);
    if own.is_empty() {
        of(&field["items"])
    } else {
        own
    }
}

/// What was typed as the field wants it, or what it wants.
fn value(field: &Value, typed: &str) -> Result<Option<Value>, &'static str> {
    if typed.is_empty() {
        return Ok(None);
    }
    let ty = field["type"].as_str().unwrap_or("string");
    let value = match ty {
        "integer" => typed.parse::<i64>().map_err(|_| "a whole number")?.into(),
        "number" => typed.parse::<f64>().map_err(|_| "a number")?.into(),
        "boolean" => match typed.to_lowercase().as_str() {
            "y" | "yes" | "true" => true.into(),
            "n" | "no" | "false" => false.into(),
            _ => return Err("yes or no"),
        },
        "array" => typed
            .split(',')
            .map(|item| Value::from(item.trim()))
            .collect(),
        _ => Value::from(typed),
    };
    let known = choices(field);
    let unknown = |item: &Value| {
        let item = item.as_str();
        !known.is_empty() && item.is_some_and(|item| !known.iter().any(|known| known == item))
    };
    let items = value
        .as_array()
        .map_or(std::slice::from_ref(&value), Vec::as_slice);
    if items.iter().any(unknown) {
        return Err("one of the choices");
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(schema: &Value, lines: &[&str]) -> Answer {
        let question = Question::new("Well?", schema.as_object().unwrap().clone()).unwrap();
        let mut lines = lines.iter().map(|line| format!("{line}\n"));
        ask(&question, &mut || lines.next()).unwrap()
    }

    fn accepted(content: &Value) -> Answer {
        Answer::Accept(content.as_object().unwrap().clone())
    }

    #[test]
    fn each_field_is_asked_for_until_it_makes_sense() {
        let schema = json!({
            "a": { "type": "integer" },
            "b": { "type": "boolean", "value": true },
            "c": { "type": "array", "items": { "type": "string", "enum": ["x", "y"] } },
        });
        let answer = answered(&schema, &["", "many", "3", "", "x, z", "x, y"]);
        assert_eq!(
            answer,
            accepted(&json!({ "a": 3, "b": true, "c": ["x", "y"] }))
        );
    }

    #[tokio::test]
    async fn a_command_can_end_while_a_question_is_open() {
        let display = Display::start();
        let schema = json!({ "a": { "type": "string" } });
        let question = Question::new("Well?", schema.as_object().unwrap().clone()).unwrap();
        let (_terminal, typed) = std::sync::mpsc::channel::<String>();
        let (reads, mut read) = tokio::sync::mpsc::unbounded_channel();
        let line = move || {
            reads.send(()).ok()?;
            typed.recv().ok()
        };
        tokio::select! {
            _ = ask_aside(&display, question, line) => panic!("nobody typed anything"),
            _ = read.recv() => {}
        }
        let (finishing, finished) = std::sync::mpsc::channel();
        thread::spawn(move || {
            display.finish();
            finishing.send(())
        });
        let limit = std::time::Duration::from_secs(10);
        finished.recv_timeout(limit).unwrap();
    }

    #[test]
    fn the_end_of_the_input_cancels() {
        assert_eq!(
            answered(&json!({ "a": { "type": "string" } }), &[]),
            Answer::Cancel
        );
    }

    #[test]
    fn a_field_is_shown_with_its_choices_and_default() {
        let field =
            json!({ "type": "string", "description": "how", "enum": ["x", "y"], "default": "y" });
        assert_eq!(prompt("mode", &field), "mode, how (x, y) [y]:");
    }
}
