//! What is known of an asset. The JSON of these types is a public format: it's what lies beside
//! the bytes on disk, so fields keep their names, and new ones are optional.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::{Key, Row};

/// Raised when [`index_row`] changes its mind.
pub(super) const SCHEMA: u32 = 2;

/// How many characters of the prompt are shown in lists.
const PREVIEW_CHARS: usize = 100;

/// Something that was made and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// A UUID of version 7: ids sort by age.
    pub asset_id: String,
    /// The BLAKE3 hash of the bytes, in hexadecimal.
    pub blake3: String,
    /// Where the bytes lie below the folder of assets, with `/` between the parts.
    pub blob: String,
    /// What it is, roughly.
    pub kind: Kind,
    /// The name `ComfyUI` gave it.
    pub filename: String,
    /// The folder below `folder_type` in which `ComfyUI` put it; empty for none.
    #[serde(default)]
    pub subfolder: String,
    /// Which of `ComfyUI`'s folders that is.
    #[serde(default)]
    pub folder_type: FolderType,
    /// What it is, exactly; judged by the bytes first and the name second.
    pub mime_type: String,
    /// The size in bytes.
    pub bytes: u64,
    /// Pixels across, of pictures and clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down, of pictures and clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// How long clips and sounds last, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Frames per second of clips, averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// The run that made it; `None` if no run did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The node of that run's workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The session in which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// When it was kept.
    pub created_at: Timestamp,
    /// When it may be removed; `None` for never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Pinned assets don't expire.
    #[serde(default)]
    pub pinned: bool,
    /// The first 100 characters of the prompt.
    #[serde(default)]
    pub prompt_preview: String,
    /// How it was made.
    #[serde(default)]
    pub provenance: Provenance,
}

/// How an asset was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The hash under which the workflow lies in `workflows/`, exactly as it was run; read it with
    /// [`Assets::workflow`](super::Assets::workflow).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The script that built the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ScriptRef>,
    /// The parameters the script was given.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The server that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerRef>,
    /// The asset of which this is a variation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerated_from: Option<String>,
    /// The assets of which this is made: what its workflow read, or what a contact sheet shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_from: Vec<String>,
}

/// A script, as it was when it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptRef {
    /// Its name, such as `flux2_txt2img`.
    pub name: String,
    /// `template`, `tool` or `pipeline`.
    pub kind: String,
    /// The hash of its source.
    pub hash: String,
    /// Where it came from: `builtin`, or a folder.
    pub origin: String,
}

/// A `ComfyUI` server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRef {
    /// Its address.
    pub url: String,
    /// Its version, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What an asset is, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A picture, moving ones without sound (GIF) included.
    Images,
    /// A clip.
    Video,
    /// A sound.
    Audio,
    /// A model of a body: glTF, OBJ, splats …
    #[serde(rename = "3d")]
    ThreeD,
    /// Words.
    Text,
    /// Anything else.
    File,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Images,
        Self::Video,
        Self::Audio,
        Self::ThreeD,
        Self::Text,
        Self::File,
    ];

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::ThreeD => "3d",
            Self::Text => "text",
            Self::File => "file",
        }
    }

    /// The kind called `name` in JSON.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind of things of this type.
    #[must_use]
    pub fn of_mime(mime: &str) -> Self {
        match mime.split_once('/') {
            Some(("image", _)) => Self::Images,
            Some(("video", _)) => Self::Video,
            Some(("audio", _)) => Self::Audio,
            Some(("model", _)) => Self::ThreeD,
            Some(("text", _) | ("application", "json")) => Self::Text,
            _ => Self::File,
        }
    }
}

/// One of `ComfyUI`'s three folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FolderType {
    /// What save nodes write.
    #[default]
    Output,
    /// What preview nodes write; emptied when `ComfyUI` starts.
    Temp,
    /// What was uploaded.
    Input,
}

impl FolderType {
    /// The name in JSON and in the parameter `type` of `GET /view`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Temp => "temp",
            Self::Input => "input",
        }
    }

    /// The folder called `name` in JSON.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Output, Self::Temp, Self::Input]
            .into_iter()
            .find(|folder| folder.as_str() == name)
    }
}

