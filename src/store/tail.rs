//! Keeps the index of this process up to date with the journal that all processes write.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use super::index::{Broken, Index, Position};
use super::journal::{Change, Found, Journal};
use super::segment::Segment;
use super::slot::Slot;
use super::{StoreError, files};

/// How much is read and applied at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// The journal's reader.
#[derive(Debug)]
pub(super) struct Tail {
    dir: PathBuf,
    schema: u32,
    slot: Slot,
    state: Mutex<State>,
    /// Held by whoever asks the index without holding the state, taken while still holding it.
    asking: RwLock<()>,
}

#[derive(Debug)]
struct State {
    journal: Arc<Journal>,
    /// `None` if it broke and no other could be opened in its place.
    index: Option<Arc<Index>>,
    position: Position,
}

/// Who catches up: only the holder of the write lock knows that no one else is at work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    Reader,
    Writer,
}

pub(super) enum Trouble {
    Store(StoreError),
    Index(Broken),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        Self::Index(broken)
    }
}

impl Tail {
    pub(super) fn new(
        dir: &Path,
        schema: u32,
        slot: Slot,
        journal: Journal,
    ) -> Result<Self, StoreError> {
        let mut index = slot.open_index()?;
        let position = match index.position() {
            Ok(known) => known,
            Err(broken) => {
                drop(index);
                index = slot.replace_index(&broken)?;
                Position::default()
            }
        };
        let tail = Self {
            dir: dir.to_owned(),
            schema,
            slot,
            state: Mutex::new(State {
                journal: Arc::new(journal),
                index: Some(Arc::new(index)),
                position,
            }),
            asking: RwLock::default(),
        };
        tail.turn(&mut tail.state())?;
        Ok(tail)
    }

    /// Asks the index, brought up to date first. If the part of it that is this process's own turns
    /// out to be broken it's made anew, once.
    pub(super) fn read<T>(
        &self,
        who: As,
        ask: impl Fn(&Index) -> Result<T, Broken>,
    ) -> Result<T, StoreError> {
        let mut state = self.state();
        let index = self.current(&mut state, who)?;
        let asking = self.asking.read().unwrap_or_else(PoisonError::into_inner);
        drop(state);
        let answer = ask(&index);
        drop(index);
        drop(asking);
        let broken = match answer {
            Ok(answer) => return Ok(answer),
            Err(broken @ Broken::Overlay(_)) => broken,
            Err(broken) => return Err(self.refusal(broken.into())),
        };
        let mut state = self.state();
        self.replace_index(&mut state, &broken)?;
        let index = self.current(&mut state, who)?;
        ask(&index).map_err(|broken| self.refusal(broken.into()))
    }

    /// Appends changes and takes them into the index. The caller holds the write lock and has
    /// caught up.
    pub(super) fn append(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // Readers needn't wait for the disk: the state is locked only to fetch the journal.
        let journal = Arc::clone(&self.state().journal);
        journal.append(changes, &self.path())?;
        let mut state = self.state();
        self.current(&mut state, As::Writer)?;
        Ok(())
    }

    /// Replaces the journal by an empty one, called `id`, that goes on from other segments. The
    /// caller holds the write lock; `prepare` writes the segments, given the index, and names them,
    /// the newest first, or leaves all as it is. Says whether it did.
    pub(super) fn replace_journal(
        &self,
        id: &str,
        prepare: impl FnOnce(&Index) -> Result<Option<Vec<String>>, Trouble>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let index = self.current(&mut state, As::Writer)?;
        let prepared = prepare(&index).map_err(|trouble| self.refusal(trouble))?;
        drop(index);
        let Some(segments) = prepared else {
            return Ok(false);
        };
        self.begin_journal(&mut state, id, &segments)?;
        Ok(true)
    }

    /// The same when what the index says is not of interest.
    pub(super) fn restart_journal(&self, id: &str, segments: &[String]) -> Result<(), StoreError> {
        self.begin_journal(&mut self.state(), id, segments)
    }

    /// The length of the journal in bytes.
    pub(super) fn journal_len(&self) -> Result<u64, StoreError> {
        self.state()
            .journal
            .len()
            .map_err(StoreError::io("read", &self.path()))
    }

