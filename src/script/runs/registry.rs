//! All runs: those of this process, and those that other processes wrote down.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::folder::Folder;
use super::record::PREFIX;
use super::take_up::{Found, Purpose};
use super::{Journal, Record, Run, RunError, Status};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::ids::Ids;
use crate::script::{Caller, Generation, Host, Progress, Reply, Runner, ScriptError, Served};

/// How often a run of another process is looked at, and how often that process looks whether it
/// was asked to end it. Files are all that the two share.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is tried to write down the end of a run that could not be: a full disk is made
/// room on.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// How long the result of a run is kept where assets live for ever.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The runs of one data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runs(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) folder: Arc<Folder>,
    ttl: Duration,
    pub(super) clock: Clock,
    ids: Ids,
    live: Mutex<HashMap<String, Run>>,
    /// Those that are known to be over.
    pub(super) settled: Mutex<HashSet<String>>,
}

/// How waiting for a run ended.
#[derive(Clone, Debug)]
pub enum Waited {
    /// It is over.
    Over(Result<Reply, Failure>),
    /// It goes on.
    Working(Box<Record>),
}

impl Runs {
    /// The runs in `dir`, whose results live as long as the assets that they name. Nothing is
    /// written before there is a run to write down.
    #[must_use]
    pub fn new(dir: PathBuf, ttl: Option<Duration>, clock: Clock, ids: Ids) -> Self {
        Self(Arc::new(Inner {
            folder: Arc::new(Folder::new(dir, ids.random())),
            ttl: ttl.unwrap_or(KEPT_FOR),
            clock,
            ids,
            live: Mutex::default(),
            settled: Mutex::default(),
        }))
    }

    /// How long a result is kept.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// Starts a tool detached from its caller, whose progress goes to [`Run::signs`]. Cancelling
    /// the caller ends it; a caller that goes away leaves it alone.
    pub fn start(
        &self,
        runner: &Runner,
        generation: Arc<Generation>,
        served: Served,
        arguments: Map<String, Value>,
        caller: Caller,
    ) -> Result<Run, ScriptError> {
        // What is wrong with the arguments is told at once.
        served.script.arguments(arguments.clone())?;
        let record = Record {
            session: caller.session.as_deref().map(str::to_owned),
            ..self.new_record(runner.host(), &served, arguments)
        };
        self.begin(runner, generation, served, record, false, caller)
            .map_err(|error| ScriptError::Ran(error.into()))
    }

    /// A run that begins now.
    pub(super) fn new_record(
        &self,
        host: &Host,
        served: &Served,
        arguments: Map<String, Value>,
    ) -> Record {
        let now = self.0.clock.now();
        Record {
            run_id: format!("{PREFIX}{}", self.0.ids.ordered()),
            tool: served.script.key.name.clone(),
            word: None,
            arguments,
            hash: served.hash.clone(),
            server: host.comfy.server().to_string(),
            project: host.project_dir.clone(),
            status: Status::Working,
            created_at: now,
            updated_at: now,
            session: None,
            process: self.0.folder.process().to_owned(),
            prompt_ids: vec![],
            progress: None,
            reply: None,
            failure: None,
        }
    }

    /// Removes what is written of a run that is over and whose end was told to whoever began it.
    pub async fn discard(&self, run: &Run) {
        if !run.is_kept() {
            return;
        }
        let (folder, run_id) = (self.0.folder.clone(), run.record().run_id);
        let removed = blocking(move || {
            folder.remove(&run_id);
            Ok(())
        });
        // A file that stays goes when its time is over.
        let _ = removed.await;
    }

    /// Waits for a run, wherever it goes on.
    pub async fn wait(
        &self,
        runner: &Runner,
        run_id: &str,
        limit: Duration,
        report: impl Fn(Progress),
    ) -> Result<Waited, RunError> {
        let deadline = Instant::now() + limit;
        loop {
            match self.find(runner, run_id, Purpose::Follow).await? {
                Found::Over(record) | Found::Abandoned(record) => return Ok(over(&record)),
                Found::Live(run) => {
                    let ended = timeout_at(deadline, run.ended_with(report)).await;
                    return Ok(match ended {
                        Ok(result) => Waited::Over(result),
                        // It may have ended in the moment in which patience did; what is told is
                        // written down first.
                        Err(_) => match run.record() {
                            ended if ended.result().is_some() => Waited::Over(run.ended().await),
                            record => Waited::Working(record.into()),
                        },
                    });
                }
                Found::Elsewhere(record) if Instant::now() >= deadline => {
                    return Ok(Waited::Working(record.into()));
                }
                Found::Elsewhere(_) => sleep(LOOK_EVERY.min(limit)).await,
            }
        }
    }

