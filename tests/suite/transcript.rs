//! A day with the original, step by step: its iteration loop, its browsing by session, its sweep
//! and both ways of publishing, on the simulator and on a real `ComfyUI`.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};
use crate::support::rig::Rig;

/// Parameters of the sd3 template that take a CPU a second.
fn small(seed: u64) -> Value {
    json!({ "PROMPT": "a red fox", "SEED": seed, "WIDTH": 64, "HEIGHT": 64, "STEPS": 2 })
}

/// A web project, and an agent that works in it.
async fn desk(url: &str) -> (Home, McpClient) {
    let home = Home::new();
    std::fs::create_dir_all(home.project().join("public/gen")).unwrap();
    let client = McpClient::start(&home, url).await;
    (home, client)
}

/// The asset that a job made.
async fn made(client: &mut McpClient, prompt_id: &Value) -> Value {
    let done = client
        .call("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;
    assert_eq!(done["status"], "completed", "{done:#}");
    done["outputs"][0]["asset_id"].clone()
}

async fn published(client: &mut McpClient, arguments: Value) -> Value {
    client.call("publish_asset", arguments).await
}

async fn iterate_and_publish(url: &str) {
    let (home, mut client) = desk(url).await;
    let (_, prompt_id) = client.queue(small(42)).await;
    let first = made(&mut client, &prompt_id.into()).await;

    let shown = client
        .call_raw("view_output", json!({ "asset_id": first }))
        .await;
    let facts = &shown["structuredContent"];
    assert_eq!(facts["prompt_preview"], "a red fox", "{facts:#}");
    assert!(facts["url"].as_str().unwrap().starts_with(url), "{facts:#}");
    let content = shown["content"].as_array().unwrap();
    let picture = content.iter().find(|block| block["type"] == "image");
    let picture = picture.expect("a model can see it");
    assert!(picture["data"].as_str().unwrap().len() <= 100_000);

    let again = client
        .call("regenerate", json!({ "asset_id": first, "seed": null }))
        .await;
    let [change] = &again["changed"].as_array().unwrap()[..] else {
        panic!("only the seed changes: {again:#}")
    };
    assert_eq!(
        (&change["input"], &change["from"]),
        (&json!("seed"), &json!(42))
    );
    assert_ne!(change["to"], 42);
    let second = made(&mut client, &again["prompt_id"]).await;
    let again = client
        .call("regenerate", json!({ "asset_id": second, "cfg": 4.5 }))
        .await;
    let third = made(&mut client, &again["prompt_id"]).await;

    let asset = client
        .call("get_asset_metadata", json!({ "asset_id": third }))
        .await;
    let inputs = asset["workflow"].as_object().unwrap().values();
    let cfgs: Vec<&Value> = inputs
        .filter_map(|node| node["inputs"].get("cfg"))
        .collect();
    assert_eq!(cfgs, [&json!(4.5)]);
    assert_eq!(asset["provenance"]["regenerated_from"], second);
    let middle = client
        .call("get_asset_metadata", json!({ "asset_id": second }))
        .await;
    assert_eq!(middle["regenerations"], json!([third]), "{middle:#}");
    assert_eq!(middle["provenance"]["regenerated_from"], first);

    let arguments = json!({ "asset_id": third, "target_filename": "hero.png" });
    let hero = published(&mut client, arguments).await;
    assert_eq!(hero["url"], "/gen/hero.png");
    assert!(home.project().join("public/gen/hero.png").is_file());
}

async fn browse_the_session(url: &str) {
    let (home, mut client) = desk(url).await;
    let mut ids = vec![];
    for seed in [42, 123, 456] {
        let (_, prompt_id) = client.queue(small(seed)).await;
        ids.push(made(&mut client, &prompt_id.into()).await);
    }
    let listed = client.call("list_assets", json!({ "limit": 10 })).await;
    let assets = listed["assets"].as_array().unwrap();
    let found: Vec<&Value> = assets.iter().map(|asset| &asset["asset_id"]).collect();
    ids.reverse();
    assert_eq!(found, ids.iter().collect::<Vec<_>>(), "the newest first");
    assert!(
        assets
            .iter()
            .all(|asset| asset["prompt_preview"] == "a red fox")
    );

    let arguments = json!({ "asset_id": found[0], "manifest_key": "product_shot_1" });
    let shot = published(&mut client, arguments).await;
    assert_eq!(shot["manifest_updated"], true, "{shot:#}");
    let manifest = home.project().join("public/gen/manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let entry = &manifest["product_shot_1"];
    assert_eq!(entry["url"], shot["url"]);
    let url = shot["url"].as_str().unwrap();
    assert!(url.starts_with("/gen/product_shot_1_"), "{url}");
    assert_eq!(format!("/gen/{}", entry["filename"].as_str().unwrap()), url);
    assert!(entry["published_at"].is_string());
}

async fn sweep(url: &str) {
    let (_home, mut client) = desk(url).await;
    let template = client
        .call("get_template", json!({ "name": "sd3_txt2img" }))
        .await;
    let swept = client
        .call(
            "execute_parameter_sweep",
            json!({
                "workflow": template,
                "sweep_params": { "CFG": [3.0, 4.5], "STEPS": [1, 2] },
                "fixed_params": { "PROMPT": "a cityscape", "SEED": 42, "WIDTH": 64, "HEIGHT": 64 },
            }),
        )
        .await;
    let results = swept["results"].as_object().unwrap();
    assert_eq!(results.len(), 4, "{swept:#}");
    for (combination, output) in results {
        assert!(combination.contains("CFG") && combination.contains("STEPS"));
        assert!(output["outputs"][0]["filename"].is_string(), "{output:#}");
    }
}

#[tokio::test]
async fn the_iteration_loop_on_the_simulator() {
    let comfy = sim(&[]).await;
    iterate_and_publish(&comfy.url()).await;
}

#[tokio::test]
async fn the_iteration_loop_on_a_real_server() {
    if let Some(rig) = Rig::shared().await {
        iterate_and_publish(rig.url()).await;
    }
}

#[tokio::test]
async fn browsing_and_the_library_on_the_simulator() {
    let comfy = sim(&[]).await;
    browse_the_session(&comfy.url()).await;
}

#[tokio::test]
async fn browsing_and_the_library_on_a_real_server() {
    if let Some(rig) = Rig::shared().await {
        browse_the_session(rig.url()).await;
    }
}

#[tokio::test]
async fn a_sweep_on_the_simulator() {
    let comfy = sim(&[]).await;
    sweep(&comfy.url()).await;
}

#[tokio::test]
async fn a_sweep_on_a_real_server() {
    if let Some(rig) = Rig::shared().await {
        sweep(rig.url()).await;
    }
}
