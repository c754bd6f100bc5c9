//! `comfy::`: the server. Submitting workflows, waiting for them, asking how it is.

use std::time::Duration;

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{FLOAT, INT, exported_module};
use serde_json::{Map, Value, json};

use super::jobs::{submit, wait_within};
use super::{SharedModule, careful, indexed};
use crate::assets::Asset;
use crate::comfy::{JobState, OutputBody, Status};
use crate::failure::{Code, Failure};
use crate::jobs::{Finished, KeptOutput};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::script::repair::repair as mend;

/// How long asking after a finished job waits for its outputs.
const COLLECT_SECONDS: f64 = 10.0;

pub(super) fn module() -> SharedModule {
    let mut module = exported_module!(functions);
    module.combine(careful::functions());
    indexed(module)
}

#[export_module]
mod functions {
    use crate::script::bindings::grounds::Grounds;
    use crate::script::bindings::jobs;
    use crate::script::bindings::runs;
    use crate::script::runs::is_run;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// Queues a workflow: `#{ prompt_id, queue_position, number, node_errors }`.
    /// Throws `VALIDATION_ERROR` for what the server refuses, `CONNECTION_ERROR` without a server.
    /// Example: `let prompt_id = comfy::submit(g).prompt_id;`
    #[rhai_fn(return_raw)]
    pub fn submit(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("comfy::submit", json!([workflow.snapshot()]), || {
            answer(jobs::submit(&context, &workflow)?)
        })
    }

