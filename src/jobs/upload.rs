//! Media on its way into `ComfyUI`'s input folder, where `LoadImage` and its kin find it.
//!
//! An agent names the file, so it's treated as hostile: only what its bytes show to be a picture, a
//! clip, a sound or a model of a body is sent, never a key or a document, whatever its name.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::Jobs;
use crate::assets::{AssetError, Assets, Kind, MediaFacts, extension_of, mime_of_name, probe};
use crate::comfy::{Comfy, ComfyError, Folder, OutputFile};
use crate::failure::{Code, Failure};
use crate::paths;

/// The beginning of an asset's address.
const ASSET_URI: &str = "mmf://assets/";

/// Larger files are refused: they are whole in memory while they are sent.
const MAX_BYTES: u64 = 1 << 30;

/// So many digits of the hash are a file's name.
const NAME_LEN: usize = 32;

/// Where media comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaSource {
    /// A file of this machine.
    File(PathBuf),
    /// An asset, by its id.
    Asset(String),
}

/// Under which name media is uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The name; one made of the contents if not given, so that equal files are uploaded once.
    pub filename: Option<String>,
    /// The folder below the input folder; empty for none.
    pub subfolder: String,
    /// Replace a file of that name; otherwise the new one is renamed.
    pub overwrite: bool,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            filename: None,
            subfolder: String::new(),
            overwrite: true,
        }
    }
}

/// Media in the input folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Uploaded {
    /// What to set `LoadImage`'s `image` and its kin to.
    pub name: String,
    /// The folder below the input folder; empty for none.
    pub subfolder: String,
    /// Which of `ComfyUI`'s folders; `input`.
    #[serde(rename = "type")]
    pub folder: Folder,
    /// What it is.
    pub mime_type: String,
    /// The size in bytes.
    pub bytes: u64,
    /// Pixels across, of pictures and clips.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Seconds, of clips and sounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// False if it was there already.
    pub uploaded: bool,
}

/// Why media was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The asset can't be had.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The server, or the way to it.
    #[error(transparent)]
    Comfy(#[from] ComfyError),
    /// The file can't be read.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The bytes are something else.
    #[error(
        "{0} is neither a picture nor a clip, a sound or a 3D model by its bytes, and is not sent"
    )]
    NotMedia(String),
    /// It is too large.
    #[error("{what} takes {bytes} bytes, {MAX_BYTES} are allowed")]
    TooLarge {
        /// The file or asset.
        what: String,
        /// Its size.
        bytes: u64,
    },
    /// The name or folder isn't allowed.
    #[error("\"{name}\" is not allowed as {what}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// `a file name` or `a subfolder`.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The reading ended early.
    #[error("the media could not be read: {0}")]
    Broken(String),
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let message = error.to_string();
        match error {
            UploadError::Asset(error) => error.into(),
            UploadError::Comfy(error) => error.into(),
            UploadError::Unreadable { .. } => Self::new(Code::SOURCE_NOT_FOUND, message).hint(
                "pass the whole path of a file on this machine, or an asset_id of list_assets",
            ),
            UploadError::NotMedia(_) => Self::new(Code::UNSUPPORTED_TYPE, message)
                .hint("pass a PNG, JPEG, WebP, GIF, MP4, WebM, WAV, FLAC, MP3, OGG or GLB file"),
            UploadError::TooLarge { .. } => Self::new(Code::UNSUPPORTED_TYPE, message)
                .hint("make it smaller, or put it into ComfyUI's input folder yourself"),
            UploadError::InvalidName { .. } => Self::new(Code::INVALID_FILENAME, message)
                .hint("leave it out: the file then gets a name of its own"),
            UploadError::Broken(_) => Self::new(Code::INTERNAL_ERROR, message),
        }
    }
}

