//! The store itself: records by id, found by their keys, newest first.

use std::fs;
use std::io::ErrorKind;
use std::iter;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fold::index_records;
use super::index::{Broken, Index};
use super::journal::{Found, Journal};
use super::lock::WriteLock;
use super::slot::Slot;
use super::tail::{As, Tail, unreadable};
use super::{Key, Row, StoreError, Writer, files};
use crate::clock::Clock;
use crate::ids::Ids;

/// What the records of a store are.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Raised when [`Schema::row`] changes its mind: everything is indexed anew from the records.
    pub version: u32,
    /// Says by what a record is found.
    pub row: fn(&Value) -> Row,
    /// Names of the keys that many records share, such that [`Store::count`] should know at once
    /// how many.
    pub counted: &'static [&'static str],
}

/// Records in a folder. Ids sort by the time of their making, so the order of ids is the order of
/// age.
#[derive(Debug)]
pub struct Store {
    pub(super) dir: PathBuf,
    pub(super) ids: Ids,
    pub(super) schema: Schema,
    pub(super) lock: WriteLock,
    pub(super) tail: Tail,
}

/// What [`Store::rebuild`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many records there are.
    pub records: u64,
    /// Files that aren't records; they stay where they are.
    pub damaged: Vec<PathBuf>,
}

impl Store {
    /// Opens the store in `dir`, making it if there is none; from then on it takes no longer for many
    /// records than for few. The index is brought up to date by the first read, not here.
    pub fn open(dir: &Path, schema: Schema, clock: &Clock, ids: &Ids) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
        files::sweep_temp(&dir.join("tmp"), clock.now());
        let lock = WriteLock::open(dir.join("write.lock"))?;
        let path = dir.join("journal.jsonl");
        let journal = match Journal::open(&path, schema.version)? {
            Found::Journal(journal) => journal,
            Found::None => {
                let _held = lock.hold()?;
                journal_or_new(dir, &path, schema, ids)?
            }
        };
        let tail = |journal| {
            let slot = Slot::take(&dir.join("index"), schema.counted)?;
            Tail::new(dir, schema.version, slot, journal)
        };
        let tail = match tail(journal) {
            Err(error @ StoreError::Segment { .. }) => {
                tracing::warn!(%error, "everything is indexed anew from the records");
                let _held = lock.hold()?;
                tail(new_journal(dir, &path, schema, ids)?)?
            }
            tail => tail?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            ids: ids.clone(),
            schema,
            lock,
            tail,
        })
    }

    /// The record `id`, read from its file.
    pub fn record(&self, id: &str) -> Result<Option<Value>, StoreError> {
        read_record(&self.path(id)?)
    }

    /// What the index knows of the record `id`.
    pub fn row(&self, id: &str) -> Result<Option<Row>, StoreError> {
        self.ask(|index| index.row(id))
    }

    /// Up to `limit` records from the newest to the oldest: those that have `key` if one is
    /// given, older than the id `before` if one is given.
    pub fn newest(
        &self,
        key: Option<&Key>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Row)>, StoreError> {
        self.ask(|index| index.newest(key, before)?.take(limit).collect())
    }

    /// Up to `limit` records from the oldest to the newest, newer than the id `after` if one is
    /// given.
    pub fn oldest(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Row)>, StoreError> {
        self.ask(|index| index.oldest(after)?.take(limit).collect())
    }

    /// Up to `limit` ids of records whose key `name` has a value up to and including `value` (in
    /// the order of strings), the smallest value first.
    pub fn up_to(&self, name: &str, value: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        self.ask(|index| index.up_to(name, value)?.take(limit).collect())
    }

    /// How many records have `key`; how many there are for `None`. With names in
    /// [`Schema::counted`] that takes no longer for many.
    pub fn count(&self, key: Option<&Key>) -> Result<u64, StoreError> {
        self.ask(|index| index.count(key))
    }

    /// Does `work` while no other process or thread writes. When it returns, its changes are on
    /// disk and seen by all; when it fails, what it had changed by then stays changed.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = Writer::begin(self)?;
        match work(&mut writer) {
            Ok(done) => {
                writer.commit()?;
                Ok(done)
            }
            Err(error) => {
                if let Err(error) = writer.settle() {
                    tracing::warn!(%error, "the next writer has to finish what failed here");
                }
                Err(error)
            }
        }
    }

    /// Writes the index to disk, so that the next start has nothing to catch up with.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.ask(Index::flush)
    }

    /// All files of records, damaged ones included, in no order. After an error there may be more
    /// of them than were told.
    pub fn record_files(&self) -> impl Iterator<Item = Result<PathBuf, StoreError>> + use<> {
        record_files(&self.dir.join("records"))
    }

    /// The folder of files being written, on the same file system as the rest.
    #[must_use]
    pub fn temp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// The file of the record `id`.
    pub fn path(&self, id: &str) -> Result<PathBuf, StoreError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.len() < 2 || id.len() > 100 || !id.bytes().all(fits) {
            return Err(StoreError::BadId(id.to_owned()));
        }
        // The last letters of an id are chance, the first ones the time.
        let shard = id[id.len() - 2..].to_ascii_lowercase();
        Ok(self
            .dir
            .join("records")
            .join(shard)
            .join(format!("{id}.json")))
    }

    /// Asks the index. If a part that all processes share is damaged, everything is indexed anew
    /// first.
    pub(super) fn ask<T>(
        &self,
        ask: impl Fn(&Index) -> Result<T, Broken>,
    ) -> Result<T, StoreError> {
        match self.tail.read(As::Reader, &ask) {
            Err(error @ StoreError::Segment { .. }) => {
                tracing::warn!(%error, "waits its turn to index everything anew");
                self.ask_mended(ask)
            }
            answer => answer,
        }
    }

    /// Asks again, alone: of all who meet the same damage only the first has to mend it.
    fn ask_mended<T>(&self, ask: impl Fn(&Index) -> Result<T, Broken>) -> Result<T, StoreError> {
        let held = self.lock.hold()?;
        match self.tail.read(As::Writer, &ask) {
            Err(error @ StoreError::Segment { .. }) => {
                tracing::warn!(%error, "everything is indexed anew from the records");
                self.rebuild_held(&held)?;
                self.tail.read(As::Writer, ask)
            }
            answer => answer,
        }
    }

    /// Makes sure that what is appended to is the journal in the folder. The caller holds the
    /// write lock.
    pub(super) fn check_journal(&self) -> Result<(), StoreError> {
        self.tail.read(As::Writer, |_| Ok(()))?;
        if self.tail.is_in_place() {
            return Ok(());
        }
        tracing::warn!(dir = %self.dir.display(), "the journal was changed by other hands");
        self.tail.reopen(journal_or_new(
            &self.dir,
            &self.journal_path(),
            self.schema,
            &self.ids,
        )?)
    }

    fn journal_path(&self) -> PathBuf {
        self.dir.join("journal.jsonl")
    }
}

