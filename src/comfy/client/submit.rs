//! Putting a job into the queue: once, whatever happens to the answer.
//!
//! The job's id is chosen here, so that it can be found again when the answer to the submission
//! is lost. A submission is never repeated: the first may have arrived.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::comfy::Comfy;
use super::follow::history;
use super::http::{Request, take};
use super::job::Phase;
use super::queue::{self, QueueEntry};
use super::queue_view::Change;
use super::sanitise::{Dropped, classes_in_doubt, sanitise};
use crate::comfy::{ComfyError, Feature, MissingModel, Rejection, Workflow};

/// How a workflow is submitted.
#[derive(Clone, Debug, Default)]
pub struct Submit {
    /// Under which id, a UUID in its canonical form; without one a new one is drawn.
    pub prompt_id: Option<String>,
    /// Sent beside the workflow, such as `extra_pnginfo` or `api_key_comfy_org`.
    pub extra_data: Map<String, Value>,
    /// Before all others that wait. Several such jobs run last come, first served.
    pub front: bool,
    /// Only these output nodes and what they need (0.3.48 and later).
    pub targets: Option<Vec<String>>,
    /// How pictures of the unfinished result are made (0.5.0 and later; a matter of how the server
    /// was started before).
    pub preview: PreviewMethod,
}

/// How a server makes pictures of the unfinished result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreviewMethod {
    /// As it was started.
    #[default]
    Server,
    /// The best that it has.
    Auto,
    /// A rough projection of the latent.
    Latent2Rgb,
    /// A small decoder.
    Taesd,
    /// None.
    Off,
}

impl PreviewMethod {
    fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::Auto => Some("auto"),
            Self::Latent2Rgb => Some("latent2rgb"),
            Self::Taesd => Some("taesd"),
            Self::Off => Some("none"),
        }
    }
}

/// A job that the server has accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Submitted {
    /// The job.
    pub prompt_id: String,
    /// Its rank in the queue: lower runs first.
    pub number: f64,
    /// An estimate of how many jobs were before it, including the one that ran: the queue may have
    /// moved before it was asked about. None if the server could not be asked.
    pub queue_position: Option<usize>,
    /// What is wrong with those outputs that will not run, as in
    /// [`Rejection::node_errors`](crate::comfy::Rejection::node_errors); null or empty when all
    /// will.
    pub node_errors: Value,
    /// What was left out of the workflow because it would have killed the server's worker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
}

impl Comfy {
    /// Queues a workflow.
    ///
    /// When the answer to that is lost, the job is looked for in queue and history, for
    /// [`Timeouts::recovery`](crate::comfy::Timeouts::recovery) at most; if it is not there the
    /// error is [`ComfyError::MaybeQueued`].
    pub async fn submit(
        &self,
        workflow: &Workflow,
        mut how: Submit,
    ) -> Result<Submitted, ComfyError> {
        if how.targets.is_some() {
            self.require_targets().await?;
        }
        let facts = self.facts_about(classes_in_doubt(workflow)).await?;
        let (workflow, dropped) = sanitise(workflow, &facts);
        self.sign(&workflow, &mut how.extra_data).await?;
        let prompt_id = how.prompt_id.clone();
        let prompt_id = prompt_id.unwrap_or_else(|| self.0.ids.random());
        let body = Bytes::from(self.body(&prompt_id, &workflow, how).to_string());
        // Events of the job can arrive before the answer to its submission.
        let job = self
            .0
            .tracker
            .job(&prompt_id, Some((&workflow, body.clone())));
        self.0.socket.open().await;
        job.note_alive(self.0.tracker.connection());
        let submitting = self.0.tracker.queue.submitting();
        let mut submitted = match self.post(&prompt_id, &body).await {
            Ok(submitted) => Submitted {
                dropped,
                ..submitted
            },
            Err(mut error) => {
                match &mut error {
                    // If it does run, whoever looks for it sees how far it is.
                    ComfyError::MaybeQueued { .. } => {}
                    ComfyError::Rejected(rejection) => {
                        self.0.facts.doubt(rejection);
                        self.0.tracker.forget(&prompt_id);
                        self.name_missing_models(rejection).await;
                    }
                    _ => self.0.tracker.forget(&prompt_id),
                }
                return Err(error);
            }
        };
        self.0.tracker.queue.note(Change::Queued(QueueEntry {
            prompt_id: submitted.prompt_id.clone(),
            number: submitted.number,
            client_id: Some(self.0.client_id.clone()),
            created_at: Some(self.0.clock.now().as_millisecond()),
        }));
        drop(submitting);
        if submitted.queue_position.is_none() {
            submitted.queue_position = self.place(&submitted).await;
        }
        if submitted.prompt_id != prompt_id {
            // A server from before prompt ids could be chosen.
            self.0.tracker.forget(&prompt_id);
            self.0
                .tracker
                .job(&submitted.prompt_id, Some((&workflow, body)));
        } else if let Some(position) = submitted.queue_position
            && job.phase() == Phase::Unknown
        {
            job.seen(Phase::Queued(position));
        }
        Ok(submitted)
    }

    /// Says of each unknown model file what is installed instead, as far as that can be told.
    async fn name_missing_models(&self, rejection: &mut Rejection) {
        let classes: Vec<&str> = MissingModel::among(&rejection.node_errors, &[])
            .iter()
            .filter_map(|missing| rejection.node_errors[&missing.node_id]["class_type"].as_str())
            .collect();
        if classes.is_empty() {
            return;
        }
        let facts = self.facts_about(classes).await.unwrap_or_default();
        rejection.missing = MissingModel::among(&rejection.node_errors, &facts);
    }