    /// Waits for a job for a number of seconds. A job that ended well gives `#{ status:
    /// "completed", outputs, elapsed_seconds }`, one that goes on `#{ status: "timeout", still }`;
    /// one that failed throws. For the `run_id` of a run that went on, it is what the run's tool
    /// answers.
    /// Throws what became of the job (`EXECUTION_ERROR`, `OUT_OF_MEMORY`, `CANCELLED`, `JOB_LOST`),
    /// `NOT_FOUND`.
    /// Example: `comfy::wait(prompt_id, 60.0).status`
    #[rhai_fn(return_raw)]
    pub fn wait(call: NativeCallContext, prompt_id: &str, seconds: FLOAT) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        super::check_id(prompt_id)?;
        if is_run(prompt_id) {
            return runs::wait(&context, prompt_id, super::limit_of(seconds)?);
        }
        let wait = || answer(super::wait(&context, prompt_id, seconds)?);
        // What a run waits for without having submitted it is asked for again: that does no harm.
        if context.is_own(prompt_id) {
            context.once("comfy::wait", json!([prompt_id, seconds]), wait)
        } else {
            wait()
        }
    }

    /// The same with whole seconds.
    #[rhai_fn(name = "wait", return_raw)]
    pub fn wait_whole(call: NativeCallContext, prompt_id: &str, seconds: INT) -> Fallible<Dynamic> {
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        wait(call, prompt_id, seconds as FLOAT)
    }

    /// Queues a workflow and waits for it for as long as it takes: `#{ prompt_id, outputs, ... }`.
    /// Throws the same as `submit` and `wait`.
    /// Example: `comfy::run(g).outputs[0].asset_id`
    #[rhai_fn(return_raw)]
    pub fn run(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("comfy::run", json!([workflow.snapshot()]), || {
            answer(super::run(&context, &workflow)?)
        })
    }

    /// What is wrong with a workflow, without queueing it: `#{ valid, errors, findings, node_errors,
    /// node_count }`.
    /// Throws nothing: without a server the node classes of this program count.
    /// Example: `comfy::validate(g).errors`
    #[rhai_fn(return_raw)]
    pub fn validate(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let nodes = workflow.snapshot().into_json();
        let grounds = Grounds::of(&context, &nodes)?;
        let report = grounds.judge(&context, &nodes);
        answer(grounds.told(&context, &report))
    }

    /// Lets the fixers mend a workflow: `#{ corrections, workflow }`, and of what is left `valid`,
    /// `errors` and `findings`; with `failed_fixers` if some failed, which are left out.
    /// Throws nothing: without a server the node classes of this program count.
    /// Example: `comfy::repair(g).corrections`
    #[rhai_fn(return_raw)]
    pub fn repair(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let grounds = Grounds::of(&context, &workflow.snapshot().into_json())?;
        let inspect = |nodes: &Value| grounds.judge(&context, nodes);
        let repaired = mend(
            &context.generation,
            &inspect,
            workflow.snapshot(),
            &context.stop,
        );
        let repaired = repaired.map_err(thrown)?;
        let mut verdict = grounds.told(&context, &repaired.report);
        if let Some(verdict) = verdict.as_object_mut() {
            // The findings say it in full.
            verdict.retain(|key, _| !["node_errors", "node_count"].contains(&&**key));
        }
        verdict["corrections"] = json!(repaired.corrections);
        verdict["workflow"] = json!(repaired.workflow);
        if !repaired.failed.is_empty() {
            verdict["failed_fixers"] = json!(repaired.failed);
        }
        answer(verdict)
    }

    /// Where a job or run stands. It does not wait for a job's end, and for the outputs of one that
    /// is over some seconds at most.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::status(prompt_id).status`
    #[rhai_fn(return_raw)]
    pub fn status(call: NativeCallContext, prompt_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        super::check_id(prompt_id)?;
        if is_run(prompt_id) {
            return runs::status(&context, prompt_id);
        }
        let status = context.wait(context.host.comfy.status(prompt_id))?;
        if status.outcome.is_some() {
            // Whoever asks first after a job's end sees to it that its outputs are kept.
            super::wait(&context, prompt_id, super::COLLECT_SECONDS).ok();
        }
        answer(super::describe_status(&context, &status)?)
    }

    /// Stops one job or run, waiting or running, and no other.
    /// Throws `NOT_FOUND`, `CONNECTION_ERROR` without a server.
    /// Example: `comfy::cancel(prompt_id)`
    #[rhai_fn(return_raw)]
    pub fn cancel(call: NativeCallContext, prompt_id: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        super::check_id(prompt_id)?;
        if is_run(prompt_id) {
            return runs::cancel(&context, prompt_id);
        }
        context.once("comfy::cancel", json!([prompt_id]), || {
            answer(context.wait(context.host.comfy.cancel(prompt_id))?)
        })
    }

    /// Stops whatever the server is running, no matter whose it is.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::interrupt()`
    #[rhai_fn(return_raw)]
    pub fn interrupt(call: NativeCallContext) -> Fallible<()> {
        let context = Context::of(&call);
        let interrupt = || answer(context.wait(context.host.comfy.interrupt())?);
        let done = context.once("comfy::interrupt", json!([]), interrupt);
        done.map(|_| ())
    }

    /// Stops what the caller's session has running there and gives the ids of those jobs. If what
    /// runs is somebody else's, nothing is stopped and that is an error.
    /// Throws `NOT_ALLOWED` where what runs is not ours, `CONNECTION_ERROR` without a server.
    /// Example: `comfy::interrupt_own()`
    #[rhai_fn(return_raw)]
    pub fn interrupt_own(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("comfy::interrupt_own", json!([]), || {
            answer(context.wait(context.host.jobs.interrupt_own(context.session()))?)
        })
    }

    /// What runs and what waits, first come first.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::queue().pending.len()`
    #[rhai_fn(return_raw)]
    pub fn queue(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(context.wait(context.host.comfy.queue())?)
    }

    /// The same, of those that wait only so many, and how many do: `#{ running, pending, waiting }`.
    #[rhai_fn(name = "queue", return_raw)]
    pub fn queue_head(call: NativeCallContext, limit: INT) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let limit = usize::try_from(limit).unwrap_or_default();
        answer(context.wait(context.host.comfy.queue_head(limit))?)
    }

    /// Asks the server to free graphics memory.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::free(true)`
    #[rhai_fn(return_raw)]
    pub fn free(call: NativeCallContext, unload_models: bool) -> Fallible<()> {
        let context = Context::of(&call);
        let free = || answer(context.wait(context.host.comfy.free(unload_models, true))?);
        let done = context.once("comfy::free", json!([unload_models]), free);
        done.map(|_| ())
    }

    /// The server's version, its devices and their memory in bytes.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::system_stats().devices[0].vram_free`
    #[rhai_fn(return_raw)]
    pub fn system_stats(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("comfy::system_stats", json!([]), || {
            answer(context.wait(context.host.comfy.system_stats())?)
        })
    }

    /// The files of a model folder, as loaders list them.
    /// Throws `NOT_FOUND` for a folder that there is not, `CONNECTION_ERROR` without a server.
    /// Example: `comfy::models("loras")`
    #[rhai_fn(return_raw)]
    pub fn models(call: NativeCallContext, folder: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        // What a script decides by it is to be decided alike when it is gone through again.
        context.once("comfy::models", json!([folder]), || {
            answer(context.wait(context.host.comfy.models(folder))?)
        })
    }

    /// The files of all model folders: names by folder.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::all_models().checkpoints`
    #[rhai_fn(return_raw)]
    pub fn all_models(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("comfy::all_models", json!([]), || {
            answer(context.wait(context.host.comfy.all_models())?)
        })
    }

    /// The names of the model folders.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `comfy::model_folders()`
    #[rhai_fn(return_raw)]
    pub fn model_folders(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("comfy::model_folders", json!([]), || {
            answer(context.wait(context.host.comfy.model_folders())?)
        })
    }
}

