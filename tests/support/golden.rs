//! The answers of a real `ComfyUI`, where they are at hand.

use std::fs::File;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;

/// A recorded file, or nothing (said on stderr) where the reference folder is absent.
pub(crate) fn recorded(name: &str) -> Option<Value> {
    let folder = std::env::var_os("MMF_REFERENCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/reference"),
        PathBuf::from,
    );
    let path = folder.join("golden").join(name);
    let Ok(file) = File::open(&path) else {
        eprintln!(
            "skipped: {} is absent, set MMF_REFERENCE to the reference folder",
            path.display()
        );
        return None;
    };
    Some(serde_json::from_reader(GzDecoder::new(file)).unwrap())
}
