//! Writing to the ledger together.
//!
//! The jobs of a batch begin and end within milliseconds of each other, and each is to be on disk
//! before anything goes on. A turn of one's own for each would be a lock, a sync of the journal and a
//! change of the index; so whoever comes while something is written waits, and is written with all
//! others that came meanwhile. A record that changes several times by then is written once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::record::key;
use super::{Inner, JobRecord, Ledger, read};
use crate::store::{Key, Store, StoreError, Writer};

/// What is to be written.
pub(super) enum Work {
    /// New jobs.
    Enter(Vec<JobRecord>),
    /// A change of a job, by the id of its record or what the server calls it; nothing if it is none
    /// of the ledger's.
    Note(String, Change),
}

pub(super) type Change = Box<dyn FnOnce(&mut JobRecord) + Send>;

type Told = oneshot::Sender<Result<(), StoreError>>;

/// What waits to be written, and whether somebody writes.
#[derive(Default)]
pub(super) struct Pen(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<(Work, Told)>,
    is_writing: bool,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pen").finish_non_exhaustive()
    }
}

impl Ledger {
    /// Writes it down and returns when it is on disk, even if whoever asked is gone by then.
    pub(super) async fn put_down(&self, work: Work) -> Result<(), StoreError> {
        let (told, hears) = oneshot::channel();
        let is_first = {
            let mut state = self.0.pen.state();
            state.waiting.push((work, told));
            !std::mem::replace(&mut state.is_writing, true)
        };
        if is_first {
            let turn = Turn {
                inner: self.0.clone(),
                is_over: false,
            };
            spawn_blocking(move || turn.write_all());
        }
        hears.await.unwrap_or_else(|_| {
            let error = io::Error::other("the writing broke off");
            Err(StoreError::io("use", &self.0.dir)(error))
        })
    }
}

impl Pen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<(Work, Told)> {
        std::mem::take(&mut self.state().waiting)
    }

    /// Whether nothing waits; from then on nobody writes.
    fn put_away(&self) -> bool {
        let mut state = self.state();
        state.is_writing = !state.waiting.is_empty();
        !state.is_writing
    }
}

/// The turn of one who writes. One that breaks, or never begins because the runtime ends, leaves the
/// pen to the next, and those who wait hear that theirs was not written.
struct Turn {
    inner: Arc<Inner>,
    is_over: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.inner.pen.state();
            state.waiting.clear();
            state.is_writing = false;
        }
    }
}

impl Turn {
    fn write_all(mut self) {
        loop {
            let (work, told): (Vec<_>, Vec<_>) = self.inner.pen.take().into_iter().unzip();
            let written = match write(&self.inner, work) {
                Ok(written) => written,
                Err(error) => {
                    let failed = told.iter().map(|_| Err(again(&error, &self.inner)));
                    failed.collect()
                }
            };
            let answers = told.into_iter().zip(written);
            self.is_over = self.inner.pen.put_away();
            if self.is_over {
                // The ledger is let go of before the last who waits goes on.
                drop(self);
                tell(answers);
                return;
            }
            tell(answers);
        }
    }
}

fn tell(answers: impl Iterator<Item = (Told, Result<(), StoreError>)>) {
    for (told, written) in answers {
        // Whoever asked may be gone.
        let _ = told.send(written);
    }
}

/// Does all of it in one turn; says of each how it went.
fn write(inner: &Inner, work: Vec<Work>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let store = inner.store()?;
    if work.iter().any(|work| matches!(work, Work::Enter(_))) {
        inner.processes.announce()?;
    }
    store.write(|writer| {
        let mut page = BTreeMap::new();
        let done = work.into_iter().map(|work| match work {
            Work::Enter(jobs) => {
                for mut job in jobs {
                    inner.processes.name().clone_into(&mut job.process);
                    page.insert(job.prompt_id.clone(), job);
                }
                Ok(())
            }
            Work::Note(id, change) => {
                if let Some(job) = open(&mut page, &store, writer, id)? {
                    change(job);
                }
                Ok(())
            }
        });
        let done: Vec<_> = done.collect();
        for (id, job) in &page {
            writer.put(id, &json!(job))?;
        }
        Ok::<_, StoreError>(done)
    })
}

/// The record of a job as it stands by now.
fn open<'p>(
    page: &'p mut BTreeMap<String, JobRecord>,
    store: &Store,
    writer: &Writer<'_>,
    id: String,
) -> Result<Option<&'p mut JobRecord>, StoreError> {
    // An id that can't be one of ours is nobody's.
    if store.path(&id).is_err() {
        return Ok(None);
    }
    if !page.contains_key(&id) {
        if let Some(job) = read(store, &id)? {
            page.insert(id.clone(), job);
        } else {
            let called = Key::new(key::PROMPT, id);
            let Some((record_id, _)) = writer.newest(Some(&called), None, 1)?.pop() else {
                return Ok(None);
            };
            if !page.contains_key(&record_id)
                && let Some(job) = read(store, &record_id)?
            {
                page.insert(record_id.clone(), job);
            }
            return Ok(page.get_mut(&record_id));
        }
    }
    Ok(page.get_mut(&id))
}

/// The same error for another who waited.
fn again(error: &StoreError, inner: &Inner) -> StoreError {
    let (action, path, kind) = match error {
        StoreError::Io {
            action,
            path,
            source,
        } => (*action, path.as_path(), source.kind()),
        _ => ("use", inner.dir.as_path(), io::ErrorKind::Other),
    };
    let said = match error {
        StoreError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    StoreError::io(action, path)(io::Error::new(kind, said))
}
