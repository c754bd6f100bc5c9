//! Copying an asset to any place that is people's own, as carefully as publishing does.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{PublishError, Publisher};
use crate::assets::{Asset, Assets, Kind, extension_of, mime_of_name};
use crate::paths;
use crate::store::files::TempFile;

/// Files being written begin with this. Unlike those of publishing they are not below the lock of
/// the folder, so no publisher may take them for what is left of others.
const TEMP_PREFIX: &str = ".mmf_copy-";

/// Extensions of what nodes save that have no type of their own.
const INERT: [&str; 2] = ["latent", "safetensors"];

/// A copy of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it is.
    pub mime_type: String,
    /// The asset.
    pub asset_id: String,
}

impl Publisher {
    /// Copies an asset to `target`: into it under the asset's own name if it's a folder or ends
    /// with a separator. Folders are made as needed, and the same ones are refused as in
    /// publishing. A file that is there is replaced only if `overwrite`.
    pub fn export(
        &self,
        assets: &Assets,
        asset_id: &str,
        target: &Path,
        overwrite: bool,
    ) -> Result<Exported, PublishError> {
        let asset = assets.get(asset_id)?;
        let source = assets.path(asset_id)?;
        let target = paths::resolved(target, Path::new(""));
        let (folder, name) = self.split(&target, &asset)?;
        check_name(&name, &asset)?;
        // Whoever named a folder didn't mean a file like package.json that is in it.
        let is_named = folder != target;
        let replaceable = !matches!(asset.kind, Kind::Text | Kind::File);
        let overwrite = overwrite && (is_named || replaceable);
        let folder = self.make_folder(&folder)?;
        super::publisher::refuse_store(assets, &folder)?;
        let path = folder.join(&name);
        copy(&source, &path, overwrite)?;
        Ok(Exported {
            bytes: asset.bytes,
            mime_type: asset.mime_type,
            asset_id: asset.asset_id,
            path,
        })
    }

    fn split(&self, target: &Path, asset: &Asset) -> Result<(PathBuf, String), PublishError> {
        let text = target.to_string_lossy();
        if text.ends_with(std::path::is_separator) || self.cwd.join(target).is_dir() {
            return Ok((target.to_owned(), asset.filename.clone()));
        }
        let name = target.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| PublishError::InvalidPath {
            path: target.to_owned(),
            reason: "it has no file name".to_owned(),
        })?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok((folder, name.to_owned()))
    }
}

/// A file is named as what it is: a picture can't pass for a script or for somebody's settings, nor
/// for a picture of another type.
fn check_name(name: &str, asset: &Asset) -> Result<(), PublishError> {
    let wrong = |reason: String| {
        let own = asset.filename.rsplit_once('.').map(|(_, ending)| ending);
        let ending = extension_of(&asset.mime_type).or(own).unwrap_or_default();
        Err(PublishError::CopyName {
            name: name.to_owned(),
            reason,
            ending: ending.to_owned(),
        })
    };
    if name.starts_with('.') || name.contains(['/', '\\']) || name.contains(char::is_control) {
        return wrong("it is hidden, or not a plain name".to_owned());
    }
    let named_so = mime_of_name(name) == asset.mime_type && name_is_typed(name);
    if named_so || name == asset.filename && is_harmless(name) {
        Ok(())
    } else {
        wrong(format!("it is {}", asset.mime_type))
    }
}

/// Whether a name that a server gave a file is one that nothing on this machine runs.
fn is_harmless(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    name_is_typed(name) || extension.is_some_and(|extension| INERT.contains(&extension))
}

/// Whether the name's extension stands for a type at all.
fn name_is_typed(name: &str) -> bool {
    extension_of(mime_of_name(name)).is_some()
}

fn copy(source: &Path, path: &Path, overwrite: bool) -> Result<(), PublishError> {
    let failed = PublishError::copy::<io::Error>;
    let taken = || PublishError::Exists(path.to_owned());
    // A link counts as well, wherever it leads.
    let there = fs::symlink_metadata(path);
    if there.as_ref().is_ok_and(fs::Metadata::is_dir) || (there.is_ok() && !overwrite) {
        return Err(taken());
    }
    let folder = path.parent().unwrap_or(path);
    let mut temp = TempFile::create_named(folder, TEMP_PREFIX).map_err(PublishError::copy(path))?;
    let mut from = File::open(source).map_err(failed(path))?;
    io::copy(&mut from, temp.file()).map_err(failed(path))?;
    temp.sync().map_err(PublishError::copy(path))?;
    if overwrite {
        return temp.persist(path).map_err(PublishError::copy(path));
    }
    // Unlike a rename, a second name is refused where one is there by now.
    match fs::hard_link(temp.path(), path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken()),
        // Some file systems know no second names.
        Err(_) => copy_new(source, path),
    }
}

/// Copies to a name that nobody has; what comes of a copy that fails is removed.
fn copy_new(source: &Path, path: &Path) -> Result<(), PublishError> {
    let mut target = match File::create_new(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(PublishError::Exists(path.to_owned()));
        }
        Err(error) => return Err(PublishError::copy(path)(error)),
    };
    let copied = File::open(source)
        .and_then(|mut source| io::copy(&mut source, &mut target))
        .and_then(|_| target.sync_all());
    copied.map_err(|error| {
        fs::remove_file(path).ok();
        PublishError::copy(path)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_have_no_second_names_none_is_written_over_either() {
        let dir = tempfile::tempdir().unwrap();
        let [source, path] = ["source", "path"].map(|name| dir.path().join(name));
        fs::write(&source, "new").unwrap();
        copy_new(&source, &path).unwrap();
        fs::write(&path, "mine").unwrap();

        let refused = copy_new(&source, &path);

        assert!(matches!(refused, Err(PublishError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        let gone = dir.path().join("gone");
        copy_new(&gone, &dir.path().join("half")).unwrap_err();
        assert!(!dir.path().join("half").exists(), "nothing is left of it");
    }
}
