//! What is found by what: the segments that all processes share, and over them what the journal
//! has said since, which each process keeps for itself. The only file that knows sled.
//!
//! sled locks its folder, so two processes can't share what it holds; that's why it holds little:
//! the journal is folded into a segment before it gets long. It's allowed to be lost, because the
//! journal can make it again, and so nothing here syncs on every change: the journal position lies
//! in the same tree as what was made of it, so after a crash the index merely stands a little
//! further back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::journal::Change;
use super::merge::{Merged, Source};
use super::row::{self, Key, Row, space};
use super::segment::{Entry, Segment};

/// sled's default is 1 GiB; it holds a few thousand changes here.
const CACHE_BYTES: u64 = 4 << 20;

/// How much may have to be caught up with after a crash.
const FLUSH_EVERY_MS: u64 = 500;

/// Raised when the layout of the tree changes: what is of another layout is thrown away.
const LAYOUT: u32 = 2;

const TREE: &str = "index";

/// What the values in the tree begin with: a key that is gone may have to hide an older value.
const GONE: u8 = 0;
const THERE: u8 = 1;

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

/// Part of the index doesn't work; what was said.
#[derive(Debug)]
pub(super) enum Broken {
    /// The database of this process, which is to be thrown away.
    Overlay(String),
    /// A segment: everything is to be indexed anew from the records.
    Segment(String),
    /// The disk, or the system, under a segment of this name: it may be whole.
    Io(PathBuf, io::Error),
}

impl Broken {
    /// What it means that a segment can't be read.
    pub(super) fn segment(name: &str, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::NotFound => {
                Self::Segment(format!("{name}: {error}"))
            }
            _ => Self::Io(name.into(), error),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlay(said) | Self::Segment(said) => f.write_str(said),
            Self::Io(name, error) => write!(f, "{}: {error}", name.display()),
        }
    }
}

