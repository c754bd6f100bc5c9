//! Keeping assets: the bytes once, and each run's record of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::asset::{self, Asset, FolderType, Kind, Provenance, ScriptRef, ServerRef, key};
use super::incoming::Incoming;
use super::probe::probe;
use super::{AssetError, Assets, media};
use crate::store::{Key, Row, StoreError, Writer, files};

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
    /// The assets of which it is made.
    pub made_from: Vec<String>,
    /// Keep it for ever.
    pub pinned: bool,
}

impl Assets {
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

        let bytes = incoming.bytes;
        let mut is_new = false;
        let kept = self.store.write(|writer| {
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
            is_new = true;
            Ok::<_, AssetError>(asset)
        })?;
        if is_new {
            self.version.send_modify(|version| *version += 1);
        }
        self.note_kept(bytes);
        Ok(kept)
    }

    /// The asset that is this output of this run.
    fn same_output(
        &self,
        new: &NewAsset,
        rows: impl FnOnce(&Key) -> Result<Vec<(String, Row)>, StoreError>,
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
                made_from: new.made_from.clone(),
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
