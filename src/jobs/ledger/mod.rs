//! The ledger: every job, written down before it is submitted.
//!
//! A process may be killed at any moment, and the jobs that it has queued go on. What it knew of
//! them stands in the ledger: the next process follows them to their end, keeps what they made, and
//! knows which are lost. Nothing is written or read before there is a job.

mod pen;
mod record;

pub use record::{JobRecord, JobStatus, NodeTime};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use self::pen::{Pen, Work};
use self::record::{SCHEMA, index_row, key};
use super::Origin;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::store::presence::Presence;
use crate::store::{Key, Schema, Store, StoreError};

/// How many records are read at a time.
const PAGE: usize = 500;

/// Every job of a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    clock: Clock,
    ids: Ids,
    processes: Presence,
    store: Mutex<Option<Arc<Store>>>,
    pen: Pen,
}

/// What of the ledger is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Only those that stand there.
    pub status: Option<JobStatus>,
    /// Only those of that run.
    pub run_id: Option<String>,
    /// Only those older than this record.
    pub before: Option<String>,
}

/// How many jobs were submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// All of them.
    pub(super) jobs: u64,
    /// Those with a node that runs elsewhere, for credits.
    pub(super) partner_jobs: u64,
}

impl Ledger {
    /// The ledger in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf, clock: Clock, ids: Ids) -> Self {
        Self(Arc::new(Inner {
            processes: Presence::new(dir.join("processes"), ids.random()),
            dir,
            clock,
            ids,
            store: Mutex::default(),
            pen: Pen::default(),
        }))
    }

    /// The time, as records have it.
    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// An id for a job; later ones sort behind earlier ones.
    pub(super) fn new_id(&self) -> String {
        self.0.ids.ordered()
    }

    /// A record of a job that is about to be submitted, to be filled in.
    pub(super) fn blank(&self, prompt_id: &str, server: &str) -> JobRecord {
        JobRecord {
            prompt_id: prompt_id.to_owned(),
            status: JobStatus::Queued,
            attempt: 1,
            replaces: vec![],
            partner: false,
            server: server.to_owned(),
            created_at: self.now(),
            started_at: None,
            ended_at: None,
            run_id: None,
            origin: Origin::default(),
            workflow: Value::Null,
            nodes: vec![],
            cached: vec![],
            made: None,
            outputs: vec![],
            failure: None,
            told: false,
            hook_failure: None,
            process: String::new(),
        }
    }

    /// Writes new jobs down, by the id under which each is about to be submitted.
    pub async fn enter(&self, jobs: Vec<JobRecord>) -> Result<(), StoreError> {
        self.put_down(Work::Enter(jobs)).await
    }

    /// Changes what is written of a job, if it is one of the ledger's: by the id of its record, or by
    /// what the server calls it.
    pub async fn note(
        &self,
        id: &str,
        change: impl FnOnce(&mut JobRecord) + Send + 'static,
    ) -> Result<(), StoreError> {
        if !self.exists() {
            return Ok(());
        }
        self.put_down(Work::Note(id.to_owned(), Box::new(change)))
            .await
    }

    /// What is written of the job that the server calls so, and the id of the record.
    pub async fn find(&self, prompt_id: &str) -> Result<Option<(String, JobRecord)>, StoreError> {
        if !self.exists() {
            return Ok(None);
        }
        let prompt_id = prompt_id.to_owned();
        self.work(move |_, store| {
            // An id that can't be one of ours is nobody's.
            if store.path(&prompt_id).is_err() {
                return Ok(None);
            }
            if let Some(job) = read(store, &prompt_id)? {
                return Ok(Some((prompt_id, job)));
            }
            let key = Key::new(key::PROMPT, prompt_id);
            let found = store.newest(Some(&key), None, 1)?.pop();
            let Some((id, _)) = found else {
                return Ok(None);
            };
            Ok(read(store, &id)?.map(|job| (id, job)))
        })
        .await
    }

    /// The newest jobs, with the ids of their records.
    pub async fn list(
        &self,
        query: JobQuery,
        limit: usize,
    ) -> Result<Vec<(String, JobRecord)>, StoreError> {
        if !self.exists() {
            return Ok(vec![]);
        }
        self.work(move |_, store| newest(store, &query, limit))
            .await
    }

    /// The record of a job that ended so and whose end a hook is to be told of, for the first who asks.
    pub(super) async fn claim(
        &self,
        prompt_id: &str,
        end: JobStatus,
    ) -> Result<Option<(String, JobRecord)>, StoreError> {
        let Some((id, _)) = self.find(prompt_id).await? else {
            return Ok(None);
        };
        self.work(move |_, store| {
            store.write(|writer| {
                // That a server has forgotten a job is no end of one that had ended before.
                let is_due = |job: &JobRecord| !job.told && job.status == end;
                let Some(mut job) = read(store, &id)?.filter(is_due) else {
                    return Ok(None);
                };
                job.told = true;
                writer.put(&id, &json!(job))?;
                Ok(Some((id, job)))
            })
        })
        .await
    }

    /// How many jobs were submitted since then, in a run or in all; those that were refused do not
    /// count.
    pub(super) async fn tally(
        &self,
        run_id: Option<String>,
        since: Timestamp,
    ) -> Result<Tally, StoreError> {
        if !self.exists() {
            return Ok(Tally::default());
        }
        self.work(move |_, store| {
            let mut tally = Tally::default();
            let mut query = JobQuery {
                run_id,
                ..JobQuery::default()
            };
            loop {
                let page = newest(store, &query, PAGE)?;
                let Some((last, _)) = page.last() else {
                    return Ok(tally);
                };
                query.before = Some(last.clone());
                for (_, job) in page {
                    if job.created_at < since {
                        return Ok(tally);
                    }
                    let was_refused = job.status == JobStatus::Failed && job.started_at.is_none();
                    if !was_refused {
                        tally.jobs += 1;
                        tally.partner_jobs += u64::from(job.partner);
                    }
                }
            }
        })
        .await
    }

    /// How many jobs stand there.
    pub async fn count(&self, status: JobStatus) -> Result<u64, StoreError> {
        if !self.exists() {
            return Ok(0);
        }
        self.work(move |_, store| store.count(Some(&Key::new(key::STATUS, status.as_str()))))
            .await
    }

    /// The jobs on a server that nobody looks after any more, taken over: their process is gone and
    /// they are not known to have ended.
    pub async fn take_over(&self, server: &str) -> Result<Vec<(String, JobRecord)>, StoreError> {
        if !self.exists() {
            return Ok(vec![]);
        }
        let server = server.to_owned();
        self.work(move |inner, store| {
            let is_orphan = |job: &JobRecord| {
                let is_open = !job.status.is_over() && job.server == server;
                is_open && !inner.processes.is_alive(&job.process)
            };
            let mut orphans = open(store)?;
            orphans.retain(|(_, job)| is_orphan(job));
            if orphans.is_empty() {
                return Ok(orphans);
            }
            inner.processes.announce()?;
            store.write(|writer| {
                let mut taken = vec![];
                for (id, _) in orphans {
                    // Another process may have been quicker, and writes as we do: one at a time.
                    let job = read(store, &id)?.filter(is_orphan);
                    if let Some(mut job) = job {
                        inner.processes.name().clone_into(&mut job.process);
                        writer.put(&id, &json!(job))?;
                        taken.push((id, job));
                    }
                }
                Ok(taken)
            })
        })
        .await
    }

    /// Removes what ended before `before`, and what is that old and goes on at a server to which
    /// nobody went back.
    pub async fn sweep(&self, before: Timestamp) -> Result<(), StoreError> {
        if !self.exists() {
            return Ok(());
        }
        self.work(move |inner, store| {
            let is_old = |job: &JobRecord| match job.ended_at {
                Some(ended) => ended < before,
                None => job.created_at < before && !inner.processes.is_alive(&job.process),
            };
            let mut after: Option<String> = None;
            loop {
                let page = store.oldest(after.as_deref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let mut old = vec![];
                let mut all_young = true;
                for (id, _) in &page {
                    let job = read(store, id).ok().flatten();
                    all_young &= job.as_ref().is_some_and(|job| job.created_at >= before);
                    if job.is_some_and(|job| is_old(&job)) {
                        old.push(id.clone());
                    }
                }
                if !old.is_empty() {
                    store.write(|writer| old.iter().try_for_each(|id| writer.remove(id)))?;
                }
                // The order of ids is that of age: all that follow are younger.
                if all_young {
                    break;
                }
            }
            inner.processes.sweep(before);
            Ok(())
        })
        .await
    }

    /// Whether anything was ever written down.
    fn exists(&self) -> bool {
        self.0.dir.join("journal.jsonl").exists()
    }

    /// Does something with the files, away from the async workers.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.0.clone();
        let dir = self.0.dir.clone();
        let done = spawn_blocking(move || work(&inner, &*inner.store()?)).await;
        done.unwrap_or_else(|error| Err(StoreError::io("use", &dir)(std::io::Error::other(error))))
    }
}

