//! A job as it is written down.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::comfy::{End, Outcome, Output};
use crate::jobs::Origin;
use crate::store::{Key, Row};

/// By what jobs are found.
pub(super) mod key {
    pub(in crate::jobs::ledger) const STATUS: &str = "status";
    pub(in crate::jobs::ledger) const OPEN: &str = "open";
    pub(in crate::jobs::ledger) const PROMPT: &str = "prompt";
    pub(in crate::jobs::ledger) const RUN: &str = "run";
}

/// Raised when [`index_row`] changes its mind.
pub(super) const SCHEMA: u32 = 1;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It was or is about to be handed to the server.
    Queued,
    /// The server works on it.
    Running,
    /// Every node that had to run ran.
    Done,
    /// A node failed, or the server refused it.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// The server knows nothing of it: it was restarted, or the job was removed there.
    Lost,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::Lost,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl From<&End> for JobStatus {
    fn from(end: &End) -> Self {
        match end {
            End::Success => Self::Done,
            End::Failed(_) => Self::Failed,
            End::Interrupted { .. } => Self::Cancelled,
            End::Lost => Self::Lost,
        }
    }
}

/// How long a node ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeTime {
    /// The node; `"2.0.0.1"` for nodes that another one expanded into.
    pub node_id: String,
    /// From its beginning to that of the next one, as it was heard of here.
    pub seconds: f64,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// What the server calls it; also the id of the record, except on servers that choose their own
    /// (before `ComfyUI` 0.3.39).
    pub prompt_id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// Counts from 1: a job that was lost and is submitted again is the next.
    #[serde(default = "first")]
    pub attempt: u32,
    /// Earlier attempts at the same work, which were lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// Whether nodes of it run elsewhere, for credits, as far as that was known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partner: bool,
    /// The address of the server.
    pub server: String,
    /// When it was written down, before it was submitted.
    pub created_at: Timestamp,
    /// When the server began, as it was heard of here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its end was heard of here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The run that submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Who asked for it, and with what.
    #[serde(default)]
    pub origin: Origin,
    /// The workflow as it was submitted.
    pub workflow: Value,
    /// How long each node ran, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeTime>,
    /// The nodes whose results the server had already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cached: Vec<String>,
    /// What its nodes reported, as soon as it is known to have ended well: a server that is
    /// restarted forgets that, and still has the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Vec<Output>>,
    /// The assets that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Why it failed, as agents see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Value>,
    /// Whether the hook for its end was told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::jobs) told: bool,
    /// What went wrong with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_failure: Option<String>,
    /// The process that looks after it.
    pub(in crate::jobs) process: String,
}

fn first() -> u32 {
    1
}

impl JobRecord {
    /// Notes how it ended.
    pub(in crate::jobs) fn end(&mut self, outcome: &Outcome, outputs: Vec<String>, now: Timestamp) {
        self.status = JobStatus::from(&outcome.end);
        self.ended_at = Some(now);
        self.started_at = self.started_at.or(outcome.started_at);
        self.cached.clone_from(&outcome.cached);
        self.made = None;
        self.outputs = outputs;
        self.failure = outcome.failure().map(|failure| failure.to_json());
    }
}

pub(super) fn index_row(record: &Value) -> Row {
    let Ok(job) = JobRecord::deserialize(record) else {
        return Row::default();
    };
    let mut keys = vec![
        Key::new(key::STATUS, job.status.as_str()),
        Key::new(key::PROMPT, job.prompt_id),
    ];
    keys.extend(job.run_id.map(|run| Key::new(key::RUN, run)));
    if !job.status.is_over() {
        keys.push(Key::new(key::OPEN, "1"));
    }
    Row {
        keys,
        text: String::new(),
    }
}
