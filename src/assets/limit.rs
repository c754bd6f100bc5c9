//! A limit on the disk that assets take, for those who set one.

use std::fs::{self, File};
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::asset::{Asset, key};
use super::expiry::{BATCH, Removed};
use super::{AssetError, Assets};
use crate::store::{Key, StoreError};

/// What was kept within this time is never removed to make room: somebody is at work with it.
const SPARED_FOR: Duration = Duration::from_secs(60 * 60);

/// The limit is looked at again when this part of it has been kept since: 1 %.
const PART: u64 = 100;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Assets, those past their time that haven't been removed yet included.
    pub assets: u64,
    /// Those that are pinned.
    pub pinned: u64,
    /// What the bytes of all take on disk, those that several share counted once.
    pub bytes: u64,
    /// What they may take; `None` for any.
    pub max_bytes: Option<u64>,
}

impl Usage {
    /// Whether they take more than they may.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.max_bytes
            .is_some_and(|max_bytes| self.bytes > max_bytes)
    }
}

impl Assets {
    /// Looks how much there is; takes a while where there are many files.
    pub fn usage(&self) -> Result<Usage, AssetError> {
        Ok(Usage {
            assets: self.store.count(None)?,
            pinned: self.store.count(Some(&Key::new(key::PINNED, "1")))?,
            bytes: self.blob_bytes(),
            max_bytes: self.options.max_bytes,
        })
    }

    /// Makes room if assets take more than they may: first goes what is past its time, then the
    /// oldest. What is pinned and what was kept within the last hour stays, whatever it takes.
    pub fn make_room(&self) -> Result<Removed, AssetError> {
        let mut removed = Removed::default();
        self.kept_since.store(0, Ordering::Relaxed);
        let Some(max_bytes) = self.options.max_bytes else {
            return Ok(removed);
        };
        // Those who come at the same time wait, and look at what is left then: each for itself
        // would remove as much as all have to.
        let _alone = self.hold_room()?;
        let over = || self.blob_bytes().saturating_sub(max_bytes);
        if over() == 0 {
            return Ok(removed);
        }
        removed = self.remove_expired()?;
        let expired = removed.asset_ids.len();
        let excess = over();
        if excess > 0 {
            self.remove_oldest(excess, &mut removed)?;
        }
        tracing::info!(
            expired,
            others = removed.asset_ids.len() - expired,
            bytes = removed.bytes,
            max_bytes,
            "removed assets to stay below the limit"
        );
        let excess = over();
        if excess > 0 {
            tracing::warn!(
                excess,
                max_bytes,
                "assets take more than [assets] max_gb; what is left is pinned or of the last hour"
            );
        }
        Ok(removed)
    }

    /// Waits until no other process or thread makes room; until the file is dropped.
    fn hold_room(&self) -> Result<File, StoreError> {
        let path = self.dir().join("room.lock");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(StoreError::io("open", &path))?;
        file.lock().map_err(StoreError::io("lock", &path))?;
        Ok(file)
    }

    /// To be told of bytes that were kept; makes room now and then.
    pub(super) fn note_kept(&self, bytes: u64) {
        let Some(max_bytes) = self.options.max_bytes else {
            return;
        };
        let kept = self.kept_since.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if kept < max_bytes / PART {
            return;
        }
        // What was kept is kept, whatever becomes of the others.
        if let Err(error) = self.make_room() {
            tracing::warn!(%error, "could not make room for new assets");
        }
    }

    /// Removes from the oldest on until that has freed `excess` bytes.
    fn remove_oldest(&self, excess: u64, removed: &mut Removed) -> Result<(), AssetError> {
        let spared_from = self.now() - SPARED_FOR;
        let goes = |asset: &Asset| !asset.pinned && asset.created_at < spared_from;
        let enough = removed.bytes + excess;
        let mut after: Option<String> = None;
        while removed.bytes < enough {
            let rows = self.store.oldest(after.as_deref(), BATCH)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let young = is_younger(last, spared_from);
            let ids: Vec<String> = rows
                .into_iter()
                .filter(|(_, row)| row.value(key::PINNED).is_none())
                .map(|(id, _)| id)
                .collect();
            for ids in ids.chunks(CAREFUL) {
                if removed.bytes < enough {
                    self.remove_if(ids, removed, goes)?;
                }
            }
            if young {
                return Ok(());
            }
        }
        Ok(())
    }

    fn blob_bytes(&self) -> u64 {
        let shards = fs::read_dir(self.dir().join("blobs"));
        let blobs = shards
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
        blobs
            .filter_map(|blob| Some(blob.metadata().ok()?.len()))
            .sum()
    }
}

/// Few at a time, so that not much more goes than has to.
const CAREFUL: usize = 5;

/// Whether an id says that it was made later; ids begin with the time.
fn is_younger(id: &str, than: Timestamp) -> bool {
    let made = uuid::Uuid::try_parse(id)
        .ok()
        .and_then(|id| id.get_timestamp())
        .map(|made| made.to_unix());
    made.is_some_and(|(seconds, _)| i64::try_from(seconds).is_ok_and(|at| at >= than.as_second()))
}
