//! What a workflow does with a card, one thing after the other: `ComfyUI` lets go of one model to
//! make room for the next, so it is the most demanding of these phases that counts, not their sum.

use serde_json::Value;

use super::graph::{Cargo, Graph, Vertex};
use super::header::Part;
use super::sizes::Work;
use crate::comfy::Workflow;
use crate::comfy::model_name::is_model_file;
use crate::comfy::nodes::{NodeClass, NodeFacts, model_folder};

/// What a workflow does, as far as memory is concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The files that it loads.
    pub files: Vec<Loaded>,
    /// What it does with them.
    pub phases: Vec<Phase>,
    /// The largest that it samples; none if no node says so.
    pub work: Option<Work>,
    /// Nodes that load something by a name that is no known file.
    pub unclear: Vec<String>,
    /// Whether work is done elsewhere, by a paid service.
    pub elsewhere: bool,
}

/// A file and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The folder below `models/`.
    pub folder: &'static str,
    /// The file as the loader lists it.
    pub file: String,
    /// Whether the loader shrinks the numbers to a byte each.
    pub shrunk: bool,
    /// What of it is used.
    pub part: Part,
    /// Whether the loader keeps it in the machine's memory.
    pub aside: bool,
    /// Whether it becomes part of other weights, as `LoRAs` do unless they are told not to.
    pub merged: bool,
}

/// One thing that a workflow does with a card.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// What it is.
    pub kind: PhaseKind,
    /// The nodes that do it.
    pub nodes: Vec<String>,
    /// What has to be on the card.
    pub files: Vec<Loaded>,
    /// The size of what is worked on; none if no node says so.
    pub work: Option<Work>,
    /// How many sides of a guidance are worked on.
    pub sides: f64,
    /// Reference pictures that a sampler looks at, in millions of pixels, for each side.
    pub references: Vec<f64>,
    /// Inputs on which its work depends and whose numbers can't be read.
    pub unread: Vec<String>,
    /// What was assumed of it.
    pub notes: Vec<String>,
    /// In what pieces an autoencoder works.
    pub tile: Option<Tile>,
    /// By how much an upscaler enlarges.
    pub enlarges: f64,
    /// Whether a custom node does it, of whose ways nothing is known.
    pub custom: bool,
}

/// What a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Prompts are read.
    TextEncode,
    /// Pictures are looked at.
    VisionEncode,
    /// Pictures are turned into latents.
    VaeEncode,
    /// Latents are painted.
    Sample,
    /// Latents are enlarged by a model.
    LatentUpscale,
    /// Latents are turned into pictures, clips or sound.
    Decode,
    /// Pictures are enlarged by a model.
    Upscale,
}

/// In what pieces an autoencoder works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// Pixels of a side, with those that it shares with its neighbours.
    pub side: f64,
    /// Frames of a piece.
    pub frames: f64,
}

impl Tile {
    /// The smallest side that the nodes for it take.
    pub const SMALLEST: f64 = 64.0;

    /// What the nodes for it propose.
    pub const USUAL: Self = Self {
        side: 512.0,
        frames: 64.0,
    };
}

/// What custom loaders' inputs are called, with the folder that they read.
const LOADER_INPUTS: [(&str, &str); 13] = [
    ("unet_name", "diffusion_models"),
    ("model_name", "diffusion_models"),
    ("model", "diffusion_models"),
    ("ckpt_name", "checkpoints"),
    ("clip_name", "text_encoders"),
    ("clip_name1", "text_encoders"),
    ("clip_name2", "text_encoders"),
    ("text_encoder", "text_encoders"),
    ("vae_name", "vae"),
    ("lora_name", "loras"),
    ("lora", "loras"),
    ("control_net_name", "controlnet"),
    ("controlnet_name", "controlnet"),
];

/// Folders of what isn't loaded onto a card.
const NOT_LOADED: [&str; 3] = ["input", "configs", "embeddings"];

