//! Ways out taken: the same workflow with less to hold, that makes what was asked for.

use serde_json::{Map, Value, json};

use super::ways::WayOut;
use crate::comfy::Workflow;
use crate::comfy::nodes::model_folder;

/// A way out that leaves size, number and length as they are, so that it may be taken unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another file of the same model, in numbers that take less.
    File {
        /// The folder below `models/`.
        folder: &'static str,
        /// The file that the workflow names.
        file: String,
        /// The one to be loaded in its place.
        other: String,
    },
    /// Decoding piece by piece.
    Tiles,
}

/// A workflow that needs less.
#[derive(Clone, Debug, PartialEq)]
pub struct Relief {
    /// The workflow.
    pub workflow: Workflow,
    /// What was done, in the words of the ways out.
    pub done: Vec<String>,
}

/// What decoding in tiles is called.
pub(super) const TILES: &str =
    "decode with VAEDecodeTiled (tile_size 512, overlap 64, temporal_size 64)";

/// The workflow with all ways out taken that leave what was asked for as it is. Where none is known,
/// because too little is known of the models, it decodes in tiles.
#[must_use]
pub fn relieved(workflow: &Workflow, ways: &[WayOut]) -> Relief {
    let mut nodes = workflow.as_map().clone();
    let mut done = vec![];
    let known = ways
        .iter()
        .filter_map(|way| Some((&way.action, way.change.as_ref()?)));
    for (action, change) in known {
        if take(&mut nodes, change) {
            done.push(action.clone());
        }
    }
    if done.is_empty() && take(&mut nodes, &Change::Tiles) {
        done.push(TILES.to_owned());
    }
    Relief {
        workflow: Workflow::from_nodes(nodes),
        done,
    }
}

/// Takes a way; false if there is nothing to be changed.
fn take(nodes: &mut Map<String, Value>, change: &Change) -> bool {
    let mut changed = false;
    for node in nodes.values_mut() {
        changed |= match change {
            Change::File {
                folder,
                file,
                other,
            } => load(node, folder, file, other),
            Change::Tiles => decode_in_tiles(node),
        };
    }
    changed
}

fn load(node: &mut Value, folder: &str, file: &str, other: &str) -> bool {
    let class = node["class_type"].as_str().unwrap_or_default().to_owned();
    let mut changed = false;
    for (input, value) in node["inputs"].as_object_mut().into_iter().flatten() {
        if *value == file && model_folder(&class, input) == Some(folder) {
            *value = other.into();
            changed = true;
        }
    }
    changed
}

fn decode_in_tiles(node: &mut Value) -> bool {
    if node["class_type"] != "VAEDecode" {
        return false;
    }
    let Some(inputs) = node["inputs"].as_object_mut() else {
        return false;
    };
    let tile = [
        ("tile_size", 512),
        ("overlap", 64),
        ("temporal_size", 64),
        ("temporal_overlap", 8),
    ];
    inputs.extend(tile.map(|(name, value)| (name.to_owned(), json!(value))));
    node["class_type"] = "VAEDecodeTiled".into();
    true
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Fit;
    use super::*;

    fn picture() -> Workflow {
        let nodes = json!({
            "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "big_bf16.safetensors", "weight_dtype": "default" } },
            "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "big_bf16.safetensors", "clip": ["9", 0] } },
            "3": { "class_type": "VAEDecode", "inputs": { "samples": ["4", 0], "vae": ["5", 0] } },
        });
        Workflow::from_json(nodes).unwrap()
    }

    fn way(action: &str, change: Option<Change>) -> WayOut {
        WayOut {
            action: action.to_owned(),
            needs_gb: None,
            verdict: Fit::Whole,
            change,
        }
    }

    #[test]
    fn only_what_leaves_the_result_as_it_was_asked_for_is_taken() {
        let smaller = Change::File {
            folder: "diffusion_models",
            file: "big_bf16.safetensors".to_owned(),
            other: "big_fp8.safetensors".to_owned(),
        };
        let ways = [
            way("load big_fp8.safetensors", Some(smaller)),
            way("832 x 832 instead of 1024 x 1024", None),
        ];
        let relief = relieved(&picture(), &ways);
        assert_eq!(relief.done, ["load big_fp8.safetensors"]);
        let nodes = relief.workflow.as_map();
        assert_eq!(nodes["1"]["inputs"]["unet_name"], "big_fp8.safetensors");
        assert_eq!(nodes["2"]["inputs"]["text"], "big_bf16.safetensors");
        assert_eq!(nodes["3"]["class_type"], "VAEDecode");
    }

    #[test]
    fn where_nothing_is_known_it_decodes_in_tiles() {
        let relief = relieved(&picture(), &[]);
        assert_eq!(relief.done, [TILES]);
        let node = &relief.workflow.as_map()["3"];
        assert_eq!(node["class_type"], "VAEDecodeTiled");
        assert_eq!(node["inputs"]["samples"], json!(["4", 0]));
        assert_eq!(node["inputs"]["tile_size"], 512);
        let again = relieved(&relief.workflow, &[]);
        assert_eq!((again.workflow, again.done), (relief.workflow, vec![]));
    }
}
