//! The examples of the original server's documentation as MCP calls, one by one, each giving what
//! its comments say. Sizes and steps are small where an example leaves them open.

use std::path::Path;
use std::time::Duration;

use massmediafactory::sim::{Sim, SimOptions};
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};

/// A simulator in whose input folder a picture lies.
async fn sim_with_picture(data: &Path, name: &str) -> Sim {
    std::fs::create_dir(data.join("input")).unwrap();
    image::RgbImage::new(64, 48)
        .save(data.join("input").join(name))
        .unwrap();
    let options = SimOptions {
        data: Some(data.to_owned()),
        step_delay: Duration::ZERO,
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

async fn build(client: &mut McpClient, name: &str, params: Value) -> Value {
    let arguments = json!({ "name": name, "params": params });
    client
        .call("create_workflow_from_template", arguments)
        .await
}

async fn execute(client: &mut McpClient, workflow: &Value) -> Value {
    client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await
}

async fn outputs(client: &mut McpClient, result: &Value) -> Value {
    client.wait(result["prompt_id"].as_str().unwrap()).await
}

#[tokio::test]
async fn philosophy_workflow_first() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    // Qwen-Image-2512, FLUX.2-dev (NOT FLUX.1-dev!); by now the first has a successor.
    let models = client
        .call("get_sota_models", json!({ "category": "image_gen" }))
        .await;
    let current: Vec<&Value> = models["sota_models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert!(
        current.contains(&&json!("Qwen-Image-2.1")) && current.contains(&&json!("FLUX.2-dev")),
        "{current:?}"
    );
    let superseded = json!({ "name": "Qwen-Image-2512", "replaced_by": "Qwen-Image-2.1" });
    let deprecated = models["deprecated"].as_array().unwrap();
    assert!(deprecated.contains(&superseded), "{deprecated:?}");
    assert!(!current.contains(&&json!("FLUX.1-dev")), "{current:?}");

    let params = json!({ "PROMPT": "a majestic dragon", "SEED": 42 });
    let workflow = build(&mut client, "qwen_txt2img", params).await;
    let validation = client
        .call(
            "validate_workflow",
            json!({ "workflow": workflow["workflow"] }),
        )
        .await;
    assert_eq!(validation["valid"], true, "{validation:#}");
    let result = execute(&mut client, &workflow["workflow"]).await;
    let output = outputs(&mut client, &result).await;
    // outputs include asset_id for iteration
    assert!(output["outputs"][0]["asset_id"].is_string(), "{output:#}");
}

#[tokio::test]
async fn qwen_edit_background_replacement() {
    let (home, data) = (Home::new(), tempfile::tempdir().unwrap());
    let comfy = sim_with_picture(data.path(), "uploaded_photo.png").await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({
        "IMAGE_PATH": "uploaded_photo.png",
        "EDIT_PROMPT": "Change the background to an outdoor playground. Keep the person exactly the same.",
        "CFG": 2.0,
        "STEPS": 20,
        "SEED": 42,
    });
    let workflow = build(&mut client, "qwen_edit_background", params).await;
    // The example passes on the whole answer.
    let result = execute(&mut client, &workflow).await;
    let output = outputs(&mut client, &result).await;
    assert_eq!(output["outputs"][0]["type"], "images", "{output:#}");

    let nodes = workflow["workflow"].as_object().unwrap();
    let of_class = |class: &str| nodes.values().find(|node| node["class_type"] == class);
    let sampler = &of_class("KSampler").unwrap()["inputs"];
    assert_eq!(
        (&sampler["cfg"], &sampler["denoise"]),
        (&json!(2.0), &json!(1.0))
    );
    assert!(
        of_class("EmptyQwenImageLayeredLatentImage").is_some() && of_class("VAEEncode").is_none()
    );
}

#[tokio::test]
async fn using_templates() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let templates = client.call("list_workflow_templates", json!({})).await;
    let named = |name: &str| {
        let all = templates["templates"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).cloned().unwrap()
    };
    assert_eq!(named("ltx2_txt2vid")["model"], "LTX-2 19B");

    // includes placeholders and default values
    let template = client
        .call("get_template", json!({ "name": "qwen_txt2img" }))
        .await;
    assert_eq!(template["placeholders"][0], "PROMPT");
    assert_eq!(
        (&template["defaults"]["SEED"], &template["required"]),
        (&json!(42), &json!(["PROMPT"]))
    );

    let params = json!({
        "PROMPT": "A photorealistic portrait of a woman",
        "WIDTH": 1024,
        "HEIGHT": 1024,
        "SEED": 42,
    });
    let workflow = build(&mut client, "qwen_txt2img", params).await;
    let result = execute(&mut client, &workflow["workflow"]).await;
    assert_eq!(result["status"], "queued", "{result:#}");
    let output = outputs(&mut client, &result).await;
    let output = &output["outputs"][0];
    assert_eq!(
        (&output["width"], &output["height"]),
        (&json!(1024), &json!(1024))
    );
}

