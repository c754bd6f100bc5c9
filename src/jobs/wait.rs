//! Submitting jobs and waiting for what they made.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::follow::{Collections, Finished};
use super::hooks::Hooks;
use super::ledger::{JobRecord, JobStatus, Ledger};
use super::memory::NoCard;
use super::origin::Remembered;
use super::{JobError, Origin};
use crate::assets::{Asset, Assets};
use crate::comfy::{Comfy, ComfyError, JobEvent, Submit, Submitted, Workflow};
use crate::failure::Failure;
use crate::store::StoreError;
use crate::vram::Observations;

/// Of how many jobs the submitter is known.
const SUBMITTERS: usize = 1 << 16;

/// How long a cancelled caller waits for the server to be told.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// Submits jobs and collects them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) comfy: Comfy,
    pub(super) assets: Arc<Assets>,
    session: String,
    pub(super) observations: Option<Observations>,
    pub(super) no_card: NoCard,
    pub(super) ledger: Option<Ledger>,
    built: Mutex<Remembered>,
    pub(super) collections: Mutex<Collections>,
    submitters: Mutex<Submitters>,
    /// Which asset stands behind a name in the server's input folder.
    inputs: Mutex<HashMap<String, String>>,
    pub(super) hooks: OnceLock<Weak<dyn Hooks>>,
    /// Held by a submission from its hook until it is written down: the next hook counts it.
    turn: tokio::sync::Mutex<()>,
}

/// What is written down of jobs, beside their assets.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// What they took of the server's card.
    pub observations: Option<Observations>,
    /// Each job and what became of it.
    pub ledger: Option<Ledger>,
}

/// Which session of this process submitted which job, the oldest forgotten first. What an asset is
/// recorded under may be another's: a variation stays in the session of what it varies.
#[derive(Debug, Default)]
struct Submitters {
    by_prompt: HashMap<String, Arc<str>>,
    order: VecDeque<String>,
}

/// A workflow to run and who wants it.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Who asks. The script that built the workflow is named instead of this one, if it is known:
    /// what it was given makes the same again.
    pub origin: Origin,
    /// The session that submits it, which may stop it; none for the process itself.
    pub session: Option<Arc<str>>,
    /// The run that it is a part of.
    pub run_id: Option<String>,
    /// Which attempt at the same work this is, from 1.
    pub attempt: u32,
    /// Earlier attempts at the same work, which were lost. What was kept of them goes when this one
    /// has made it again.
    pub replaces: Vec<String>,
    /// How it is submitted.
    pub submit: Submit,
    /// The workflow is one that went through the hook before: the hook is asked once for a job.
    pub settled: bool,
}

impl Jobs {
    /// Jobs of one session on one server.
    #[must_use]
    pub fn new(comfy: Comfy, assets: Arc<Assets>, session: String) -> Self {
        Self::with_books(comfy, assets, session, Books::default())
    }

