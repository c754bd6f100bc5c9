//! Following a job to its end, whoever submitted it, and keeping what it makes on the way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::Jobs;
use super::collect::{Collected, Collector};
use super::ledger::{JobRecord, JobStatus, Ledger, NodeTime};
use super::memory::MemoryWatch;
use super::wait::{Inner, lock};
use crate::assets::Asset;
use crate::comfy::{ComfyError, End, JobEvent, Outcome, Output, Submission, Watch, node_outputs};
use crate::failure::Failure;

/// How many finished jobs are kept at hand, so that asking again needs no server.
const REMEMBERED: usize = 512;

/// How long after an outage a job is looked for again.
const RETRY: Duration = Duration::from_secs(30);

/// How long a result waits for what its job took to be noted.
const NOTE_LIMIT: Duration = Duration::from_millis(100);

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

pub(super) type Collection = watch::Receiver<Option<Result<Arc<Finished>, ComfyError>>>;

/// Jobs that are being collected or were, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Collections {
    by_prompt: HashMap<String, Collection>,
    order: VecDeque<String>,
}

impl Jobs {
    /// The one collection of a job, begun if it is not under way.
    pub(super) fn collection(&self, prompt_id: &str) -> Collection {
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
            no_card,
            ..
        } = &*self.0;
        // Every output is labelled with it, and a server may be too busy to tell it at the end.
        tokio::spawn({
            let comfy = comfy.clone();
            async move { comfy.version().await }
        });
        let mut watch = comfy.watch(prompt_id).await;
        let Heard {
            mut outcome,
            begun,
            course,
            memory,
        } = self.hear(&mut watch).await?;
        let told = self.told_before(prompt_id, &outcome).await;
        let is_recalled = told.is_some();
        outcome = told.map_or(outcome, Arc::new);
        // What another process submitted is known by the history, and counts if it was seen to run.
        let own = watch.submission().map(|submission| submission.prompt);
        let prompt = own.or_else(|| memory.is_some().then(|| outcome.prompt.clone()));
        let noting = observations.as_ref().zip(prompt);
        let noting = noting.map(|(observations, prompt)| {
            // A job may be over before its beginning is heard of.
            let memory = memory.unwrap_or_else(|| MemoryWatch::begin(comfy, no_card));
            memory.end(prompt, &outcome, observations, assets.now())
        });
        let collecting = async {
            match begun {
                Some(begun) => begun.finish(&outcome).await,
                None if outcome.outputs.is_empty() => Ok(Collected::default()),
                None => {
                    let submission = watch.submission().unwrap_or_else(|| Submission {
                        prompt: outcome.prompt.clone(),
                        extra_data: outcome.extra_data.clone(),
                    });
                    let collector = Collector::new(comfy, assets, prompt_id, submission).await;
                    collector.finish(&outcome).await
                }
            }
        };
        let ((), collected) = tokio::join!(self.note_made(prompt_id, &outcome), collecting);
        let collected = collected?;
        if (is_recalled || collected.went_away) && collected.misses_something() {
            Arc::make_mut(&mut outcome).end = End::Lost;
        }
        let outputs = collected.outputs;
        for failure in outputs
            .iter()
            .filter_map(|output| output.kept.as_ref().err())
        {
            tracing::warn!("an output of {prompt_id} could not be kept: {failure}");
        }
        let noted = async {
            if let Some(noting) = noting {
                // Usually it is noted by now; a process that ends with its job is to have noted it.
                let _ = timeout(NOTE_LIMIT, noting).await;
            }
        };
        if outcome.end == End::Success {
            // Before its end is written down: a process that dies in between is gone on with here.
            self.drop_replaced(prompt_id).await;
        }
        let end = self.note_end(prompt_id, &outcome, &outputs, course.end());
        tokio::join!(end, noted);
        // Finished jobs are remembered, and what was run is told by their assets.
        let outcome = Arc::new(Outcome {
            prompt: Value::Null,
            extra_data: Value::Null,
            messages: Value::Null,
            ..Arc::unwrap_or_clone(outcome)
        });
        Ok(Arc::new(Finished { outcome, outputs }))
    }

    /// Hears a job to its end, and begins to keep what its nodes report.
    async fn hear(&self, watch: &mut Watch) -> Result<Heard, ComfyError> {
        let Inner {
            comfy,
            assets,
            observations,
            no_card,
            ..
        } = &*self.0;
        let prompt_id = watch.prompt_id().to_owned();
        let mut begun: Option<Collector> = None;
        let mut course = Course::default();
        let mut memory: Option<MemoryWatch> = None;
        loop {
            match watch.next().await {
                Some(Ok(JobEvent::Output { node, output })) => {
                    if begun.is_none()
                        && let Some(submission) = watch.submission()
                    {
                        let collector = Collector::new(comfy, assets, &prompt_id, submission);
                        begun = Some(collector.await);
                    }
                    if let Some(begun) = &mut begun {
                        begun.begin(node_outputs(&node, &output));
                    }
                }
                Some(Ok(JobEvent::Finished(outcome))) => {
                    return Ok(Heard {
                        outcome,
                        begun,
                        course,
                        memory,
                    });
                }
                Some(Ok(event @ (JobEvent::Started | JobEvent::Node { .. }))) => {
                    match event {
                        JobEvent::Node { id, .. } => course.node_begins(id),
                        _ => self.note_beginning(&prompt_id),
                    }
                    match &memory {
                        Some(memory) => memory.node_begins(),
                        None if observations.is_some() => {
                            memory = Some(MemoryWatch::begin(comfy, no_card));
                        }
                        None => {}
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                // Nothing comes without an end, unless the runtime shuts down.
                None => return Err(ComfyError::Stopped { prompt_id }),
            }
        }
    }
}

/// What was heard of a job until its end.
struct Heard {
    outcome: Arc<Outcome>,
    begun: Option<Collector>,
    course: Course,
    memory: Option<MemoryWatch>,
}

impl Jobs {
    /// Writes down that the server works on it, if it is one of the ledger's.
    fn note_beginning(&self, prompt_id: &str) {
        let Some(ledger) = self.0.ledger.clone() else {
            return;
        };
        let prompt_id = prompt_id.to_owned();
        tokio::spawn(async move {
            let now = ledger.now();
            let change = move |job: &mut JobRecord| {
                if !job.status.is_over() {
                    job.status = JobStatus::Running;
                    job.started_at = Some(now);
                }
            };
            note(&ledger, &prompt_id, change).await;
        });
    }

    /// How a job ended that the server has forgotten, if that was known before it did.
    async fn told_before(&self, prompt_id: &str, outcome: &Outcome) -> Option<Outcome> {
        let ledger = self
            .0
            .ledger
            .as_ref()
            .filter(|_| outcome.end == End::Lost)?;
        let (_, job) = ledger.find(prompt_id).await.ok().flatten()?;
        let outputs = job.made.filter(|_| !job.status.is_over())?;
        let mut extra_data = Map::new();
        job.origin.write(&mut extra_data);
        Some(Outcome {
            end: End::Success,
            outputs,
            started_at: job.started_at,
            prompt: job.workflow,
            extra_data: extra_data.into(),
            ..outcome.clone()
        })
    }

    /// Writes down what it made, while that is fetched.
    async fn note_made(&self, prompt_id: &str, outcome: &Outcome) {
        if let Some(ledger) = &self.0.ledger
            && outcome.end == End::Success
        {
            let outputs = outcome.outputs.clone();
            note(ledger, prompt_id, |job| job.made = Some(outputs)).await;
        }
    }

    /// Removes what was kept of earlier attempts at a job, which were lost halfway: it has made the
    /// same again. What somebody pinned stays.
    async fn drop_replaced(&self, prompt_id: &str) {
        let Some(ledger) = &self.0.ledger else {
            return;
        };
        let Ok(Some((_, job))) = ledger.find(prompt_id).await else {
            return;
        };
        if job.replaces.is_empty() {
            return;
        }
        let assets = self.0.assets.clone();
        let dropped = spawn_blocking(move || assets.remove_lost(&job.replaces)).await;
        let error = match dropped {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            error,
            prompt_id,
            "what earlier attempts made can't be removed"
        );
    }

    /// Writes down how it ended, before that is told to anybody.
    async fn note_end(
        &self,
        prompt_id: &str,
        outcome: &Outcome,
        outputs: &[KeptOutput],
        nodes: Vec<NodeTime>,
    ) {
        let Some(ledger) = &self.0.ledger else {
            return;
        };
        let kept = outputs
            .iter()
            .filter_map(|output| output.kept.as_ref().ok());
        let mut assets: Vec<String> = kept.map(|asset| asset.asset_id.clone()).collect();
        if assets.is_empty() && outcome.end == End::Lost {
            // What a dead process had kept of it while it ran.
            let kept = self.kept(prompt_id).unwrap_or_default();
            assets.extend(kept.into_iter().map(|asset| asset.asset_id));
        }
        let (outcome, now) = (outcome.clone(), ledger.now());
        let change = move |job: &mut JobRecord| {
            // That the server has forgotten a job says nothing of how it ended.
            if outcome.end == End::Lost && job.status.is_over() {
                return;
            }
            if !nodes.is_empty() {
                job.nodes = nodes;
            }
            job.end(&outcome, assets, now);
        };
        note(ledger, prompt_id, change).await;
    }
}

/// A job goes on whether or not its record can be written: the disk may have room again at its end.
async fn note(
    ledger: &Ledger,
    prompt_id: &str,
    change: impl FnOnce(&mut JobRecord) + Send + 'static,
) {
    let noted = async {
        match ledger.find(prompt_id).await? {
            Some((record, _)) => ledger.note(&record, change).await,
            None => Ok(()),
        }
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, prompt_id, "what became of a job can't be written down");
    }
}

/// How long each node takes, as it is heard of.
#[derive(Debug, Default)]
struct Course {
    done: Vec<NodeTime>,
    runs: Option<(String, Instant)>,
}

impl Course {
    fn node_begins(&mut self, id: String) {
        self.node_ends();
        self.runs = Some((id, Instant::now()));
    }

    fn node_ends(&mut self) {
        if let Some((node_id, began)) = self.runs.take() {
            let seconds = began.elapsed().as_secs_f64();
            self.done.push(NodeTime { node_id, seconds });
        }
    }

    fn end(mut self) -> Vec<NodeTime> {
        self.node_ends();
        self.done
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

impl Finished {
    /// Whether everything that had to run ran.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome.end == End::Success
    }
}
