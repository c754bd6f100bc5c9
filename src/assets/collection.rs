//! Keeping assets and getting them back.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::asset::{self, Asset, FolderType, Kind, Provenance, ScriptRef, ServerRef, key};
use super::incoming::Incoming;
use super::probe::probe;
use super::{AssetError, media};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::store::{Key, Rebuilt, Schema, Store, StoreError, Writer, files};

/// How assets are kept.
#[derive(Clone, Debug, Default)]
pub struct AssetOptions {
    /// How long an asset lives; `None` for ever.
    pub ttl: Option<Duration>,
}

/// What to keep beside the bytes. All but the name is optional.
#[derive(Clone, Debug, Default)]
pub struct NewAsset {
    /// The name `ComfyUI` gave it.
    pub filename: String,
    /// The folder below `folder_type`.
    pub subfolder: String,
    /// Which of `ComfyUI`'s folders.
    pub folder_type: FolderType,
    /// What it is; judged by its type if not given.
    pub kind: Option<Kind>,
    /// Its type; judged by the bytes, then the name, if not given.
    pub mime_type: Option<String>,
    /// The run that made it. With it, node, name and folders say which output this is: the same
    /// output is kept once, however often it's collected.
    pub prompt_id: Option<String>,
    /// The node of that run.
    pub node_id: Option<String>,
    /// The session in which it was made.
    pub session_id: Option<String>,
    /// The prompt in words; only its beginning is kept.
    pub prompt: String,
    /// The workflow as it was run; shared, because a run has many outputs.
    pub workflow: Option<Arc<Value>>,
    /// The script that built it.
    pub script: Option<ScriptRef>,
    /// The script's parameters.
    pub parameters: Map<String, Value>,
    /// The server that ran it.
    pub server: Option<ServerRef>,
    /// The asset of which this is a variation.
    pub regenerated_from: Option<String>,
    /// Keep it for ever.
    pub pinned: bool,
}

