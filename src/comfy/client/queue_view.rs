//! The server's queue as it is known between two readings of it.
//!
//! A queue of thousands of jobs is megabytes, and reading it holds the server up. Its changes are
//! told on the socket: how many jobs there are after each, and which of ours begin and end. As long
//! as the two agree nobody else has changed it, and it need not be read again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Queue, QueueEntry, QueueHead};

/// For how long after a reading the server's count may be behind by the changes of ours that it
/// has not told.
const BEHIND: Duration = Duration::from_secs(2);

/// So many jobs that ended are remembered, for those whose submission is answered after their end.
const ENDED: usize = 256;

/// A change of the queue that is known here.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A job of ours was taken in.
    Queued(QueueEntry),
    /// A job began.
    Began(String),
    /// A job is over, or was taken out.
    Ended(String),
}

/// What is known of the queue.
#[derive(Default)]
pub(super) struct QueueView(Mutex<State>);

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// How many jobs there are, as the server told last.
    told: Option<usize>,
    /// Submissions under way.
    submitting: usize,
    /// Readings under way, and what changed since the first of them began.
    reading: usize,
    since: Vec<Change>,
    /// The job that began last, and those that ended lately.
    began: Option<String>,
    ended: VecDeque<String>,
}

struct Known {
    /// On which connection all changes since were told.
    connection: u64,
    read_at: Instant,
    queue: Queue,
    /// Changes that the server's count may not have yet.
    untold: usize,
}

/// A submission under way.
pub(super) struct Submitting<'v>(&'v QueueView);

/// A reading under way.
pub(super) struct Reading<'v> {
    view: &'v QueueView,
    connection: Option<u64>,
    from: usize,
}

impl QueueView {
    /// The beginning of the queue, if it is known on this connection.
    pub(super) fn head(&self, connection: Option<u64>, limit: usize) -> Option<QueueHead> {
        let state = self.state();
        Some(state.queue(connection)?.head(limit))
    }

    /// How many jobs are before one that waits, if the queue is known on this connection.
    pub(super) fn position(&self, connection: Option<u64>, prompt_id: &str) -> Option<usize> {
        self.state().queue(connection)?.position(prompt_id)
    }

    /// Takes note of a change.
    pub(super) fn note(&self, change: Change) {
        let mut state = self.state();
        let state = &mut *state;
        match &change {
            Change::Queued(_) => {}
            Change::Began(id) => state.began = Some(id.clone()),
            Change::Ended(id) => {
                state.ended.push_back(id.clone());
                if state.ended.len() > ENDED {
                    state.ended.pop_front();
                }
            }
        }
        if let Some(known) = &mut state.known
            && known.take(&change, state.began.as_deref(), &state.ended)
        {
            known.untold += 1;
        }
        if state.reading > 0 {
            state.since.push(change);
        }
    }

    /// Takes note of how many jobs there are.
    pub(super) fn told(&self, count: usize) {
        let mut state = self.state();
        state.told = Some(count);
        if let Some(known) = state
            .known
            .as_mut()
            .filter(|known| known.queue.len() == count)
        {
            known.untold = 0;
        }
    }

    /// Messages may have been lost.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.known = None;
        state.told = None;
    }

    /// A job of ours may be taken in from now on.
    pub(super) fn submitting(&self) -> Submitting<'_> {
        self.state().submitting += 1;
        Submitting(self)
    }

    /// The queue is about to be read while this connection is open.
    pub(super) fn reading(&self, connection: Option<u64>) -> Reading<'_> {
        let mut state = self.state();
        state.reading += 1;
        Reading {
            view: self,
            connection,
            from: state.since.len(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&self, connection: Option<u64>) -> Option<&Queue> {
        let known = self.known.as_ref()?;
        let apart = known.queue.len().abs_diff(self.told?);
        let may_be_behind = apart <= known.untold + self.submitting;
        let holds = apart == 0 || (may_be_behind && known.read_at.elapsed() < BEHIND);
        (holds && Some(known.connection) == connection).then_some(&known.queue)
    }
}

impl Reading<'_> {
    /// What was read, while this connection was open.
    pub(super) fn read(&self, queue: &Queue, connection: Option<u64>) {
        let Some(connection) = connection.filter(|_| connection == self.connection) else {
            return;
        };
        let mut state = self.view.state();
        let mut known = Known {
            connection,
            read_at: Instant::now(),
            queue: queue.clone(),
            untold: 0,
        };
        // What the answer may have or not, as it came about while that was on its way.
        for change in &state.since[self.from..] {
            let changed = known.take(change, state.began.as_deref(), &state.ended);
            known.untold += usize::from(changed);
        }
        state.known = Some(known);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.view.state();
        state.reading -= 1;
        if state.reading == 0 {
            state.since.clear();
        }
    }
}

