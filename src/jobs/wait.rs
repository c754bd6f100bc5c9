//! Submitting jobs and waiting for what they made.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::collect::Collector;
use super::memory::MemoryWatch;
use super::origin::Remembered;
use super::{JobError, Origin};
use crate::assets::{Asset, Assets};
use crate::comfy::{
    Comfy, ComfyError, End, JobEvent, Outcome, Output, Submission, Submit, Submitted, Workflow,
    node_outputs,
};
use crate::failure::Failure;
use crate::vram::Observations;

/// How many finished jobs are kept at hand, so that asking again needs no server.
const REMEMBERED: usize = 512;

/// How long after an outage a job is looked for again.
const RETRY: Duration = Duration::from_secs(30);

/// Of how many jobs the submitter is known.
const SUBMITTERS: usize = 1 << 16;

/// How long a result waits for what its job took to be noted.
const NOTE_LIMIT: Duration = Duration::from_millis(100);

/// How long a cancelled caller waits for the server to be told.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// Submits jobs and collects them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    comfy: Comfy,
    assets: Arc<Assets>,
    session: String,
    observations: Option<Observations>,
    built: Mutex<Remembered>,
    collections: Mutex<Collections>,
    submitters: Mutex<Submitters>,
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
    /// How it is submitted.
    pub submit: Submit,
}

/// A job that is over, with its outputs.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Arc<Outcome>,
    /// What it made, in the order in which the server lists it; behind that, what was kept while
    /// it ran and the server no longer lists.
    pub outputs: Vec<KeptOutput>,
}

/// One output of a job, and the asset that it became.
#[derive(Clone, Debug)]
pub struct KeptOutput {
    /// What the server reported.
    pub output: Output,
    /// The asset, or why it could not be kept.
    pub kept: Result<Asset, Failure>,
}

type Collection = watch::Receiver<Option<Result<Arc<Finished>, ComfyError>>>;

/// Jobs that are being collected or were, the oldest forgotten first.
#[derive(Debug, Default)]
struct Collections {
    by_prompt: HashMap<String, Collection>,
    order: VecDeque<String>,
}

impl Jobs {
    /// Jobs of one session on one server.
    #[must_use]
    pub fn new(comfy: Comfy, assets: Arc<Assets>, session: String) -> Self {
        Self::observing(comfy, assets, session, None)
    }

