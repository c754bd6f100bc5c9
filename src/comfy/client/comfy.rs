//! The handle to one server. What it can do stands in the files beside this one, by topic.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::DATE;
use serde_json::{Map, Value, json};

use super::account::PartnersCache;
use super::facts::FactsCache;
use super::follow::Follower;
use super::http::Http;
use super::listings::ListingsCache;
use super::queue::{self, Queue, QueueHead};
use super::socket::Socket;
use super::stats::FeaturesCache;
use super::templates::TemplatesCache;
use super::tracker::Tracker;
use crate::clock::Clock;
use crate::comfy::{ComfyError, Server};
use crate::ids::Ids;

/// So many milliseconds the clocks of two machines may differ without our knowing.
const CLOCK_PRECISION: i64 = 3_000;

/// A queue of more jobs than this is followed by the socket instead of being read again and again.
const LONG: usize = 100;

/// A `ComfyUI` server. Cheap to clone; clones share one socket, one client id and what is cached.
#[derive(Clone)]
pub struct Comfy(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) http: Arc<Http>,
    pub(super) ids: Ids,
    pub(super) clock: Clock,
    /// Under which the server knows this process; it sends a job's events to the client that
    /// submitted it.
    pub(super) client_id: String,
    pub(super) tracker: Arc<Tracker>,
    pub(super) follower: Arc<Follower>,
    pub(super) socket: Socket,
    pub(super) features: Mutex<Option<FeaturesCache>>,
    pub(super) facts: FactsCache,
    pub(super) listings: ListingsCache,
    pub(super) partners: PartnersCache,
    pub(super) templates: TemplatesCache,
}

impl Comfy {
    /// A handle to a server. Nothing is sent before the first request.
    #[must_use]
    pub fn new(server: Server, ids: Ids, clock: Clock) -> Self {
        let http = Arc::new(Http::new(server));
        let tracker = Arc::new(Tracker::default());
        let follower = Follower::new(Arc::clone(&http), Arc::clone(&tracker));
        let client_id = ids.random();
        let socket = Socket::new(
            Arc::clone(&http),
            Arc::clone(&tracker),
            Arc::clone(&follower),
            client_id.clone(),
        );
        Self(Arc::new(Inner {
            http,
            ids,
            clock,
            client_id,
            tracker,
            follower,
            socket,
            features: Mutex::new(None),
            facts: FactsCache::default(),
            listings: ListingsCache::default(),
            partners: PartnersCache::default(),
            templates: TemplatesCache::default(),
        }))
    }

    /// The server that this talks to.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.0.http.server()
    }

    /// The id under which the server knows this process.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Who runs and who waits.
    pub async fn queue(&self) -> Result<Queue, ComfyError> {
        queue::read(&self.0.http, &self.0.tracker).await
    }

    /// Who runs, so many of those that wait, and how many do: known without asking as long as the
    /// socket tells all that changes.
    pub async fn queue_head(&self, limit: usize) -> Result<QueueHead, ComfyError> {
        let tracker = &self.0.tracker;
        if let Some(head) = tracker.queue.head(tracker.connection(), limit) {
            return Ok(head);
        }
        let queue = self.queue().await?;
        if queue.len() > LONG {
            self.0.socket.begin_to_open();
        }
        Ok(queue.head(limit))
    }

    /// Whether the server still knows of anything that was submitted before `time` of this machine:
    /// if so, it was not restarted since. Its history begins anew then, and its queue.
    pub async fn remembers_before(&self, time: Timestamp) -> Result<bool, ComfyError> {
        let http = &self.0.http;
        let (queue, ahead) = self.queue_and_clock().await?;
        let before = time.as_millisecond() + ahead;
        let mut waiting = queue.running.iter().chain(&queue.pending);
        if waiting.any(|entry| entry.created_at.is_some_and(|created| created < before)) {
            return Ok(true);
        }
        // The first of all that it has; servers before 0.3.60 give the last instead.
        let oldest = http
            .get(["history"])
            .query("max_items", "1")
            .query("offset", "0");
        let entries: Map<String, Value> = http.json(&oldest, |builder| builder).await?;
        let events = entries
            .values()
            .filter_map(|entry| entry["status"]["messages"].as_array())
            .flatten();
        let mut times = events.filter_map(|event| event[1]["timestamp"].as_i64());
        Ok(times.any(|time| time < before))
    }

    /// The queue, and by how many milliseconds the server's clock is ahead of ours.
    async fn queue_and_clock(&self) -> Result<(Queue, i64), ComfyError> {
        let http = &self.0.http;
        let request = http.get(["queue"]);
        let response = http.send(&request, |builder| builder).await?;
        let response = http.expect_success(&request, response).await?;
        let says = response.headers().get(DATE);
        let says = says.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        let ahead = says.map_or(0, |says| {
            says.as_millisecond() - self.0.clock.now().as_millisecond()
        });
        // The header has whole seconds, and takes some time to come here.
        let is_told = ahead.abs() > CLOCK_PRECISION;
        let queue = http.read_json(&request, response).await?;
        Ok((queue, if is_told { ahead } else { 0 }))
    }

    /// Stops whatever runs, no matter whose it is. To stop one job use [`Comfy::cancel`].
    pub async fn interrupt(&self) -> Result<(), ComfyError> {
        self.0.http.post_empty(["interrupt"], &json!({})).await
    }

    /// Asks the server to free graphics memory, at once if it is idle and after the present job
    /// otherwise. `free_memory` also drops the results that it keeps from earlier jobs.
    pub async fn free(&self, unload_models: bool, free_memory: bool) -> Result<(), ComfyError> {
        let body = json!({ "unload_models": unload_models, "free_memory": free_memory });
        self.0.http.post_empty(["free"], &body).await
    }
}

impl std::fmt::Debug for Comfy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comfy")
            .field("server", self.server())
            .finish_non_exhaustive()
    }
}