    /// The same, written down.
    #[must_use]
    pub fn with_books(comfy: Comfy, assets: Arc<Assets>, session: String, books: Books) -> Self {
        Self(Arc::new(Inner {
            comfy,
            assets,
            session,
            observations: books.observations,
            no_card: NoCard::default(),
            ledger: books.ledger,
            built: Mutex::default(),
            collections: Mutex::default(),
            submitters: Mutex::default(),
            inputs: Mutex::default(),
            hooks: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    pub(super) fn services(&self) -> (&Comfy, &Arc<Assets>) {
        (&self.0.comfy, &self.0.assets)
    }

    /// What jobs took of the server's card.
    #[must_use]
    pub fn observations(&self) -> Option<&Observations> {
        self.0.observations.as_ref()
    }

    /// Each job and what became of it, if that is written down.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.0.ledger.as_ref()
    }

    /// The session under which jobs of this process are recorded.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.0.session
    }

    /// Notes which script built a workflow, for when it is submitted later.
    pub fn remember(&self, workflow: &Workflow, origin: Origin) {
        lock(&self.0.built).insert(workflow, origin);
    }

    /// Which script built a workflow, and from what; none if that was not here, or long ago.
    #[must_use]
    pub fn origin_of(&self, workflow: &Workflow) -> Option<Origin> {
        lock(&self.0.built).get(workflow).cloned()
    }

    /// Follows what processes that are gone left on the server, to its end. Says how many jobs.
    pub async fn take_over(&self) -> Result<usize, StoreError> {
        let Some(ledger) = &self.0.ledger else {
            return Ok(0);
        };
        let orphans = ledger.take_over(&self.0.comfy.server().to_string()).await?;
        for (_, job) in &orphans {
            self.collection(&job.prompt_id);
        }
        Ok(orphans.len())
    }

    /// Queues a workflow; what it makes will be kept whether or not anybody waits. It is written
    /// down first, so that a process that dies meanwhile leaves no job that nobody knows of.
    pub async fn submit(
        &self,
        workflow: &Workflow,
        mut order: Order,
    ) -> Result<Submitted, JobError> {
        if let Some(built) = lock(&self.0.built).get(workflow) {
            let origin = &mut order.origin;
            origin.script.clone_from(&built.script);
            origin.parameters.clone_from(&built.parameters);
        }
        let session = order.session.take();
        let session = session.unwrap_or_else(|| self.0.session.as_str().into());
        order
            .origin
            .session
            .get_or_insert_with(|| session.to_string());
        let (turn, settled);
        let workflow = if order.settled || !self.is_hooked() {
            turn = None;
            workflow
        } else {
            turn = Some(self.0.turn.lock().await);
            settled = self.settled(workflow, &order).await?;
            &settled
        };
        order.origin.made_from = self.read_by(workflow);
        order.origin.write(&mut order.submit.extra_data);
        let record_id = match &self.0.ledger {
            Some(ledger) => Some(self.enter(ledger, workflow, &mut order).await?),
            None => None,
        };
        drop(turn);
        let submitted = self.0.comfy.submit(workflow, order.submit).await;
        if let (Some(ledger), Some(record_id)) = (&self.0.ledger, record_id) {
            note_answer(ledger, &record_id, &submitted).await;
        }
        match &submitted {
            Ok(Submitted { prompt_id, .. }) | Err(ComfyError::MaybeQueued { prompt_id, .. }) => {
                lock(&self.0.submitters).insert(prompt_id, session);
                self.collection(prompt_id);
            }
            Err(_) => {}
        }
        Ok(submitted?)
    }

    /// Whether the user's own hook is asked before a job is submitted.
    #[must_use]
    pub fn is_asked_first(&self) -> bool {
        self.is_hooked()
    }

    /// Notes that a name in the server's input folder stands for an asset.
    pub fn note_input(&self, name: &str, asset_id: String) {
        lock(&self.0.inputs).insert(name.to_owned(), asset_id);
    }

    /// The assets that a workflow reads.
    fn read_by(&self, workflow: &Workflow) -> Vec<String> {
        let inputs = lock(&self.0.inputs);
        let mut read: Vec<String> = vec![];
        for node in workflow.nodes() {
            for value in node.inputs().into_iter().flat_map(|inputs| inputs.values()) {
                let asset_id = value.as_str().and_then(|name| inputs.get(name));
                read.extend(asset_id.filter(|id| !read.contains(id)).cloned());
            }
        }
        read
    }

    async fn enter(
        &self,
        ledger: &Ledger,
        workflow: &Workflow,
        order: &mut Order,
    ) -> Result<String, StoreError> {
        let id = order.submit.prompt_id.clone();
        let id = id.unwrap_or_else(|| ledger.new_id());
        order.submit.prompt_id = Some(id.clone());
        let record = JobRecord {
            run_id: order.run_id.clone(),
            attempt: order.attempt.max(1),
            replaces: order.replaces.clone(),
            origin: order.origin.clone(),
            partner: self.0.comfy.partner_class(workflow).is_some(),
            workflow: workflow.clone().into_json(),
            ..ledger.blank(&id, &self.0.comfy.server().to_string())
        };
        ledger.enter(vec![record]).await?;
        Ok(id)
    }

    /// Whether a job was submitted by that session of this process.
    #[must_use]
    pub fn is_of(&self, prompt_id: &str, session: &str) -> bool {
        let submitters = lock(&self.0.submitters);
        let submitter = submitters.by_prompt.get(prompt_id);
        submitter.is_some_and(|submitter| **submitter == *session)
    }

    /// Stops what that session has running, and gives the ids of those jobs.
    ///
    /// [`ComfyError::NotOurs`] if only jobs of others run: nobody's work is stopped by mistake.
    pub async fn interrupt_own(&self, session: &str) -> Result<Vec<String>, ComfyError> {
        let is_own = |prompt_id: &str| self.is_of(prompt_id, session);
        self.0.comfy.interrupt_those(is_own).await
    }

    /// Waits until a job is over and its outputs are kept, whoever submitted it. `on_event` hears
    /// what happens meanwhile. When `cancel` fires, the job is cancelled on the server if it was
    /// `session` that submitted it, and no other; when the time limit passes, it goes on.
    pub async fn wait(
        &self,
        prompt_id: &str,
        session: &str,
        limit: Option<Duration>,
        cancel: &CancellationToken,
        mut on_event: impl FnMut(JobEvent),
    ) -> Result<Arc<Finished>, JobError> {
        let mut collection = self.collection(prompt_id);
        let collected = async {
            match collection.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(finished)) => finished.clone(),
                // The task that collects ends with a value, unless the runtime shuts down.
                _ => Err(ComfyError::Stopped {
                    prompt_id: prompt_id.to_owned(),
                }),
            }
        };
        let listen = async {
            let mut watch = self.0.comfy.watch(prompt_id).await;
            while let Some(Ok(event)) = watch.next().await {
                on_event(event);
            }
            std::future::pending::<()>().await;
        };
        let late = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            finished = collected => return Ok(finished?),
            () = cancel.cancelled() => {}
            () = late => return Err(self.timed_out(prompt_id, limit).await.into()),
            () = listen => {}
        }
        if !self.is_of(prompt_id, session) {
            // Others may want what this caller no longer does.
            return Err(JobError::Cancelled);
        }
        let reason = match timeout(CANCEL_LIMIT, self.0.comfy.cancel(prompt_id)).await {
            Ok(Ok(_)) => return Err(JobError::Cancelled),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the server does not answer".to_owned(),
        };
        Err(JobError::NotCancelled {
            prompt_id: prompt_id.to_owned(),
            reason,
        })
    }

    /// Waits until all is written down that can be told of a job: how it ended, or that the server
    /// does not know it.
    pub async fn until_settled(&self, prompt_id: &str) {
        let mut collection = self.collection(prompt_id);
        // One that broke has nothing to tell.
        let _ = collection.wait_for(Option::is_some).await;
    }

    /// What the assets of a job are, as far as they are kept by now.
    pub fn kept(&self, prompt_id: &str) -> Result<Vec<Asset>, JobError> {
        Ok(self.0.assets.find_by_prompt(prompt_id)?)
    }

    async fn timed_out(&self, prompt_id: &str, limit: Option<Duration>) -> ComfyError {
        let short = Some(Duration::ZERO);
        let never = CancellationToken::new();
        let error = self.0.comfy.wait(prompt_id, short, &never).await;
        match error {
            Err(ComfyError::Timeout {
                prompt_id, still, ..
            }) => ComfyError::Timeout {
                prompt_id,
                after: limit.unwrap_or_default(),
                still,
            },
            Err(other) => other,
            // It ended this very moment, and its outputs are on their way.
            Ok(_) => ComfyError::Timeout {
                prompt_id: prompt_id.to_owned(),
                after: limit.unwrap_or_default(),
                still: "running",
            },
        }
    }
}

