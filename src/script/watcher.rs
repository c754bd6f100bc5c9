//! Takes up changes on disk.
//!
//! File events are only a sign that something changed: a file made together with its folder
//! brings no event of its own, a folder moved in brings one for many files, a slow write brings
//! one half-way, the watch of a folder that is deleted dies silently, and a full queue drops
//! events. So after each burst of events the whole tree is read again (what did not change is not
//! compiled again). If more than files was concerned the watches are set anew as well, and a
//! second look follows.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Library, Limits};
use crate::knowledge::FILE_NAME;

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

#[derive(Debug)]
enum Signal {
    /// Something changed; `folder` if it may be more than the texts of files.
    Changed {
        folder: bool,
    },
    Stop,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // A thread that has ended already needs no word.
        let _ = self.thread.send(Signal::Stop);
    }
}

impl Watcher {
    /// Starts to watch; what changed since the library was loaded is taken up, too. A system
    /// without file events is told of in the log; scripts then stay as they were read.
    #[must_use]
    pub fn start(library: Arc<Library>) -> Self {
        let (sender, receiver) = mpsc::channel();
        let watches = Watches::new(&library, sender.clone());
        let weak = Arc::downgrade(&library);
        drop(library);
        let thread = thread::Builder::new()
            .name("mmf-watch".into())
            .stack_size(Limits::STACK);
        if let Err(error) = thread.spawn(move || follow(&weak, watches, &receiver)) {
            tracing::warn!("changes of scripts are not taken up: {error}");
        }
        Self { thread: sender }
    }
}

/// Reads the library after each burst of events until it is stopped or the library is gone.
fn follow(library: &Weak<Library>, mut watches: Watches, receiver: &Receiver<Signal>) {
    let mut folder = false;
    loop {
        let Some(library) = library.upgrade() else {
            return;
        };
        watches.renew(&library, folder);
        library.reload();
        drop(library);
        match burst(receiver, folder.then_some(SECOND_LOOK)) {
            Some(next) => folder = next,
            None => return,
        }
    }
}

