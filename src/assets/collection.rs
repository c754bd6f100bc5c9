//! Where assets lie, and getting them back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::AssetError;
use super::asset::{self, Asset, FolderType, key};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::store::{Key, Rebuilt, Schema, Store, StoreError, Writer};

/// How assets are kept.
#[derive(Clone, Debug, Default)]
pub struct AssetOptions {
    /// How long an asset lives; `None` for ever.
    pub ttl: Option<Duration>,
    /// How many bytes all may take together on disk; `None` for any.
    pub max_bytes: Option<u64>,
}

/// All assets in a folder. Everything here waits for the disk: call it where that's allowed.
#[derive(Debug)]
pub struct Assets {
    dir: PathBuf,
    pub(super) options: AssetOptions,
    clock: Clock,
    pub(super) ids: Ids,
    pub(super) store: Store,
    /// Bytes kept by this process since the limit was looked at.
    pub(super) kept_since: AtomicU64,
    /// How often this process has added or removed any.
    pub(super) version: watch::Sender<u64>,
}

impl Assets {
    /// Opens the assets in `dir`, making the folder if there is none. Other processes may have it
    /// open at the same time.
    pub fn open(
        dir: &Path,
        options: AssetOptions,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, AssetError> {
        let schema = Schema {
            version: asset::SCHEMA,
            row: asset::index_row,
            counted: &[key::SESSION, key::KIND, key::SCRIPT, key::PINNED],
        };
        // What assets say of their files holds wherever the process goes.
        let dir = std::path::absolute(dir).map_err(StoreError::io("find", dir))?;
        let store = Store::open(&dir, schema, &clock, &ids)?;
        Ok(Self {
            dir,
            options,
            clock,
            ids,
            store,
            kept_since: AtomicU64::new(0),
            version: watch::Sender::new(0),
        })
    }

    /// Hears of each time that this process adds or removes assets.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The asset `id`, unless its time is over.
    pub fn get(&self, id: &str) -> Result<Asset, AssetError> {
        let asset = self.get_even_expired(id)?;
        if asset.is_expired(self.now()) {
            return Err(AssetError::NotFound {
                asset_id: id.to_owned(),
                expired: true,
            });
        }
        Ok(asset)
    }

    /// The asset `id`, as long as it hasn't been removed.
    pub fn get_even_expired(&self, id: &str) -> Result<Asset, AssetError> {
        let found = self.read(id)?;
        found.ok_or_else(|| AssetError::NotFound {
            asset_id: id.to_owned(),
            expired: false,
        })
    }

    /// The file with the bytes of the asset `id`, checked to be there.
    pub fn path(&self, id: &str) -> Result<PathBuf, AssetError> {
        let path = self.blob_path(&self.get(id)?);
        if path.is_file() {
            return Ok(path);
        }
        Err(AssetError::BytesGone {
            asset_id: id.to_owned(),
            path,
        })
    }

    /// The bytes of the asset `id`, open for reading.
    pub fn open_bytes(&self, id: &str) -> Result<File, AssetError> {
        let path = self.path(id)?;
        File::open(&path).map_err(|_| AssetError::BytesGone {
            asset_id: id.to_owned(),
            path,
        })
    }

    /// The bytes of the asset `id`, all at once.
    pub fn read_bytes(&self, id: &str) -> Result<Vec<u8>, AssetError> {
        let path = self.path(id)?;
        fs::read(&path).map_err(|_| AssetError::BytesGone {
            asset_id: id.to_owned(),
            path,
        })
    }

    /// The workflow that made the asset, exactly as it was run.
    pub fn workflow(&self, asset: &Asset) -> Result<Value, AssetError> {
        let unknown = || AssetError::NoWorkflow(asset.asset_id.clone());
        let hash = asset.provenance.workflow.as_ref().ok_or_else(unknown)?;
        let path = self.workflow_path(hash);
        let json = fs::read(&path).map_err(|_| unknown())?;
        let parsed = serde_json::from_slice(&json);
        parsed.map_err(|error| {
            StoreError::Damaged {
                path,
                reason: error.to_string(),
            }
            .into()
        })
    }

    /// Everything a run has yielded, oldest first.
    pub fn find_by_prompt(&self, prompt_id: &str) -> Result<Vec<Asset>, AssetError> {
        let rows = self
            .store
            .newest(Some(&Key::new(key::PROMPT, prompt_id)), None, usize::MAX)?;
        let mut assets = self.present(rows.into_iter().map(|(id, _)| id))?;
        assets.reverse();
        Ok(assets)
    }

    /// The newest asset that `ComfyUI` saved under this name; names are used again.
    pub fn find_by_output(
        &self,
        filename: &str,
        subfolder: &str,
        folder: FolderType,
    ) -> Result<Option<Asset>, AssetError> {
        let key = asset::output_key(filename, subfolder, folder);
        let rows = self.store.newest(Some(&key), None, 1)?;
        Ok(self.present(rows.into_iter().map(|(id, _)| id))?.pop())
    }

    /// The assets that are variations of the asset `id`, up to `limit` of them, newest first, and
    /// how many there are.
    pub fn regenerations(&self, id: &str, limit: usize) -> Result<(Vec<Asset>, u64), AssetError> {
        let key = Key::new(key::PARENT, id);
        let rows = self.store.newest(Some(&key), None, limit)?;
        let count = if rows.len() < limit {
            rows.len() as u64
        } else {
            self.store.count(Some(&key))?
        };
        Ok((self.present(rows.into_iter().map(|(id, _)| id))?, count))
    }

    /// Reads all records anew, for when files were changed by other hands.
    pub fn rebuild(&self) -> Result<Rebuilt, AssetError> {
        Ok(self.store.rebuild()?)
    }

    /// Writes the index to disk, so that the next start has nothing to catch up with.
    pub fn flush(&self) -> Result<(), AssetError> {
        Ok(self.store.flush()?)
    }

    /// The folder of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The time by which assets are kept.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When something kept or unpinned now expires.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        // A time beyond the end of the calendar is as good as never.
        self.options
            .ttl
            .and_then(|ttl| self.now().checked_add(ttl).ok())
    }

