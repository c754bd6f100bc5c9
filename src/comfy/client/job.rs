//! What the client knows about one job while it lasts, and how it tells those who watch.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::feed::{Feed, Listener};
use super::message::{Message, NodeState};
use super::outcome::{End, Outcome};
use super::story::{Story, Submission};
use crate::comfy::{ComfyError, Workflow};

/// Something that happened to a job.
#[derive(Clone, Debug)]
pub enum JobEvent {
    /// It waits behind so many jobs.
    Queued {
        /// Jobs before it, including the one that runs.
        position: usize,
    },
    /// The server works on it.
    Started,
    /// These nodes need not run, because their results are known.
    Cached {
        /// Node ids.
        nodes: Vec<String>,
    },
    /// A node begins.
    Node {
        /// The node; `"2.0.0.1"` for nodes that another one expanded into.
        id: String,
        /// Its title in the workflow, if we submitted that.
        title: Option<String>,
    },
    /// A node's progress bar moved.
    Progress(Progress),
    /// A picture of the unfinished result.
    Preview {
        /// The node, if the server says which.
        node: Option<String>,
        /// `image/jpeg` or `image/png`.
        mime: &'static str,
        /// The encoded picture.
        bytes: Bytes,
    },
    /// A node reported something to show; see [`node_outputs`](crate::comfy::node_outputs).
    Output {
        /// The node.
        node: String,
        /// `{key: [...]}`, or null.
        output: Value,
    },
    /// A node tells how it is getting on.
    Text {
        /// The node.
        node: String,
        /// What it says.
        text: String,
    },
    /// The job is over. The last event.
    Finished(Arc<Outcome>),
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// The node that runs.
    pub node: Option<String>,
    /// Its title in the workflow, if we submitted that.
    pub title: Option<String>,
    /// Steps done of that node.
    pub value: f64,
    /// Steps of that node.
    pub max: f64,
    /// Nodes done or cached.
    pub nodes_done: usize,
    /// Nodes in the workflow; 0 when we did not submit it.
    pub nodes_total: usize,
}

/// The end of the watch over a job.
pub(super) type Conclusion = Result<Arc<Outcome>, ComfyError>;

/// One job, shared by everyone who is interested in it.
pub(super) struct Job {
    pub(super) prompt_id: String,
    events: Feed,
    conclusion: watch::Sender<Option<Conclusion>>,
    state: Mutex<State>,
    titles: HashMap<String, String>,
    nodes_total: usize,
    /// The body with which we submitted it; the server tells us about such jobs only.
    submitted: Option<Bytes>,
    /// The socket told of its end.
    heard_end: AtomicBool,
    /// The connection that was open when it was last known not to be over; 0 for none.
    alive_on: AtomicU64,
    /// How many are interested; see [`Interest`](super::tracker::Interest).
    pub(super) watchers: AtomicUsize,
    /// Wakes whoever reads the history, because the entry must be there now.
    pub(super) written: Notify,
    /// Someone reads the history already.
    pub(super) settling: AtomicBool,
    /// We took it out of the queue ourselves.
    pub(super) dequeued: AtomicBool,
}

#[derive(Default)]
struct State {
    phase: Phase,
    progress: Progress,
    done: HashSet<String>,
    /// Reads in a row in which the server knew nothing of it.
    missed: u32,
    /// When it was last known not to be over.
    alive_at: Option<Instant>,
    /// All that was told of it, as long as that is without a gap.
    story: Option<Story>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Unknown,
    Queued(usize),
    Running,
    Ended,
}

