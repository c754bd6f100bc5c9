//! What the socket told of a job, from its beginning to its end.
//!
//! The history is the better source: it has the workflow as the server corrected it, and lists
//! outputs in the order that everyone sees. But after a job the server collects Python's garbage
//! (`main.py`, every 10 seconds at most, so after every job that comes alone) and answers nothing
//! for as long, some 100 to 700 ms. Whoever has heard every message of a job knows its end by
//! then. A story with a gap in it is no story.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::http::take;
use super::message::Record;
use super::outcome::Outcome;

/// Left out of the history by servers since 0.3.68, so left out here.
const SECRETS: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

/// A job as it was submitted; what a server made of it may differ in small things, such as a
/// number that was written as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The workflow.
    pub prompt: Value,
    /// What was sent beside it, without the secrets of an account.
    pub extra_data: Value,
}

impl Submission {
    /// Reads the body of a `POST /prompt`. It is kept as that, because thousands of jobs may wait
    /// and a workflow takes several times the room once it is read.
    pub(super) fn read(body: &Bytes) -> Self {
        let mut sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut extra_data = take(&mut sent, "/extra_data");
        if let Some(extra_data) = extra_data.as_object_mut() {
            extra_data.retain(|key, _| !SECRETS.contains(&key.as_str()));
            // The server adds it too.
            extra_data.insert("client_id".to_owned(), take(&mut sent, "/client_id"));
        }
        Self {
            prompt: take(&mut sent, "/prompt"),
            extra_data,
        }
    }
}

/// Everything that was told of one job so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    messages: Vec<Value>,
    outputs: Map<String, Value>,
    is_over: bool,
}

impl Story {
    /// A story that begins with `execution_start`.
    pub(super) fn begin(start: Record) -> Self {
        let mut story = Self::default();
        story.add(start);
        story
    }

    pub(super) fn add(&mut self, record: Record) {
        let Record { event, data } = record;
        self.messages.push(Value::Array(vec![event.into(), data]));
    }

    pub(super) fn add_output(&mut self, node: &str, output: &Value) {
        // An output without anything to show has no place in the history either.
        if !output.is_null() {
            self.outputs.insert(node.to_owned(), output.clone());
        }
    }

    /// Adds the message after which no other counts.
    pub(super) fn end(&mut self, end: Record) {
        if !self.is_over {
            self.add(end);
            self.is_over = true;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What nodes have reported, in that order.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.outputs.iter()
    }

    /// How the job ended, read by the rules by which the history is read.
    pub(super) fn outcome(self, prompt_id: &str, submission: Submission) -> Outcome {
        let Submission { prompt, extra_data } = submission;
        let entry = json!({
            "prompt": [null, prompt_id, prompt, extra_data],
            "outputs": self.outputs,
            "status": { "messages": self.messages },
        });
        Outcome::read(prompt_id, entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: &str, data: Value) -> Record {
        let event = event.to_owned();
        Record { event, data }
    }

    fn submission() -> Submission {
        let body = json!({
            "prompt": { "9": { "class_type": "X", "inputs": { "seed": u64::MAX } } },
            "prompt_id": "p",
            "client_id": "c",
            "extra_data": { "api_key_comfy_org": "secret", "note": 1 },
        });
        Submission::read(&body.to_string().into())
    }

    fn told() -> Story {
        let start = json!({ "prompt_id": "p", "timestamp": 1000 });
        let cached = json!({ "prompt_id": "p", "nodes": ["1"], "timestamp": 1001 });
        let mut story = Story::begin(record("execution_start", start));
        story.add(record("execution_cached", cached));
        story.add_output("9", &json!({ "text": ["nine"] }));
        story.add_output("2", &Value::Null);
        story.add_output("3", &json!({ "text": ["three"] }));
        story
    }

    fn entry(story: &Story, end: &Record, status: &str) -> Value {
        let Submission { prompt, extra_data } = submission();
        let mut messages = story.messages.clone();
        messages.push(json!([end.event, end.data]));
        json!({
            "prompt": [7, "p", prompt, extra_data, ["9"]],
            "outputs": { "9": { "text": ["nine"] }, "3": { "text": ["three"] } },
            "status": { "status_str": status, "completed": status == "success", "messages": messages },
        })
    }

    #[test]
    fn the_story_of_a_job_gives_the_outcome_that_the_history_gives() {
        let error = json!({
            "prompt_id": "p", "node_id": "3", "node_type": "X", "exception_type": "ValueError",
            "exception_message": "no\nTips: none", "traceback": ["  File"], "timestamp": 2000,
        });
        let stop = json!({ "prompt_id": "p", "node_id": "3", "timestamp": 2000 });
        let success = json!({ "prompt_id": "p", "timestamp": 2000 });
        for (event, data, status) in [
            ("execution_success", success, "success"),
            ("execution_error", error, "error"),
            ("execution_interrupted", stop, "error"),
        ] {
            let end = record(event, data);
            let mut story = told();
            let expected = Outcome::read("p", entry(&story, &end, status));
            story.end(end);
            assert_eq!(story.outcome("p", submission()), expected, "{event}");
        }
    }

    #[test]
    fn a_submission_is_read_back_with_its_sender_and_without_secrets() {
        let read = submission();
        assert_eq!(read.prompt["9"]["inputs"]["seed"].as_u64(), Some(u64::MAX));
        assert_eq!(read.extra_data, json!({ "note": 1, "client_id": "c" }));
    }
}