    /// Whether a run of this process was begun by that session of it, or by the process itself.
    #[must_use]
    pub fn is_of(&self, run_id: &str, session: Option<&str>) -> bool {
        let live = self.live();
        let run = live.get(run_id);
        run.is_some_and(|run| run.record().session.as_deref() == session)
    }

    /// What is known of a run.
    pub async fn record(&self, runner: &Runner, run_id: &str) -> Result<Record, RunError> {
        Ok(match self.find(runner, run_id, Purpose::Look).await? {
            Found::Live(run) => run.record(),
            Found::Elsewhere(record) | Found::Over(record) | Found::Abandoned(record) => record,
        })
    }

    /// Ends a run and its jobs, wherever it goes on. Says whether it went on until then.
    pub async fn cancel(&self, runner: &Runner, run_id: &str) -> Result<bool, RunError> {
        match self.find(runner, run_id, Purpose::Cancel).await? {
            Found::Live(run) if run.record().result().is_some() => return Ok(false),
            Found::Live(run) => run.cancel(),
            Found::Elsewhere(_) => {
                let (folder, run_id) = (self.0.folder.clone(), run_id.to_owned());
                blocking(move || folder.ask_to_cancel(&run_id)).await?;
            }
            Found::Over(_) => return Ok(false),
            Found::Abandoned(_) => {}
        }
        Ok(true)
    }

    /// Removes runs whose time is over.
    pub fn sweep(&self) {
        let now = self.0.clock.now();
        if let Ok(before) = now.checked_sub(self.0.ttl) {
            self.0.folder.sweep(before, now);
        }
    }

    pub(super) fn begin(
        &self,
        runner: &Runner,
        generation: Arc<Generation>,
        served: Served,
        record: Record,
        kept: bool,
        caller: Caller,
    ) -> Result<Run, RunError> {
        let (run_id, arguments) = (record.run_id.clone(), record.arguments.clone());
        let cancel = caller.cancel.clone();
        let run = Run::new(
            record,
            kept,
            cancel.clone(),
            self.0.folder.clone(),
            self.0.clock.clone(),
        );
        let journal = Journal::open(self.0.folder.journal(&run_id)?, run.clone())?;
        self.live().insert(run_id.clone(), run.clone());
        let heard = run.clone();
        let caller = Caller {
            progress: Arc::new(move |progress| heard.hear(progress)),
            journal: Some(Arc::new(journal)),
            ..caller
        };
        let (this, runner, ran) = (self.clone(), runner.clone(), run.clone());
        tokio::spawn(async move {
            let work = runner.run(generation, served, arguments, caller);
            let result = tokio::select! {
                result = work => result,
                never = this.look_after(&ran, &cancel) => match never {},
            };
            ran.end(result.map_err(Failure::from));
            // Written before it is told, so that what was told outlives the process, and before it
            // is forgotten here, so that it is always known somewhere.
            let mut written = write_news(&ran).await;
            ran.tell_end();
            while !written {
                sleep(WRITE_AGAIN).await;
                written = write_news(&ran).await;
            }
            this.live().remove(&run_id);
        });
        Ok(run)
    }

    /// Writes now and then what has become of a run, and cancels it when another process asks for
    /// that.
    async fn look_after(&self, run: &Run, cancel: &CancellationToken) -> std::convert::Infallible {
        let run_id = run.record().run_id;
        loop {
            sleep(LOOK_EVERY).await;
            if !run.is_kept() {
                continue;
            }
            // It is tried again the next time.
            write_news(run).await;
            let (folder, run_id) = (self.0.folder.clone(), run_id.clone());
            let asked = blocking(move || Ok(folder.is_cancelled(&run_id))).await;
            if asked.unwrap_or_default() {
                cancel.cancel();
            }
        }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_news(run: &Run) -> bool {
    let run = run.clone();
    let written = blocking(move || Ok(run.write_news())).await;
    written.unwrap_or_default()
}

fn over(record: &Record) -> Waited {
    match record.result() {
        Some(result) => Waited::Over(result),
        None => Waited::Working(record.clone().into()),
    }
}
