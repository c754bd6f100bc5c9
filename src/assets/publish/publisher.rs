//! Publishing itself.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use image::ImageFormat;
use serde::Serialize;
use serde_json::json;

use super::manifest::{self, FolderLock};
use super::shrink::{self, Encoded};
use super::strip::without_texts;
use super::{PublishError, folder, ledger, name};
use crate::assets::{Asset, Assets, extension_of, mime_of_name};
use crate::clock::Clock;
use crate::paths;
use crate::store::files::TempFile;

/// Pictures larger than this are made smaller, unless another limit is given; the original
/// server's default.
pub const MAX_BYTES: u64 = 600_000;

/// Brings assets into a web project's folder. Several may do so at once, also in other processes.
#[derive(Debug)]
pub struct Publisher {
    pub(super) cwd: PathBuf,
    chosen: Mutex<Option<PathBuf>>,
    output_dir: Option<PathBuf>,
    clock: Clock,
}

/// Under which name to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// The asset's own name, in lower case, with a number if another file has it.
    #[default]
    Original,
    /// This name; `^[a-z0-9][a-z0-9._-]{0,63}\.(webp|png|jpg|jpeg|mp4|webm|gif|mp3|wav|flac|ogg|m4a)$`.
    Filename(String),
    /// A name made of this key and the time, entered in `manifest.json` under the key;
    /// `^[a-z0-9][a-z0-9_-]{0,47}$`.
    ManifestKey(String),
}

/// What to publish, and how.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The asset.
    pub asset_id: String,
    /// Under which name.
    pub target: Target,
    /// Into which folder; the one that was set or found if not given.
    pub folder: Option<PathBuf>,
    /// Make pictures that are too large smaller, and take out of a PNG what it says of its making.
    pub web_optimize: bool,
    /// What is too large, in bytes.
    pub max_bytes: u64,
}

impl PublishRequest {
    /// The asset under its own name, made small enough for the web.
    #[must_use]
    pub fn new(asset_id: impl Into<String>) -> Self {
        Self {
            asset_id: asset_id.into(),
            target: Target::Original,
            folder: None,
            web_optimize: true,
            max_bytes: MAX_BYTES,
        }
    }
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// The address within the web site: what follows `public` or `static`.
    pub url: String,
    /// The file.
    pub path: PathBuf,
    /// Its name.
    pub filename: String,
    /// Its size.
    pub bytes: u64,
    /// Its type, which may be another than the asset's.
    pub mime_type: String,
    /// Pixels across, which may be fewer than the asset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// How much of the asset's width and height is left, if it was made smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// The asset.
    pub asset_id: String,
    /// Whether it took the place of something that was published earlier.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Whether `manifest.json` has it.
    pub manifest_updated: bool,
}

/// Where things would be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishInfo {
    /// Where `ComfyUI` writes to, if that was set.
    pub comfyui_output_dir: Option<PathBuf>,
    /// The folder; `None` if there is none.
    pub publish_dir: Option<PathBuf>,
    /// Whether it was found rather than set; false if there is none.
    pub auto_detected: bool,
    /// See [`MAX_BYTES`].
    pub max_bytes: u64,
}

/// The contents to be written.
enum Contents {
    Copy(PathBuf),
    /// The same picture without its texts.
    Stripped(Vec<u8>),
    Picture(Encoded),
}

impl Publisher {
    /// A publisher for the project in `cwd`.
    #[must_use]
    pub fn new(cwd: PathBuf, clock: Clock) -> Self {
        Self {
            cwd,
            chosen: Mutex::default(),
            output_dir: None,
            clock,
        }
    }

    /// The same with the folder of the settings. Whether it can be used is looked at when it is:
    /// whoever publishes nothing isn't stopped by it.
    #[must_use]
    pub fn with_folder(self, path: Option<PathBuf>) -> Self {
        Self {
            chosen: Mutex::new(path),
            ..self
        }
    }

    /// The same, knowing where `ComfyUI` writes to. That's merely told: assets are published from
    /// the store.
    #[must_use]
    pub fn with_output_dir(self, path: Option<PathBuf>) -> Self {
        Self {
            output_dir: path,
            ..self
        }
    }

