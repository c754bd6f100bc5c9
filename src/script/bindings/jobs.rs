//! Submitting workflows and waiting for what they make, on behalf of a script.
//!
//! A run that is gone through again finds its jobs by the ids in its journal. One that the server
//! does not know any more, because it was restarted, is submitted again; one that somebody removed
//! there is not. A run that has begun waits for a server that is away: it may be a night's work.

use std::time::Duration;

use rhai::EvalAltResult;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::comfy::{describe_asset, describe_finished};
use crate::comfy::{ComfyError, End, JobState, PreviewMethod, Submit, Submitted, Workflow};
use crate::failure::{Code, Failure};
use crate::jobs::{Finished, JobError, JobRecord, JobStatus, Order, Origin};
use crate::script::explained;
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, Progress, cancelled, thrown};
use crate::script::runs::{Intent, failure_of};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// How often the same work is submitted at most: a job that takes the server down each time it runs
/// would do so for ever.
const ATTEMPTS: u32 = 3;

/// How long a run that has begun waits for a server that is away.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Between two looks whether it is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Queues a workflow.
pub(super) fn submit(context: &Context, workflow: &WorkflowHandle) -> Fallible<Submitted> {
    submit_as(context, workflow, own_origin(context))
}

fn own_origin(context: &Context) -> Origin {
    // A pipeline answers for a workflow that no template built; a tool merely passes on.
    let pipeline = context.script.kind == crate::script::Kind::Pipeline.as_str();
    Origin {
        script: pipeline.then(|| context.script.clone()),
        parameters: if pipeline {
            context.parameters.clone()
        } else {
            Map::new()
        },
        regenerated_from: context.regenerated_from.clone(),
        ..Origin::default()
    }
}

/// Queues a workflow on somebody's behalf.
pub(super) fn submit_as(
    context: &Context,
    workflow: &WorkflowHandle,
    origin: Origin,
) -> Fallible<Submitted> {
    let place = context.steps.as_ref().map(|steps| steps.next_job());
    submit_in(context, workflow, origin, place)
}

/// Queues one of several workflows of a call; `nth` is the same however often the run is gone through.
pub(super) fn submit_nth(
    context: &Context,
    workflow: &WorkflowHandle,
    nth: usize,
) -> Fallible<Submitted> {
    let place = context.steps.as_ref().map(|steps| steps.nth_job(nth));
    submit_in(context, workflow, own_origin(context), place)
}

fn submit_in(
    context: &Context,
    workflow: &WorkflowHandle,
    origin: Origin,
    place: Option<String>,
) -> Fallible<Submitted> {
    let (Some(steps), Some(place)) = (&context.steps, place) else {
        let submitted = put(context, workflow.snapshot(), order_of(context, origin))?;
        return submitted.map_err(thrown);
    };
    match steps.journal().job(&place) {
        Some(earlier) => match recalled(context, &earlier.prompt_id)? {
            Some(submitted) => Ok(submitted),
            None => submit_again(context, &earlier, Some((workflow.snapshot(), origin))),
        },
        None => submit_at(context, &place, 1, &workflow.snapshot(), origin),
    }
}

/// Submits what has a place in the run.
fn submit_at(
    context: &Context,
    place: &str,
    attempt: u32,
    workflow: &Workflow,
    origin: Origin,
) -> Fallible<Submitted> {
    let prompt_id = context.host.ids.ordered();
    context.intend(place, &prompt_id, attempt)?;
    let mut order = order_of(context, origin);
    order.attempt = attempt;
    order.run_id = context.steps.as_ref().map(|steps| steps.journal().run_id());
    order.submit.prompt_id = Some(prompt_id.clone());
    let waits = context.has_begun(place);
    loop {
        let error = match put(context, workflow.clone(), order.clone())? {
            Ok(submitted) => return Ok(submitted),
            Err(error) => error,
        };
        if !waits || error.code != Code::CONNECTION_ERROR {
            return Err(thrown(error));
        }
        await_server(context, &error)?;
        if let Some(submitted) = recalled(context, &prompt_id)? {
            return Ok(submitted);
        }
    }
}

