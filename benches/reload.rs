//! What the author of scripts feels of reloading: how long it takes from a save to its effect.
//! Goal for each: 300 ms.

#![expect(clippy::unwrap_used, reason = "a bench that fails may as well stop")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use massmediafactory::script::{Generation, Kind, Layer, Library, Root, Watcher};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::watch;
use tokio::time::timeout;

use self::support::figures::show;
use self::support::mcp::McpClient;
use self::support::mmf::{Home, NOWHERE};

mod support;

/// Enough for a median that holds on a busy machine.
const ROUNDS: usize = 20;

/// After this a change counts as lost.
const LOST: Duration = Duration::from_secs(20);

/// The scripts of a folder that is moved in or restored as a whole.
const SCRIPTS: usize = 20;

/// The longest wait for a second look of the watcher, which belongs to the change before.
const CALM: Duration = Duration::from_millis(400);

#[tokio::main]
async fn main() {
    let mut project = Project::new();
    let mut figures = Figures::default();
    for round in 0..ROUNDS {
        project.round(round, &mut figures).await;
    }
    for (what, times) in figures.0 {
        show(what, "ms", times);
    }
    show(
        "a save, until the client is told",
        "ms",
        saves_of_a_tool().await,
    );
    show(
        "a save, until mmf dev tells the effect",
        "ms",
        saves_in_dev().await,
    );
}

/// A project whose scripts are followed.
struct Project {
    folder: tempfile::TempDir,
    library: Arc<Library>,
    news: watch::Receiver<u64>,
    _watcher: Watcher,
}

/// Times in milliseconds, by what was timed.
#[derive(Default)]
struct Figures(Vec<(&'static str, Vec<f64>)>);

impl Figures {
    fn add(&mut self, what: &'static str, time: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, times)) => times.push(time),
            None => self.0.push((what, vec![time])),
        }
    }
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("project/.mmf/templates")).unwrap();
        let root = Root {
            layer: Layer::Project,
            path: folder.path().join("project/.mmf"),
        };
        let library = Arc::new(Library::load(vec![root]));
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

    async fn round(&mut self, round: usize, figures: &mut Figures) {
        let templates = self.path("project/.mmf/templates");
        let title = format!("Round {round}");
        let text = script(&title);
        let file = templates.join("saved.rhai");
        let save = || fs::write(file, text).unwrap();
        let shown = |now: &Generation| is_titled(now, "saved", &title);
        figures.add("a save", self.time(save, shown).await);

        let name = format!("folder{round}/new");
        let file = templates.join(format!("{name}.rhai"));
        let make = || {
            fs::create_dir(file.parent().unwrap()).unwrap();
            fs::write(&file, script("New")).unwrap();
        };
        let is_there = |now: &Generation| is_titled(now, &name, "New");
        figures.add("a script in a new folder", self.time(make, is_there).await);

        let stage = self.path("stage");
        fs::create_dir(&stage).unwrap();
        for n in 0..SCRIPTS {
            fs::write(stage.join(format!("{n}.rhai")), script("Moved")).unwrap();
        }
        let set = format!("sd1.{round}");
        let move_in = || fs::rename(stage, templates.join(&set)).unwrap();
        let moved =
            |now: &Generation| (0..SCRIPTS).all(|n| is_titled(now, &format!("{set}/{n}"), "Moved"));
        figures.add("a folder moved in", self.time(move_in, moved).await);

        let (root, away) = (self.path("project/.mmf"), self.path("away"));
        copy(&root, &away);
        let delete = || fs::remove_dir_all(&root).unwrap();
        let gone = |now: &Generation| now.get(Kind::Template, "saved").is_err();
        figures.add("the root deleted", self.time(delete, gone).await);
        let restore = || fs::rename(away, &root).unwrap();
        let back = |now: &Generation| shown(now) && moved(now);
        figures.add("the root restored", self.time(restore, back).await);
    }

    /// From the end of `change` until the generation shows it.
    async fn time(&mut self, change: impl FnOnce(), shown: impl Fn(&Generation) -> bool) -> f64 {
        while timeout(CALM, self.news.changed()).await.is_ok() {}
        change();
        let began = Instant::now();
        let effect = async {
            while !shown(&self.library.generation()) {
                self.news.changed().await.unwrap();
            }
        };
        timeout(LOST, effect).await.unwrap();
        began.elapsed().as_secs_f64() * 1e3
    }
}

/// From the save of a tool until a client of `mmf serve` is told that the list of tools changed.
async fn saves_of_a_tool() -> Vec<f64> {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let mut times = vec![];
    for round in 0..ROUNDS {
        let tool = format!("about(\"Round {round}.\");\nfn run(p) {{ #{{}} }}\n");
        home.write(".mmf/scripts/tools/greet.rhai", &tool);
        let began = Instant::now();
        client
            .notification("notifications/tools/list_changed")
            .await;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!(client.call("greet", json!({})).await, json!({}));
    }
    client.close().await;
    times
}

/// From the save of a template of 19 nodes until `mmf dev` has told what it changes, what is wrong, and
/// what memory it needs.
async fn saves_in_dev() -> Vec<f64> {
    let home = Home::new();
    let template = |steps: usize| {
        include_str!("../templates/flux1_redux.rhai").replace("FACTS.steps", &steps.to_string())
    };
    let file = ".mmf/templates/mine.rhai";
    home.write(file, &template(ROUNDS + 1));
    let mut dev = home.mmf(["dev", "mine", "--sim"]).spawn();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut until = async |start: &str| {
        while !lines.next_line().await.unwrap().unwrap().starts_with(start) {}
    };
    until("memory: ").await;
    let mut times = vec![];
    for round in 1..=ROUNDS {
        let text = template(round);
        let began = Instant::now();
        home.write(file, &text);
        until("nodes: 1 changed").await;
        until("memory: ").await;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    dev.kill().await.unwrap();
    times
}

fn script(title: &str) -> String {
    format!("title(\"{title}\");\nfn build(p) {{ workflow() }}\n")
}

fn is_titled(generation: &Generation, name: &str, title: &str) -> bool {
    let served = generation.get(Kind::Template, name);
    served.is_ok_and(|served| served.script.declaration.title == title)
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
