//! What the user wants to have a say in: each job before it is submitted, and when it is over.
//!
//! Every submission goes through [`Jobs::submit`], and every job of ours that ends through one
//! collection, so the hooks stand there. What they are made of is not known here.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::ledger::{JobRecord, Ledger, Tally};
use super::{JobError, Jobs, KeptOutput, Order, Origin};
use crate::comfy::{End, Outcome, Workflow};
use crate::failure::Failure;

/// What a hook comes to.
pub type Hooked<'h, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'h>>;

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A workflow is about to be submitted: it may be changed or refused.
    BeforeSubmit,
    /// A job has ended well and its outputs are kept.
    AfterComplete,
    /// A job has failed or is lost.
    OnError,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BeforeSubmit, Self::AfterComplete, Self::OnError];

    /// The name of the hook.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeSubmit => "before_submit",
            Self::AfterComplete => "after_complete",
            Self::OnError => "on_error",
        }
    }
}

/// The user's hooks.
pub trait Hooks: fmt::Debug + Send + Sync {
    /// Whether there is one for that moment.
    fn has(&self, moment: Moment) -> bool;

    /// The workflow as it may be submitted, or why it may not.
    fn before_submit(&self, workflow: Workflow, job: Value) -> Hooked<'_, Workflow>;

    /// Is told of a job that is over, and of its outputs or its failure.
    fn after(&self, moment: Moment, job: Value, end: Value) -> Hooked<'_, ()>;
}

impl Jobs {
    /// From now on these hooks are called, as long as they are there.
    pub fn hook(&self, hooks: &Arc<impl Hooks + 'static>) {
        let hooks: Weak<dyn Hooks> = Arc::<_>::downgrade(hooks) as Weak<dyn Hooks>;
        // One process has one set of them.
        let _ = self.0.hooks.set(hooks);
    }

    fn hooks(&self, moment: Moment) -> Option<Arc<dyn Hooks>> {
        let hooks = self.0.hooks.get()?.upgrade()?;
        hooks.has(moment).then_some(hooks)
    }

    /// Whether somebody wants to see what is submitted.
    pub(super) fn is_hooked(&self) -> bool {
        self.hooks(Moment::BeforeSubmit).is_some()
    }

    /// A workflow as `before_submit` leaves it.
    pub(super) async fn settled(
        &self,
        workflow: &Workflow,
        order: &Order,
    ) -> Result<Workflow, JobError> {
        let Some(hooks) = self.hooks(Moment::BeforeSubmit) else {
            return Ok(workflow.clone());
        };
        let job = self.about(workflow, order).await?;
        let settled = hooks.before_submit(workflow.clone(), job).await;
        settled.map_err(|failure| JobError::Refused(refusal(failure).into()))
    }

    /// What `before_submit` is told of a job: who asks, what it costs, and what was before.
    async fn about(&self, workflow: &Workflow, order: &Order) -> Result<Value, JobError> {
        let comfy = &self.0.comfy;
        let partner_nodes = comfy.find_partner_classes(workflow).await?;
        let (run, today) = match &self.0.ledger {
            Some(ledger) => tallies(ledger, order.run_id.as_deref()).await?,
            None => Default::default(),
        };
        let mut job = of_origin(&order.origin);
        job["run_id"] = json!(order.run_id);
        job["attempt"] = json!(order.attempt.max(1));
        job["partner_nodes"] = json!(partner_nodes);
        job["submitted"] = json!({ "run": run.jobs, "today": today.jobs });
        job["partner_jobs"] = json!({ "run": run.partner_jobs, "today": today.partner_jobs });
        Ok(job)
    }

    /// Tells the hook for it that a job of ours is over, once. What goes wrong with that is told
    /// beside what the job came to.
    pub(super) async fn tell_end(
        &self,
        prompt_id: &str,
        outcome: &Outcome,
        outputs: &[KeptOutput],
    ) -> Vec<String> {
        let moment = match outcome.end {
            End::Success => Moment::AfterComplete,
            End::Failed(_) | End::Lost => Moment::OnError,
            // That was meant.
            End::Interrupted { .. } => return vec![],
        };
        let (Some(hooks), Some(ledger)) = (self.hooks(moment), &self.0.ledger) else {
            return vec![];
        };
        let claimed = match ledger.claim(prompt_id, (&outcome.end).into()).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, prompt_id, "a hook is not called");
                return vec![error.to_string()];
            }
        };
        let Some((record_id, record)) = claimed else {
            return vec![];
        };
        let end = match moment {
            Moment::OnError => outcome.failure().map(|failure| failure.to_json()),
            _ => Some(told(outputs)),
        };
        let hooked = hooks.after(moment, of_record(&record), end.unwrap_or_default());
        let Err(failure) = hooked.await else {
            return vec![];
        };
        let said = format!("the hook {} failed: {failure}", moment.as_str());
        tracing::warn!(prompt_id, "{said}");
        let noted = said.clone();
        let note = ledger.note(&record_id, |job| job.hook_failure = Some(noted));
        if let Err(error) = note.await {
            tracing::warn!(%error, prompt_id, "what became of a hook can't be written down");
        }
        vec![said]
    }
}

/// What was submitted before: in the run, and since midnight.
async fn tallies(ledger: &Ledger, run_id: Option<&str>) -> Result<(Tally, Tally), JobError> {
    let of_run = match run_id {
        Some(run_id) => {
            let run_id = Some(run_id.to_owned());
            ledger.tally(run_id, Timestamp::MIN).await?
        }
        None => Tally::default(),
    };
    let now = ledger.now();
    let midnight = now.to_zoned(TimeZone::system()).start_of_day();
    let midnight = midnight.map_or(now, |midnight| midnight.timestamp());
    Ok((of_run, ledger.tally(None, midnight).await?))
}

fn refusal(mut failure: Failure) -> Failure {
    let hook = Moment::BeforeSubmit.as_str();
    failure.message = format!("the hook {hook} refuses the job: {}", failure.message);
    failure.detail("hook", hook)
}

fn of_origin(origin: &Origin) -> Value {
    json!({
        "script": origin.script,
        "parameters": origin.parameters,
        "session": origin.session,
    })
}

fn of_record(record: &JobRecord) -> Value {
    let mut job = of_origin(&record.origin);
    job["prompt_id"] = json!(record.prompt_id);
    job["run_id"] = json!(record.run_id);
    job["attempt"] = json!(record.attempt);
    job["server"] = json!(record.server);
    job
}

/// The outputs that are kept.
fn told(outputs: &[KeptOutput]) -> Value {
    let kept = outputs
        .iter()
        .filter_map(|output| output.kept.as_ref().ok());
    let told = kept.map(|asset| {
        json!({
            "asset_id": asset.asset_id,
            "mime_type": asset.mime_type,
            "bytes": asset.bytes,
            "width": asset.width,
            "height": asset.height,
        })
    });
    told.collect()
}
