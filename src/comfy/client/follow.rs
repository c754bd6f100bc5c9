//! Finding out how jobs end.
//!
//! The socket says when a job has ended, within milliseconds, and then the history is read. But
//! its messages can be lost (a dropped connection, a server that forgot the client), so as long as
//! anyone watches a job the server is also asked, slowly. The server's queue and history decide;
//! only when the history keeps a caller waiting for the end of a job of which the socket has told
//! everything is that believed ([`Story`](super::story::Story)), and within a batch, where asking
//! for each would keep the server from the others.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::http::Http;
use super::job::{Job, Phase};
use super::outcome::Outcome;
use super::queue;
use super::tracker::{Interest, Tracker};
use crate::comfy::ComfyError;

/// Between two polls; grows from the first to the second while nothing happens.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// Between two polls when a job was found nowhere, which needs confirmation.
const RECHECK: Duration = Duration::from_millis(250);
/// A poll may take up this share of the time: queues of thousands of jobs are megabytes.
const SHARE: u32 = 20;
/// The same when polls are asked for.
const URGENT_SHARE: u32 = 4;
/// No poll is further away than this.
const LONGEST: Duration = Duration::from_secs(30);
/// Reads in a row that must find nothing of a job before it counts as lost.
const MISSES: u32 = 2;
/// How much later than the history the socket may tell of an end.
const HEARING: Duration = Duration::from_secs(2);
/// How long the history may take to say how a job ended, before the socket's word is enough. A
/// server at rest in the same house answers within a fifth of that.
const QUICK: Duration = Duration::from_millis(15);
/// For how long the history is read again and again after the end of a job, before that is left
/// to the polls.
const SETTLING: Duration = Duration::from_secs(10);

/// What is shared by those who find out how jobs end.
pub(super) struct Follower {
    http: Arc<Http>,
    tracker: Arc<Tracker>,
    poll_now: Notify,
    poller: Mutex<Option<JoinHandle<()>>>,
    /// The latest connection that should have told of the end of a job and did not.
    unheard: watch::Sender<u64>,
}

/// The entry of the history, if there is one yet.
pub(super) async fn history(http: &Http, prompt_id: &str) -> Result<Option<Value>, ComfyError> {
    let mut entries: Map<String, Value> = http.get_json(["history", prompt_id]).await?;
    Ok(entries.remove(prompt_id))
}

impl Follower {
    pub(super) fn new(http: Arc<Http>, tracker: Arc<Tracker>) -> Arc<Self> {
        Arc::new(Self {
            http,
            tracker,
            poll_now: Notify::new(),
            poller: Mutex::new(None),
            unheard: watch::Sender::new(0),
        })
    }

    /// Polls from now on, because someone began to watch this job; at once if its state is not
    /// known.
    pub(super) fn attend(self: &Arc<Self>, job: &Arc<Job>) {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        // Also begins anew when the runtime in which the last one lived is gone.
        if poller.as_ref().is_none_or(JoinHandle::is_finished) {
            *poller = Some(tokio::spawn(Arc::clone(self).poll()));
        }
        match job.phase() {
            Phase::Unknown => self.poll_now(),
            Phase::Ended => {
                self.settle(Arc::clone(job));
                self.poll_now();
            }
            Phase::Queued(_) | Phase::Running => {}
        }
    }

    /// Polls at once if anyone watches a job, because messages may have been lost.
    pub(super) fn poll_now(&self) {
        self.poll_now.notify_one();
    }

    /// The latest connection that did not tell of the end of a job.
    pub(super) fn unheard(&self) -> watch::Receiver<u64> {
        self.unheard.subscribe()
    }

