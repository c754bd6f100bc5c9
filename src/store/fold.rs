//! Folding the journal into segments, and segments into fewer, larger ones.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::index::{Broken, Counts, count_row, entries_of, whole};
use super::lock::Held;
use super::merge::{Merged, Source};
use super::records::{Rebuilt, Schema, Store, read_record, record_files};
use super::segment::{Entry, Segment, SegmentWriter};
use super::tail::{As, Trouble, segments_folder};
use super::{Row, StoreError, files};
use crate::ids::Ids;

/// A journal of this length is folded: some 1,500 assets, which a process that joins takes in
/// within a few dozen milliseconds.
const FOLD_BYTES: u64 = 512 << 10;

/// Folding takes segments along up to this many bytes, which takes a fraction of a second; others
/// wait for it. Larger ones are left to [`Store::compact`], for which nobody waits.
const SMALL_BYTES: u64 = 4 << 20;

/// A segment joins those that are newer when it's at most this many times as large as they are
/// together, so that there are few segments and each entry is written few times.
const RATIO: u64 = 4;

/// Merging takes seconds, or minutes with a slow disk and millions of records.
const LEFT_BEHIND_AFTER: SignedDuration = SignedDuration::from_hours(2);

/// So many records are sorted in memory at a time: some 30 MB.
const CHUNK_RECORDS: usize = 20_000;

impl Store {
    /// Folds the journal if it's long. The caller holds the write lock and has caught up.
    pub(super) fn fold_if_long(&self) -> Result<(), StoreError> {
        if self.tail.journal_len()? < FOLD_BYTES {
            return Ok(());
        }
        self.tail.replace_journal(&self.ids.random(), |index| {
            let segments = index.segments();
            let small = run(segments, FOLD_BYTES / RATIO, SMALL_BYTES);
            let (taken, left) = segments.split_at(small);
            let mut sources = vec![index.overlay()];
            sources.extend(taken.iter().map(whole));
            let folded = self.write_segment(sources, left.is_empty())?;
            Ok(Some(folded.into_iter().chain(names(left)).collect()))
        })?;
        Ok(())
    }

    /// Merges segments if that is worth it, and forgets what is gone. Says whether it did. Others
    /// go on meanwhile.
    pub fn compact(&self) -> Result<bool, StoreError> {
        let segments = self.ask(|index| Ok(index.segments().to_vec()))?;
        let Some(newest) = segments.first() else {
            return Ok(false);
        };
        let worth_it = 1 + run(&segments[1..], newest.len(), u64::MAX);
        if worth_it == 1 {
            return Ok(false);
        }
        let (taken, left) = segments.split_at(worth_it);
        let merged = self
            .write_segment(taken.iter().map(whole).collect(), left.is_empty())
            .map_err(|trouble| self.tail.refusal(trouble))?;

        let taken: Vec<String> = names(taken).collect();
        let _held = self.lock.hold()?;
        self.check_journal()?;
        let replaced = self.tail.replace_journal(&self.ids.random(), |index| {
            let now: Vec<String> = names(index.segments()).collect();
            let Some(at) = now
                .windows(taken.len())
                .position(|window| *window == *taken)
            else {
                return Ok(None);
            };
            let folded = self.write_segment(vec![index.overlay()], false)?;
            let (newer, rest) = now.split_at(at);
            let older = &rest[taken.len()..];
            let all = folded.iter().chain(newer).chain(&merged).chain(older);
            Ok(Some(all.cloned().collect()))
        })?;
        if !replaced && let Some(merged) = merged {
            // Another process has merged them meanwhile.
            files::remove(&segments_folder(&self.dir).join(merged))?;
        }
        Ok(replaced)
    }

