//! The script that is followed, and the changes that may concern it.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::app::Found;
use crate::cli::handed::is_script;
use crate::failure::Failure;
use crate::script::{FileWatcher, Library, ScriptError};

/// Tells that something may have changed.
pub(super) type Changes = mpsc::UnboundedReceiver<()>;

/// A script as the user named it.
#[derive(Clone, Debug)]
pub(super) enum Followed {
    /// One of the library.
    Named(String),
    /// A file, wherever it lies.
    File(PathBuf),
}

impl Followed {
    pub(super) fn called(name: &str) -> Self {
        if is_script(name) {
            Self::File(name.into())
        } else {
            Self::Named(name.to_owned())
        }
    }

    /// The script as it is now. What is served of a broken one in its place does not count.
    pub(super) fn find(&self, library: &Library) -> Result<Found, ScriptError> {
        let found = match self {
            Self::Named(name) => Found::named(library, name)?,
            Self::File(file) => Found::in_file(library, file)?,
        };
        let key = &found.served.script.key;
        match found.generation.problems().get(key) {
            Some(problem) => Err(ScriptError::Broken(Box::new(problem.clone()))),
            None => Ok(found),
        }
    }

    /// Follows the library, which tells of imports and facts, too, and the file if it is one.
    pub(super) fn changes(&self, library: &Library) -> Result<Changes, Failure> {
        let (sender, changes) = mpsc::unbounded_channel();
        if let Self::File(file) = self {
            let mut watcher = FileWatcher::start(file)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while !sender.is_closed() {
                    watcher.saved().await;
                    // Nobody listens any more when the command is over.
                    let _ = sender.send(());
                }
            });
        }
        let mut news = library.subscribe();
        tokio::spawn(
            async move { while news.changed().await.is_ok() && sender.send(()).is_ok() {} },
        );
        Ok(changes)
    }
}
