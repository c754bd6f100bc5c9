//! The facts by which workflows are judged: of a server, out of a file, or our own.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::args::Global;
use super::{report, start};
use crate::clock::Clock;
use crate::comfy::nodes::{BUNDLED_VERSION, INPUT_FOLDER, NodeFacts, Snapshot, model_folder};
use crate::comfy::validate::{CoreValidation, Rules};
use crate::comfy::{BigIntegers, Comfy, Server};
use crate::config::{Config, Overrides};
use crate::failure::{Code, Failure};
use crate::ids::Ids;
use crate::knowledge::Knowledge;
use crate::preflight::{Preflight, Report};
use crate::script::Library;
use crate::sim::Sim;

/// Facts with where they are from.
pub(super) struct Facts {
    pub(super) nodes: Arc<NodeFacts>,
    /// As people are told.
    pub(super) origin: String,
    rules: Rules,
    knowledge: Arc<Knowledge>,
    /// Whether these are the facts of the server that is meant, with the files that it has.
    knows_files: bool,
    /// The files in the server's input folder; none if they are not known.
    uploaded: Option<HashSet<String>>,
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
        let generation = Library::load(config.script_roots()).generation();
        let knowledge = generation.knowledge().clone();
        if let (Some(file), None) = (nodes, address) {
            return Self::of_file(Path::new(file), knowledge);
        }
        if global.sim {
            let simulator = Sim::start(start::simulator(global)).await?;
            return Self::of_server(Server::parse(&simulator.url())?, knowledge).await;
        }
        let url = config.server.to_string();
        match Self::of_server(config.server.clone(), knowledge.clone()).await {
            Err(failure) if address.is_none() && failure.code == Code::CONNECTION_ERROR => {
                Self::at_hand(&url, knowledge)
            }
            other => other,
        }
    }

    async fn of_server(server: Server, knowledge: Arc<Knowledge>) -> Result<Self, Failure> {
        let url = server.to_string();
        let comfy = Comfy::new(server, Ids::default(), Clock::default());
        let version = comfy.version().await?;
        let nodes = comfy.node_facts().await?;
        let version = version.map(|version| version.to_string());
        let shown = version.as_deref().unwrap_or("of unknown version");
        let origin = format!("ComfyUI {shown} at {url}");
        Ok(Self::new(nodes, version.as_deref(), origin, knowledge))
    }

    fn of_file(path: &Path, knowledge: Arc<Knowledge>) -> Result<Self, Failure> {
        let (nodes, version) = read(path)?;
        let origin = format!("{} (ComfyUI {version})", path.display());
        Ok(Self::new(nodes.into(), Some(&version), origin, knowledge))
    }

    /// The latest snapshot in this folder, or the facts that are part of this program.
    fn at_hand(url: &str, knowledge: Arc<Knowledge>) -> Result<Self, Failure> {
        if let Some(snapshot) = latest_snapshot() {
            report::note(format_args!(
                "note: there is no ComfyUI at {url}; going by {}",
                snapshot.display()
            ));
            return Self::of_file(&snapshot, knowledge);
        }
        report::note(format_args!(
            "note: there is no ComfyUI at {url}; going by the nodes of ComfyUI {BUNDLED_VERSION}, \
             without custom nodes and model files (--nodes takes a server or a snapshot)"
        ));
        let nodes = NodeFacts::bundled();
        let origin = format!("the built-in facts of ComfyUI {BUNDLED_VERSION}");
        let mut facts = Self::new(nodes, Some(BUNDLED_VERSION), origin, knowledge);
        facts.knows_files = false;
        Ok(facts)
    }

    fn new(
        nodes: Arc<NodeFacts>,
        version: Option<&str>,
        origin: String,
        knowledge: Arc<Knowledge>,
    ) -> Self {
        Self {
            knows_files: true,
            uploaded: uploaded(&nodes),
            rules: version.map(Rules::of).unwrap_or_default(),
            origin,
            nodes,
            knowledge,
        }
    }

    /// Everything that is wrong with a prompt.
    pub(super) fn judge(&self, prompt: &Value, big: &BigIntegers) -> Report {
        let preflight = Preflight::new(&self.nodes, &self.knowledge).rules(self.rules.clone());
        if !self.knows_files {
            let core = CoreValidation::without_files();
            return preflight.own_validation(&core).inspect_exactly(prompt, big);
        }
        let Some(uploaded) = &self.uploaded else {
            return preflight.inspect_exactly(prompt, big);
        };
        let exists = |name: &str| may_exist(uploaded, name);
        let core = CoreValidation::with_files(&exists);
        preflight.own_validation(&core).inspect_exactly(prompt, big)
    }
}

/// A snapshot as `mmf nodes snapshot` writes it, or what a server answers at `/object_info`, each
/// also gzipped.
fn read(path: &Path) -> Result<(NodeFacts, String), Failure> {
    if let Ok(snapshot) = Snapshot::read(path) {
        return Ok((snapshot.facts, snapshot.comfyui_version));
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
    Ok((facts, BUNDLED_VERSION.to_owned()))
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

/// What loaders list of the input folder; none if they list nothing.
fn uploaded(facts: &NodeFacts) -> Option<HashSet<String>> {
    let mut files = HashSet::new();
    for class in facts.classes() {
        let loads = class.inputs().iter().filter(|input| {
            input.is_upload() || model_folder(class.name(), input.name()) == Some(INPUT_FOLDER)
        });
        let listed = loads.filter_map(|input| input.choices()).flatten();
        let names = listed.filter_map(Value::as_str);
        files.extend(names.filter(|name| *name != "none").map(str::to_owned));
    }
    (!files.is_empty()).then_some(files)
}

/// Loaders list the media that lie in the input folder itself. Nothing is known of what lies
/// elsewhere, nor of files that they would read and do not list.
fn may_exist(uploaded: &HashSet<String>, name: &str) -> bool {
    const UNLISTED: [&str; 30] = [
        "glb", "gltf", "obj", "fbx", "stl", "ply", "splat", "spz", "ksplat", "usdz", "heic",
        "heif", "avif", "jxl", "tif", "tiff", "svg", "exr", "hdr", "latent", "json", "txt", "m4a",
        "aac", "opus", "m4v", "mpg", "mpeg", "ts", "wmv",
    ];
    const FOLDERS: [&str; 2] = [".", "3d"];
    let name = name.strip_suffix(" [input]").unwrap_or(name);
    let name = name.strip_prefix("./").unwrap_or(name);
    let elsewhere =
        name.contains(['/', '\\']) || name.ends_with(" [output]") || name.ends_with(" [temp]");
    let ending = name.rsplit_once('.');
    let unlisted = ending.is_some_and(|(_, ending)| {
        let ending = ending.to_lowercase();
        UNLISTED.contains(&&*ending)
    });
    elsewhere || unlisted || FOLDERS.contains(&name) || uploaded.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_loaders_would_list_is_known_to_be_missing() {
        let uploaded = HashSet::from(["a.png".to_owned()]);
        for name in [
            "a.png",
            "./a.png",
            "a.png [input]",
            "sub/b.png",
            "b.png [output]",
            "b.glb",
        ] {
            assert!(may_exist(&uploaded, name), "{name}");
        }
        for name in ["b.png", "a.pn", "nothing", "x [nonsense]"] {
            assert!(!may_exist(&uploaded, name), "{name}");
        }
    }

    #[test]
    fn without_any_file_nothing_is_known_of_files() {
        assert_eq!(uploaded(&NodeFacts::bundled()), None);
    }
}
