//! What becomes of a run that is gone through again when the world is not as it was.

use std::time::Duration;

use massmediafactory::sim::Sim;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim_with_steps};
use crate::support::sim::get;

const TWO: &str = r#"
about("Paints two pictures, one after the other.");
meta(#{ long: true });
fn run(p) {
    let made = [];
    for seed in 1..=2 {
        let params = #{ PROMPT: "a fox", STEPS: 100, WIDTH: 64, HEIGHT: 64, SEED: seed };
        made.push(comfy::run(templates::build("fox", params)).outputs[0].asset_id);
    }
    #{ made: made }
}
"#;

/// A folder with a template of its own and a tool that uses it, whose calls soon end in a handle.
fn home() -> Home {
    let home = Home::new();
    home.write(".mmf/config.toml", "[mcp]\ncall_limit_seconds = 0.2\n");
    home.write(".mmf/scripts/tools/two.rhai", TWO);
    home.write(".mmf/templates/fox.rhai", &fox());
    home
}

fn fox() -> String {
    let shipped = include_str!("../../templates/sd3_txt2img.rhai");
    shipped.replace("title(\"", "title(\"Fox: ")
}

async fn slow() -> Sim {
    sim_with_steps(Duration::from_millis(10), &[]).await
}

/// Calls a tool that takes long, and gives its handle once the server works on so many jobs.
async fn begun(client: &mut McpClient, tool: &str, jobs: usize) -> Value {
    let handle = client.call(tool, json!({})).await;
    assert_eq!(handle["status"], "working", "{handle:#}");
    let arguments = json!({ "prompt_id": handle["run_id"] });
    loop {
        let status = client.call("get_workflow_status", arguments.clone()).await;
        let ids = status["prompt_ids"].as_array();
        if ids.is_some_and(|ids| ids.len() >= jobs) {
            return arguments;
        }
    }
}

async fn done(client: &mut McpClient, run: &Value) -> Value {
    loop {
        let waited = client.call("wait_for_completion", run.clone()).await;
        if waited["status"] != "working" {
            return waited;
        }
    }
}

async fn fails(client: &mut McpClient, run: &Value) -> Value {
    loop {
        let waited = client.call_raw("wait_for_completion", run.clone()).await;
        if waited["isError"] == true {
            return waited["structuredContent"].clone();
        }
        let status = &waited["structuredContent"]["status"];
        assert_eq!(status, "working", "{waited:#}");
    }
}

#[tokio::test]
async fn a_call_that_is_given_something_else_than_before_ends_the_run_and_says_what() {
    let (home, comfy) = (home(), slow().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let run = begun(&mut client, "two", 2).await;
    client.kill().await;
    let changed = fox().replace("\"sd3\", p.TILED", "\"other\", p.TILED");
    assert_ne!(changed, fox());
    home.write(".mmf/templates/fox.rhai", &changed);

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let failure = fails(&mut next, &run).await;
    assert_eq!(failure["error"], "RUN_DIVERGED", "{failure:#}");
    assert_eq!(failure["recorded"]["of"], "comfy::run", "{failure:#}");
    let (had, has) = (&failure["recorded"]["given"], &failure["asked"]["given"]);
    assert!(had.as_str().unwrap().contains("class_type"), "{failure:#}");
    assert!(has.as_str().unwrap().contains("class_type"), "{failure:#}");
    let hint = failure["hint"].as_str().unwrap();
    assert!(hint.contains("anew"), "{hint}");
}
