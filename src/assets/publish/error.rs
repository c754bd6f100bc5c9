//! What can go wrong with publishing.

use std::io;
use std::path::{Path, PathBuf};

use crate::assets::AssetError;
use crate::failure::{Code, Failure};

/// Why an asset was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The asset can't be had.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The file name isn't allowed.
    #[error("\"{name}\" is not allowed as a file name: {reason}")]
    InvalidFilename {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A copy of the asset can't have this name.
    #[error("\"{name}\" is no name for a copy of it: {reason}")]
    CopyName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What a name of such a file ends in.
        ending: String,
    },
    /// The manifest key isn't allowed.
    #[error("\"{0}\" is not allowed as a manifest key")]
    InvalidKey(String),
    /// There is no publish directory configured.
    #[error("no publish directory configured: none was set and there is none of {looked_for} in {}", cwd.display())]
    NoFolder {
        /// Where they were looked for.
        cwd: PathBuf,
        /// Their names.
        looked_for: String,
    },
    /// The path leads out of its folder.
    #[error("{} leads out of {}", path.display(), root.display())]
    Traversal {
        /// The path.
        path: PathBuf,
        /// What it would have to stay in.
        root: PathBuf,
    },
    /// Nothing may be written there.
    #[error("nothing may be written to {}: {reason}", path.display())]
    Forbidden {
        /// The folder.
        path: PathBuf,
        /// What it is.
        reason: &'static str,
    },
    /// There is something else than a folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The folder could not be made.
    #[error("could not make the folder {}: {source}", path.display())]
    CannotCreate {
        /// The folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Somebody's own file is there.
    #[error("{} is there already, and was not published from here", .0.display())]
    NotOurs(PathBuf),
    /// The path makes no sense.
    #[error("{} can't be used: {reason}", path.display())]
    InvalidPath {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The asset can't become a file of this type.
    #[error("{from} can't be published as {to}: {reason}")]
    Unsupported {
        /// What the asset is.
        from: String,
        /// What was asked for.
        to: String,
        /// Why not.
        reason: String,
    },
    /// The picture can't be made small enough.
    #[error(
        "the picture takes {smallest} bytes even at {:.0} % of its width and height, {max_bytes} are allowed",
        scale * 100.0
    )]
    TooLarge {
        /// The best that was reached.
        smallest: u64,
        /// How much of its width and height was left then; 1 for all.
        scale: f64,
        /// What is allowed.
        max_bytes: u64,
    },
    /// The manifest isn't one.
    #[error("{} is not a JSON object, and is left as it is", .0.display())]
    Manifest(PathBuf),
    /// Writing failed.
    #[error("could not write {}: {reason}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

impl PublishError {
    pub(super) fn copy<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        move |error| Self::Copy {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        let fail = |code, hint: &str| Self::new(code, message).hint(hint);
        match error {
            PublishError::Asset(error) => error.into(),
            PublishError::InvalidFilename { .. } => fail(
                Code::INVALID_FILENAME,
                "1 to 64 of a-z 0-9 . _ - beginning with a letter or digit, then .webp .png .jpg .jpeg .mp4 .webm .gif .mp3 .wav .flac .ogg or .m4a",
            ),
            PublishError::CopyName { ending, .. } => {
                let hint = format!(
                    "end it in .{ending}, or pass a folder, into which it goes under its own name"
                );
                fail(Code::INVALID_FILENAME, &hint)
            }
            PublishError::InvalidKey(_) => fail(
                Code::INVALID_FILENAME,
                "1 to 48 of a-z 0-9 _ - beginning with a letter or digit",
            ),
            PublishError::NoFolder { .. } => fail(
                Code::NO_PUBLISH_DIR,
                "make public/gen in the project, call set_publish_dir, or pass publish_dir",
            ),
            PublishError::Traversal { .. } => fail(
                Code::PATH_TRAVERSAL,
                "pass a path without .. and without links that lead elsewhere",
            ),
            PublishError::Forbidden { .. } => {
                fail(Code::FORBIDDEN_PATH, "pass a folder of the project")
            }
            PublishError::Exists(_) => fail(
                Code::FILE_EXISTS,
                "pass another path, or overwrite: true if it is to be replaced",
            ),
            PublishError::NotOurs(_) => fail(
                Code::FILE_EXISTS,
                "pass another target_filename, or remove the file if it is to be replaced",
            ),
            PublishError::NotAFolder(_) => fail(Code::NOT_A_DIRECTORY, "pass a folder"),
            PublishError::CannotCreate { .. } => fail(
                Code::CANNOT_CREATE_DIR,
                "check who may write there, or pass another folder",
            ),
            PublishError::InvalidPath { .. } => fail(Code::INVALID_PATH, "pass another path"),
            PublishError::Unsupported { .. } => fail(
                Code::UNSUPPORTED_TYPE,
                "pictures become .png .jpg or .webp; everything else keeps its own extension",
            ),
            PublishError::TooLarge { .. } => fail(
                Code::UNSUPPORTED_TYPE,
                "publish it as .jpg, allow more with max_bytes, or pass web_optimize: false",
            ),
            PublishError::Manifest(_) => fail(
                Code::COPY_FAILED,
                "repair or remove manifest.json, or pass target_filename instead of manifest_key",
            ),
            PublishError::Copy { .. } => fail(
                Code::COPY_FAILED,
                "check the folder, who may write there, and its disk",
            ),
        }
    }
}