    /// From now on publishes to `path`, which is made if it's missing. Returns where that really
    /// is.
    pub fn set_folder(&self, path: &Path) -> Result<PathBuf, PublishError> {
        let folder = self.make_folder(path)?;
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.clone());
        Ok(folder)
    }

    /// Where things would be published now.
    #[must_use]
    pub fn info(&self) -> PublishInfo {
        let chosen = self.chosen();
        let auto_detected = chosen.is_none();
        let publish_dir = chosen.or_else(|| folder::detect(&self.cwd));
        PublishInfo {
            comfyui_output_dir: self.output_dir.clone(),
            auto_detected: auto_detected && publish_dir.is_some(),
            publish_dir,
            max_bytes: MAX_BYTES,
        }
    }

    /// Publishes an asset: the file is there whole or not at all.
    pub fn publish(
        &self,
        assets: &Assets,
        request: &PublishRequest,
    ) -> Result<Published, PublishError> {
        if let Target::Filename(name) = &request.target {
            name::check_filename(name)?;
        }
        if let Target::ManifestKey(key) = &request.target {
            name::check_key(key)?;
        }
        let asset = assets.get(&request.asset_id)?;
        let source = assets.path(&request.asset_id)?;
        let folder = self.folder_for(request)?;
        refuse_store(assets, &folder)?;
        let contents = contents(&asset, source, request)?;
        let published = self.write(assets.dir(), &folder, &asset, &contents, request)?;
        if let Err(error) = ledger::note(assets.dir(), &published.path) {
            tracing::warn!(%error, "what was published can't be noted: its name stays taken");
        }
        Ok(published)
    }

    fn write(
        &self,
        notes: &Path,
        folder: &Path,
        asset: &Asset,
        contents: &Contents,
        request: &PublishRequest,
    ) -> Result<Published, PublishError> {
        let _lock = FolderLock::hold(folder)?;
        let mime_type = match contents {
            Contents::Copy(_) | Contents::Stripped(_) => asset.mime_type.clone(),
            Contents::Picture(picture) => picture.format.to_mime_type().to_owned(),
        };
        let key = match &request.target {
            Target::ManifestKey(key) => Some(key),
            _ => None,
        };
        // Read first: with a damaged manifest nothing is published.
        let manifest = key.map(|_| manifest::read(folder)).transpose()?;
        let filename = self.filename(folder, asset, &mime_type, contents, request)?;
        let path = folder.join(&filename);
        if path.is_dir() {
            return Err(PublishError::InvalidPath {
                path,
                reason: "it is a folder".to_owned(),
            });
        }
        let takes_another_place = ledger::is_there(&path) && !is_same(&path, contents);
        if takes_another_place && !ledger::is_ours(notes, &path) {
            return Err(PublishError::NotOurs(path));
        }
        let (width, height) = match contents {
            Contents::Copy(_) | Contents::Stripped(_) => (asset.width, asset.height),
            Contents::Picture(picture) => (Some(picture.width), Some(picture.height)),
        };
        let scale = match contents {
            // Two digits say enough.
            Contents::Picture(picture) if picture.scale < 1.0 => {
                Some((picture.scale * 100.0).round() / 100.0)
            }
            _ => None,
        };
        let published = Published {
            url: self.url(folder, &filename),
            bytes: write_contents(&path, contents)?,
            path,
            filename,
            mime_type,
            width,
            height,
            scale,
            asset_id: asset.asset_id.clone(),
            replaced: takes_another_place,
            manifest_updated: key.is_some(),
        };
        if let (Some(key), Some(mut manifest)) = (key, manifest) {
            manifest.insert(key.clone(), self.manifest_entry(&published));
            let json = serde_json::to_vec_pretty(&manifest);
            let path = folder.join(manifest::NAME);
            write_whole(&path, |file| file.write_all(&json?))?;
        }
        Ok(published)
    }

    fn manifest_entry(&self, published: &Published) -> serde_json::Value {
        json!({
            "filename": published.filename,
            "url": published.url,
            "mime_type": published.mime_type,
            "bytes": published.bytes,
            "published_at": self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "asset_id": published.asset_id,
        })
    }

    fn filename(
        &self,
        folder: &Path,
        asset: &Asset,
        mime_type: &str,
        contents: &Contents,
        request: &PublishRequest,
    ) -> Result<String, PublishError> {
        let extension = extension_of(mime_type).unwrap_or_default();
        match &request.target {
            Target::Filename(name) => Ok(name.clone()),
            Target::Original => {
                let name = asset.filename.to_lowercase();
                let same_type = mime_of_name(&name) == mime_type;
                let stem = name
                    .rsplit_once('.')
                    .map_or(name.as_str(), |(stem, _)| stem);
                let extension = match name.rsplit_once('.') {
                    Some((_, own)) if same_type => own,
                    _ => extension,
                };
                // Nobody has asked for this very name: what is there under it may be in use.
                free_name(stem, extension, |name| {
                    let path = folder.join(name);
                    fs::symlink_metadata(&path).is_err() || is_same(&path, contents)
                })
            }
            Target::ManifestKey(key) => {
                let stem = format!("{key}_{}", self.clock.now().strftime("%Y%m%d_%H%M%S"));
                // The same key may come twice in a second.
                free_name(&stem, extension, |name| !folder.join(name).exists())
            }
        }
    }

    fn folder_for(&self, request: &PublishRequest) -> Result<PathBuf, PublishError> {
        if let Some(path) = &request.folder {
            return self.make_folder(path);
        }
        self.folder()
    }

    /// Where things are published unless a request says otherwise; it is made if it's missing.
    pub fn folder(&self) -> Result<PathBuf, PublishError> {
        if let Some(chosen) = self.chosen() {
            // It may have been replaced by a link since it was set.
            return self.make_folder(&chosen);
        }
        folder::detect(&self.cwd).ok_or_else(|| PublishError::NoFolder {
            cwd: self.cwd.clone(),
            looked_for: folder::CANDIDATES.join(", "),
        })
    }

    pub(super) fn make_folder(&self, path: &Path) -> Result<PathBuf, PublishError> {
        let path = &paths::resolved(path, Path::new(""));
        let resolved = folder::resolve(&self.cwd, path)?;
        if resolved.is_dir() {
            return Ok(resolved);
        }
        if resolved.exists() {
            return Err(PublishError::NotAFolder(resolved));
        }
        fs::create_dir_all(&resolved).map_err(|source| PublishError::CannotCreate {
            path: resolved.clone(),
            source,
        })?;
        // Once more, now that all of it is there to be followed.
        folder::resolve(&self.cwd, path)
    }

    fn chosen(&self) -> Option<PathBuf> {
        self.chosen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What follows the last `public` or `static`; the path within the project if neither is in
    /// it; the mere name outside of the project.
    fn url(&self, folder: &Path, filename: &str) -> String {
        let parts: Vec<String> = folder
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let served = parts
            .iter()
            .rposition(|part| part == "public" || part == "static");
        let cwd = fs::canonicalize(&self.cwd).ok();
        let within = cwd.and_then(|cwd| folder.starts_with(&cwd).then(|| cwd.iter().count()));
        let start = served.map(|at| at + 1).or(within).unwrap_or(parts.len());
        let folders = parts[start..].iter().map(|part| percent_encode(part));
        let mut url: String = folders.flat_map(|part| ["/".to_owned(), part]).collect();
        url.push('/');
        url.push_str(filename);
        url
    }
}

