//! Jobs within limits: `comfy::run` that gives up after a time and tries again with less where the card
//! is full, and waiting for several.
//!
//! ```rhai
//! let clip = comfy::run(workflow, #{ on_oom: "less", seconds: 600 });
//! let results = comfy::wait_all([comfy::submit(one), comfy::submit(other)]);
//! ```

use std::time::Duration;

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{Array, FLOAT, INT, Module, exported_module};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::batch::told;
use super::comfy::run_within;
use super::jobs::wait_within;
use super::vram::estimate;
use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, Progress, answer, thrown};
use crate::vram::{Estimate, Relief, relieved};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// What `comfy::run` may be told.
const OPTIONS: [&str; 2] = ["on_oom", "seconds"];

/// What may be done where the card is full.
const WAYS: [&str; 3] = ["fail", "retry", "less"];

pub(super) fn functions() -> Module {
    exported_module!(functions)
}

#[export_module]
mod functions {
    use crate::script::value::{from_dynamic, from_map};

    /// Queues a workflow and waits for it within limits: `#{ on_oom, seconds }`. Where the card is
    /// full, `on_oom: "retry"` frees memory and runs it once more, and "less" does so with the ways out
    /// of `vram::estimate` that leave size, number and length as they are: smaller files of the same
    /// models, and decoding in tiles; the answer tells them as `relieved`. A job that is not over after
    /// `seconds` is cancelled and throws.
    /// Throws the same as `submit` and `wait`; `INVALID_PARAMS` for an option that it has not.
    /// Example: `comfy::run(g, #{ on_oom: "less", seconds: 600 })`
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_limited(
        call: NativeCallContext,
        workflow: WorkflowHandle,
        options: rhai::Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let options = from_map(&options).map_err(|error| error.to_string())?;
        let given = json!([workflow.snapshot(), options]);
        let options = super::Options::read(&options).map_err(thrown)?;
        context.once("comfy::run", given, || {
            answer(super::run(&context, &workflow, &options)?)
        })
    }

    /// Waits for several jobs, by their ids or by what `submit` gave: a list of what `wait` gives, in
    /// their order, with `#{ status: "error", error, message, hint }` for one that failed.
    /// Throws `CONNECTION_ERROR` without a server, `INVALID_PARAMS` for what is no job.
    /// Example: `comfy::wait_all([comfy::submit(g), comfy::submit(other)])`
    #[rhai_fn(return_raw)]
    pub fn wait_all(call: NativeCallContext, jobs: Array) -> Fallible<Dynamic> {
        let jobs = from_dynamic(&jobs.into()).map_err(|error| error.to_string())?;
        super::wait_all(&Context::of(&call), &jobs, None)
    }

    /// The same for a number of seconds at most, for all together.
    #[rhai_fn(name = "wait_all", return_raw)]
    pub fn wait_all_within(
        call: NativeCallContext,
        jobs: Array,
        seconds: FLOAT,
    ) -> Fallible<Dynamic> {
        let jobs = from_dynamic(&jobs.into()).map_err(|error| error.to_string())?;
        let limit = super::limit(seconds).map_err(thrown)?;
        super::wait_all(&Context::of(&call), &jobs, Some(limit))
    }

    /// The same with whole seconds.
    #[rhai_fn(name = "wait_all", return_raw)]
    pub fn wait_all_whole(call: NativeCallContext, jobs: Array, seconds: INT) -> Fallible<Dynamic> {
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        wait_all_within(call, jobs, seconds as FLOAT)
    }
}

/// The limits of a job.
struct Options {
    on_oom: OnOom,
    limit: Option<Duration>,
}

/// What is done where the card is full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnOom {
    Fail,
    Retry,
    Less,
}

impl Options {
    fn read(options: &Map<String, Value>) -> Result<Self, Failure> {
        if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
            let suggestion = did_you_mean(nearest(unknown, OPTIONS.into_iter()).as_deref());
            let message = format!("comfy::run has no option \"{unknown}\"{suggestion}");
            return Err(refused(message).hint(format!("it may have {}", OPTIONS.join(", "))));
        }
        let on_oom = match options.get("on_oom").map(Value::as_str) {
            None | Some(Some("fail")) => OnOom::Fail,
            Some(Some("retry")) => OnOom::Retry,
            Some(Some("less")) => OnOom::Less,
            Some(_) => {
                let message = format!("on_oom is {}", options["on_oom"]);
                return Err(refused(message).hint(format!("it is one of {}", WAYS.join(", "))));
            }
        };
        let seconds = match options.get("seconds") {
            None | Some(Value::Null) => None,
            Some(seconds) => Some(limit(seconds.as_f64().unwrap_or(f64::NAN))?),
        };
        Ok(Self {
            on_oom,
            limit: seconds,
        })
    }
}

fn limit(seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds).map_err(|_| refused("seconds is a number from 0".into()))
}

fn refused(message: String) -> Failure {
    Failure::new(Code::INVALID_PARAMS, message)
}

