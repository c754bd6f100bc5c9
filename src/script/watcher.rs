//! Takes up changes on disk.
//!
//! File events are only a sign that something changed: a file made together with its folder
//! brings no event of its own, a folder moved in brings one for many files, a slow write brings
//! one half-way, and the watch of a folder that is deleted dies silently. So after each burst of
//! events the whole tree is read again (what did not change is not compiled again), and the
//! watches are set anew when a root came or went.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Library;

/// How long it must be quiet before the tree is read: long enough to see most saves as one.
const QUIET: Duration = Duration::from_millis(40);

/// How long a stream of events can put off the reading.
const PATIENCE: Duration = Duration::from_millis(150);

/// A folder that appeared may have been filled before it was watched: it is read once more.
const SECOND_LOOK: Duration = Duration::from_millis(120);

/// Watches the roots of a library until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    thread: mpsc::Sender<Signal>,
}

enum Signal {
    Changed { folder: bool },
    Stop,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // A thread that has ended already needs no word.
        let _ = self.thread.send(Signal::Stop);
    }
}

impl Watcher {
    /// Starts to watch. A system without file events is told of in the log; scripts then stay as
    /// they were read.
    #[must_use]
    pub fn start(library: Arc<Library>) -> Self {
        let (sender, receiver) = mpsc::channel();
        let mut watches = Watches::new(&library, sender.clone());
        let weak = Arc::downgrade(&library);
        drop(library);
        let body = move || {
            while let Some(folder) = burst(&receiver, None) {
                let Some(library) = weak.upgrade() else {
                    return;
                };
                watches.renew(&library);
                library.reload();
                if folder && burst(&receiver, Some(SECOND_LOOK)).is_some() {
                    library.reload();
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("mmf-watch".into()).spawn(body) {
            tracing::warn!("changes of scripts are not taken up: {error}");
        }
        Self { thread: sender }
    }
}

/// Waits for a burst of events to begin and end; says whether folders were among what changed.
/// With `quiet`, a wait without any event ends as an empty burst.
fn burst(receiver: &Receiver<Signal>, quiet: Option<Duration>) -> Option<bool> {
    let first = match quiet {
        None => receiver.recv().ok(),
        Some(wait) => match receiver.recv_timeout(wait) {
            Ok(signal) => Some(signal),
            Err(RecvTimeoutError::Timeout) => return Some(false),
            Err(RecvTimeoutError::Disconnected) => None,
        },
    };
    let Signal::Changed {
        folder: mut any_folder,
    } = first?
    else {
        return None;
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match receiver.recv_timeout(QUIET) {
            Ok(Signal::Changed { folder }) => any_folder |= folder,
            Err(RecvTimeoutError::Timeout) => break,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    Some(any_folder)
}

/// The watches that are set, and what they were set for.
struct Watches {
    sender: mpsc::Sender<Signal>,
    watcher: Option<RecommendedWatcher>,
    set_for: Vec<Target>,
}

/// A place to watch and the identity of what was there.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    path: PathBuf,
    recursive: bool,
    identity: Option<u64>,
}

impl Watches {
    fn new(library: &Library, sender: mpsc::Sender<Signal>) -> Self {
        let mut watches = Self {
            sender,
            watcher: None,
            set_for: vec![],
        };
        watches.renew(library);
        watches
    }

    /// Sets the watches anew if what should be watched is not what is being watched.
    fn renew(&mut self, library: &Library) {
        let targets: Vec<Target> = library
            .roots()
            .iter()
            .flat_map(|root| targets(&root.path))
            .collect();
        if self.watcher.is_some() && targets == self.set_for {
            return;
        }
        self.watcher = self.watcher_of(&targets);
        self.set_for = targets;
    }

    fn watcher_of(&self, targets: &[Target]) -> Option<RecommendedWatcher> {
        let sender = self.sender.clone();
        let handler = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // What has neither the extension of a script nor that of another file may be a folder.
            let script = |path: &PathBuf| path.extension().is_some_and(|it| it == "rhai");
            let folder = event.paths.iter().any(|path| path.extension().is_none());
            let relevant = folder || event.paths.iter().any(script);
            if matches!(event.kind, EventKind::Access(_)) || !relevant {
                return;
            }
            // The library is gone when nobody listens any more.
            let _ = sender.send(Signal::Changed { folder });
        };
        let mut watcher = notify::recommended_watcher(handler)
            .inspect_err(|error| tracing::warn!("changes of scripts are not taken up: {error}"))
            .ok()?;
        for target in targets {
            let mode = if target.recursive {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            if let Err(error) = watcher.watch(&target.path, mode) {
                tracing::debug!("{} is not watched: {error}", target.path.display());
            }
        }
        Some(watcher)
    }
}

/// The folders of scripts with all below them, and above them what they may come into: the root
/// and its parent, or the nearest folder that exists. The root itself is not watched as a tree,
/// because a user's data folder holds far more than scripts.
fn targets(root: &Path) -> Vec<Target> {
    let mut targets: Vec<Target> = ["templates", "scripts"]
        .map(|folder| root.join(folder))
        .iter()
        .filter(|folder| folder.is_dir())
        .map(|folder| target(folder, true))
        .collect();
    let above = root.ancestors().filter(|folder| folder.is_dir()).take(2);
    targets.extend(above.map(|folder| target(folder, false)));
    targets
}

fn target(path: &Path, recursive: bool) -> Target {
    Target {
        path: path.to_owned(),
        recursive,
        identity: identity(path),
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().ok().map(|metadata| metadata.ino())
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<u64> {
    let created = path.metadata().ok()?.created().ok()?;
    let since = created.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}