/// The journal in the folder, made from the records if there is none that serves.
fn journal_or_new(
    dir: &Path,
    path: &Path,
    schema: Schema,
    ids: &Ids,
) -> Result<Journal, StoreError> {
    if let Found::Journal(journal) = Journal::open(path, schema.version)? {
        return Ok(journal);
    }
    new_journal(dir, path, schema, ids)
}

/// A new journal that goes on from what the records say. The caller holds the write lock.
fn new_journal(dir: &Path, path: &Path, schema: Schema, ids: &Ids) -> Result<Journal, StoreError> {
    let (segments, _) = index_records(dir, schema, ids)?;
    let (temp, id) = (dir.join("tmp"), ids.random());
    Journal::create(path, &temp, schema.version, &id, &segments)?;
    match Journal::open(path, schema.version)? {
        Found::Journal(journal) => Ok(journal),
        Found::None => Err(unreadable(path)),
    }
}

/// All record files, without holding their names in memory at once. A folder that can't be read is
/// an error: whoever takes its records for gone removes what they name.
pub(super) fn record_files(
    folder: &Path,
) -> impl Iterator<Item = Result<PathBuf, StoreError>> + use<> {
    let files = entries(folder).flat_map(|shard| -> Paths {
        match shard {
            Ok(shard) => entries(&shard),
            Err(error) => Box::new(iter::once(Err(error))),
        }
    });
    files.filter(|file| {
        file.as_ref().map_or(true, |path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
    })
}

type Paths = Box<dyn Iterator<Item = Result<PathBuf, StoreError>>>;

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> Paths {
    let folder = folder.to_owned();
    match fs::read_dir(&folder) {
        Ok(entries) => Box::new(entries.map(move |entry| match entry {
            Ok(entry) => Ok(entry.path()),
            Err(error) => Err(StoreError::io("read", &folder)(error)),
        })),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Box::new(iter::empty())
        }
        Err(error) => Box::new(iter::once(Err(StoreError::io("read", &folder)(error)))),
    }
}

pub(super) fn read_record(path: &Path) -> Result<Option<Value>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| StoreError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}
