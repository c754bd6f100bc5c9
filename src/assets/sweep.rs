//! What nobody names any more. A process that is killed between a blob and its record leaves the
//! blob behind, and one that is killed while removing leaves it as well.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::asset;
use super::expiry::{BATCH, Removed};
use super::{AssetError, Assets};
use crate::store::{Key, StoreError, files};

/// Younger files are spared: their record may be on its way back into the folder by other hands.
const SPARED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Looking at every blob takes a while where there are many; processes share one sweep an hour.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Says when the folder was swept last.
const SWEPT: &str = "swept";

/// The length of a BLAKE3 hash in hexadecimal.
const HASH_LEN: usize = 64;

/// A file that no record seems to name.
struct Stray {
    path: PathBuf,
    hash: String,
    /// By this a record that names it would be found.
    key: Key,
}

impl Assets {
    /// Removes what is past its time, once an hour what processes that died left behind, and what
    /// is beyond the limit on disk use. To be called now and then; it's quick when there is nothing
    /// to do.
    pub fn tidy(&self) -> Result<Removed, AssetError> {
        let mut removed = self.remove_expired()?;
        if self.is_sweep_due() {
            removed.bytes += self.sweep()?;
            let now = self.now().to_string();
            files::write_atomic(&self.store.temp(), &self.swept_path(), now.as_bytes())?;
        }
        removed.add(self.make_room()?);
        Ok(removed)
    }

    fn is_sweep_due(&self) -> bool {
        let last = fs::read_to_string(self.swept_path()).ok();
        let last = last.and_then(|text| text.parse::<Timestamp>().ok());
        // A time in the future was written by a clock that was wrong.
        last.is_none_or(|last| self.now().duration_since(last).abs() >= SWEEP_EVERY)
    }

    fn swept_path(&self) -> PathBuf {
        self.dir().join(SWEPT)
    }

    /// Removes blobs and workflows that no record names. Says how many bytes that freed.
    fn sweep(&self) -> Result<u64, AssetError> {
        files::sweep_temp(&self.store.temp(), self.now());
        self.store.sweep_segments(self.now())?;
        let mut strays = Vec::new();
        for path in files_in(&self.dir().join("workflows")) {
            self.examine(path, asset::workflow_key, &mut strays)?;
        }
        let shards = fs::read_dir(self.dir().join("blobs"));
        for shard in shards.into_iter().flatten().flatten() {
            for path in files_in(&shard.path()) {
                self.examine(path, asset::blob_key, &mut strays)?;
            }
        }
        if !strays.is_empty() {
            self.spare_what_records_name(&mut strays)?;
        }
        let mut freed = 0;
        for strays in strays.chunks(BATCH) {
            freed += self.remove_strays(strays)?;
        }
        Ok(freed)
    }

    /// Notes the file if it's one of ours, old enough, and the index knows of nobody who needs it.
    fn examine(
        &self,
        path: PathBuf,
        key_of: impl Fn(&str) -> Key,
        strays: &mut Vec<Stray>,
    ) -> Result<(), StoreError> {
        let Some(hash) = path.file_stem().and_then(|stem| stem.to_str()) else {
            return Ok(());
        };
        if !is_hash(hash.as_bytes()) || !files::is_older(&path, SPARED_FOR, self.now()) {
            return Ok(());
        }
        let hash = hash.to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = key_of(&name);
        if self.store.count(Some(&key))? == 0 {
            strays.push(Stray { path, hash, key });
        }
        Ok(())
    }

    /// The index doesn't know what stands in a record that is damaged, or was put back from a
    /// backup. Bytes took a GPU to make: any word of them in any record is reason to keep them.
    fn spare_what_records_name(&self, strays: &mut Vec<Stray>) -> Result<(), StoreError> {
        let mut unnamed: HashSet<Vec<u8>> = strays
            .iter()
            .map(|stray| stray.hash.clone().into_bytes())
            .collect();
        let mut records = 0_u64;
        for path in self.store.record_files() {
            let path = path?;
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("read", &path)(error)),
            };
            records += 1;
            for word in text.split(|byte| !byte.is_ascii_hexdigit()) {
                unnamed.remove(word);
            }
        }
        if records == 0 {
            tracing::warn!(dir = %self.dir().display(), "there are blobs, but not a single record: all are kept");
            unnamed.clear();
        }
        strays.retain(|stray| unnamed.contains(stray.hash.as_bytes()));
        Ok(())
    }

    fn remove_strays(&self, strays: &[Stray]) -> Result<u64, AssetError> {
        self.store.write(|writer| {
            let mut freed = 0;
            for stray in strays {
                // Somebody may have kept the same bytes meanwhile.
                if writer.count(Some(&stray.key))? > 0 {
                    continue;
                }
                let len = stray.path.metadata().map_or(0, |facts| facts.len());
                if files::remove(&stray.path)? {
                    tracing::info!(path = %stray.path.display(), "removed what no record names");
                    freed += len;
                }
            }
            Ok(freed)
        })
    }
}

fn files_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn is_hash(name: &[u8]) -> bool {
    name.len() == HASH_LEN && name.iter().all(u8::is_ascii_hexdigit)
}
