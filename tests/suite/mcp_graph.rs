//! Graphs in the editor's format over MCP, where a tool takes a workflow.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};

fn graph(class: &str) -> Value {
    json!({
        "nodes": [
            { "id": 1, "type": class, "widgets_values": [8, 16, 1, 255] },
            { "id": 2, "type": "Reroute", "inputs": [{ "name": "", "type": "*", "link": 1 }] },
            { "id": 3, "type": "SaveImage", "widgets_values": ["graph"],
              "inputs": [{ "name": "images", "type": "IMAGE", "link": 2 }] },
        ],
        "links": [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "IMAGE"]],
    })
}

#[tokio::test]
async fn a_saved_graph_runs_and_the_answer_says_that_it_was_converted() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;

    let given = json!({ "workflow": graph("EmptyImage") });
    let verdict = client.call("validate_workflow", given.clone()).await;
    assert_eq!(verdict["valid"], true, "{verdict}");
    assert_eq!(verdict["node_count"], 2);
    assert_eq!(verdict["converted"], "workflow was in the editor's format");

    let queued = client.call("execute_workflow", given).await;
    assert_eq!(queued["converted"], "workflow was in the editor's format");
    let done = client.wait(queued["prompt_id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["outputs"][0]["height"], 16);
}

#[tokio::test]
async fn a_graph_that_can_not_be_converted_is_refused_by_its_nodes() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({
        "name": "execute_workflow",
        "arguments": { "workflow": { "workflow": graph("NoSuchNode") } },
    });
    let refused = client.request("tools/call", params).await;
    let refused = &refused["result"];
    assert_eq!(refused["isError"], true, "{refused}");
    let told = &refused["structuredContent"];
    assert_eq!(told["error"], "VALIDATION_ERROR", "{refused}");
    assert_eq!(
        told["message"],
        "the server does not have the class of node 1 (NoSuchNode)"
    );
    assert_eq!(told["field"], "workflow");
}