/// Queues a workflow and waits for it for as long as it takes.
pub(super) fn run(
    context: &Context,
    workflow: &WorkflowHandle,
) -> Result<Value, Box<EvalAltResult>> {
    run_within(context, workflow, None)
}

/// The same for a time at most.
pub(super) fn run_within(
    context: &Context,
    workflow: &WorkflowHandle,
    limit: Option<Duration>,
) -> Result<Value, Box<EvalAltResult>> {
    let submitted = submit(context, workflow)?;
    let mut ended = wait_within(context, &submitted.prompt_id, limit)?;
    let errors = submitted.node_errors.as_object();
    if let Some(errors) = errors.filter(|errors| !errors.is_empty()) {
        ended["node_errors"] = errors.clone().into();
    }
    Ok(ended)
}

/// An id of nothing would ask the server for all that it ever ran.
fn check_id(prompt_id: &str) -> Result<(), Box<EvalAltResult>> {
    if !prompt_id.trim().is_empty() {
        return Ok(());
    }
    let failure = Failure::new(Code::INVALID_PARAMS, "prompt_id is empty");
    Err(thrown(
        failure
            .hint("pass the prompt_id that execute_workflow gave")
            .detail("fields", json!(["prompt_id"])),
    ))
}

fn wait(context: &Context, prompt_id: &str, seconds: f64) -> Result<Value, Box<EvalAltResult>> {
    wait_within(context, prompt_id, Some(limit_of(seconds)?))
}

fn limit_of(seconds: f64) -> Result<Duration, Box<EvalAltResult>> {
    let limit = Duration::try_from_secs_f64(seconds);
    Ok(limit.map_err(|_| format!("can't wait for {seconds} seconds"))?)
}

/// What a job came to that is over; `why` tells of a lost one what its loss alone does not.
pub(super) fn describe_finished(
    context: &Context,
    finished: &Finished,
    why: Option<Failure>,
) -> Result<Value, Box<EvalAltResult>> {
    let outcome = &finished.outcome;
    let made = context.submissions.made(&outcome.prompt_id);
    let outputs: Vec<Value> = finished.outputs.iter().map(describe_output).collect();
    let elapsed = outcome.duration().map(|duration| duration.as_secs_f64());
    if let Some(mut failure) = why.or_else(|| outcome.failure()) {
        // A server that has forgotten the job lists no outputs; what was kept of it is here.
        let kept = context.host.jobs.kept(&outcome.prompt_id).map_err(thrown)?;
        let ids: Vec<&str> = kept.iter().map(|asset| asset.asset_id.as_str()).collect();
        if outputs.is_empty() && !ids.is_empty() {
            failure = failure.detail("asset_ids", ids);
        }
        if !finished.warnings.is_empty() {
            failure = failure.detail("warnings", json!(finished.warnings));
        }
        let failure = failure.detail("status", "error").detail("outputs", outputs);
        return Err(thrown(made.tell(failure, &context.generation)));
    }
    let mut told = json!({
        "status": "completed",
        "prompt_id": outcome.prompt_id,
        "outputs": outputs,
        "elapsed_seconds": elapsed,
    });
    if !finished.warnings.is_empty() {
        told["warnings"] = json!(finished.warnings);
    }
    Ok(told)
}

