//! A run as it is written down.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::written;
use crate::failure::{Code, Failure};
use crate::script::Reply;
use crate::script::course::Report;

/// What the ids of runs begin with, so that nobody takes one for a job's.
pub(super) const PREFIX: &str = "run-";

/// Whether an id is that of a run.
#[must_use]
pub fn is_run(id: &str) -> bool {
    // Other forms of the same UUID are no names of its file.
    id.strip_prefix(PREFIX)
        .is_some_and(|id| id.len() == 36 && Uuid::try_parse(id).is_ok())
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It goes on.
    Working,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub run_id: String,
    /// The tool, or the script of a run of the shell.
    pub tool: String,
    /// By what name or file the shell was asked for it; none for what a server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// What the tool was given.
    pub arguments: Map<String, Value>,
    /// Which text of the tool, its libraries included, the run goes through.
    #[serde(default)]
    pub(super) hash: String,
    /// The address of the server that it works on.
    #[serde(default)]
    pub(super) server: String,
    /// The project that it was begun in.
    #[serde(default)]
    pub(super) project: PathBuf,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub created_at: Timestamp,
    /// When this was last written.
    pub updated_at: Timestamp,
    /// The session that began it; none for its process itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The process that runs it.
    pub(super) process: String,
    /// The jobs that it has to do with.
    pub prompt_ids: Vec<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Report>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written")]
    pub reply: Option<Reply>,
    /// Why it failed, as agents see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Value>,
}

impl Record {
    /// What came of a run that is over.
    #[must_use]
    pub fn result(&self) -> Option<Result<Reply, Failure>> {
        match self.status {
            Status::Working => None,
            Status::Completed => Some(Ok(self.reply.clone().unwrap_or_default())),
            Status::Failed => Some(Err(self.failure.as_ref().map_or_else(
                || Failure::new(Code::INTERNAL_ERROR, "it failed without a word"),
                failure_of,
            ))),
            Status::Cancelled => Some(Err(Failure::new(Code::CANCELLED, "the run was cancelled"))),
        }
    }

    pub(super) fn end(&mut self, result: Result<Reply, Failure>, now: Timestamp) {
        self.updated_at = now;
        match result {
            Ok(reply) => {
                self.status = Status::Completed;
                self.reply = Some(reply);
            }
            Err(failure) if failure.code == Code::CANCELLED => self.status = Status::Cancelled,
            Err(failure) => {
                self.status = Status::Failed;
                self.failure = Some(failure.to_json());
            }
        }
    }

    /// The handle with which an agent goes on.
    #[must_use]
    pub fn handle(&self) -> Value {
        let mut handle = json!({ "status": self.status, "run_id": self.run_id });
        if !self.prompt_ids.is_empty() {
            handle["prompt_ids"] = json!(self.prompt_ids);
        }
        if let Some(progress) = &self.progress {
            handle["progress"] = json!(progress);
        }
        if self.status == Status::Working {
            handle["hint"] = json!(format!(
                "it goes on: call wait_for_completion with prompt_id \"{}\"",
                self.run_id
            ));
        }
        handle
    }
}

/// The reverse of [`Failure::to_json`].
pub(crate) fn failure_of(written: &Value) -> Failure {
    let text = |name: &str| written[name].as_str().map(str::to_owned);
    let mut failure = Failure::new(
        Code::custom(text("error").unwrap_or_default()),
        text("message").unwrap_or_default(),
    );
    failure.hint = text("hint");
    for (name, value) in written.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "error" | "message" | "hint") {
            failure.details.insert(name.clone(), value.clone());
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::script::reply::{Body, Content, Link, Resource};

    fn record() -> Record {
        Record {
            run_id: "run-1".into(),
            tool: "paint".into(),
            word: None,
            arguments: Map::new(),
            hash: String::new(),
            server: String::new(),
            project: PathBuf::new(),
            status: Status::Working,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            session: None,
            process: "p".into(),
            prompt_ids: vec![],
            progress: None,
            reply: None,
            failure: None,
        }
    }

    #[test]
    fn only_the_whole_form_is_the_id_of_a_run() {
        assert!(is_run("run-018f0000-0000-7000-8000-000000000000"));
        for other in [
            "018f0000-0000-7000-8000-000000000000",
            "run-018f000000007000800000000000000000",
            "run-018f0000-0000-7000-8000-00000000000",
            "run-away",
            "run-../../../../../../../../../../../etc/x",
        ] {
            assert!(!is_run(other), "{other}");
        }
    }

    fn read_again(record: &Record) -> Record {
        serde_json::from_slice(&serde_json::to_vec(record).unwrap()).unwrap()
    }

    #[test]
    fn a_reply_is_read_as_it_was_written() {
        let mut record = record();
        let bytes = Bytes::from_static(b"\x89PNG");
        let body = Body::Bytes(bytes.clone());
        let content = vec![
            Content::Text("done".into()),
            Content::Image {
                bytes,
                mime_type: "image/png".into(),
            },
            Content::Link(Link {
                uri: "mmf://assets/1".into(),
                size: Some(4),
                ..Link::default()
            }),
            Content::Resource(Resource {
                uri: "mmf://assets/2".into(),
                mime_type: None,
                body,
            }),
        ];
        let value = json!({ "seed": u64::MAX });
        record.end(
            Ok(Reply {
                value,
                content,
                ..Reply::default()
            }),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(read_again(&record), record);
    }

    #[test]
    fn a_failure_is_read_as_it_was_written() {
        let mut record = record();
        let failure = Failure::new(Code::OUT_OF_MEMORY, "no room")
            .hint("make it smaller")
            .detail("node", "3");
        record.end(Err(failure.clone()), Timestamp::UNIX_EPOCH);
        assert_eq!(read_again(&record).result(), Some(Err(failure)));
    }
}