    /// Asks about all watched jobs until there are none.
    async fn poll(self: Arc<Self>) {
        let mut interval = INTERVAL.0;
        let mut pause = INTERVAL.0;
        // Never more often than this, however many begin to watch.
        let mut earliest = Instant::now();
        let mut away_since: Option<Instant> = None;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = self.poll_now.notified() => interval = INTERVAL.0,
            }
            sleep_until(earliest).await;
            let jobs = {
                let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
                let jobs = self.tracker.watched();
                if jobs.is_empty() {
                    *poller = None;
                    return;
                }
                jobs
            };
            let begin = Instant::now();
            let before: Vec<Phase> = jobs.iter().map(|job| job.phase()).collect();
            pause = match self.poll_once(&jobs).await {
                Ok(all_found) => {
                    away_since = None;
                    if all_found { interval } else { RECHECK }
                }
                Err(error) => {
                    let patience = self.http.server().timeouts().outage;
                    if away_since.is_none() && self.http.has_answered() {
                        let seconds = patience.as_secs();
                        tracing::warn!("{error}; asking again for up to {seconds} s");
                    }
                    let away = away_since.get_or_insert(begin).elapsed();
                    // What never was ComfyUI will not become it by waiting.
                    if !self.http.has_answered() || away > patience {
                        for job in &jobs {
                            job.conclude(Err(error.clone()));
                        }
                    }
                    interval
                }
            };
            let news = jobs.iter().map(|job| job.phase()).ne(before);
            interval = if news {
                INTERVAL.0
            } else {
                (interval * 3 / 2).min(INTERVAL.1)
            };
            let took = begin.elapsed();
            pause = pause.max(took * SHARE).min(LONGEST);
            earliest = Instant::now() + (took * URGENT_SHARE).min(LONGEST);
        }
    }

    /// Asks once about these jobs. The queue is read before the history, because a job moves from
    /// the one to the other. Whether every job was found somewhere.
    async fn poll_once(self: &Arc<Self>, jobs: &[Arc<Job>]) -> Result<bool, ComfyError> {
        let connection = self.tracker.connection();
        let queue = queue::read(&self.http, &self.tracker).await?;
        let positions = queue.positions();
        let mut all_found = true;
        for job in jobs {
            if queue.is_running(&job.prompt_id) {
                job.note_alive(connection);
                job.seen(Phase::Running);
            } else if let Some(position) = positions.get(job.prompt_id.as_str()) {
                job.note_alive(connection);
                job.seen(Phase::Queued(*position));
            } else if job.is_concluded() || self.found_in_history(job).await? {
                // It has its end.
            } else if job.missed() >= MISSES {
                job.conclude(Ok(Arc::new(job.end_when_gone())));
            } else {
                all_found = false;
            }
        }
        Ok(all_found)
    }

    /// Whether the job has ended as the history says. An entry that can't be read is the end of
    /// that job's watch and of no other's.
    async fn found_in_history(self: &Arc<Self>, job: &Arc<Job>) -> Result<bool, ComfyError> {
        match self.conclude(job).await {
            Err(error @ ComfyError::Malformed { .. }) => {
                job.conclude(Err(error));
                Ok(true)
            }
            found => found,
        }
    }

    /// Concludes a job from the history; false if that has no entry yet.
    async fn conclude(self: &Arc<Self>, job: &Arc<Job>) -> Result<bool, ComfyError> {
        let Some(entry) = history(&self.http, &job.prompt_id).await? else {
            return Ok(false);
        };
        job.conclude(Ok(Arc::new(Outcome::read(&job.prompt_id, entry))));
        if let Some(connection) = self.tracker.connection()
            && job.ended_unheard_on(connection)
        {
            let follower = Arc::clone(self);
            // Keeps the job known, because the message may be on its way.
            let job = Interest::new(&self.tracker, Arc::clone(job));
            tokio::spawn(async move {
                sleep(HEARING).await;
                if job.ended_unheard_on(connection) {
                    follower.unheard.send_replace(connection);
                }
            });
        }
        Ok(true)
    }

    /// Concludes a job that has ended: from the history if that is quick, and otherwise from what
    /// the socket told, if that was everything. While others wait the server has better things to do
    /// than to answer for each: it does one thing at a time.
    pub(super) fn settle(self: &Arc<Self>, job: Arc<Job>) {
        if self.tracker.has_others(&job)
            && let Some(outcome) = job.outcome_as_told()
        {
            job.conclude(Ok(Arc::new(outcome)));
            return;
        }
        if job.settling.swap(true, Ordering::Relaxed) {
            return;
        }
        let follower = Arc::clone(self);
        tokio::spawn(async move {
            let read = follower.read_until_written(&job);
            tokio::pin!(read);
            let is_slow = timeout(QUICK, &mut read).await.is_err();
            if !job.is_concluded() {
                if let Some(outcome) = job.outcome_as_told() {
                    job.conclude(Ok(Arc::new(outcome)));
                } else if is_slow {
                    read.await;
                }
            }
            job.settling.store(false, Ordering::Relaxed);
        });
    }

    /// Reads the history until the entry of a job that has ended is there. The server announces
    /// the end shortly before it writes the entry.
    async fn read_until_written(self: &Arc<Self>, job: &Arc<Job>) {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(5);
        while begin.elapsed() < SETTLING && !job.is_concluded() {
            match self.conclude(job).await {
                Ok(false) => {}
                Ok(true) | Err(_) => break,
            }
            // Either the time is over or the server says that it has been written.
            let _ = timeout(pause, job.written.notified()).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}
