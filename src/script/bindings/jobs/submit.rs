//! Putting a workflow on the server, at its place in the run.

use serde_json::{Map, Value};

use super::again::{found_or_refused, recall};
use super::outage::{OUTAGES, await_server, pause};
use super::{Fallible, written};
use crate::comfy::{ComfyError, PreviewMethod, Submit, Submitted, Workflow};
use crate::failure::Failure;
use crate::jobs::{JobError, Order, Origin};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, Progress, thrown};
use crate::script::runs::Intent;
use crate::script::{MadeNodes, explained};

/// Queues a workflow.
pub(in crate::script::bindings) fn submit(
    context: &Context,
    workflow: &WorkflowHandle,
) -> Fallible<Submitted> {
    submit_as(context, workflow, &own_origin(context))
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
pub(in crate::script::bindings) fn submit_as(
    context: &Context,
    workflow: &WorkflowHandle,
    origin: &Origin,
) -> Fallible<Submitted> {
    let place = context.steps.as_ref().map(|steps| steps.next_job());
    submit_in(context, workflow, origin, place)
}

/// Queues one of several workflows of a call; `nth` is the same however often the run is gone through.
pub(in crate::script::bindings) fn submit_nth(
    context: &Context,
    workflow: &WorkflowHandle,
    nth: usize,
) -> Fallible<Submitted> {
    let place = context.steps.as_ref().map(|steps| steps.nth_job(nth));
    submit_in(context, workflow, &own_origin(context), place)
}

fn submit_in(
    context: &Context,
    workflow: &WorkflowHandle,
    origin: &Origin,
    place: Option<String>,
) -> Fallible<Submitted> {
    let made = workflow.made();
    let submitted = if let (Some(steps), Some(place)) = (&context.steps, place) {
        let at = |attempt, before: Option<&str>| {
            let work = (&workflow.snapshot(), &made);
            submit_at(context, &place, attempt, before, work, origin)
        };
        match steps.journal().job(&place) {
            Some(earlier) => recall(context, &earlier, || {
                at(earlier.attempt, Some(&earlier.prompt_id))
            }),
            None => at(1, None),
        }
    } else {
        let submitted = put(context, || workflow.snapshot(), order_of(context, origin))?;
        submitted.map_err(|error| {
            let failure = explained(&context.generation, error);
            thrown(made.tell(failure, &context.generation))
        })
    }?;
    context.submissions.know(&submitted.prompt_id, made);
    Ok(submitted)
}

/// Submits what has a place in the run. Each time that the way to the server fails it is tried again
/// under a new id, so that nobody takes one for the other. What went through the user's hook under the
/// id `before`, or an earlier one of these, is taken as the hook left it.
pub(super) fn submit_at(
    context: &Context,
    place: &str,
    mut attempt: u32,
    before: Option<&str>,
    (workflow, made): (&Workflow, &MadeNodes),
    origin: &Origin,
) -> Fallible<Submitted> {
    let waits = context.has_begun(place);
    let mut outages = 0;
    let mut before = before.map(str::to_owned);
    loop {
        let mut order = order_of(context, origin);
        order.attempt = attempt;
        if let Some(steps) = &context.steps {
            order.run_id = Some(steps.journal().run_id());
            order.replaces = steps.journal().attempts_at(place);
        }
        let intent = context.intend(place, &context.host.ids.ordered(), attempt)?;
        order.submit.prompt_id = Some(intent.prompt_id.clone());
        let settled = settled(context, before.as_deref())?;
        order.settled = settled.is_some();
        let workflow = || settled.unwrap_or_else(|| workflow.clone());
        before = Some(intent.prompt_id.clone());
        let error = match put(context, workflow, order)? {
            Ok(submitted) => {
                note_arrival(context, &intent, &submitted.prompt_id)?;
                return Ok(submitted);
            }
            Err(error) => error,
        };
        outages += 1;
        let may_be_there = matches!(&error, JobError::Comfy(ComfyError::MaybeQueued { .. }));
        let is_passing = matches!(&error, JobError::Comfy(error) if error.is_outage());
        let failure = explained(&context.generation, error);
        let failure = made.tell(failure, &context.generation);
        if !waits || outages > OUTAGES || !(may_be_there || is_passing) {
            return Err(thrown(failure));
        }
        await_server(context, &failure, None)?;
        if may_be_there {
            match found_or_refused(context, &intent)? {
                Ok(Some(submitted)) => return Ok(submitted),
                Ok(None) => attempt += 1,
                Err(refusal) => return Err(thrown(refusal)),
            }
        }
        pause(context)?;
    }
}

/// The workflow of an earlier attempt as it was written down, which is as the hook left it.
fn settled(context: &Context, before: Option<&str>) -> Fallible<Option<Workflow>> {
    let Some(before) = before else {
        return Ok(None);
    };
    let job = written(context, before)?;
    Ok(job.and_then(|job| Workflow::from_json(job.workflow).ok()))
}

/// A job that was submitted before, as if it were now.
pub(super) fn resumed(
    context: &Context,
    intent: &Intent,
    prompt_id: String,
) -> Fallible<Submitted> {
    note_arrival(context, intent, &prompt_id)?;
    context.report(Progress::Submitted {
        prompt_id: prompt_id.clone(),
    });
    Ok(Submitted {
        prompt_id,
        number: 0.0,
        queue_position: None,
        node_errors: Value::Null,
        dropped: vec![],
    })
}

/// Writes down that the server has a job, and under which id if that is its own choice.
fn note_arrival(context: &Context, intent: &Intent, prompt_id: &str) -> Fallible<()> {
    if intent.prompt_id != prompt_id {
        context.intend(&intent.job, prompt_id, intent.attempt)?;
    }
    context.arrive(prompt_id)
}

fn order_of(context: &Context, origin: &Origin) -> Order {
    Order {
        origin: origin.clone(),
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
    workflow: impl FnOnce() -> Workflow,
    order: Order,
) -> Fallible<Result<Submitted, JobError>> {
    context.budget.job()?;
    let jobs = context.host.jobs.clone();
    let submitted = context.budget.apart(|| {
        let submission = context
            .submissions
            .submit(&context.runtime, jobs, workflow(), order);
        context.wait(async {
            Ok::<_, Failure>(match submission.await {
                Ok(submitted) => submitted,
                Err(error) => Err(JobError::Broken(error.to_string())),
            })
        })
    })?;
    if let Ok(submitted) = &submitted {
        context.report(Progress::Submitted {
            prompt_id: submitted.prompt_id.clone(),
        });
    }
    Ok(submitted)
}
