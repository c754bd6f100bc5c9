//! The faults in force, which can be changed while the simulator runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::fault::{Fault, FaultKind};
use super::node::Raised;
use super::sync::lock;

/// The faults in force. Clones share one set, so that a test can change them while the simulator
/// works.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    faults: Mutex<Vec<Fault>>,
    refusing: watch::Sender<bool>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new([])
    }
}

impl Faults {
    /// A set to begin with.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults: Vec<Fault> = faults.into_iter().collect();
        let refusing = watch::Sender::new(refuses(&faults));
        Self(Arc::new(Inner {
            faults: Mutex::new(faults),
            refusing,
        }))
    }

    /// One more.
    pub fn add(&self, fault: Fault) {
        self.change(|faults| faults.push(fault));
    }

    /// None any more.
    pub fn clear(&self) {
        self.change(Vec::clear);
    }

    /// Those in force now.
    #[must_use]
    pub fn list(&self) -> Vec<Fault> {
        lock(&self.0.faults).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Fault>)) {
        let mut faults = lock(&self.0.faults);
        change(&mut faults);
        self.0.refusing.send_replace(refuses(&faults));
    }

    pub(super) fn refusing(&self) -> watch::Receiver<bool> {
        self.0.refusing.subscribe()
    }

    /// The first answer that `pick` finds; the fault it came from is used up once.
    fn take<T>(&self, pick: impl Fn(&FaultKind) -> Option<T>) -> Option<T> {
        let mut faults = lock(&self.0.faults);
        let (place, found) = faults
            .iter()
            .enumerate()
            .find_map(|(place, fault)| Some((place, pick(&fault.kind)?)))?;
        let used_up = faults[place].times.as_mut().is_some_and(|times| {
            *times -= 1;
            *times == 0
        });
        if used_up {
            faults.remove(place);
        }
        Some(found)
    }

    /// How much longer a step takes.
    pub(super) fn slow(&self) -> Duration {
        let faults = lock(&self.0.faults);
        faults
            .iter()
            .filter_map(|fault| match fault.kind {
                FaultKind::Slow(time) => Some(time),
                _ => None,
            })
            .sum()
    }

    /// The exception that the node raises.
    pub(super) fn raised(&self, id: &str, class: &str) -> Option<Raised> {
        self.take(|kind| match kind {
            FaultKind::Fail {
                node,
                exception,
                message,
            } if node == id || node == class => Some(Raised::new(exception, message.clone())),
            FaultKind::OutOfMemory { node } if node == id || node == class => {
                Some(Raised::out_of_memory())
            }
            _ => None,
        })
    }

    pub(super) fn drops_at(&self, id: &str, class: &str) -> bool {
        let here = |kind: &FaultKind| match kind {
            FaultKind::DropAt { node } if node == id || node == class => Some(()),
            _ => None,
        };
        self.take(here).is_some()
    }

    pub(super) fn restarts_at(&self, id: &str, class: &str) -> bool {
        let here = |kind: &FaultKind| match kind {
            FaultKind::RestartAt { node } if node == id || node == class => Some(()),
            _ => None,
        };
        self.take(here).is_some()
    }

    /// Whether a socket that has been sent `count` messages is cut now.
    pub(super) fn drops_after(&self, count: u64) -> bool {
        let now = |kind: &FaultKind| match kind {
            FaultKind::DropAfter(limit) if *limit == count => Some(()),
            _ => None,
        };
        self.take(now).is_some()
    }

    pub(super) fn late_history(&self) -> Option<Duration> {
        self.take(|kind| match kind {
            FaultKind::LateHistory(time) => Some(*time),
            _ => None,
        })
    }

    pub(super) fn loses(&self, event: &str) -> bool {
        let this = |kind: &FaultKind| match kind {
            FaultKind::Lose(which) if which.as_deref().is_none_or(|which| which == event) => {
                Some(())
            }
            _ => None,
        };
        self.take(this).is_some()
    }

    /// What becomes of the answer to `POST /prompt`.
    pub(super) fn spoils_prompt(&self) -> Option<FaultKind> {
        self.take(|kind| match kind {
            FaultKind::PromptError | FaultKind::PromptHang => Some(kind.clone()),
            _ => None,
        })
    }
}

fn refuses(faults: &[Fault]) -> bool {
    faults.iter().any(|fault| fault.kind == FaultKind::Refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_ends() {
        let faults = Faults::new(["oom@KSampler*2".parse().unwrap()]);
        for _ in 0..2 {
            assert_eq!(
                faults.raised("3", "KSampler"),
                Some(Raised::out_of_memory())
            );
        }
        assert_eq!(faults.raised("3", "KSampler"), None);
        assert!(faults.list().is_empty());
    }
}
