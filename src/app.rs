//! Composition: the one place that puts the parts together.

mod preview;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use crate::assets::publish::Publisher;
use crate::assets::{AssetOptions, Assets};
use crate::clock::Clock;
use crate::comfy::{Comfy, JobEvent, Server, Submit, Submitted, Workflow};
use crate::config::Config;
use crate::failure::Failure;
use crate::ids::Ids;
use crate::jobs::{Books, Finished, JobError, Jobs, Ledger, Order, Origin};
use crate::script::conversation::Message;
use crate::script::reply::Resource;
use crate::script::runs::{Here, Record, Run, RunError, Runs};
use crate::script::{
    Caller, Completion, Exchanged, Generation, Host, Key, Kind, Lacking, Library, Listing,
    MadeNodes, Progress, Reply, Root, Runner, ScriptError, ScriptHooks, Served, Suite, Watcher,
    arrange, complete, explained, lacking, named,
};
use crate::sim::{SIMULATED_ACCOUNT, Sim, SimOptions};
use crate::vision::Vision;
use crate::vram::Observations;

/// How often a process that stays lets go of assets whose time is over. Until then they are
/// merely not shown.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often a process that stays looks for jobs of processes that are gone.
const LOOK_FOR_ORPHANS: Duration = Duration::from_secs(60);

/// How long jobs that are over stay written down where assets live for ever.
const JOBS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How a process of ours is put together.
#[derive(Debug, Default)]
pub struct AppOptions {
    /// Work on a simulator within this process instead of the configured server.
    pub simulate: Option<SimOptions>,
    /// Take up changes of scripts while running.
    pub watch: bool,
    /// The process stays for others: let go of assets whose time is over, at the start and every
    /// hour, and look after jobs and runs whose process is gone.
    pub upkeep: bool,
}

/// The running parts.
#[derive(Debug)]
pub struct App {
    runner: Runner,
    library: Arc<Library>,
    call_limit: Option<Duration>,
    // Held for as long as the process needs them.
    simulator: Option<Sim>,
    _hooks: Arc<ScriptHooks>,
    _watcher: Option<Watcher>,
    _upkeep: Option<AbortOnDropHandle<()>>,
}

/// What a template built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The workflow.
    pub workflow: Workflow,
    /// The model files that stand for others in it.
    pub exchanged: Vec<Exchanged>,
    /// Where its nodes were made.
    pub nodes: MadeNodes,
}

/// A script that was found by name or file, with the generation in which it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The scripts around it.
    pub generation: Arc<Generation>,
    /// The script.
    pub served: Served,
}

impl Found {
    /// The template, pipeline or tool called `name`, in that order.
    pub fn named(library: &Library, name: &str) -> Result<Self, ScriptError> {
        let generation = library.generation();
        let served = generation
            .find(&[Kind::Template, Kind::Pipeline, Kind::Tool], name)?
            .clone();
        Ok(Self { generation, served })
    }

    /// The script in a file, wherever it lies.
    pub fn in_file(library: &Library, file: &Path) -> Result<Self, ScriptError> {
        let (Key { kind, name }, generation) = library.with_file(file).map_err(|error| {
            ScriptError::Arguments(Failure::new(
                crate::failure::Code::NOT_FOUND,
                format!("{} can't be read: {error}", file.display()),
            ))
        })?;
        let served = generation.get(kind, &name)?.clone();
        Ok(Self { generation, served })
    }
}

impl App {
    /// Starts everything. The server need not be there; the asset store must.
    pub async fn start(config: &Config, options: AppOptions) -> Result<Self, Failure> {
        Self::start_with(config, config.script_roots(), options).await
    }

    /// The same with the scripts of other folders than those of the configuration.
    pub async fn start_with(
        config: &Config,
        scripts: Vec<Root>,
        options: AppOptions,
    ) -> Result<Self, Failure> {
        let simulator = match options.simulate {
            Some(options) => Some(Sim::start(options).await?),
            None => None,
        };
        let server = match &simulator {
            Some(simulator) => Server::parse(&simulator.url())?.with_account_key(SIMULATED_ACCOUNT),
            None => config.server.clone(),
        };
        let comfy = Comfy::new(server, Ids::default(), Clock::default());
        let library = Arc::new(Library::load(scripts).within(config.limits));
        let app = Self::over(config, comfy, library, options.watch, options.upkeep)?;
        Ok(Self { simulator, ..app })
    }

