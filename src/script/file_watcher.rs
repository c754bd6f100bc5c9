//! Tells when one file was saved, wherever it lies. Its folder is what is watched: many editors save
//! by putting a new file in the place of the old one, which a watch of the file itself would lose.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::failure::{Code, Failure};

/// How long it must be quiet before a save counts as whole.
const QUIET: Duration = Duration::from_millis(40);

/// Watches one file until it is dropped.
#[derive(Debug)]
pub struct FileWatcher {
    events: mpsc::UnboundedReceiver<()>,
    _watcher: RecommendedWatcher,
}

impl FileWatcher {
    /// Starts to watch a file, whose folder has to be there.
    pub fn start(file: &Path) -> Result<Self, Failure> {
        let folder = file.parent().filter(|path| *path != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        let failed = |error: notify::Error| {
            let message = format!("{} can't be watched: {error}", folder.display());
            Failure::new(Code::NOT_FOUND, message)
        };
        let (sender, events) = mpsc::unbounded_channel();
        let name = file.file_name().map(OsStr::to_owned);
        let handler = move |event: notify::Result<notify::Event>| {
            let concerned = event.map_or(true, |event| {
                let mut paths = event.paths.iter();
                let is_it = paths.any(|path| path.file_name() == name.as_deref());
                !matches!(event.kind, EventKind::Access(_)) && (is_it || event.need_rescan())
            });
            if concerned {
                // Nobody listens any more when the watcher is being dropped.
                let _ = sender.send(());
            }
        };
        let mut watcher = notify::recommended_watcher(handler).map_err(failed)?;
        let watching = watcher.watch(folder, RecursiveMode::NonRecursive);
        watching.map_err(failed)?;
        Ok(Self {
            events,
            _watcher: watcher,
        })
    }

    /// Waits for the next save to be over.
    pub async fn saved(&mut self) {
        if self.events.recv().await.is_none() {
            // The watcher has died, which brings no event.
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = timeout(QUIET, self.events.recv()).await {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_save_in_place_and_one_by_another_file_are_both_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.rhai");
        fs::write(&file, "// one").unwrap();
        let mut watcher = FileWatcher::start(&file).unwrap();
        fs::write(&file, "// two").unwrap();
        timeout(DEADLINE, watcher.saved()).await.unwrap();
        let other = folder.path().join(".save");
        fs::write(&other, "// three").unwrap();
        fs::rename(&other, &file).unwrap();
        timeout(DEADLINE, watcher.saved()).await.unwrap();
    }
}
