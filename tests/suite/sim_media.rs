//! Files that the simulator makes, judged by programs that know their formats.

use std::process::Command;

use massmediafactory::sim::Sim;
use serde_json::{Value, json};

use crate::support::sim::{CLIENT, Ear, fast, get, get_bytes, post};

/// Runs a prompt and gives what its node shows.
async fn run(sim: &Sim, prompt: &Value, node: &str) -> Value {
    let mut ear = Ear::connect(sim, CLIENT).await;
    let (status, answer) = post(sim, prompt).await;
    assert_eq!(status, 200, "{answer}");
    ear.until_end().await;
    let id = answer["prompt_id"].as_str().unwrap();
    let entry = get(sim, &format!("/history/{id}")).await[id].clone();
    assert_eq!(entry["status"]["status_str"], "success", "{entry}");
    entry["outputs"][node].clone()
}

async fn fetch(sim: &Sim, file: &Value) -> Vec<u8> {
    let field = |name: &str| file[name].as_str().unwrap().to_owned();
    let path = format!(
        "/view?filename={}&subfolder={}&type={}",
        field("filename"),
        field("subfolder"),
        field("type")
    );
    let (status, _, bytes) = get_bytes(sim, &path).await;
    assert_eq!(status, 200, "{path}");
    bytes
}

/// What ffprobe says of a file's streams; nothing (said on stderr) where it isn't installed.
fn probe(bytes: &[u8], name: &str) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let arguments = [
        "-v",
        "error",
        "-count_frames",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
    ];
    let Ok(output) = Command::new("ffprobe").args(arguments).arg(&path).output() else {
        eprintln!("skipped: ffprobe is not installed");
        return None;
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{name}: {complaints}"
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn wan(steps: u64) -> Value {
    json!({
        "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "wan2.2_ti2v_5B_fp16.safetensors", "weight_dtype": "default" } },
        "2": { "class_type": "CLIPLoader", "inputs": { "clip_name": "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "type": "wan" } },
        "3": { "class_type": "CLIPTextEncode", "inputs": { "clip": ["2", 0], "text": "waves" } },
        "4": { "class_type": "VAELoader", "inputs": { "vae_name": "wan2.2_vae.safetensors" } },
        "5": { "class_type": "Wan22ImageToVideoLatent", "inputs": { "vae": ["4", 0], "width": 320, "height": 192, "length": 13, "batch_size": 1 } },
        "6": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0], "latent_image": ["5", 0],
            "seed": 5, "steps": steps, "cfg": 5.0, "sampler_name": "uni_pc", "scheduler": "simple", "denoise": 1.0,
        } },
        "7": { "class_type": "VAEDecode", "inputs": { "samples": ["6", 0], "vae": ["4", 0] } },
        "8": { "class_type": "CreateVideo", "inputs": { "images": ["7", 0], "fps": 13.0 } },
        "9": { "class_type": "SaveVideo", "inputs": { "video": ["8", 0], "filename_prefix": "video/wan", "format": "auto", "codec": "auto" } },
        "10": { "class_type": "SaveWEBM", "inputs": { "images": ["7", 0], "filename_prefix": "web", "codec": "vp9", "fps": 13.0, "crf": 32.0 } },
    })
}

#[tokio::test]
async fn a_clip_is_a_playable_file_of_the_asked_length() {
    let sim = fast().await;
    let shown = run(&sim, &wan(2), "9").await;
    assert_eq!(shown["animated"], json!([true]));
    let bytes = fetch(&sim, &shown["images"][0]).await;
    let Some(found) = probe(&bytes, "a.mp4") else {
        return;
    };
    let stream = &found["streams"][0];
    assert_eq!(
        (&stream["width"], &stream["height"]),
        (&json!(320), &json!(192))
    );
    assert_eq!(stream["nb_read_frames"], "13");
    assert_eq!(stream["r_frame_rate"], "13/1");
    assert_eq!(found["format"]["duration"], "1.000000");

    let shown = run(&sim, &wan(2), "10").await;
    let bytes = fetch(&sim, &shown["images"][0]).await;
    let found = probe(&bytes, "a.webm").unwrap();
    assert_eq!(found["streams"][0]["nb_read_frames"], "13");
}

fn song(class: &str, extra: &Value) -> Value {
    let mut save = json!({ "audio": ["4", 0], "filename_prefix": "audio/song" });
    save.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "stable-audio-open-1.0.safetensors" } },
        "2": { "class_type": "EmptyLatentAudio", "inputs": { "seconds": 2.0, "batch_size": 1 } },
        "6": { "class_type": "CLIPTextEncode", "inputs": { "clip": ["1", 1], "text": "a flute" } },
        "3": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["2", 0],
            "seed": 5, "steps": 2, "cfg": 5.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
        } },
        "4": { "class_type": "VAEDecodeAudio", "inputs": { "samples": ["3", 0], "vae": ["1", 2] } },
        "5": { "class_type": class, "inputs": save },
    })
}

