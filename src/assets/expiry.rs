//! How assets end: by their time, by hand, or not at all.

use std::collections::{HashMap, HashSet};

use super::asset::{self, Asset, key};
use super::{AssetError, Assets};
use crate::store::{StoreError, Writer, files};

/// Removed under one hold of the write lock: others get their turn between.
pub(super) const BATCH: usize = 100;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The assets.
    pub asset_ids: Vec<String>,
    /// What that freed: bytes that other assets share are still there.
    pub bytes: u64,
}

impl Removed {
    pub(super) fn add(&mut self, other: Self) {
        self.asset_ids.extend(other.asset_ids);
        self.bytes += other.bytes;
    }
}

impl Assets {
    /// Keeps the asset `id` for ever.
    pub fn pin(&self, id: &str) -> Result<Asset, AssetError> {
        self.change(id, |asset| {
            asset.pinned = true;
            asset.expires_at = None;
        })
    }

    /// Lets the asset `id` expire again, a whole lifetime from now.
    pub fn unpin(&self, id: &str) -> Result<Asset, AssetError> {
        self.change(id, |asset| {
            if asset.pinned {
                asset.pinned = false;
                asset.expires_at = self.expiry();
            }
        })
    }

    /// Removes what is past its time. A blob goes with the last asset that has its bytes.
    pub fn remove_expired(&self) -> Result<Removed, AssetError> {
        let now = self.now();
        let mut removed = Removed::default();
        loop {
            let ids = self
                .store
                .up_to(key::EXPIRES, &asset::expires_value(now), BATCH)?;
            let before = removed.asset_ids.len();
            // Looked at again under the lock: it may have been pinned meanwhile.
            self.remove_if(&ids, &mut removed, |asset| asset.is_expired(now))?;
            if ids.len() < BATCH || removed.asset_ids.len() == before {
                break;
            }
        }
        self.store.compact()?;
        Ok(removed)
    }

    /// Removes assets, pinned or not; unknown ids are passed over.
    pub fn remove(&self, ids: &[String]) -> Result<Removed, AssetError> {
        let mut removed = Removed::default();
        for ids in ids.chunks(BATCH) {
            self.remove_if(ids, &mut removed, |_| true)?;
        }
        Ok(removed)
    }

    /// Removes what was kept of these jobs and is not pinned.
    pub fn remove_lost(&self, prompt_ids: &[String]) -> Result<Removed, AssetError> {
        let mut removed = Removed::default();
        for prompt_id in prompt_ids {
            let kept = self.find_by_prompt(prompt_id)?;
            let ids: Vec<String> = kept.into_iter().map(|asset| asset.asset_id).collect();
            self.remove_if(&ids, &mut removed, |asset| !asset.pinned)?;
        }
        Ok(removed)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Asset)) -> Result<Asset, AssetError> {
        self.store.write(|writer| {
            let mut asset = self.get(id)?;
            let before = asset.clone();
            change(&mut asset);
            if asset != before {
                self.put(writer, &asset)?;
            }
            Ok(asset)
        })
    }

    pub(super) fn remove_if(
        &self,
        ids: &[String],
        removed: &mut Removed,
        goes: impl Fn(&Asset) -> bool,
    ) -> Result<(), AssetError> {
        if ids.is_empty() {
            return Ok(());
        }
        let before = removed.asset_ids.len();
        self.store.write(|writer| {
            let mut gone = Vec::new();
            let mut seen = HashSet::new();
            for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
                match self.read(id) {
                    Ok(Some(asset)) if goes(&asset) => {
                        writer.remove(id)?;
                        gone.push(asset);
                    }
                    // Its file was removed by other hands, which didn't tell the journal.
                    Ok(None) if writer.row(id)?.is_some() => writer.remove(id)?,
                    Ok(_) => {}
                    // One bad record must not keep all the others for ever.
                    Err(AssetError::Store(error @ StoreError::Damaged { .. })) => {
                        tracing::warn!(%error, "left a damaged record as it is");
                    }
                    Err(error) => return Err(error),
                }
            }
            removed.bytes += self.remove_unshared(writer, &gone)?;
            removed
                .asset_ids
                .extend(gone.into_iter().map(|asset| asset.asset_id));
            Ok::<_, AssetError>(())
        })?;
        if removed.asset_ids.len() > before {
            self.version.send_modify(|version| *version += 1);
        }
        Ok(())
    }

    /// Removes blobs and workflows that only the assets in `gone` had. Says how many bytes of
    /// blobs that were.
    fn remove_unshared(&self, writer: &Writer<'_>, gone: &[Asset]) -> Result<u64, StoreError> {
        // The writer counts as things were before: all of `gone` included.
        let mut blobs: HashMap<&str, (u64, &Asset)> = HashMap::new();
        let mut workflows: HashMap<&str, u64> = HashMap::new();
        for asset in gone {
            blobs.entry(&asset.blob).or_insert((0, asset)).0 += 1;
            if let Some(hash) = &asset.provenance.workflow {
                *workflows.entry(hash).or_default() += 1;
            }
        }
        let mut bytes = 0;
        for (blob, (going, asset)) in blobs {
            let last = writer.count(Some(&asset::blob_key(blob)))? <= going;
            if last && files::remove(&self.blob_path(asset))? {
                bytes += asset.bytes;
            }
        }
        for (hash, going) in workflows {
            if writer.count(Some(&asset::workflow_key(hash)))? <= going {
                files::remove(&self.workflow_path(hash))?;
            }
        }
        Ok(bytes)
    }
}
