//! A storm of edits while calls are running: whatever is done to the files, a call sees one version
//! of them from its beginning to its end, and the next good version is taken up by itself.
//!
//! `MMF_EDITS=1000 cargo test reload_storm` makes it longer, `MMF_EDITS_SEED` repeats one.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::http::{HttpServer, Session};
use crate::support::mmf::{Home, NOWHERE, PATIENCE};
use crate::support::mutations::Chance;

/// Four ways to the one version of the library: by two others, and by an import at the end of the
/// call.
const TOLD: &str = "about(\"Tells the version of a library.\");\n\
    import \"one\" as one;\nimport \"two\" as two;\n\
    fn run(p) {\n    let seen = [one::version()];\n    for i in 0..20000 { }\n    \
    import \"base\" as base;\n    seen += [base::version(), two::version(), one::version()];\n    \
    #{ seen: seen }\n}\n";

const THROUGH: &str = "import \"base\" as base;\nfn version() { base::version() }\n";

const STEADY: &str = "about(\"Lies elsewhere.\");\nfn run(p) { #{ fine: true } }";

fn base(version: u64) -> String {
    format!("// Long enough to be half there.\nfn version() {{\n    {version}\n}}\n")
}

/// What is done to the files.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Written,
    Broken,
    HalfWritten,
    RenamedOver,
    FolderMoved,
    RootDeleted,
}

impl Edit {
    const ALL: [Self; 6] = [
        Self::Written,
        Self::Broken,
        Self::HalfWritten,
        Self::RenamedOver,
        Self::FolderMoved,
        Self::RootDeleted,
    ];
}

/// What the one who edits and the one who calls know of each other.
struct Storm {
    root: PathBuf,
    written: Cell<u64>,
    /// The tool itself is gone, or may not be back yet.
    is_rootless: Cell<bool>,
    is_over: Cell<bool>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn no_edit_is_missed_or_seen_by_halves_and_none_harms_a_call() {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = number("MMF_EDITS_SEED").unwrap_or(now.as_secs());
    let edits = number("MMF_EDITS").unwrap_or(100);
    eprintln!("MMF_EDITS_SEED={seed} MMF_EDITS={edits}");

    let home = Home::new();
    let root = home.project().join(".mmf");
    fill(&root, 0);
    let steady = home.data().join("scripts/tools/steady.rhai");
    fs::create_dir_all(steady.parent().unwrap()).unwrap();
    fs::write(steady, STEADY).unwrap();

    let server = HttpServer::start(&home, NOWHERE).await;
    let (editor, caller) = (server.session().await, server.session().await);
    let storm = Storm {
        root,
        written: Cell::new(0),
        is_rootless: Cell::new(false),
        is_over: Cell::new(false),
    };
    let (worst, calls) = tokio::join!(storm.edit(&editor, seed, edits), storm.call(&caller));
    assert!(calls > edits, "{calls} calls during {edits} edits");
    eprintln!("{calls} calls; an edit was taken up within {worst:?} at the latest");
}

/// The scripts of the root, at a version.
fn fill(root: &Path, version: u64) {
    for folder in ["scripts/lib", "scripts/tools"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("scripts/lib/base.rhai"), base(version)).unwrap();
    fs::write(root.join("scripts/lib/one.rhai"), THROUGH).unwrap();
    fs::write(root.join("scripts/lib/two.rhai"), THROUGH).unwrap();
    fs::write(root.join("scripts/tools/told.rhai"), TOLD).unwrap();
}

impl Storm {
    /// Makes the edits, each with a good end that is waited for; tells how long that took at most.
    async fn edit(&self, session: &Session<'_>, seed: u64, edits: u64) -> Duration {
        let mut chance = Chance::new(seed);
        let mut worst = Duration::ZERO;
        for version in 1..=edits {
            let kind = Edit::ALL[chance.below(Edit::ALL.len())];
            self.apply(kind, version, session).await;
            self.written.set(version);
            let since = Instant::now();
            let taken_up =
                async { while seen(&session.call("told", &json!({})).await) != Some(version) {} };
            let taken_up = timeout(PATIENCE, taken_up).await;
            taken_up.unwrap_or_else(|_| panic!("edit {version}, {kind:?}, is missed"));
            worst = worst.max(since.elapsed());
            self.is_rootless.set(false);
        }
        self.is_over.set(true);
        worst
    }

    async fn apply(&self, kind: Edit, version: u64, session: &Session<'_>) {
        let lib = self.root.join("scripts/lib");
        let file = lib.join("base.rhai");
        let text = base(version);
        // What a call sees from here on may be the new one.
        let finish = |text: &str| {
            self.written.set(version);
            fs::write(&file, text).unwrap();
        };
        match kind {
            Edit::Written => finish(&text),
            Edit::Broken => {
                fs::write(&file, "fn version() { let = }\n").unwrap();
                some_calls(session).await;
                finish(&text);
            }
            Edit::HalfWritten => {
                fs::write(&file, &text[..text.len() / 2]).unwrap();
                some_calls(session).await;
                finish(&text);
            }
            Edit::RenamedOver => {
                let beside = lib.join(".base.rhai.new");
                fs::write(&beside, text).unwrap();
                self.written.set(version);
                fs::rename(&beside, &file).unwrap();
            }
            Edit::FolderMoved => {
                let away = self.root.join("scripts/away");
                fs::rename(&lib, &away).unwrap();
                some_calls(session).await;
                fs::write(away.join("base.rhai"), text).unwrap();
                self.written.set(version);
                fs::rename(&away, &lib).unwrap();
            }
            Edit::RootDeleted => {
                self.is_rootless.set(true);
                fs::remove_dir_all(&self.root).unwrap();
                some_calls(session).await;
                self.written.set(version);
                fill(&self.root, version);
            }
        }
    }

    /// Calls without a pause until the storm is over, and looks at each answer.
    async fn call(&self, session: &Session<'_>) -> u64 {
        let (mut calls, mut last) = (0, 0);
        while !self.is_over.get() {
            let was_rootless = self.is_rootless.get();
            let told = session.call("told", &json!({})).await;
            let newest = self.written.get();
            match seen(&told) {
                Some(version) => {
                    assert!(
                        (last..=newest).contains(&version),
                        "{last}..={newest}: {told}"
                    );
                    last = version;
                }
                None => assert!(was_rootless || self.is_rootless.get(), "{told}"),
            }
            let steady = session.call("steady", &json!({})).await;
            assert_eq!(steady, json!({ "fine": true }));
            calls += 2;
        }
        calls
    }
}

/// The one version that a call saw; none if there was no such tool.
fn seen(told: &Value) -> Option<u64> {
    let seen = told["seen"].as_array()?;
    assert!(seen.iter().all(|it| *it == seen[0]), "a mixture: {told}");
    seen[0].as_u64()
}

/// Lets a few calls go by.
async fn some_calls(session: &Session<'_>) {
    for _ in 0..3 {
        session.call("told", &json!({})).await;
    }
}
