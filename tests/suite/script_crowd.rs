//! Many scripts at once on few cores: none keeps another from being heard or stopped.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, PATIENCE};

const CROWD: usize = 64;

/// Nobody waits for a call, and nothing stops those that compute.
const SETTINGS: &str = "[mcp]\ncall_limit_seconds = 0.01\n\
    [scripts.limits]\noperations = 1000000000000\nseconds = 100000\n";

/// Computes for ever, or waits for ever.
const BUSY: &str = "about(\"Is busy.\");\nmeta(#{ long: true });\n\
    param(\"waits\", \"bool\", #{ value: false });\n\
    fn run(p) { loop { if p.waits { sleep(3600.0); } } }";

async fn status(client: &mut McpClient, run_id: &Value) -> Value {
    let arguments = json!({ "prompt_id": run_id });
    let told = client.call_raw("get_workflow_status", arguments).await;
    told["structuredContent"]["status"].clone()
}

#[tokio::test]
async fn of_many_scripts_at_once_each_is_stopped_by_itself_while_the_others_go_on() {
    let home = Home::new();
    home.settings(SETTINGS);
    home.write(".mmf/scripts/tools/busy.rhai", BUSY);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let mut calls = vec![];
    for nth in 0..CROWD {
        // Three compute for each that waits.
        let arguments = json!({ "waits": nth % 4 == 3 });
        calls.push(client.begin("busy", arguments).await);
    }
    let mut runs = vec![];
    for call in calls {
        let handle = client.answer(call).await;
        let handle = &handle["result"]["structuredContent"];
        assert_eq!(handle["status"], "working", "{handle:#}");
        runs.push(handle["run_id"].clone());
    }

    while let Some(run_id) = runs.pop() {
        let stopping = client.call("cancel_job", json!({ "prompt_id": run_id }));
        timeout(PATIENCE, stopping).await.expect("it is answered");
        let stopped = async {
            while status(&mut client, &run_id).await == "working" {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, stopped).await.expect("it stops");
        if let Some(other) = runs.last() {
            assert_eq!(status(&mut client, other).await, "working");
        }
    }
    let (ended, log) = client.close().await;
    assert!(ended.success(), "{log}");
}