    pub(super) fn blob_path(&self, asset: &Asset) -> PathBuf {
        self.below(&asset.blob)
    }

    pub(super) fn workflow_path(&self, hash: &str) -> PathBuf {
        self.below(&format!("workflows/{hash}.json"))
    }

    /// Records are plain files that anyone may edit: what they name stays below our folder.
    fn below(&self, relative: &str) -> PathBuf {
        let mut path = self.dir.clone();
        path.extend(
            relative
                .split(['/', '\\'])
                .filter(|part| !matches!(*part, "" | "." | "..")),
        );
        path
    }

    /// The record of `id`; ids that can't be ids are merely unknown.
    pub(super) fn read(&self, id: &str) -> Result<Option<Asset>, AssetError> {
        let record = match self.store.record(id) {
            Ok(record) => record,
            Err(StoreError::BadId(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(record) = record else {
            return Ok(None);
        };
        let asset = serde_json::from_value(record).map_err(|error| StoreError::Damaged {
            path: self.store.path(id).unwrap_or_default(),
            reason: error.to_string(),
        })?;
        Ok(Some(asset))
    }

    pub(super) fn put(&self, writer: &mut Writer<'_>, asset: &Asset) -> Result<(), AssetError> {
        let failed = |error: serde_json::Error| StoreError::io("write", &self.dir)(error.into());
        let record = serde_json::to_value(asset).map_err(failed)?;
        Ok(writer.put(&asset.asset_id, &record)?)
    }

    /// The assets of these ids that are there and not expired.
    pub(super) fn present(
        &self,
        ids: impl Iterator<Item = String>,
    ) -> Result<Vec<Asset>, AssetError> {
        let now = self.now();
        let assets = ids.map(|id| self.read(&id)).filter_map(Result::transpose);
        assets
            .filter(|asset| !asset.as_ref().is_ok_and(|asset| asset.is_expired(now)))
            .collect()
    }
}