impl Asset {
    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.pinned && self.expires_at.is_some_and(|at| at <= now)
    }
}

/// The beginning of a prompt, as lists show it.
pub(super) fn preview_of(prompt: &str) -> String {
    prompt.chars().take(PREVIEW_CHARS).collect()
}

/// Names of the keys under which assets are found.
pub(super) mod key {
    pub(in crate::assets) const BLOB: &str = "blob";
    pub(in crate::assets) const EXPIRES: &str = "expires";
    pub(in crate::assets) const KIND: &str = "kind";
    pub(in crate::assets) const OUTPUT: &str = "output";
    pub(in crate::assets) const PARENT: &str = "parent";
    pub(in crate::assets) const PINNED: &str = "pinned";
    pub(in crate::assets) const PROMPT: &str = "prompt";
    pub(in crate::assets) const SCRIPT: &str = "script";
    pub(in crate::assets) const SESSION: &str = "session";
    pub(in crate::assets) const WORKFLOW: &str = "workflow";
}

/// So many digits of a hash tell all that one store can hold apart, and a million assets less
/// long keys.
const KEY_HASH_LEN: usize = 32;

/// The key of those that have the blob, given where it lies or its file's name.
pub(super) fn blob_key(blob: &str) -> Key {
    let name = blob.rsplit('/').next().unwrap_or(blob);
    let short = match name.split_once('.') {
        Some((hash, extension)) if hash.len() > KEY_HASH_LEN && hash.is_ascii() => {
            format!("{}.{extension}", &hash[..KEY_HASH_LEN])
        }
        _ => name.to_owned(),
    };
    Key::new(key::BLOB, short)
}

/// The key of those that have the workflow, given its hash or its file's name.
pub(super) fn workflow_key(hash: &str) -> Key {
    Key::new(key::WORKFLOW, hash.get(..KEY_HASH_LEN).unwrap_or(hash))
}

/// The key of what was saved under this name.
pub(super) fn output_key(filename: &str, subfolder: &str, folder: FolderType) -> Key {
    let name = format!("{}\0{subfolder}\0{filename}", folder.as_str());
    let hash = blake3::hash(name.as_bytes()).to_hex();
    Key::new(key::OUTPUT, &hash[..KEY_HASH_LEN])
}

/// The value of [`key::EXPIRES`]: milliseconds in fixed width, so that strings sort as times do.
pub(super) fn expires_value(at: Timestamp) -> String {
    format!("{:020}", at.as_millisecond().max(0))
}

/// By what an asset is found; given its JSON, which other hands may have changed.
pub(super) fn index_row(record: &Value) -> Row {
    let Ok(asset) = Asset::deserialize(record) else {
        return Row::default();
    };
    let mut keys = vec![
        Key::new(key::KIND, asset.kind.as_str()),
        blob_key(&asset.blob),
        output_key(&asset.filename, &asset.subfolder, asset.folder_type),
    ];
    let Provenance {
        workflow,
        script,
        regenerated_from,
        ..
    } = asset.provenance;
    keys.extend(workflow.map(|hash| workflow_key(&hash)));
    let expires_at = asset.expires_at.filter(|_| !asset.pinned);
    let named = [
        (key::SESSION, asset.session_id),
        (key::PROMPT, asset.prompt_id),
        (key::SCRIPT, script.map(|script| script.name)),
        (key::PARENT, regenerated_from),
        (key::PINNED, asset.pinned.then(|| "1".to_owned())),
        (key::EXPIRES, expires_at.map(expires_value)),
    ];
    keys.extend(
        named
            .into_iter()
            .filter_map(|(name, value)| Some(Key::new(name, value?))),
    );
    let text = format!("{}\n{}", asset.prompt_preview, asset.filename).to_lowercase();
    Row { keys, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kinds_and_folders_are_those_of_their_json() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
        }
        for folder in [FolderType::Output, FolderType::Temp, FolderType::Input] {
            assert_eq!(serde_json::to_value(folder).unwrap(), folder.as_str());
        }
    }

    #[test]
    fn a_preview_is_cut_between_characters() {
        assert_eq!(preview_of(&"ü".repeat(300)).chars().count(), 100);
    }
}
