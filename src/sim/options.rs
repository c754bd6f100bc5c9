//! What a simulator is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::clock::Clock;
use crate::comfy::nodes::{BUNDLED_VERSION, NodeFacts};
use crate::ids::Ids;
use crate::knowledge::Knowledge;

use super::cache::Caching;
use super::faults::Faults;
use super::node::SimNode;

/// The key of an account for partner nodes where a simulator within the process is the server: it takes
/// any.
pub const SIMULATED_ACCOUNT: &str = "simulated";

/// What a simulator is started with. The default is a fresh, fast server on a free port.
#[derive(Clone)]
pub struct SimOptions {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The folder with `input`, `output` and `temp`; without one, a folder of its own that is
    /// removed at the end.
    pub data: Option<PathBuf>,
    /// The model files it pretends to have, by folder.
    pub models: BTreeMap<String, Vec<String>>,
    /// How long one step of a sampler takes.
    pub step_delay: Duration,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether samplers send previews unless the prompt says otherwise.
    pub previews: bool,
    /// How long results of nodes are kept.
    pub caching: Caching,
    /// Tells the time.
    pub clock: Clock,
    /// Makes prompt ids and client ids.
    pub ids: Ids,
    /// The `ComfyUI` version that it claims to be: its routes, its rules for prompts and ids. What
    /// no client asks for by version (the order of execution, caching) is that of 0.33.
    pub version: String,
    /// The graphics card's memory in bytes.
    pub vram_total: u64,
    /// The machine's memory in bytes.
    pub ram_total: u64,
    /// The node classes; without them those of `ComfyUI` 0.33.0.
    pub facts: Option<Arc<NodeFacts>>,
    /// What it serves as the index of its templates; without it one of the models that `sota.toml`
    /// knows, `null` for none at all.
    pub templates: Option<Json>,
    /// Behaviours of further node types, or other ones for known types.
    pub nodes: Vec<(String, Arc<dyn SimNode>)>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data: None,
            models: default_models(),
            step_delay: Duration::from_millis(3),
            faults: Faults::default(),
            previews: true,
            caching: Caching::default(),
            clock: Clock::default(),
            ids: Ids::default(),
            version: BUNDLED_VERSION.to_owned(),
            vram_total: 24 << 30,
            ram_total: 64 << 30,
            facts: None,
            templates: None,
            nodes: Vec::new(),
        }
    }
}

impl fmt::Debug for SimOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimOptions")
            .field("listen", &self.listen)
            .field("data", &self.data)
            .field("step_delay", &self.step_delay)
            .field("faults", &self.faults.list())
            .field("caching", &self.caching)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The model files that `sota.toml` names and further ones of the official workflows, by folder, and
/// those of a tiny SD3 for tests.
#[must_use]
pub fn default_models() -> BTreeMap<String, Vec<String>> {
    let mut models: BTreeMap<String, Vec<String>> = FOLDERS
        .iter()
        .map(|folder| ((*folder).to_owned(), Vec::new()))
        .collect();
    let known = Knowledge::bundled();
    let known = known
        .files()
        .map(|file| (file.folder.as_str(), file.name.as_str()));
    let further = MODELS
        .iter()
        .flat_map(|(folder, files)| files.iter().map(|file| (*folder, *file)));
    for (folder, file) in known.chain(further) {
        models
            .entry(folder.to_owned())
            .or_default()
            .push(file.to_owned());
    }
    for files in models.values_mut() {
        files.sort();
        files.dedup();
    }
    models
}

/// The model folders of `ComfyUI` 0.33 in its order.
pub(super) const FOLDERS: [&str; 24] = [
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "latent_upscale_models",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
    "background_removal",
    "frame_interpolation",
    "geometry_estimation",
    "optical_flow",
];

