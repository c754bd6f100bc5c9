//! What `ComfyUI`'s own editor made of graphs, if `MMF_FRONTEND` names the folder that
//! `tests/frontend/setup.py` prints.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use massmediafactory::comfy::nodes::NodeFacts;
use serde::Deserialize;
use serde_json::Value;

/// Names the folder of the recording.
pub(crate) const SWITCH: &str = "MMF_FRONTEND";

/// All that was recorded.
pub(crate) struct Recording {
    /// The node classes of the server that the editor was connected to.
    pub(crate) facts: NodeFacts,
    /// The graphs.
    pub(crate) cases: Vec<Case>,
}

/// A graph and what the editor made of it.
#[derive(Deserialize)]
pub(crate) struct Case {
    /// Where it is from, and its name there: `official/flux_dev`.
    pub(crate) name: String,
    pub(crate) ui: Value,
    /// The prompt that the editor would queue.
    pub(crate) api: Option<Value>,
    /// The prompt a moment later, where it is another.
    pub(crate) later: Option<Value>,
    /// Why the editor made none.
    pub(crate) error: Option<String>,
}

impl Recording {
    /// Reads the recording, or says on stderr that there is none.
    pub(crate) fn open() -> Option<Self> {
        let Some(folder) = std::env::var_os(SWITCH).filter(|folder| !folder.is_empty()) else {
            eprintln!(
                "skipped: set {SWITCH} to what tests/frontend/setup.py prints to hold this against the editor"
            );
            return None;
        };
        Some(Self::read(&PathBuf::from(folder)))
    }

    fn read(folder: &Path) -> Self {
        let file = |name: &str| BufReader::new(File::open(folder.join(name)).unwrap());
        let lines = file("corpus.jsonl").lines();
        Self {
            facts: NodeFacts::read(file("object_info.json")).unwrap(),
            cases: lines
                .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
                .collect(),
        }
    }
}
