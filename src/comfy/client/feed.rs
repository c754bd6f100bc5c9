//! What happens to a job, passed on to each who watches it at a pace of its own. A job that waits
//! takes next to nothing: there may be thousands of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::job::JobEvent;

/// Events that a slow watcher may fall behind before it loses the oldest.
const BACKLOG: usize = 128;

/// Those who watch a job.
#[derive(Default)]
pub(super) struct Feed(Mutex<Vec<Weak<Line>>>);

/// One of them.
pub(super) struct Listener(Arc<Line>);

#[derive(Default)]
struct Line {
    untold: Mutex<VecDeque<JobEvent>>,
    news: Notify,
}

impl Feed {
    /// Listens from now on.
    pub(super) fn listen(&self) -> Listener {
        let line = Arc::<Line>::default();
        lock(&self.0).push(Arc::downgrade(&line));
        Listener(line)
    }

    /// Tells all who listen now.
    pub(super) fn tell(&self, event: &JobEvent) {
        lock(&self.0).retain(|line| {
            let Some(line) = line.upgrade() else {
                return false;
            };
            let mut untold = lock(&line.untold);
            if untold.len() >= BACKLOG {
                untold.pop_front();
            }
            untold.push_back(event.clone());
            line.news.notify_one();
            true
        });
    }
}

impl Listener {
    /// The next event.
    pub(super) async fn next(&self) -> JobEvent {
        loop {
            if let Some(event) = lock(&self.0.untold).pop_front() {
                return event;
            }
            self.0.news.notified().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: usize) -> JobEvent {
        JobEvent::Queued { position }
    }

    async fn positions(listener: &Listener, count: usize) -> Vec<usize> {
        let mut heard = vec![];
        for _ in 0..count {
            if let JobEvent::Queued { position } = listener.next().await {
                heard.push(position);
            }
        }
        heard
    }

    #[tokio::test]
    async fn everyone_hears_all_from_when_they_came() {
        let feed = Feed::default();
        let first = feed.listen();
        feed.tell(&event(1));
        let second = feed.listen();
        feed.tell(&event(2));
        assert_eq!(positions(&first, 2).await, [1, 2]);
        assert_eq!(positions(&second, 1).await, [2]);
        drop(first);
        feed.tell(&event(3));
        assert_eq!(lock(&feed.0).len(), 1, "who left is forgotten");
    }

    #[tokio::test]
    async fn who_is_slow_loses_the_oldest() {
        let feed = Feed::default();
        let listener = feed.listen();
        for position in 0..BACKLOG + 2 {
            feed.tell(&event(position));
        }
        let heard = positions(&listener, BACKLOG).await;
        assert_eq!((heard[0], heard.len()), (2, BACKLOG));
    }
}
