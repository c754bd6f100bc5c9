//! How a job ended, read off its entry in the history, or off what the socket told in its place.
//!
//! A failed and an interrupted job look alike there (`status_str` "error"), and a job can fail
//! while `status_str` says "success" (a dependency cycle that nodes make at run time), so the
//! messages decide and the status only fills in.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::http::take;
use crate::comfy::output::{Output, outputs};
use crate::failure::{Code, Failure};

/// How a job ended and what it made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The job.
    pub prompt_id: String,
    /// How it ended.
    #[serde(flatten)]
    pub end: End,
    /// What the nodes reported, also those that ran before a failure.
    pub outputs: Vec<Output>,
    /// When the server began, by its own clock.
    pub started_at: Option<Timestamp>,
    /// When the server ended, by its own clock.
    pub ended_at: Option<Timestamp>,
    /// The nodes whose results the server had from an earlier job.
    pub cached: Vec<String>,
    /// The workflow as it ran, after the server's own corrections (`"12"` is 12 then, and classes
    /// may have their new names); the workflow as it was submitted if the outcome was known before
    /// the server showed the other; null when unknown.
    #[serde(skip)]
    pub prompt: Value,
    /// What was submitted beside the workflow, perhaps with what the server added; null when
    /// unknown.
    #[serde(skip)]
    pub extra_data: Value,
    /// The messages of the history, `[[event, {..., timestamp}], ...]`.
    #[serde(skip)]
    pub messages: Value,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum End {
    /// Every node that had to run ran.
    Success,
    /// A node raised an exception.
    #[serde(rename = "error")]
    Failed(Box<NodeFailure>),
    /// Somebody stopped it, running or still waiting.
    Interrupted {
        /// The node that was running.
        node_id: Option<String>,
    },
    /// It is neither in the queue nor in the history: the server was restarted, or somebody
    /// removed it.
    Lost,
}

/// The exception that ended a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeFailure {
    /// The node.
    pub node_id: Option<String>,
    /// Its class.
    pub node_type: Option<String>,
    /// The Python class, such as `ValueError` or `torch.OutOfMemoryError`.
    pub exception_type: String,
    /// What the exception says, without the tips that the server appends.
    pub message: String,
    /// The Python traceback, line by line.
    pub traceback: Vec<String>,
}

impl NodeFailure {
    fn read(data: &Value) -> Self {
        let word = |key: &str| data[key].as_str().map(str::to_owned);
        let lines = data["traceback"].as_array().into_iter().flatten();
        let message = word("exception_message").unwrap_or_default();
        Self {
            node_id: word("node_id"),
            node_type: word("node_type"),
            exception_type: word("exception_type").unwrap_or_else(|| "Exception".to_owned()),
            message: message
                .split("\nTips:")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            traceback: lines
                .filter_map(|line| line.as_str().map(str::to_owned))
                .collect(),
        }
    }

    /// Whether the graphics card's memory ran out.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        self.exception_type.contains("OutOfMemory")
            || self.message.to_ascii_lowercase().contains("out of memory")
    }
}

impl Outcome {
    /// An outcome of which only the end is known.
    pub(super) fn bare(prompt_id: &str, end: End) -> Self {
        Self {
            prompt_id: prompt_id.to_owned(),
            end,
            outputs: Vec::new(),
            started_at: None,
            ended_at: None,
            cached: Vec::new(),
            prompt: Value::Null,
            extra_data: Value::Null,
            messages: Value::Null,
        }
    }

    /// Reads an entry of the history.
    pub(super) fn read(prompt_id: &str, mut entry: Value) -> Self {
        let messages = take(&mut entry, "/status/messages");
        let message = |name: &str| find(&messages, name);
        let failed = events(&messages).find_map(|(name, data)| {
            (name == "execution_error" && data["exception_type"] != "ExecutionBlocked")
                .then_some(data)
        });
        let interrupted = message("execution_interrupted");
        let success = message("execution_success");
        let end = if let Some(data) = failed {
            End::Failed(Box::new(NodeFailure::read(data)))
        } else if let Some(data) = interrupted {
            End::Interrupted {
                node_id: data["node_id"].as_str().map(str::to_owned),
            }
        } else if entry["status"]["status_str"] == "error" && success.is_none() {
            End::Failed(Box::new(NodeFailure {
                exception_type: "Exception".to_owned(),
                message: "the server's history says error and nothing else".to_owned(),
                ..NodeFailure::default()
            }))
        } else {
            End::Success
        };
        let cached = message("execution_cached").and_then(|data| data["nodes"].as_array());
        let cached = cached.into_iter().flatten().filter_map(Value::as_str);
        Self {
            prompt_id: prompt_id.to_owned(),
            end,
            outputs: outputs(&entry["outputs"]),
            started_at: time(message("execution_start")),
            ended_at: time(failed.or(interrupted).or(success)),
            cached: cached.map(str::to_owned).collect(),
            prompt: take(&mut entry, "/prompt/2"),
            extra_data: take(&mut entry, "/prompt/3"),
            messages,
        }
    }

