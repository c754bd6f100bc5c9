//! What a running script has around it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arrange::Exchanges;
use super::budget::Budget;
use super::conversation::{Conversation, Nobody};
use super::places::Places;
use super::runs::{Journal, Runs};
use super::spot::Spot;
use super::steps::Steps;
use super::submissions::Submissions;
use super::trace::{Calling, Trace};
use super::value::{map_to_dynamic, to_dynamic};
use super::{Generation, Library, ScriptError};
use crate::assets::publish::Publisher;
use crate::assets::{Assets, ScriptRef};
use crate::clock::Clock;
use crate::comfy::{Comfy, JobEvent};
use crate::failure::Failure;
use crate::ids::Ids;
use crate::jobs::Jobs;
use crate::vision::Vision;

/// The services behind the bindings. One for the process, shared by all runs.
#[derive(Debug)]
pub struct Host {
    /// The server.
    pub comfy: Comfy,
    /// Prompts on their way to assets.
    pub jobs: Jobs,
    /// What was made.
    pub assets: Arc<Assets>,
    /// Runs that outlive the call that began them.
    pub runs: Runs,
    /// The way to web folders.
    pub publisher: Publisher,
    /// Where the relative paths of callers begin.
    pub project_dir: PathBuf,
    /// The scripts.
    pub library: Arc<Library>,
    /// Where scripts may be saved; `None` where the user doesn't allow it.
    pub script_folder: Option<PathBuf>,
    /// The model that looks at pictures, if there is one.
    pub vision: Vision,
    /// The time.
    pub clock: Clock,
    /// Identifiers and random seeds.
    pub ids: Ids,
}

/// A sign of life of a running script.
#[derive(Clone, Debug)]
pub enum Progress {
    /// What the script itself says.
    Stage {
        /// What it is doing.
        message: String,
        /// How far it is, 0 to 1, if it says so.
        fraction: Option<f64>,
    },
    /// The script has put a job on the server.
    Submitted {
        /// The job.
        prompt_id: String,
    },
    /// What a job that the script waits for does.
    Job {
        /// The job.
        prompt_id: String,
        /// What happened.
        event: JobEvent,
    },
}

/// Who called a script: where its progress goes, and how the caller stops it.
#[derive(Clone)]
pub struct Caller {
    /// Cancelled when the caller wants the work to end, the jobs on the server that it waits for
    /// included. A caller that merely goes away stops its script and leaves the jobs alone.
    pub cancel: CancellationToken,
    /// Takes the signs of life.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
    /// Shows the log and answers questions.
    pub conversation: Arc<dyn Conversation>,
    /// Whether pictures of the unfinished result are wanted among them.
    pub previews: bool,
    /// Where it is written down what is done for it, so that it can be gone on with.
    pub journal: Option<Arc<Journal>>,
    /// When it wants to have an answer, or at least a handle to go on with.
    pub patience: Option<Instant>,
    /// The session that it belongs to, where a process serves several; none for the process itself.
    pub session: Option<Arc<str>>,
    /// Where it is noted what is done for it, and how long that takes.
    pub trace: Option<Arc<Trace>>,
}

impl Default for Caller {
    /// A caller that neither listens nor cancels nor answers.
    fn default() -> Self {
        Self {
            cancel: CancellationToken::new(),
            progress: Arc::new(|_| ()),
            conversation: Arc::new(Nobody),
            previews: false,
            journal: None,
            patience: None,
            session: None,
            trace: None,
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

/// What the bindings find behind a call: carried by the engine as its tag.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) host: Arc<Host>,
    pub(super) runtime: Handle,
    pub(super) generation: Arc<Generation>,
    pub(super) caller: Caller,
    /// Cancelled when the script has to end: because the caller cancels or is gone.
    pub(super) stop: CancellationToken,
    /// The script that runs and the arguments that it was given.
    pub(super) script: ScriptRef,
    pub(super) parameters: Map<String, Value>,
    /// The asset of which all that is made here is a variation.
    pub(super) regenerated_from: Option<String>,
    /// What the run, nested scripts and branches included, has used of its limits.
    pub(super) budget: Arc<Budget>,
    /// The jobs that the run, nested scripts included, has put on the server.
    pub(super) submissions: Arc<Submissions>,
    /// The model files that stand for others in what the run builds.
    pub(super) exchanges: Arc<Exchanges>,
    /// Where the run stands in its journal, if it has one.
    pub(super) steps: Option<Arc<Steps>>,
    /// How many scripts stand above this one.
    pub(super) depth: usize,
    /// How many `parallel` stand above it.
    pub(super) beside: usize,
    /// The places for what the run does beside each other.
    pub(super) places: Arc<Places>,
    /// The traced call that began what goes on here beside others.
    pub(super) within: Option<usize>,
}

type Fallible<T> = Result<T, Box<EvalAltResult>>;

impl Context {
    /// The context behind a call of a binding.
    pub(super) fn of(call: &NativeCallContext) -> Calling {
        #[expect(
            clippy::expect_used,
            reason = "bindings that need a context are registered only in engines that carry one"
        )]
        let context = call
            .tag()
            .and_then(|tag| tag.clone().try_cast::<Arc<Self>>())
            .expect("the engine carries the context of its run");
        Calling::new(context, call)
    }