#[tokio::test]
async fn basic_iteration_loop() {
    let home = Home::new();
    std::fs::create_dir_all(home.project().join("public/gen")).unwrap();
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    // 1. Generate initial image
    let first = asset(&mut client).await;

    // 3. Not right? Iterate with new seed: null is a random one
    let arguments = json!({ "asset_id": first, "seed": null });
    let result = client.call("regenerate", arguments).await;
    assert_eq!(result["regenerated_from"], first, "{result:#}");
    assert_ne!(result["seed"], 42, "{result:#}");
    let second = outputs(&mut client, &result).await["outputs"][0]["asset_id"].clone();

    // 4. Better, but need higher CFG
    let arguments = json!({ "asset_id": second, "cfg": 4.5 });
    let result = client.call("regenerate", arguments).await;
    let changed = result["changed"].as_array().unwrap();
    assert!(
        changed
            .iter()
            .any(|one| one["input"] == "cfg" && one["to"] == 4.5),
        "{result:#}"
    );
    let third = outputs(&mut client, &result).await["outputs"][0]["asset_id"].clone();

    // 5. Perfect! Publish it
    let arguments = json!({ "asset_id": third, "target_filename": "hero.png" });
    let published = client.call("publish_asset", arguments).await;
    assert_eq!(published["url"], "/gen/hero.png", "{published:#}");
}

#[tokio::test]
async fn session_based_browsing() {
    let home = Home::new();
    std::fs::create_dir_all(home.project().join("public/gen")).unwrap();
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    for seed in [42, 123, 456] {
        let params =
            json!({ "PROMPT": "A dragon", "SEED": seed, "WIDTH": 256, "HEIGHT": 256, "STEPS": 2 });
        let workflow = build(&mut client, "qwen_txt2img", params).await;
        let result = execute(&mut client, &workflow["workflow"]).await;
        outputs(&mut client, &result).await;
    }
    let assets = client.call("list_assets", json!({ "limit": 10 })).await;
    let all = assets["assets"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    for asset in all {
        assert!(asset["asset_id"].is_string());
        assert_eq!(asset["prompt_preview"], "A dragon");
    }
    let best = json!({ "asset_id": all[0]["asset_id"], "target_filename": "best_dragon.png" });
    let published = client.call("publish_asset", best).await;
    assert_eq!(published["url"], "/gen/best_dragon.png", "{published:#}");
}

#[tokio::test]
async fn parameter_sweep_for_optimization() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    // Eight pictures may take longer here than clients wait.
    home.write(".mmf/config.toml", "[mcp]\ncall_limit_seconds = 0\n");
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let template = client
        .call("get_template", json!({ "name": "flux2_txt2img" }))
        .await;
    let arguments = json!({
        "workflow": template,
        "sweep_params": { "CFG": [3.0, 3.5, 4.0, 4.5], "STEPS": [20, 30] },
        "fixed_params": { "PROMPT": "A detailed cityscape", "SEED": 42, "WIDTH": 256, "HEIGHT": 256 },
    });
    let results = client.call("execute_parameter_sweep", arguments).await;
    // Results organized by parameter combination
    let combinations = results["results"].as_object().unwrap();
    assert_eq!(combinations.len(), 8);
    let mut files: Vec<&str> = combinations
        .values()
        .map(|output| output["outputs"][0]["filename"].as_str().unwrap())
        .collect();
    files.sort_unstable();
    files.dedup();
    assert_eq!(files.len(), 8, "{results:#}");
    assert_eq!(results["order"][1], "CFG=3.0,STEPS=30");
    assert_eq!(
        combinations["CFG=4.5,STEPS=20"]["parameters"],
        json!({ "CFG": 4.5, "STEPS": 20 })
    );
}

/// A picture of a tiny prompt, for the examples that begin with one.
async fn asset(client: &mut McpClient) -> Value {
    let params = json!({ "PROMPT": "a product", "WIDTH": 256, "HEIGHT": 256, "STEPS": 2 });
    let workflow = build(client, "qwen_txt2img", params).await;
    let result = execute(client, &workflow["workflow"]).await;
    outputs(client, &result).await["outputs"][0]["asset_id"].clone()
}

