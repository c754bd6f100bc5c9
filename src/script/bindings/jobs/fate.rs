//! What became of a job that a run put on the server, or was about to.

use super::outage::{await_server, pause};
use super::{Fallible, written};
use crate::comfy::JobState;
use crate::failure::Failure;
use crate::jobs::{JobRecord, JobStatus};
use crate::script::host::{Context, thrown};
use crate::script::runs::Intent;

/// How often a job is looked for whose submission was not answered: a server that was busy takes
/// in late what was sent to it.
const LOOKS: u32 = 3;

/// What became of a job.
pub(super) enum Fate {
    /// It goes on.
    GoesOn {
        /// What the server calls it.
        prompt_id: String,
    },
    /// It is known how it ended.
    Over {
        /// What the server calls it.
        prompt_id: String,
    },
    /// It was never sent.
    Never,
    /// The server has forgotten it because it was restarted, or never got it.
    Gone(Box<JobRecord>),
    /// Somebody removed it from the server.
    Removed,
}

/// Finds out what became of a job. A server that is away is waited for.
pub(super) fn fate(context: &Context, intent: &Intent) -> Fallible<Fate> {
    let job = written(context, &intent.prompt_id)?;
    // Servers that choose ids themselves call it otherwise.
    let prompt_id = job.as_ref().map_or(&intent.prompt_id, |job| &job.prompt_id);
    let prompt_id = prompt_id.clone();
    let ended = |job: &JobRecord| job.status.is_over() && job.status != JobStatus::Lost;
    if job.as_ref().is_some_and(ended) {
        return Ok(Fate::Over { prompt_id });
    }
    let Some(job) = job else {
        // Jobs are written down before they are sent.
        return Ok(Fate::Never);
    };
    if job.made.is_some() && job.status != JobStatus::Lost {
        // What it made need only be fetched.
        return Ok(Fate::GoesOn { prompt_id });
    }
    let arrived = context.has_arrived(&prompt_id) || job.started_at.is_some();
    let looks = if arrived { 1 } else { LOOKS };
    for look in 0..looks {
        if look > 0 {
            pause(context)?;
        }
        if is_known(context, &prompt_id)? {
            return Ok(Fate::GoesOn { prompt_id });
        }
    }
    if let Some(fate) = heard_before(context, &prompt_id)? {
        return Ok(fate);
    }
    let comfy = &context.host.comfy;
    if arrived && context.wait(comfy.remembers_before(job.created_at))? {
        return Ok(Fate::Removed);
    }
    Ok(Fate::Gone(Box::new(job)))
}

/// What was heard of a job before the server forgot it, if that tells: whoever follows it may be a
/// moment behind.
fn heard_before(context: &Context, prompt_id: &str) -> Fallible<Option<Fate>> {
    let jobs = &context.host.jobs;
    context.wait(async {
        jobs.until_settled(prompt_id).await;
        Ok::<_, Failure>(())
    })?;
    let job = written(context, prompt_id)?;
    let job = job.filter(|job| job.status != JobStatus::Lost);
    let prompt_id = prompt_id.to_owned();
    Ok(job.and_then(|job| {
        if job.status.is_over() {
            Some(Fate::Over { prompt_id })
        } else {
            job.made.is_some().then_some(Fate::GoesOn { prompt_id })
        }
    }))
}

/// Whether the server knows a job. One that is away is waited for.
fn is_known(context: &Context, prompt_id: &str) -> Fallible<bool> {
    loop {
        let comfy = &context.host.comfy;
        let asked = context.wait(async { Ok::<_, Failure>(comfy.status(prompt_id).await) })?;
        match asked {
            Ok(status) => return Ok(status.state != JobState::Unknown),
            Err(error) if error.is_outage() => {
                await_server(context, &Failure::from(error), None)?;
                pause(context)?;
            }
            Err(error) => return Err(thrown(error)),
        }
    }
}

impl Context {
    /// Whether the server is known to have taken a job of the run in.
    fn has_arrived(&self, prompt_id: &str) -> bool {
        let steps = self.steps.as_ref();
        steps.is_some_and(|steps| steps.journal().has_arrived(prompt_id))
    }
}
