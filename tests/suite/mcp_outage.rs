//! The server and a ComfyUI that is not there, comes, goes, or restarts.

use serde_json::json;
use tokio::net::TcpStream;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim};

#[tokio::test]
async fn the_server_starts_without_comfyui_and_works_once_it_is_there() {
    let (home, comfy) = (Home::new(), sim(&["refuse"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({ "name": "sd3_txt2img", "params": { "PROMPT": "a fox", "STEPS": 2 } });
    let built = client
        .call("create_workflow_from_template", arguments)
        .await;
    let workflow = json!({ "workflow": built["workflow"] });

    let failure = client
        .call_fails("execute_workflow", workflow.clone())
        .await;
    assert_eq!(failure["error"], "CONNECTION_ERROR", "{failure:#}");
    assert!(
        failure["hint"].as_str().unwrap().contains("COMFYUI_URL"),
        "{failure:#}"
    );

    comfy.faults().clear();
    // It takes the simulator a moment to listen.
    while TcpStream::connect(comfy.addr()).await.is_err() {}
    let queued = client.call("execute_workflow", workflow).await;
    let done = client.wait(queued["prompt_id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "completed");
}

#[tokio::test]
async fn a_job_that_a_restart_of_comfyui_swallowed_is_lost_and_said_to_be() {
    let (home, comfy) = (
        Home::new(),
        sim(&["slow=50ms", "restart@VAEDecode*1"]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    let failure = client
        .call_fails("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;
    assert_eq!(failure["error"], "JOB_LOST", "{failure:#}");
    let (_, again) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    assert_eq!(client.wait(&again).await["status"], "completed");
}

#[tokio::test]
async fn a_cut_connection_loses_no_job() {
    let (home, comfy) = (
        Home::new(),
        sim(&["drop@KSampler*1", "late-history=200ms"]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    let done = client.wait(&prompt_id).await;
    assert_eq!(done["outputs"].as_array().unwrap().len(), 1, "{done:#}");
}

#[tokio::test]
async fn a_workflow_is_judged_without_a_server_too() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let workflow = json!({
        "1": { "class_type": "EmptyImage",
            "inputs": { "width": "64", "height": 64, "batch_size": 0, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    });
    let arguments = json!({ "workflow": workflow });
    let judged = client.call("validate_workflow", arguments.clone()).await;
    assert_eq!(judged["valid"], false, "{judged:#}");
    let source = judged["source"].as_str().unwrap();
    assert!(source.contains("without custom nodes"), "{source}");

    let mended = client.call("validate_and_fix_workflow", arguments).await;
    assert_eq!(mended["valid"], true, "{mended:#}");
    assert_eq!(mended["workflow"]["1"]["inputs"]["batch_size"], 1);
}
