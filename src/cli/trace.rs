//! `--trace`: what a script called, and how long each call took.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::report;
use crate::failure::{Code, Failure};
use crate::script::Trace;

/// A trace that was asked for.
pub(super) struct Tracing {
    trace: Arc<Trace>,
    file: Option<PathBuf>,
}

/// What a command takes about it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TraceOption {
    /// Show on stderr what the script calls and how long that takes; write it into a file, too, for
    /// Chrome's trace viewer
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "as clap has options with an optional value"
    )]
    trace: Option<Option<PathBuf>>,
}

impl TraceOption {
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            trace: self.trace.or_else(|| before.trace.clone()),
        }
    }

    /// The trace to fill, if one is asked for.
    pub(super) fn start(&self) -> Option<Tracing> {
        let file = self.trace.clone()?;
        let trace = Arc::default();
        Some(Tracing { trace, file })
    }
}

impl Tracing {
    /// Where the calls are noted.
    pub(super) fn trace(&self) -> Arc<Trace> {
        self.trace.clone()
    }

    /// Shows what was noted.
    pub(super) fn tell(&self) -> Result<(), Failure> {
        report::note(self.trace.tree().trim_end());
        let Some(file) = &self.file else {
            return Ok(());
        };
        let written = fs::write(file, self.trace.for_chrome().to_string());
        written.map_err(|error| {
            let message = format!("{} could not be written: {error}", file.display());
            Failure::new(Code::COPY_FAILED, message)
        })
    }
}
