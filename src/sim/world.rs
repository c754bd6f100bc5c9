//! One life of the server, from a start to the next restart: everything that a restart forgets,
//! and the thread that executes prompts.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;

use crate::clock::Clock;

use super::cache::{Cache, Traits};
use super::catalog::Catalog;
use super::executor::Run;
use super::faults::Faults;
use super::folders::Folders;
use super::hub::Hub;
use super::interrupt::Interrupt;
use super::options::SimOptions;
use super::queue::{Item, Next, Queue};
use super::release::Release;
use super::sync::lock;

/// What a running prompt can ask of those who keep the server running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plea {
    /// Restart, as after a crash.
    Restart,
}

pub(super) struct World {
    pub(super) options: Arc<SimOptions>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) folders: Folders,
    pub(super) hub: Arc<Hub>,
    pub(super) queue: Queue,
    pub(super) interrupt: Interrupt,
    pub(super) faults: Faults,
    pub(super) clock: Clock,
    pub(super) release: Release,
    /// The client whose prompt runs and the node it is at.
    current: Mutex<Option<(String, String)>>,
    pleas: mpsc::UnboundedSender<Plea>,
}

impl World {
    pub(super) fn new(
        options: Arc<SimOptions>,
        catalog: Arc<Catalog>,
        folders: Folders,
        pleas: mpsc::UnboundedSender<Plea>,
    ) -> Self {
        let hub = Arc::new(Hub::new(options.faults.clone()));
        Self {
            catalog,
            folders,
            queue: Queue::new(hub.clone()),
            hub,
            interrupt: Interrupt::default(),
            faults: options.faults.clone(),
            clock: options.clock.clone(),
            release: Release::of(&options.version),
            current: Mutex::default(),
            pleas,
            options,
        }
    }

    /// Notes which node runs for whom, for clients that come back.
    pub(super) fn set_current(&self, current: Option<(&str, &str)>) {
        let owned = current.map(|(client, node)| (client.to_owned(), node.to_owned()));
        *lock(&self.current) = owned;
    }

    /// The node that runs for this client.
    pub(super) fn current_node(&self, client: &str) -> Option<String> {
        let current = lock(&self.current);
        current
            .as_ref()
            .filter(|(owner, _)| owner == client)
            .map(|(_, node)| node.clone())
    }

    /// Lets happen what is meant to happen when this node starts.
    pub(super) fn node_starts(&self, id: &str, class: &str) {
        if self.faults.drops_at(id, class) {
            self.hub.cut_all();
        }
        if self.faults.restarts_at(id, class) && self.pleas.send(Plea::Restart).is_ok() {
            // The life of this server ends here; nothing more may happen in it.
            while !self.interrupt.is_closed() {
                self.interrupt.wait(Duration::from_secs(1));
            }
        }
    }

    /// Ends this life: no message leaves it any more and its worker stops.
    pub(super) fn close(&self) {
        self.hub.close();
        self.interrupt.close();
        self.queue.close();
    }

    /// Starts the thread that executes prompts.
    pub(super) fn start_worker(world: Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let worker = thread::Builder::new().name("sim-worker".to_owned());
        worker.spawn(move || world.work())
    }

    fn work(&self) {
        let mut cache = Cache::new(self.options.caching);
        loop {
            match self.queue.next() {
                Next::Execute(task, item) => {
                    if !self.execute(task, &item, &mut cache) {
                        return;
                    }
                    if self.queue.take_free() {
                        cache.clear();
                    }
                }
                Next::Free => cache.clear(),
                Next::Close => return,
            }
        }
    }

    /// Executes one prompt and files it; false if the worker is dead after it.
    fn execute(&self, task: u64, item: &Item, cache: &mut Cache) -> bool {
        let report = match Run::new(self, item, cache).execute() {
            Ok(report) => report,
            Err(death) => {
                tracing::warn!(
                    prompt = item.id,
                    "the worker died as the real one does: {death}; this prompt stays in the queue for ever"
                );
                return false;
            }
        };
        if let Some(delay) = self.faults.late_history() {
            self.interrupt.wait(delay);
        }
        if self.interrupt.is_closed() {
            return false;
        }
        self.queue.done(task, report.entry(item));
        if let Some(client) = item.extra_data.get("client_id").and_then(Json::as_str) {
            let data = json!({ "node": null, "prompt_id": item.id });
            self.hub.send("executing", &data, Some(client));
        }
        true
    }
}

impl Traits for World {
    fn is_bound_to_id(&self, class: &str) -> bool {
        self.catalog
            .shape(class)
            .hidden
            .iter()
            .any(|name| name == "unique_id")
    }

    fn changed(&self, class: &str, inputs: &Map<String, Json>) -> Option<String> {
        self.catalog.node(class)?.changed(inputs, &self.folders)
    }
}
