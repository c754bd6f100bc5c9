//! Progress bars on stderr: one per job, and one for the whole where a script says how far it is.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report;
use crate::comfy::{self, JobEvent};
use crate::script::Progress;

/// Steps of a bar per node, so that a sampler's steps move it.
const PER_NODE: u64 = 1000;

/// Steps of the bar for the whole.
const WHOLE: u64 = 10_000;

/// How often a bar without news shows that it is alive.
const TICK: Duration = Duration::from_millis(100);

/// What the script says that it is doing.
const STAGE: &str = "{spinner} {msg}";

/// How far the script is, once it can be told how long it takes.
const TOTAL: &str = "{spinner} {bar:30} {percent:>3} %  {msg}  {eta} left";

/// How far a job is.
const JOB: &str = "{bar:30} {percent:>3} %  {msg}  {eta}";

/// The bars of one command. Where stderr is no terminal they are not drawn.
#[derive(Clone)]
pub(super) struct Display(Arc<Inner>);

struct Inner {
    bars: MultiProgress,
    jobs: Mutex<HashMap<String, ProgressBar>>,
    stage: ProgressBar,
    /// The jobs that were put on the server, in their order.
    submitted: Mutex<Vec<String>>,
    /// Whether stages are told in lines, for there are no bars.
    in_lines: bool,
}

impl Display {
    pub(super) fn start() -> Self {
        Self::new(false)
    }

    /// Bars, or a line for each stage where they are not drawn.
    pub(super) fn telling() -> Self {
        Self::new(!std::io::stderr().is_terminal())
    }

    fn new(in_lines: bool) -> Self {
        let bars = MultiProgress::new();
        let stage = bars.add(ProgressBar::no_length().with_style(style(STAGE)));
        Self(Arc::new(Inner {
            bars,
            jobs: Mutex::default(),
            stage,
            submitted: Mutex::default(),
            in_lines,
        }))
    }

    /// What a script's caller calls with each sign of life.
    pub(super) fn sink(&self) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let display = self.clone();
        Arc::new(move |progress| display.show(&progress))
    }

    /// Hides the bars until the result is dropped, so that the terminal is free for a question.
    /// Nothing is locked meanwhile: the command may end while the question is open.
    pub(super) fn aside(&self) -> Aside {
        // What can't be cleared away stays above the question.
        let _ = self.0.bars.clear();
        self.0.bars.set_draw_target(ProgressDrawTarget::hidden());
        Aside(self.clone())
    }

    /// The jobs that were put on the server, in their order.
    pub(super) fn submitted(&self) -> Vec<String> {
        let submitted = self.0.submitted.lock();
        submitted.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        self.0.stage.finish_and_clear();
        for (_, bar) in self
            .0
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain()
        {
            bar.finish_and_clear();
        }
    }

    fn show(&self, progress: &Progress) {
        match progress {
            Progress::Stage { message, fraction } => self.show_stage(message, *fraction),
            // Its bar comes with its first sign of life.
            Progress::Submitted { prompt_id } => {
                let submitted = self.0.submitted.lock();
                let mut submitted = submitted.unwrap_or_else(PoisonError::into_inner);
                submitted.push(prompt_id.clone());
            }
            Progress::Job { prompt_id, event } => self.show_job(prompt_id, event),
        }
    }

    fn show_stage(&self, message: &str, fraction: Option<f64>) {
        if self.0.in_lines {
            report::note(message);
            return;
        }
        let stage = &self.0.stage;
        // At its beginning nobody can tell how long it will take.
        if let Some(fraction) = fraction.filter(|fraction| *fraction > 0.0) {
            stage.set_length(WHOLE);
            stage.set_style(style(TOTAL));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a fraction of WHOLE"
            )]
            stage.set_position((fraction.clamp(0.0, 1.0) * WHOLE as f64) as u64);
        }
        stage.set_message(message.to_owned());
        stage.tick();
    }

    fn show_job(&self, prompt_id: &str, event: &JobEvent) {
        let bar = self.bar(prompt_id);
        match event {
            JobEvent::Queued { position } => bar.set_message(format!("queued behind {position}")),
            JobEvent::Started => bar.set_message("started"),
            JobEvent::Progress(at) => show_progress(&bar, at),
            JobEvent::Text { text, .. } => bar.set_message(text.clone()),
            JobEvent::Finished(_) => bar.finish_and_clear(),
            _ => {}
        }
    }

    fn bar(&self, prompt_id: &str) -> ProgressBar {
        let mut jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = jobs.entry(prompt_id.to_owned()).or_insert_with(|| {
            let bar = ProgressBar::new(PER_NODE).with_style(style(JOB));
            let bar = self.0.bars.add(bar);
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.clone()
    }
}

/// While it is held, no bar is drawn.
pub(super) struct Aside(Display);

impl Drop for Aside {
    fn drop(&mut self) {
        let Inner { bars, .. } = &*self.0.0;
        bars.set_draw_target(ProgressDrawTarget::stderr());
    }
}

fn show_progress(bar: &ProgressBar, at: &comfy::Progress) {
    let within = if at.max > 0.0 {
        (at.value / at.max).clamp(0.0, 1.0)
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a fraction of PER_NODE"
    )]
    let part = (within * PER_NODE as f64) as u64;
    let nodes = |count: usize| {
        u64::try_from(count)
            .unwrap_or(u64::MAX)
            .saturating_mul(PER_NODE)
    };
    if at.nodes_total > 0 {
        bar.set_length(nodes(at.nodes_total));
        bar.set_position(nodes(at.nodes_done) + part);
    }
    let title = at
        .title
        .as_deref()
        .or(at.node.as_deref())
        .unwrap_or("running");
    if at.max > 1.0 {
        bar.set_message(format!("{title} {}/{}", at.value, at.max));
    } else {
        bar.set_message(title.to_owned());
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours and checked by a test.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_styles_are_well_formed() {
        for template in [STAGE, TOTAL, JOB] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