impl Job {
    /// A job; `submitted` is there when we submit it ourselves: the workflow and the body with
    /// which it is sent.
    pub(super) fn new(prompt_id: &str, submitted: Option<(&Workflow, Bytes)>) -> Self {
        let (workflow, submitted) = submitted.unzip();
        let nodes = workflow.into_iter().flat_map(Workflow::nodes);
        let titles = nodes.filter_map(|node| Some((node.id.to_owned(), node.title()?.to_owned())));
        Self {
            prompt_id: prompt_id.to_owned(),
            events: Feed::default(),
            conclusion: watch::Sender::new(None),
            state: Mutex::new(State {
                alive_at: Some(Instant::now()),
                ..State::default()
            }),
            titles: titles.collect(),
            nodes_total: workflow.map_or(0, Workflow::len),
            submitted,
            heard_end: AtomicBool::new(false),
            alive_on: AtomicU64::new(0),
            watchers: AtomicUsize::new(0),
            written: Notify::new(),
            settling: AtomicBool::new(false),
            dequeued: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// How far it is, while it runs.
    pub(super) fn progress(&self) -> Option<Progress> {
        let state = self.state();
        (state.phase == Phase::Running).then(|| state.progress.clone())
    }

    /// The end, once there is one.
    pub(super) fn conclusion(&self) -> watch::Receiver<Option<Conclusion>> {
        self.conclusion.subscribe()
    }

    /// The events from now on, and those that a watcher who joins now has missed: where the job
    /// stands, and what its nodes have reported.
    pub(super) fn events(&self) -> (Vec<JobEvent>, Listener) {
        let state = self.state();
        // Outputs are told under the lock, so none is both in the past and in the future.
        (state.story_so_far(), self.events.listen())
    }

    /// The job as it was submitted, if we did that.
    pub(super) fn submission(&self) -> Option<Submission> {
        self.submitted.as_ref().map(Submission::read)
    }

    /// How it ended as the socket told it; none unless that told everything.
    pub(super) fn outcome_as_told(&self) -> Option<Outcome> {
        let story = self.state().story.clone().filter(Story::is_over)?;
        Some(story.outcome(&self.prompt_id, self.submission()?))
    }

    /// Messages may have been lost.
    pub(super) fn note_gap(&self) {
        // Of one that is over there is nothing left to be lost.
        self.state().story.take_if(|story| !story.is_over());
    }

    /// Notes that it was not over yet while this connection was open.
    pub(super) fn note_alive(&self, connection: Option<u64>) {
        self.state().alive_at = Some(Instant::now());
        let connection = connection.unwrap_or(0);
        self.alive_on.fetch_max(connection, Ordering::Relaxed);
    }

    /// Whether this connection was open all the time in which the job can have ended, so that it
    /// should have told of that, and did not.
    pub(super) fn ended_unheard_on(&self, connection: u64) -> bool {
        self.is_ours()
            && self.alive_on.load(Ordering::Relaxed) == connection
            && !self.heard_end.load(Ordering::Relaxed)
    }

    /// Whether messages about it matter: it may not be over, and someone watches, or it was heard
    /// of within this time. A submission that was lost is never heard of.
    pub(super) fn needs_socket(&self, idle: Duration) -> bool {
        let state = self.state();
        let is_recent = || state.alive_at.is_some_and(|at| at.elapsed() < idle);
        state.phase != Phase::Ended && (self.is_watched() || is_recent())
    }

    /// Whether we submitted it, so that the server tells us about it.
    pub(super) fn is_ours(&self) -> bool {
        self.submitted.is_some()
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    pub(super) fn is_concluded(&self) -> bool {
        self.conclusion.borrow().is_some()
    }

    pub(super) fn conclude(&self, conclusion: Conclusion) {
        self.state().phase = Phase::Ended;
        self.conclusion.send_if_modified(|slot| {
            let first = slot.is_none();
            slot.get_or_insert(conclusion);
            first
        });
    }

    /// The end to assume when the server knows nothing of the job.
    pub(super) fn end_when_gone(&self) -> Outcome {
        let end = if self.dequeued.load(Ordering::Relaxed) {
            End::Interrupted { node_id: None }
        } else {
            End::Lost
        };
        Outcome::bare(&self.prompt_id, end)
    }

    /// It was seen in the queue.
    pub(super) fn seen(&self, phase: Phase) {
        let mut state = self.state();
        state.missed = 0;
        // A poll that was on its way when the job began must not set it back.
        let news = match (state.phase, phase) {
            (Phase::Running | Phase::Ended, _) => false,
            (old, new) => old != new,
        };
        if news {
            state.phase = phase;
            drop(state);
            match phase {
                Phase::Queued(position) => self.events.tell(&JobEvent::Queued { position }),
                Phase::Running => self.events.tell(&JobEvent::Started),
                Phase::Unknown | Phase::Ended => {}
            }
        }
    }

    /// It was seen neither in the queue nor in the history; how often in a row.
    pub(super) fn missed(&self) -> u32 {
        let mut state = self.state();
        state.missed += 1;
        state.missed
    }

    /// Takes in a message of the socket that is about this job.
    pub(super) fn hear(&self, message: Message) {
        match message {
            Message::Start { record, .. } => {
                if self.submitted.is_some() {
                    self.state().story = Some(Story::begin(record));
                }
                self.seen(Phase::Running);
            }
            Message::Cached { nodes, record, .. } => {
                let mut state = self.state();
                state.done.extend(nodes.iter().cloned());
                if let Some(story) = &mut state.story {
                    story.add(record);
                }
                drop(state);
                self.events.tell(&JobEvent::Cached { nodes });
            }
            Message::Nodes { nodes, .. } => self.hear_nodes(&nodes),
            Message::Executing { node, .. } => {
                self.seen(Phase::Running);
                self.events.tell(&JobEvent::Node {
                    title: self.title(&node),
                    id: node.clone(),
                });
                self.advance(Some(node), 0.0, 1.0);
            }
            Message::Progress {
                node, value, max, ..
            } => self.advance(node, value, max),
            Message::Executed { node, output, .. } => {
                let mut state = self.state();
                if let Some(story) = &mut state.story {
                    story.add_output(&node, &output);
                }
                self.events.tell(&JobEvent::Output { node, output });
            }
            Message::Preview {
                node, mime, bytes, ..
            } => {
                self.events.tell(&JobEvent::Preview { node, mime, bytes });
            }
            Message::Text { node, text } => self.events.tell(&JobEvent::Text { node, text }),
            // What becomes of the nodes behind it is for the history to say.
            Message::Blocked { .. } => self.state().story = None,
            Message::Ended { record, .. } => {
                self.heard_end.store(true, Ordering::Relaxed);
                let mut state = self.state();
                state.phase = Phase::Ended;
                if let Some(story) = &mut state.story {
                    story.end(record);
                }
            }
            Message::Over { .. } => {
                self.heard_end.store(true, Ordering::Relaxed);
                self.state().phase = Phase::Ended;
                self.written.notify_one();
            }
            Message::Status { .. } => {}
        }
    }

    fn hear_nodes(&self, nodes: &[NodeState]) {
        self.seen(Phase::Running);
        let finished = nodes
            .iter()
            .filter(|node| node.finished)
            .map(|node| node.id.clone());
        self.state().done.extend(finished);
        if let Some(node) = nodes.iter().find(|node| !node.finished) {
            self.advance(Some(node.id.clone()), node.value, node.max);
        }
    }

    /// Tells progress if there is any: the server reports every step in two messages.
    fn advance(&self, node: Option<String>, value: f64, max: f64) {
        let mut state = self.state();
        let node = node.or_else(|| state.progress.node.clone());
        let progress = Progress {
            title: node.as_deref().and_then(|node| self.title(node)),
            node,
            value,
            max,
            nodes_done: match self.nodes_total {
                0 => state.done.len(),
                total => state.done.len().min(total),
            },
            nodes_total: self.nodes_total,
        };
        if state.progress != progress {
            state.progress = progress.clone();
            drop(state);
            self.events.tell(&JobEvent::Progress(progress));
        }
    }

    fn title(&self, node: &str) -> Option<String> {
        let outer = node.split('.').next().unwrap_or(node);
        self.titles
            .get(node)
            .or_else(|| self.titles.get(outer))
            .cloned()
    }
}

impl State {
    fn story_so_far(&self) -> Vec<JobEvent> {
        let mut events = match self.phase {
            Phase::Unknown | Phase::Ended => Vec::new(),
            Phase::Queued(position) => vec![JobEvent::Queued { position }],
            Phase::Running if self.progress.node.is_some() => {
                vec![JobEvent::Started, JobEvent::Progress(self.progress.clone())]
            }
            Phase::Running => vec![JobEvent::Started],
        };
        let outputs = self.story.iter().flat_map(Story::outputs);
        events.extend(outputs.map(|(node, output)| JobEvent::Output {
            node: node.clone(),
            output: output.clone(),
        }));
        events
    }
}
