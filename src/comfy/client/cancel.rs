//! Stopping one job and no other.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::comfy::Comfy;
use super::follow::history;
use super::queue::{self, QueueEntry};
use crate::comfy::{ComfyError, Feature};

/// What became of a job that was to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancelled {
    /// It waited and was taken out of the queue.
    Dequeued,
    /// It ran and was told to stop, which it does at its next step. It may still end well.
    Interrupted,
    /// It was over already.
    AlreadyOver,
}

impl Comfy {
    /// Stops a job, whether it waits or runs, and no other.
    ///
    /// [`ComfyError::UnknownJob`] if the server does not know it;
    /// [`ComfyError::CannotInterruptAlone`] if it runs on a server from before 0.3.57 while others
    /// wait, because an interrupt that comes too late would hit the next one.
    pub async fn cancel(&self, prompt_id: &str) -> Result<Cancelled, ComfyError> {
        let http = &self.0.http;
        let queue = queue::read(http, &self.0.tracker).await?;
        let waits = queue.position(prompt_id).is_some();
        if !waits && !queue.is_running(prompt_id) {
            return match history(http, prompt_id).await? {
                Some(_) => Ok(Cancelled::AlreadyOver),
                None => Err(ComfyError::UnknownJob {
                    prompt_id: prompt_id.to_owned(),
                }),
            };
        }
        if waits {
            // The job leaves without a trace in the history, which must not look like a loss.
            self.0.tracker.note_dequeued(prompt_id);
        }
        let how = match self.cancel_by_jobs_api(prompt_id).await? {
            Some(true) if waits => Cancelled::Dequeued,
            Some(true) => Cancelled::Interrupted,
            Some(false) => Cancelled::AlreadyOver,
            None if waits => self.dequeue(prompt_id).await?,
            None => self.interrupt_alone(prompt_id).await?,
        };
        self.0.follower.poll_now();
        Ok(how)
    }

    /// Stops many jobs, whether they wait or run, and no other: what waits with one request, so
    /// that a large batch is gone before its next job begins. Gives those that could not be
    /// stopped, with the reason; what is over already is none of them.
    pub async fn cancel_all(
        &self,
        prompt_ids: &BTreeSet<String>,
    ) -> Result<Vec<(String, ComfyError)>, ComfyError> {
        let http = &self.0.http;
        let ours = |entries: &[QueueEntry]| -> Vec<String> {
            let ids = entries.iter().map(|entry| entry.prompt_id.clone());
            ids.filter(|id| prompt_ids.contains(id)).collect()
        };
        let mut queue = queue::read(http, &self.0.tracker).await?;
        let waiting = ours(&queue.pending);
        if !waiting.is_empty() {
            for prompt_id in &waiting {
                self.0.tracker.note_dequeued(prompt_id);
            }
            let delete = json!({ "delete": waiting });
            http.post_empty(["queue"], &delete).await?;
            // One may have begun in between.
            queue = queue::read(http, &self.0.tracker).await?;
        }
        let mut left = Vec::new();
        for prompt_id in ours(&queue.running).into_iter().chain(ours(&queue.pending)) {
            match self.cancel(&prompt_id).await {
                Ok(_) | Err(ComfyError::UnknownJob { .. }) => {}
                Err(error) => left.push((prompt_id, error)),
            }
        }
        self.0.follower.poll_now();
        Ok(left)
    }

    /// Stops those of the running jobs that `is_own`, and gives their ids.
    ///
    /// [`ComfyError::NotOurs`] if only others run: nobody's work is stopped by mistake.
    pub async fn interrupt_those(
        &self,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, ComfyError> {
        let running = queue::read(&self.0.http, &self.0.tracker).await?.running;
        let own: Vec<String> = running
            .iter()
            .filter(|entry| is_own(&entry.prompt_id))
            .map(|entry| entry.prompt_id.clone())
            .collect();
        if let (Some(other), true) = (running.first(), own.is_empty()) {
            return Err(ComfyError::NotOurs {
                prompt_id: other.prompt_id.clone(),
            });
        }
        for prompt_id in &own {
            self.cancel(prompt_id).await?;
        }
        Ok(own)
    }

    /// Whether the job was stopped; none if the server has no such route.
    async fn cancel_by_jobs_api(&self, prompt_id: &str) -> Result<Option<bool>, ComfyError> {
        let features = self.features().await?;
        if features.version.is_some() && !features.has(Feature::JobsCancel) {
            return Ok(None);
        }
        let http = &self.0.http;
        let request = http.post(["api", "jobs", prompt_id, "cancel"]);
        let response = http
            .send(&request, |builder| builder.json(&json!({})))
            .await?;
        if matches!(
            response.status(),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        ) {
            return Ok(None);
        }
        let response = http.expect_success(&request, response).await?;
        let answer: Value = http.read_json(&request, response).await?;
        Ok(Some(answer["cancelled"] == true))
    }

    async fn dequeue(&self, prompt_id: &str) -> Result<Cancelled, ComfyError> {
        self.0
            .http
            .post_empty(["queue"], &json!({ "delete": [prompt_id] }))
            .await?;
        // It may have begun in between.
        let queue = queue::read(&self.0.http, &self.0.tracker).await?;
        if queue.is_running(prompt_id) {
            return self.interrupt_alone(prompt_id).await;
        }
        Ok(match history(&self.0.http, prompt_id).await? {
            Some(_) => Cancelled::AlreadyOver,
            None => Cancelled::Dequeued,
        })
    }

    async fn interrupt_alone(&self, prompt_id: &str) -> Result<Cancelled, ComfyError> {
        if !self.features().await?.has(Feature::TargetedInterrupt) {
            // Such a server ignores the id. If nobody waits, nobody else can be hit.
            let queue = queue::read(&self.0.http, &self.0.tracker).await?;
            let only = queue
                .running
                .iter()
                .all(|entry| entry.prompt_id == prompt_id);
            if !queue.is_running(prompt_id) {
                return Ok(Cancelled::AlreadyOver);
            }
            if !only || !queue.pending.is_empty() {
                return Err(ComfyError::CannotInterruptAlone {
                    prompt_id: prompt_id.to_owned(),
                });
            }
        }
        self.0
            .http
            .post_empty(["interrupt"], &json!({ "prompt_id": prompt_id }))
            .await?;
        Ok(Cancelled::Interrupted)
    }
}