#[tokio::test]
async fn demo_mode_explicit_filename() {
    let home = Home::new();
    std::fs::create_dir_all(home.project().join("public/gen")).unwrap();
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let asset_id = asset(&mut client).await;
    let arguments = json!({ "asset_id": asset_id, "target_filename": "hero_image.png" });
    let result = client.call("publish_asset", arguments).await;
    assert_eq!(result["url"], "/gen/hero_image.png");
    let path = Path::new(result["path"].as_str().unwrap());
    assert!(
        path.ends_with("project/public/gen/hero_image.png") && path.is_file(),
        "{path:?}"
    );
}

#[tokio::test]
async fn library_mode_auto_naming_and_manifest() {
    let home = Home::new();
    std::fs::create_dir_all(home.project().join("public/gen")).unwrap();
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let asset_id = asset(&mut client).await;
    let arguments = json!({ "asset_id": asset_id, "manifest_key": "product_shot_1" });
    let result = client.call("publish_asset", arguments).await;
    assert_eq!(result["manifest_updated"], true, "{result:#}");
    let filename = result["filename"].as_str().unwrap();
    let stamp = filename
        .strip_prefix("product_shot_1_")
        .and_then(|rest| rest.strip_suffix(".png"))
        .unwrap();
    let (day, time) = stamp.split_once('_').unwrap();
    assert_eq!((day.len(), time.len()), (8, 6), "{filename}");
    assert_eq!(result["url"], format!("/gen/{filename}"));

    let manifest = std::fs::read(home.project().join("public/gen/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let entry = &manifest["product_shot_1"];
    assert_eq!(
        (&entry["filename"], &entry["url"]),
        (&result["filename"], &result["url"])
    );
    assert!(
        entry["published_at"].as_str().unwrap().ends_with('Z'),
        "{entry}"
    );
}

#[tokio::test]
async fn auto_detection_takes_the_first_of_the_known_folders() {
    let home = Home::new();
    let folders = [
        "public/gen",
        "static/gen",
        "assets/gen",
        "public/images",
        "static/images",
    ];
    for folder in folders {
        std::fs::create_dir_all(home.project().join(folder)).unwrap();
    }
    for folder in folders {
        let comfy = sim(&[]).await;
        let mut client = McpClient::start(&home, &comfy.url()).await;
        let info = client.call("get_publish_info", json!({})).await;
        let dir = Path::new(info["publish_dir"].as_str().unwrap());
        assert!(dir.ends_with(folder), "{dir:?} is not {folder}");
        std::fs::remove_dir_all(home.project().join(folder)).unwrap();
    }
}

#[tokio::test]
async fn set_publish_dir_explicitly() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let folder = home.project().join("my/web/assets");
    client
        .call("set_publish_dir", json!({ "path": folder }))
        .await;
    let asset_id = asset(&mut client).await;
    let arguments = json!({ "asset_id": asset_id, "target_filename": "hero.png" });
    client.call("publish_asset", arguments).await;
    assert!(folder.join("hero.png").is_file());
}

#[tokio::test]
async fn troubleshooting_asset_not_found() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let missing = json!({ "asset_id": "00000000-0000-0000-0000-000000000000" });
    let failure = client
        .call_fails("get_asset_metadata", missing.clone())
        .await;
    assert_eq!(failure["error"], "ASSET_NOT_FOUND_OR_EXPIRED");
    assert_eq!(failure["asset_id"], missing["asset_id"], "{failure:#}");
}

#[tokio::test]
async fn troubleshooting_workflow_validation_errors() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let workflow = json!({ "1": { "class_type": "NonExistentNode", "inputs": {} } });
    let verdict = client
        .call("validate_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(
        (&verdict["valid"], &verdict["errors"]),
        (
            &json!(false),
            &json!(["Node type 'NonExistentNode' not found"])
        )
    );
}

#[tokio::test]
async fn troubleshooting_vram_overflow() {
    let (home, comfy) = (Home::new(), sim(&["oom@KSampler"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "x", "WIDTH": 256, "HEIGHT": 256 });
    let workflow = build(&mut client, "qwen_txt2img", params).await;
    let result = execute(&mut client, &workflow["workflow"]).await;
    let failure = client
        .call_fails(
            "wait_for_completion",
            json!({ "prompt_id": result["prompt_id"] }),
        )
        .await;
    assert_eq!(failure["error"], "OUT_OF_MEMORY", "{failure:#}");
}

#[tokio::test]
async fn troubleshooting_publish_directory_not_found() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let asset_id = asset(&mut client).await;
    let arguments = json!({ "asset_id": asset_id, "target_filename": "hero.png" });
    let failure = client.call_fails("publish_asset", arguments).await;
    assert_eq!(failure["error"], "NO_PUBLISH_DIR");
    let message = failure["message"].as_str().unwrap().to_lowercase();
    assert!(
        message.starts_with("no publish directory configured"),
        "{message}"
    );
}
