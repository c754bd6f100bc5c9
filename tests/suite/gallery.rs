//! Wrong scripts, each with what its author is told beside it, in the folder `tests/gallery`:
//!
//! - `check/`: what `mmf script check` says,
//! - `run/`: what `mmf run` says,
//! - `agents/`: what an agent reads whose `run_script` runs it.
//!
//! Folders below these say what kind a script is, as they do anywhere. A folder `NAME.project` holds
//! several scripts that belong together, of which the one called NAME is run. A script whose first line
//! is `// sim: FAULT` meets a simulator on which that goes wrong; `// no server` meets none. To add one,
//! write the script; to change what is said, look at the difference and accept it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, stream};
use insta::Settings;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, Ran, sim};

/// So many scripts are tried at the same time.
const BESIDE: usize = 3;

/// A script of the gallery.
struct Exhibit {
    /// Where it lies below its part of the gallery, without an extension.
    name: PathBuf,
    /// The file, or the folder of a project.
    path: PathBuf,
}

impl Exhibit {
    fn all(part: &str) -> Vec<Self> {
        let part = gallery().join(part);
        let mut found = vec![];
        collect(&part, &part, &mut found);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    fn stem(&self) -> String {
        self.name
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    fn is_project(&self) -> bool {
        self.path.is_dir()
    }

    /// The text of the script that is run.
    fn text(&self) -> String {
        let script = format!("{}.rhai", self.stem());
        let mut files = vec![];
        if self.is_project() {
            files_below(&self.path, &mut files);
            files.retain(|file| file.ends_with(&script));
        } else {
            files.push(self.path.clone());
        }
        assert_eq!(files.len(), 1, "{:?} has a script of its name", self.path);
        fs::read_to_string(&files[0]).unwrap()
    }

    /// Puts it where it can be run, and gives the word for it.
    fn hang(&self, home: &Home) -> String {
        if !self.is_project() {
            let file = self.name.with_extension("rhai");
            let file = file.to_str().unwrap();
            home.write(file, &self.text());
            return file.to_owned();
        }
        let mut files = vec![];
        files_below(&self.path, &mut files);
        for file in files {
            let below = file.strip_prefix(&self.path).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            home.write(Path::new(".mmf").join(below).to_str().unwrap(), &text);
        }
        self.stem()
    }

    /// Holds what was said against the snapshot beside it.
    fn says(&self, said: &str) {
        let mut settings = Settings::new();
        settings.set_snapshot_path(self.path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "PROMPT_ID");
        settings.add_filter(r"127\.0\.0\.1:\d{2,}", "127.0.0.1:PORT");
        settings.bind(|| insta::assert_snapshot!(self.stem(), said));
    }
}

fn gallery() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gallery")
}

fn is_project(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "project")
}

