//! Estimates of memory, held against what the real ComfyUI reckons with and what it loads.

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::{Comfy, Server, Workflow};
use massmediafactory::ids::Ids;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::vram::{
    Attention, Edition, Estimate, Extent, Inventory, Machine, PhaseKind, Plan, Question, Source,
    Vae, Workshop, estimate,
};
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::Home;
use crate::support::rig::Rig;

/// A model, its latent as our nodes make it, and the same for ComfyUI's own code.
struct Case {
    file: &'static str,
    latent: Value,
    cfg: f64,
    /// Reference pictures of a megapixel.
    references: u32,
    class: &'static str,
    config: Value,
    shape: Value,
}

fn latent(class: &str, width: u32, height: u32) -> Value {
    json!({ "class_type": class, "inputs": { "width": width, "height": height, "batch_size": 1 } })
}

fn clip(class: &str, width: u32, height: u32, length: u32) -> Value {
    let mut latent = latent(class, width, height);
    latent["inputs"]["length"] = length.into();
    latent
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |file, latent, cfg, class, config, shape| Case { file, latent, cfg, references: 0, class, config, shape };
    let sd3 = |side: u32| latent("EmptySD3LatentImage", side, side);
    vec![
        case("v1-5-pruned-emaonly-fp16.safetensors", latent("EmptyLatentImage", 512, 512), 8.0,
            "SD15", json!({}), json!([2, 4, 64, 64])),
        case("sd_xl_base_1.0.safetensors", latent("EmptyLatentImage", 1024, 768), 7.0,
            "SDXL", json!({ "adm_in_channels": 2816 }), json!([2, 4, 96, 128])),
        case("sd3.5_large_fp8_scaled.safetensors", sd3(1024), 4.0,
            "SD3", json!({}), json!([2, 16, 128, 128])),
        case("flux1-dev.safetensors", sd3(1024), 1.0,
            "Flux", json!({}), json!([1, 16, 128, 128])),
        Case { references: 1, ..case("flux1-dev.safetensors", sd3(1024), 1.0,
            "Flux", json!({}), json!([1, 16, 128, 128])) },
        case("flux2_dev_fp8mixed.safetensors", latent("EmptyFlux2LatentImage", 1024, 1024), 1.0,
            "Flux2", json!({}), json!([1, 128, 64, 64])),
        case("qwen_image_2512_fp8_e4m3fn.safetensors", sd3(1328), 4.0,
            "QwenImage", json!({}), json!([2, 16, 1, 166, 166])),
        case("z_image_turbo_bf16.safetensors", sd3(1024), 1.0,
            "ZImage", json!({}), json!([1, 16, 128, 128])),
        case("Chroma1-HD-fp8mixed.safetensors", sd3(1024), 3.5,
            "Chroma", json!({}), json!([2, 16, 128, 128])),
        case("wan2.1_t2v_14B_fp8_scaled.safetensors", clip("EmptyHunyuanLatentVideo", 832, 480, 81), 6.0,
            "WAN21_T2V", json!({ "dim": 5120 }), json!([2, 16, 21, 60, 104])),
        case("wan2.1_t2v_1.3B_fp16.safetensors", clip("EmptyHunyuanLatentVideo", 832, 480, 33), 6.0,
            "WAN21_T2V", json!({ "dim": 1536 }), json!([2, 16, 9, 60, 104])),
        case("wan2.2_ti2v_5B_fp16.safetensors", clip("Wan22ImageToVideoLatent", 1280, 704, 121), 5.0,
            "WAN22_T2V", json!({ "dim": 3072 }), json!([2, 48, 31, 44, 80])),
        case("ltx-video-2b-v0.9.5.safetensors", clip("EmptyLTXVLatentVideo", 768, 512, 97), 3.0,
            "LTXV", json!({ "cross_attention_dim": 2048 }), json!([2, 128, 13, 16, 24])),
        case("hunyuan_video_t2v_720p_bf16.safetensors", clip("EmptyHunyuanLatentVideo", 848, 480, 73), 1.0,
            "HunyuanVideo", json!({}), json!([1, 16, 19, 60, 106])),
        case("hunyuanvideo1.5_720p_t2v_fp16.safetensors", clip("EmptyHunyuanVideo15Latent", 848, 480, 73), 6.0,
            "HunyuanVideo15", json!({}), json!([2, 32, 19, 30, 53])),
    ]
}

