//! A script's signs of life as progress notifications.
//!
//! They are sent in order by a task of their own, because scripts report from threads that must
//! not wait for a client; the task is finished before the call is answered, so that no
//! notification follows its answer.

use std::collections::HashMap;
use std::sync::Arc;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::comfy::{self, JobEvent};
use crate::script::Progress;

/// What news in words count for, where nothing is counted: seen by no eye, yet more than before.
const A_LITTLE: f64 = 1e-3;

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

/// How far a call is. It grows over all the jobs that a script waits for, one after the other or
/// at once, and over the stages that it names; a script that says a fraction is taken at its word.
#[derive(Debug)]
struct Tally {
    /// The nodes done and the nodes to do, by job.
    jobs: HashMap<String, (f64, f64)>,
    stages: f64,
    says_fractions: bool,
    reached: f64,
}

impl Reporter {
    pub(super) fn start(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut tally = Tally::default();
            while let Some(progress) = receiver.recv().await {
                let Some(report) = tally.report(progress) else {
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

impl Default for Tally {
    fn default() -> Self {
        Self {
            jobs: HashMap::new(),
            stages: 0.0,
            says_fractions: false,
            // Below all that can be reported, so that the first report may say 0.
            reached: -1.0,
        }
    }
}

impl Tally {
    /// The notification for a sign of life. The protocol wants the progress of a call to grow, so
    /// what does not lead further is left out; but news in words always comes through, because a
    /// client may count silence as death.
    fn report(&mut self, sign: Progress) -> Option<Report> {
        let report = match sign {
            Progress::Stage { message, fraction } => match fraction {
                Some(fraction) => {
                    self.says_fractions = true;
                    Report {
                        progress: fraction,
                        total: Some(1.0),
                        message,
                    }
                }
                None => {
                    self.stages += 1.0;
                    self.at_least_a_little(message)
                }
            },
            Progress::Job { prompt_id, event } => self.job(prompt_id, &event)?,
        };
        if report.progress <= self.reached {
            return None;
        }
        self.reached = report.progress;
        Some(report)
    }

    fn job(&mut self, prompt_id: String, event: &JobEvent) -> Option<Report> {
        match event {
            JobEvent::Queued { position } => {
                self.jobs.entry(prompt_id).or_default();
                Some(self.at_least_a_little(format!("queued behind {position}")))
            }
            JobEvent::Progress(at) => {
                #[expect(clippy::cast_precision_loss, reason = "node counts are far below 2^53")]
                let (done, total) = (at.nodes_done as f64, at.nodes_total as f64);
                let within = if at.max > 0.0 {
                    (at.value / at.max).min(1.0)
                } else {
                    0.0
                };
                self.jobs.insert(prompt_id, (done + within, total));
                Some(if self.says_fractions {
                    self.at_least_a_little(words(at))
                } else {
                    self.all(words(at))
                })
            }
            _ => None,
        }
    }

    /// All stages and jobs together.
    fn all(&self, message: String) -> Report {
        let sum =
            |part: fn(&(f64, f64)) -> f64| self.stages + self.jobs.values().map(part).sum::<f64>();
        let (done, total) = (sum(|job| job.0), sum(|job| job.1));
        Report {
            progress: done,
            total: (total > 0.0 && total >= done).then_some(total),
            message,
        }
    }

    fn at_least_a_little(&self, message: String) -> Report {
        let mut report = self.all(message);
        if self.says_fractions {
            report.progress = self.reached + (1.0 - self.reached) * A_LITTLE;
            report.total = Some(1.0);
        } else if self.reached >= 0.0 {
            report.progress = report.progress.max(self.reached + A_LITTLE);
        }
        report
    }
}

fn words(at: &comfy::Progress) -> String {
    let title = at.title.as_deref().or(at.node.as_deref());
    let title = title.unwrap_or("running");
    if at.max > 1.0 {
        format!("{title} {}/{}", at.value, at.max)
    } else {
        title.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(prompt_id: &str, value: f64) -> Progress {
        Progress::Job {
            prompt_id: prompt_id.into(),
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

    fn queued(prompt_id: &str, position: usize) -> Progress {
        Progress::Job {
            prompt_id: prompt_id.into(),
            event: JobEvent::Queued { position },
        }
    }

    fn stage(message: &str, fraction: Option<f64>) -> Progress {
        Progress::Stage {
            message: message.into(),
            fraction,
        }
    }

    /// What is reported of signs, each as progress, total and message.
    fn told(signs: Vec<Progress>) -> Vec<(f64, Option<f64>, String)> {
        let mut tally = Tally::default();
        let reports = signs.into_iter().filter_map(|sign| tally.report(sign));
        let rounded = |progress: f64| (progress * 1e4).round() / 1e4;
        reports
            .map(|report| (rounded(report.progress), report.total, report.message))
            .collect()
    }

    #[test]
    fn steps_of_a_sampler_are_fractions_of_its_node() {
        let told = told(vec![step("a", 4.0)]);
        assert_eq!(told, [(2.5, Some(7.0), "KSampler 4/8".into())]);
    }

    #[test]
    fn progress_never_goes_back() {
        let told = told(vec![step("a", 4.0), step("a", 4.0), step("a", 3.0)]);
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn the_second_job_of_a_script_goes_on_where_the_first_ended() {
        let told = told(vec![step("a", 8.0), stage("next", None), step("b", 4.0)]);
        assert_eq!(
            told,
            [
                (3.0, Some(7.0), "KSampler 8/8".into()),
                (4.0, Some(8.0), "next".into()),
                (6.5, Some(15.0), "KSampler 4/8".into()),
            ]
        );
    }

    #[test]
    fn every_move_in_the_queue_is_told() {
        let told = told(vec![queued("a", 2), queued("a", 1), queued("a", 0)]);
        assert_eq!(
            told,
            [
                (0.0, None, "queued behind 2".into()),
                (0.001, None, "queued behind 1".into()),
                (0.002, None, "queued behind 0".into()),
            ]
        );
    }

    #[test]
    fn fractions_that_a_script_says_stand_above_its_jobs() {
        let told = told(vec![
            stage("half", Some(0.5)),
            step("a", 4.0),
            stage("most", Some(0.9)),
        ]);
        assert_eq!(
            told,
            [
                (0.5, Some(1.0), "half".into()),
                (0.5005, Some(1.0), "KSampler 4/8".into()),
                (0.9, Some(1.0), "most".into()),
            ]
        );
    }
}
