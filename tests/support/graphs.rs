//! Small workflows, one for each way in which prompts, seeds and sizes reach a sampler.

use massmediafactory::comfy::Workflow;
use serde_json::{Value, json};

/// A workflow of nodes written as `id: Class {inputs}`.
pub(crate) fn graph(nodes: &[(&str, &str, Value)]) -> Value {
    nodes
        .iter()
        .map(|(id, class, inputs)| {
            let node = json!({ "class_type": class, "inputs": inputs });
            ((*id).to_owned(), node)
        })
        .collect()
}

pub(crate) fn workflow(nodes: &Value) -> Workflow {
    Workflow::from_json(nodes.clone()).unwrap()
}

/// A checkpoint, both prompts through a `ControlNet`, one `KSampler`.
pub(crate) fn controlnet() -> Value {
    graph(&[
        (
            "1",
            "CheckpointLoaderSimple",
            json!({ "ckpt_name": "sd_xl_base_1.0.safetensors" }),
        ),
        (
            "2",
            "CLIPTextEncode",
            json!({ "text": "a red fox", "clip": ["1", 1] }),
        ),
        (
            "3",
            "CLIPTextEncode",
            json!({ "text": "blurry", "clip": ["1", 1] }),
        ),
        (
            "4",
            "EmptyImage",
            json!({ "width": 64, "height": 64, "batch_size": 1, "color": 255 }),
        ),
        (
            "5",
            "ControlNetLoader",
            json!({ "control_net_name": "control_v11p_sd15_canny_fp16.safetensors" }),
        ),
        (
            "6",
            "ControlNetApplyAdvanced",
            json!({
                "positive": ["2", 0], "negative": ["3", 0], "control_net": ["5", 0], "image": ["4", 0],
                "strength": 0.8, "start_percent": 0.0, "end_percent": 1.0,
            }),
        ),
        (
            "7",
            "EmptyLatentImage",
            json!({ "width": 64, "height": 64, "batch_size": 1 }),
        ),
        (
            "8",
            "KSampler",
            json!({
                "model": ["1", 0], "seed": 5, "steps": 4, "cfg": 7.0, "sampler_name": "euler",
                "scheduler": "normal", "positive": ["6", 0], "negative": ["6", 1],
                "latent_image": ["7", 0], "denoise": 1.0,
            }),
        ),
        (
            "9",
            "VAEDecode",
            json!({ "samples": ["8", 0], "vae": ["1", 2] }),
        ),
        (
            "10",
            "SaveImage",
            json!({ "images": ["9", 0], "filename_prefix": "control" }),
        ),
    ])
}

/// Flux by guider, noise and scheduler nodes of their own.
pub(crate) fn flux() -> Value {
    graph(&[
        (
            "1",
            "UNETLoader",
            json!({ "unet_name": "flux1-dev.safetensors", "weight_dtype": "default" }),
        ),
        (
            "2",
            "DualCLIPLoader",
            json!({
                "clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl_fp16.safetensors", "type": "flux",
            }),
        ),
        ("3", "VAELoader", json!({ "vae_name": "ae.safetensors" })),
        (
            "4",
            "CLIPTextEncode",
            json!({ "text": "a red fox", "clip": ["2", 0] }),
        ),
        (
            "5",
            "FluxGuidance",
            json!({ "conditioning": ["4", 0], "guidance": 3.5 }),
        ),
        (
            "6",
            "ModelSamplingFlux",
            json!({
                "model": ["1", 0], "max_shift": 1.15, "base_shift": 0.5, "width": 64, "height": 96,
            }),
        ),
        (
            "7",
            "BasicGuider",
            json!({ "model": ["6", 0], "conditioning": ["5", 0] }),
        ),
        ("8", "RandomNoise", json!({ "noise_seed": 7 })),
        ("9", "KSamplerSelect", json!({ "sampler_name": "euler" })),
        (
            "10",
            "BasicScheduler",
            json!({ "model": ["6", 0], "scheduler": "simple", "steps": 4, "denoise": 1.0 }),
        ),
        (
            "11",
            "EmptySD3LatentImage",
            json!({ "width": 64, "height": 96, "batch_size": 1 }),
        ),
        (
            "12",
            "SamplerCustomAdvanced",
            json!({
                "noise": ["8", 0], "guider": ["7", 0], "sampler": ["9", 0], "sigmas": ["10", 0],
                "latent_image": ["11", 0],
            }),
        ),
        (
            "13",
            "VAEDecode",
            json!({ "samples": ["12", 0], "vae": ["3", 0] }),
        ),
        (
            "14",
            "SaveImage",
            json!({ "images": ["13", 0], "filename_prefix": "flux" }),
        ),
    ])
}

/// The two experts of Wan 2.2, each for a part of the steps.
pub(crate) fn wan() -> Value {
    let sampler = |model: &str, latent: &str, noise: &str, start: u64, end: u64, more: &str| {
        json!({
            "model": [model, 0], "add_noise": noise, "noise_seed": 9, "steps": 20, "cfg": 3.5,
            "sampler_name": "euler", "scheduler": "simple", "positive": ["5", 0],
            "negative": ["6", 0], "latent_image": [latent, 0], "start_at_step": start,
            "end_at_step": end, "return_with_leftover_noise": more,
        })
    };
    graph(&[
        (
            "1",
            "UNETLoader",
            json!({ "unet_name": "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "weight_dtype": "default" }),
        ),
        (
            "2",
            "UNETLoader",
            json!({ "unet_name": "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors", "weight_dtype": "default" }),
        ),
        (
            "3",
            "CLIPLoader",
            json!({ "clip_name": "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "type": "wan" }),
        ),
        (
            "4",
            "VAELoader",
            json!({ "vae_name": "wan_2.1_vae.safetensors" }),
        ),
        (
            "5",
            "CLIPTextEncode",
            json!({ "text": "a red fox runs", "clip": ["3", 0] }),
        ),
        (
            "6",
            "CLIPTextEncode",
            json!({ "text": "static", "clip": ["3", 0] }),
        ),
        (
            "7",
            "EmptyHunyuanLatentVideo",
            json!({ "width": 64, "height": 64, "length": 5, "batch_size": 1 }),
        ),
        (
            "8",
            "ModelSamplingSD3",
            json!({ "model": ["1", 0], "shift": 8.0 }),
        ),
        (
            "9",
            "ModelSamplingSD3",
            json!({ "model": ["2", 0], "shift": 8.0 }),
        ),
        (
            "20",
            "KSamplerAdvanced",
            sampler("9", "10", "disable", 10, 10000, "disable"),
        ),
        (
            "10",
            "KSamplerAdvanced",
            sampler("8", "7", "enable", 0, 10, "enable"),
        ),
        (
            "11",
            "VAEDecode",
            json!({ "samples": ["20", 0], "vae": ["4", 0] }),
        ),
        (
            "12",
            "SaveAnimatedWEBP",
            json!({
                "images": ["11", 0], "filename_prefix": "wan", "fps": 16.0, "lossless": true,
                "quality": 80, "method": "default",
            }),
        ),
    ])
}
