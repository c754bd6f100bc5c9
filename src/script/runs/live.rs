//! A run that goes on within this process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::folder::Folder;
use super::{Record, RunError, Status};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::script::course::Course;
use crate::script::{Progress, Reply};

/// Signs of life that a listener may be behind before it misses some.
const BACKLOG: usize = 256;

/// A run of this process. Cheap to clone; it goes on when all of them are dropped.
#[derive(Clone, Debug)]
pub struct Run(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Arc<Folder>,
    clock: Clock,
    cancel: CancellationToken,
    state: Mutex<State>,
    /// Held while the file is written, so that the newest state is what stays in it.
    writing: Mutex<()>,
    signs: broadcast::Sender<Progress>,
    ended: watch::Sender<Option<Result<Reply, Failure>>>,
}

#[derive(Debug)]
struct State {
    record: Record,
    course: Course,
    /// Whether it is written down.
    kept: bool,
    /// Whether more is known than is written down.
    changed: bool,
}

impl Run {
    pub(super) fn new(
        record: Record,
        kept: bool,
        cancel: CancellationToken,
        folder: Arc<Folder>,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            folder,
            clock,
            cancel,
            state: Mutex::new(State {
                record,
                course: Course::default(),
                kept,
                changed: false,
            }),
            writing: Mutex::default(),
            signs: broadcast::channel(BACKLOG).0,
            ended: watch::channel(None).0,
        }))
    }

    /// What is known of it now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.state().record.clone()
    }

    /// What it is called.
    pub(super) fn run_id(&self) -> String {
        self.state().record.run_id.clone()
    }

    /// Its signs of life from now on.
    #[must_use]
    pub fn signs(&self) -> broadcast::Receiver<Progress> {
        self.0.signs.subscribe()
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Result<Reply, Failure> {
        let mut ended = self.0.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(result) => result.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| Err(super::take_up::vanished(&self.record())))
    }

    /// Waits for its end and passes its signs of life on.
    pub async fn ended_with(&self, report: impl Fn(Progress)) -> Result<Reply, Failure> {
        let mut signs = self.signs();
        let ended = self.ended();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                biased;
                sign = signs.recv() => match sign {
                    Ok(sign) => report(sign),
                    // Those that were missed are old.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return ended.await,
                },
                result = &mut ended => return result,
            }
        }
    }

    /// Ends it, and its jobs with it.
    pub fn cancel(&self) {
        self.0.cancel.cancel();
    }

    /// Writes it down, from now on, so that everybody can ask for it.
    pub async fn keep(&self) -> Result<Record, RunError> {
        let this = self.clone();
        blocking(move || {
            this.state().kept = true;
            this.write().inspect_err(|_| this.state().kept = false)
        })
        .await
    }

    /// The same from a thread that may wait for the disk.
    pub(super) fn keep_here(&self) -> Result<(), RunError> {
        if self.is_kept() {
            return Ok(());
        }
        self.state().kept = true;
        let written = self.write();
        written.inspect_err(|_| self.state().kept = false)?;
        Ok(())
    }

    pub(super) fn is_kept(&self) -> bool {
        self.state().kept
    }

    /// Takes a sign of life.
    pub(super) fn hear(&self, progress: Progress) {
        let prompt_id = match &progress {
            Progress::Submitted { prompt_id } | Progress::Job { prompt_id, .. } => Some(prompt_id),
            Progress::Stage { .. } => None,
        };
        let mut state = self.state();
        let further = prompt_id
            .filter(|id| !state.record.prompt_ids.contains(id))
            .cloned();
        if let Some(report) = state.course.next(&progress) {
            state.record.progress = Some(report);
        }
        if let Some(prompt_id) = further {
            state.record.prompt_ids.push(prompt_id);
            state.changed = true;
        }
        drop(state);
        // Nobody may be listening.
        let _ = self.0.signs.send(progress);
    }

    pub(super) fn end(&self, result: Result<Reply, Failure>) {
        let mut state = self.state();
        state.record.end(result, self.0.clock.now());
        state.changed = true;
    }

    /// Tells whoever waits for its end what came of it.
    pub(super) fn tell_end(&self) {
        let result = self.state().record.result();
        self.0.ended.send_replace(result);
    }

    /// Whether its end was told.
    pub(super) fn is_over(&self) -> bool {
        self.0.ended.borrow().is_some()
    }

    /// Writes down what is not, and says whether all is: what can't be written is still told by
    /// this process. Waits for the disk.
    pub(super) fn write_news(&self) -> bool {
        let state = self.state();
        let (is_news, run_id) = (state.kept && state.changed, state.record.run_id.clone());
        drop(state);
        if !is_news {
            return true;
        }
        match self.write() {
            Ok(record) if record.result().is_some() => self.0.folder.settle(&run_id),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "{run_id} can't be written down");
                return false;
            }
        }
        true
    }

    /// Only copying holds the state up: signs of life come from threads that run scripts.
    fn write(&self) -> Result<Record, RunError> {
        let _writing = self
            .0
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        if state.record.status == Status::Working {
            state.record.updated_at = self.0.clock.now();
        }
        state.changed = false;
        let record = state.record.clone();
        drop(state);
        let written = self.0.folder.write(&record);
        written.inspect_err(|_| self.state().changed = true)?;
        Ok(record)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
