//! What estimates of memory learn from runs, and what would help where it doesn't fit.

use std::time::Duration;

use massmediafactory::sim::{Sim, SimOptions};
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim, sim_with_steps};

/// Long enough for a server's memory to be looked at while it samples.
const STEP: Duration = Duration::from_millis(40);

async fn built(client: &mut McpClient, template: &str, params: Value) -> Value {
    let arguments = json!({ "name": template, "params": params });
    let built = client
        .call("create_workflow_from_template", arguments)
        .await;
    built["workflow"].clone()
}

async fn estimated(client: &mut McpClient, workflow: &Value) -> Value {
    client
        .call("estimate_vram", json!({ "workflow": workflow }))
        .await
}

async fn queued(client: &mut McpClient, workflow: &Value) -> Value {
    let queued = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    json!({ "prompt_id": queued["prompt_id"] })
}

#[tokio::test]
async fn what_a_run_took_is_what_the_next_estimate_of_its_shape_says() {
    let (home, comfy) = (Home::new(), sim_with_steps(STEP, &[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = |prompt: &str, seed: u64, width: u32| json!({ "PROMPT": prompt, "SEED": seed, "WIDTH": width, "HEIGHT": 256, "STEPS": 50 });
    let workflow = built(&mut client, "qwen_txt2img", params("a fox", 1, 256)).await;
    let before = estimated(&mut client, &workflow).await;
    assert_eq!(
        (&before["source"], before.get("observed")),
        (&json!("file size on server"), None),
        "{before:#}"
    );

    let job = queued(&mut client, &workflow).await;
    let done = client.call("wait_for_completion", job).await;
    assert_eq!(done["status"], "completed", "{done:#}");

    // The simulator says that a job of this model takes 20 GB of weights and 2 GiB of work, 20.63 in
    // all, from its beginning on. Others' models might be in that, so no more is believed than 20.39,
    // the most that is reckoned.
    let alike = built(
        &mut client,
        "qwen_txt2img",
        params("a hill in the rain", 7, 256),
    )
    .await;
    let after = estimated(&mut client, &alike).await;
    assert_eq!(
        (
            &after["source"],
            &after["estimated_vram_gb"],
            &after["range_gb"],
            &after["observed"]["peak_gb"],
            &after["observed"]["runs"]
        ),
        (
            &json!("observed"),
            &json!(20.39),
            &json!([20.39, 20.39]),
            &json!([20.63, 20.63]),
            &json!(1)
        ),
        "{after:#}"
    );
    assert_eq!(after["will_fit"], true);
    assert_eq!(after["observed"]["last"].as_str().unwrap().len(), 10);

    let other = built(&mut client, "qwen_txt2img", params("a fox", 1, 512)).await;
    let other = estimated(&mut client, &other).await;
    assert_eq!(
        other["source"], "file size on server",
        "another size is another shape"
    );

    // Another process on the same folder knows it, too.
    drop(client);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    assert_eq!(
        estimated(&mut client, &workflow).await["source"],
        "observed"
    );
}

#[tokio::test]
async fn what_ran_out_of_memory_is_not_said_to_fit() {
    let (home, comfy) = (Home::new(), sim_with_steps(STEP, &["oom@KSampler"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a fox", "WIDTH": 256, "HEIGHT": 256 });
    let workflow = built(&mut client, "qwen_txt2img", params).await;
    assert_eq!(estimated(&mut client, &workflow).await["will_fit"], true);
    let job = queued(&mut client, &workflow).await;
    let failed = client.call_fails("wait_for_completion", job).await;
    assert_eq!(failed["error"], "OUT_OF_MEMORY", "{failed:#}");
    let after = estimated(&mut client, &workflow).await;
    assert_eq!(
        (&after["verdict"], &after["observed"]["out_of_memory"]),
        (&json!("does_not_fit"), &json!(1)),
        "{after:#}"
    );
}

#[tokio::test]
async fn notes_that_another_process_holds_delay_no_result() {
    let (home, comfy) = (Home::new(), sim_with_steps(STEP, &[]).await);
    let notes = home.data().join("vram");
    std::fs::create_dir_all(&notes).unwrap();
    let other = std::fs::File::create(notes.join("lock")).unwrap();
    other.lock().unwrap();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a fox", "WIDTH": 256, "HEIGHT": 256 });
    let workflow = built(&mut client, "qwen_txt2img", params).await;
    let job = queued(&mut client, &workflow).await;
    let done = client.call("wait_for_completion", job);
    let done = tokio::time::timeout(Duration::from_secs(20), done).await;
    assert_eq!(done.unwrap()["status"], "completed");
}

#[tokio::test]
async fn where_it_does_not_fit_whole_there_are_ways_out_that_do() {
    let mut options = SimOptions {
        vram_total: 16 << 30,
        ..SimOptions::default()
    };
    let models = options.models.get_mut("diffusion_models").unwrap();
    models.push("qwen_image_2512_bf16.safetensors".to_owned());
    models.push("qwen-image-2512-Q4_K_M.gguf".to_owned());
    let comfy = Sim::start(options).await.unwrap();
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a fox", "MODEL": "qwen_image_2512_bf16.safetensors" });
    let mut workflow = built(&mut client, "qwen_txt2img", params).await;
    let estimate = estimated(&mut client, &workflow).await;
    assert_eq!(
        (&estimate["verdict"], &estimate["will_fit"]),
        (&json!("fits_with_offload"), &json!(true)),
        "{estimate:#}"
    );
    let moved = estimate["offload"]["moved_gb"].as_f64().unwrap();
    let figure = |name: &str| estimate[name].as_f64().unwrap();
    let missing = figure("by_turns_gb") - figure("available_vram_gb");
    assert!(
        (missing - moved).abs() < 0.02,
        "what is missing is moved: {estimate:#}"
    );
    assert!((20.0..30.0).contains(&moved), "{estimate:#}");
    let ways = estimate["ways_out"].as_array().unwrap();
    let file = ways
        .iter()
        .find(|way| way["action"].as_str().unwrap().contains("gguf"));
    let file = file.unwrap_or_else(|| panic!("{estimate:#}"));
    assert_eq!(file["verdict"], "fits", "{estimate:#}");

    // Taken at its word, it fits.
    for node in workflow.as_object_mut().unwrap().values_mut() {
        if node["class_type"] == "UNETLoader" {
            node["inputs"]["unet_name"] = "qwen-image-2512-Q4_K_M.gguf".into();
        }
    }
    let small = estimated(&mut client, &workflow).await;
    assert_eq!(
        (&small["verdict"], small.get("ways_out")),
        (&json!("fits"), None),
        "{small:#}"
    );
}

#[tokio::test]
async fn custom_loaders_and_many_frames_are_never_nothing() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let workflow = json!({
        "1": { "class_type": "WanVideoModelLoader", "inputs": { "model": "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors", "quantization": "disabled" } },
        "2": { "class_type": "WanVideoEmptyEmbeds", "inputs": { "width": 1280, "height": 720, "num_frames": 121 } },
        "3": { "class_type": "WanVideoSampler", "inputs": { "model": ["1", 0], "image_embeds": ["2", 0], "cfg": 6.0, "steps": 30, "seed": 1 } },
    });
    let estimate = estimated(&mut client, &workflow).await;
    assert_eq!(
        (&estimate["resolution"], &estimate["frames"]),
        (&json!([1280.0, 720.0]), &json!(121.0)),
        "{estimate:#}"
    );
    let needed = estimate["estimated_vram_gb"].as_f64().unwrap();
    assert!(needed > 30.0, "{estimate:#}");
    assert_ne!(estimate["verdict"], "fits");

    let unknown = json!({
        "1": { "class_type": "SomeVideoModelLoader", "inputs": { "model": "mystery.safetensors" } },
        "2": { "class_type": "EmptyHunyuanLatentVideo", "inputs": { "width": 1280, "height": 720, "length": 121, "batch_size": 1 } },
    });
    let unknown = estimated(&mut client, &unknown).await;
    assert_eq!(
        (
            &unknown["verdict"],
            &unknown["estimated_vram_gb"],
            &unknown["will_fit"]
        ),
        (&json!("unknown"), &Value::Null, &Value::Null),
        "{unknown:#}"
    );
    let range = unknown["range_gb"].as_array().unwrap();
    assert!(
        range[0].as_f64().unwrap() > 0.5 && range[1].as_f64().unwrap() > 24.0,
        "{unknown:#}"
    );
}

#[tokio::test]
async fn the_ways_out_of_a_clip_that_is_too_large_run() {
    let options = SimOptions {
        vram_total: 12 << 30,
        ..SimOptions::default()
    };
    let comfy = Sim::start(options).await.unwrap();
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let clip = |width: u32, height: u32, length: u32| {
        json!({
            "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "wan2.1_t2v_1.3B_fp16.safetensors", "weight_dtype": "default" } },
            "2": { "class_type": "CLIPLoader", "inputs": { "clip_name": "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "type": "wan" } },
            "3": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox", "clip": ["2", 0] } },
            "4": { "class_type": "EmptyHunyuanLatentVideo", "inputs": { "width": width, "height": height, "length": length, "batch_size": 1 } },
            "5": { "class_type": "KSampler", "inputs": {
                "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0], "latent_image": ["4", 0],
                "seed": 1, "steps": 20, "cfg": 6.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0 } },
            "6": { "class_type": "VAELoader", "inputs": { "vae_name": "wan_2.1_vae.safetensors" } },
            "7": { "class_type": "VAEDecode", "inputs": { "samples": ["5", 0], "vae": ["6", 0] } },
            "8": { "class_type": "SaveAnimatedWEBP", "inputs": { "images": ["7", 0], "filename_prefix": "x", "fps": 16.0, "lossless": false, "quality": 80, "method": "default" } },
        })
    };
    let estimate = estimated(&mut client, &clip(1920, 1088, 241)).await;
    assert_eq!(
        (&estimate["verdict"], &estimate["will_fit"]),
        (&json!("does_not_fit"), &json!(false)),
        "{estimate:#}"
    );
    let ways = estimate["ways_out"].as_array().unwrap();
    let numbers = |word: &str| -> Vec<u32> {
        let way = ways
            .iter()
            .find(|way| way["action"].as_str().unwrap().contains(word));
        let action = way.unwrap_or_else(|| panic!("no {word}: {estimate:#}"))["action"]
            .as_str()
            .unwrap();
        action
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let frames = numbers("frames")[0];
    assert_eq!(frames % 4, 1, "on the rule of Wan");
    let fewer = estimated(&mut client, &clip(1920, 1088, frames)).await;
    assert_eq!(fewer["will_fit"], true, "{fewer:#}");
    let more = estimated(&mut client, &clip(1920, 1088, frames + 4)).await;
    assert_eq!(more["will_fit"], false, "the most that runs: {more:#}");
    let size = numbers(" x ");
    let smaller = estimated(&mut client, &clip(size[0], size[1], 241)).await;
    assert_eq!(smaller["will_fit"], true, "{smaller:#}");
}