impl From<sled::Error> for Broken {
    fn from(error: sled::Error) -> Self {
        Self::Overlay(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Broken>;

/// Rows by id and by key, with the number of rows under each key.
#[derive(Clone, Debug)]
pub(super) struct Index {
    db: sled::Db,
    tree: sled::Tree,
    /// The newest first.
    segments: Vec<Arc<Segment>>,
    /// Names of the keys of which it's known without looking how many rows have them.
    counted: &'static [&'static str],
}

impl Index {
    /// Opens the database in `folder`, over no segments.
    pub(super) fn open(folder: &Path, counted: &'static [&'static str]) -> Result<Self> {
        // sled panics on some kinds of damage; to us that's the same as an error.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .open()?;
            let tree = db.open_tree(TREE)?;
            Ok::<_, sled::Error>((db, tree))
        }));
        let panicked = |_| Broken::Overlay("it panicked while opening".to_owned());
        let (db, tree) = opened.map_err(panicked)??;
        Ok(Self {
            db,
            tree,
            segments: Vec::new(),
            counted,
        })
    }

    /// The same database over these segments, the newest first.
    pub(super) fn over(&self, segments: Vec<Arc<Segment>>) -> Self {
        Self {
            segments,
            ..self.clone()
        }
    }

    pub(super) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
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
            batch.insert(key, marked(value.as_deref()));
        }
        for (key, count) in staged.counts {
            batch.insert(key, marked(Some(&count.to_be_bytes())));
        }
        let stand = Stand {
            layout: LAYOUT,
            position: position.clone(),
        };
        let stand =
            serde_json::to_vec(&stand).map_err(|error| Broken::Overlay(error.to_string()))?;
        batch.insert(&[space::META], stand);
        Ok(self.tree.apply_batch(batch)?)
    }

    /// Forgets all that lies over the segments.
    pub(super) fn clear(&self) -> Result<()> {
        Ok(self.tree.clear()?)
    }

    pub(super) fn row(&self, id: &str) -> Result<Option<Row>> {
        let bytes = self.get(&row::row_key(id))?;
        bytes.map(|bytes| read_row(&bytes)).transpose()
    }

    /// How many rows have the key; all rows for `None`.
    pub(super) fn count(&self, key: Option<&Key>) -> Result<u64> {
        match key {
            Some(key) if !self.is_counted(key) => {
                let range = all_with(row::key_prefix(space::KEY, key));
                let mut count = 0;
                for entry in self.walk(&range, false)? {
                    entry?;
                    count += 1;
                }
                Ok(count)
            }
            key => self.stored_count(&count_key(key)),
        }
    }

    /// Ids and rows from the newest to the oldest, those with the key if one is given, below the
    /// id `before` if one is given.
    pub(super) fn newest(
        &self,
        key: Option<&Key>,
        before: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<(String, Row)>>> {
        let start = key.map_or_else(|| vec![space::ROW], |key| row::key_prefix(space::KEY, key));
        let (skip, by_key) = (start.len(), key.is_some());
        let mut range = all_with(start);
        if let Some(id) = before {
            range.end.clone_from(&range.start);
            row::encode_id(id, &mut range.end);
        }
        let entries = self.walk(&range, true)?;
        Ok(entries.filter_map(move |entry| {
            let read = || {
                let (bytes, value) = entry?;
                let id = row::decode_id(&bytes[skip..]).ok_or_else(no_id)?;
                if !by_key {
                    return Ok(Some((id, read_row(&value)?)));
                }
                // A row removed between the two reads is no row any more.
                Ok(self.row(&id)?.map(|row| (id, row)))
            };
            read().transpose()
        }))
    }

    /// Ids and rows from the oldest to the newest, above the id `after` if one is given.
    pub(super) fn oldest(
        &self,
        after: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<(String, Row)>>> {
        let mut range = all_with(vec![space::ROW]);
        if let Some(id) = after {
            row::encode_id(id, &mut range.start);
            // The first key that is greater.
            range.start.push(0);
        }
        Ok(self.walk(&range, false)?.map(|entry| {
            let (bytes, value) = entry?;
            let id = row::decode_id(&bytes[1..]).ok_or_else(no_id)?;
            Ok((id, read_row(&value)?))
        }))
    }

    /// The ids whose key `name` has a value up to and including `value`, smallest value first.
    pub(super) fn up_to(
        &self,
        name: &str,
        value: &str,
    ) -> Result<impl Iterator<Item = Result<String>>> {
        let start = row::name_prefix(name);
        let skip = start.len();
        let end = all_with(row::key_prefix(space::KEY, &Key::new(name, value))).end;
        let entries = self.walk(&(start..end), false)?;
        Ok(entries.map(move |entry| {
            let (bytes, _) = entry?;
            let rest = &bytes[skip..];
            // Inside a value there is no zero.
            let id = rest
                .iter()
                .position(|&byte| byte == 0)
                .and_then(|at| row::decode_id(&rest[at + 1..]));
            id.ok_or_else(no_id)
        }))
    }

    /// Everything that lies over the segments, in order.
    pub(super) fn overlay(&self) -> Source<'_> {
        let entries = self.tree.iter().map(|entry| Ok(entry?));
        Box::new(
            entries.filter_map(|entry: Result<(sled::IVec, sled::IVec)>| {
                let read = || {
                    let (key, value) = entry?;
                    if key.first() == Some(&space::META) {
                        return Ok(None);
                    }
                    Ok(Some((key.to_vec(), unmarked(&value)?)))
                };
                read().transpose()
            }),
        )
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush()?;
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.tree.get(key)? {
            return unmarked(&value);
        }
        for segment in &self.segments {
            let found = segment.get(key).map_err(damaged(segment))?;
            if let Some((_, value)) = found {
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// What is there in the range, of all layers.
    fn walk(
        &self,
        range: &Range<Vec<u8>>,
        backwards: bool,
    ) -> Result<impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + use<>> {
        let over = self.tree.range(range.clone());
        let over: Box<dyn Iterator<Item = _> + Send> = if backwards {
            Box::new(over.rev())
        } else {
            Box::new(over)
        };
        let over = over.map(|entry| {
            let (key, value) = entry?;
            Ok((key.to_vec(), unmarked(&value)?))
        });
        let mut sources: Vec<Source<'_>> = vec![Box::new(over)];
        for segment in &self.segments {
            sources.push(scan(segment, range.clone(), backwards));
        }
        let merged = Merged::new(sources, backwards)?;
        Ok(merged.filter_map(|entry| {
            entry
                .map(|(key, value)| value.map(|value| (key, value)))
                .transpose()
        }))
    }

    fn is_counted(&self, key: &Key) -> bool {
        self.counted.contains(&key.0.as_str())
    }

    fn stored_count(&self, key: &[u8]) -> Result<u64> {
        Ok(self.get(key)?.map_or(0, |bytes| read_count(&bytes)))
    }
}

/// A walk along a segment as a source among others.
fn scan<'a>(segment: &Arc<Segment>, range: Range<Vec<u8>>, backwards: bool) -> Source<'a> {
    let broken = damaged(segment);
    Box::new(
        segment
            .scan(range, backwards)
            .map(move |entry| entry.map_err(&broken)),
    )
}

/// Everything in a segment.
pub(super) fn whole<'a>(segment: &Arc<Segment>) -> Source<'a> {
    scan(segment, Vec::new()..vec![u8::MAX], false)
}

fn damaged(segment: &Segment) -> impl Fn(io::Error) -> Broken + Send + use<> {
    let name = segment.name().to_owned();
    move |error| Broken::segment(&name, error)
}

/// Everything that the index says of a row that nothing was known of before.
pub(super) fn entries_of(id: &str, row: &Row) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = row
        .keys
        .iter()
        .map(|key| (entry_key(key, id), Some(Vec::new())))
        .collect();
    entries.push((row::row_key(id), Some(row_bytes(row)?)));
    Ok(entries)
}

pub(super) type Counts = HashMap<Vec<u8>, u64>;

/// Counts a row that nothing was known of before.
pub(super) fn count_row(counts: &mut Counts, row: &Row, counted: &[&str]) {
    let keys = row
        .keys
        .iter()
        .filter(|key| counted.contains(&key.0.as_str()));
    for key in std::iter::once(None).chain(keys.map(Some)) {
        *counts.entry(count_key(key)).or_default() += 1;
    }
}

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
        let bytes = row.as_ref().map(row_bytes).transpose()?;
        self.entries.insert(row::row_key(&id), bytes);
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

fn marked(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        None => vec![GONE],
        Some(value) => [&[THERE], value].concat(),
    }
}

fn unmarked(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    match bytes.split_first() {
        Some((&GONE, [])) => Ok(None),
        Some((&THERE, value)) => Ok(Some(value.to_vec())),
        _ => Err(Broken::Overlay("a value is damaged".to_owned())),
    }
}

/// All keys that begin with `start`, whose last byte is not the greatest.
fn all_with(start: Vec<u8>) -> Range<Vec<u8>> {
    let mut end = start.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    start..end
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

fn row_bytes(row: &Row) -> Result<Vec<u8>> {
    serde_json::to_vec(row).map_err(|error| Broken::Overlay(error.to_string()))
}

fn read_row(bytes: &[u8]) -> Result<Row> {
    let damaged = |error| Broken::Segment(format!("a row is damaged: {error}"));
    serde_json::from_slice(bytes).map_err(damaged)
}

fn no_id() -> Broken {
    Broken::Segment("an entry has no id".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_no_damaged_segment() {
        let broken = |kind: ErrorKind| Broken::segment("a", kind.into());
        for kind in [
            ErrorKind::InvalidData,
            ErrorKind::UnexpectedEof,
            ErrorKind::NotFound,
        ] {
            assert!(matches!(broken(kind), Broken::Segment(_)), "{kind}");
        }
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Other] {
            assert!(matches!(broken(kind), Broken::Io(..)), "{kind}");
        }
    }
}