    /// One beside this, with the same scripts and the same server, and with the data of `config`. It
    /// may not outlive this one, whose simulator it uses.
    pub fn beside(&self, config: &Config) -> Result<Self, Failure> {
        let comfy = self.host().comfy.clone();
        Self::over(config, comfy, self.library.clone(), false, false)
    }

    fn over(
        config: &Config,
        comfy: Comfy,
        library: Arc<Library>,
        watch: bool,
        upkeep: bool,
    ) -> Result<Self, Failure> {
        let clock = Clock::default();
        let ids = Ids::default();
        let assets = Assets::open(
            &config.assets_dir(),
            AssetOptions {
                ttl: config.asset_ttl,
                max_bytes: config.asset_max_bytes,
            },
            clock.clone(),
            ids.clone(),
        )?;
        let assets = Arc::new(assets);
        let publisher = Publisher::new(config.project_dir.clone(), clock.clone())
            .with_folder(config.publish_dir.clone())
            .with_output_dir(config.comfyui_output_dir.clone());
        let runs = Runs::new(
            config.runs_dir(),
            config.asset_ttl,
            clock.clone(),
            ids.clone(),
        );
        let ledger = Ledger::new(config.jobs_dir(), clock.clone(), ids.clone());
        let books = Books {
            observations: Some(Observations::new(config.vram_dir())),
            ledger: Some(ledger),
        };
        let jobs = Jobs::with_books(comfy.clone(), assets.clone(), ids.ordered(), books);
        let watcher = watch.then(|| Watcher::start(library.clone()));
        let host = Host {
            jobs,
            comfy,
            assets,
            runs: runs.clone(),
            publisher,
            project_dir: config.project_dir.clone(),
            library: library.clone(),
            script_folder: config.script_folder.clone(),
            vision: Vision::new(config.vision.clone()),
            clock,
            ids,
        };
        let host = Arc::new(host);
        let runner = Runner::new(host.clone());
        let hooks = Arc::new(ScriptHooks::new(runner.clone()));
        host.jobs.hook(&hooks);
        let keeper = Upkeep {
            runner: runner.clone(),
            runs,
            ttl: config.asset_ttl,
        };
        let upkeep = upkeep.then(|| keeper.start());
        Ok(Self {
            runner,
            library,
            call_limit: config.mcp.call_limit,
            simulator: None,
            _hooks: hooks,
            _watcher: watcher,
            _upkeep: upkeep,
        })
    }

    /// Lets go of assets whose time is over, for a process that doesn't stay to do it by the hour.
    /// What goes wrong with that is merely logged: it's no part of anyone's answer.
    pub async fn tidy(&self) {
        tidy(&self.host().assets).await;
    }

