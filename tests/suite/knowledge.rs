//! What the knowledge tools know, and the mending of workflows.

use std::collections::BTreeMap;

use massmediafactory::knowledge::Knowledge;
use massmediafactory::sim::{Sim, SimOptions};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, PATIENCE, sim};

#[tokio::test]
async fn models_are_known_without_a_server() {
    let mut client = McpClient::start(&Home::new(), NOWHERE).await;
    let sota = client
        .call("get_sota_models", json!({ "category": "image_gen" }))
        .await;
    let first = &sota["sota_models"][0];
    assert_eq!(first["name"], "Qwen-Image-2.1");
    assert_eq!(first["installed"], Value::Null, "nobody can tell");
    assert_eq!(sota["newer_on_server"], Value::Null);
    assert_eq!(sota["last_updated"].as_str().unwrap().len(), 10);

    let fresh = json!({ "model_name": "flux1-dev-fp8.safetensors" });
    let fresh = client.call("check_model_freshness", fresh).await;
    assert_eq!(
        (&fresh["status"], &fresh["replacement"]),
        (&json!("DEPRECATED"), &json!("FLUX.2-dev"))
    );
    let unknown = json!({ "model_name": "sd" });
    let unknown = client.call("check_model_freshness", unknown).await;
    assert_eq!(unknown["status"], "UNKNOWN");

    let file = json!({ "model_name": "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors" });
    let settings = client.call("get_model_settings", file).await;
    assert_eq!(
        (
            &settings["cfg"],
            &settings["shift"],
            &settings["frame_rule"]
        ),
        (&json!(3.5), &json!(5.0), &json!("4n+1"))
    );
    let unknown = json!({ "model_name": "my_merge_v3.safetensors" });
    let failure = client.call_fails("get_model_settings", unknown).await;
    assert_eq!(failure["error"], "NOT_FOUND");
}

#[tokio::test]
async fn a_recommendation_fits_and_says_why() {
    let mut client = McpClient::start(&Home::new(), NOWHERE).await;
    let advised = json!({ "task": "cinematic_video", "vram_gb": 24 });
    let advised = client.call("recommend_model", advised).await;
    assert_eq!(advised["will_fit"], true, "{advised:#}");
    let reason = advised["reason"].as_str().unwrap();
    assert!(
        reason.contains("24.0 GB") || reason.contains("24 GB"),
        "{reason}"
    );
    assert!(advised["comfyui_files"][0].as_str().unwrap().contains('/'));

    let small = json!({ "task": "portrait", "vram_gb": 8 });
    let small = client.call("recommend_model", small).await;
    assert_eq!(small["recommended"], "Stable Diffusion XL", "{small:#}");

    let unknown = json!({ "task": "portraits" });
    let failure = client.call_fails("recommend_model", unknown).await;
    let tasks = failure["available_tasks"].as_array().unwrap();
    assert!(tasks.contains(&json!("portrait")), "{failure:#}");
}

#[tokio::test]
async fn when_no_model_fits_it_is_said_and_a_way_out_is_shown() {
    let mut client = McpClient::start(&Home::new(), NOWHERE).await;
    let nothing = json!({ "task": "cinematic_video", "vram_gb": 0.5 });
    let nothing = client.call("recommend_model", nothing).await;
    assert_eq!(
        (&nothing["recommended"], &nothing["will_fit"]),
        (&Value::Null, &json!(false)),
        "{nothing:#}"
    );
    let reason = nothing["reason"].as_str().unwrap();
    assert!(reason.starts_with("none of the"), "{reason}");
    let way_out = nothing["way_out"].as_str().unwrap();
    assert!(way_out.contains("Kling 4.0"), "{way_out}");
}