    /// Whether every node that had to run ran.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.end == End::Success
    }

    /// How long the server worked on it.
    #[must_use]
    pub fn duration(&self) -> Option<std::time::Duration> {
        self.ended_at?
            .duration_since(self.started_at?)
            .try_into()
            .ok()
    }

    /// What to tell a caller who expected a success; none if it was one.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let failure = match &self.end {
            End::Success => return None,
            End::Failed(failed) => failed.to_failure(),
            End::Interrupted { node_id } => {
                let failure = Failure::new(Code::CANCELLED, "the job was interrupted");
                match node_id {
                    Some(node_id) => failure.detail("node_id", node_id.as_str()),
                    None => failure,
                }
            }
            End::Lost => {
                let message =
                    "ComfyUI no longer knows the job: it is neither queued nor in the history";
                Failure::new(Code::JOB_LOST, message).hint(
                    "ComfyUI was restarted or the job was removed there; submit it again if it is \
                     still wanted",
                )
            }
        };
        Some(failure.detail("prompt_id", self.prompt_id.as_str()))
    }
}

impl NodeFailure {
    fn to_failure(&self) -> Failure {
        let place = match (&self.node_type, &self.node_id) {
            (Some(class), Some(id)) => format!("{class} (node {id})"),
            (None, Some(id)) => format!("node {id}"),
            _ => "the workflow".to_owned(),
        };
        let message = format!(
            "{place} failed with {}: {}",
            self.exception_type, self.message
        );
        let code = if self.is_out_of_memory() {
            Code::OUT_OF_MEMORY
        } else {
            Code::EXECUTION_ERROR
        };
        Failure::new(code, message)
            .hint(self.advice())
            .detail("node_id", self.node_id.clone())
            .detail("node_type", self.node_type.clone())
            .detail("exception_type", self.exception_type.as_str())
            .detail("traceback", self.traceback.clone())
    }
}

fn events(messages: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let messages = messages.as_array().into_iter().flatten();
    messages.filter_map(|message| Some((message[0].as_str()?, &message[1])))
}

fn find<'a>(messages: &'a Value, name: &str) -> Option<&'a Value> {
    events(messages).find_map(|(found, data)| (found == name).then_some(data))
}

fn time(data: Option<&Value>) -> Option<Timestamp> {
    Timestamp::from_millisecond(data?["timestamp"].as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::account::ACCOUNT_HELP;
    use super::super::advice::SIGNED_OUT;
    use super::*;
    use serde_json::json;

    fn entry(status: &str, messages: &Value) -> Value {
        json!({
            "prompt": [0, "p", { "1": {} }, { "client_id": "c" }, ["9"]],
            "outputs": { "9": { "images": [{ "filename": "a.png", "subfolder": "", "type": "output" }] } },
            "status": { "status_str": status, "completed": status == "success", "messages": messages },
        })
    }

    #[test]
    fn interrupt_and_failure_differ_only_in_their_message() {
        let read = |messages| Outcome::read("p", entry("error", &messages)).end;
        let interrupted =
            read(json!([["execution_interrupted", { "node_id": "3", "timestamp": 9 }]]));
        assert_eq!(
            interrupted,
            End::Interrupted {
                node_id: Some("3".to_owned())
            }
        );
        let failed = read(json!([["execution_error", {
            "node_id": "3", "node_type": "KSampler", "exception_type": "torch.OutOfMemoryError",
            "exception_message": "Allocation on device \n\nTips: This error means you ran out",
            "traceback": ["  File"],
        }]]));
        let End::Failed(failure) = failed else {
            panic!("{failed:?}")
        };
        assert!(failure.is_out_of_memory());
    }

    #[test]
    fn whoever_is_not_signed_in_is_told_how_to_be() {
        let message = format!("{SIGNED_OUT}\n");
        let messages = json!([["execution_error", {
            "node_id": "2", "node_type": "WanImageToVideoApi", "exception_type": "Exception",
            "exception_message": message, "traceback": [],
        }]]);
        let failure = Outcome::read("p", entry("error", &messages)).failure();
        assert_eq!(failure.unwrap().hint.as_deref(), Some(ACCOUNT_HELP));
    }

    #[test]
    fn an_error_message_outweighs_a_status_of_success() {
        let messages = json!([["execution_error", { "exception_type": "DependencyCycleError" }]]);
        let outcome = Outcome::read("p", entry("success", &messages));
        assert!(!outcome.is_success());
        assert_eq!(outcome.failure().unwrap().code, Code::EXECUTION_ERROR);
    }

    #[test]
    fn a_blocked_branch_leaves_the_job_a_success() {
        let messages = json!([
            ["execution_start", { "timestamp": 1000 }],
            ["execution_error", { "exception_type": "ExecutionBlocked" }],
            ["execution_success", { "timestamp": 3500 }],
        ]);
        let outcome = Outcome::read("p", entry("success", &messages));
        assert!(outcome.is_success());
        assert_eq!(
            outcome.duration(),
            Some(std::time::Duration::from_millis(2500))
        );
        assert_eq!(outcome.outputs.len(), 1);
        assert_eq!(outcome.prompt, json!({ "1": {} }));
    }

    #[test]
    fn a_status_of_null_is_no_failure() {
        let mut entry = entry("success", &json!([]));
        entry["status"] = Value::Null;
        assert!(Outcome::read("p", entry).is_success());
    }
}