const MODELS: &[(&str, &[&str])] = &[
    (
        "checkpoints",
        &[
            "v1-5-pruned-emaonly-fp16.safetensors",
            "sd_xl_base_1.0.safetensors",
            "sd_xl_refiner_1.0.safetensors",
            "sd3.5_large_fp8_scaled.safetensors",
            "sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors",
            "flux1-dev-fp8.safetensors",
            "flux1-schnell-fp8.safetensors",
            "ltx-2-19b-dev-fp8.safetensors",
            "ltx-video-2b-v0.9.5.safetensors",
            "ace_step_v1_3.5b.safetensors",
            "stable-audio-open-1.0.safetensors",
            "hunyuan3d-dit-v2_fp16.safetensors",
            "512-inpainting-ema.safetensors",
        ],
    ),
    (
        "diffusion_models",
        &[
            "sd3_tiny.safetensors",
            "flux1-dev.safetensors",
            "flux1-schnell.safetensors",
            "flux1-dev-kontext_fp8_scaled.safetensors",
            "flux2_dev_fp8mixed.safetensors",
            "flux-2-klein-4b.safetensors",
            "qwen_image_fp8_e4m3fn.safetensors",
            "qwen_image_2512_fp8_e4m3fn.safetensors",
            "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
            "z_image_turbo_bf16.safetensors",
            "wan2.1_t2v_1.3B_fp16.safetensors",
            "wan2.1_t2v_14B_fp8_scaled.safetensors",
            "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
            "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
            "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors",
            "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
            "wan2.2_ti2v_5B_fp16.safetensors",
            "hunyuan_video_t2v_720p_bf16.safetensors",
            "hunyuanvideo1.5_720p_t2v_fp16.safetensors",
        ],
    ),
    (
        "text_encoders",
        &[
            "clip_l_tiny.safetensors",
            "clip_l.safetensors",
            "clip_g.safetensors",
            "t5xxl_fp16.safetensors",
            "t5xxl_fp8_e4m3fn.safetensors",
            "t5xxl_fp8_e4m3fn_scaled.safetensors",
            "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
            "qwen_2.5_vl_7b_fp8_scaled.safetensors",
            "qwen_3_4b.safetensors",
            "mistral_3_small_flux2_fp8.safetensors",
            "gemma_3_12B_it_fp4_mixed.safetensors",
            "llava_llama3_fp8_scaled.safetensors",
        ],
    ),
    (
        "vae",
        &[
            "ae.safetensors",
            "flux2-vae.safetensors",
            "qwen_image_vae.safetensors",
            "wan_2.1_vae.safetensors",
            "wan2.2_vae.safetensors",
            "sdxl_vae.safetensors",
            "vae-ft-mse-840000-ema-pruned.safetensors",
            "hunyuan_video_vae_bf16.safetensors",
            "hunyuanvideo15_vae_fp16.safetensors",
        ],
    ),
    (
        "vae_approx",
        &[
            "taesd_decoder.safetensors",
            "taesd_encoder.safetensors",
            "taesdxl_decoder.safetensors",
            "taesdxl_encoder.safetensors",
            "taesd3_decoder.safetensors",
            "taesd3_encoder.safetensors",
            "taef1_decoder.safetensors",
            "taef1_encoder.safetensors",
        ],
    ),
    (
        "loras",
        &[
            "Qwen-Image-Lightning-4steps-V1.0.safetensors",
            "Qwen-Image-Lightning-8steps-V1.0.safetensors",
            "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors",
            "wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors",
            "wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors",
            "wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors",
            "ltx-2-19b-distilled-lora-384.safetensors",
            "lcm-lora-sdxl.safetensors",
        ],
    ),
    (
        "clip_vision",
        &[
            "clip_vision_h.safetensors",
            "sigclip_vision_patch14_384.safetensors",
        ],
    ),
    ("style_models", &["flux1-redux-dev.safetensors"]),
    (
        "controlnet",
        &[
            "control_v11p_sd15_canny_fp16.safetensors",
            "Qwen-Image-InstantX-ControlNet-Union.safetensors",
        ],
    ),
    (
        "upscale_models",
        &["RealESRGAN_x4plus.safetensors", "4x-UltraSharp.pth"],
    ),
    (
        "latent_upscale_models",
        &["ltx-2-spatial-upscaler-x2-1.0.safetensors"],
    ),
    ("configs", &["v1-inference.yaml"]),
    ("embeddings", &["easynegative.safetensors"]),
];