/// Submits lost work again, as it was submitted before.
fn submit_again(
    context: &Context,
    earlier: &Intent,
    given: Option<(Workflow, Origin)>,
) -> Fallible<Submitted> {
    if earlier.attempt >= ATTEMPTS {
        let message = format!(
            "{} is lost, as {ATTEMPTS} attempts at it were",
            earlier.prompt_id
        );
        return Err(thrown(Failure::new(Code::JOB_LOST, message)));
    }
    let before = written(context, &earlier.prompt_id)?;
    let before = before.and_then(|job| Some((Workflow::from_json(job.workflow).ok()?, job.origin)));
    let Some((workflow, origin)) = before.or(given) else {
        let message = format!(
            "{} is lost, and what it was is not known",
            earlier.prompt_id
        );
        return Err(thrown(Failure::new(Code::JOB_LOST, message)));
    };
    tracing::warn!(
        prompt_id = earlier.prompt_id,
        "is lost, and is submitted again"
    );
    submit_at(
        context,
        &earlier.job,
        earlier.attempt + 1,
        &workflow,
        origin,
    )
}

fn order_of(context: &Context, origin: Origin) -> Order {
    Order {
        origin,
        session: context.caller.session.clone(),
        submit: Submit {
            preview: if context.caller.previews {
                PreviewMethod::Auto
            } else {
                PreviewMethod::default()
            },
            ..Submit::default()
        },
        ..Order::default()
    }
}

/// Hands a workflow to the server once.
fn put(
    context: &Context,
    workflow: Workflow,
    order: Order,
) -> Fallible<Result<Submitted, Failure>> {
    let jobs = context.host.jobs.clone();
    let submission = context
        .submissions
        .submit(&context.runtime, jobs, workflow, order);
    let submitted = context.wait(async {
        Ok::<_, Failure>(match submission.await {
            Ok(submitted) => submitted.map_err(|error| explained(&context.generation, error)),
            Err(error) => Err(Failure::new(Code::INTERNAL_ERROR, error.to_string())),
        })
    })?;
    if let Ok(submitted) = &submitted {
        context.report(Progress::Submitted {
            prompt_id: submitted.prompt_id.clone(),
        });
    }
    Ok(submitted)
}

/// A job that the run submitted before, if it is over or the server knows it.
fn recalled(context: &Context, prompt_id: &str) -> Fallible<Option<Submitted>> {
    let job = written(context, prompt_id)?;
    let is_over = job.as_ref().is_some_and(|job| job.status.is_over());
    let is_lost = job
        .as_ref()
        .is_some_and(|job| job.status == JobStatus::Lost);
    let is_made = job.is_some_and(|job| job.made.is_some());
    if is_lost || (!is_over && !is_made && !is_known(context, prompt_id)?) {
        return Ok(None);
    }
    if !is_over {
        context.submissions.note(prompt_id);
    }
    context.report(Progress::Submitted {
        prompt_id: prompt_id.to_owned(),
    });
    Ok(Some(Submitted {
        prompt_id: prompt_id.to_owned(),
        number: 0.0,
        queue_position: None,
        node_errors: Value::Null,
        dropped: vec![],
    }))
}

/// Whether the server knows a job. One that is away is waited for.
fn is_known(context: &Context, prompt_id: &str) -> Fallible<bool> {
    loop {
        let comfy = &context.host.comfy;
        let asked = context.wait(async { Ok::<_, Failure>(comfy.status(prompt_id).await) })?;
        match asked {
            Ok(status) => return Ok(status.state != JobState::Unknown),
            Err(error) if error.is_outage() => await_server(context, &Failure::from(error))?,
            Err(error) => return Err(thrown(error)),
        }
    }
}

