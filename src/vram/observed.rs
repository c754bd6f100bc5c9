//! What runs really took, remembered for the next estimate of a workflow of the same shape.
//!
//! A file for each shape, with an entry for each device. Several servers may work on one data folder:
//! a file is read, changed and written under a lock, and whoever only reads sees the old or the new.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::estimate::of_gigabytes;
use super::gigabytes;
use super::machine::{Machine, bytes};
use super::plan::PhaseKind;
use super::verdict::Fit;
use crate::store::{StoreError, files};

/// More shapes than this are too many: the oldest are forgotten.
const SHAPES: usize = 4096;

/// How long the lock is waited for: what a run took is not worth more.
const LOCK_LIMIT: Duration = Duration::from_secs(1);

/// Between two tries.
const LOCK_TRY: Duration = Duration::from_millis(5);

/// The share of a run's peak that may have been held before it: with more, the peak says too little
/// of the run itself.
const HELD_BEFORE: f64 = 0.1;

/// As much memory as a desktop takes and gives back: so much more is no more, in gigabytes.
const NO_MORE: f64 = 0.25;

/// What earlier runs of a shape took on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// How many ended well.
    pub runs: u64,
    /// How many of these began on an empty card.
    #[serde(default, skip_serializing_if = "is_none")]
    pub from_empty: u64,
    /// The least and the most that a run took at its worst moment, in gigabytes. It is looked at now
    /// and then, so that a moment may be missed. Runs that began with models of earlier ones on the
    /// card count until one began without.
    pub peak_gb: [f64; 2],
    /// How many ran out of memory.
    #[serde(default, skip_serializing_if = "is_none")]
    pub out_of_memory: u64,
    /// How it was when memory ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// The day of the last.
    pub last: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Memory that was not enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortage {
    /// The most that the server could have of the card when it ran out, in gigabytes.
    pub free_gb: f64,
    /// The class of the node that failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl Shortage {
    /// What that node does, as far as its class says so.
    pub(super) fn kind(&self) -> Option<PhaseKind> {
        let class = self.node.as_deref()?;
        let kinds = [
            ("Sampler", PhaseKind::Sample),
            ("Decode", PhaseKind::Decode),
            ("VAEEncode", PhaseKind::VaeEncode),
            ("TextEncode", PhaseKind::TextEncode),
        ];
        let found = kinds.iter().find(|(word, _)| class.contains(word));
        found.map(|(_, kind)| *kind)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Well {
        /// Bytes that were held at its worst moment.
        peak: u64,
        /// Bytes that were held when it was first looked at.
        before: u64,
    },
    /// Well, before anybody looked.
    Unseen,
    /// For want of memory.
    OutOfMemory {
        /// Bytes that the server could have of the card, if that was seen.
        free: Option<u64>,
        /// The class of the node.
        node: Option<String>,
    },
}

/// The folder of what was observed.
#[derive(Clone, Debug)]
pub struct Observations {
    folder: PathBuf,
}

type Devices = BTreeMap<String, Observed>;

impl Observed {
    /// What it needs by what was seen, and between which figures that lies, in bytes, where so much
    /// was reckoned. A moment may have been missed; and models of earlier runs are in what was seen if
    /// none began without.
    pub(super) fn needs(&self, reckoned: [f64; 2]) -> (f64, [f64; 2]) {
        let [low, high] = self.peak_gb.map(|gb| of_gigabytes(gb).max(reckoned[0]));
        if self.from_empty > 0 {
            (high, [low, high])
        } else {
            let most = reckoned[1].max(reckoned[0]);
            (low.min(most), [low.min(most), high.min(most)])
        }
    }

    /// Whether it never ran, and there is no more memory now than when it ran out.
    pub(super) fn is_short(&self, machine: &Machine) -> bool {
        let now = machine.card.map(|card| gigabytes(bytes(card.free)));
        let then = self.shortage.as_ref().map(|shortage| shortage.free_gb);
        let no_more = now
            .zip(then)
            .is_some_and(|(now, then)| now <= then + NO_MORE);
        self.runs == 0 && no_more
    }

    /// What a run that was seen says about what was reckoned: what ran, runs, and what ran out of
    /// memory and never ran doesn't, unless there is more now.
    pub(super) fn corrects(&self, reckoned: Fit, machine: &Machine) -> Fit {
        if self.is_short(machine) {
            return Fit::No;
        }
        if self.runs == 0 {
            return reckoned;
        }
        let peak = of_gigabytes(self.peak_gb[0]);
        let has_room = machine.card.is_none_or(|card| peak <= bytes(card.free));
        match reckoned {
            Fit::Unknown if has_room => Fit::Whole,
            Fit::No if has_room => Fit::Streamed,
            other => other,
        }
    }
}

impl Observed {
    fn count(&mut self, ended: Ended) {
        match ended {
            Ended::Well { peak, before } => {
                let clean = bytes(before) <= bytes(peak) * HELD_BEFORE;
                let peak = gigabytes(bytes(peak));
                let [low, high] = self.peak_gb;
                let counts = if clean { self.from_empty } else { self.runs };
                self.peak_gb = match counts {
                    0 => [peak; 2],
                    _ if clean || self.from_empty == 0 => [low.min(peak), high.max(peak)],
                    _ => [low, high],
                };
                self.from_empty += u64::from(clean);
                self.runs += 1;
                self.shortage = None;
            }
            Ended::Unseen => self.shortage = None,
            Ended::OutOfMemory { free, node } => {
                self.out_of_memory += 1;
                let Some(free) = free else { return };
                let free = gigabytes(bytes(free));
                let before = self.shortage.as_ref().map_or(0.0, |before| before.free_gb);
                self.shortage = Some(Shortage {
                    free_gb: free.max(before),
                    node,
                });
            }
        }
    }
}

/// The lock of the folder, held until the file is dropped. Whoever holds it for long is not waited for.
fn held(lock: &Path) -> Result<File, StoreError> {
    let open = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock);
    let file = open.map_err(StoreError::io("open", lock))?;
    let begun = Instant::now();
    loop {
        let error = match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => error,
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_LIMIT => {
                sleep(LOCK_TRY);
                continue;
            }
            Err(TryLockError::WouldBlock) => io::ErrorKind::WouldBlock.into(),
        };
        return Err(StoreError::io("lock", lock)(error));
    }
}