    /// Whether the journal at hand is still the one in the folder. Somebody may have deleted or
    /// restored files below us, which is no reason to write where nobody reads.
    pub(super) fn is_in_place(&self) -> bool {
        let len = self.state().journal.len().ok();
        len.is_some() && len == fs::metadata(self.path()).ok().map(|facts| facts.len())
    }

    /// Turns to the journal that lies in the folder now.
    pub(super) fn reopen(&self, journal: Journal) -> Result<(), StoreError> {
        let mut state = self.state();
        state.journal = Arc::new(journal);
        self.turn(&mut state)
    }

    fn path(&self) -> PathBuf {
        self.dir.join("journal.jsonl")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others may still be asking, which doesn't take long.
    fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.asking.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_journal(
        &self,
        state: &mut State,
        id: &str,
        segments: &[String],
    ) -> Result<(), StoreError> {
        let path = self.path();
        state.journal.append(&[Change::Moved], &path)?;
        Journal::create(&path, &self.dir.join("tmp"), self.schema, id, segments)?;
        let before = Arc::clone(&state.journal);
        let Found::Journal(journal) = Journal::open(&path, self.schema)? else {
            return Err(unreadable(&path));
        };
        state.journal = Arc::new(journal);
        self.turn(state)?;
        for name in before.segments() {
            if !segments.contains(name)
                && let Err(error) = files::remove(&segments_folder(&self.dir).join(name))
            {
                // Where open files can't be removed another process reads it still.
                tracing::debug!(%error, "a segment that is no longer needed stays");
            }
        }
        Ok(())
    }

    fn current(&self, state: &mut State, who: As) -> Result<Arc<Index>, StoreError> {
        match self.catch_up(state, who) {
            Err(Trouble::Index(broken @ Broken::Overlay(_))) => {
                self.replace_index(state, &broken)?;
                self.catch_up(state, who)
            }
            other => other,
        }
        .map_err(|trouble| self.refusal(trouble))
    }

    fn catch_up(&self, state: &mut State, who: As) -> Result<Arc<Index>, Trouble> {
        loop {
            let index = state.index()?;
            let failed = |error| StoreError::io("read", &self.path())(error);
            if state.journal.len().map_err(failed)? == state.position.offset {
                return Ok(index);
            }
            let chunk = state
                .journal
                .read(state.position.offset, CHUNK_BYTES)
                .map_err(failed)?;
            let grown = chunk.end > state.position.offset;
            if grown {
                state.position.offset = chunk.end;
                index.apply(chunk.changes, &state.position)?;
            }
            if chunk.moved {
                match Journal::open(&self.path(), self.schema)? {
                    Found::Journal(journal) if journal.id() != state.journal.id() => {
                        drop(index);
                        state.journal = Arc::new(journal);
                        self.settle(state)?;
                    }
                    // The new journal isn't there yet; a later read finds it.
                    _ if who == As::Reader => return Ok(index),
                    // It never will be: whoever announced it died.
                    _ => {
                        state.position.offset = state.journal.len().map_err(failed)?;
                        index.apply(Vec::new(), &state.position)?;
                    }
                }
            } else if !grown {
                return Ok(index);
            }
        }
    }

    /// Makes the index that of a journal just opened.
    fn turn(&self, state: &mut State) -> Result<(), StoreError> {
        match self.settle(state) {
            Ok(()) => Ok(()),
            Err(Trouble::Index(broken @ Broken::Overlay(_))) => self.replace_index(state, &broken),
            Err(trouble) => Err(self.refusal(trouble)),
        }
    }

    fn settle(&self, state: &mut State) -> Result<(), Trouble> {
        let index = state.index()?;
        // Whatever goes wrong from here on, the old index has nothing to say of the new journal.
        state.index = None;
        let segments = self.open_segments(state, index.segments())?;
        let _alone = self.alone();
        if let Some(offset) = state.journal.resume(&state.position) {
            state.position.offset = offset;
        } else {
            index.clear()?;
            state.position = state.journal.beginning();
        }
        state.index = Some(Arc::new(index.over(segments)));
        Ok(())
    }

    /// Opens the journal's segments; those that are open already are passed on.
    fn open_segments(
        &self,
        state: &mut State,
        known: &[Arc<Segment>],
    ) -> Result<Vec<Arc<Segment>>, Trouble> {
        let folder = segments_folder(&self.dir);
        'journal: loop {
            let mut segments = Vec::new();
            for name in state.journal.segments() {
                if let Some(segment) = known.iter().find(|segment| segment.name() == name) {
                    segments.push(segment.clone());
                    continue;
                }
                let error = match Segment::open(&folder, name) {
                    Ok(segment) => {
                        segments.push(Arc::new(segment));
                        continue;
                    }
                    Err(error) => error,
                };
                // Another process may have folded the journal since it was opened here.
                match Journal::open(&self.path(), self.schema)? {
                    Found::Journal(journal) if journal.id() != state.journal.id() => {
                        state.journal = Arc::new(journal);
                        continue 'journal;
                    }
                    _ => return Err(Broken::segment(name, error).into()),
                }
            }
            return Ok(segments);
        }
    }

