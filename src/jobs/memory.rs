//! Watching what a job takes of the card, so that the next estimate of a workflow like it knows.
//!
//! The server is asked while the job runs, once a second and when a node begins: between two nodes
//! models change places. It tells what its own tensors take at that moment, so a peak in between is
//! missed; the longer a sampler works, the less so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::comfy::{Comfy, End, Outcome, SystemStats, Workflow};
use crate::vram::{Ended, Machine, Observations, held_now, shape};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a server is asked on which card it works, once a job is over.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// For how long it is believed that a server has no card: another may be started in its place.
const NO_CARD_FOR: Duration = Duration::from_secs(60);

/// Nodes that begin sooner after a look are not looked at.
const SHORTEST: Duration = Duration::from_millis(150);

/// That a server has no card, which is found out by the first job and not asked anew by each of a
/// batch.
#[derive(Clone, Debug, Default)]
pub(super) struct NoCard(Arc<Mutex<Option<Instant>>>);

impl NoCard {
    fn note(&self) {
        *lock(&self.0) = Some(Instant::now());
    }

    fn is_known(&self) -> bool {
        lock(&self.0).is_some_and(|at| at.elapsed() < NO_CARD_FOR)
    }
}

/// Watches one job.
pub(super) struct MemoryWatch {
    comfy: Comfy,
    seen: Arc<Mutex<Seen>>,
    look_now: Arc<Notify>,
    _looking: AbortOnDropHandle<()>,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    /// The most that was held, in bytes.
    peak: u64,
    /// What was held at the first look.
    before: Option<u64>,
    /// The card, as it was at the last look.
    card: Option<CardSeen>,
}

/// A card at some moment.
#[derive(Clone, Debug)]
struct CardSeen {
    device: String,
    /// Bytes that the server can have of it.
    free: Option<u64>,
}

impl CardSeen {
    fn on(stats: &SystemStats) -> Option<Self> {
        let Machine { device, card, .. } = Machine::of(stats);
        Some(Self {
            device: device?,
            free: card.map(|card| card.free),
        })
    }
}

impl MemoryWatch {
    /// Begins to look. Ends by itself where there is no card.
    pub(super) fn begin(comfy: &Comfy, no_card: &NoCard) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let look_now = Arc::new(Notify::new());
        let looking = look(
            comfy.clone(),
            no_card.clone(),
            seen.clone(),
            look_now.clone(),
        );
        Self {
            comfy: comfy.clone(),
            seen,
            look_now,
            _looking: AbortOnDropHandle::new(tokio::spawn(looking)),
        }
    }

    /// Another node has begun.
    pub(super) fn node_begins(&self) {
        self.look_now.notify_one();
    }

    /// Notes how the job ended and what it took. Nobody needs to wait for that: the server may have
    /// to be asked, and another process may hold the notes.
    pub(super) fn end(
        self,
        prompt: Value,
        outcome: &Outcome,
        observations: &Observations,
        now: Timestamp,
    ) -> JoinHandle<()> {
        let seen = std::mem::take(&mut *lock(&self.seen));
        let end = outcome.end.clone();
        let cached = outcome.cached.clone();
        let (comfy, observations) = (self.comfy.clone(), observations.clone());
        tokio::spawn(async move {
            let Ok(workflow) = Workflow::from_json(prompt) else {
                return;
            };
            let shape = shape(&workflow);
            // One that is over before the first look tells that it ran, which is news only where
            // memory ran out before.
            let is_news = seen.peak > 0 || observations.has_shortage(&shape);
            if end == End::Success && !(is_news && worked(&workflow, &cached)) {
                return;
            }
            let Some((card, ended)) = ended(&comfy, seen, &end).await else {
                return;
            };
            let add = move || observations.add(&shape, &card.device, ended, now);
            match tokio::task::spawn_blocking(add).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "what a job took is not noted"),
                Err(error) => tracing::warn!(%error, "what a job took is not noted"),
            }
        })
    }
}

/// How a job ended as far as memory is concerned, and on which card; none if that says nothing.
async fn ended(comfy: &Comfy, seen: Seen, end: &End) -> Option<(CardSeen, Ended)> {
    let Seen { peak, before, card } = seen;
    let is_telling = match end {
        End::Success => true,
        End::Failed(failure) => failure.is_out_of_memory(),
        _ => false,
    };
    if !is_telling {
        return None;
    }
    let card = match card {
        // It ended before the first look.
        None => card_of(comfy).await?,
        Some(card) => card,
    };
    match end {
        End::Success if peak > 0 => {
            let before = before.unwrap_or_default();
            Some((card, Ended::Well { peak, before }))
        }
        End::Success => Some((card, Ended::Unseen)),
        End::Failed(failure) => {
            let ended = Ended::OutOfMemory {
                free: card.free,
                node: failure.node_type.clone(),
            };
            Some((card, ended))
        }
        _ => None,
    }
}

async fn look(comfy: Comfy, no_card: NoCard, seen: Arc<Mutex<Seen>>, look_now: Arc<Notify>) {
    if no_card.is_known() {
        return;
    }
    loop {
        if let Ok(stats) = comfy.system_stats().await {
            let Some(held) = held_now(&stats) else {
                no_card.note();
                return;
            };
            let mut seen = lock(&seen);
            seen.peak = seen.peak.max(held);
            seen.before.get_or_insert(held);
            seen.card = CardSeen::on(&stats);
        }
        sleep(SHORTEST).await;
        // Either a node has begun, or it is time anyway.
        let _ = timeout(INTERVAL, look_now.notified()).await;
    }
}

/// The card that the server works on, if it has one and says so soon.
async fn card_of(comfy: &Comfy) -> Option<CardSeen> {
    let stats = timeout(ASK_LIMIT, comfy.system_stats()).await.ok()?.ok()?;
    held_now(&stats)?;
    CardSeen::on(&stats)
}

/// Whether any sampler ran, or any node where there is none: a job whose results the server knew
/// already takes nothing, and says nothing of what it would take.
fn worked(workflow: &Workflow, cached: &[String]) -> bool {
    let ran = |id: &str| !cached.iter().any(|cached| cached == id);
    let is_sampler = |node: &crate::comfy::Node<'_>| {
        let named = node
            .class_type()
            .is_some_and(|class| class.contains("Sampler"));
        named
            && node
                .inputs()
                .is_some_and(|inputs| inputs.values().any(Value::is_array))
    };
    let mut samplers = workflow.nodes().filter(is_sampler).peekable();
    if samplers.peek().is_some() {
        samplers.any(|node| ran(node.id))
    } else {
        workflow.nodes().any(|node| ran(node.id))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_whose_pictures_were_known_says_nothing_of_what_it_takes() {
        let workflow = Workflow::from_json(json!({
            "1": { "class_type": "KSamplerSelect", "inputs": { "sampler_name": "euler" } },
            "2": { "class_type": "SamplerCustom", "inputs": { "sampler": ["1", 0] } },
            "3": { "class_type": "SaveImage", "inputs": { "images": ["2", 0] } },
        }))
        .unwrap();
        let cached = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(worked(&workflow, &cached(&["1"])));
        assert!(!worked(&workflow, &cached(&["1", "2"])));
    }
}