fn collect(part: &Path, folder: &Path, found: &mut Vec<Exhibit>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !is_project(&path) {
            collect(part, &path, found);
        } else if is_project(&path) || path.extension().is_some_and(|it| it == "rhai") {
            let name = path.strip_prefix(part).unwrap().with_extension("");
            found.push(Exhibit { name, path });
        }
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// What is said of each script, in the same order.
async fn told(
    exhibits: &[Exhibit],
    tell: impl AsyncFn(String, Home, String) -> String,
) -> Vec<String> {
    let said = exhibits.iter().map(|exhibit| {
        let home = Home::new();
        let word = exhibit.hang(&home);
        tell(word, home, exhibit.text())
    });
    stream::iter(said).buffered(BESIDE).collect().await
}

async fn shown(part: &str, tell: impl AsyncFn(String, Home, String) -> String) {
    let exhibits = Exhibit::all(part);
    let said = told(&exhibits, tell).await;
    for (exhibit, said) in exhibits.iter().zip(said) {
        exhibit.says(&said);
    }
}

/// The server that a script asks for in its first line.
struct Met(Option<massmediafactory::sim::Sim>);

impl Met {
    async fn by(text: &str) -> Self {
        let first = text.lines().next().unwrap_or_default();
        if first == "// no server" {
            return Self(None);
        }
        let fault = first.strip_prefix("// sim: ");
        Self(Some(sim(fault.as_slice()).await))
    }

    fn url(&self) -> String {
        self.0
            .as_ref()
            .map_or(NOWHERE.to_owned(), massmediafactory::sim::Sim::url)
    }
}

/// What was said, without the folder that it was said in.
fn steady(home: &Home, said: &str) -> String {
    said.replace(&format!("{}/", home.project().display()), "")
}

#[tokio::test]
async fn a_check_says_of_each_wrong_script_where_and_what_to_do() {
    let (projects, files): (Vec<Exhibit>, Vec<Exhibit>) = Exhibit::all("check")
        .into_iter()
        .partition(Exhibit::is_project);
    let said = told(&projects, async |word: String, home: Home, _| {
        checked(&home, &[word]).await.concat()
    });
    for (exhibit, said) in projects.iter().zip(said.await) {
        exhibit.says(&said);
    }
    // All at once, as that takes no longer than one.
    let home = Home::new();
    let words: Vec<String> = files.iter().map(|exhibit| exhibit.hang(&home)).collect();
    let problems = checked(&home, &words).await;
    for (exhibit, word) in files.iter().zip(&words) {
        let place = format!("--> {word}");
        let own = problems.iter().filter(|problem| problem.contains(&place));
        let own: Vec<&str> = own.map(String::as_str).collect();
        exhibit.says(&own.join("\n\n"));
    }
}

/// The problems that a check finds, each as it is shown.
async fn checked(home: &Home, words: &[String]) -> Vec<String> {
    let args = ["script", "check"].map(str::to_owned).into_iter();
    let ran = home.mmf(args.chain(words.iter().cloned())).run().await;
    assert_ne!(ran.code, Some(101), "{}", ran.stderr);
    let shown = steady(home, &ran.stdout);
    let mut problems: Vec<String> = shown.split("\n\n").map(str::to_owned).collect();
    // The last is the count of them.
    problems.pop();
    problems
}

#[tokio::test]
async fn a_run_says_of_each_wrong_script_where_and_what_to_do() {
    shown("run", async |word: String, home: Home, text: String| {
        let met = Met::by(&text).await;
        let ran = home.mmf(["run", &word]).server(&met.url());
        // What is logged meanwhile is no part of what is said at the end.
        let ran: Ran = ran.env("MMF_LOG", "off").run().await;
        assert!(ran.code > Some(0), "{word} goes well: {}", ran.stdout);
        steady(&home, &ran.stderr)
    })
    .await;
}

#[tokio::test]
async fn an_agent_reads_of_each_wrong_script_the_same_as_data() {
    shown("agents", async |_, home: Home, text: String| {
        let met = Met::by(&text).await;
        let mut client = McpClient::start(&home, &met.url()).await;
        let call = json!({ "source": text });
        let mut failure: Value = client.call_fails("run_script", call).await;
        // A traceback of Python's says nothing of the script.
        failure.as_object_mut().unwrap().remove("traceback");
        steady(&home, &format!("{failure:#}"))
    })
    .await;
}

#[test]
fn there_are_many_and_no_snapshot_has_outlived_its_script() {
    let mut snapshots = vec![];
    files_below(&gallery(), &mut snapshots);
    snapshots.retain(|file| file.extension().is_some_and(|it| it == "snap"));
    let parts = ["check", "run", "agents"];
    let scripts = parts.into_iter().flat_map(Exhibit::all);
    let scripts: BTreeSet<PathBuf> = scripts.map(|it| it.path.with_extension("snap")).collect();
    assert!(scripts.len() >= 40, "{}", scripts.len());
    for snapshot in snapshots {
        assert!(scripts.contains(&snapshot), "{snapshot:?} has no script");
    }
}
