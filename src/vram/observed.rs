//! What runs really took, remembered for the next estimate of a workflow of the same shape.
//!
//! A file for each shape, with an entry for each device. Several servers may work on one data folder:
//! a file is read, changed and written under a lock, and whoever only reads sees the old or the new.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::estimate::of_gigabytes;
use super::gigabytes;
use super::machine::{Machine, bytes};
use super::verdict::Fit;
use crate::store::{StoreError, files};

/// More shapes than this are too many: the oldest are forgotten.
const SHAPES: usize = 4096;

/// What earlier runs of a shape took on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// How many ended well.
    pub runs: u64,
    /// The least and the most that a run took at its worst moment, in gigabytes. It is looked at now
    /// and then, so that a moment may be missed; and models of earlier runs may be in it.
    pub peak_gb: [f64; 2],
    /// How many ran out of memory.
    #[serde(default, skip_serializing_if = "is_none")]
    pub out_of_memory: u64,
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

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well, having taken so many bytes at its worst moment.
    Well(u64),
    /// For want of memory.
    OutOfMemory,
}

/// The folder of what was observed.
#[derive(Clone, Debug)]
pub struct Observations {
    folder: PathBuf,
}

type Devices = BTreeMap<String, Observed>;

impl Observed {
    /// What a run that was seen says about what was reckoned: what ran, runs, and what ran out of
    /// memory and never ran, doesn't.
    pub(super) fn corrects(&self, reckoned: Fit, machine: &Machine) -> Fit {
        if self.runs == 0 {
            return if self.out_of_memory > 0 {
                Fit::No
            } else {
                reckoned
            };
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

    /// Adds a run.
    pub fn add(
        &self,
        shape: &str,
        device: &str,
        ended: Ended,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        fs::create_dir_all(&self.folder).map_err(StoreError::io("create", &self.folder))?;
        let lock = self.folder.join("lock");
        let open = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock);
        let held = open.map_err(StoreError::io("open", &lock))?;
        held.lock().map_err(StoreError::io("lock", &lock))?;

        let mut devices = self.read(shape)?;
        let is_new = devices.is_empty();
        let seen = devices.entry(device.to_owned()).or_insert(Observed {
            runs: 0,
            peak_gb: [0.0; 2],
            out_of_memory: 0,
            last: String::new(),
        });
        match ended {
            Ended::Well(peak) => {
                let peak = gigabytes(bytes(peak));
                let [low, high] = seen.peak_gb;
                seen.peak_gb = if seen.runs == 0 {
                    [peak; 2]
                } else {
                    [low.min(peak), high.max(peak)]
                };
                seen.runs += 1;
            }
            Ended::OutOfMemory => seen.out_of_memory += 1,
        }
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
mod tests {
    use super::*;
    use std::thread;

    fn day() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn runs_are_counted_by_shape_and_device() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Observations::new(dir.path().join("vram"));
        assert_eq!(seen.of("a", "card").unwrap(), None);
        for gigabytes in [3_u64, 5, 4] {
            seen.add("a", "card", Ended::Well(gigabytes << 30), day())
                .unwrap();
        }
        seen.add("a", "card", Ended::OutOfMemory, day()).unwrap();
        let observed = seen.of("a", "card").unwrap().unwrap();
        assert_eq!(
            observed,
            Observed {
                runs: 3,
                peak_gb: [3.0, 5.0],
                out_of_memory: 1,
                last: "2026-11-30".into()
            }
        );
        assert_eq!(seen.of("a", "other").unwrap(), None);
        assert_eq!(seen.of("b", "card").unwrap(), None);
    }

    #[test]
    fn no_run_is_lost_when_several_write_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Observations::new(dir.path().to_owned());
        thread::scope(|scope| {
            for _ in 0..8 {
                let seen = seen.clone();
                scope.spawn(move || {
                    for _ in 0..5 {
                        seen.add("a", "card", Ended::Well(1 << 30), day()).unwrap();
                    }
                });
            }
        });
        assert_eq!(seen.of("a", "card").unwrap().unwrap().runs, 40);
    }

    #[test]
    fn a_damaged_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Observations::new(dir.path().to_owned());
        fs::write(dir.path().join("a.json"), "{ half").unwrap();
        seen.add("a", "card", Ended::OutOfMemory, day()).unwrap();
        assert_eq!(seen.of("a", "card").unwrap().unwrap().out_of_memory, 1);
    }

    #[test]
    fn what_ran_runs_and_what_never_ran_does_not() {
        let ran = |runs, out_of_memory| Observed {
            runs,
            peak_gb: [4.0, 5.0],
            out_of_memory,
            last: String::new(),
        };
        let machine = |gigabytes: u64| {
            Machine::with_card(Some(super::super::Card {
                total: 24 << 30,
                free: gigabytes << 30,
            }))
        };
        assert_eq!(ran(1, 0).corrects(Fit::Unknown, &machine(8)), Fit::Whole);
        assert_eq!(ran(1, 0).corrects(Fit::No, &machine(8)), Fit::Streamed);
        assert_eq!(
            ran(1, 0).corrects(Fit::No, &machine(2)),
            Fit::No,
            "others hold the card now"
        );
        assert_eq!(ran(0, 2).corrects(Fit::Streamed, &machine(8)), Fit::No);
        assert_eq!(
            ran(3, 1).corrects(Fit::Streamed, &machine(8)),
            Fit::Streamed
        );
    }
}
