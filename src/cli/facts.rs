//! The facts by which workflows are judged: of a server, out of a file, or our own.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::args::Global;
use super::{report, start};
use crate::app::App;
use crate::clock::Clock;
use crate::comfy::nodes::{BUNDLED_VERSION, NodeFacts, Snapshot};
use crate::comfy::ui::Editor;
use crate::comfy::validate::Rules;
use crate::comfy::{BigIntegers, Comfy, Server};
use crate::config::{Config, Overrides};
use crate::failure::{Code, Failure};
use crate::ids::Ids;
use crate::knowledge::Knowledge;
use crate::preflight::{Files, Preflight, Report};
use crate::script::{Generation, Library, name_packs};
use crate::sim::{SIMULATED_ACCOUNT, Sim};

/// Facts with where they are from.
pub(super) struct Facts {
    pub(super) nodes: Arc<NodeFacts>,
    /// As people are told.
    pub(super) origin: String,
    rules: Rules,
    generation: Arc<Generation>,
    files: Files,
    /// Of a server; by a file nobody can tell.
    has_account: bool,
    is_live: bool,
}

impl Facts {
    /// Those that the command line names, or else the configured server's, or else the latest at
    /// hand.
    pub(super) async fn choose(global: &Global, nodes: Option<&str>) -> Result<Self, Failure> {
        let mut overrides = global.overrides();
        let address = nodes.filter(|nodes| nodes.contains("://"));
        if let Some(address) = address {
            overrides = Overrides {
                url: Some(address.to_owned()),
                ..overrides
            };
        }
        let config = Config::load(&overrides)?;
        let generation = Library::load(config.script_roots())
            .within(config.limits)
            .generation();
        if let (Some(file), None) = (nodes, address) {
            return Self::of_file(Path::new(file), generation);
        }
        if global.sim {
            let simulator = Sim::start(start::simulator(global)).await?;
            let server = Server::parse(&simulator.url())?.with_account_key(SIMULATED_ACCOUNT);
            return Self::of_server(server, generation).await;
        }
        let url = config.server.to_string();
        match Self::of_server(config.server.clone(), generation.clone()).await {
            Err(failure) if address.is_none() && failure.code == Code::CONNECTION_ERROR => {
                Self::at_hand(&url, generation)
            }
            other => other,
        }
    }

    /// The same, and says which they are where nobody named any.
    pub(super) async fn told(global: &Global, nodes: Option<&str>) -> Result<Self, Failure> {
        let facts = Self::choose(global, nodes).await?;
        if nodes.is_none() {
            report::note(format_args!("by the nodes of {}", facts.origin));
        }
        Ok(facts)
    }

    /// Those of the server that the app works with, or else the latest at hand.
    pub(super) async fn of_app(app: &App) -> Result<Self, Failure> {
        let comfy = &app.host().comfy;
        let generation = app.library().generation();
        match Self::of_comfy(comfy, generation.clone()).await {
            Err(failure) if failure.code == Code::CONNECTION_ERROR => {
                Self::at_hand(&comfy.server().to_string(), generation)
            }
            other => other,
        }
    }

    async fn of_server(server: Server, generation: Arc<Generation>) -> Result<Self, Failure> {
        let comfy = Comfy::new(server, Ids::default(), Clock::default());
        Self::of_comfy(&comfy, generation).await
    }

    async fn of_comfy(comfy: &Comfy, generation: Arc<Generation>) -> Result<Self, Failure> {
        let url = comfy.server().to_string();
        let has_account = comfy.server().account_key().is_some();
        let version = comfy.version().await?.map(|version| version.to_string());
        let nodes = comfy.node_facts().await?;
        let origin = format!("ComfyUI {} at {url}", shown(version.as_deref()));
        let files = Files::now(&nodes);
        let facts = Self::new(nodes, version, origin, generation, files);
        Ok(Self {
            has_account,
            is_live: true,
            ..facts
        })
    }

    fn of_file(path: &Path, generation: Arc<Generation>) -> Result<Self, Failure> {
        let (nodes, version) = read(path)?;
        let version_shown = shown(version.as_deref());
        let origin = format!("{} (ComfyUI {version_shown})", path.display());
        let files = Files::once(&nodes);
        Ok(Self::new(nodes.into(), version, origin, generation, files))
    }

