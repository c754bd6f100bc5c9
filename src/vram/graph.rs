//! What a workflow loads, and how large it paints.

use serde_json::{Map, Value};

use crate::comfy::model_name::is_model_file;
use crate::comfy::nodes::{NodeClass, NodeFacts, model_folder};
use crate::comfy::{Node, Workflow};

/// What a workflow does, as far as memory is concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The files that it loads.
    pub files: Vec<Loaded>,
    /// The largest that it samples; none if no node says so.
    pub work: Option<Work>,
    /// Whether some sampler works on both sides of a guidance.
    pub guided: bool,
    /// The tile of a tiled decoder in pixels.
    pub tile: Option<f64>,
    /// Nodes that load something by a name that is no known file.
    pub unclear: Vec<String>,
    /// Whether the work is done elsewhere, by a paid service.
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
}

/// The size of what is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// Frames of the clip; 1 for a picture.
    pub frames: f64,
    /// How many at once.
    pub batch: f64,
}

/// What custom loaders' inputs are called, with the folder that they read.
const LOADER_INPUTS: [(&str, &str); 9] = [
    ("unet_name", "diffusion_models"),
    ("model_name", "diffusion_models"),
    ("ckpt_name", "checkpoints"),
    ("clip_name", "text_encoders"),
    ("clip_name1", "text_encoders"),
    ("clip_name2", "text_encoders"),
    ("text_encoder", "text_encoders"),
    ("vae_name", "vae"),
    ("lora_name", "loras"),
];

impl Plan {
    /// Reads a workflow.
    #[must_use]
    pub fn of(workflow: &Workflow, facts: &NodeFacts) -> Self {
        let mut plan = Self::default();
        let mut enlarged = 1.0;
        for node in workflow.nodes() {
            let (Some(class), Some(inputs)) = (node.class_type(), node.inputs()) else {
                continue;
            };
            let known = facts.class(class);
            plan.elsewhere |= known.is_some_and(NodeClass::is_api_node);
            plan.loads(class, &node, inputs);
            plan.guided |= inputs
                .get("cfg")
                .and_then(Value::as_f64)
                .is_some_and(|cfg| (cfg - 1.0).abs() > f64::EPSILON);
            if class == "VAEDecodeTiled" {
                plan.tile = number(inputs, "tile_size");
            }
            let gives_latent = known.map_or(class.contains("Latent"), |known| {
                known
                    .outputs()
                    .iter()
                    .any(|output| output.io_type().is("LATENT"))
            });
            if gives_latent {
                plan.paints(inputs);
                enlarged *= scale(class, inputs);
            }
        }
        if let Some(work) = &mut plan.work {
            work.width *= enlarged;
            work.height *= enlarged;
        }
        plan
    }

    fn loads(&mut self, class: &str, node: &Node<'_>, inputs: &Map<String, Value>) {
        let mut found = false;
        for (input, value) in inputs {
            let Some(file) = value.as_str() else { continue };
            let custom = || {
                let by_name = LOADER_INPUTS.iter().find(|(name, _)| name == input);
                by_name
                    .filter(|_| is_model_file(file))
                    .map(|(_, folder)| *folder)
            };
            if let Some(folder) = model_folder(class, input).or_else(custom) {
                found = true;
                if folder == "input" || folder == "configs" {
                    continue;
                }
                let dtype = inputs.get("weight_dtype").and_then(Value::as_str);
                let loaded = Loaded {
                    folder,
                    file: file.to_owned(),
                    shrunk: dtype.is_some_and(|dtype| dtype.starts_with("fp8")),
                };
                if !self.files.contains(&loaded) {
                    self.files.push(loaded);
                }
            }
        }
        let loads = class.contains("Loader") || class.contains("FromPretrained");
        if loads && !found && !inputs.values().any(Value::is_array) {
            self.unclear.push(format!("{} ({class})", node.id));
        }
    }

    fn paints(&mut self, inputs: &Map<String, Value>) {
        let (Some(width), Some(height)) = (number(inputs, "width"), number(inputs, "height"))
        else {
            return;
        };
        let frames = [
            "length",
            "frames_number",
            "num_frames",
            "frames",
            "video_length",
        ]
        .iter()
        .find_map(|name| number(inputs, name));
        let work = Work {
            width,
            height,
            frames: frames.unwrap_or(1.0).max(1.0),
            batch: number(inputs, "batch_size").unwrap_or(1.0).max(1.0),
        };
        let size = |work: &Work| work.width * work.height * work.frames * work.batch;
        if self
            .work
            .as_ref()
            .is_none_or(|known| size(&work) > size(known))
        {
            self.work = Some(work);
        }
    }
}

/// By how much a node enlarges a latent's sides.
fn scale(class: &str, inputs: &Map<String, Value>) -> f64 {
    match class {
        "LTXVLatentUpsampler" => 2.0,
        "LatentUpscaleBy" => number(inputs, "scale_by").unwrap_or(1.0),
        _ => 1.0,
    }
}

fn number(inputs: &Map<String, Value>, name: &str) -> Option<f64> {
    inputs.get(name)?.as_f64()
}