impl Plan {
    /// Reads a workflow.
    #[must_use]
    pub fn of(workflow: &Workflow, facts: &NodeFacts) -> Self {
        let graph = Graph::of(workflow, facts);
        let mut plan = Self::default();
        for node in graph.nodes() {
            plan.elsewhere |= node.known.is_some_and(NodeClass::is_api_node);
            let (files, is_clear) = loads(node);
            if !is_clear {
                plan.unclear.push(format!("{} ({})", node.id, node.class));
            }
            for file in files {
                if !plan.files.iter().any(|known| known.same_file(&file)) {
                    plan.files.push(file);
                }
            }
            for phase in graph.phases(node) {
                plan.add(phase);
            }
        }
        plan.phases.extend(plan.unseen(&graph));
        plan.phases.sort_by_key(|phase| phase.kind);
        let sampled = plan
            .phases
            .iter()
            .filter(|phase| phase.kind == PhaseKind::Sample);
        plan.work = sampled
            .filter_map(|phase| phase.work)
            .max_by(|a, b| a.amount().total_cmp(&b.amount()));
        plan
    }

    /// What samples where no node is seen to do it: something is loaded, and not for nothing.
    fn unseen(&self, graph: &Graph<'_>) -> Option<Phase> {
        let is_model = |file: &&Loaded| ["checkpoints", "diffusion_models"].contains(&file.folder);
        let files: Vec<Loaded> = self.files.iter().filter(is_model).cloned().collect();
        let is_seen = self
            .phases
            .iter()
            .any(|phase| phase.kind == PhaseKind::Sample);
        if is_seen || files.is_empty() && self.unclear.is_empty() {
            return None;
        }
        let latents = graph.nodes().filter(|node| node.gives(Cargo::Latent));
        let work = latents
            .filter_map(|node| graph.written(node))
            .max_by(|a, b| a.amount().total_cmp(&b.amount()));
        Some(Phase {
            work,
            files,
            custom: true,
            ..Phase::new(PhaseKind::Sample)
        })
    }

    /// Two nodes that need the same are one phase: nothing is loaded a second time.
    fn add(&mut self, phase: Phase) {
        let alike = |known: &&mut Phase| {
            let nodes = known.nodes.clone();
            **known
                == Phase {
                    nodes,
                    ..phase.clone()
                }
        };
        match self.phases.iter_mut().find(alike) {
            Some(known) => known.nodes.extend(phase.nodes),
            None => self.phases.push(phase),
        }
    }
}

impl Phase {
    pub(super) fn new(kind: PhaseKind) -> Self {
        Self {
            kind,
            nodes: Vec::new(),
            files: Vec::new(),
            work: None,
            sides: 1.0,
            references: Vec::new(),
            unread: Vec::new(),
            notes: Vec::new(),
            tile: None,
            enlarges: 1.0,
            custom: false,
        }
    }
}

impl Loaded {
    pub(super) fn same_file(&self, other: &Self) -> bool {
        (self.folder, &self.file) == (other.folder, &other.file)
    }
}

/// The files that a node loads, and whether that is all that it loads.
pub(super) fn loads(node: Vertex<'_>) -> (Vec<Loaded>, bool) {
    let mut files = Vec::new();
    let mut found = false;
    for (input, value) in node.inputs {
        let Some(file) = value.as_str() else { continue };
        let custom = || {
            let by_name = LOADER_INPUTS.iter().find(|(name, _)| name == input);
            by_name
                .filter(|_| is_model_file(file))
                .map(|(_, folder)| *folder)
        };
        let Some(folder) = model_folder(node.class, input).or_else(custom) else {
            continue;
        };
        found = true;
        if NOT_LOADED.contains(&folder) {
            continue;
        }
        let dtype = ["weight_dtype", "quantization"]
            .iter()
            .find_map(|name| node.text(name));
        files.push(Loaded {
            folder,
            file: file.to_owned(),
            shrunk: dtype
                .is_some_and(|dtype| dtype.starts_with("fp8") && !dtype.contains("scaled")),
            part: Part::Whole,
            aside: node.text("device") == Some("cpu"),
            merged: folder == "loras" && !node.class.contains("Bypass"),
        });
    }
    let is_loader = node.class.contains("Loader") || node.class.contains("FromPretrained");
    (
        files,
        found || !is_loader || node.inputs.values().any(Value::is_array),
    )
}
