//! What was published where, so that a picture may take the place of an earlier one but never that
//! of somebody's own file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file within the folder of the assets: a line for each file that was published.
const NAME: &str = "published.jsonl";

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    /// A hash of its bytes (BLAKE3, hexadecimal).
    hash: String,
}

/// Whether what is at `path` now is what was published there last. `dir` is the folder of the
/// assets.
pub(super) fn is_ours(dir: &Path, path: &Path) -> bool {
    let Ok(file) = File::open(dir.join(NAME)) else {
        return false;
    };
    // A line that was cut off when a process was killed says nothing.
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let entries = lines.filter_map(|line| serde_json::from_str::<Entry>(&line).ok());
    let last = entries.filter(|entry| entry.path == path).last();
    last.is_some_and(|last| hash(path).is_ok_and(|hash| hash == last.hash))
}

/// Notes what was published. One write, so that the lines of several processes don't mix; it begins
/// a line of its own after one that was cut off.
pub(super) fn note(dir: &Path, path: &Path) -> io::Result<()> {
    let entry = Entry {
        path: path.to_owned(),
        hash: hash(path)?,
    };
    let line = format!("\n{}\n", serde_json::to_string(&entry)?);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(NAME))?;
    file.write_all(line.as_bytes())
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Whether anything is there, be it a link to nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_published_last_and_is_as_it_was_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let [mine, theirs] = ["mine.png", "theirs.png"].map(|name| dir.path().join(name));
        fs::write(&mine, "one").unwrap();
        fs::write(&theirs, "theirs").unwrap();
        note(dir.path(), &mine).unwrap();
        assert!(is_ours(dir.path(), &mine));
        assert!(!is_ours(dir.path(), &theirs));

        fs::write(&mine, "edited").unwrap();
        assert!(!is_ours(dir.path(), &mine));
        let ledger = dir.path().join(NAME);
        let mut cut = fs::read_to_string(&ledger).unwrap();
        cut.push_str("{\"path\":");
        fs::write(&ledger, cut).unwrap();
        note(dir.path(), &mine).unwrap();
        assert!(is_ours(dir.path(), &mine));
    }
}
