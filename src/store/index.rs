//! The ordered index of one process. The only file that knows sled.
//!
//! sled locks its folder, so two processes can't share an index; and it's allowed to be lost,
//! because the journal and the records can make it again. That's why nothing here syncs on every
//! change: the journal position lies in the same tree as what was made of it, so after a crash the
//! index merely stands a little further back.

use std::collections::HashMap;
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
}

impl Index {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        // sled panics on some kinds of damage; to us that's the same as an error.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .open()?;
            let tree = db.open_tree(TREE)?;
            Ok::<_, sled::Error>(Self { db, tree })
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
        let mut batch = Staged {
            index: self,
            batch: sled::Batch::default(),
            rows: HashMap::new(),
            counts: HashMap::new(),
        };
        for change in changes {
            match change {
                Change::Put { id, row } => batch.replace(id, Some(row))?,
                Change::Drop { id } => batch.replace(id, None)?,
                Change::Moved => {}
            }
        }
        batch.commit(position)
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
        Ok(self
            .tree
            .get(count_key(key))?
            .map_or(0, |bytes| read_count(&bytes)))
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

/// Changes on their way into one batch, seen over what the tree holds.
struct Staged<'a> {
    index: &'a Index,
    batch: sled::Batch,
    rows: HashMap<String, Option<Row>>,
    counts: HashMap<Vec<u8>, u64>,
}

impl Staged<'_> {
    fn replace(&mut self, id: String, row: Option<Row>) -> Result<()> {
        let old = match self.rows.get(&id) {
            Some(staged) => staged.clone(),
            None => self.index.row(&id)?,
        };
        if old == row {
            return Ok(());
        }
        let all = i64::from(row.is_some()) - i64::from(old.is_some());
        self.count(count_key(None), all)?;
        for key in old.iter().flat_map(|row| &row.keys) {
            self.batch.remove(entry_key(key, &id));
            self.count(count_key(Some(key)), -1)?;
        }
        for key in row.iter().flat_map(|row| &row.keys) {
            self.batch.insert(entry_key(key, &id), &[]);
            self.count(count_key(Some(key)), 1)?;
        }
        match &row {
            Some(row) => {
                let json = serde_json::to_vec(row).map_err(|error| Broken(error.to_string()))?;
                self.batch.insert(row::row_key(&id), json);
            }
            None => self.batch.remove(row::row_key(&id)),
        }
        self.rows.insert(id, row);
        Ok(())
    }

    fn count(&mut self, key: Vec<u8>, by: i64) -> Result<()> {
        if by == 0 {
            return Ok(());
        }
        let now = match self.counts.get(&key) {
            Some(&staged) => staged,
            None => self
                .index
                .tree
                .get(&key)?
                .map_or(0, |bytes| read_count(&bytes)),
        };
        self.counts.insert(key, now.saturating_add_signed(by));
        Ok(())
    }

    fn commit(mut self, position: &Position) -> Result<()> {
        for (key, count) in self.counts {
            if count == 0 {
                self.batch.remove(key);
            } else {
                self.batch.insert(key, &count.to_be_bytes());
            }
        }
        let stand = Stand {
            layout: LAYOUT,
            position: position.clone(),
        };
        let stand = serde_json::to_vec(&stand).map_err(|error| Broken(error.to_string()))?;
        self.batch.insert(&[space::META], stand);
        Ok(self.index.tree.apply_batch(self.batch)?)
    }
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