/// All assets in a folder. Everything here waits for the disk: call it where that's allowed.
#[derive(Debug)]
pub struct Assets {
    dir: PathBuf,
    options: AssetOptions,
    clock: Clock,
    ids: Ids,
    pub(super) store: Store,
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
            counted: &[key::SESSION, key::KIND, key::SCRIPT],
        };
        let store = Store::open(dir, schema, &clock, &ids)?;
        Ok(Self {
            dir: dir.to_owned(),
            options,
            clock,
            ids,
            store,
        })
    }

    /// Keeps bytes. If this output of the same run is kept already, that asset is returned.
    pub fn keep(&self, new: NewAsset, mut bytes: &[u8]) -> Result<Asset, AssetError> {
        self.keep_reader(new, &mut bytes)
    }

    /// Keeps the contents of a file, which stays where it is.
    pub fn keep_file(&self, new: NewAsset, path: &Path) -> Result<Asset, AssetError> {
        let opened = File::open(path);
        let mut file = opened.map_err(|source| AssetError::Source {
            filename: new.filename.clone(),
            source,
        })?;
        self.keep_reader(new, &mut file)
    }

    /// Keeps what `reader` yields; it may be larger than the memory.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was said of an asset is of no use once it's kept"
    )]
    pub fn keep_reader(&self, new: NewAsset, reader: &mut dyn Read) -> Result<Asset, AssetError> {
        let rows = |key: &Key| self.store.newest(Some(key), None, usize::MAX);
        if let Some(kept) = self.same_output(&new, rows)? {
            return Ok(kept);
        }
        let mut incoming = Incoming::receive(&self.store.temp(), &new.filename, reader)?;
        let asset = self.describe(&new, &mut incoming);
        let blob = self.blob_path(&asset);
        incoming.sync_unless_at(&blob)?;
        let workflow = new.workflow.as_deref().map(Hashed::new);

        self.store.write(|writer| {
            let rows = |key: &Key| writer.newest(Some(key), None, usize::MAX);
            if let Some(kept) = self.same_output(&new, rows)? {
                return Ok(kept);
            }
            incoming.place(&blob)?;
            let mut asset = asset;
            if let Some(workflow) = workflow {
                self.write_workflow(&workflow)?;
                asset.provenance.workflow = Some(workflow.blake3);
            }
            asset.asset_id = self.unused_id(writer)?;
            self.put(writer, &asset)?;
            Ok(asset)
        })
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

    pub(super) fn now(&self) -> Timestamp {
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
    fn present(&self, ids: impl Iterator<Item = String>) -> Result<Vec<Asset>, AssetError> {
        let now = self.now();
        let assets = ids.map(|id| self.read(&id)).filter_map(Result::transpose);
        assets
            .filter(|asset| !asset.as_ref().is_ok_and(|asset| asset.is_expired(now)))
            .collect()
    }

    /// The asset that is this output of this run.
    fn same_output(
        &self,
        new: &NewAsset,
        rows: impl FnOnce(&Key) -> Result<Vec<(String, crate::store::Row)>, StoreError>,
    ) -> Result<Option<Asset>, AssetError> {
        let Some(prompt_id) = &new.prompt_id else {
            return Ok(None);
        };
        let output = asset::output_key(&new.filename, &new.subfolder, new.folder_type);
        let rows = rows(&Key::new(key::PROMPT, prompt_id))?;
        let ids = rows
            .into_iter()
            .rev()
            .filter(|(_, row)| row.has(&output))
            .map(|(id, _)| id);
        let same = self
            .present(ids)?
            .into_iter()
            .find(|asset| asset.node_id == new.node_id);
        Ok(same)
    }

    /// All that can be said of the asset before it has an id.
    fn describe(&self, new: &NewAsset, incoming: &mut Incoming) -> Asset {
        let facts = probe(incoming.file());
        let mime_type = match (&new.mime_type, facts.mime_type) {
            (Some(given), _) => given.clone(),
            (None, Some(seen)) => seen.to_owned(),
            (None, None) => media::mime_of_name(&new.filename).to_owned(),
        };
        let extension = blob_extension(&mime_type, &new.filename);
        let hash = &incoming.blake3;
        Asset {
            asset_id: String::new(),
            blob: format!("blobs/{}/{hash}.{extension}", &hash[..2]),
            blake3: hash.clone(),
            kind: new.kind.unwrap_or_else(|| Kind::of_mime(&mime_type)),
            filename: new.filename.clone(),
            subfolder: new.subfolder.clone(),
            folder_type: new.folder_type,
            mime_type,
            bytes: incoming.bytes,
            width: facts.width,
            height: facts.height,
            duration: facts.duration,
            fps: facts.fps,
            prompt_id: new.prompt_id.clone(),
            node_id: new.node_id.clone(),
            session_id: new.session_id.clone(),
            created_at: self.now(),
            expires_at: if new.pinned { None } else { self.expiry() },
            pinned: new.pinned,
            prompt_preview: asset::preview_of(&new.prompt),
            provenance: Provenance {
                workflow: None,
                script: new.script.clone(),
                parameters: new.parameters.clone(),
                server: new.server.clone(),
                regenerated_from: new.regenerated_from.clone(),
            },
        }
    }

    fn write_workflow(&self, workflow: &Hashed) -> Result<(), StoreError> {
        let path = self.workflow_path(&workflow.blake3);
        if path.is_file() {
            return Ok(());
        }
        files::write_atomic(&self.store.temp(), &path, &workflow.json)
    }

    /// Counted ids begin anew in every process, and a record must never be written over.
    fn unused_id(&self, writer: &Writer<'_>) -> Result<String, StoreError> {
        loop {
            let id = self.ids.ordered();
            if writer.row(&id)?.is_none() {
                return Ok(id);
            }
        }
    }
}

/// JSON and its hash.
struct Hashed {
    json: Vec<u8>,
    blake3: String,
}

impl Hashed {
    fn new(value: &Value) -> Self {
        let json = value.to_string().into_bytes();
        Self {
            blake3: blake3::hash(&json).to_hex().to_string(),
            json,
        }
    }
}

/// The extension of a blob: the type's if it has one, so that equal bytes lie in one file, else
/// the name's as far as it's harmless.
fn blob_extension(mime: &str, filename: &str) -> String {
    const LONGEST: usize = 12;
    if let Some(extension) = media::extension_of(mime) {
        return extension.to_owned();
    }
    let extension = filename
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    let harmless = !extension.is_empty()
        && extension.len() <= LONGEST
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if harmless {
        extension.to_ascii_lowercase()
    } else {
        "bin".to_owned()
    }
}