/// A server with the files of these models and no others.
async fn server_with(models: &[&str]) -> Sim {
    let knowledge = Knowledge::bundled();
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in models {
        for file in &knowledge.model(name).unwrap().files {
            let folder = files.entry(file.folder.clone()).or_default();
            folder.push(file.name.clone());
        }
    }
    let options = SimOptions {
        models: files,
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

#[tokio::test]
async fn what_is_installed_is_recommended_and_what_is_missing_is_named() {
    let (home, comfy) = (Home::new(), server_with(&["Stable Diffusion XL"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let advised = json!({ "task": "portrait" });
    let advised = client.call("recommend_model", advised).await;
    assert_eq!(advised["recommended"], "Stable Diffusion XL", "{advised:#}");
    assert_eq!(
        (&advised["installed"], &advised["missing"]),
        (
            &json!(["checkpoints/sd_xl_base_1.0.safetensors"]),
            &json!([])
        )
    );
    let alternatives = advised["alternatives"].as_array().unwrap();
    let why = |name: &str| {
        let found = alternatives.iter().find(|one| one["name"] == name);
        found.unwrap()["why"].as_str().unwrap().to_owned()
    };
    assert!(
        why("Z-Image-Turbo").starts_with("is not installed, fits"),
        "{advised:#}"
    );
    let needs = "needs ComfyUI 0.37.2";
    assert!(
        why("Qwen-Image-2.1").starts_with(needs),
        "the server is 0.33.0: {advised:#}"
    );

    let advised = json!({ "task": "fast_iteration" });
    let advised = client.call("recommend_model", advised).await;
    assert_eq!(advised["recommended"], "Z-Image-Turbo", "{advised:#}");
    let missing = advised["missing"].as_array().unwrap();
    assert!(
        missing.contains(&json!("vae/ae.safetensors")),
        "{advised:#}"
    );

    let sota = json!({ "category": "image_gen" });
    let sota = client.call("get_sota_models", sota).await;
    let installed = sota["sota_models"].as_array().unwrap().iter();
    let installed = installed.filter(|one| one["installed"] == true).count();
    assert_eq!(installed, 0, "what is there is deprecated");
}

#[tokio::test]
async fn what_is_newer_on_the_server_is_found_and_told() {
    let index = json!([{ "moduleName": "default", "title": "Image", "type": "image", "templates": [
        { "name": "image_qwen_image_2_1_t2i", "models": ["Qwen Image 2.1"], "date": "2026-09-20", "tags": ["Text to Image"] },
        { "name": "image_qwen_image_4_t2i", "models": ["Qwen Image 4"], "date": "2027-02-01", "tags": ["Text to Image"] },
    ] }]);
    let options = SimOptions {
        templates: Some(index),
        ..SimOptions::default()
    };
    let (home, comfy) = (Home::new(), Sim::start(options).await.unwrap());
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let newer = json!([{
        "template": "image_qwen_image_4_t2i",
        "models": ["Qwen Image 4"],
        "unknown_models": ["Qwen Image 4"],
        "date": "2027-02-01",
    }]);

    let sota = json!({ "category": "image_gen" });
    let sota = client.call("get_sota_models", sota).await;
    assert_eq!(sota["newer_on_server"], newer);
    let video = json!({ "category": "video_gen" });
    let video = client.call("get_sota_models", video).await;
    assert_eq!(video["newer_on_server"], Value::Null);

    let fresh = json!({ "model_name": "qwen_image_2.1_int8_convrot.safetensors" });
    let fresh = client.call("check_model_freshness", fresh).await;
    assert_eq!(
        (&fresh["status"], &fresh["newer_on_server"]),
        (&json!("CURRENT"), &newer)
    );
    let new = json!({ "model_name": "Qwen Image 4" });
    let new = client.call("check_model_freshness", new).await;
    assert_eq!(
        (&new["status"], &new["newer_on_server"]),
        (&json!("CURRENT"), &newer)
    );
    let settings = json!({ "model_name": "Qwen Image 4" });
    let failure = client.call_fails("get_model_settings", settings).await;
    assert_eq!(failure["newer_on_server"], newer[0], "{failure:#}");
}

#[tokio::test]
async fn a_server_without_an_index_of_templates_changes_nothing() {
    let options = SimOptions {
        templates: Some(Value::Null),
        ..SimOptions::default()
    };
    let (home, comfy) = (Home::new(), Sim::start(options).await.unwrap());
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let sota = json!({ "category": "image_gen" });
    let sota = client.call("get_sota_models", sota).await;
    assert_eq!(sota["sota_models"][0]["name"], "Qwen-Image-2.1");
    assert_eq!(sota["newer_on_server"], Value::Null);
}

/// Asks a tool until it answers so.
async fn until(
    client: &mut McpClient,
    tool: &str,
    arguments: Value,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    let asked = async {
        loop {
            let told = client.call(tool, arguments.clone()).await;
            if fits(&told) {
                return told;
            }
        }
    };
    timeout(PATIENCE, asked).await.expect("it comes to that")
}

#[tokio::test]
async fn facts_of_ones_own_are_taken_up_while_the_server_runs_and_a_broken_save_is_told() {
    const OWN: &str = "last_updated = \"2027-01-01\"\n[[model]]\nname = \"House Model 1\"\nfamily = \"house\"\n\
        category = \"image_gen\"\nreleased = \"2027-01-01\"\nsource = \"us\"\nsettings = { cfg = 2.5, steps = 9 }\n\
        files = [{ folder = \"checkpoints\", name = \"house_1_fp16.safetensors\" }]\n";
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let asked = json!({ "model_name": "mine/house_1_fp8.safetensors" });
    client.call_fails("get_model_settings", asked.clone()).await;

    home.write(".mmf/sota.toml", OWN);
    let fresh = json!({ "model_name": "House Model 1" });
    until(&mut client, "check_model_freshness", fresh, |fresh| {
        fresh["status"] == "CURRENT"
    })
    .await;
    let settings = client.call("get_model_settings", asked.clone()).await;
    assert_eq!(
        (&settings["cfg"], &settings["source"]),
        (&json!(2.5), &json!("us"))
    );

    home.write(".mmf/sota.toml", &OWN.replace("settings", "settngs"));
    let listing = json!({ "filter": "sota.toml" });
    let told = |listing: &Value| listing["scripts"][0]["problem"].is_string();
    let listing = until(&mut client, "list_scripts", listing, told).await;
    let problem = listing["scripts"][0]["problem"].as_str().unwrap();
    assert!(
        problem.contains("sota.toml:8: unknown field `settngs`"),
        "{problem}"
    );
    let settings = client.call("get_model_settings", asked).await;
    assert_eq!(settings["cfg"], 2.5, "the last good version stays");
    let unknown = json!({ "model_name": "House Model 2" });
    let failure = client.call_fails("get_model_settings", unknown).await;
    let told = failure["facts_problem"].as_str().unwrap_or_default();
    assert!(
        told.contains("sota.toml"),
        "it may be in there: {failure:#}"
    );
}

#[tokio::test]
async fn memory_is_estimated_from_the_files_on_the_server() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let built = json!({ "name": "qwen_txt2img", "params": { "PROMPT": "a fox" } });
    let built = client.call("create_workflow_from_template", built).await;
    let workflow = json!({ "workflow": built["workflow"] });
    let estimate = client.call("estimate_vram", workflow).await;
    assert_eq!(
        (&estimate["source"], &estimate["total_system_vram_gb"]),
        (&json!("file size on server"), &json!(24.0)),
        "{estimate:#}"
    );
    assert_eq!(estimate["models"][0]["model"], "Qwen-Image-2512");
    assert_eq!(estimate["will_fit"], true, "{estimate:#}");

    let fits = json!({ "model_name": "Qwen-Image-2512", "precision": "fp16" });
    let fits = client.call("check_model_fits", fits).await;
    assert_eq!(fits["verdict"], "fits_with_offload", "{fits:#}");
}

#[tokio::test]
async fn a_workflow_is_mended_where_only_one_thing_can_be_meant() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let broken = json!({
        "1": { "class_type": "CheckpointLoaderSimpel", "inputs": { "ckpt_name": "SDXL\\sd_xl_base_1.0.ckpt" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox", "clip": [1, 1] } },
        "3": { "class_type": "EmptyLatentImage", "inputs": { "width": "512", "height": 515, "batch_size": 0 } },
        "4": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["2", "0"], "negative": ["2", 0], "latent_image": ["3", 0],
            "seed": "18446744073709551615", "steps": 20, "cfg": 250, "sampler_name": "Euler", "scheduler": "karas" } },
        "5": { "class_type": "VAEDecode", "inputs": { "samples": ["4", 0], "vae": ["1", 2] } },
        "6": { "class_type": "SaveImage", "inputs": { "images": ["5", 0] } },
    });
    let mended = client
        .call("validate_and_fix_workflow", json!({ "workflow": broken }))
        .await;
    assert_eq!(mended["valid"], true, "{mended:#}");
    let workflow = &mended["workflow"];
    assert_eq!(
        workflow["1"],
        json!({ "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd_xl_base_1.0.safetensors" } })
    );
    assert_eq!(
        workflow["3"]["inputs"],
        json!({ "width": 512, "height": 512, "batch_size": 1 })
    );
    let sampler = &workflow["4"]["inputs"];
    assert_eq!(sampler["seed"], json!(u64::MAX));
    assert_eq!(
        (&sampler["sampler_name"], &sampler["scheduler"]),
        (&json!("euler"), &json!("karras"))
    );
    // Into the range of the node, and then to what the model takes.
    assert_eq!(sampler["cfg"], json!(7.0));
    assert_eq!(workflow["2"]["inputs"]["clip"], json!(["1", 1]));
    let first = &mended["corrections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["field"] == "class_type")
        .unwrap();
    assert_eq!(
        (&first["from"], &first["fixer"]),
        (&json!("CheckpointLoaderSimpel"), &json!("classes"))
    );

    let again = client
        .call("validate_and_fix_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(
        (&again["corrections"], &again["workflow"]),
        (&json!([]), workflow)
    );
}

#[tokio::test]
async fn what_can_not_be_mended_is_left_as_it_is_and_said() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let broken = json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "another_model.safetensors" } },
        "2": { "class_type": "NonExistentNode", "inputs": {} },
        "3": { "class_type": "SaveImage", "inputs": { "images": ["9", 0], "filename_prefix": "x" } },
    });
    let mended = client
        .call("validate_and_fix_workflow", json!({ "workflow": broken }))
        .await;
    assert_eq!(
        (
            &mended["valid"],
            &mended["workflow"],
            &mended["corrections"]
        ),
        (&json!(false), &broken, &json!([]))
    );
    assert!(
        mended["errors"]
            .as_array()
            .unwrap()
            .contains(&json!("Node type 'NonExistentNode' not found")),
        "{mended:#}"
    );
}

