//! Submitting workflows and waiting for what they make, on behalf of a script.
//!
//! A run that is gone through again finds its jobs by the ids in its journal. One that the server
//! does not know any more, because it was restarted, is submitted again; one that somebody removed
//! there is not, nor is one that somebody would pay for twice. A run that has begun waits for a
//! server that is away: it may be a night's work.

mod again;
mod fate;
mod outage;
mod submit;
mod wait;

pub(super) use outage::await_server;
pub(super) use submit::{submit, submit_as, submit_nth};
pub(super) use wait::wait_within;

use rhai::EvalAltResult;

use crate::jobs::JobRecord;
use crate::script::host::Context;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// What is written down of a job.
fn written(context: &Context, prompt_id: &str) -> Fallible<Option<JobRecord>> {
    let Some(ledger) = context.host.jobs.ledger() else {
        return Ok(None);
    };
    Ok(context.wait(ledger.find(prompt_id))?.map(|(_, job)| job))
}

impl Context {
    /// Whether the run that this is a part of submitted a job.
    pub(super) fn is_own(&self, prompt_id: &str) -> bool {
        let steps = self.steps.as_ref();
        steps.is_some_and(|steps| steps.journal().place_of(prompt_id).is_some())
    }

    /// Whether the run has put work on the server before this, or goes on for a caller who was given
    /// a handle and no longer waits.
    pub(super) fn has_begun(&self, place: &str) -> bool {
        self.steps.as_ref().is_some_and(|steps| {
            let journal = steps.journal();
            journal.has_jobs_beside(place) || journal.is_kept()
        })
    }
}
