//! The main job over MCP, on the simulator: from template to asset.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim, sim_with_steps};

fn small() -> Value {
    json!({ "PROMPT": "a red fox", "SEED": u64::MAX, "WIDTH": 64, "HEIGHT": 64, "STEPS": 4 })
}

#[tokio::test]
async fn a_template_becomes_an_asset_that_knows_how_it_was_made() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;

    let templates = client.call("list_workflow_templates", json!({})).await;
    assert_eq!(templates["templates"][0]["name"], "sd3_txt2img");
    let template = client
        .call("get_template", json!({ "name": "sd3_txt2img" }))
        .await;
    let (workflow, prompt_id) = client.queue(small()).await;
    let verdict = client
        .call("validate_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(verdict["valid"], true, "{verdict}");

    let done = client.wait(&prompt_id).await;
    assert_eq!(
        (&done["status"], &done["prompt_id"]),
        (&json!("completed"), &json!(prompt_id))
    );
    let [output] = &done["outputs"].as_array().unwrap()[..] else {
        panic!("{done:#}")
    };
    assert_eq!(
        (&output["type"], &output["width"]),
        (&json!("images"), &json!(64))
    );

    let listed = client.call("list_assets", json!({})).await;
    assert_eq!(listed["count"], 1);
    assert_eq!(listed["assets"][0]["asset_id"], output["asset_id"]);
    assert_eq!(listed["assets"][0]["prompt_preview"], "a red fox");

    let asset = client
        .call(
            "get_asset_metadata",
            json!({ "asset_id": output["asset_id"] }),
        )
        .await;
    let mut parameters = template["defaults"].clone();
    for (name, value) in small().as_object().unwrap() {
        parameters[name] = value.clone();
    }
    let provenance = &asset["provenance"];
    assert_eq!(
        provenance["script"],
        json!({
            "name": "sd3_txt2img", "kind": "template", "hash": template["hash"], "origin": "built-in",
        })
    );
    assert_eq!(provenance["parameters"], parameters);
    assert_eq!(
        provenance["server"],
        json!({ "url": comfy.url(), "version": "0.33.0" })
    );
    assert_eq!(asset["workflow"], workflow, "exactly as it was run");
    assert_eq!(asset["prompt_id"], prompt_id);
    let bytes = std::fs::read(asset["path"].as_str().unwrap()).unwrap();
    assert_eq!(asset["blake3"], blake3::hash(&bytes).to_hex().as_str());
    assert_eq!(asset["bytes"], bytes.len());
    assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 64);

    let (status, _) = client.close().await;
    assert!(status.success(), "{status}");
}