/// An output as the original's callers know it: `type` says in which sense it is to be shown,
/// `asset_id` leads to everything else.
fn describe_output(kept: &KeptOutput) -> Value {
    let mut entry = Map::new();
    match &kept.kept {
        Ok(asset) => entry = describe_kept(asset),
        Err(failure) => {
            entry.insert("type".into(), kept.output.kind.as_str().into());
            entry.insert("not_kept".into(), failure.to_json());
            if let OutputBody::File(file) = &kept.output.body {
                entry.insert("filename".into(), file.filename.as_str().into());
                entry.insert("subfolder".into(), file.subfolder.as_str().into());
            }
        }
    }
    if let OutputBody::Text(text) = &kept.output.body {
        entry.insert("text".into(), text.as_str().into());
    }
    entry.insert("node_id".into(), kept.output.node_id.as_str().into());
    entry.into()
}

/// An asset in the same form, for jobs that nobody waits for.
pub(super) fn describe_asset(asset: &Asset) -> Value {
    let mut entry = describe_kept(asset);
    entry.insert("node_id".into(), json!(asset.node_id));
    entry.into()
}

fn describe_kept(asset: &Asset) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("asset_id".into(), asset.asset_id.as_str().into());
    entry.insert("type".into(), json!(asset.kind));
    entry.insert("filename".into(), asset.filename.as_str().into());
    entry.insert("subfolder".into(), asset.subfolder.as_str().into());
    if let (Some(width), Some(height)) = (asset.width, asset.height) {
        entry.insert("width".into(), width.into());
        entry.insert("height".into(), height.into());
    }
    entry
}

/// What is written down of a job that the server does not know.
fn describe_remembered(
    context: &Context,
    prompt_id: &str,
    entry: &mut Value,
) -> Result<(), Box<EvalAltResult>> {
    let Some(ledger) = context.host.jobs.ledger() else {
        return Ok(());
    };
    let Some((_, job)) = context.wait(ledger.find(prompt_id))? else {
        return Ok(());
    };
    // What is open here and unknown there is about to be found lost.
    if job.status.is_over() {
        entry["was"] = json!(job.status);
        if let Some(failure) = job.failure {
            entry["failure"] = failure;
        }
    }
    Ok(())
}

fn describe_status(context: &Context, status: &Status) -> Result<Value, Box<EvalAltResult>> {
    let kept = context.host.jobs.kept(&status.prompt_id).map_err(thrown)?;
    let mut entry = json!({ "prompt_id": status.prompt_id, "status": status.state });
    if let Some(position) = status.queue_position {
        entry["queue_position"] = position.into();
    }
    if let Some(progress) = &status.progress {
        entry["progress"] = json!(progress);
    }
    if let Some(outcome) = &status.outcome {
        let failure: Option<Failure> = outcome.failure();
        if let Some(failure) = failure {
            entry["failure"] = failure.to_json();
        }
        entry["elapsed_seconds"] = json!(outcome.duration().map(|duration| duration.as_secs_f64()));
    } else if status.state == JobState::Unknown {
        describe_remembered(context, &status.prompt_id, &mut entry)?;
        if !kept.is_empty() {
            entry["hint"] =
                "ComfyUI has forgotten the job; what it made is kept in these outputs".into();
        }
    }
    if !kept.is_empty() {
        let outputs: Vec<Value> = kept.iter().map(describe_asset).collect();
        entry["outputs"] = outputs.into();
    }
    Ok(entry)
}
