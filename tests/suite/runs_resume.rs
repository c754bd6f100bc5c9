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

/// The journal of a run.
fn journal(home: &Home, run: &Value) -> std::path::PathBuf {
    let name = format!("runs/{}.journal", run["prompt_id"].as_str().unwrap());
    home.data().join(name)
}

/// How many jobs a server has had since it began.
async fn jobs_of(comfy: &Sim) -> usize {
    let queue = get(comfy, "/queue").await;
    let waiting =
        ["queue_running", "queue_pending"].map(|part| queue[part].as_array().unwrap().len());
    let over = get(comfy, "/history").await.as_object().unwrap().len();
    over + waiting.iter().sum::<usize>()
}

#[tokio::test]
async fn a_journal_that_was_torn_is_gone_on_with_and_one_that_is_damaged_is_not() {
    let (home, comfy) = (home(), slow().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let torn = begun(&mut client, "two", 1).await;
    let damaged = begun(&mut client, "two", 1).await;
    client.kill().await;
    let mut text = std::fs::read(journal(&home, &torn)).unwrap();
    text.extend_from_slice(
        "{\"call\":\"1\",\"of\":\"comfy::run\",\"given\":{\"brief\":\"\u{e4}".as_bytes(),
    );
    text.pop();
    std::fs::write(journal(&home, &torn), text).unwrap();
    let mut text = std::fs::read(journal(&home, &damaged)).unwrap();
    text.splice(0..0, *b"\0\0\0\n");
    std::fs::write(journal(&home, &damaged), text).unwrap();

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let failure = fails(&mut next, &damaged).await;
    assert_eq!(failure["error"], "INTERNAL_ERROR", "{failure:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains(".journal: line 1 is none"), "{message}");
    let done = done(&mut next, &torn).await;
    assert_eq!(done["made"].as_array().unwrap().len(), 2, "{done:#}");
    assert_eq!(jobs_of(&comfy).await, 3, "two of the one, one of the other");
}

#[tokio::test]
async fn a_run_goes_on_when_both_the_server_and_comfyui_were_killed() {
    let (home, comfy) = (home(), slow().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let run = begun(&mut client, "two", 2).await;
    client.kill().await;
    comfy.restart().await.unwrap();

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let done = done(&mut next, &run).await;
    assert_eq!(done["made"].as_array().unwrap().len(), 2, "{done:#}");
    assert_eq!(jobs_of(&comfy).await, 1, "only the second was lost");
    let assets = next.call("list_assets", json!({})).await;
    assert_eq!(assets["count"], 2, "{assets:#}");
}

#[tokio::test]
async fn a_run_goes_on_when_comfyui_could_not_be_reached_for_a_while() {
    let (home, comfy) = (home(), slow().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let run = begun(&mut client, "two", 1).await;
    client.kill().await;
    comfy.faults().add("refuse".parse().unwrap());
    while tokio::net::TcpStream::connect(comfy.addr()).await.is_ok() {}

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let waited = next.call("wait_for_completion", run.clone()).await;
    assert_eq!(waited["status"], "working", "{waited:#}");
    comfy.faults().clear();
    let done = done(&mut next, &run).await;
    assert_eq!(done["made"].as_array().unwrap().len(), 2, "{done:#}");
    assert_eq!(jobs_of(&comfy).await, 2);
}

#[tokio::test]
async fn a_run_that_goes_on_is_cancelled_with_its_jobs() {
    let (home, comfy) = (home(), slow().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let run = begun(&mut client, "two", 1).await;
    let begun = client.call("get_workflow_status", run.clone()).await;
    client.kill().await;

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let waited = next.call("wait_for_completion", run.clone()).await;
    assert_eq!(waited["status"], "working", "{waited:#}");
    next.call("cancel_job", run.clone()).await;
    let failure = fails(&mut next, &run).await;
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
    for prompt_id in begun["prompt_ids"].as_array().unwrap() {
        let settled = next.settled(prompt_id.as_str().unwrap()).await;
        assert_eq!(settled["status"], "interrupted", "{settled:#}");
    }
    assert_eq!(jobs_of(&comfy).await, 1);
}

const WAITS: &str = r#"
about("Paints a picture and waits for another's.");
meta(#{ long: true });
param("other", "string", #{ required: true });
fn run(p) {
    let params = #{ PROMPT: "a fox", STEPS: 100, WIDTH: 64, HEIGHT: 64, SEED: 7 };
    let own = comfy::submit(templates::build("fox", params));
    comfy::wait(p.other, 600);
    comfy::wait(own.prompt_id, 600)
}
"#;

#[tokio::test]
async fn a_cancelled_run_ends_what_it_submitted_and_not_what_it_waited_for() {
    let (home, comfy) = (home(), slow().await);
    home.write(".mmf/scripts/tools/waits.rhai", WAITS);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a hen", "STEPS": 150, "WIDTH": 64, "HEIGHT": 64, "SEED": 1 });
    let (_, others) = client.queue(params).await;
    let handle = client.call("waits", json!({ "other": others })).await;
    let run = json!({ "prompt_id": handle["run_id"] });
    let own = loop {
        let status = client.call("get_workflow_status", run.clone()).await;
        match status["prompt_ids"].as_array() {
            Some(ids) if ids.len() == 2 => break ids[0].as_str().unwrap().to_owned(),
            _ => {}
        }
    };
    client.kill().await;

    let mut next = McpClient::start(&home, &comfy.url()).await;
    next.call("cancel_job", run).await;
    assert_eq!(next.settled(&own).await["status"], "interrupted");
    let others = json!({ "prompt_id": others });
    assert_eq!(done(&mut next, &others).await["status"], "completed");
}

#[tokio::test]
async fn a_run_is_left_to_the_server_and_the_project_that_it_was_begun_for() {
    let (home, comfy) = (home(), slow().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let run = begun(&mut client, "two", 1).await;
    client.kill().await;

    let other_comfy = slow().await;
    let elsewhere = home.project().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let mut in_other_project = home.mmf(["serve"]).server(&comfy.url()).into_command();
    in_other_project.current_dir(&elsewhere);
    for serve in [
        home.mmf(["serve"]).server(&other_comfy.url()),
        home.mmf(["serve", "--sim"]),
        in_other_project.into(),
    ] {
        let mut stranger = McpClient::greet(serve).await;
        let waited = stranger.call("get_workflow_status", run.clone()).await;
        assert_eq!(waited["status"], "working", "{waited:#}");
        let waited = stranger.begin("wait_for_completion", run.clone()).await;
        stranger.cancel(waited).await;
        stranger.close().await;
    }
    assert_eq!(jobs_of(&other_comfy).await, 0);
    let mut next = McpClient::start(&home, &comfy.url()).await;
    let done = done(&mut next, &run).await;
    assert_eq!(done["made"].as_array().unwrap().len(), 2, "{done:#}");
}