/// What is written down of a job.
fn written(context: &Context, prompt_id: &str) -> Fallible<Option<JobRecord>> {
    let Some(ledger) = context.host.jobs.ledger() else {
        return Ok(None);
    };
    Ok(context.wait(ledger.find(prompt_id))?.map(|(_, job)| job))
}

/// Waits until the server answers.
pub(super) fn await_server(context: &Context, why: &Failure) -> Fallible<()> {
    let comfy = &context.host.comfy;
    context.report(Progress::Stage {
        message: format!("waits for ComfyUI at {}", comfy.server()),
        fraction: None,
    });
    let deadline = Instant::now() + PATIENCE;
    context.wait(async {
        while comfy.queue().await.is_err() {
            if Instant::now() >= deadline {
                return Err(why.clone());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    })
}

/// Waits for a job, or for the one that was submitted in its place when it was lost.
pub(super) fn wait_within(
    context: &Context,
    prompt_id: &str,
    limit: Option<Duration>,
) -> Fallible<Value> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut prompt_id = prompt_id.to_owned();
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
            Ok(finished) => {
                if finished.outcome.end == End::Lost
                    && let Some(next) = successor(context, &prompt_id)?
                {
                    prompt_id = next;
                    continue;
                }
                if finished.outcome.end == End::Lost
                    && let Some(told) = remembered(context, &prompt_id)?
                {
                    context.submissions.is_over(&prompt_id);
                    return told;
                }
                context.submissions.is_over(&prompt_id);
                return describe_finished(context, &finished);
            }
            Err(JobError::Cancelled) => return Err(cancelled()),
            Err(JobError::Comfy(ComfyError::Timeout { still, .. })) => {
                return Ok(json!({
                    "status": "timeout",
                    "prompt_id": prompt_id,
                    "still": still,
                    "elapsed_seconds": limit.unwrap_or_default().as_secs_f64(),
                }));
            }
            Err(JobError::Comfy(error)) if error.is_outage() && context.is_own(&prompt_id) => {
                await_server(context, &Failure::from(error))?;
            }
            Err(error) => return Err(thrown(error)),
        }
    }
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
) -> Fallible<Result<std::sync::Arc<Finished>, JobError>> {
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

/// The job that stands for one of the run that is lost; none if it was removed, or was tried often
/// enough.
fn successor(context: &Context, prompt_id: &str) -> Fallible<Option<String>> {
    let Some(steps) = &context.steps else {
        return Ok(None);
    };
    let journal = steps.journal();
    let place = journal.place_of(prompt_id);
    let Some(last) = place.and_then(|place| journal.job(&place)) else {
        return Ok(None);
    };
    if last.prompt_id != prompt_id {
        return Ok(Some(last.prompt_id));
    }
    let gone = written(context, prompt_id)?;
    let gone = gone.filter(|job| !job.status.is_over() || job.status == JobStatus::Lost);
    let submitted_at = gone.map(|job| job.created_at);
    let Some(submitted_at) = submitted_at.filter(|_| last.attempt < ATTEMPTS) else {
        return Ok(None);
    };
    let comfy = &context.host.comfy;
    if context.wait(comfy.remembers_before(submitted_at))? {
        return Ok(None);
    }
    let submitted = submit_again(context, &last, None)?;
    Ok(Some(submitted.prompt_id))
}

impl Context {
    /// Whether the run that this is a part of submitted a job.
    pub(super) fn is_own(&self, prompt_id: &str) -> bool {
        let steps = self.steps.as_ref();
        steps.is_some_and(|steps| steps.journal().place_of(prompt_id).is_some())
    }

    /// Whether the run has put work on the server before this.
    pub(super) fn has_begun(&self, place: &str) -> bool {
        let steps = self.steps.as_ref();
        steps.is_some_and(|steps| steps.journal().has_jobs_beside(place))
    }
}
