//! Talking with whoever called the script: its log, its user, its model.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::{Map, Value, json};

use super::{SharedModule, indexed};
use crate::failure::{Code, Failure};
use crate::script::answers;
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::conversation::{Answer, Level, Question, Sample};
use crate::script::host::{Context, answer, thrown};

/// What the options of a request to the client's model may say.
const SAMPLE: [&str; 3] = ["max_tokens", "system", "temperature"];

/// The longest answer of the client's model, in tokens, if the script doesn't say.
const MAX_TOKENS: u64 = 1000;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use crate::script::value::{from_dynamic, from_map};

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// Says something in the log of this program and of the client: a string, or a value. The
    /// levels are debug, info, notice, warning, error, critical, alert and emergency.
    /// Throws `INVALID_PARAMS` for a level that there is not.
    /// Example: `log("warning", "once more with less")`
    #[rhai_fn(return_raw)]
    pub fn log(call: NativeCallContext, level: &str, message: Dynamic) -> Fallible<()> {
        let level = Level::from_name(level).map_err(thrown)?;
        let data = from_dynamic(&message).map_err(|error| error.to_string())?;
        super::log(&Context::of(&call), level, data);
        Ok(())
    }

    /// Asks the user. The form is a map of fields, each with a JSON schema of its own, whose
    /// default is `value`: `#{ seed: #{ type: "integer", description: "...", value: 7 } }`. Gives `#{ action, content }`; the action is
    /// accept, decline, cancel, or unsupported where there is nobody to ask.
    /// Throws `INVALID_PARAMS` for a form that is not understood.
    /// Example: `ask("How many?", #{ n: #{ type: "integer", value: 3 } }).content`
    #[rhai_fn(return_raw)]
    pub fn ask(call: NativeCallContext, message: &str, form: rhai::Map) -> Fallible<Dynamic> {
        let form = from_map(&form).map_err(|error| error.to_string())?;
        let given = json!([message, form]);
        let question = Question::new(message, form).map_err(thrown)?;
        let context = Context::of(&call);
        context.once("ask", given, || {
            let asked = context.wait(context.caller.conversation.ask(question))?;
            answer(super::described(asked))
        })
    }

    /// Has the client's model answer a prompt: a string, a reply with pictures, or a list of
    /// messages. Gives its text, or `()` where the client lends no model.
    /// Throws `INVALID_PARAMS` for options that are not understood.
    /// Example: `sample("Describe a fox in one sentence") ?? "a fox"`
    #[rhai_fn(return_raw)]
    pub fn sample(call: NativeCallContext, prompt: Dynamic) -> Fallible<Dynamic> {
        sample_with(call, prompt, rhai::Map::new())
    }

    /// The same with `max_tokens`, system (how the model is to behave) and temperature.
    #[rhai_fn(name = "sample", return_raw)]
    pub fn sample_with(
        call: NativeCallContext,
        prompt: Dynamic,
        options: rhai::Map,
    ) -> Fallible<Dynamic> {
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let sample = super::request(&prompt, &options).map_err(thrown)?;
        // A prompt with pictures has no counterpart in JSON.
        let given = json!([from_dynamic(&prompt).ok(), options]);
        let context = Context::of(&call);
        context.once("sample", given, || {
            answer(context.wait(context.caller.conversation.sample(sample))?)
        })
    }
}

fn log(context: &Context, level: Level, data: Value) {
    let script = &context.script.name;
    let said = data
        .as_str()
        .map_or_else(|| data.to_string(), str::to_owned);
    match level {
        Level::Debug => tracing::debug!(target: "script", "{script}: {said}"),
        Level::Info | Level::Notice => tracing::info!(target: "script", "{script}: {said}"),
        Level::Warning => tracing::warn!(target: "script", "{script}: {said}"),
        _ => tracing::error!(target: "script", "{script}: {said}"),
    }
    context.caller.conversation.log(level, script, data);
}

fn described(asked: Answer) -> Value {
    match asked {
        Answer::Accept(content) => json!({ "action": "accept", "content": content }),
        Answer::Decline => json!({ "action": "decline", "content": {} }),
        Answer::Cancel => json!({ "action": "cancel", "content": {} }),
        Answer::Unsupported => json!({ "action": "unsupported", "content": {} }),
    }
}

fn request(prompt: &Dynamic, options: &Map<String, Value>) -> Result<Sample, Failure> {
    let refuse = |message: String| Failure::new(Code::INVALID_PARAMS, message);
    if let Some(unknown) = options.keys().find(|key| !SAMPLE.contains(&key.as_str())) {
        let suggestion = did_you_mean(nearest(unknown, SAMPLE.into_iter()).as_deref());
        let message = format!("sample has no option \"{unknown}\"{suggestion}");
        return Err(refuse(message).hint(format!("it may have {}", SAMPLE.join(", "))));
    }
    let max_tokens = match options.get("max_tokens") {
        Some(given) => given.as_u64(),
        None => Some(MAX_TOKENS),
    };
    let max_tokens = max_tokens
        .and_then(|tokens| u32::try_from(tokens).ok())
        .filter(|tokens| *tokens > 0)
        .ok_or_else(|| refuse("max_tokens is a whole number above 0".to_owned()))?;
    Ok(Sample {
        messages: answers::messages(prompt)
            .map_err(|_| refuse("a prompt is a string, a reply, or messages".to_owned()))?,
        system: options
            .get("system")
            .and_then(Value::as_str)
            .map(str::to_owned),
        max_tokens,
        temperature: options.get("temperature").and_then(Value::as_f64),
    })
}
