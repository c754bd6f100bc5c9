//! The jobs that a run has put on the server.
//!
//! A caller that cancels wants the server to stop, too: not only the job that the script waits
//! for at that moment, but all that it has queued, and the one that is just being submitted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::comfy::{Comfy, ComfyError, Submitted, Workflow};
use crate::jobs::{JobError, Jobs, Order};

/// How long a cancelled run waits for the server to be told.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// The jobs of one run that are not over as far as it knows.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    under_way: TaskTracker,
    open: Mutex<BTreeSet<String>>,
}

impl Submissions {
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

    /// Notes that a job is over.
    pub(super) fn is_over(&self, prompt_id: &str) {
        self.open().remove(prompt_id);
    }

    /// Cancels on the server what is not over.
    pub(super) async fn cancel(&self, comfy: &Comfy) {
        self.under_way.close();
        let cancel = async {
            self.under_way.wait().await;
            let open = std::mem::take(&mut *self.open());
            for prompt_id in open {
                if let Err(error) = comfy.cancel(&prompt_id).await {
                    tracing::warn!("{prompt_id} could not be cancelled: {error}");
                }
            }
        };
        if timeout(CANCEL_LIMIT, cancel).await.is_err() {
            tracing::warn!(
                "the server did not answer in time, jobs of the run may still go on there"
            );
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