    /// Closes the index before its folder is taken away: what a database that is still open
    /// writes would land in the folder of its successor.
    fn replace_index(&self, state: &mut State, broken: &Broken) -> Result<(), StoreError> {
        let _alone = self.alone();
        let known = state.index.take();
        let known = known.map_or_else(Vec::new, |index| index.segments().to_vec());
        let index = self.slot.replace_index(broken)?;
        let segments = self
            .open_segments(state, &known)
            .map_err(|trouble| self.refusal(trouble))?;
        state.index = Some(Arc::new(index.over(segments)));
        state.position = state.journal.beginning();
        Ok(())
    }

    pub(super) fn refusal(&self, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Store(error) => error,
            Trouble::Index(Broken::Overlay(reason)) => StoreError::Index {
                path: self.slot.folder().to_owned(),
                reason,
            },
            Trouble::Index(Broken::Segment(reason)) => StoreError::Segment {
                path: segments_folder(&self.dir),
                reason,
            },
            Trouble::Index(Broken::Io(name, error)) => {
                StoreError::io("read", &segments_folder(&self.dir).join(name))(error)
            }
        }
    }
}

/// Where the segments of the store in `dir` lie.
pub(super) fn segments_folder(dir: &Path) -> PathBuf {
    dir.join("segments")
}

/// What to say when a journal that was written just now is none.
pub(super) fn unreadable(path: &Path) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        reason: "it was written just now and can't be read".to_owned(),
    }
}

impl State {
    fn index(&self) -> Result<Arc<Index>, Broken> {
        let none = || Broken::Overlay("it could not be opened".to_owned());
        self.index.clone().ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::ids::Ids;
    use crate::store::{Row, Schema, Store};

    #[test]
    fn a_broken_index_is_replaced_when_nobody_asks_it_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let schema = Schema {
            version: 1,
            row: |_| Row::default(),
            counted: &[],
        };
        let store = Store::open(dir.path(), schema, &Clock::default(), &Ids::default()).unwrap();
        store.write(|writer| writer.put("one", &json!({}))).unwrap();
        let (tail, in_the_midst) = (&store.tail, &Barrier::new(2));
        let (replaced, heard) = channel();

        thread::scope(|scope| {
            let asks = move || {
                let ask = |index: &Index| {
                    in_the_midst.wait();
                    // Many times as long as a replacement takes that waits for nobody.
                    let heard = heard.recv_timeout(Duration::from_millis(500));
                    assert_eq!(heard, Err(RecvTimeoutError::Timeout));
                    index.count(None)
                };
                assert_eq!(tail.read(As::Reader, ask).unwrap(), 1);
            };
            scope.spawn(asks);
            in_the_midst.wait();
            let broken = AtomicBool::new(true);
            let ask = |index: &Index| {
                if broken.swap(false, Ordering::Relaxed) {
                    return Err(Broken::Overlay("so it seems".to_owned()));
                }
                replaced.send(()).ok();
                index.count(None)
            };
            assert_eq!(tail.read(As::Reader, ask).unwrap(), 1);
        });
    }
}
