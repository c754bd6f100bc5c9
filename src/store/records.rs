//! The store itself: records by id, found by their keys, newest first.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::index::Index;
use super::journal::{Change, Found, Journal};
use super::lock::WriteLock;
use super::slot::Slot;
use super::tail::{As, Tail};
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
    dir: PathBuf,
    ids: Ids,
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
    /// Opens the store in `dir`, making it if there is none. The index is brought up to date by
    /// the first read, not here.
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
        let slot = Slot::take(&dir.join("index"), schema.counted)?;
        let tail = Tail::new(path, schema.version, slot, journal)?;
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
        self.tail.read(As::Reader, |index| index.row(id))
    }

    /// Up to `limit` records from the newest to the oldest: those that have `key` if one is
    /// given, older than the id `before` if one is given.
    pub fn newest(
        &self,
        key: Option<&Key>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Row)>, StoreError> {
        self.tail.read(As::Reader, |index| {
            index.newest(key, before).take(limit).collect()
        })
    }

    /// Up to `limit` ids of records whose key `name` has a value up to and including `value` (in
    /// the order of strings), the smallest value first.
    pub fn up_to(&self, name: &str, value: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        self.tail.read(As::Reader, |index| {
            index.up_to(name, value).take(limit).collect()
        })
    }

    /// How many records have `key`; how many there are for `None`. With names in
    /// [`Schema::counted`] that takes no longer for many.
    pub fn count(&self, key: Option<&Key>) -> Result<u64, StoreError> {
        self.tail.read(As::Reader, |index| index.count(key))
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

    /// Reads every record's file and indexes it anew, for when files were changed by other hands.
    pub fn rebuild(&self) -> Result<Rebuilt, StoreError> {
        let _held = self.lock.hold()?;
        self.check_journal()?;
        let mut rebuilt = Rebuilt::default();
        self.tail.replace_journal(|_, _| {
            rebuilt = journal_from_records(&self.dir, self.schema, &self.ids)?;
            Ok(())
        })?;
        Ok(rebuilt)
    }

    /// Writes the journal anew if it's `threshold` bytes or longer and consists mostly of records
    /// that are gone or have changed since. Says whether it did.
    pub fn compact(&self, threshold: u64) -> Result<bool, StoreError> {
        if self.tail.journal_len()? < threshold {
            return Ok(false);
        }
        let _held = self.lock.hold()?;
        self.check_journal()?;
        let bloated = self.tail.read(As::Writer, |index| {
            let sample = index
                .newest(None, None)
                .take(100)
                .collect::<Result<Vec<_>, _>>()?;
            let bytes: usize = sample.iter().map(|(_, row)| line_len(row)).sum();
            let live = index.count(None)? * (bytes / sample.len().max(1)) as u64;
            Ok(live)
        })?;
        if self.tail.journal_len()? < 2 * bloated {
            return Ok(false);
        }
        let (path, temp, id) = (self.journal_path(), self.temp(), self.ids.random());
        self.tail.replace_journal(|index, before| {
            let mut puts = index.newest(None, None).map(|entry| {
                let (id, row) = entry.map_err(|broken| StoreError::Index {
                    path: self.tail.slot().folder().to_owned(),
                    reason: broken.0,
                })?;
                Ok(Change::Put { id, row })
            });
            Journal::create(&path, &temp, self.schema.version, &id, before, &mut puts)
        })?;
        Ok(true)
    }

    /// Writes the index to disk, so that the next start has nothing to catch up with.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.tail.read(As::Reader, Index::flush)
    }

    /// All files of records, damaged ones included, in no order.
    pub fn record_files(&self) -> impl Iterator<Item = PathBuf> + use<> {
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

fn line_len(row: &Row) -> usize {
    const AROUND_A_ROW: usize = 70;
    row.text.len()
        + row
            .keys
            .iter()
            .map(|key| key.0.len() + key.1.len() + 8)
            .sum::<usize>()
        + AROUND_A_ROW
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
    journal_from_records(dir, schema, ids)?;
    match Journal::open(path, schema.version)? {
        Found::Journal(journal) => Ok(journal),
        Found::None => Err(StoreError::Damaged {
            path: path.to_owned(),
            reason: "it was written just now and can't be read".to_owned(),
        }),
    }
}

fn journal_from_records(dir: &Path, schema: Schema, ids: &Ids) -> Result<Rebuilt, StoreError> {
    let (path, temp, records) = (
        dir.join("journal.jsonl"),
        dir.join("tmp"),
        dir.join("records"),
    );
    let mut rebuilt = Rebuilt::default();
    let mut puts = record_files(&records).filter_map(|path| {
        let id = path.file_stem()?.to_str()?.to_owned();
        match read_record(&path) {
            Ok(Some(record)) => {
                rebuilt.records += 1;
                Some(Ok(Change::Put {
                    id,
                    row: (schema.row)(&record),
                }))
            }
            Ok(None) => None,
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "passed over a damaged record");
                rebuilt.damaged.push(path);
                None
            }
            Err(error) => Some(Err(error)),
        }
    });
    Journal::create(&path, &temp, schema.version, &ids.random(), "", &mut puts)?;
    Ok(rebuilt)
}

/// All record files, without holding their names in memory at once.
fn record_files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let shards = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
    files.map(|file| file.path()).filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    })
}

fn read_record(path: &Path) -> Result<Option<Value>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| StoreError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}