    /// The scripts.
    #[must_use]
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// The services behind the scripts.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.runner.host()
    }

    /// The tool called `name`.
    pub fn tool(&self, name: &str) -> Result<Found, ScriptError> {
        let generation = self.library.generation();
        let served = generation.get(Kind::Tool, name)?.clone();
        Ok(Found { generation, served })
    }

    /// The script in a file, wherever it lies.
    pub fn load_file(&self, file: &Path) -> Result<Found, ScriptError> {
        Found::in_file(&self.library, file)
    }

    /// Runs a script to its end: the workflow of a template, the reply of a tool or pipeline.
    pub async fn run(
        &self,
        found: Found,
        arguments: Map<String, Value>,
        caller: Caller,
    ) -> Result<Reply, ScriptError> {
        self.runner
            .run(found.generation, found.served, arguments, caller)
            .await
    }

    /// The prompt called `name`.
    pub fn prompt(&self, name: &str) -> Result<Found, ScriptError> {
        let generation = self.library.generation();
        let served = generation.get(Kind::Prompt, name)?.clone();
        Ok(Found { generation, served })
    }

    /// The resource at an address, with the values of the variables in it.
    #[must_use]
    pub fn resource(&self, uri: &str) -> Option<(Found, Map<String, Value>)> {
        let generation = self.library.generation();
        let (served, values) = generation.resource(uri)?;
        let served = served.clone();
        Some((Found { generation, served }, values))
    }

    /// The messages of a prompt.
    pub async fn messages(
        &self,
        found: Found,
        arguments: Map<String, Value>,
        caller: Caller,
    ) -> Result<Vec<Message>, ScriptError> {
        self.runner
            .messages(found.generation, found.served, arguments, caller)
            .await
    }

    /// What stands at the address of a resource.
    pub async fn read(
        &self,
        found: Found,
        uri: &str,
        variables: Map<String, Value>,
        caller: Caller,
    ) -> Result<Vec<Resource>, ScriptError> {
        self.runner
            .read(found.generation, found.served, uri, variables, caller)
            .await
    }

    /// What a resource lists, from its beginning or from where a listing said that more follows.
    pub async fn list(&self, found: Found, after: Option<Value>) -> Result<Listing, ScriptError> {
        let caller = Caller::default();
        self.runner
            .list(found.generation, found.served, after, caller)
            .await
    }

    /// What completes `typed` as an argument of a script, given what the others are.
    pub async fn complete(
        &self,
        found: &Found,
        name: &str,
        typed: &str,
        others: &Map<String, Value>,
    ) -> Completion {
        let script = &found.served.script;
        complete(self.host(), &found.generation, script, name, typed, others).await
    }

    /// Starts a tool that outlives its caller.
    pub fn start_run(
        &self,
        found: Found,
        arguments: Map<String, Value>,
        caller: Caller,
    ) -> Result<Run, ScriptError> {
        let Found { generation, served } = found;
        let runs = &self.host().runs;
        runs.start(&self.runner, generation, served, arguments, caller)
    }

    /// Begins a script that ends with this process and can be gone on with by a later one; `word` is
    /// its name or file. None on a simulator within this process, which ends with it.
    pub fn begin_here(
        &self,
        found: &Found,
        word: &str,
        arguments: Map<String, Value>,
    ) -> Result<Option<Here>, RunError> {
        if self.simulator.is_some() {
            return Ok(None);
        }
        let host = self.host();
        let here = host.runs.begin_here(host, &found.served, word, arguments)?;
        Ok(Some(here))
    }

    /// Goes on with what was interrupted, or begins it anew.
    pub fn take_here(&self, found: &Found, run_id: &str, anew: bool) -> Result<Here, RunError> {
        let host = self.host();
        host.runs.take_here(host, &found.served, run_id, anew)
    }

    /// Runs one of the tests that scripts have of themselves.
    pub async fn test(&self, suite: &Suite, test: &str, caller: Caller) -> Result<(), ScriptError> {
        suite.run(&self.runner, test, caller).await
    }

    /// What is known of a run, of whatever process.
    pub async fn run_record(&self, run_id: &str) -> Result<Record, RunError> {
        self.host().runs.record(&self.runner, run_id).await
    }

    /// Forgets a run whose end was told to whoever began it.
    pub async fn discard_run(&self, run: &Run) {
        self.host().runs.discard(run).await;
    }

    /// Ends a run and its jobs, of whatever process. Says whether it went on until then.
    pub async fn cancel_run(&self, run_id: &str) -> Result<bool, RunError> {
        self.host().runs.cancel(&self.runner, run_id).await
    }

    /// How long a call of a long tool may take before its caller is given a handle.
    #[must_use]
    pub fn call_limit(&self) -> Option<Duration> {
        self.call_limit
    }

    /// Builds a template's workflow for the server at hand, so that what it makes will name the
    /// template.
    pub async fn build(
        &self,
        found: Found,
        arguments: Map<String, Value>,
        caller: Caller,
    ) -> Result<Built, ScriptError> {
        let script = found.served.reference();
        let named = named(&arguments);
        let mut parameters = found.served.script.arguments(arguments)?;
        let declaration = &found.served.script.declaration;
        let (exchanged, _) = arrange(self.host(), declaration, &named, &mut parameters)
            .await
            .map_err(ScriptError::Arguments)?;
        let built = self.run(found, parameters.clone(), caller).await?;
        let workflow = Workflow::from_json(built.value)
            .map_err(|error| ScriptError::Arguments(error.into()))?;
        let origin = Origin {
            script: Some(script),
            parameters,
            ..Origin::default()
        };
        self.host().jobs.remember(&workflow, origin);
        Ok(Built {
            workflow,
            exchanged,
            nodes: built.nodes,
        })
    }

    /// What the server lacks to run a workflow; nothing is known to be lacking where none is.
    pub async fn lacking(&self, workflow: &Workflow) -> Lacking {
        lacking(&self.host().comfy, &self.library.generation(), workflow).await
    }

    /// Queues a workflow.
    pub async fn submit(&self, workflow: &Workflow, submit: Submit) -> Result<Submitted, Failure> {
        let order = Order {
            submit,
            ..Order::default()
        };
        let submitted = self.host().jobs.submit(workflow, order).await;
        submitted.map_err(|error| explained(&self.library.generation(), error))
    }

    /// Waits for a job and tells the caller what happens meanwhile.
    pub async fn wait(
        &self,
        prompt_id: &str,
        limit: Option<Duration>,
        caller: &Caller,
    ) -> Result<Arc<Finished>, JobError> {
        let report = |event: JobEvent| {
            (caller.progress)(Progress::Job {
                prompt_id: prompt_id.to_owned(),
                event,
            });
        };
        let jobs = &self.host().jobs;
        let session = caller.session.as_deref();
        let session = session.unwrap_or_else(|| jobs.session());
        jobs.wait(prompt_id, session, limit, &caller.cancel, report)
            .await
    }
}

