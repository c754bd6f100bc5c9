//! What is written down of a job while it is followed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::Jobs;
use super::follow::KeptOutput;
use super::ledger::{JobRecord, JobStatus, Ledger, NodeTime};
use crate::comfy::{End, Outcome};

/// How long a note waits that the next one may make superfluous. Each is a file that is written anew,
/// and the jobs of a batch may last a few milliseconds.
const LINGER: Duration = Duration::from_millis(250);

/// A job that the server has begun with; that is about to be noted for as long as this is held.
pub(super) struct Begun {
    /// When that was heard of.
    pub(super) at: Timestamp,
    _noting: AbortOnDropHandle<()>,
}

impl Jobs {
    /// Writes down that the server works on it, if it is one of the ledger's, and if it still does in
    /// a moment: what is over by then is written down once.
    pub(super) fn note_beginning(&self, prompt_id: &str) -> Option<Begun> {
        let ledger = self.0.ledger.clone()?;
        let (prompt_id, at) = (prompt_id.to_owned(), ledger.now());
        let noting = tokio::spawn(async move {
            sleep(LINGER).await;
            let change = move |job: &mut JobRecord| {
                if !job.status.is_over() {
                    job.status = JobStatus::Running;
                    job.started_at = Some(at);
                }
            };
            note(&ledger, &prompt_id, change).await;
        });
        Some(Begun {
            at,
            _noting: AbortOnDropHandle::new(noting),
        })
    }

    /// How a job ended that the server has forgotten, if that was known before it did.
    pub(super) async fn told_before(&self, prompt_id: &str, outcome: &Outcome) -> Option<Outcome> {
        let ledger = self
            .0
            .ledger
            .as_ref()
            .filter(|_| outcome.end == End::Lost)?;
        let (_, job) = ledger.find(prompt_id).await.ok().flatten()?;
        let outputs = job.made.filter(|_| !job.status.is_over())?;
        let mut extra_data = Map::new();
        job.origin.write(&mut extra_data);
        Some(Outcome {
            end: End::Success,
            outputs,
            started_at: job.started_at,
            prompt: job.workflow,
            extra_data: extra_data.into(),
            ..outcome.clone()
        })
    }

    /// Writes down what it made, while that is fetched; what is kept in a moment needs no such note.
    pub(super) async fn note_made(
        &self,
        prompt_id: &str,
        outcome: &Outcome,
        started_at: Option<Timestamp>,
    ) {
        if let Some(ledger) = &self.0.ledger
            && outcome.end == End::Success
        {
            sleep(LINGER).await;
            let outputs = outcome.outputs.clone();
            let change = move |job: &mut JobRecord| {
                job.made = Some(outputs);
                job.started_at = job.started_at.or(started_at);
            };
            note(ledger, prompt_id, change).await;
        }
    }

    /// Removes what was kept of earlier attempts at a job, which were lost halfway: it has made the
    /// same again. What somebody pinned stays.
    pub(super) async fn drop_replaced(&self, prompt_id: &str) {
        let Some(ledger) = &self.0.ledger else {
            return;
        };
        let Ok(Some((_, job))) = ledger.find(prompt_id).await else {
            return;
        };
        if job.replaces.is_empty() {
            return;
        }
        let assets = self.0.assets.clone();
        let dropped = spawn_blocking(move || assets.remove_lost(&job.replaces)).await;
        let error = match dropped {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            error,
            prompt_id,
            "what earlier attempts made can't be removed"
        );
    }

    /// Writes down how it ended, before that is told to anybody.
    pub(super) async fn note_end(
        &self,
        prompt_id: &str,
        outcome: &Outcome,
        outputs: &[KeptOutput],
        (started_at, nodes): (Option<Timestamp>, Vec<NodeTime>),
    ) {
        let Some(ledger) = &self.0.ledger else {
            return;
        };
        let kept = outputs
            .iter()
            .filter_map(|output| output.kept.as_ref().ok());
        let mut assets: Vec<String> = kept.map(|asset| asset.asset_id.clone()).collect();
        if assets.is_empty() && outcome.end == End::Lost {
            // What a dead process had kept of it while it ran.
            let kept = self.kept(prompt_id).unwrap_or_default();
            assets.extend(kept.into_iter().map(|asset| asset.asset_id));
        }
        let (outcome, now) = (outcome.clone(), ledger.now());
        let change = move |job: &mut JobRecord| {
            // That the server has forgotten a job says nothing of how it ended.
            if outcome.end == End::Lost && job.status.is_over() {
                return;
            }
            if !nodes.is_empty() {
                job.nodes = nodes;
            }
            job.started_at = job.started_at.or(started_at);
            job.end(&outcome, assets, now);
        };
        note(ledger, prompt_id, change).await;
    }
}

/// A job goes on whether or not its record can be written: the disk may have room again at its end.
async fn note(
    ledger: &Ledger,
    prompt_id: &str,
    change: impl FnOnce(&mut JobRecord) + Send + 'static,
) {
    if let Err(error) = ledger.note(prompt_id, change).await {
        tracing::warn!(%error, prompt_id, "what became of a job can't be written down");
    }
}
