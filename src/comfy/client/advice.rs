//! What to do about a node that failed, where its exception gives that away.
//!
//! `ComfyUI` passes on what Python or torch said, which tells what broke and seldom why.

use super::account::ACCOUNT_HELP;
use super::outcome::NodeFailure;

/// What partner nodes say without an account (`comfy_api_nodes/util/client.py` of 0.3.75).
pub(super) const SIGNED_OUT: &str = "Unauthorized: Please login first to use this node.";

/// Parts of messages, and what is behind each. Those of `ComfyUI` itself stand in `nodes.py`,
/// `comfy/sd.py` and `comfy/utils.py` of 0.3.75; the others are torch's and those of safetensors.
const KNOWN: [(&str, &str); 9] = [
    (SIGNED_OUT, ACCOUNT_HELP),
    (
        "mat1 and mat2 shapes cannot be multiplied",
        "two models do not belong together: take the text encoder, LoRA or ControlNet of the model's own family",
    ),
    (
        "expected input[",
        "the latent or the VAE is of another family than the model: take the model's own VAE and empty latent",
    ),
    (
        "clip input is invalid: None",
        "the checkpoint has no text encoder: load one, with CLIPLoader or DualCLIPLoader",
    ),
    (
        "VAE is invalid: None",
        "the checkpoint has no VAE: load one, with VAELoader",
    ),
    (
        "Could not detect model type",
        "the file is no whole checkpoint, or newer than this ComfyUI: a diffusion model alone is loaded with UNETLoader",
    ),
    (
        "safetensors file is corrupt",
        "the download is incomplete, or a page or pointer in its place: fetch the model again and compare its size",
    ),
    (
        "Error while deserializing header",
        "the download is incomplete, or a page or pointer in its place: fetch the model again and compare its size",
    ),
    (
        "Torch not compiled with CUDA enabled",
        "ComfyUI's torch has no CUDA: install the build for the graphics card, or start ComfyUI with --cpu",
    ),
];

impl NodeFailure {
    /// The next thing to try.
    pub(super) fn advice(&self) -> String {
        if self.is_out_of_memory() {
            return "make it smaller, take a quantised model, or free memory first".to_owned();
        }
        let mut known = KNOWN.iter();
        if let Some((_, advice)) = known.find(|(part, _)| self.message.contains(part)) {
            return (*advice).to_owned();
        }
        if let Some(pack) = self.pack() {
            return format!(
                "it failed within the node pack {pack}: see whether that is up to date"
            );
        }
        match &self.node_type {
            Some(class) => {
                format!("ComfyUI's log has the traceback; get_node_info tells what {class} takes")
            }
            None => "ComfyUI's log has the traceback".to_owned(),
        }
    }

    /// The pack of custom nodes in which the exception was raised.
    fn pack(&self) -> Option<&str> {
        let innermost = self.traceback.iter().rfind(|line| line.contains("File \""));
        let below = innermost?.rsplit_once("custom_nodes")?.1;
        let mut parts = below.split(['/', '\\']).filter(|part| !part.is_empty());
        parts.next().filter(|pack| !pack.contains('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(message: &str, traceback: &[&str]) -> String {
        let failure = NodeFailure {
            node_type: Some("KSampler".to_owned()),
            exception_type: "RuntimeError".to_owned(),
            message: message.to_owned(),
            traceback: traceback.iter().map(|line| (*line).to_owned()).collect(),
            ..NodeFailure::default()
        };
        failure.advice()
    }

    #[test]
    fn what_torch_says_of_shapes_is_told_in_terms_of_models() {
        let shapes = "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)";
        assert!(advice(shapes, &[]).contains("own family"));
        let channels = "Given groups=1, weight of size [320, 4, 3, 3], expected input[2, 16, 128, \
                        128] to have 4 channels, but got 16 channels instead";
        assert!(advice(channels, &[]).contains("VAE"));
    }

    #[test]
    fn a_pack_is_blamed_only_for_what_it_raised_itself() {
        let own = "  File \"/c/custom_nodes/ComfyUI-Pack/nodes.py\", line 7, in run\n";
        let comfy = "  File \"/c/execution.py\", line 510, in execute\n";
        assert!(advice("no", &[comfy, own]).contains("node pack ComfyUI-Pack"));
        assert!(advice("no", &[own, comfy]).contains("get_node_info"));
        let windows = "  File \"C:\\c\\custom_nodes\\Pack\\nodes.py\", line 7, in run\n";
        assert!(advice("no", &[windows]).contains("node pack Pack"));
        let single = "  File \"/c/custom_nodes/single.py\", line 7, in run\n";
        assert!(!advice("no", &[single]).contains("node pack"));
    }
}
