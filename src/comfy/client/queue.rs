//! The server's queue. Its items carry whole workflows; those are skipped while reading, because
//! a queue of a thousand jobs is megabytes and is read again and again.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};

use super::http::Http;
use crate::comfy::ComfyError;

/// Who waits and who runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Derive)]
pub struct Queue {
    /// At most one on today's servers.
    #[serde(rename(deserialize = "queue_running"))]
    pub running: Vec<QueueEntry>,
    /// In the order in which they will run.
    #[serde(rename(deserialize = "queue_pending"))]
    pub pending: Vec<QueueEntry>,
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

    /// Whether it runs now.
    #[must_use]
    pub fn is_running(&self, prompt_id: &str) -> bool {
        self.running
            .iter()
            .any(|entry| entry.prompt_id == prompt_id)
    }
}

pub(super) async fn read(http: &Http) -> Result<Queue, ComfyError> {
    let mut queue: Queue = http.get_json(["queue"]).await?;
    // The server's list is a heap.
    queue
        .pending
        .sort_by(|one, other| one.number.total_cmp(&other.number));
    Ok(queue)
}

impl<'de> Deserialize<'de> for QueueEntry {
    /// Reads `[number, prompt_id, prompt, extra_data, outputs, ...]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;

        impl<'de> Visitor<'de> for Item {
            type Value = QueueEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of number, prompt id, prompt and extra data")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<QueueEntry, A::Error> {
                let missing = || serde::de::Error::custom("a queue item has too few elements");
                let number = items.next_element()?.ok_or_else(missing)?;
                let prompt_id = items.next_element()?.ok_or_else(missing)?;
                items.next_element::<IgnoredAny>()?.ok_or_else(missing)?;
                let extra: ExtraData = items.next_element()?.unwrap_or_default();
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(QueueEntry {
                    prompt_id,
                    number,
                    client_id: extra.client_id,
                    created_at: extra.create_time,
                })
            }
        }

        deserializer.deserialize_seq(Item)
    }
}

#[derive(Default, Derive)]
struct ExtraData {
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    create_time: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_without_their_workflows() {
        let body = br#"{"queue_running": [[0, "a", {"1": {"x": NaN}}, {"client_id": "c", "create_time": 5}, ["9"]]],
                        "queue_pending": [[-1.5, "b", {}, {}, [], {"sensitive": 1}]]}"#;
        let queue: Queue = super::super::http::parse(body).unwrap();
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
}
