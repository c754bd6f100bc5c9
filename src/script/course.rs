//! How far a run is over all that it does.
//!
//! A script may have several jobs on the server at once. What they do adds up: the nodes that are
//! done, of all the nodes of all jobs that are known of so far. Clients want progress to grow with
//! every notification, so what would go back is not told.

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::comfy::JobEvent;

/// How far signs of life that are no way forward go in all, between two that are. However many there
/// are, the next true step is told as far as it went.
const ROOM: f64 = 0.05;

/// The smallest step that still grows.
const LEAST: f64 = 1e-9;

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
#[derive(Debug, Default)]
pub struct Course {
    /// What was told.
    told: Option<f64>,
    /// How far it truly is.
    reached: Option<f64>,
    /// Signs of life since then that are no way forward.
    nudges: u32,
    /// Where the jobs begin: a script that said how far it is may go on with jobs.
    base: f64,
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

impl Course {
    /// What a sign of life says about the whole, if it is worth telling.
    pub fn next(&mut self, progress: &Progress) -> Option<Report> {
        match progress {
            Progress::Stage { message, fraction } => self.stage(message, *fraction),
            Progress::Submitted { prompt_id } => {
                self.job(prompt_id);
                None
            }
            Progress::Job { prompt_id, event } => self.of_job(prompt_id, event),
        }
    }

    /// What was told last, once more, for something to be shown with it.
    pub fn again(&mut self) -> Report {
        let last = self.last.as_ref();
        let message = last.map_or_else(String::new, |last| last.message.clone());
        let total = last.and_then(|last| last.total);
        self.nudge(message, total)
    }

    /// A step forward, if it is one.
    fn step(&mut self, to: f64, total: Option<f64>, message: String) -> Option<Report> {
        if self.reached.is_some_and(|reached| to <= reached) {
            return None;
        }
        self.reached = Some(to);
        self.nudges = 0;
        Some(self.tell(to, total, message))
    }

    /// A sign of life that is no way forward. Clients want it to grow nevertheless.
    fn nudge(&mut self, message: String, total: Option<f64>) -> Report {
        self.nudges = self.nudges.saturating_add(1);
        let nudges = f64::from(self.nudges);
        let at = self.reached.unwrap_or(0.0) + ROOM * nudges / (nudges + 50.0);
        self.tell(at, total, message)
    }

    fn tell(&mut self, at: f64, total: Option<f64>, message: String) -> Report {
        let told = self.told.map_or(at, |told| at.max(told + LEAST));
        self.told = Some(told);
        let report = Report {
            progress: told,
            total: total.map(|total| total.max(told)),
            message,
        };
        self.last = Some(report.clone());
        report
    }

    /// A script that says how far it is knows best, as long as it has run no job: after that a
    /// fraction of the whole can't be told in nodes.
    fn stage(&mut self, message: &str, fraction: Option<f64>) -> Option<Report> {
        let message = message.to_owned();
        if let Some(fraction) = fraction.filter(|_| self.jobs.is_empty()) {
            return self.step(fraction, Some(1.0), message);
        }
        let total = self.total();
        Some(self.nudge(message, total))
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
        let message = match (event, self.jobs.len()) {
            (JobEvent::Finished(_), _) | (_, 1) => message,
            (_, count) => format!("{message} (job {} of {count})", at + 1),
        };
        let total = self.total();
        // Waiting is a sign of life, but no way forward.
        if let JobEvent::Queued { .. } = event {
            return Some(self.nudge(message, total));
        }
        let done: f64 = self.jobs.iter().map(|job| job.done).sum();
        self.step(self.base + done, total, message)
    }

    /// The place of a job among those known.
    fn job(&mut self, prompt_id: &str) -> usize {
        let known = self.jobs.iter().position(|job| job.prompt_id == prompt_id);
        known.unwrap_or_else(|| {
            if self.jobs.is_empty() {
                self.base = self.reached.unwrap_or(0.0);
            }
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
        (count > 0.0).then(|| self.base + (known.iter().sum::<f64>() / count * all).round())
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
    fn signs_of_life_do_not_swallow_true_steps() {
        let mut course = Course::default();
        course.next(&step("p", 1.0)).unwrap();
        let mut told = 0.0;
        for _ in 0..10_000 {
            let again = course.again();
            assert!(again.progress > told && again.progress < 2.25, "{again:?}");
            assert!(again.total.unwrap() >= again.progress, "{again:?}");
            told = again.progress;
        }
        let true_step = course.next(&step("p", 2.0)).unwrap();
        assert_eq!((true_step.progress, true_step.total), (2.25, Some(7.0)));
    }

    #[test]
    fn jobs_after_a_fraction_of_the_script_go_on_from_there() {
        let mut course = Course::default();
        let stage = Progress::Stage {
            message: "loading".into(),
            fraction: Some(0.9),
        };
        assert_eq!(course.next(&stage).unwrap().total, Some(1.0));
        let mut first = step("p", 4.0);
        if let Progress::Job {
            event: JobEvent::Progress(at),
            ..
        } = &mut first
        {
            at.nodes_done = 0;
        }
        let report = course.next(&first).unwrap();
        assert_eq!((report.progress, report.total), (1.4, Some(7.9)));
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