    /// The same, noting what jobs take of the server's card.
    #[must_use]
    pub fn observing(
        comfy: Comfy,
        assets: Arc<Assets>,
        session: String,
        observations: Option<Observations>,
    ) -> Self {
        Self(Arc::new(Inner {
            comfy,
            assets,
            session,
            observations,
            built: Mutex::default(),
            collections: Mutex::default(),
            submitters: Mutex::default(),
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

    /// Queues a workflow; what it makes will be kept whether or not anybody waits.
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
        let session = order
            .session
            .unwrap_or_else(|| self.0.session.as_str().into());
        order
            .origin
            .session
            .get_or_insert_with(|| session.to_string());
        order.origin.write(&mut order.submit.extra_data);
        let submitted = self.0.comfy.submit(workflow, order.submit).await;
        match &submitted {
            Ok(Submitted { prompt_id, .. }) | Err(ComfyError::MaybeQueued { prompt_id, .. }) => {
                lock(&self.0.submitters).insert(prompt_id, session);
                self.collection(prompt_id);
            }
            Err(_) => {}
        }
        Ok(submitted?)
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

    /// The one collection of a job, begun if it is not under way.
    fn collection(&self, prompt_id: &str) -> Collection {
        let mut collections = lock(&self.0.collections);
        if let Some(collection) = collections.by_prompt.get(prompt_id) {
            let settled = match &*collection.borrow() {
                // The sender is gone without a word if the collecting itself broke.
                None => collection.has_changed().is_ok(),
                // A job that nobody knows now may be submitted in a moment, by another process.
                Some(Ok(finished)) => {
                    finished.outcome.end != End::Lost
                        && finished.outputs.iter().all(|output| output.kept.is_ok())
                }
                Some(Err(_)) => false,
            };
            if settled {
                return collection.clone();
            }
        }
        let (sender, receiver) = watch::channel(None);
        collections.insert(prompt_id, receiver.clone());
        drop(collections);

        let jobs = self.clone();
        let prompt_id = prompt_id.to_owned();
        tokio::spawn(async move {
            let finished = jobs.finish(&prompt_id).await;
            let away = matches!(&finished, Err(error) if error.is_outage());
            sender.send_replace(Some(finished));
            if away {
                // The job may go on where the server is, and nobody may ask for it again.
                sleep(RETRY).await;
                jobs.collection(&prompt_id);
            }
        });
        receiver
    }

    async fn finish(&self, prompt_id: &str) -> Result<Arc<Finished>, ComfyError> {
        let Inner {
            comfy,
            assets,
            observations,
            ..
        } = &*self.0;
        // Every output is labelled with it, and a server may be too busy to tell it at the end.
        tokio::spawn({
            let comfy = comfy.clone();
            async move { comfy.version().await }
        });
        let collector = |submission| Collector::new(comfy, assets, prompt_id, submission);
        let mut watch = comfy.watch(prompt_id).await;
        let mut begun: Option<Collector> = None;
        let mut memory: Option<MemoryWatch> = None;
        let outcome = loop {
            match watch.next().await {
                Some(Ok(JobEvent::Output { node, output })) => {
                    if begun.is_none()
                        && let Some(submission) = watch.submission()
                    {
                        begun = Some(collector(submission).await);
                    }
                    if let Some(begun) = &mut begun {
                        begun.begin(node_outputs(&node, &output));
                    }
                }
                Some(Ok(JobEvent::Finished(outcome))) => break outcome,
                Some(Ok(JobEvent::Started | JobEvent::Node { .. })) => match &memory {
                    Some(memory) => memory.node_begins(),
                    None if observations.is_some() => memory = Some(MemoryWatch::begin(comfy)),
                    None => {}
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                // Nothing comes without an end, unless the runtime shuts down.
                None => {
                    return Err(ComfyError::Stopped {
                        prompt_id: prompt_id.to_owned(),
                    });
                }
            }
        };
        // What another process submitted is known by the history, and counts if it was seen to run.
        let own = watch.submission().map(|submission| submission.prompt);
        let prompt = own.or_else(|| memory.is_some().then(|| outcome.prompt.clone()));
        let noting = observations.as_ref().zip(prompt);
        let noting = noting.map(|(observations, prompt)| {
            // A job may be over before its beginning is heard of.
            let memory = memory.unwrap_or_else(|| MemoryWatch::begin(comfy));
            memory.end(prompt, &outcome, observations, assets.now())
        });
        let outputs = match begun {
            Some(begun) => begun.finish(&outcome).await,
            None if outcome.outputs.is_empty() => vec![],
            None => {
                let submission = watch.submission().unwrap_or_else(|| Submission {
                    prompt: outcome.prompt.clone(),
                    extra_data: outcome.extra_data.clone(),
                });
                collector(submission).await.finish(&outcome).await
            }
        };
        for failure in outputs
            .iter()
            .filter_map(|output| output.kept.as_ref().err())
        {
            tracing::warn!("an output of {prompt_id} could not be kept: {failure}");
        }
        if let Some(noting) = noting {
            // Usually it is noted by now; a process that ends with its job is to have noted it.
            let _ = timeout(NOTE_LIMIT, noting).await;
        }
        // Finished jobs are remembered, and what was run is told by their assets.
        let outcome = Arc::new(Outcome {
            prompt: Value::Null,
            extra_data: Value::Null,
            messages: Value::Null,
            ..Arc::unwrap_or_clone(outcome)
        });
        Ok(Arc::new(Finished { outcome, outputs }))
    }
}

impl Collections {
    fn insert(&mut self, prompt_id: &str, collection: Collection) {
        if self
            .by_prompt
            .insert(prompt_id.to_owned(), collection)
            .is_none()
        {
            self.order.push_back(prompt_id.to_owned());
        }
        // Those under way are kept: forgetting one would only begin it a second time.
        let surplus = self.order.len().saturating_sub(REMEMBERED);
        for _ in 0..surplus {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let over = self
                .by_prompt
                .get(&oldest)
                .is_some_and(|collection| collection.borrow().is_some());
            if over {
                self.by_prompt.remove(&oldest);
            } else {
                self.order.push_back(oldest);
            }
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

impl Finished {
    /// Whether everything that had to run ran.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome.end == End::Success
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