    /// The latest snapshot in this folder, or the facts that are part of this program.
    fn at_hand(url: &str, generation: Arc<Generation>) -> Result<Self, Failure> {
        if let Some(snapshot) = latest_snapshot() {
            report::note(format_args!(
                "note: there is no ComfyUI at {url}; going by {}",
                snapshot.display()
            ));
            return Self::of_file(&snapshot, generation);
        }
        report::note(format_args!(
            "note: there is no ComfyUI at {url}; going by the nodes of ComfyUI {BUNDLED_VERSION}, \
             without custom nodes and model files (--nodes takes a server or a snapshot)"
        ));
        let nodes = NodeFacts::bundled();
        let origin = format!("the built-in facts of ComfyUI {BUNDLED_VERSION}");
        let version = Some(BUNDLED_VERSION.to_owned());
        Ok(Self::new(
            nodes,
            version,
            origin,
            generation,
            Files::Foreign,
        ))
    }

    fn new(
        nodes: Arc<NodeFacts>,
        version: Option<String>,
        origin: String,
        generation: Arc<Generation>,
        files: Files,
    ) -> Self {
        Self {
            files,
            rules: version.map_or_else(|| Rules::guessed(&nodes), |version| Rules::of(&version)),
            origin,
            nodes,
            generation,
            has_account: true,
            is_live: false,
        }
    }

    /// The editor that comes with the server.
    pub(super) fn editor(&self) -> Editor {
        Editor::of(self.rules.version())
    }

    /// The scripts that were loaded with them.
    pub(super) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// What is known of models.
    pub(super) fn knowledge(&self) -> &Knowledge {
        self.generation.knowledge()
    }

    /// From now on with the models and packs that another generation of scripts knows.
    pub(super) fn go_by(&mut self, generation: Arc<Generation>) {
        self.generation = generation;
    }

    /// Whether a running server told them.
    pub(super) fn are_live(&self) -> bool {
        self.is_live
    }

    /// The same for whoever asks what the server of a snapshot would say: what it did not list was
    /// not there.
    pub(super) fn by_the_letter(mut self) -> Self {
        if matches!(self.files, Files::Once(_)) {
            self.files = Files::said(&self.nodes);
        }
        self
    }

    /// Everything that is wrong with a prompt.
    pub(super) fn judge(&self, prompt: &Value, big: &BigIntegers) -> Report {
        let preflight = Preflight::new(&self.nodes, self.generation.knowledge());
        let mut report = preflight
            .rules(self.rules.clone())
            .files(&self.files)
            .account(self.has_account)
            .inspect_exactly(prompt, big);
        name_packs(&self.generation.packs(), &mut report);
        report
    }
}

fn shown(version: Option<&str>) -> &str {
    version.unwrap_or("of unknown version")
}

/// A snapshot as `mmf nodes snapshot` writes it, or what a server answers at `/object_info`, each
/// also gzipped. Only the snapshot tells the version.
fn read(path: &Path) -> Result<(NodeFacts, Option<String>), Failure> {
    if let Ok(snapshot) = Snapshot::read(path) {
        return Ok((snapshot.facts, Some(snapshot.comfyui_version)));
    }
    let unreadable = |error: std::io::Error| {
        let message = format!("{} can't be read: {error}", path.display());
        Failure::new(Code::NOT_FOUND, message)
            .hint("`mmf nodes snapshot` writes one while the server runs")
    };
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let is_packed = file
        .fill_buf()
        .map_err(unreadable)?
        .starts_with(b"\x1f\x8b");
    let body: Box<dyn Read> = if is_packed {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let facts = NodeFacts::read(body).map_err(|error| {
        let message = format!("{} is no node information: {error}", path.display());
        Failure::new(Code::VALIDATION_ERROR, message)
            .hint("pass what `mmf nodes snapshot` writes, or the answer of /object_info")
    })?;
    Ok((facts, None))
}

/// The newest file in this folder that is named as `mmf nodes snapshot` names them.
fn latest_snapshot() -> Option<PathBuf> {
    let entries = std::fs::read_dir(".").ok()?.flatten();
    let snapshots = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_one = name.starts_with("nodes-") && name.ends_with(".json.gz");
        let written = entry.metadata().ok()?.modified().ok()?;
        is_one.then_some((written, PathBuf::from(name)))
    });
    snapshots.max().map(|(_, path)| path)
}
