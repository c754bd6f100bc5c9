//! A script's signs of life as progress notifications.
//!
//! They are sent in order by a task of their own, because scripts report from threads that must
//! not wait for a client; the task is finished before the call is answered, so that no
//! notification follows its answer.

use std::sync::Arc;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::comfy::JobEvent;
use crate::script::Progress;

/// Sends progress for one call.
pub(super) struct Reporter {
    sender: mpsc::UnboundedSender<Progress>,
    task: JoinHandle<()>,
}

/// What a notification says.
#[derive(Debug, PartialEq)]
struct Report {
    progress: f64,
    total: Option<f64>,
    message: String,
}

impl Reporter {
    pub(super) fn start(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut course = Course::default();
            while let Some(progress) = receiver.recv().await {
                let Some(report) = course.next(&progress) else {
                    continue;
                };
                let mut param = ProgressNotificationParam::new(token.clone(), report.progress);
                param.total = report.total;
                param.message = Some(report.message);
                if peer.notify_progress(param).await.is_err() {
                    return;
                }
            }
        });
        Self { sender, task }
    }

    /// What a script's caller calls with each sign of life.
    pub(super) fn sink(&self) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let sender = self.sender.clone();
        Arc::new(move |progress| {
            // The client may have gone; its call is being cancelled then.
            let _ = sender.send(progress);
        })
    }

    /// Waits until everything is sent. All sinks must have been dropped.
    pub(super) async fn finish(self) {
        drop(self.sender);
        // It ends by itself when nothing more can come.
        let _ = self.task.await;
    }
}

/// How far a call is over all that it does. The protocol wants progress to grow with every
/// notification, while each job of a script begins at nought again: so each goes on from where the
/// one before it ended.
#[derive(Debug)]
struct Course {
    reached: f64,
    base: f64,
    job: Option<String>,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            reached: -1.0,
            base: 0.0,
            job: None,
        }
    }
}

impl Course {
    /// The notification for a sign of life, if it is worth one.
    fn next(&mut self, progress: &Progress) -> Option<Report> {
        let report = match progress {
            Progress::Stage { message, fraction } => self.stage(message, *fraction),
            Progress::Job { prompt_id, event } => self.of_job(prompt_id, event)?,
        };
        if report.progress <= self.reached {
            return None;
        }
        self.reached = report.progress;
        Some(report)
    }

    /// A script that says how far it is knows best, as long as it has run no job: after that a
    /// fraction of the whole can't be told in nodes.
    fn stage(&self, message: &str, fraction: Option<f64>) -> Report {
        let own = fraction.filter(|_| self.job.is_none());
        Report {
            progress: own.unwrap_or_else(|| just_above(self.reached)),
            total: own.map(|_| 1.0),
            message: message.to_owned(),
        }
    }

    fn of_job(&mut self, prompt_id: &str, event: &JobEvent) -> Option<Report> {
        let own = job_report(event)?;
        if self.job.as_deref() != Some(prompt_id) {
            self.base = self.reached.max(0.0).ceil();
            self.job = Some(prompt_id.to_owned());
        }
        let progress = match event {
            // Waiting is a sign of life, but no way forward.
            JobEvent::Queued { .. } => just_above(self.reached).max(self.base),
            _ => self.base + own.progress,
        };
        Some(Report {
            progress,
            total: own.total.map(|total| self.base + total),
            ..own
        })
    }
}

/// The smallest step that still grows.
fn just_above(reached: f64) -> f64 {
    reached.max(0.0) + 0.001
}

fn job_report(event: &JobEvent) -> Option<Report> {
    match event {
        JobEvent::Queued { position } => Some(Report {
            progress: 0.0,
            total: None,
            message: format!("queued behind {position}"),
        }),
        JobEvent::Progress(at) => {
            #[expect(clippy::cast_precision_loss, reason = "node counts are far below 2^53")]
            let (done, total) = (at.nodes_done as f64, at.nodes_total as f64);
            let within = if at.max > 0.0 {
                (at.value / at.max).min(1.0)
            } else {
                0.0
            };
            let title = at
                .title
                .as_deref()
                .or(at.node.as_deref())
                .unwrap_or("running");
            let message = if at.max > 1.0 {
                format!("{title} {}/{}", at.value, at.max)
            } else {
                title.to_owned()
            };
            Some(Report {
                progress: done + within,
                total: (total > 0.0).then_some(total),
                message,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy;

    fn step(job: &str, value: f64) -> Progress {
        Progress::Job {
            prompt_id: job.into(),
            event: JobEvent::Progress(comfy::Progress {
                node: Some("3".into()),
                title: Some("KSampler".into()),
                value,
                max: 8.0,
                nodes_done: 2,
                nodes_total: 7,
            }),
        }
    }

    #[test]
    fn steps_of_a_sampler_are_fractions_of_its_node() {
        let report = Course::default().next(&step("p", 4.0));
        assert_eq!(
            report,
            Some(Report {
                progress: 2.5,
                total: Some(7.0),
                message: "KSampler 4/8".into()
            })
        );
    }

    #[test]
    fn progress_never_goes_back() {
        let mut course = Course::default();
        assert!(course.next(&step("p", 4.0)).is_some());
        assert_eq!(course.next(&step("p", 4.0)), None);
        assert_eq!(course.next(&step("p", 3.0)), None);
    }

    #[test]
    fn a_second_job_goes_on_from_where_the_first_ended() {
        let mut course = Course::default();
        let first = course.next(&step("one", 8.0)).unwrap();
        let second = course.next(&step("two", 1.0)).unwrap();
        assert!(second.progress > first.progress, "{first:?} {second:?}");
        assert_eq!(second.total, Some(10.0));
    }

    #[test]
    fn each_place_in_the_queue_is_told() {
        let mut course = Course::default();
        let queued = |position| Progress::Job {
            prompt_id: "p".into(),
            event: JobEvent::Queued { position },
        };
        for position in [5, 4, 3] {
            assert!(course.next(&queued(position)).is_some(), "{position}");
        }
    }
}
