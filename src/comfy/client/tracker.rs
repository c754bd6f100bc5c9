//! The jobs that somebody is interested in, and the sorting of socket messages among them.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::job::Job;
use super::message::Message;
use super::queue_view::{Change, QueueView};
use crate::comfy::Workflow;

/// Jobs that were submitted and never asked about again are kept up to this many, for their
/// progress; older ones are forgotten.
const UNWATCHED: usize = 4096;
/// So many jobs that were taken out of the queue are remembered.
const DEQUEUED: usize = 1024;

/// All jobs of one client.
#[derive(Default)]
pub(super) struct Tracker {
    jobs: Mutex<Jobs>,
    /// What is known of the server's queue.
    pub(super) queue: QueueView,
    /// Goes up whenever the socket opens or closes: odd while it is open.
    epoch: AtomicU64,
}

#[derive(Default)]
struct Jobs {
    by_id: HashMap<String, Arc<Job>>,
    /// In the order in which they came, to forget the oldest.
    order: Vec<String>,
    /// The job that runs, by the latest message that names one. Messages without a job's name
    /// are about this one.
    running: Option<String>,
    /// Jobs that we took out of the queue, which leaves no trace on the server; the latest last.
    dequeued: VecDeque<String>,
}

impl Tracker {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job under this id, known from now on; see [`Job::new`].
    pub(super) fn job(&self, prompt_id: &str, submitted: Option<(&Workflow, Bytes)>) -> Arc<Job> {
        let mut jobs = self.jobs();
        if let Some(job) = jobs.by_id.get(prompt_id) {
            return Arc::clone(job);
        }
        jobs.forget_old();
        let job = Arc::new(Job::new(prompt_id, submitted));
        let dequeued = jobs.dequeued.iter().any(|id| id == prompt_id);
        job.dequeued.store(dequeued, Ordering::Relaxed);
        jobs.by_id.insert(prompt_id.to_owned(), Arc::clone(&job));
        jobs.order.push(prompt_id.to_owned());
        job
    }

    /// The job, if it is known.
    pub(super) fn known(&self, prompt_id: &str) -> Option<Arc<Job>> {
        self.jobs().by_id.get(prompt_id).cloned()
    }

    /// Notes that we take a job out of the queue.
    pub(super) fn note_dequeued(&self, prompt_id: &str) {
        self.queue.note(Change::Ended(prompt_id.to_owned()));
        let mut jobs = self.jobs();
        if let Some(job) = jobs.by_id.get(prompt_id) {
            job.dequeued.store(true, Ordering::Relaxed);
        }
        jobs.dequeued.push_back(prompt_id.to_owned());
        if jobs.dequeued.len() > DEQUEUED {
            jobs.dequeued.pop_front();
        }
    }

    /// Whether we took the job out of the queue.
    pub(super) fn was_dequeued(&self, prompt_id: &str) -> bool {
        self.jobs().dequeued.iter().any(|id| id == prompt_id)
    }

    /// The connection that is open now; none while there is none. No two have the same number.
    pub(super) fn connection(&self) -> Option<u64> {
        let epoch = self.epoch.load(Ordering::Acquire);
        (epoch % 2 == 1).then_some(epoch)
    }

    /// Notes that the socket is open now, and gives the connection's number.
    pub(super) fn note_open(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Notes that the socket is not open any more, so messages may get lost, of any job.
    pub(super) fn note_gap(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.queue.forget();
        for job in self.jobs().by_id.values() {
            job.note_gap();
        }
    }

    pub(super) fn forget(&self, prompt_id: &str) {
        let mut jobs = self.jobs();
        jobs.by_id.remove(prompt_id);
        jobs.order.retain(|id| id != prompt_id);
    }

    /// The jobs that someone watches and that are not over.
    pub(super) fn watched(&self) -> Vec<Arc<Job>> {
        let jobs = self.jobs();
        let open = jobs
            .by_id
            .values()
            .filter(|job| job.is_watched() && !job.is_concluded());
        open.cloned().collect()
    }

    /// Whether someone watches another job that is not over.
    pub(super) fn has_others(&self, than: &Job) -> bool {
        let jobs = self.jobs();
        let mut others = jobs.by_id.values();
        others.any(|job| job.prompt_id != than.prompt_id && job.is_watched() && !job.is_concluded())
    }

    /// Whether messages about any job matter; see [`Job::needs_socket`].
    pub(super) fn is_busy(&self, idle: Duration) -> bool {
        self.jobs().by_id.values().any(|job| job.needs_socket(idle))
    }

    /// Hands a message to the job that it is about; gives that back if the message says that the
    /// job has ended and someone wants to know how.
    pub(super) fn hear(&self, message: Message) -> Option<Arc<Job>> {
        let mut jobs = self.jobs();
        let prompt_id = match &message {
            Message::Status { remaining } => {
                if let Some(remaining) = remaining {
                    self.queue.told(*remaining);
                }
                return None;
            }
            Message::Start { prompt_id, .. } => {
                self.queue.note(Change::Began(prompt_id.clone()));
                jobs.running = Some(prompt_id.clone());
                prompt_id.clone()
            }
            Message::Cached { prompt_id, .. }
            | Message::Nodes { prompt_id, .. }
            | Message::Executed { prompt_id, .. }
            | Message::Blocked { prompt_id }
            | Message::Over { prompt_id }
            | Message::Ended { prompt_id, .. } => prompt_id.clone(),
            Message::Executing { prompt_id, .. }
            | Message::Progress { prompt_id, .. }
            | Message::Preview { prompt_id, .. } => {
                prompt_id.clone().or_else(|| jobs.running.clone())?
            }
            Message::Text { .. } => jobs.running.clone()?,
        };
        let ends = matches!(message, Message::Ended { .. } | Message::Over { .. });
        if ends {
            self.queue.note(Change::Ended(prompt_id.clone()));
            jobs.running.take_if(|running| *running == prompt_id);
        }
        let job = Arc::clone(jobs.by_id.get(&prompt_id)?);
        drop(jobs);
        if !ends {
            job.note_alive(self.connection());
        }
        job.hear(message);
        ends.then_some(job).filter(|job| job.is_watched())
    }
}

/// Someone's interest in how a job goes on. While there is any, the server is asked about it.
pub(super) struct Interest {
    job: Arc<Job>,
    tracker: Arc<Tracker>,
}

impl Interest {
    pub(super) fn new(tracker: &Arc<Tracker>, job: Arc<Job>) -> Self {
        job.watchers.fetch_add(1, Ordering::Relaxed);
        Self {
            job,
            tracker: Arc::clone(tracker),
        }
    }
}

impl Deref for Interest {
    type Target = Arc<Job>;

    fn deref(&self) -> &Arc<Job> {
        &self.job
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let last = self.job.watchers.fetch_sub(1, Ordering::Relaxed) == 1;
        // An outcome holds the whole workflow; who asks again reads it from the history.
        if last && self.job.is_concluded() {
            self.tracker.forget(&self.job.prompt_id);
        }
    }
}

impl Jobs {
    fn forget_old(&mut self) {
        if self.order.len() < UNWATCHED {
            return;
        }
        let Self { by_id, order, .. } = self;
        let mut surplus = order.len() - UNWATCHED / 2;
        order.retain(|id| {
            let keep = surplus == 0 || by_id.get(id).is_some_and(|job| job.is_watched());
            if !keep {
                surplus -= 1;
                by_id.remove(id);
            }
            keep
        });
    }
}