fn workflow(case: &Case) -> Workflow {
    let in_checkpoints = ["v1-5", "sd_xl", "sd3.5", "ltx"]
        .iter()
        .any(|start| case.file.starts_with(start));
    let loader = if in_checkpoints {
        json!({ "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": case.file } })
    } else {
        json!({ "class_type": "UNETLoader", "inputs": { "unet_name": case.file, "weight_dtype": "default" } })
    };
    let mut nodes = json!({
        "model": loader,
        "text": { "class_type": "CLIPTextEncode", "inputs": { "text": "x" } },
        "latent": case.latent,
        "sample": { "class_type": "KSampler", "inputs": {
            "model": ["model", 0], "positive": ["text", 0], "negative": ["text", 0], "latent_image": ["latent", 0],
            "seed": 1, "steps": 1, "cfg": case.cfg, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0 } },
    });
    if case.references > 0 {
        nodes["seen"] = latent("EmptySD3LatentImage", 1024, 1024);
        nodes["reference"] = json!({ "class_type": "ReferenceLatent",
            "inputs": { "conditioning": ["text", 0], "latent": ["seen", 0] } });
        nodes["sample"]["inputs"]["positive"] = json!(["reference", 0]);
    }
    Workflow::from_json(nodes).unwrap()
}

fn estimated(workflow: &Workflow, machine: &Machine, inventory: &Inventory) -> Estimate {
    estimate(&Question {
        plan: &Plan::of(workflow, &NodeFacts::bundled()),
        knowledge: &Knowledge::bundled(),
        inventory,
        machine,
        observed: None,
    })
}

/// Whether two figures differ by no more than a share of the second.
fn is_near(ours: f64, theirs: f64, share: f64) -> bool {
    (ours - theirs).abs() <= share * theirs
}

#[tokio::test]
async fn the_work_of_samplers_is_what_comfyui_reckons_with() {
    let attentions = [Attention::Efficient, Attention::Plain];
    let questions: Value = attentions
        .iter()
        .flat_map(|attention| {
            cases().into_iter().map(move |case| {
                let seen = json!({ "ref_latents": vec![json!([1, 16, 128 * 128]); case.references as usize] });
                json!({
                    "model": case.class, "config": case.config, "shape": case.shape, "conds": seen,
                    "efficient": *attention == Attention::Efficient,
                })
            })
        })
        .collect();
    let Some(answers) = Rig::ask("memory.py", questions).await else {
        return;
    };
    let mut answers = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|bytes| bytes.as_f64().unwrap());
    for attention in attentions {
        let machine = Machine {
            attention,
            edition: Edition::Early,
            ..Machine::default()
        };
        for case in cases() {
            let found = estimated(&workflow(&case), &machine, &Inventory::default());
            let phase = found
                .phases
                .iter()
                .find(|phase| phase.phase == PhaseKind::Sample)
                .unwrap();
            let (ours, theirs) = (phase.work.likely, answers.next().unwrap());
            eprintln!(
                "{:44} {attention:?}: {ours:>15.0} {theirs:>15.0}",
                case.file
            );
            assert!(
                is_near(ours, theirs, 0.1),
                "{} {attention:?}: {ours} is not {theirs}",
                case.file
            );
        }
    }
}

/// An autoencoder, tensors by which ComfyUI knows it, the channels of its latent, a latent, and the
/// pictures of which that is made.
type Autoencoder = (Vae, Value, u32, Extent, Extent);

#[rustfmt::skip]
fn autoencoders() -> Vec<Autoencoder> {
    let kl = json!({ "decoder.conv_in.weight": [512, 4, 3, 3], "encoder.down.2.downsample.conv.weight": [512, 512, 3, 3] });
    let mut flux2 = kl.clone();
    flux2["decoder.conv_in.weight"] = json!([512, 32, 3, 3]);
    flux2["bn.running_mean"] = json!([128]);
    let wan = json!({ "decoder.middle.0.residual.0.gamma": [384, 1, 1, 1], "decoder.head.0.gamma": [96, 1, 1, 1] });
    let mut wan22 = wan.clone();
    wan22["decoder.upsamples.0.upsamples.0.residual.2.weight"] = json!([1024, 1024, 3, 3, 3]);
    let ltxv = json!({ "decoder.up_blocks.0.res_blocks.0.conv1.conv.weight": [512, 512, 3, 3, 3] });
    let image = json!({ "decoder.conv_in.weight": [1024, 64, 3, 3] });
    let hunyuan = json!({ "decoder.conv_in.conv.weight": [512, 16, 3, 3, 3], "post_quant_conv.weight": [16, 16, 1, 1, 1] });
    let hunyuan15 = json!({ "decoder.conv_in.conv.weight": [1024, 32, 3, 3, 3] });
    let extent = |frames: f64, height: f64, width: f64| Extent { frames, height, width };
    vec![
        (Vae::Kl, kl, 4, extent(1.0, 128.0, 96.0), extent(1.0, 1024.0, 768.0)),
        (Vae::Flux2, flux2, 128, extent(1.0, 64.0, 64.0), extent(1.0, 1024.0, 1024.0)),
        (Vae::Wan21, wan, 16, extent(21.0, 60.0, 104.0), extent(81.0, 480.0, 832.0)),
        (Vae::Wan22, wan22, 48, extent(31.0, 44.0, 80.0), extent(121.0, 704.0, 1280.0)),
        (Vae::Ltxv, ltxv, 128, extent(13.0, 16.0, 24.0), extent(97.0, 512.0, 768.0)),
        (Vae::HunyuanImage, image, 64, extent(1.0, 64.0, 64.0), extent(1.0, 2048.0, 2048.0)),
        (Vae::Hunyuan, hunyuan, 16, extent(19.0, 60.0, 106.0), extent(73.0, 480.0, 848.0)),
        (Vae::Hunyuan15, hunyuan15, 32, extent(19.0, 30.0, 53.0), extent(73.0, 480.0, 848.0)),
    ]
}

