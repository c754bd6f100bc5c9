//! Pictures of an unfinished result, for clients that ask for them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim_with_steps};

/// Queues a job and waits for it, asking for pictures or not; gives the notifications' `_meta`.
async fn shown(client: &mut McpClient, seed: u64, wanted: bool) -> Vec<Value> {
    let params = json!({ "PROMPT": "a fox", "STEPS": 20, "WIDTH": 64, "HEIGHT": 64, "SEED": seed });
    let arguments = json!({ "name": "sd3_txt2img", "params": params });
    let built = client
        .call("create_workflow_from_template", arguments)
        .await;
    let mut call = async |tool: &str, arguments: Value| {
        let meta = json!({ "progressToken": tool, "mmf/previews": wanted });
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
        let answer = client.request("tools/call", params).await;
        answer["result"]["structuredContent"].clone()
    };
    let queued = call("execute_workflow", json!({ "workflow": built["workflow"] })).await;
    let done = call(
        "wait_for_completion",
        json!({ "prompt_id": queued["prompt_id"] }),
    )
    .await;
    assert_eq!(done["status"], "completed", "{done:#}");
    let told = client.unread().into_iter();
    told.map(|message| message["params"]["_meta"]["mmf/preview"].clone())
        .filter(|preview| !preview.is_null())
        .collect()
}

#[tokio::test]
async fn who_asks_sees_the_picture_come_about() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(50), &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let pictures = shown(&mut client, 1, true).await;
    assert!(!pictures.is_empty());
    for picture in pictures {
        assert_eq!(picture["mimeType"], "image/jpeg");
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        assert!(image::load_from_memory(&bytes).is_ok());
    }
    assert_eq!(shown(&mut client, 2, false).await, Vec::<Value>::new());
}