/// What a process that stays does beside its work.
struct Upkeep {
    runner: Runner,
    runs: Runs,
    ttl: Option<Duration>,
}

impl Upkeep {
    fn start(self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::join!(self.keep_tidy(), self.follow_orphans());
        }))
    }

    /// Lets go of what has had its time.
    async fn keep_tidy(&self) {
        let mut hours = every(TIDY_EVERY);
        loop {
            hours.tick().await;
            let host = self.runner.host();
            tidy(&host.assets).await;
            let runs = self.runs.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || runs.sweep()).await {
                tracing::warn!(%error, "letting go of runs ended early");
            }
            let before = host.clock.now().checked_sub(self.ttl.unwrap_or(JOBS_KEPT));
            if let (Ok(before), Some(ledger)) = (before, host.jobs.ledger())
                && let Err(error) = ledger.sweep(before).await
            {
                tracing::warn!(%error, "could not let go of old jobs");
            }
        }
    }

    /// Looks after jobs whose process is gone.
    async fn follow_orphans(&self) {
        let mut minutes = every(LOOK_FOR_ORPHANS);
        loop {
            minutes.tick().await;
            match self.runner.host().jobs.take_over().await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "follows jobs whose process is gone"),
                Err(error) => tracing::warn!(%error, "could not look for jobs left behind"),
            }
            // What it can't do without the server would fail it for good.
            if self.runner.host().comfy.queue().await.is_err() {
                continue;
            }
            match self.runs.resume(&self.runner).await {
                Ok(0) => {}
                Ok(runs) => tracing::info!(runs, "goes on with runs whose process is gone"),
                Err(error) => tracing::warn!(%error, "could not look for runs left behind"),
            }
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn tidy(assets: &Arc<Assets>) {
    let assets = assets.clone();
    match tokio::task::spawn_blocking(move || assets.tidy()).await {
        Ok(Ok(removed)) if removed.asset_ids.is_empty() => {}
        Ok(Ok(removed)) => tracing::info!(
            assets = removed.asset_ids.len(),
            bytes = removed.bytes,
            "let go of assets whose time is over"
        ),
        Ok(Err(error)) => tracing::warn!(%error, "could not let go of assets whose time is over"),
        Err(error) => tracing::warn!(%error, "letting go of assets ended early"),
    }
}
