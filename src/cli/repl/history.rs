//! What was typed before, kept in the data folder: an input a line, as JSON.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "repl_history.jsonl";

/// So many inputs are kept.
const KEPT: usize = 1000;

pub(super) struct History {
    file: PathBuf,
}

impl History {
    /// The history in a data folder, and its inputs, the oldest first.
    pub(super) fn open(data_dir: &Path) -> (Self, Vec<String>) {
        let file = data_dir.join(FILE);
        let text = fs::read_to_string(&file).unwrap_or_default();
        let inputs = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut inputs: Vec<String> = inputs.collect();
        let history = Self { file };
        if inputs.len() > 2 * KEPT {
            inputs.drain(..inputs.len() - KEPT);
            history.note(history.rewrite(&inputs));
        }
        (history, inputs)
    }

    /// Adds an input.
    pub(super) fn add(&self, input: &str) {
        let added = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file);
        let line = serde_json::Value::from(input);
        self.note(added.and_then(|mut file| writeln!(file, "{line}")));
    }

    fn rewrite(&self, inputs: &[String]) -> io::Result<()> {
        let lines = inputs
            .iter()
            .map(|input| format!("{}\n", serde_json::Value::from(&**input)));
        fs::write(&self.file, lines.collect::<String>())
    }

    /// A history that can't be written is no reason to stop.
    fn note(&self, written: io::Result<()>) {
        if let Err(error) = written {
            tracing::debug!("{} can't be written: {error}", self.file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_back_whole_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let (history, inputs) = History::open(folder.path());
        assert!(inputs.is_empty());
        history.add("fn f() {\n    1\n}");
        history.add("f()");
        let (history, inputs) = History::open(folder.path());
        assert_eq!(inputs, ["fn f() {\n    1\n}", "f()"]);
        for n in 0..2 * KEPT {
            history.add(&n.to_string());
        }
        let (_, inputs) = History::open(folder.path());
        assert_eq!((inputs.len(), &*inputs[0]), (KEPT, "1000"));
    }
}