/// Waits for a burst of events to begin and end; says whether folders were among what changed, or
/// nothing when it is time to stop. With `wait`, so long without any event ends as an empty burst.
fn burst(receiver: &Receiver<Signal>, wait: Option<Duration>) -> Option<bool> {
    let first = match wait {
        None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(wait) => receiver.recv_timeout(wait),
    };
    let mut any_folder = match first {
        Ok(Signal::Changed { folder }) => folder,
        Err(RecvTimeoutError::Timeout) => return Some(false),
        Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
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

/// A place to watch.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    path: PathBuf,
    recursive: bool,
}

impl Watches {
    fn new(library: &Library, sender: mpsc::Sender<Signal>) -> Self {
        let mut watches = Self {
            sender,
            watcher: None,
            set_for: vec![],
        };
        watches.renew(library, true);
        watches
    }

    /// Sets the watches anew if what should be watched is not what is being watched, or if some
    /// may be dead. A folder that came while they were being set is found by asking again.
    fn renew(&mut self, library: &Library, mut some_may_be_dead: bool) {
        loop {
            let targets: Vec<Target> = library
                .roots()
                .iter()
                .flat_map(|root| targets(&root.path))
                .collect();
            if !some_may_be_dead && targets == self.set_for {
                return;
            }
            some_may_be_dead = false;
            // The new watches stand before the old ones fall.
            self.watcher = self.watcher_of(library, &targets);
            self.set_for = targets;
        }
    }

    fn watcher_of(&self, library: &Library, targets: &[Target]) -> Option<RecommendedWatcher> {
        let sender = self.sender.clone();
        let scope = Scope::of(library);
        let handler = move |event: notify::Result<notify::Event>| {
            if let Some(signal) = scope.signal(&event) {
                // The library is gone when nobody listens any more.
                let _ = sender.send(signal);
            }
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
    let folders = FOLDERS.map(|folder| root.join(folder)).into_iter();
    let folders = folders.filter(|folder| folder.is_dir()).map(|path| Target {
        path,
        recursive: true,
    });
    let above = root.ancestors().filter(|folder| folder.is_dir()).take(2);
    let above = above.map(|folder| Target {
        path: folder.to_owned(),
        recursive: false,
    });
    folders.chain(above).collect()
}

/// The folders below a root that hold scripts.
const FOLDERS: [&str; 2] = ["templates", "scripts"];

/// Which events matter. Others happen beside the roots all the time: builds in the project's
/// folder, assets in the user's.
struct Scope {
    folders: Vec<PathBuf>,
    /// The files of facts.
    facts: Vec<PathBuf>,
}

impl Scope {
    fn of(library: &Library) -> Self {
        let roots = library.roots().iter().flat_map(|root| {
            // Some systems tell of a path as it was given, others of what its links lead to.
            let links_followed = links_followed(&root.path);
            [Some(root.path.clone()), links_followed]
        });
        let roots: Vec<PathBuf> = roots.flatten().collect();
        let folders = roots
            .iter()
            .flat_map(|root| FOLDERS.map(|folder| root.join(folder)));
        Self {
            folders: folders.collect(),
            facts: roots.iter().map(|root| root.join(FILE_NAME)).collect(),
        }
    }

    /// What an event means, if anything. What is no file any more may have been a folder, and
    /// after an error or a full queue everything may have changed.
    fn signal(&self, event: &notify::Result<notify::Event>) -> Option<Signal> {
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            _ => return Some(Signal::Changed { folder: true }),
        };
        if matches!(event.kind, EventKind::Access(_)) {
            return None;
        }
        if event.paths.iter().any(|path| self.facts.contains(path)) {
            return Some(Signal::Changed { folder: false });
        }
        let mut paths = event.paths.iter().filter(|path| self.holds(path));
        let folder = paths.clone().any(|path| !path.is_file());
        let script = paths.any(|path| path.extension().is_some_and(|it| it == "rhai"));
        (folder || script).then_some(Signal::Changed { folder })
    }

    /// Whether `path` is of the folders of scripts or above one of them.
    fn holds(&self, path: &Path) -> bool {
        let mut folders = self.folders.iter();
        folders.any(|folder| path.starts_with(folder) || folder.starts_with(path))
    }
}

/// A path, of which the end need not exist, with the links in it followed.
fn links_followed(path: &Path) -> Option<PathBuf> {
    let exists = path.ancestors().find(|above| above.exists())?;
    let rest = path.strip_prefix(exists).ok()?;
    Some(exists.canonicalize().ok()?.join(rest))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::watch;
    use tokio::time::timeout;

    use super::*;
    use crate::script::{Kind, Layer, Root};

    /// Far more than any of it takes, so that only what never comes fails.
    const DEADLINE: Duration = Duration::from_secs(20);

    const SCRIPT: &str = "fn build(p) { workflow() }";

    /// A project whose scripts are followed.
    struct Project {
        folder: tempfile::TempDir,
        library: Arc<Library>,
        news: watch::Receiver<u64>,
        _watcher: Watcher,
    }

    fn library(folder: &Path) -> Arc<Library> {
        let root = Root {
            layer: Layer::Project,
            path: folder.join("project/.mmf"),
        };
        Arc::new(Library::load(vec![root]))
    }

    impl Project {
        /// With nothing in its folder but the folders `made`.
        fn with(made: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("project")).unwrap();
            for made in made {
                fs::create_dir_all(folder.path().join(made)).unwrap();
            }
            let library = library(folder.path());
            Self {
                news: library.subscribe(),
                _watcher: Watcher::start(library.clone()),
                library,
                folder,
            }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        fn write(&self, path: &str) {
            fs::write(self.path(path), SCRIPT).unwrap();
        }

        /// Waits until the template is there, or is not.
        async fn comes(&mut self, name: &str) {
            self.until(name, true).await;
        }

        async fn goes(&mut self, name: &str) {
            self.until(name, false).await;
        }

        async fn until(&mut self, name: &str, there: bool) {
            let reached = async {
                loop {
                    let generation = self.library.generation();
                    if generation.get(Kind::Template, name).is_ok() == there {
                        return;
                    }
                    self.news.changed().await.unwrap();
                }
            };
            let reached = timeout(DEADLINE, reached).await;
            assert!(reached.is_ok(), "{name} is not taken up");
        }
    }

    #[tokio::test]
    async fn folders_that_are_made_one_after_the_other_are_followed() {
        let mut project = Project::with(&[]);
        // A script of another folder tells when the first folder has been looked at.
        fs::create_dir_all(project.path("project/.mmf/scripts/tools")).unwrap();
        let tool = "about(\"Waits.\"); fn run(p) { #{} }";
        fs::write(project.path("project/.mmf/scripts/tools/t.rhai"), tool).unwrap();
        project.news.changed().await.unwrap();

        fs::create_dir(project.path("project/.mmf/templates")).unwrap();
        fs::create_dir(project.path("project/.mmf/templates/pony")).unwrap();
        project.write("project/.mmf/templates/first.rhai");
        project.comes("first").await;
        project.write("project/.mmf/templates/pony/second.rhai");
        project.comes("pony/second").await;
    }

    #[tokio::test]
    async fn a_folder_that_is_deleted_and_made_again_is_followed() {
        let mut project = Project::with(&["project/.mmf/templates"]);
        let templates = project.path("project/.mmf/templates");
        project.write("project/.mmf/templates/first.rhai");
        project.comes("first").await;

        // Often enough that the file system gives the new folder the number of the old one.
        for round in 0..4 {
            fs::remove_dir_all(&templates).unwrap();
            fs::create_dir(&templates).unwrap();
            project
                .goes(if round == 0 { "first" } else { "later" })
                .await;
            project.write("project/.mmf/templates/later.rhai");
            project.comes("later").await;
        }
    }

    #[tokio::test]
    async fn a_project_that_is_deleted_and_restored_is_followed() {
        let mut project = Project::with(&["project/.mmf/templates"]);
        project.write("project/.mmf/templates/first.rhai");
        project.comes("first").await;

        fs::rename(project.path("project"), project.path("away")).unwrap();
        project.goes("first").await;
        fs::rename(project.path("away"), project.path("project")).unwrap();
        project.comes("first").await;
        project.write("project/.mmf/templates/second.rhai");
        project.comes("second").await;
    }

    #[tokio::test]
    async fn a_folder_with_a_dot_in_its_name_is_taken_up_when_it_is_moved_in() {
        let mut project = Project::with(&["project/.mmf/templates", "stage/sd1.5"]);
        project.write("stage/sd1.5/first.rhai");
        let moved = project.path("project/.mmf/templates/sd1.5");
        fs::rename(project.path("stage/sd1.5"), moved).unwrap();
        project.comes("sd1.5/first").await;
        project.write("project/.mmf/templates/sd1.5/second.rhai");
        project.comes("sd1.5/second").await;
    }

    #[tokio::test]
    async fn what_changed_between_loading_and_watching_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join("project/.mmf/templates");
        fs::create_dir_all(&templates).unwrap();
        let library = library(folder.path());
        let mut news = library.subscribe();
        fs::write(templates.join("first.rhai"), SCRIPT).unwrap();
        let _watcher = Watcher::start(library.clone());
        let change = timeout(DEADLINE, news.changed()).await;
        change.expect("it is taken up").unwrap();
        assert!(library.generation().get(Kind::Template, "first").is_ok());
    }

    #[tokio::test]
    async fn a_watcher_dropped_during_its_second_look_ends_its_thread() {
        let folder = tempfile::tempdir().unwrap();
        let templates = folder.path().join("project/.mmf/templates");
        fs::create_dir_all(&templates).unwrap();
        let library = library(folder.path());
        let mut news = library.subscribe();
        let (sender, receiver) = mpsc::channel();
        let watches = Watches::new(&library, sender.clone());
        let held = Watcher { thread: sender };
        let weak = Arc::downgrade(&library);
        let (ended, outcome) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            follow(&weak, watches, &receiver);
            ended.send(()).unwrap();
        });

        fs::create_dir(templates.join("pony")).unwrap();
        fs::write(templates.join("pony/first.rhai"), SCRIPT).unwrap();
        let looked = timeout(DEADLINE, news.changed()).await;
        looked.expect("it is taken up").unwrap();
        drop(held);

        timeout(DEADLINE, outcome).await.expect("it ends").unwrap();
    }

    #[tokio::test]
    async fn facts_are_taken_up_when_they_are_saved() {
        let mut project = Project::with(&["project/.mmf"]);
        let text = "[[task]]\nname = \"mine\"\nmodels = []\nreason = \"so\"\n";
        fs::write(project.path("project/.mmf/sota.toml"), text).unwrap();
        let reached = async {
            while project.library.generation().knowledge().tasks[0].name != "mine" {
                project.news.changed().await.unwrap();
            }
        };
        timeout(DEADLINE, reached).await.expect("they are taken up");
    }

    #[test]
    fn errors_and_full_queues_have_everything_looked_at() {
        let scope = Scope {
            folders: vec![],
            facts: vec![],
        };
        let full = notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        for event in [Ok(full), Err(notify::Error::generic("broken"))] {
            let signal = scope.signal(&event);
            assert!(
                matches!(signal, Some(Signal::Changed { folder: true })),
                "{event:?} means {signal:?}"
            );
        }
    }

    #[test]
    fn what_happens_beside_the_scripts_is_let_pass() {
        let folder = tempfile::tempdir().unwrap();
        let library = library(folder.path());
        let scope = Scope::of(&library);
        let removed = EventKind::Remove(notify::event::RemoveKind::Any);
        let signal = |path: &str| {
            let event = notify::Event::new(removed).add_path(folder.path().join(path));
            scope.signal(&Ok(event))
        };
        for path in ["project/target", "project/.mmf/config.toml", "other/.mmf"] {
            assert!(signal(path).is_none(), "{path}");
        }
        for path in [
            "project",
            "project/.mmf/sota.toml",
            "project/.mmf/scripts",
            "project/.mmf/templates/sd1.5",
        ] {
            assert!(signal(path).is_some(), "{path}");
        }
    }
}
