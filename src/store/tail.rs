//! Keeps the index of this process up to date with the journal that all processes write.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::StoreError;
use super::index::{Broken, Index, Position};
use super::journal::{Change, Found, Journal};
use super::slot::Slot;

/// How much is read and applied at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// The same when a new index takes in a long journal: larger, because what is sorted together is
/// written together.
const LOAD_BYTES: u64 = 16 << 20;

/// The journal's reader.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    schema: u32,
    slot: Slot,
    state: Mutex<State>,
    /// Held by whoever asks the index without holding the state, taken while still holding it.
    asking: RwLock<()>,
}

#[derive(Debug)]
pub(super) struct State {
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

enum Trouble {
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
        path: PathBuf,
        schema: u32,
        slot: Slot,
        journal: Journal,
    ) -> Result<Self, StoreError> {
        let mut index = slot.open_index()?;
        let known = match index.position() {
            Ok(known) => known,
            Err(broken) => {
                drop(index);
                index = slot.replace_index(&broken)?;
                Position::default()
            }
        };
        let mut state = State {
            position: known,
            journal: Arc::new(journal),
            index: Some(Arc::new(index)),
        };
        if let Err(broken) = state.settle_on_journal(false) {
            state.replace_index(&slot, &broken)?;
        }
        Ok(Self {
            path,
            schema,
            slot,
            state: Mutex::new(state),
            asking: RwLock::default(),
        })
    }

    /// Asks the index, brought up to date first. If it turns out to be broken it's built anew,
    /// once.
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
            Err(broken) => broken,
        };
        let mut state = self.state();
        self.replace_index(&mut state, &broken)?;
        let index = self.current(&mut state, who)?;
        ask(&index).map_err(|broken| self.give_up(broken))
    }

    /// Appends changes and takes them into the index. The caller holds the write lock and has
    /// caught up.
    pub(super) fn append(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // Readers needn't wait for the disk: the state is locked only to fetch the journal.
        let journal = Arc::clone(&self.state().journal);
        journal.append(changes, &self.path)?;
        let mut state = self.state();
        self.current(&mut state, As::Writer)?;
        Ok(())
    }

    /// Replaces the journal by a new one. The caller holds the write lock; `create` writes the
    /// file, given the index and the id of the journal before it.
    pub(super) fn replace_journal(
        &self,
        create: impl FnOnce(&Index, &str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let index = self.current(&mut state, As::Writer)?;
        state.journal.append(&[Change::Moved], &self.path)?;
        create(&index, state.journal.id())?;
        drop(index);
        self.current(&mut state, As::Writer)?;
        Ok(())
    }

    /// The length of the journal in bytes.
    pub(super) fn journal_len(&self) -> Result<u64, StoreError> {
        self.state()
            .journal
            .len()
            .map_err(StoreError::io("read", &self.path))
    }

    /// Whether the journal at hand is still the one in the folder. Somebody may have deleted or
    /// restored files below us, which is no reason to write where nobody reads.
    pub(super) fn is_in_place(&self) -> bool {
        let len = self.state().journal.len().ok();
        len.is_some() && len == fs::metadata(&self.path).ok().map(|facts| facts.len())
    }

    /// Turns to the journal that lies in the folder now.
    pub(super) fn reopen(&self, journal: Journal) -> Result<(), StoreError> {
        let mut state = self.state();
        state.journal = Arc::new(journal);
        match state.settle_on_journal(false) {
            Ok(()) => Ok(()),
            Err(broken) => self.replace_index(&mut state, &broken),
        }
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self, state: &mut State, who: As) -> Result<Arc<Index>, StoreError> {
        let broken = match self.catch_up(state, who) {
            Ok(index) => return Ok(index),
            Err(Trouble::Store(error)) => return Err(error),
            Err(Trouble::Index(broken)) => broken,
        };
        self.replace_index(state, &broken)?;
        match self.catch_up(state, who) {
            Ok(index) => Ok(index),
            Err(Trouble::Store(error)) => Err(error),
            Err(Trouble::Index(broken)) => Err(self.give_up(broken)),
        }
    }

    fn catch_up(&self, state: &mut State, who: As) -> Result<Arc<Index>, Trouble> {
        let index = state.index()?;
        loop {
            let failed = |error| StoreError::io("read", &self.path)(error);
            if state.journal.len().map_err(failed)? == state.position.offset {
                return Ok(index);
            }
            if state.is_worth_loading() {
                state.load().map_err(failed)??;
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
                match Journal::open(&self.path, self.schema)? {
                    Found::Journal(journal) if journal.id() != state.journal.id() => {
                        state.journal = Arc::new(journal);
                        state.settle_on_journal(true)?;
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

    fn replace_index(&self, state: &mut State, broken: &Broken) -> Result<(), StoreError> {
        // Others may still be asking, which doesn't take long.
        let _alone = self.asking.write().unwrap_or_else(PoisonError::into_inner);
        state.replace_index(&self.slot, broken)
    }

    fn give_up(&self, broken: Broken) -> StoreError {
        StoreError::Index {
            path: self.slot.folder().to_owned(),
            reason: broken.0,
        }
    }
}

impl State {
    fn index(&self) -> Result<Arc<Index>, Broken> {
        let none = || Broken("it could not be opened".to_owned());
        self.index.clone().ok_or_else(none)
    }

    /// Closes the index before its folder is taken away: what a database that is still open
    /// writes would land in the folder of its successor. Nobody else may be asking it.
    fn replace_index(&mut self, slot: &Slot, broken: &Broken) -> Result<(), StoreError> {
        self.index = None;
        self.index = Some(Arc::new(slot.replace_index(broken)?));
        self.position = self.journal.beginning();
        Ok(())
    }

    /// Whether the index knows nothing yet of a long journal.
    fn is_worth_loading(&self) -> bool {
        let beginning = self.journal.beginning();
        let len = self.journal.len().unwrap_or(0);
        self.position == beginning && len.saturating_sub(beginning.offset) > CHUNK_BYTES
    }

    fn load(&mut self) -> std::io::Result<Result<(), Broken>> {
        let (journal, mut at) = (Arc::clone(&self.journal), self.position.clone());
        let index = match self.index() {
            Ok(index) => index,
            Err(broken) => return Ok(Err(broken)),
        };
        let loaded = index.load(|| {
            let chunk = journal.read(at.offset, LOAD_BYTES)?;
            if chunk.end == at.offset {
                return Ok(None);
            }
            at.offset = chunk.end;
            Ok(Some((chunk.changes, at.clone())))
        })?;
        Ok(loaded.map(|reached| {
            if let Some(reached) = reached {
                self.position = reached;
            }
        }))
    }

    /// Finds out where to go on in a journal just opened.
    fn settle_on_journal(&mut self, read_to_its_end: bool) -> Result<(), Broken> {
        match self.journal.resume(&self.position, read_to_its_end) {
            Some(offset) if self.journal.id() == self.position.journal => {
                self.position.offset = offset;
                Ok(())
            }
            Some(offset) => {
                self.position = Position {
                    offset,
                    ..self.journal.beginning()
                };
                self.index()?.apply(Vec::new(), &self.position)
            }
            None => {
                self.index()?.clear()?;
                self.position = self.journal.beginning();
                Ok(())
            }
        }
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
                    return Err(Broken("so it seems".to_owned()));
                }
                replaced.send(()).ok();
                index.count(None)
            };
            assert_eq!(tail.read(As::Reader, ask).unwrap(), 1);
        });
    }
}
