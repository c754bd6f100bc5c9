//! The server's queue. Its items carry whole workflows; those are skipped while reading, because
//! a queue of a thousand jobs is megabytes and is read again and again.

use std::collections::HashMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::http::Http;
use super::tracker::Tracker;
use crate::comfy::ComfyError;

/// Who waits and who runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// At most one on today's servers.
    #[serde(rename(deserialize = "queue_running"), deserialize_with = "entries")]
    pub running: Vec<QueueEntry>,
    /// In the order in which they will run.
    #[serde(rename(deserialize = "queue_pending"), deserialize_with = "entries")]
    pub pending: Vec<QueueEntry>,
}

/// The beginning of a queue, which may be long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueHead {
    /// Those that run.
    pub running: Vec<QueueEntry>,
    /// The first that wait, in the order in which they will run.
    pub pending: Vec<QueueEntry>,
    /// How many wait.
    pub waiting: usize,
}

/// A job in the queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueEntry {
    /// The job.
    pub prompt_id: String,
    /// Its rank: lower runs first, negative was put to the front.
    pub number: f64,
    /// The client that submitted it.
    pub client_id: Option<String>,
    /// When it was submitted, in milliseconds since 1970 (0.3.69 and later).
    pub created_at: Option<i64>,
}

impl Queue {
    /// How many jobs run before this one; none if it is not waiting.
    #[must_use]
    pub fn position(&self, prompt_id: &str) -> Option<usize> {
        let ahead = self
            .pending
            .iter()
            .position(|entry| entry.prompt_id == prompt_id)?;
        Some(ahead + self.running.len())
    }

    /// How many jobs run before each that waits, for those who ask for many.
    pub(super) fn positions(&self) -> HashMap<&str, usize> {
        let waiting = self.pending.iter().map(|entry| entry.prompt_id.as_str());
        waiting.zip(self.running.len()..).collect()
    }

    /// How many run and wait.
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.pending.len()
    }

    /// Those that run, and so many of those that wait.
    pub(super) fn head(&self, limit: usize) -> QueueHead {
        QueueHead {
            running: self.running.clone(),
            pending: self.pending.iter().take(limit).cloned().collect(),
            waiting: self.pending.len(),
        }
    }

    /// Whether it runs now.
    #[must_use]
    pub fn is_running(&self, prompt_id: &str) -> bool {
        self.running
            .iter()
            .any(|entry| entry.prompt_id == prompt_id)
    }
}

/// Reads it, and takes note of it.
pub(super) async fn read(http: &Http, tracker: &Tracker) -> Result<Queue, ComfyError> {
    let reading = tracker.queue.reading(tracker.connection());
    let queue = read_now(http).await?;
    reading.read(&queue, tracker.connection());
    Ok(queue)
}

async fn read_now(http: &Http) -> Result<Queue, ComfyError> {
    let mut queue: Queue = http.get_large_json(["queue"]).await?;
    // The server's list is a heap.
    queue
        .pending
        .sort_by(|one, other| one.number.total_cmp(&other.number));
    Ok(queue)
}

impl QueueEntry {
    /// Reads `[number, prompt_id, prompt, extra_data, outputs, ...]`; none if it is nothing of
    /// that kind. Whoever submits can put any JSON into most of it, and must not hide all other
    /// jobs by that.
    fn read(item: &RawValue) -> Option<Self> {
        let parts: Vec<&RawValue> = serde_json::from_str(item.get()).ok()?;
        let part = |at: usize| parts.get(at).map_or("null", |part| part.get());
        let prompt_id = serde_json::from_str(part(1)).ok()?;
        let extra: HashMap<String, &RawValue> = serde_json::from_str(part(3)).unwrap_or_default();
        let extra = |key: &str| extra.get(key).map_or("null", |value| value.get());
        Some(Self {
            prompt_id,
            number: serde_json::from_str(part(0)).unwrap_or(0.0),
            client_id: serde_json::from_str(extra("client_id")).ok(),
            created_at: serde_json::from_str(extra("create_time")).ok(),
        })
    }
}

fn entries<'de, D: Deserializer<'de>>(items: D) -> Result<Vec<QueueEntry>, D::Error> {
    items.deserialize_seq(Entries)
}

/// Reads item by item, so that no more than one workflow is held beside what was received.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<QueueEntry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of jobs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut entries = vec![];
        while let Some(item) = items.next_element::<Box<RawValue>>()? {
            entries.extend(QueueEntry::read(&item));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::json::parse_lenient;

    #[test]
    fn items_are_read_without_their_workflows() {
        let body = br#"{"queue_running": [[0, "a", {"1": {"x": NaN}}, {"client_id": "c", "create_time": 5}, ["9"]]],
                        "queue_pending": [[-1.5, "b", {}, {}, [], {"sensitive": 1}]]}"#;
        let queue: Queue = parse_lenient(body).unwrap();
        assert_eq!(
            queue.running,
            [QueueEntry {
                prompt_id: "a".to_owned(),
                number: 0.0,
                client_id: Some("c".to_owned()),
                created_at: Some(5),
            }]
        );
        assert_eq!(queue.position("b"), Some(1));
        assert!(queue.is_running("a"));
    }
    #[test]
    fn an_item_with_odd_data_does_not_hide_the_others() {
        let body = br#"{"queue_running": [],
                        "queue_pending": [[NaN, "odd", {}, {"client_id": 5, "create_time": "now"}, []],
                                          [1, "odder", {}, ["list"]], 7, null, {"x": 1}, [], [2, null],
                                          [3, "fine", {}, {"client_id": "c", "create_time": 5}, []]]}"#;
        let queue: Queue = parse_lenient(body).unwrap();
        let read: Vec<_> = queue
            .pending
            .iter()
            .map(|entry| {
                (
                    entry.number,
                    entry.prompt_id.as_str(),
                    entry.client_id.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            read,
            [
                (0.0, "odd", None),
                (1.0, "odder", None),
                (3.0, "fine", Some("c"))
            ]
        );
        assert_eq!(queue.pending[2].created_at, Some(5));
    }
}
