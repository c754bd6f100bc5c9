//! The node facts of one server in a file, to validate against while the server is off.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::facts::NodeFacts;
use crate::failure::{Code, Failure};

/// What a server's nodes were at a point in time; gzipped JSON on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The server's own version, such as `"0.33.0"`.
    pub comfyui_version: String,
    /// When the server was asked.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub taken_at: Timestamp,
    /// The server's address, if whoever took the snapshot wanted it kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its classes.
    #[serde(rename = "object_info")]
    pub facts: NodeFacts,
}

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file can't be opened or read.
    #[error("can't read the node snapshot {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file can't be written.
    #[error("can't write the node snapshot {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is no node snapshot: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where the reading ended.
        source: serde_json::Error,
    },
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        let (code, hint) = match &error {
            SnapshotError::Read { .. } => (
                Code::NOT_FOUND,
                "take one with `mmf nodes snapshot` while the server runs",
            ),
            SnapshotError::Write { .. } => (Code::TOOL_ERROR, "choose a folder you may write to"),
            SnapshotError::Format { .. } => (
                Code::VALIDATION_ERROR,
                "take it again with `mmf nodes snapshot`",
            ),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

impl Snapshot {
    /// Reads a snapshot from a file.
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        let file = File::open(path).map_err(|source| SnapshotError::Read {
            path: path.to_owned(),
            source,
        })?;
        let json = BufReader::new(GzDecoder::new(BufReader::new(file)));
        serde_json::from_reader(json).map_err(|source| SnapshotError::Format {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the snapshot to a file; one that was there stays whole until the new one is.
    pub fn write(&self, path: &Path) -> Result<(), SnapshotError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        self.write_to(&partial)
            .and_then(|()| fs::rename(&partial, path))
            .map_err(|source| {
                // What was begun is of no use; that it can't be removed either adds nothing.
                fs::remove_file(&partial).ok();
                SnapshotError::Write {
                    path: path.to_owned(),
                    source,
                }
            })
    }

    fn write_to(&self, path: &Path) -> std::io::Result<()> {
        let mut out = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::best());
        serde_json::to_writer(&mut out, self)?;
        let file = out
            .finish()?
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        (&file).flush()?;
        file.sync_all()
    }
}

fn write_time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json.gz");
        let snapshot = Snapshot {
            comfyui_version: "0.33.0".to_owned(),
            taken_at: "2026-11-22T09:00:00Z".parse().unwrap(),
            url: Some("http://127.0.0.1:8188".to_owned()),
            facts: (*NodeFacts::bundled()).clone(),
        };
        snapshot.write(&path).unwrap();

        let read = Snapshot::read(&path).unwrap();

        assert_eq!(read.comfyui_version, snapshot.comfyui_version);
        assert_eq!(read.taken_at, snapshot.taken_at);
        assert_eq!(read.url, snapshot.url);
        assert_eq!(read.facts.to_object_info(), snapshot.facts.to_object_info());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_and_a_foreign_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json.gz");
        assert!(matches!(
            Snapshot::read(&path),
            Err(SnapshotError::Read { .. })
        ));
        fs::write(&path, "not gzip").unwrap();
        assert!(matches!(
            Snapshot::read(&path),
            Err(SnapshotError::Format { .. })
        ));
    }

    #[test]
    fn a_snapshot_that_can_not_be_put_in_its_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json.gz");
        fs::create_dir(&path).unwrap();
        let snapshot = Snapshot {
            comfyui_version: "0.33.0".to_owned(),
            taken_at: Timestamp::UNIX_EPOCH,
            url: None,
            facts: NodeFacts::default(),
        };
        let refused = snapshot.write(&path);
        assert!(matches!(refused, Err(SnapshotError::Write { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
