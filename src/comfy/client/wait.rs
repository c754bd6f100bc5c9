//! Waiting for a job, watching it, asking after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::comfy::Comfy;
use super::feed::Listener;
use super::follow::history;
use super::job::{Conclusion, JobEvent, Phase, Progress};
use super::outcome::{End, Outcome};
use super::queue;
use super::story::Submission;
use super::tracker::Interest;
use crate::comfy::ComfyError;

/// The events of one job; see [`Comfy::watch`].
pub struct Watch {
    job: Interest,
    events: Listener,
    conclusion: watch::Receiver<Option<Conclusion>>,
    before: VecDeque<JobEvent>,
    finished: bool,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The job.
    pub prompt_id: String,
    /// Where it stands.
    pub state: JobState,
    /// How many jobs run before it, including the one that runs; only while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<usize>,
    /// How far it is; only while it runs and only of jobs that this process submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// How it ended; only once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Box<Outcome>>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits.
    Queued,
    /// The server works on it.
    Running,
    /// It ended well.
    Completed,
    /// A node failed.
    Error,
    /// Somebody stopped it.
    Interrupted,
    /// The server knows nothing of it.
    Unknown,
}

impl Comfy {
    /// Watches a job, whoever submitted it. First come the events that say where it stands now,
    /// with the outputs that its nodes have reported so far. Jobs of other clients are only seen
    /// to be queued, running and finished.
    pub async fn watch(&self, prompt_id: &str) -> Watch {
        let job = self.0.tracker.job(prompt_id, None);
        let (before, events) = job.events();
        let conclusion = job.conclusion();
        let job = Interest::new(&self.0.tracker, job);
        self.0.follower.attend(&job);
        self.0.socket.open().await;
        Watch {
            job,
            events,
            conclusion,
            before: before.into(),
            finished: false,
        }
    }

    /// Waits until a job is over, whoever submitted it and whenever it ended.
    ///
    /// `cancel` ends the waiting ([`ComfyError::Stopped`]), and so does the time limit
    /// ([`ComfyError::Timeout`]); neither touches the job. If the server is away for longer than
    /// [`Timeouts::outage`](crate::comfy::Timeouts::outage), the error says how it is away.
    pub async fn wait(
        &self,
        prompt_id: &str,
        timeout: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Outcome>, ComfyError> {
        let job = self.0.tracker.job(prompt_id, None);
        let mut conclusion = job.conclusion();
        let job = Interest::new(&self.0.tracker, job);
        self.0.follower.attend(&job);
        if job.is_ours() {
            // It may have been closed while nobody watched.
            self.0.socket.begin_to_open();
        }
        let concluded = async {
            // The sender lives as long as the job, which is held here.
            match conclusion.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(conclusion)) => conclusion.clone(),
                _ => Err(ComfyError::UnknownJob {
                    prompt_id: prompt_id.to_owned(),
                }),
            }
        };
        let limit = async {
            match timeout {
                Some(timeout) => sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            conclusion = concluded => conclusion,
            () = cancel.cancelled() => Err(ComfyError::Stopped { prompt_id: prompt_id.to_owned() }),
            () = limit => Err(ComfyError::Timeout {
                prompt_id: prompt_id.to_owned(),
                after: timeout.unwrap_or_default(),
                still: match job.phase() {
                    Phase::Queued(_) => "queued",
                    Phase::Running | Phase::Ended => "running",
                    Phase::Unknown => "unknown",
                },
            }),
        }
    }

    /// Where a job stands now, whoever submitted it.
    pub async fn status(&self, prompt_id: &str) -> Result<Status, ComfyError> {
        let queue = queue::read(&self.0.http, &self.0.tracker).await?;
        let mut status = Status {
            prompt_id: prompt_id.to_owned(),
            state: JobState::Unknown,
            queue_position: queue.position(prompt_id),
            progress: None,
            outcome: None,
        };
        if status.queue_position.is_some() {
            status.state = JobState::Queued;
        } else if queue.is_running(prompt_id) {
            status.state = JobState::Running;
            status.progress = self
                .0
                .tracker
                .known(prompt_id)
                .and_then(|job| job.progress());
        } else if let Some(outcome) = self.outcome(prompt_id).await? {
            status.state = match outcome.end {
                End::Success => JobState::Completed,
                End::Failed(_) => JobState::Error,
                End::Interrupted { .. } => JobState::Interrupted,
                End::Lost => JobState::Unknown,
            };
            status.outcome = Some(Box::new(outcome));
        } else if self.0.tracker.was_dequeued(prompt_id) {
            status.state = JobState::Interrupted;
        }
        Ok(status)
    }

    /// How a job ended, if the history says so.
    pub async fn outcome(&self, prompt_id: &str) -> Result<Option<Outcome>, ComfyError> {
        let entry = history(&self.0.http, prompt_id).await?;
        Ok(entry.map(|entry| Outcome::read(prompt_id, entry)))
    }
}

impl Watch {
    /// The job.
    #[must_use]
    pub fn prompt_id(&self) -> &str {
        &self.job.prompt_id
    }

    /// The job as it was submitted; none if another client did that.
    #[must_use]
    pub fn submission(&self) -> Option<Submission> {
        self.job.submission()
    }

    /// The next event; none after [`JobEvent::Finished`]. A watcher that falls behind by more than
    /// a hundred events loses the oldest of them. The error is the one that
    /// [`Comfy::wait`] gives when the server stays away, and the last item.
    pub async fn next(&mut self) -> Option<Result<JobEvent, ComfyError>> {
        if let Some(event) = self.before.pop_front() {
            return Some(Ok(event));
        }
        if self.finished {
            return None;
        }
        tokio::select! {
            biased;
            event = self.events.next() => Some(Ok(event)),
            conclusion = self.conclusion.wait_for(Option::is_some) => {
                self.finished = true;
                let conclusion = conclusion.ok()?.clone()?;
                Some(conclusion.map(JobEvent::Finished))
            }
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<JobEvent, ComfyError>> {
        futures_util::stream::unfold(self, |mut watch| async move {
            let event = watch.next().await?;
            Some((event, watch))
        })
    }
}