/// Nobody's pictures are put into the store itself by hand.
pub(super) fn refuse_store(assets: &Assets, folder: &Path) -> Result<(), PublishError> {
    if !fs::canonicalize(assets.dir()).is_ok_and(|dir| folder.starts_with(dir)) {
        return Ok(());
    }
    Err(PublishError::Forbidden {
        path: folder.to_owned(),
        reason: "it is where assets are kept",
    })
}

/// The first of `stem.extension`, `stem_2.extension` and so on that is free. The folder is locked, so
/// that it stays so.
fn free_name(
    stem: &str,
    extension: &str,
    is_free: impl Fn(&str) -> bool,
) -> Result<String, PublishError> {
    let mut name = format!("{stem}.{extension}");
    for n in 2_u64.. {
        name::check_filename(&name)?;
        if is_free(&name) {
            break;
        }
        name = format!("{stem}_{n}.{extension}");
    }
    Ok(name)
}

/// Whether a plain file has these contents already.
fn is_same(path: &Path, contents: &Contents) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file());
    let len = |path: &Path| fs::metadata(path).map(|facts| facts.len()).ok();
    is_file
        && match contents {
            Contents::Copy(source) => len(source) == len(path) && have_same_bytes(source, path),
            Contents::Stripped(own) => fs::read(path).is_ok_and(|bytes| bytes == *own),
            Contents::Picture(picture) => fs::read(path).is_ok_and(|bytes| bytes == picture.bytes),
        }
}