fn run(context: &Context, workflow: &WorkflowHandle, options: &Options) -> Fallible<Value> {
    let first = match told(attempt(context, workflow, options))? {
        Ok(ended) => return Ok(ended),
        Err(failure) => failure,
    };
    if first.code != Code::OUT_OF_MEMORY || options.on_oom == OnOom::Fail {
        return Err(thrown(first));
    }
    let needs = estimate(context, &workflow.snapshot())?;
    context.wait(context.host.comfy.free(true, true))?;
    let relief = match options.on_oom {
        OnOom::Less => with_less(context, workflow, &needs),
        _ => Relief {
            workflow: workflow.snapshot(),
            done: vec![],
        },
    };
    let with = if relief.done.is_empty() {
        "after memory was freed".to_owned()
    } else {
        format!(
            "after memory was freed, to {}",
            relief.done.join(" and to ")
        )
    };
    tracing::warn!(target: "script", "{}: once more {with}", first.message);
    context.report(Progress::Stage {
        message: format!("out of memory: once more {with}"),
        fraction: None,
    });
    match told(attempt(
        context,
        &WorkflowHandle::new(relief.workflow),
        options,
    ))? {
        Ok(mut ended) => {
            ended["relieved"] = json!(relief.done);
            Ok(ended)
        }
        Err(second) if second.code == Code::OUT_OF_MEMORY => Err(thrown(full_again(
            &first,
            second,
            &with,
            &needs,
            &relief.done,
        ))),
        Err(other) => Err(thrown(other)),
    }
}

/// Runs it once.
fn attempt(context: &Context, workflow: &WorkflowHandle, options: &Options) -> Fallible<Value> {
    let ended = run_within(context, workflow, options.limit)?;
    if ended["status"] != "timeout" {
        return Ok(ended);
    }
    let prompt_id = ended["prompt_id"].as_str().unwrap_or_default();
    context.wait(context.host.comfy.cancel(prompt_id))?;
    let seconds = options.limit.unwrap_or_default().as_secs_f64();
    let message = format!("the job was not over after {seconds} seconds and was cancelled");
    let failure = Failure::new(Code::TIMEOUT, message);
    Err(thrown(
        failure
            .hint("give it more seconds; those in the queue count")
            .detail("prompt_id", prompt_id),
    ))
}

/// The workflow with less to hold. What it makes is still what its script made.
fn with_less(context: &Context, workflow: &WorkflowHandle, needs: &Estimate) -> Relief {
    let before = workflow.snapshot();
    let relief = relieved(&before, &needs.ways_out);
    let jobs = &context.host.jobs;
    if let Some(origin) = jobs.origin_of(&before) {
        jobs.remember(&relief.workflow, origin);
    }
    relief
}

/// That it was tried again, in vain, and what else would help.
fn full_again(
    first: &Failure,
    second: Failure,
    with: &str,
    needs: &Estimate,
    done: &[String],
) -> Failure {
    let others = needs.ways_out.iter().map(|way| way.action.as_str());
    let others: Vec<&str> = others
        .filter(|way| !done.iter().any(|own| own == way))
        .collect();
    let hint = if others.is_empty() {
        second.hint
    } else {
        Some(format!("what else would help: {}", others.join("; or ")))
    };
    let message = format!("{}; so it did once more {with}", first.message);
    Failure {
        message,
        hint,
        ..second
    }
    .detail("tried", done.to_vec())
}

fn wait_all(context: &Context, jobs: &Value, limit: Option<Duration>) -> Fallible<Dynamic> {
    let ids = jobs.as_array().into_iter().flatten().map(id);
    let ids: Vec<String> = ids.collect::<Result<_, Failure>>().map_err(thrown)?;
    let wait = || {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut results = Vec::with_capacity(ids.len());
        for id in &ids {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            results.push(match told(wait_within(context, id, left))? {
                Ok(ended) => ended,
                Err(failure) => failed(id, &failure),
            });
        }
        answer(results)
    };
    // What a run waits for without having submitted it is asked for again: that does no harm.
    if ids.iter().all(|id| context.is_own(id)) {
        let seconds = limit.map(|limit| limit.as_secs_f64());
        context.once("comfy::wait_all", json!([ids, seconds]), wait)
    } else {
        wait()
    }
}

/// The id of a job, or of what `submit` gave.
fn id(job: &Value) -> Result<String, Failure> {
    let id = job.as_str().or(job["prompt_id"].as_str());
    id.map(str::to_owned)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| {
            let message = format!("wait_all takes jobs, and one is {job}");
            refused(message).hint("give the prompt_ids that comfy::submit gave")
        })
}

fn failed(prompt_id: &str, failure: &Failure) -> Value {
    let mut result = json!({ "status": "error", "prompt_id": prompt_id });
    if let (Value::Object(result), Value::Object(failure)) = (&mut result, failure.to_json()) {
        for (name, value) in failure {
            result.entry(name).or_insert(value);
        }
    }
    result
}
