//! Calls that take longer than a client waits: it is given a handle, and goes on with that, also at
//! another server on the same data folder and after the first one is gone.

use std::time::Duration;

use massmediafactory::sim::Sim;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, PATIENCE, sim, sim_with_steps};
use crate::support::sim::http;

/// A call has to be answered within this many seconds here.
const LIMIT: &str = "[mcp]\ncall_limit_seconds = 0.2\n";

fn long(seed: u64) -> Value {
    json!({ "PROMPT": "a fox", "STEPS": 150, "WIDTH": 64, "HEIGHT": 64, "SEED": seed })
}

async fn slow_sim() -> Sim {
    sim_with_steps(Duration::from_millis(20), &[]).await
}

fn hasty() -> Home {
    let home = Home::new();
    home.write(".mmf/config.toml", LIMIT);
    home
}

/// Waits for a job as an agent does that is given a handle, and gives what came of it in the end.
async fn wait_on(client: &mut McpClient, run_id: &Value) -> Value {
    loop {
        let waited = client
            .call("wait_for_completion", json!({ "prompt_id": run_id }))
            .await;
        if waited["status"] != "working" {
            return waited;
        }
        assert_eq!(waited["run_id"], *run_id, "no further handle: {waited:#}");
    }
}

/// Where a run stands as soon as that fits.
async fn status_once(
    client: &mut McpClient,
    run_id: &Value,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    loop {
        let arguments = json!({ "prompt_id": run_id });
        let status = client.call("get_workflow_status", arguments).await;
        if fits(&status) {
            return status;
        }
        assert_eq!(status["status"], "working", "{status:#}");
    }
}

/// Queues a job and waits for it in vain; gives its id and the handle.
async fn begin(client: &mut McpClient, seed: u64) -> (String, Value) {
    let (_, prompt_id) = client.queue(long(seed)).await;
    let handle = client.wait(&prompt_id).await;
    assert_eq!(handle["status"], "working", "{handle:#}");
    let knows = |status: &Value| status["prompt_ids"] == json!([prompt_id]);
    status_once(client, &handle["run_id"], knows).await;
    let hint = handle["hint"].as_str().unwrap();
    assert!(hint.contains(handle["run_id"].as_str().unwrap()), "{hint}");
    (prompt_id, handle["run_id"].clone())
}