#[tokio::test]
async fn a_fixer_of_ones_own_is_used_and_never_makes_it_worse() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(
        ".mmf/scripts/fixers/worse.rhai",
        "title(\"Worse\"); about(\"Breaks things.\");\n\
         fn fix(workflow, findings) { [#{ node_id: \"1\", field: \"width\", to: -5 }, #{ node_id: \"1\", field: \"height\", to: 96 }] }\n",
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let broken = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": -1, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    let mended = client
        .call("validate_and_fix_workflow", json!({ "workflow": broken }))
        .await;
    assert_eq!(mended["valid"], true, "{mended:#}");
    assert_eq!(mended["workflow"]["1"]["inputs"]["width"], 64, "{mended:#}");
}

#[tokio::test]
async fn memory_is_estimated_without_a_server() {
    let mut client = McpClient::start(&Home::new(), NOWHERE).await;
    let built = json!({ "name": "qwen_txt2img", "params": { "PROMPT": "a fox" } });
    let built = client.call("create_workflow_from_template", built).await;
    let workflow = json!({ "workflow": built["workflow"] });
    let estimate = client.call("estimate_vram", workflow).await;
    assert_eq!(
        (
            &estimate["source"],
            &estimate["verdict"],
            &estimate["available_vram_gb"]
        ),
        (&json!("parameter table"), &json!("unknown"), &Value::Null),
        "{estimate:#}"
    );
    assert!(
        estimate["estimated_vram_gb"].as_f64().unwrap() > 18.0,
        "{estimate:#}"
    );
    let note = estimate["unknown"][0].as_str().unwrap();
    assert!(note.starts_with("the server does not answer"), "{note}");

    let fits = json!({ "model_name": "Qwen-Image-2512", "precision": "fp16" });
    let fits = client.call("check_model_fits", fits).await;
    assert_eq!(fits["verdict"], "unknown", "{fits:#}");
    assert!(
        fits["estimated_vram_gb"].as_f64().unwrap() > 37.0,
        "{fits:#}"
    );
}
