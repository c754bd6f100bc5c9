//! The answers of a real `ComfyUI`, where they are at hand.
//!
//! The recordings are not part of this repository. They are looked for where `MMF_REFERENCE`
//! points, or beside the repository; without them whoever asks is told so on stderr.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;

/// Where a recorded file lies, if it is there.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MMF_REFERENCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/reference"),
        PathBuf::from,
    );
    let path = folder.join("golden").join(name);
    if !path.is_file() {
        eprintln!(
            "skipped: {} is absent, set MMF_REFERENCE to the reference folder",
            path.display()
        );
        return None;
    }
    Some(path)
}

/// A recorded file, unpacked while it is read.
pub(crate) fn open(name: &str) -> Option<GzDecoder<BufReader<File>>> {
    let file = File::open(path(name)?).unwrap();
    Some(GzDecoder::new(BufReader::new(file)))
}

/// A recorded file of JSON.
pub(crate) fn recorded(name: &str) -> Option<Value> {
    Some(serde_json::from_reader(open(name)?).unwrap())
}