impl Submitters {
    fn insert(&mut self, prompt_id: &str, session: Arc<str>) {
        self.by_prompt.insert(prompt_id.to_owned(), session);
        self.order.push_back(prompt_id.to_owned());
        if self.order.len() > SUBMITTERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_prompt.remove(&oldest);
        }
    }
}

/// Writes down what the server answered to a submission, as far as that is news.
async fn note_answer(ledger: &Ledger, record_id: &str, answer: &Result<Submitted, ComfyError>) {
    let now = ledger.now();
    let noted = match answer {
        Ok(submitted) if submitted.prompt_id == record_id => return,
        Ok(submitted) => {
            let theirs = submitted.prompt_id.clone();
            ledger.note(record_id, |job| job.prompt_id = theirs).await
        }
        // It may be there.
        Err(ComfyError::MaybeQueued { .. }) => return,
        Err(error) => {
            // What may never have arrived is not known to have failed.
            let status = if error.is_outage() {
                JobStatus::Lost
            } else {
                JobStatus::Failed
            };
            let failure = Failure::from(error.clone()).to_json();
            let change = move |job: &mut JobRecord| {
                job.status = status;
                job.ended_at = Some(now);
                job.failure = Some(failure);
            };
            ledger.note(record_id, change).await
        }
    };
    if let Err(error) = noted {
        tracing::warn!(%error, record_id, "the answer to a submission can't be written down");
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