#[tokio::test]
async fn a_sound_is_a_playable_file_of_the_asked_length() {
    let sim = fast().await;
    for (class, extra, codec) in [
        ("SaveAudio", json!({}), "flac"),
        ("SaveAudioMP3", json!({ "quality": "V0" }), "mp3"),
        ("SaveAudioOpus", json!({ "quality": "64k" }), "opus"),
    ] {
        let shown = run(&sim, &song(class, &extra), "5").await;
        let file = &shown["audio"][0];
        assert_eq!(file["subfolder"], "audio");
        let bytes = fetch(&sim, file).await;
        let Some(found) = probe(&bytes, file["filename"].as_str().unwrap()) else {
            return;
        };
        assert_eq!(found["streams"][0]["codec_name"], codec);
        let duration: f64 = found["format"]["duration"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((duration - 2.0).abs() < 0.1, "{class}: {duration}");
    }
}

#[tokio::test]
async fn animated_pictures_hold_all_frames() {
    let sim = fast().await;
    let frames = |class: &str, extra: Value| {
        let mut save = json!({ "images": ["1", 0], "filename_prefix": "moving", "fps": 4.0 });
        save.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({
            "1": { "class_type": "EmptyImage", "inputs": { "width": 16, "height": 8, "batch_size": 3, "color": 255 } },
            "2": { "class_type": class, "inputs": save },
        })
    };
    let webp = frames(
        "SaveAnimatedWEBP",
        json!({ "lossless": true, "quality": 80, "method": "default" }),
    );
    let png = frames("SaveAnimatedPNG", json!({ "compress_level": 4 }));
    for (prompt, start) in [(webp, &b"RIFF"[..]), (png, b"\x89PNG")] {
        let shown = run(&sim, &prompt, "2").await;
        assert_eq!(shown["animated"], json!([true]));
        let bytes = fetch(&sim, &shown["images"][0]).await;
        assert!(bytes.starts_with(start));
        assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 16);
    }
}

#[tokio::test]
async fn a_text_is_shown_as_it_is() {
    let sim = fast().await;
    let prompt = json!({
        "1": { "class_type": "PrimitiveInt", "inputs": { "value": 7 } },
        "2": { "class_type": "StringConcatenate", "inputs": { "string_a": "a", "string_b": "b", "delimiter": "-" } },
        "3": { "class_type": "PreviewAny", "inputs": { "source": ["2", 0] } },
        "4": { "class_type": "PreviewAny", "inputs": { "source": ["1", 0] } },
    });
    assert_eq!(run(&sim, &prompt, "3").await["text"], json!(["a-b"]));
    let mut changed = prompt;
    changed["1"]["inputs"]["value"] = json!(8);
    assert_eq!(run(&sim, &changed, "4").await["text"], json!(["8"]));
}

#[tokio::test]
async fn a_flux_graph_with_guider_and_sigmas_samples_its_steps() {
    let sim = fast().await;
    let prompt = json!({
        "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "flux1-dev.safetensors", "weight_dtype": "default" } },
        "2": { "class_type": "DualCLIPLoader", "inputs": { "clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl_fp16.safetensors", "type": "flux" } },
        "3": { "class_type": "CLIPTextEncode", "inputs": { "clip": ["2", 0], "text": "a harbour at night" } },
        "4": { "class_type": "FluxGuidance", "inputs": { "conditioning": ["3", 0], "guidance": 3.5 } },
        "5": { "class_type": "BasicGuider", "inputs": { "model": ["1", 0], "conditioning": ["4", 0] } },
        "6": { "class_type": "RandomNoise", "inputs": { "noise_seed": u64::MAX } },
        "7": { "class_type": "KSamplerSelect", "inputs": { "sampler_name": "euler" } },
        "8": { "class_type": "BasicScheduler", "inputs": { "model": ["1", 0], "scheduler": "simple", "steps": 4, "denoise": 1.0 } },
        "9": { "class_type": "EmptySD3LatentImage", "inputs": { "width": 128, "height": 192, "batch_size": 2 } },
        "10": { "class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["6", 0], "guider": ["5", 0], "sampler": ["7", 0], "sigmas": ["8", 0], "latent_image": ["9", 0],
        } },
        "11": { "class_type": "VAELoader", "inputs": { "vae_name": "ae.safetensors" } },
        "12": { "class_type": "VAEDecode", "inputs": { "samples": ["10", 0], "vae": ["11", 0] } },
        "13": { "class_type": "SaveImage", "inputs": { "images": ["12", 0], "filename_prefix": "flux" } },
    });
    let mut ear = Ear::connect(&sim, "steps").await;
    let shown = run(&sim, &prompt, "13").await;
    assert_eq!(shown["images"].as_array().unwrap().len(), 2);
    let one = fetch(&sim, &shown["images"][0]).await;
    let two = fetch(&sim, &shown["images"][1]).await;
    assert_ne!(one, two);
    assert_eq!(image::load_from_memory(&one).unwrap().height(), 192);
    // Broadcasts are few: the steps went to the client that asked.
    assert!(ear.next().await.unwrap().data("status").is_some());

    let again = fast().await;
    let shown = run(&again, &prompt, "13").await;
    assert_eq!(
        fetch(&again, &shown["images"][0]).await,
        one,
        "the same prompt gives the same bytes"
    );
}

#[tokio::test]
async fn a_3d_file_is_binary_gltf() {
    let sim = fast().await;
    let prompt = json!({
        "1": { "class_type": "ImageOnlyCheckpointLoader", "inputs": { "ckpt_name": "hunyuan3d-dit-v2_fp16.safetensors" } },
        "2": { "class_type": "EmptyLatentHunyuan3Dv2", "inputs": { "resolution": 3072, "batch_size": 1 } },
        "3": { "class_type": "VAEDecodeHunyuan3D", "inputs": { "samples": ["2", 0], "vae": ["1", 2], "num_chunks": 8000, "octree_resolution": 256 } },
        "4": { "class_type": "VoxelToMesh", "inputs": { "voxel": ["3", 0], "algorithm": "surface net", "threshold": 0.6 } },
        "5": { "class_type": "SaveGLB", "inputs": { "mesh": ["4", 0], "filename_prefix": "mesh/a" } },
    });
    let shown = run(&sim, &prompt, "5").await;
    let bytes = fetch(&sim, &shown["3d"][0]).await;
    assert!(bytes.starts_with(b"glTF"));
    assert_eq!(
        u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize,
        bytes.len()
    );
}
