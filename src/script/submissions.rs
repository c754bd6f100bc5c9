//! The jobs that a run has put on the server.
//!
//! A caller that cancels wants the server to stop, too: not only the job that the script waits
//! for at that moment, but all that it has queued, and the one that is just being submitted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::MadeNodes;
use crate::comfy::{Comfy, ComfyError, Submitted, Workflow};
use crate::jobs::{JobError, Jobs, Order};

/// How long a cancelled run waits for the server to be told.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// The jobs of one run that are not over as far as it knows.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    under_way: TaskTracker,
    open: Mutex<BTreeSet<String>>,
    /// Where the nodes of jobs were made that may fail yet.
    made: Mutex<BTreeMap<String, MadeNodes>>,
}

impl Submissions {
    /// Jobs that were put on the server before.
    pub(super) fn of(prompt_ids: impl Iterator<Item = String>) -> Self {
        Self {
            under_way: TaskTracker::new(),
            open: Mutex::new(prompt_ids.collect()),
            made: Mutex::default(),
        }
    }

    /// Submits in a task of its own, because a submission that is abandoned half-way may be a job
    /// that nobody knows of.
    pub(super) fn submit(
        self: &Arc<Self>,
        runtime: &Handle,
        jobs: Jobs,
        workflow: Workflow,
        order: Order,
    ) -> JoinHandle<Result<Submitted, JobError>> {
        let this = self.clone();
        let task = async move {
            let submitted = jobs.submit(&workflow, order).await;
            match &submitted {
                Ok(Submitted { prompt_id, .. })
                | Err(JobError::Comfy(ComfyError::MaybeQueued { prompt_id, .. })) => {
                    this.open().insert(prompt_id.clone());
                }
                Err(_) => {}
            }
            submitted
        };
        self.under_way.spawn_on(task, runtime)
    }

    /// Notes a job that was put on the server before.
    pub(super) fn note(&self, prompt_id: &str) {
        self.open().insert(prompt_id.to_owned());
    }

    /// Notes where the nodes of a job were made.
    pub(super) fn know(&self, prompt_id: &str, made: MadeNodes) {
        self.all_made().insert(prompt_id.to_owned(), made);
    }

    /// Where the nodes of a job were made, as far as that is known; nobody asks twice.
    pub(super) fn made(&self, prompt_id: &str) -> MadeNodes {
        self.all_made().remove(prompt_id).unwrap_or_default()
    }

    fn all_made(&self) -> MutexGuard<'_, BTreeMap<String, MadeNodes>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a job is over.
    pub(super) fn is_over(&self, prompt_id: &str) {
        self.open().remove(prompt_id);
    }

    /// Cancels on the server what is not over. What takes longer than a caller waits goes on by
    /// itself.
    pub(super) async fn cancel(self: Arc<Self>, comfy: &Comfy) {
        self.under_way.close();
        let (this, comfy) = (self.clone(), comfy.clone());
        let cancelling = tokio::spawn(async move {
            this.under_way.wait().await;
            let open = std::mem::take(&mut *this.open());
            if open.is_empty() {
                return;
            }
            match comfy.cancel_all(&open).await {
                Ok(left) => {
                    for (prompt_id, error) in left {
                        tracing::warn!("{prompt_id} could not be cancelled: {error}");
                    }
                }
                Err(error) => {
                    let open: Vec<String> = open.into_iter().collect();
                    let open = open.join(", ");
                    tracing::warn!(
                        "these jobs may go on, they could not be cancelled: {open}: {error}"
                    );
                }
            }
        });
        if timeout(CANCEL_LIMIT, cancelling).await.is_err() {
            tracing::warn!(
                "the server takes long to answer, jobs of the run may still go on there"
            );
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
