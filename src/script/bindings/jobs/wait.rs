//! Waiting for a job, or for the one that was submitted in its place when it was lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::again::{Next, is_ours, next};
use super::outage::{OUTAGES, await_server};
use super::{Fallible, written};
use crate::comfy::{ComfyError, End};
use crate::failure::Failure;
use crate::jobs::{Finished, JobError, JobStatus};
use crate::script::bindings::comfy::{describe_asset, describe_finished};
use crate::script::host::{Context, Progress, thrown};
use crate::script::runs::failure_of;

/// Waits for a job for so long at most.
pub(in crate::script::bindings) fn wait_within(
    context: &Context,
    prompt_id: &str,
    limit: Option<Duration>,
) -> Fallible<Value> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let late = |prompt_id: &str, still: &str| {
        json!({
            "status": "timeout",
            "prompt_id": prompt_id,
            "still": still,
            "elapsed_seconds": limit.unwrap_or_default().as_secs_f64(),
        })
    };
    let mut prompt_id = prompt_id.to_owned();
    let mut outages = 0;
    if context.is_own(&prompt_id)
        && !context.host.jobs.is_of(&prompt_id, context.session())
        && let Some(told) = remembered(context, &prompt_id)?
    {
        // The server need not be asked what became of it before.
        return told;
    }
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match wait_once(context, &prompt_id, left)? {
            Ok(finished) if finished.outcome.end == End::Lost => {
                match lost(context, &prompt_id, &finished)? {
                    Lost::Replaced(next) => prompt_id = next,
                    Lost::For(told) => return told,
                }
            }
            Ok(finished) => {
                context.submissions.is_over(&prompt_id);
                return describe_finished(context, &finished, None);
            }
            Err(JobError::Cancelled) => return Err(context.budget.stopped()),
            Err(JobError::Comfy(ComfyError::Timeout { still, .. })) => {
                return Ok(late(&prompt_id, still));
            }
            Err(JobError::Comfy(error))
                if error.is_outage() && outages < OUTAGES && context.is_own(&prompt_id) =>
            {
                outages += 1;
                if !await_server(context, &Failure::from(error), deadline)? {
                    return Ok(late(&prompt_id, "unknown"));
                }
            }
            Err(error) => return Err(thrown(error)),
        }
    }
}

/// What a job comes to that the server does not know.
enum Lost {
    /// Another one stands for it.
    Replaced(String),
    /// This.
    For(Fallible<Value>),
}

fn lost(context: &Context, prompt_id: &str, finished: &Finished) -> Fallible<Lost> {
    let why = match next(context, prompt_id)? {
        Next::Job(next) => return Ok(Lost::Replaced(next)),
        Next::None(why) => why,
    };
    context.submissions.is_over(prompt_id);
    if let Some(told) = remembered(context, prompt_id)? {
        return Ok(Lost::For(told));
    }
    let kept = context.host.jobs.kept(prompt_id).map_err(thrown)?;
    if kept.is_empty() && !is_ours(context, prompt_id)? {
        let prompt_id = prompt_id.to_owned();
        return Err(thrown(ComfyError::UnknownJob { prompt_id }));
    }
    Ok(Lost::For(describe_finished(context, finished, why)))
}

/// How a job ended that the server has forgotten.
fn remembered(context: &Context, prompt_id: &str) -> Fallible<Option<Fallible<Value>>> {
    let Some(job) = written(context, prompt_id)? else {
        return Ok(None);
    };
    match (job.status, job.failure) {
        (JobStatus::Done, _) => {
            let mut kept = context.host.jobs.kept(prompt_id).map_err(thrown)?;
            kept.sort_by_key(|asset| job.outputs.iter().position(|id| *id == asset.asset_id));
            let outputs: Vec<Value> = kept.iter().map(describe_asset).collect();
            let times = job.started_at.zip(job.ended_at);
            let elapsed = times.map(|(began, ended)| ended.duration_since(began).as_secs_f64());
            Ok(Some(Ok(json!({
                "status": "completed",
                "prompt_id": prompt_id,
                "outputs": outputs,
                "elapsed_seconds": elapsed,
            }))))
        }
        (JobStatus::Failed | JobStatus::Cancelled, Some(failure)) => {
            Ok(Some(Err(thrown(failure_of(&failure)))))
        }
        _ => Ok(None),
    }
}

fn wait_once(
    context: &Context,
    prompt_id: &str,
    limit: Option<Duration>,
) -> Fallible<Result<Arc<Finished>, JobError>> {
    let report = |event| {
        context.report(Progress::Job {
            prompt_id: prompt_id.to_owned(),
            event,
        });
    };
    let cancel = &context.caller.cancel;
    let session = context.session();
    let jobs = &context.host.jobs;
    context.wait_for_job(jobs.wait(prompt_id, session, limit, cancel, report))
}