impl MediaSource {
    /// What the value of a media parameter names unless it's the name of something in the input
    /// folder: an asset's id or address, or the path of a file, which is absolute, begins with `./`,
    /// `../` or `~/`, or leads through a folder to a file that is there. Relative paths begin at
    /// `base`.
    #[must_use]
    pub fn of(value: &str, base: &Path) -> Option<Self> {
        if let Some(id) = value.strip_prefix(ASSET_URI) {
            return Some(Self::Asset(id.to_owned()));
        }
        if Uuid::try_parse(value).is_ok() {
            return Some(Self::Asset(value.to_owned()));
        }
        let path = paths::resolved(value, base);
        let says_so = Path::new(value).is_absolute()
            || ["./", "../", "~/"]
                .iter()
                .any(|start| value.starts_with(start));
        let leads_there = value.contains(std::path::is_separator) && path.is_file();
        (says_so || leads_there).then_some(Self::File(path))
    }
}

impl Jobs {
    /// Brings media into the server's input folder, unless it's there already.
    pub async fn upload(
        &self,
        source: MediaSource,
        upload: &Upload,
    ) -> Result<Uploaded, UploadError> {
        let asset_id = match &source {
            MediaSource::Asset(asset_id) => Some(asset_id.clone()),
            MediaSource::File(_) => None,
        };
        let uploaded = self.bring(source, upload).await?;
        if let Some(asset_id) = asset_id {
            self.note_input(&uploaded.name, asset_id);
        }
        Ok(uploaded)
    }

    async fn bring(&self, source: MediaSource, upload: &Upload) -> Result<Uploaded, UploadError> {
        check_subfolder(&upload.subfolder)?;
        let (comfy, assets) = self.services();
        let assets = Arc::clone(assets);
        let media = tokio::task::spawn_blocking(move || read(&assets, &source));
        let media = media
            .await
            .map_err(|error| UploadError::Broken(error.to_string()))??;
        let filename = match &upload.filename {
            Some(name) => check_filename(name, &media)?,
            None => media.own_name(),
        };
        let file = OutputFile {
            filename,
            subfolder: upload.subfolder.clone(),
            folder: Folder::Input,
        };
        if upload.filename.is_none() && is_there(comfy, &file, media.size()).await? {
            return Ok(media.at(&file, false));
        }
        let uploaded = comfy
            .upload(
                &file.filename,
                media.bytes.clone(),
                &file.subfolder,
                Folder::Input,
                upload.overwrite,
            )
            .await?;
        Ok(media.at(&uploaded.file, true))
    }
}

