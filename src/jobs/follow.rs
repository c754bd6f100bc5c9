//! Following a job to its end, whoever submitted it, and keeping what it makes on the way.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::Jobs;
use super::collect::{Collected, Collector};
use super::ledger::NodeTime;
use super::memory::MemoryWatch;
use super::noting::Begun;
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
    /// What went wrong beside it, such as a hook that failed.
    pub warnings: Vec<String>,
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
        // Every output is labelled with it, and a server may be too busy to tell it at the end.
        tokio::spawn({
            let comfy = self.0.comfy.clone();
            async move { comfy.version().await }
        });
        let mut watch = self.0.comfy.watch(prompt_id).await;
        let heard = self.hear(&mut watch).await?;
        // Thousands of jobs may wait: what comes after their end takes no room before it.
        Box::pin(self.conclude(prompt_id, &watch, heard)).await
    }

    /// Keeps what a job made that is over, writes down how it ended, and tells the hook.
    async fn conclude(
        &self,
        prompt_id: &str,
        watch: &Watch,
        heard: Heard,
    ) -> Result<Arc<Finished>, ComfyError> {
        let Heard {
            mut outcome,
            begun,
            course,
            started_at,
            memory,
        } = heard;
        let told = self.told_before(prompt_id, &outcome).await;
        let is_recalled = told.is_some();
        outcome = told.map_or(outcome, Arc::new);
        let noting = self.note_memory(memory, watch, &outcome);
        let collected = {
            let mut collecting = pin!(self.collect(begun, watch, &outcome));
            tokio::select! {
                biased;
                collected = &mut collecting => collected,
                () = self.note_made(prompt_id, &outcome, started_at) => collecting.await,
            }?
        };
        if (is_recalled || collected.went_away) && collected.misses_something() {
            Arc::make_mut(&mut outcome).end = End::Lost;
        }
        let outputs = collected.outputs;
        tell_losses(prompt_id, &outputs);
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
        let end = self.note_end(prompt_id, &outcome, &outputs, (started_at, course.end()));
        tokio::join!(end, noted);
        let warnings = self.tell_end(prompt_id, &outcome, &outputs).await;
        // Finished jobs are remembered, and what was run is told by their assets.
        let outcome = Arc::new(Outcome {
            prompt: Value::Null,
            extra_data: Value::Null,
            messages: Value::Null,
            ..Arc::unwrap_or_clone(outcome)
        });
        Ok(Arc::new(Finished {
            outcome,
            outputs,
            warnings,
        }))
    }

    /// Notes what a job took of the server's card.
    fn note_memory(
        &self,
        memory: Option<MemoryWatch>,
        watch: &Watch,
        outcome: &Outcome,
    ) -> Option<JoinHandle<()>> {
        let observations = self.0.observations.as_ref()?;
        // What another process submitted is known by the history, and counts if it was seen to run.
        let own = watch.submission().map(|submission| submission.prompt);
        let prompt = own.or_else(|| memory.is_some().then(|| outcome.prompt.clone()))?;
        // A job may be over before its beginning is heard of.
        let memory = memory.unwrap_or_else(|| MemoryWatch::begin(&self.0.comfy, &self.0.no_card));
        Some(memory.end(prompt, outcome, observations, self.0.assets.now()))
    }

    /// Keeps what a job made, as far as that has not begun.
    async fn collect(
        &self,
        begun: Option<Collector>,
        watch: &Watch,
        outcome: &Outcome,
    ) -> Result<Collected, ComfyError> {
        if let Some(begun) = begun {
            return begun.finish(outcome).await;
        }
        if outcome.outputs.is_empty() {
            return Ok(Collected::default());
        }
        let submission = watch.submission().unwrap_or_else(|| Submission {
            prompt: outcome.prompt.clone(),
            extra_data: outcome.extra_data.clone(),
        });
        let (comfy, assets) = self.services();
        let collector = Collector::new(comfy, assets, watch.prompt_id(), submission).await;
        collector.finish(outcome).await
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
        let mut beginning: Option<Begun> = None;
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
                        started_at: beginning.map(|begun| begun.at),
                        memory,
                    });
                }
                Some(Ok(event @ (JobEvent::Started | JobEvent::Node { .. }))) => {
                    match event {
                        JobEvent::Node { id, .. } => course.node_begins(id),
                        _ if beginning.is_none() => beginning = self.note_beginning(&prompt_id),
                        _ => {}
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

fn tell_losses(prompt_id: &str, outputs: &[KeptOutput]) {
    let failures = outputs.iter().filter_map(|it| it.kept.as_ref().err());
    for failure in failures {
        tracing::warn!("an output of {prompt_id} could not be kept: {failure}");
    }
}

/// What was heard of a job until its end.
struct Heard {
    outcome: Arc<Outcome>,
    begun: Option<Collector>,
    course: Course,
    /// When it was heard that the server began.
    started_at: Option<Timestamp>,
    memory: Option<MemoryWatch>,
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