    /// Waits for the server or the store, unless the caller cancels first.
    pub(super) fn wait<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Fallible<T> {
        let waiting = async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(self.budget.stopped()),
                result = work => result.map_err(thrown),
            }
        };
        self.budget.pause(|| self.runtime.block_on(waiting))
    }

    /// Waits for a job. If the caller cancels, `work` has the time to cancel the job, too; if the
    /// caller is gone, the waiting ends and the job goes on.
    pub(super) fn wait_for_job<T>(&self, work: impl Future<Output = T>) -> Fallible<T> {
        let gone = async {
            self.stop.cancelled().await;
            if self.caller.cancel.is_cancelled() {
                std::future::pending::<()>().await;
            }
        };
        let waiting = async {
            tokio::select! {
                biased;
                result = work => Ok(result),
                () = gone => Err(self.budget.stopped()),
            }
        };
        self.budget.pause(|| self.runtime.block_on(waiting))
    }

    /// The session under which the caller's jobs are recorded, and whose jobs it may stop unnamed.
    pub(super) fn session(&self) -> &str {
        let session = self.caller.session.as_deref();
        session.unwrap_or_else(|| self.host.jobs.session())
    }

    /// How a script ended, for the one that ran it: what ends the whole run can't be caught there
    /// either.
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "Rhai's functions return boxed errors"
    )]
    pub(super) fn ended(&self, error: ScriptError) -> Box<EvalAltResult> {
        if self.budget.is_over() || error == ScriptError::Cancelled {
            return self.budget.stopped();
        }
        thrown(error)
    }

    /// Tells the caller how far it is.
    pub(super) fn report(&self, progress: Progress) {
        (self.caller.progress)(progress);
    }
}

/// A failure as a script catches it: `#{ code, message, hint, ... }`, with the place of the call that
/// failed.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Rhai's functions return boxed errors"
)]
pub(super) fn thrown(failure: impl Into<Failure>) -> Box<EvalAltResult> {
    let failure = failure.into();
    let mut details = failure.details;
    if let Some(place) = Spot::present().and_then(|spot| spot.to_json()) {
        // What went wrong in a script that this one called has its place already.
        let name = if details.contains_key("at") {
            "via"
        } else {
            "at"
        };
        details.insert(name.to_owned(), place);
    }
    let mut map = map_to_dynamic(*details);
    map.insert("code".into(), failure.code.as_str().into());
    map.insert("message".into(), failure.message.into());
    map.insert(
        "hint".into(),
        failure.hint.map_or(Dynamic::UNIT, Dynamic::from),
    );
    EvalAltResult::ErrorRuntime(map.into(), Position::NONE).into()
}

/// The reverse of [`thrown`], for what reaches the end of a script uncaught. A string or any
/// other value that a script throws is a mistake of the script.
pub(super) fn caught(value: &Dynamic) -> Option<Failure> {
    use crate::failure::Code;

    let map = value.read_lock::<rhai::Map>()?;
    let Ok(Value::Object(mut details)) = super::value::from_dynamic(value) else {
        return None;
    };
    drop(map);
    let Value::String(message) = details.shift_remove("message")? else {
        return None;
    };
    let code = match details.shift_remove("code") {
        Some(Value::String(code)) => Code::custom(code),
        _ => Code::TOOL_ERROR,
    };
    let hint = details
        .shift_remove("hint")
        .and_then(|hint| Some(hint.as_str()?.to_owned()));
    Some(Failure {
        code,
        message,
        hint,
        details: Box::new(details),
    })
}

/// Where a binding was called that failed, if no more is known of it.
pub(super) fn stamped(failure: &Failure) -> Option<Spot> {
    failure.details.get("at").and_then(Spot::of_json)
}

/// JSON for a script, out of anything that serialises.
pub(super) fn answer(value: impl serde::Serialize) -> Fallible<Dynamic> {
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    Ok(to_dynamic(value))
}