/// Whether a file of that name and size is in the input folder. A name made of the contents then
/// stands for the same contents.
async fn is_there(comfy: &Comfy, file: &OutputFile, size: u64) -> Result<bool, ComfyError> {
    match comfy.view(file).await {
        Ok(download) => Ok(download.size() == Some(size)),
        Err(ComfyError::NoSuchFile { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Media that was read.
struct Media {
    bytes: bytes::Bytes,
    mime_type: String,
    facts: MediaFacts,
}

impl Media {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn own_name(&self) -> String {
        let hash = blake3::hash(&self.bytes).to_hex();
        let extension = extension_of(&self.mime_type).unwrap_or("bin");
        format!("{}.{extension}", &hash[..NAME_LEN])
    }

    fn at(&self, file: &OutputFile, uploaded: bool) -> Uploaded {
        Uploaded {
            name: file.reference(),
            subfolder: file.subfolder.clone(),
            folder: file.folder,
            mime_type: self.mime_type.clone(),
            bytes: self.size(),
            width: self.facts.width,
            height: self.facts.height,
            duration: self.facts.duration,
            uploaded,
        }
    }
}

fn read(assets: &Assets, source: &MediaSource) -> Result<Media, UploadError> {
    let (path, what) = match source {
        MediaSource::File(path) => (path.clone(), path.display().to_string()),
        MediaSource::Asset(id) => (assets.path(id)?, format!("asset \"{id}\"")),
    };
    let unreadable = |source| UploadError::Unreadable {
        path: path.clone(),
        source,
    };
    // Looked at before it's opened: opening a pipe would wait for its other end.
    let facts = path.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(unreadable(io::Error::other("it is not a plain file")));
    }
    if facts.len() > MAX_BYTES {
        let bytes = facts.len();
        return Err(UploadError::TooLarge { what, bytes });
    }
    let mut file = File::open(&path).map_err(unreadable)?;
    let facts = probe(&mut file);
    let mime_type = match source {
        // Of some 3D models only the server that made them knows what they are.
        MediaSource::Asset(id) => assets.get(id)?.mime_type,
        MediaSource::File(_) => seen(&facts).unwrap_or_default().to_owned(),
    };
    if !is_media(&mime_type) {
        return Err(UploadError::NotMedia(what));
    }
    let mut file = File::open(&path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Media {
        bytes: bytes.into(),
        mime_type,
        facts,
    })
}

/// The type that the bytes show beyond doubt: two or three of them, as an MP3 begins with, any
/// file may have by chance.
fn seen(facts: &MediaFacts) -> Option<&'static str> {
    facts
        .mime_type
        .filter(|mime| *mime != "audio/mpeg" || facts.duration.is_some())
}

fn is_media(mime_type: &str) -> bool {
    matches!(
        Kind::of_mime(mime_type),
        Kind::Images | Kind::Video | Kind::Audio | Kind::ThreeD
    )
}

fn check_filename(name: &str, media: &Media) -> Result<String, UploadError> {
    const LONGEST: usize = 200;
    let wrong = |reason| {
        Err(UploadError::InvalidName {
            name: name.to_owned(),
            what: "a file name",
            reason,
        })
    };
    if name.starts_with('.') || name.len() > LONGEST {
        return wrong("it is hidden, empty or too long");
    }
    if name.contains(['/', '\\']) || name.contains(char::is_control) {
        return wrong("it leads into a folder; pass that as subfolder");
    }
    if Kind::of_mime(mime_of_name(name)) != Kind::of_mime(&media.mime_type) {
        return wrong("its extension is not one of such a file");
    }
    Ok(name.to_owned())
}

fn check_subfolder(folder: &str) -> Result<(), UploadError> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(['\\', ':'])
            && !part.contains(char::is_control)
    };
    if folder.is_empty() || folder.split('/').all(plain) {
        return Ok(());
    }
    Err(UploadError::InvalidName {
        name: folder.to_owned(),
        what: "a subfolder",
        reason: "it is not a plain path below the input folder",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_parameter_names_an_asset_a_file_or_something_of_the_servers() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("photos")).unwrap();
        for file in ["photos/cat.png", "dog.png"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let id = "0196f0c4-7d4b-7000-8000-0000000000aa";
        let of = |value: &str| MediaSource::of(value, dir.path());
        let file = |name: &str| Some(MediaSource::File(dir.path().join(name)));
        let asset = Some(MediaSource::Asset(id.to_owned()));

        assert_eq!(of(id), asset);
        assert_eq!(of(&format!("mmf://assets/{id}")), asset);
        assert_eq!(of("photos/cat.png"), file("photos/cat.png"));
        assert_eq!(of("./missing.png"), file("./missing.png"));
        for of_the_server in ["dog.png", "photos/other.png", "clip.mp4 [output]", ""] {
            assert_eq!(of(of_the_server), None, "{of_the_server}");
        }
    }

    #[test]
    fn names_stay_below_the_input_folder() {
        let media = Media {
            bytes: bytes::Bytes::new(),
            mime_type: "image/png".to_owned(),
            facts: MediaFacts::default(),
        };
        assert!(check_filename("cat.webp", &media).is_ok());
        for name in ["", ".png", "a/b.png", "a\\b.png", "a.mp4", "a", "a\n.png"] {
            assert!(check_filename(name, &media).is_err(), "{name:?}");
        }
        assert!(check_subfolder("a/b").is_ok());
        for folder in ["/a", "..", "a/../b", "a//b", ".git", "c:/x"] {
            assert!(check_subfolder(folder).is_err(), "{folder:?}");
        }
    }
}