fn shape(channels: u32, extent: &Extent, is_clip: bool) -> Value {
    let (height, width) = (extent.height, extent.width);
    if is_clip {
        json!([1, channels, extent.frames, height, width])
    } else {
        json!([1, channels, height, width])
    }
}

#[tokio::test]
async fn the_work_of_autoencoders_is_what_comfyui_reckons_with() {
    let questions: Value = autoencoders()
        .iter()
        .flat_map(|(vae, tensors, channels, latent, pictures)| {
            let is_clip = vae.is_of_clips();
            [
                json!({ "vae": tensors, "decode": shape(*channels, latent, is_clip) }),
                json!({ "vae": tensors, "encode": shape(3, pictures, is_clip) }),
            ]
        })
        .collect();
    let Some(answers) = Rig::ask("memory.py", questions).await else {
        return;
    };
    let with = Workshop {
        number: 2.0,
        amd: false,
        edition: Edition::Early,
    };
    let answers = answers.as_array().unwrap().iter();
    let theirs: Vec<f64> = answers.map(|bytes| bytes.as_f64().unwrap()).collect();
    for ((vae, _, _, latent, pictures), theirs) in autoencoders().iter().zip(theirs.chunks(2)) {
        let decoding = vae.decoding(*latent, &with).unwrap();
        let encoding = vae.encoding(*pictures, &with).unwrap();
        eprintln!("{vae:?}: {decoding} {encoding}, {theirs:?}");
        assert!(
            is_near(decoding, theirs[0], 0.001),
            "decoding {vae:?}: {decoding} is not {theirs:?}"
        );
        assert!(
            is_near(encoding, theirs[1], 0.001),
            "encoding {vae:?}: {encoding} is not {theirs:?}"
        );
    }
}

#[tokio::test]
async fn weights_are_what_the_server_says_that_it_loaded() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let params = json!({ "PROMPT": "a hill", "WIDTH": 64, "HEIGHT": 64, "STEPS": 1 });
    let built = json!({ "name": "sd3_txt2img", "params": params });
    let built = client.call("create_workflow_from_template", built).await;
    let told = client
        .call("estimate_vram", json!({ "workflow": built["workflow"] }))
        .await;
    assert_eq!(told["source"], "safetensors header", "{told:#}");
    assert_eq!(
        told["models"][0]["source"], "safetensors header",
        "{told:#}"
    );

    let workflow = Workflow::from_json(built["workflow"].clone()).unwrap();
    let server = Server::parse(rig.url()).unwrap();
    let comfy = Comfy::new(server, Ids::default(), Clock::default());
    let machine = Machine::of(&comfy.system_stats().await.unwrap());
    let inventory = Inventory::of(&comfy, &Plan::of(&workflow, &NodeFacts::bundled())).await;
    let found = estimated(&workflow, &machine, &inventory);

    let queued = client
        .call("execute_workflow", json!({ "workflow": built["workflow"] }))
        .await;
    client.wait(queued["prompt_id"].as_str().unwrap()).await;
    let log = rig.log();
    for (phase, name) in [
        (PhaseKind::TextEncode, "SD3ClipModel_"),
        (PhaseKind::Sample, "SD3"),
        (PhaseKind::Decode, "TAESD"),
    ] {
        let own = found.phases.iter().find(|one| one.phase == phase).unwrap();
        let loaded = loaded(&log, name).unwrap_or_else(|| panic!("{name} was not loaded:\n{log}"));
        let ours = own.weights.likely / 1_048_576.0;
        eprintln!("{name}: {ours:.2} MB estimated, {loaded:.2} MB loaded");
        assert!(
            is_near(ours, loaded, 0.03),
            "{name}: {ours} MB is not {loaded} MB"
        );
    }
    assert_eq!(found.source, Source::Header);
}

/// How many megabytes of a model were loaded: the server says which it wants, then what it loaded.
fn loaded(log: &str, name: &str) -> Option<f64> {
    let mut lines = log
        .lines()
        .skip_while(|line| !line.ends_with(&format!("Requested to load {name}")));
    let line = lines.find(|line| line.contains("loaded completely"))?;
    let (before, _) = line.split_once(" MB loaded")?;
    before.rsplit(' ').next()?.parse().ok()
}