impl Inner {
    /// The store, opened by the first who needs it.
    fn store(&self) -> Result<Arc<Store>, StoreError> {
        let mut opened = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*opened {
            return Ok(store.clone());
        }
        let schema = Schema {
            version: SCHEMA,
            row: index_row,
            counted: &[key::STATUS, key::OPEN],
        };
        let store = Arc::new(Store::open(&self.dir, schema, &self.clock, &self.ids)?);
        *opened = Some(store.clone());
        Ok(store)
    }
}

fn read(store: &Store, id: &str) -> Result<Option<JobRecord>, StoreError> {
    let Some(record) = store.record(id)? else {
        return Ok(None);
    };
    let job = JobRecord::deserialize(&record).map_err(|error| StoreError::Damaged {
        path: store.path(id).unwrap_or_default(),
        reason: error.to_string(),
    })?;
    Ok(Some(job))
}

/// All jobs that are not known to have ended.
fn open(store: &Store) -> Result<Vec<(String, JobRecord)>, StoreError> {
    let key = Key::new(key::OPEN, "1");
    let mut found = vec![];
    let mut before: Option<String> = None;
    loop {
        let page = store.newest(Some(&key), before.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(found);
        };
        before = Some(last.clone());
        for (id, _) in page {
            match read(store, &id) {
                Ok(Some(job)) => found.push((id, job)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a job's record can't be read"),
            }
        }
    }
}

fn newest(
    store: &Store,
    query: &JobQuery,
    limit: usize,
) -> Result<Vec<(String, JobRecord)>, StoreError> {
    let status = query.status.map(JobStatus::as_str);
    let of_run = query.run_id.as_ref().map(|run| Key::new(key::RUN, run));
    let of_status = status.map(|status| Key::new(key::STATUS, status));
    let key = of_run.as_ref().or(of_status.as_ref());
    let mut found = vec![];
    let mut before = query.before.clone();
    while found.len() < limit {
        let page = store.newest(key, before.as_deref(), PAGE.min(limit))?;
        let Some((last, _)) = page.last() else { break };
        before = Some(last.clone());
        for (id, row) in page {
            let fits = of_status.as_ref().is_none_or(|key| row.has(key));
            if fits && let Some(job) = read(store, &id)? {
                found.push((id, job));
            }
        }
    }
    found.truncate(limit);
    Ok(found)
}

#[cfg(test)]
mod tests;