    async fn require_targets(&self) -> Result<(), ComfyError> {
        let features = self.features().await?;
        match features.version {
            Some(version) if !features.has(Feature::PartialTargets) => {
                Err(ComfyError::Unsupported {
                    what: "run some outputs of a workflow only",
                    since: Feature::PartialTargets.since(),
                    version: version.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    fn body(&self, prompt_id: &str, workflow: &Workflow, how: Submit) -> Value {
        let mut extra_data = how.extra_data;
        if let Some(method) = how.preview.as_str() {
            extra_data.insert("preview_method".to_owned(), json!(method));
        }
        let mut body = json!({
            "prompt": workflow,
            "prompt_id": prompt_id,
            "client_id": self.0.client_id,
            "extra_data": extra_data,
        });
        if how.front {
            body["front"] = json!(true);
        }
        if let Some(targets) = how.targets {
            body["partial_execution_targets"] = json!(targets);
        }
        body
    }

    async fn post(&self, prompt_id: &str, body: &Bytes) -> Result<Submitted, ComfyError> {
        let http = &self.0.http;
        let request = http.post(["prompt"]);
        let lost = match http
            .send_fresh(&request, |builder| {
                builder
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone())
            })
            .await
        {
            Ok(response) if response.status() == StatusCode::BAD_REQUEST => {
                return Err(http.rejection(&request, response).await);
            }
            Ok(response) => match self.accepted(&request, response).await {
                // The server crashed while it took the job in, perhaps after it had queued it.
                Err(error @ ComfyError::Server { .. }) => {
                    let found = self.find(prompt_id).await.ok().flatten();
                    return found.ok_or(error);
                }
                Err(error) if error.is_outage() => error,
                answer => return answer,
            },
            // Nothing can have arrived without a connection.
            Err(error @ ComfyError::Unreachable { .. }) => return Err(error),
            Err(error) if error.is_outage() => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(prompt_id, %lost, "the answer to a submission was lost, looking for the job");
        self.recover(prompt_id, &lost).await
    }

    async fn accepted(
        &self,
        request: &Request,
        response: Response,
    ) -> Result<Submitted, ComfyError> {
        let http = &self.0.http;
        let response = http.expect_success(request, response).await?;
        let mut answer: Value = http.read_json(request, response).await?;
        let Some(prompt_id) = answer["prompt_id"].as_str().map(str::to_owned) else {
            return Err(ComfyError::Malformed {
                route: request.route().to_owned(),
                reason: "it has no \"prompt_id\"".to_owned(),
            });
        };
        Ok(Submitted {
            prompt_id,
            number: answer["number"].as_f64().unwrap_or(0.0),
            queue_position: None,
            node_errors: take(&mut answer, "/node_errors"),
            dropped: Vec::new(),
        })
    }

    /// How many jobs are before a new one, as far as that can be told soon.
    async fn place(&self, submitted: &Submitted) -> Option<usize> {
        let tracker = &self.0.tracker;
        let connection = tracker.connection();
        if let Some(place) = tracker.queue.position(connection, &submitted.prompt_id) {
            return Some(place);
        }
        let remaining = self.remaining().await.ok()?;
        Some(match submitted.number {
            // It stands before all that wait, and behind the one that runs, if one does.
            front if front < 0.0 => usize::from(remaining > 1),
            _ => remaining.saturating_sub(1),
        })
    }

    /// Jobs that wait or run; much cheaper than reading the queue.
    async fn remaining(&self) -> Result<usize, ComfyError> {
        let answer: Value = self.0.http.get_json(["prompt"]).await?;
        let remaining = answer["exec_info"]["queue_remaining"].as_u64().unwrap_or(0);
        Ok(usize::try_from(remaining).unwrap_or(usize::MAX))
    }

    async fn recover(&self, prompt_id: &str, lost: &ComfyError) -> Result<Submitted, ComfyError> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            if let Ok(Some(submitted)) = self.find(prompt_id).await {
                return Ok(submitted);
            }
            if begin.elapsed() + pause > self.server().timeouts().recovery {
                return Err(ComfyError::MaybeQueued {
                    prompt_id: prompt_id.to_owned(),
                    reason: lost.to_string(),
                });
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// Looks for a job of ours whose submission was not answered.
    async fn find(&self, prompt_id: &str) -> Result<Option<Submitted>, ComfyError> {
        let http = &self.0.http;
        let queue = queue::read(http, &self.0.tracker).await?;
        let entry = queue
            .running
            .iter()
            .chain(&queue.pending)
            .find(|e| e.prompt_id == prompt_id);
        let (number, queue_position) = if let Some(entry) = entry {
            (entry.number, Some(queue.position(prompt_id).unwrap_or(0)))
        } else if let Some(entry) = history(http, prompt_id).await? {
            (entry["prompt"][0].as_f64().unwrap_or(0.0), Some(0))
        } else {
            return Ok(None);
        };
        Ok(Some(Submitted {
            prompt_id: prompt_id.to_owned(),
            number,
            queue_position,
            node_errors: Value::Null,
            dropped: Vec::new(),
        }))
    }
}
