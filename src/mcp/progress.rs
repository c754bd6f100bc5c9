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
            let mut reached = -1.0;
            while let Some(progress) = receiver.recv().await {
                let Some(report) = report(&progress, reached) else {
                    continue;
                };
                reached = report.progress;
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

/// The notification for a sign of life. The protocol wants the progress of a call to grow, so
/// what does not lead beyond `reached` is left out.
fn report(progress: &Progress, reached: f64) -> Option<Report> {
    let report = match progress {
        Progress::Stage { message, fraction } => Report {
            progress: fraction.unwrap_or(reached.floor() + 1.0),
            total: fraction.map(|_| 1.0),
            message: message.clone(),
        },
        Progress::Job { event, .. } => job_report(event)?,
    };
    (report.progress > reached).then_some(report)
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

    fn step(value: f64) -> Progress {
        Progress::Job {
            prompt_id: "p".into(),
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
        assert_eq!(
            report(&step(4.0), 0.0),
            Some(Report {
                progress: 2.5,
                total: Some(7.0),
                message: "KSampler 4/8".into()
            })
        );
    }

    #[test]
    fn progress_never_goes_back() {
        assert_eq!(report(&step(4.0), 2.5), None);
        assert_eq!(report(&step(3.0), 2.5), None);
    }
}