impl Observations {
    /// Those in a folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was observed of a shape on a device.
    pub fn of(&self, shape: &str, device: &str) -> Result<Option<Observed>, StoreError> {
        Ok(self.read(shape)?.remove(device))
    }

    /// Whether memory ran out the last time that a run of a shape was seen.
    #[must_use]
    pub fn has_shortage(&self, shape: &str) -> bool {
        let devices = self.read(shape).unwrap_or_default();
        devices.values().any(|seen| seen.shortage.is_some())
    }

    /// Adds a run.
    pub fn add(
        &self,
        shape: &str,
        device: &str,
        ended: Ended,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        fs::create_dir_all(&self.folder).map_err(StoreError::io("create", &self.folder))?;
        let _held = held(&self.folder.join("lock"))?;
        let mut devices = self.read(shape)?;
        let is_new = devices.is_empty();
        let seen = devices.entry(device.to_owned()).or_insert(Observed {
            runs: 0,
            from_empty: 0,
            peak_gb: [0.0; 2],
            out_of_memory: 0,
            shortage: None,
            last: String::new(),
        });
        seen.count(ended);
        seen.last = now.strftime("%Y-%m-%d").to_string();
        let path = self.path(shape);
        let contents = serde_json::to_vec(&devices).map_err(io::Error::from);
        let contents = contents.map_err(StoreError::io("write", &path))?;
        files::write_atomic(&self.folder.join("tmp"), &path, &contents)?;
        if is_new {
            self.forget_old();
        }
        Ok(())
    }

    fn read(&self, shape: &str) -> Result<Devices, StoreError> {
        let path = self.path(shape);
        match fs::read(&path) {
            // A damaged file is begun anew: it holds nothing that can't be observed again.
            Ok(contents) => Ok(serde_json::from_slice(&contents).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Devices::new()),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    fn path(&self, shape: &str) -> PathBuf {
        self.folder.join(format!("{shape}.json"))
    }

    fn forget_old(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut shapes: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .collect();
        shapes.sort_unstable();
        let surplus = shapes.len().saturating_sub(SHAPES);
        for (_, path) in shapes.into_iter().take(surplus) {
            if let Err(error) = files::remove(&path) {
                tracing::warn!(%error, "what was observed long ago stays");
            }
        }
    }
}

#[cfg(test)]
mod tests;
