//! Changes to records, made by one process at a time.

use serde_json::Value;

use super::index::Index;
use super::journal::Change;
use super::lock::Held;
use super::tail::As;
use super::{Key, Row, Store, StoreError, files};

/// Writes records while all other writers wait. Got from [`Store::write`].
///
/// What it reads is the state before its own changes.
#[derive(Debug)]
pub struct Writer<'a> {
    store: &'a Store,
    held: Held<'a>,
    noted: Vec<String>,
    changes: Vec<Change>,
}

impl<'a> Writer<'a> {
    /// Begins to write: waits for its turn, catches up, and finishes what a process that died
    /// while writing left half done.
    pub(super) fn begin(store: &'a Store) -> Result<Self, StoreError> {
        let mut held = store.lock.hold()?;
        store.check_journal()?;
        let noted = held.pending()?;
        let mut writer = Self {
            store,
            held,
            noted,
            changes: Vec::new(),
        };
        if !writer.noted.is_empty() {
            tracing::info!(
                records = writer.noted.len(),
                "finishing what a process that died left half done"
            );
            writer.settle()?;
        }
        Ok(writer)
    }

    /// Creates or replaces the record `id`.
    pub fn put(&mut self, id: &str, record: &Value) -> Result<(), StoreError> {
        let path = self.store.path(id)?;
        self.note(id)?;
        let mut json = serde_json::to_vec_pretty(record)
            .map_err(|error| StoreError::io("write", &path)(error.into()))?;
        json.push(b'\n');
        files::write_atomic(&self.store.temp(), &path, &json)?;
        let row = (self.store.schema.row)(record);
        self.changes.push(Change::Put {
            id: id.to_owned(),
            row,
        });
        Ok(())
    }

    /// Removes the record `id`; that there is none is fine.
    pub fn remove(&mut self, id: &str) -> Result<(), StoreError> {
        let path = self.store.path(id)?;
        self.note(id)?;
        files::remove(&path)?;
        self.changes.push(Change::Drop { id: id.to_owned() });
        Ok(())
    }

    /// See [`Store::newest`].
    pub fn newest(
        &self,
        key: Option<&Key>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Row)>, StoreError> {
        self.ask(|index| index.newest(key, before)?.take(limit).collect())
    }

    /// See [`Store::count`].
    pub fn count(&self, key: Option<&Key>) -> Result<u64, StoreError> {
        self.ask(|index| index.count(key))
    }

    /// See [`Store::row`].
    pub fn row(&self, id: &str) -> Result<Option<Row>, StoreError> {
        self.ask(|index| index.row(id))
    }

    /// Makes the changes known to everyone.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.store.tail.append(&self.changes)?;
        self.changes.clear();
        self.done()?;
        if let Err(error) = self.store.fold_if_long() {
            tracing::warn!(%error, "the journal could not be folded; a later change tries again");
        }
        Ok(())
    }

    /// Makes the journal say what the files say, about every record that was noted.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for id in &self.noted {
            let known = self.row(id)?;
            match self.store.record(id) {
                Ok(Some(record)) => {
                    let row = (self.store.schema.row)(&record);
                    if known.as_ref() != Some(&row) {
                        changes.push(Change::Put {
                            id: id.clone(),
                            row,
                        });
                    }
                }
                Ok(None) if known.is_some() => changes.push(Change::Drop { id: id.clone() }),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, id, "left a damaged record as it is"),
            }
        }
        self.store.tail.append(&changes)?;
        self.changes.clear();
        self.done()
    }

    fn ask<T>(
        &self,
        ask: impl Fn(&Index) -> Result<T, super::index::Broken>,
    ) -> Result<T, StoreError> {
        self.store.tail.read(As::Writer, ask)
    }

    fn note(&mut self, id: &str) -> Result<(), StoreError> {
        self.held.note(id)?;
        self.noted.push(id.to_owned());
        Ok(())
    }

    fn done(&mut self) -> Result<(), StoreError> {
        if !self.noted.is_empty() {
            self.held.done()?;
            self.noted.clear();
        }
        Ok(())
    }
}
