//! A run of the script, beside which saves go on being seen.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::session::Good;
use crate::app::App;
use crate::assets::{Kind as AssetKind, PREVIEW_SIDE};
use crate::cli::copy::assets_in;
use crate::cli::progress::{Aside, Display};
use crate::cli::run::{Ran, answer, finish_readably, run_template};
use crate::cli::run_args::TemplateOptions;
use crate::cli::terminal::keys::Lender;
use crate::cli::terminal::picture::Protocol;
use crate::cli::{Stopped, ask, report};
use crate::failure::{Code, Failure};
use crate::script::conversation::{Answer, Level, Question, Sample};
use crate::script::{Caller, Conversation, Kind};

/// Bytes of a picture for the terminal: no limit that a picture of its size could meet.
const PICTURE_BYTES: usize = 4 << 20;

/// A run that goes on.
pub(super) struct Running {
    task: JoinHandle<()>,
    cancel: CancellationToken,
    display: Display,
}

impl Running {
    /// Runs a good version; what comes of it is shown when it is there.
    pub(super) fn start(
        app: Arc<App>,
        good: Good,
        output: Option<PathBuf>,
        pictures: Option<Protocol>,
        lender: Lender,
    ) -> Self {
        let display = Display::start();
        let caller = Caller {
            progress: display.sink(),
            conversation: Arc::new(Asking {
                inner: ask::someone(&display),
                lender,
            }),
            ..Caller::default()
        };
        let run = Run {
            app,
            output,
            pictures,
        };
        let (cancel, bars) = (caller.cancel.clone(), display.clone());
        let task = tokio::spawn(async move {
            if let Err(stopped) = run.run(good, &bars, caller).await {
                failed(stopped);
            }
        });
        Self {
            task,
            cancel,
            display,
        }
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await {
            self.display.finish();
            report::note(format_args!("error: the run ended early: {error}"));
        }
    }

    /// Ends it, and with it its job.
    pub(super) async fn cancel(mut self) {
        self.cancel.cancel();
        self.ended().await;
    }

    /// Keeps its bars off the terminal while something else is written.
    pub(super) fn aside(&self) -> Aside {
        self.display.aside()
    }
}

fn failed(stopped: Stopped) {
    match stopped {
        Stopped::Failed(failure, _) if failure.code == Code::CANCELLED => report::note("cancelled"),
        Stopped::Failed(failure, at) => drop(report::failed(&failure, at.as_deref())),
        Stopped::Usage(error) => drop(report::usage(&error)),
        Stopped::Reported(_) => {}
    }
}

/// What is done with what comes out.
struct Run {
    app: Arc<App>,
    output: Option<PathBuf>,
    pictures: Option<Protocol>,
}

impl Run {
    async fn run(&self, good: Good, display: &Display, caller: Caller) -> Result<(), Stopped> {
        let (app, output) = (&*self.app, self.output.as_deref());
        let Good {
            found, arguments, ..
        } = good;
        if found.served.script.key.kind != Kind::Template {
            let reply = app.run(found, arguments, caller).await;
            display.finish();
            let reply = reply.map_err(Stopped::by_script)?;
            answer(app, &reply, output)?;
            self.show(assets_in(&app.host().assets, &reply.value));
            return Ok(());
        }
        let options = TemplateOptions::default();
        let ran = run_template(app, found, arguments, &options, &caller).await;
        display.finish();
        if let Ran::Finished {
            finished,
            node_errors,
        } = ran?
        {
            finish_readably(app, &finished, &node_errors, output)?;
            let kept = finished.outputs.iter();
            let kept = kept.filter_map(|output| output.kept.as_ref().ok());
            self.show(kept.map(|asset| asset.asset_id.as_str()).collect());
        }
        Ok(())
    }

    /// Shows what pictures there are among assets, on a terminal that can.
    fn show(&self, ids: Vec<&str>) {
        let Some(protocol) = self.pictures else {
            return;
        };
        let assets = &self.app.host().assets;
        for id in ids {
            let is_picture = assets
                .get(id)
                .is_ok_and(|asset| asset.kind == AssetKind::Images);
            if !is_picture {
                continue;
            }
            match assets.preview(id, PREVIEW_SIDE, PICTURE_BYTES) {
                Ok(preview) => protocol.show(&preview.bytes),
                Err(error) => tracing::debug!(%error, "there is no picture to show"),
            }
        }
    }
}

/// Asks with the lines of the terminal, which else has keys.
struct Asking {
    inner: Arc<dyn Conversation>,
    lender: Lender,
}

impl Conversation for Asking {
    fn log(&self, level: Level, logger: &str, data: Value) {
        self.inner.log(level, logger, data);
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        let asking = async move {
            let _lent = self.lender.lend();
            self.inner.ask(question).await
        };
        asking.boxed()
    }

    fn sample(&self, sample: Sample) -> BoxFuture<'_, Result<Option<String>, Failure>> {
        self.inner.sample(sample)
    }
}
