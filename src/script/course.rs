//! How far a run is over all that it does.
//!
//! A script may have several jobs on the server at once. What they do adds up: the nodes that are
//! done, of all the nodes of all jobs that are known of so far. Clients want progress to grow with
//! every notification, so what would go back is not told.

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::comfy::JobEvent;

/// The smallest step that still grows.
const LEAST: f64 = 0.001;

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Nodes done, with fractions for steps within one; or what the script says.
    pub progress: f64,
    /// Of how many, as far as can be told: jobs that have not begun count like those that have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What is being done.
    pub message: String,
}

/// Adds the signs of life of one run up.
#[derive(Debug)]
pub struct Course {
    reached: f64,
    last: Option<Report>,
    jobs: Vec<Job>,
}

#[derive(Debug)]
struct Job {
    prompt_id: String,
    done: f64,
    total: Option<f64>,
    over: bool,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            reached: -1.0,
            last: None,
            jobs: vec![],
        }
    }
}

impl Course {
    /// What a sign of life says about the whole, if it is worth telling.
    pub fn next(&mut self, progress: &Progress) -> Option<Report> {
        let report = match progress {
            Progress::Stage { message, fraction } => self.stage(message, *fraction),
            Progress::Submitted { prompt_id } => {
                self.job(prompt_id);
                return None;
            }
            Progress::Job { prompt_id, event } => self.of_job(prompt_id, event)?,
        };
        if report.progress <= self.reached {
            return None;
        }
        Some(self.told(report))
    }

    /// What was told last, once more, for something to be shown with it.
    pub fn again(&mut self) -> Report {
        let last = self.last.as_ref();
        let report = Report {
            progress: self.just_above(),
            total: self.total(),
            message: last.map_or_else(String::new, |last| last.message.clone()),
        };
        self.told(report)
    }

    fn told(&mut self, report: Report) -> Report {
        self.reached = report.progress;
        self.last = Some(report.clone());
        report
    }

    /// A script that says how far it is knows best, as long as it has run no job: after that a
    /// fraction of the whole can't be told in nodes.
    fn stage(&self, message: &str, fraction: Option<f64>) -> Report {
        let own = fraction.filter(|_| self.jobs.is_empty());
        Report {
            progress: own.unwrap_or_else(|| self.just_above()),
            total: own.map(|_| 1.0).or_else(|| self.total()),
            message: message.to_owned(),
        }
    }

    fn of_job(&mut self, prompt_id: &str, event: &JobEvent) -> Option<Report> {
        let at = self.job(prompt_id);
        let message = match event {
            JobEvent::Queued { position } => format!("queued behind {position}"),
            JobEvent::Progress(at_node) => {
                let job = &mut self.jobs[at];
                #[expect(clippy::cast_precision_loss, reason = "node counts are far below 2^53")]
                let (done, total) = (at_node.nodes_done as f64, at_node.nodes_total as f64);
                job.done = done + within(at_node.value, at_node.max);
                job.total = (total > 0.0).then_some(total).or(job.total);
                step(at_node)
            }
            JobEvent::Finished(_) => {
                let job = &mut self.jobs[at];
                job.done = job.total.unwrap_or(job.done).max(job.done);
                job.over = true;
                if self.jobs.len() == 1 {
                    // The answer comes next.
                    return None;
                }
                let over = self.jobs.iter().filter(|job| job.over).count();
                format!("{over} of {} jobs are over", self.jobs.len())
            }
            _ => return None,
        };
        let done: f64 = self.jobs.iter().map(|job| job.done).sum();
        let progress = match event {
            // Waiting is a sign of life, but no way forward.
            JobEvent::Queued { .. } => self.just_above().max(done),
            _ => done,
        };
        let message = match (event, self.jobs.len()) {
            (JobEvent::Finished(_), _) | (_, 1) => message,
            (_, count) => format!("{message} (job {} of {count})", at + 1),
        };
        Some(Report {
            progress,
            total: self.total().map(|total| total.max(progress)),
            message,
        })
    }

    /// The place of a job among those known.
    fn job(&mut self, prompt_id: &str) -> usize {
        let known = self.jobs.iter().position(|job| job.prompt_id == prompt_id);
        known.unwrap_or_else(|| {
            self.jobs.push(Job {
                prompt_id: prompt_id.to_owned(),
                done: 0.0,
                total: None,
                over: false,
            });
            self.jobs.len() - 1
        })
    }

    fn total(&self) -> Option<f64> {
        let known: Vec<f64> = self.jobs.iter().filter_map(|job| job.total).collect();
        #[expect(clippy::cast_precision_loss, reason = "jobs of one run are few")]
        let (count, all) = (known.len() as f64, self.jobs.len() as f64);
        (count > 0.0).then(|| (known.iter().sum::<f64>() / count * all).round())
    }

    fn just_above(&self) -> f64 {
        self.reached.max(0.0) + LEAST
    }
}

fn within(value: f64, max: f64) -> f64 {
    if max > 0.0 {
        (value / max).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

fn step(at: &crate::comfy::Progress) -> String {
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
    fn jobs_that_run_at_once_add_up() {
        let mut course = Course::default();
        for prompt_id in ["one", "two", "three"] {
            let prompt_id = prompt_id.into();
            assert_eq!(course.next(&Progress::Submitted { prompt_id }), None);
        }
        let first = course.next(&step("one", 8.0)).unwrap();
        assert_eq!((first.progress, first.total), (3.0, Some(21.0)));
        let second = course.next(&step("two", 4.0)).unwrap();
        assert_eq!((second.progress, second.total), (5.5, Some(21.0)));
        assert_eq!(second.message, "KSampler 4/8 (job 2 of 3)");
        let again = course.next(&step("one", 8.0));
        assert_eq!(again, None, "told in turns, nothing new is said");
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