impl Drop for Submitting<'_> {
    fn drop(&mut self) {
        self.0.state().submitting -= 1;
    }
}

impl Known {
    /// Makes a change that may have been made already. Whether there are more or fewer jobs now.
    fn take(&mut self, change: &Change, began: Option<&str>, ended: &VecDeque<String>) -> bool {
        let Queue { running, pending } = &mut self.queue;
        let before = running.len() + pending.len();
        match change {
            Change::Queued(entry) => {
                let is = |other: &QueueEntry| other.prompt_id == entry.prompt_id;
                let is_over = ended.contains(&entry.prompt_id);
                if is_over || running.iter().chain(&*pending).any(is) {
                    return false;
                }
                if began == Some(entry.prompt_id.as_str()) {
                    running.push(entry.clone());
                } else {
                    let at = pending.partition_point(|other| other.number <= entry.number);
                    pending.insert(at, entry.clone());
                }
            }
            Change::Began(id) => {
                if let Some(at) = pending.iter().position(|entry| entry.prompt_id == *id) {
                    running.push(pending.remove(at));
                }
            }
            Change::Ended(id) => {
                running.retain(|entry| entry.prompt_id != *id);
                pending.retain(|entry| entry.prompt_id != *id);
            }
        }
        self.queue.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, number: f64) -> QueueEntry {
        QueueEntry {
            prompt_id: id.into(),
            number,
            client_id: None,
            created_at: None,
        }
    }

    fn read(view: &QueueView, running: &[&str], pending: &[&str]) {
        let entries = |ids: &[&str]| {
            (1_u8..)
                .zip(ids)
                .map(|(at, id)| entry(id, at.into()))
                .collect()
        };
        let queue = Queue {
            running: entries(running),
            pending: entries(pending),
        };
        view.reading(Some(1)).read(&queue, Some(1));
    }

    /// Who runs and who waits, if that is known.
    fn seen(view: &QueueView) -> Option<(Vec<String>, Vec<String>)> {
        let head = view.head(Some(1), 10)?;
        let ids = |entries: Vec<QueueEntry>| entries.into_iter().map(|it| it.prompt_id).collect();
        Some((ids(head.running), ids(head.pending)))
    }

    fn sorted(running: &[&str], pending: &[&str]) -> (Vec<String>, Vec<String>) {
        let own = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        (own(running), own(pending))
    }

    #[tokio::test]
    async fn our_jobs_are_followed_from_one_place_to_the_next() {
        let view = QueueView::default();
        view.told(3);
        read(&view, &["a"], &["b", "c"]);
        assert_eq!(seen(&view), Some(sorted(&["a"], &["b", "c"])));
        view.note(Change::Ended("a".into()));
        assert_eq!(
            seen(&view),
            Some(sorted(&[], &["b", "c"])),
            "its count is on its way"
        );
        view.told(2);
        view.note(Change::Began("b".into()));
        let submitting = view.submitting();
        view.told(3);
        view.note(Change::Queued(entry("urgent", -1.0)));
        drop(submitting);
        assert_eq!(seen(&view), Some(sorted(&["b"], &["urgent", "c"])));
        assert_eq!(
            view.head(Some(1), 1).unwrap().waiting,
            2,
            "also those not shown"
        );
    }

    #[tokio::test]
    async fn what_others_change_is_not_known() {
        let view = QueueView::default();
        view.told(1);
        read(&view, &["a"], &[]);
        view.told(2);
        assert_eq!(seen(&view), None, "somebody else's job");
        read(&view, &["a"], &["theirs"]);
        assert_eq!(seen(&view), Some(sorted(&["a"], &["theirs"])));
        assert!(view.head(Some(3), 10).is_none(), "on another connection");
        view.forget();
        assert_eq!(seen(&view), None);
    }

    #[tokio::test]
    async fn what_happens_while_it_is_read_counts() {
        let view = QueueView::default();
        view.told(2);
        let reading = view.reading(Some(1));
        view.note(Change::Ended("a".into()));
        view.note(Change::Began("b".into()));
        view.told(1);
        let queue = Queue {
            running: vec![entry("a", 1.0)],
            pending: vec![entry("b", 2.0)],
        };
        reading.read(&queue, Some(1));
        drop(reading);
        assert_eq!(seen(&view), Some(sorted(&["b"], &[])));
        // One that was over before its submission was answered.
        view.note(Change::Queued(entry("a", 3.0)));
        assert_eq!(seen(&view), Some(sorted(&["b"], &[])));
    }
}
