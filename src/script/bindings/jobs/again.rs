//! Submitting again what is provably lost.

use super::fate::{Fate, fate};
use super::submit::{resumed, submit_at};
use super::{Fallible, written};
use crate::comfy::{Submitted, Workflow};
use crate::failure::{Code, Failure};
use crate::jobs::JobRecord;
use crate::script::host::Context;
use crate::script::runs::Intent;

/// How often the same work is submitted at most: a job that takes the server down each time it runs
/// would do so for ever. What waits behind such a job is lost with it each time, so it is not few.
const ATTEMPTS: u32 = 5;

/// What stands for a job of the run that is lost.
pub(super) enum Next {
    /// This one.
    Job(String),
    /// None, for a reason that its loss alone does not tell.
    None(Option<Failure>),
}

/// The job that stands for one that was found lost while it was waited for.
pub(super) fn next(context: &Context, prompt_id: &str) -> Fallible<Next> {
    let Some(steps) = &context.steps else {
        return Ok(Next::None(None));
    };
    let journal = steps.journal();
    let place = journal.place_of(prompt_id);
    let Some(last) = place.and_then(|place| journal.job(&place)) else {
        return Ok(Next::None(None));
    };
    if last.prompt_id != prompt_id {
        return Ok(Next::Job(last.prompt_id));
    }
    match fate(context, &last)? {
        Fate::Gone(job) => match refusal(context, &last, &job)? {
            Some(refusal) => Ok(Next::None(Some(refusal))),
            None => Ok(Next::Job(submit_again(context, &last, *job)?.prompt_id)),
        },
        // It was a moment's confusion of the server.
        Fate::GoesOn { prompt_id } => Ok(Next::Job(prompt_id)),
        Fate::Over { .. } | Fate::Never | Fate::Removed => Ok(Next::None(None)),
    }
}

/// The job of a place in the run that had one before: that one as far as it is there, and another
/// where it is lost for good.
pub(super) fn recall(
    context: &Context,
    earlier: &Intent,
    anew: impl FnOnce() -> Fallible<Submitted>,
) -> Fallible<Submitted> {
    match fate(context, earlier)? {
        Fate::GoesOn { prompt_id } => {
            context.submissions.note(&prompt_id);
            resumed(context, earlier, prompt_id)
        }
        Fate::Over { prompt_id } => resumed(context, earlier, prompt_id),
        Fate::Never => anew(),
        Fate::Gone(job) if refusal(context, earlier, &job)?.is_none() => {
            submit_again(context, earlier, *job)
        }
        // Whoever waits for it is told.
        Fate::Gone(job) => resumed(context, earlier, job.prompt_id),
        Fate::Removed => resumed(context, earlier, earlier.prompt_id.clone()),
    }
}

/// Why a job that is lost is not submitted again by itself.
pub(super) fn refusal(
    context: &Context,
    lost: &Intent,
    job: &JobRecord,
) -> Fallible<Option<Failure>> {
    let prompt_id = lost.prompt_id.as_str();
    let failure = |message: String| {
        let failure = Failure::new(Code::JOB_LOST, message);
        failure.detail("prompt_id", prompt_id)
    };
    let Ok(workflow) = Workflow::from_json(job.workflow.clone()) else {
        return Ok(Some(failure(format!(
            "{prompt_id} is lost, and what it was can't be read"
        ))));
    };
    let comfy = &context.host.comfy;
    if let Some(class) = context.wait(comfy.find_partner_class(&workflow))? {
        let lost = failure(format!(
            "{prompt_id} is lost, and is not submitted again by itself: its {class} runs elsewhere, \
             for credits, and may have been paid for"
        ));
        let lost = lost.hint(
            "call it again if it is still wanted, or execute_workflow with the workflow that \
             `mmf jobs` shows for it",
        );
        return Ok(Some(lost.detail("partner_node", class)));
    }
    if lost.attempt >= ATTEMPTS {
        let lost = failure(format!(
            "{prompt_id} is lost, as {ATTEMPTS} attempts at it were"
        ));
        let hint = "see ComfyUI's log: the workflow may take it down each time that it runs";
        return Ok(Some(lost.hint(hint)));
    }
    Ok(None)
}

/// Submits lost work again, as it was submitted before.
fn submit_again(context: &Context, lost: &Intent, job: JobRecord) -> Fallible<Submitted> {
    tracing::warn!(
        prompt_id = lost.prompt_id,
        "is lost, and is submitted again"
    );
    let attempt = lost.attempt + 1;
    let workflow = Workflow::from_json(job.workflow).map_err(crate::script::host::thrown)?;
    let made = context.submissions.made(&lost.prompt_id);
    let before = Some(lost.prompt_id.as_str());
    let work = (&workflow, &made);
    let submitted = submit_at(context, &lost.job, attempt, before, work, &job.origin)?;
    context.submissions.know(&submitted.prompt_id, made);
    Ok(submitted)
}

/// Whether a submission whose answer was lost may be made again: after a look at what became of it.
pub(super) fn found_or_refused(
    context: &Context,
    sent: &Intent,
) -> Fallible<Result<Option<Submitted>, Failure>> {
    match fate(context, sent)? {
        Fate::GoesOn { prompt_id } => {
            context.submissions.note(&prompt_id);
            Ok(Ok(Some(resumed(context, sent, prompt_id)?)))
        }
        Fate::Over { prompt_id } => Ok(Ok(Some(resumed(context, sent, prompt_id)?))),
        Fate::Gone(job) => Ok(match refusal(context, sent, &job)? {
            Some(refusal) => Err(refusal),
            None => Ok(None),
        }),
        Fate::Never | Fate::Removed => Ok(Ok(None)),
    }
}

/// Whether a job was written down as submitted by anybody of this folder.
pub(super) fn is_ours(context: &Context, prompt_id: &str) -> Fallible<bool> {
    Ok(context.is_own(prompt_id) || written(context, prompt_id)?.is_some())
}
