//! The ordered index of one process. The only file that knows sled.
//!
//! sled locks its folder, so two processes can't share an index; and it's allowed to be lost,
//! because the journal and the records can make it again. That's why nothing here syncs on every
//! change: the journal position lies in the same tree as what was made of it, so after a crash the
//! index merely stands a little further back.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::Change;
use super::row::{self, Key, Row, space};

/// sled's default is 1 GiB; the file system caches the same pages, so little is lost by a small one.
const CACHE_BYTES: u64 = 4 << 20;

/// How much may have to be caught up with after a crash.
const FLUSH_EVERY_MS: u64 = 500;

/// Raised when the layout of the tree changes: an index of another layout is thrown away.
const LAYOUT: u32 = 1;

const TREE: &str = "index";

/// How far in which journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) journal: String,
    pub(super) offset: u64,
}

#[derive(Serialize, Deserialize)]
struct Stand {
    layout: u32,
    position: Position,
}

/// The database doesn't work; what it said. It's to be thrown away.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

impl From<sled::Error> for Broken {
    fn from(error: sled::Error) -> Self {
        Self(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Broken>;

/// Rows by id and by key, with the number of rows under each key.
#[derive(Debug)]
pub(super) struct Index {
    db: sled::Db,
    tree: sled::Tree,
    /// Names of the keys of which it's known without looking how many rows have them.
    counted: &'static [&'static str],
}

impl Index {
    pub(super) fn open(folder: &Path, counted: &'static [&'static str]) -> Result<Self> {
        // sled panics on some kinds of damage; to us that's the same as an error.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .open()?;
            let tree = db.open_tree(TREE)?;
            Ok::<_, sled::Error>(Self { db, tree, counted })
        }));
        Ok(opened.map_err(|_| Broken("it panicked while opening".to_owned()))??)
    }

    /// Where this index stands; the beginning of no journal when it's new or of another layout.
    pub(super) fn position(&self) -> Result<Position> {
        let bytes = self.tree.get([space::META])?;
        let stand = bytes.and_then(|bytes| serde_json::from_slice::<Stand>(&bytes).ok());
        Ok(stand
            .filter(|stand| stand.layout == LAYOUT)
            .map_or_else(Position::default, |stand| stand.position))
    }

    /// Makes all changes and moves the position, together or not at all.
    pub(super) fn apply(&self, changes: Vec<Change>, position: &Position) -> Result<()> {
        let mut staged = Staged::new(self);
        staged.take(changes)?;
        let mut batch = sled::Batch::default();
        for (key, value) in staged.entries {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        for (key, count) in staged.counts {
            batch.insert(key, &count.to_be_bytes());
        }
        batch.insert(&[space::META], stand_at(position)?);
        Ok(self.tree.apply_batch(batch)?)
    }

    /// Takes a long journal into an empty index, many times faster than [`Index::apply`] does.
    /// Until the last step the index says that it knows nothing, so a crash merely wastes the work.
    pub(super) fn load(
        &self,
        mut next: impl FnMut() -> std::io::Result<Option<(Vec<Change>, Position)>>,
    ) -> std::io::Result<Result<Option<Position>>> {
        // An attempt that failed halfway has left rows that were never counted.
        if let Err(broken) = self.clear() {
            return Ok(Err(broken));
        }
        let mut counts = HashMap::new();
        let mut reached = None;
        while let Some((changes, position)) = next()? {
            match self.load_some(changes, counts) {
                Ok(counted) => counts = counted,
                Err(broken) => return Ok(Err(broken)),
            }
            reached = Some(position);
        }
        let finish = || {
            for (key, count) in counts {
                self.tree.insert(key, &count.to_be_bytes())?;
            }
            if let Some(position) = &reached {
                self.tree.insert([space::META], stand_at(position)?)?;
            }
            self.flush()
        };
        Ok(finish().map(|()| reached))
    }

    fn load_some(&self, changes: Vec<Change>, counts: Counts) -> Result<Counts> {
        let mut staged = Staged::new(self);
        staged.counts = counts;
        staged.take(changes)?;
        // In order, so that each page is touched once; a batch would go through them at random.
        for (key, value) in staged.entries {
            match value {
                Some(value) => self.tree.insert(key, value)?,
                None => self.tree.remove(key)?,
            };
        }
        Ok(staged.counts)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) -> Result<()> {
        Ok(self.tree.clear()?)
    }

    pub(super) fn row(&self, id: &str) -> Result<Option<Row>> {
        self.tree
            .get(row::row_key(id))?
            .map(|bytes| read_row(&bytes))
            .transpose()
    }

    /// How many rows have the key; all rows for `None`.
    pub(super) fn count(&self, key: Option<&Key>) -> Result<u64> {
        match key {
            Some(key) if !self.is_counted(key) => {
                let entries = self
                    .tree
                    .scan_prefix(row::key_prefix(space::KEY, key))
                    .keys();
                let count = entries
                    .map(|entry| entry.map(|_| 1_u64))
                    .sum::<sled::Result<u64>>();
                Ok(count?)
            }
            key => self.stored_count(&count_key(key)),
        }
    }

    fn is_counted(&self, key: &Key) -> bool {
        self.counted.contains(&key.0.as_str())
    }

    fn stored_count(&self, key: &[u8]) -> Result<u64> {
        Ok(self.tree.get(key)?.map_or(0, |bytes| read_count(&bytes)))
    }

    /// Ids and rows from the newest to the oldest, those with the key if one is given, below the
    /// id `before` if one is given.
    pub(super) fn newest(
        &self,
        key: Option<&Key>,
        before: Option<&str>,
    ) -> impl Iterator<Item = Result<(String, Row)>> + use<> {
        let start = key.map_or_else(|| vec![space::ROW], |key| row::key_prefix(space::KEY, key));
        let mut end = start.clone();
        match (before, end.last_mut()) {
            (Some(id), _) => row::encode_id(id, &mut end),
            (None, Some(last)) => *last += 1,
            (None, None) => {}
        }
        let (tree, skip, by_key) = (self.tree.clone(), start.len(), key.is_some());
        self.tree.range(start..end).rev().filter_map(move |entry| {
            let read = || {
                let (bytes, value) = entry?;
                let id = row::decode_id(&bytes[skip..])
                    .ok_or_else(|| Broken("an entry has no id".to_owned()))?;
                if !by_key {
                    return Ok(Some((id, read_row(&value)?)));
                }
                // A row removed between the two reads is no row any more.
                let row = tree.get(row::row_key(&id))?;
                row.map(|row| Ok((id, read_row(&row)?))).transpose()
            };
            read().transpose()
        })
    }

    /// The ids whose key `name` has a value up to and including `value`, smallest value first.
    pub(super) fn up_to(
        &self,
        name: &str,
        value: &str,
    ) -> impl Iterator<Item = Result<String>> + use<> {
        let start = row::name_prefix(name);
        let mut end = row::key_prefix(space::KEY, &Key::new(name, value));
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let skip = start.len();
        self.tree
            .range((Bound::Included(start), Bound::Excluded(end)))
            .keys()
            .map(move |bytes| {
                let bytes = bytes?;
                let rest = &bytes[skip..];
                // Inside a value there is no zero.
                let id = rest
                    .iter()
                    .position(|&byte| byte == 0)
                    .and_then(|at| row::decode_id(&rest[at + 1..]));
                id.ok_or_else(|| Broken("an entry has no id".to_owned()))
            })
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush()?;
        Ok(())
    }
}