    /// Removes segments that processes left behind which died before they had named them.
    pub fn sweep_segments(&self, now: Timestamp) -> Result<(), StoreError> {
        let _held = self.lock.hold()?;
        self.check_journal()?;
        let named: Vec<String> = self
            .tail
            .read(As::Writer, |index| Ok(names(index.segments()).collect()))?;
        let folder = segments_folder(&self.dir);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_named = named.iter().any(|named| name == named.as_str());
            // A younger one may be about to be named: merging goes on without the lock.
            if !is_named && files::is_older(&entry.path(), LEFT_BEHIND_AFTER, now) {
                files::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Reads every record's file and indexes it anew, for when files were changed by other hands.
    pub fn rebuild(&self) -> Result<Rebuilt, StoreError> {
        self.rebuild_held(&self.lock.hold()?)
    }

    pub(super) fn rebuild_held(&self, _: &Held<'_>) -> Result<Rebuilt, StoreError> {
        let (segments, rebuilt) = index_records(&self.dir, self.schema, &self.ids)?;
        self.tail.restart_journal(&self.ids.random(), &segments)?;
        Ok(rebuilt)
    }

    /// Writes what the sources say, the newest first among them, and returns the segment's name;
    /// `None` if they say nothing. At the bottom nothing is left for what is gone to hide.
    fn write_segment(
        &self,
        sources: Vec<Source<'_>>,
        bottom: bool,
    ) -> Result<Option<String>, Trouble> {
        let name = self.ids.random();
        let path = segments_folder(&self.dir).join(&name);
        let merged = Merged::new(sources, false)?;
        let there = |entry: &Result<Entry, Broken>| !bottom || !matches!(entry, Ok((_, None)));
        let written = write(&self.temp(), &path, merged.filter(there))?;
        Ok(written.then_some(name))
    }
}

/// How many of these segments, the newest first, join newer ones that take `bytes` together.
fn run(segments: &[Arc<Segment>], mut bytes: u64, limit: u64) -> usize {
    let joins = |segment: &&Arc<Segment>| {
        let joins = segment.len() <= RATIO * bytes && bytes + segment.len() <= limit;
        bytes += segment.len();
        joins
    };
    segments.iter().take_while(joins).count()
}

fn names(segments: &[Arc<Segment>]) -> impl Iterator<Item = String> {
    segments.iter().map(|segment| segment.name().to_owned())
}

/// Writes sorted entries as a segment, unless there are none. Says whether there were.
fn write(
    temp: &Path,
    path: &Path,
    entries: impl Iterator<Item = Result<Entry, Broken>>,
) -> Result<bool, Trouble> {
    let mut writer = None;
    for entry in entries {
        let (key, value) = entry?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(SegmentWriter::create(temp)?),
        };
        writer.push(&key, value.as_deref())?;
    }
    let Some(writer) = writer else {
        return Ok(false);
    };
    writer.finish(path)?;
    Ok(true)
}

/// Reads all records and writes what is found by what into a segment; returns the names of the
/// segments. The caller holds the write lock.
pub(super) fn index_records(
    dir: &Path,
    schema: Schema,
    ids: &Ids,
) -> Result<(Vec<String>, Rebuilt), StoreError> {
    let mut indexer = Indexer {
        dir,
        ids,
        entries: Vec::new(),
        counts: Counts::new(),
        parts: Vec::new(),
    };
    let mut rebuilt = Rebuilt::default();
    for path in record_files(&dir.join("records")) {
        let path = path?;
        let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        match read_record(&path) {
            Ok(Some(record)) => {
                let row = (schema.row)(&record);
                indexer.add(id, &row, schema.counted)?;
                rebuilt.records += 1;
                if rebuilt.records % CHUNK_RECORDS as u64 == 0 {
                    indexer.write_part()?;
                }
            }
            Ok(None) => {}
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "passed over a damaged record");
                rebuilt.damaged.push(path);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((indexer.finish()?, rebuilt))
}

/// Sorts more entries than the memory should hold.
struct Indexer<'a> {
    dir: &'a Path,
    ids: &'a Ids,
    entries: Vec<Entry>,
    counts: Counts,
    /// Sorted parts, which are removed when they are merged.
    parts: Vec<Arc<Segment>>,
}

impl Indexer<'_> {
    fn add(&mut self, id: &str, row: &Row, counted: &[&str]) -> Result<(), StoreError> {
        let entries = entries_of(id, row).map_err(|broken| self.failed(broken.into()))?;
        self.entries.extend(entries);
        count_row(&mut self.counts, row, counted);
        Ok(())
    }

    fn write_part(&mut self) -> Result<(), StoreError> {
        let temp = self.dir.join("tmp");
        let (name, entries) = (self.ids.random(), self.sorted());
        let path = temp.join(&name);
        write(&temp, &path, entries.into_iter().map(Ok)).map_err(|error| self.failed(error))?;
        let part = Segment::open(&temp, &name).map_err(StoreError::io("read", &path))?;
        self.parts.push(Arc::new(part));
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<String>, StoreError> {
        let counts = self.counts.drain();
        let mut counts: Vec<Entry> = counts
            .map(|(key, count)| (key, Some(count.to_be_bytes().to_vec())))
            .collect();
        counts.sort();
        let mut sources: Vec<Source<'_>> = vec![
            Box::new(counts.into_iter().map(Ok)),
            Box::new(self.sorted().into_iter().map(Ok)),
        ];
        sources.extend(self.parts.iter().map(whole));
        let name = self.ids.random();
        let path = segments_folder(self.dir).join(&name);
        let written = Merged::new(sources, false)
            .map_err(Trouble::from)
            .and_then(|merged| write(&self.dir.join("tmp"), &path, merged))
            .map_err(|error| self.failed(error))?;
        for part in &self.parts {
            files::remove(&self.dir.join("tmp").join(part.name()))?;
        }
        Ok(written.then_some(name).into_iter().collect())
    }

    fn sorted(&mut self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort();
        entries.dedup_by(|one, other| one.0 == other.0);
        entries
    }

    fn failed(&self, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Store(error) => error,
            Trouble::Index(Broken::Io(name, error)) => {
                StoreError::io("read", &segments_folder(self.dir).join(name))(error)
            }
            Trouble::Index(broken) => StoreError::Segment {
                path: segments_folder(self.dir),
                reason: broken.to_string(),
            },
        }
    }
}