fn have_same_bytes(one: &Path, other: &Path) -> bool {
    let hash = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok::<_, io::Error>(hasher.finalize())
    };
    matches!((hash(one), hash(other)), (Ok(one), Ok(other)) if one == other)
}

/// What to write: the bytes as they are, or a picture made of them.
fn contents(
    asset: &Asset,
    source: PathBuf,
    request: &PublishRequest,
) -> Result<Contents, PublishError> {
    let wanted = match &request.target {
        Target::Filename(name) => Some(mime_of_name(name)),
        _ => None,
    };
    let same_type = wanted.is_none_or(|wanted| wanted == asset.mime_type);
    let max_bytes = request.web_optimize.then_some(request.max_bytes);
    let unsupported = |reason: &str| PublishError::Unsupported {
        from: asset.mime_type.clone(),
        to: wanted.unwrap_or("a smaller file").to_owned(),
        reason: reason.to_owned(),
    };
    let Some(format) = shrink::format_of(&asset.mime_type) else {
        return if same_type {
            Ok(Contents::Copy(source))
        } else {
            Err(unsupported("it can only be copied"))
        };
    };
    if shrink::is_animated(&source, format) {
        return if same_type {
            Ok(Contents::Copy(source))
        } else {
            Err(unsupported("it moves and can only be copied"))
        };
    }
    if same_type && max_bytes.is_none_or(|max_bytes| asset.bytes <= max_bytes) {
        let stripped = (max_bytes.is_some() && format == ImageFormat::Png)
            .then(|| fs::read(&source).ok())
            .flatten()
            .and_then(|png| without_texts(&png));
        return Ok(stripped.map_or(Contents::Copy(source), Contents::Stripped));
    }
    let wanted_format = match wanted {
        Some(mime) => {
            Some(shrink::format_of(mime).ok_or_else(|| unsupported("pictures don't become that"))?)
        }
        None => None,
    };
    shrink::shrink(&source, format, wanted_format, max_bytes).map(Contents::Picture)
}

fn write_contents(path: &Path, contents: &Contents) -> Result<u64, PublishError> {
    match contents {
        Contents::Copy(source) => {
            write_whole(path, |file| io::copy(&mut File::open(source)?, file))
        }
        Contents::Stripped(bytes) => write_bytes(path, bytes),
        Contents::Picture(picture) => write_bytes(path, &picture.bytes),
    }
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<u64, PublishError> {
    write_whole(path, |file| file.write_all(bytes))?;
    Ok(bytes.len() as u64)
}

/// Writes a file next to `path` and moves it there. A link at `path` is replaced, not followed.
fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<T>,
) -> Result<T, PublishError> {
    let folder = path.parent().unwrap_or(path);
    let mut temp =
        TempFile::create_named(folder, manifest::TEMP_PREFIX).map_err(PublishError::copy(path))?;
    let written = write(temp.file()).map_err(PublishError::copy(path))?;
    temp.sync().map_err(PublishError::copy(path))?;
    temp.persist(path).map_err(PublishError::copy(path))?;
    Ok(written)
}

fn percent_encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