type Counts = HashMap<Vec<u8>, u64>;

/// Changes on their way into the tree, seen over what it holds.
struct Staged<'a> {
    index: &'a Index,
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    rows: HashMap<String, Option<Row>>,
    counts: Counts,
}

impl<'a> Staged<'a> {
    fn new(index: &'a Index) -> Self {
        Self {
            index,
            entries: BTreeMap::new(),
            rows: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    fn take(&mut self, changes: Vec<Change>) -> Result<()> {
        for change in changes {
            match change {
                Change::Put { id, row } => self.replace(id, Some(row))?,
                Change::Drop { id } => self.replace(id, None)?,
                Change::Moved => {}
            }
        }
        Ok(())
    }

    fn replace(&mut self, id: String, row: Option<Row>) -> Result<()> {
        let old = match self.rows.get(&id) {
            Some(staged) => staged.clone(),
            None => self.index.row(&id)?,
        };
        if old == row {
            return Ok(());
        }
        let all = i64::from(row.is_some()) - i64::from(old.is_some());
        self.count(None, all)?;
        for key in old.iter().flat_map(|row| &row.keys) {
            self.entries.insert(entry_key(key, &id), None);
            self.count(Some(key), -1)?;
        }
        for key in row.iter().flat_map(|row| &row.keys) {
            self.entries.insert(entry_key(key, &id), Some(Vec::new()));
            self.count(Some(key), 1)?;
        }
        let json = row.as_ref().map(serde_json::to_vec).transpose();
        let json = json.map_err(|error| Broken(error.to_string()))?;
        self.entries.insert(row::row_key(&id), json);
        self.rows.insert(id, row);
        Ok(())
    }

    fn count(&mut self, key: Option<&Key>, by: i64) -> Result<()> {
        if by == 0 || key.is_some_and(|key| !self.index.is_counted(key)) {
            return Ok(());
        }
        let bytes = count_key(key);
        let now = match self.counts.get(&bytes) {
            Some(&staged) => staged,
            None => self.index.stored_count(&bytes)?,
        };
        self.counts.insert(bytes, now.saturating_add_signed(by));
        Ok(())
    }
}

fn stand_at(position: &Position) -> Result<Vec<u8>> {
    let stand = Stand {
        layout: LAYOUT,
        position: position.clone(),
    };
    serde_json::to_vec(&stand).map_err(|error| Broken(error.to_string()))
}

fn entry_key(key: &Key, id: &str) -> Vec<u8> {
    let mut bytes = row::key_prefix(space::KEY, key);
    row::encode_id(id, &mut bytes);
    bytes
}

fn count_key(key: Option<&Key>) -> Vec<u8> {
    key.map_or_else(
        || vec![space::COUNT],
        |key| row::key_prefix(space::COUNT, key),
    )
}

fn read_count(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn read_row(bytes: &[u8]) -> Result<Row> {
    serde_json::from_slice(bytes).map_err(|error| Broken(format!("a row is damaged: {error}")))
}