#[tokio::test]
async fn a_call_that_outlasts_its_limit_goes_on_behind_a_handle() {
    let (home, comfy) = (hasty(), slow_sim().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (prompt_id, run_id) = begin(&mut client, 1).await;
    let under_way = |status: &Value| status["progress"]["total"] == 9.0;
    status_once(&mut client, &run_id, under_way).await;

    let done = wait_on(&mut client, &run_id).await;
    assert_eq!(
        (&done["status"], &done["prompt_id"]),
        (&json!("completed"), &json!(prompt_id)),
        "{done:#}"
    );
    let status = client
        .call("get_workflow_status", json!({ "prompt_id": run_id }))
        .await;
    assert_eq!(status["status"], "completed", "{status:#}");
    let hint = status["hint"].as_str().unwrap();
    assert!(hint.contains("wait_for_completion"), "{hint}");

    // What came of it is there for the other servers on the folder, too.
    let mut other = McpClient::start(&home, &comfy.url()).await;
    assert_eq!(wait_on(&mut other, &run_id).await, done);
    let unknown = json!({ "prompt_id": "run-018f0000-0000-7000-8000-000000000000" });
    let failure = other.call_fails("wait_for_completion", unknown).await;
    assert_eq!(failure["error"], "NOT_FOUND", "{failure:#}");
}

#[tokio::test]
async fn a_run_is_cancelled_by_its_handle_and_no_other() {
    let (home, comfy) = (hasty(), slow_sim().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut other = McpClient::start(&home, &comfy.url()).await;
    let (kept, kept_run) = begin(&mut client, 1).await;
    let (cancelled, cancelled_run) = begin(&mut client, 2).await;
    let outcome = other
        .call("cancel_job", json!({ "prompt_id": cancelled_run }))
        .await;
    assert_eq!(outcome["outcome"], "interrupted", "{outcome:#}");

    let failure = loop {
        let waited = client
            .call_raw("wait_for_completion", json!({ "prompt_id": cancelled_run }))
            .await;
        if waited["isError"] == true {
            break waited["structuredContent"].clone();
        }
    };
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
    let status = client.settled(&cancelled).await;
    assert_eq!(status["status"], "interrupted", "{status:#}");
    let done = wait_on(&mut client, &kept_run).await;
    assert_eq!(done["prompt_id"], json!(kept), "{done:#}");
    let again = json!({ "prompt_id": kept_run });
    assert_eq!(
        client.call("cancel_job", again).await["outcome"],
        "already_over"
    );
}

#[tokio::test]
async fn a_wait_whose_server_was_killed_is_taken_up_by_the_next_one() {
    let (home, comfy) = (hasty(), slow_sim().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (prompt_id, run_id) = begin(&mut client, 1).await;
    let mut witness = McpClient::start(&home, &comfy.url()).await;
    client.kill().await;

    let done = wait_on(&mut witness, &run_id).await;
    assert_eq!(
        (&done["status"], &done["prompt_id"]),
        (&json!("completed"), &json!(prompt_id)),
        "{done:#}"
    );
    assert_eq!(done["outputs"].as_array().unwrap().len(), 1, "{done:#}");
}

const PAINT_TWICE: &str = r#"
about("Paints two pictures.");
meta(#{ long: true });
fn run(p) {
    let jobs = [];
    for seed in 1..=2 {
        jobs.push(comfy::submit(templates::build("sd3_txt2img", #{
            PROMPT: "a fox", STEPS: 100, WIDTH: 64, HEIGHT: 64, SEED: seed,
        })));
    }
    jobs.map(|job| comfy::wait(job.prompt_id, 600));
    reply(#{ painted: 2 }).text("two pictures")
}
"#;

/// The same without words.
fn paint_twice() -> String {
    let words = r#"reply(#{ painted: 2 }).text("two pictures")"#;
    PAINT_TWICE.replace(words, "#{ painted: 2 }")
}

/// The jobs that the simulator has had, by its own history.
async fn history(comfy: &Sim) -> serde_json::Map<String, Value> {
    let read = http().get(format!("{}/history", comfy.url())).send();
    let read = read.await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&read).unwrap()
}

#[tokio::test]
async fn a_run_whose_server_was_killed_goes_on_at_the_next_one_and_does_nothing_twice() {
    let (home, comfy) = (hasty(), slow_sim().await);
    home.write(".mmf/scripts/tools/paint_twice.rhai", &paint_twice());
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("paint_twice", json!({})).await;
    assert_eq!(handle["status"], "working", "{handle:#}");
    let both = |status: &Value| {
        status["prompt_ids"]
            .as_array()
            .is_some_and(|ids| ids.len() == 2)
    };
    status_once(&mut client, &handle["run_id"], both).await;
    client.kill().await;

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let done = wait_on(&mut next, &handle["run_id"]).await;
    assert_eq!(done, json!({ "painted": 2 }));
    assert_eq!(history(&comfy).await.len(), 2);
    let assets = next.call("list_assets", json!({})).await;
    assert_eq!(assets["count"], 2, "{assets:#}");
}

#[tokio::test]
async fn a_run_goes_on_by_itself_once_a_server_is_there_again() {
    let (home, comfy) = (hasty(), slow_sim().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let sets: Vec<Value> = (0..6)
        .map(|seed| json!({ "PROMPT": "a fox", "STEPS": 10, "SEED": seed, "WIDTH": 64, "HEIGHT": 64 }))
        .collect();
    let arguments = json!({ "workflow": "sd3_txt2img", "param_sets": sets });
    let handle = client.call("execute_batch_workflows", arguments).await;
    let begun = |status: &Value| {
        status["prompt_ids"]
            .as_array()
            .is_some_and(|ids| ids.len() == 6)
    };
    status_once(&mut client, &handle["run_id"], begun).await;
    client.kill().await;

    // Nobody asks for it; its file says when it is over.
    let mut next = McpClient::start(&home, &comfy.url()).await;
    let name = format!("runs/{}.json", handle["run_id"].as_str().unwrap());
    let file = home.data().join(name);
    let ended = async {
        loop {
            let record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            if record["status"] != "working" {
                break record;
            }
            tokio::task::yield_now().await;
        }
    };
    let record = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(record["status"], "completed", "{record:#}");
    let done = wait_on(&mut next, &handle["run_id"]).await;
    assert_eq!(done["completed"], 6, "{done:#}");
    assert_eq!(history(&comfy).await.len(), 6);
    for (index, result) in done["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(result["parameters"]["SEED"], index, "{result:#}");
        let asset_id = &result["outputs"][0]["asset_id"];
        let asset = next
            .call("get_asset_metadata", json!({ "asset_id": asset_id }))
            .await;
        assert_eq!(asset["provenance"]["parameters"]["SEED"], index);
    }
}

#[tokio::test]
async fn what_a_restart_of_comfyui_swallowed_is_submitted_again() {
    let (home, comfy) = (hasty(), slow_sim().await);
    home.write(".mmf/scripts/tools/paint_twice.rhai", &paint_twice());
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("paint_twice", json!({})).await;
    let both = |status: &Value| {
        status["prompt_ids"]
            .as_array()
            .is_some_and(|ids| ids.len() == 2)
    };
    status_once(&mut client, &handle["run_id"], both).await;
    comfy.restart().await.unwrap();
    let done = wait_on(&mut client, &handle["run_id"]).await;
    assert_eq!(done, json!({ "painted": 2 }));
    let jobs = home.mmf(["jobs", "--json"]).run().await.exits(0).json();
    let jobs = jobs["jobs"].as_array().unwrap();
    let count = |status: &str| jobs.iter().filter(|job| job["status"] == status).count();
    assert_eq!((count("lost"), count("done")), (2, 2), "{jobs:#?}");
}

#[tokio::test]
async fn a_run_whose_script_was_changed_meanwhile_is_not_gone_on_with() {
    let (home, comfy) = (hasty(), slow_sim().await);
    home.write(".mmf/scripts/tools/paint_twice.rhai", PAINT_TWICE);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("paint_twice", json!({})).await;
    let both = |status: &Value| {
        status["prompt_ids"]
            .as_array()
            .is_some_and(|ids| ids.len() == 2)
    };
    status_once(&mut client, &handle["run_id"], both).await;
    client.kill().await;
    let changed = PAINT_TWICE.replace("1..=2", "1..=3");
    home.write(".mmf/scripts/tools/paint_twice.rhai", &changed);

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({ "prompt_id": handle["run_id"] });
    let failure = next.call_fails("wait_for_completion", arguments).await;
    assert_eq!(failure["error"], "JOB_LOST", "{failure:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("another script by now"), "{message}");
    assert_eq!(failure["tool"], "paint_twice", "what to call to begin anew");
    assert_eq!(failure["arguments"], json!({}));
    let lost = failure["prompt_ids"].as_array().unwrap();
    assert_eq!(lost.len(), 2, "{failure:#}");
    for prompt_id in lost {
        next.call("cancel_job", json!({ "prompt_id": prompt_id }))
            .await;
    }
}

#[tokio::test]
async fn a_run_whose_server_was_killed_is_cancelled_with_its_jobs() {
    let (home, comfy) = (hasty(), slow_sim().await);
    home.write(".mmf/scripts/tools/paint_twice.rhai", PAINT_TWICE);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("paint_twice", json!({})).await;
    let mut next = McpClient::start(&home, &comfy.url()).await;
    let both = |status: &Value| {
        status["prompt_ids"]
            .as_array()
            .is_some_and(|ids| ids.len() == 2)
    };
    let status = status_once(&mut next, &handle["run_id"], both).await;
    client.kill().await;

    let arguments = json!({ "prompt_id": handle["run_id"] });
    let outcome = next.call("cancel_job", arguments.clone()).await;
    assert_eq!(outcome["outcome"], "interrupted", "{outcome:#}");
    let waited = loop {
        let arguments = arguments.clone();
        let waited = next.call_raw("wait_for_completion", arguments).await;
        if waited["structuredContent"]["status"] != "working" {
            break waited;
        }
    };
    assert_eq!(waited["isError"], true, "{waited:#}");
    let failure = &waited["structuredContent"];
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
    for prompt_id in status["prompt_ids"].as_array().unwrap() {
        let settled = next.settled(prompt_id.as_str().unwrap()).await;
        let ended = settled["status"].as_str().unwrap();
        assert!(!["queued", "completed"].contains(&ended), "{settled:#}");
    }
}

#[tokio::test]
async fn an_end_that_can_not_be_written_is_told_by_its_server_and_written_later() {
    let (home, comfy) = (hasty(), slow_sim().await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, run_id) = begin(&mut client, 1).await;
    let name = format!("runs/{}.json", run_id.as_str().unwrap());
    let file = home.data().join(name);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("in the way")).unwrap();
    let done = wait_on(&mut client, &run_id).await;
    assert_eq!(done["status"], "completed", "{done:#}");
    client.logged("can't be written down").await;
    assert_eq!(wait_on(&mut client, &run_id).await, done);

    std::fs::remove_dir_all(&file).unwrap();
    let mut other = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({ "prompt_id": run_id });
    loop {
        let waited = other
            .call_raw("wait_for_completion", arguments.clone())
            .await;
        if waited["isError"] != true {
            assert_eq!(waited["structuredContent"], done, "{waited:#}");
            return;
        }
    }
}

#[tokio::test]
async fn a_reply_is_the_same_behind_a_handle() {
    let (home, comfy) = (hasty(), slow_sim().await);
    home.write(".mmf/scripts/tools/paint_twice.rhai", PAINT_TWICE);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("paint_twice", json!({})).await;
    let arguments = json!({ "prompt_id": handle["run_id"] });
    let done = loop {
        let waited = client
            .call_raw("wait_for_completion", arguments.clone())
            .await;
        if waited["structuredContent"]["status"] != "working" {
            break waited;
        }
    };
    assert_eq!(
        done["structuredContent"],
        json!({ "painted": 2 }),
        "{done:#}"
    );
    assert_eq!(done["content"][0]["text"], "two pictures", "{done:#}");
}

#[tokio::test]
async fn a_call_within_its_limit_leaves_no_file() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    assert_eq!(client.wait(&prompt_id).await["status"], "completed");
    assert!(!home.data().join("runs").exists());
}
