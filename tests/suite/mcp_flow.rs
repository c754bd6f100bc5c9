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
    let names = templates["templates"].as_array().unwrap().iter();
    assert!(
        names
            .map(|one| &one["name"])
            .any(|name| name == "sd3_txt2img")
    );
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

#[tokio::test]
async fn progress_grows_and_comes_before_the_answer() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(10), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut long = small();
    long["STEPS"] = 150.into();
    let (_, prompt_id) = client.queue(long).await;
    let call = client
        .begin("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;

    // That there is a new asset is told apart from all calls.
    let of_the_call = |messages: Vec<Value>| -> Vec<Value> {
        let messages = messages.into_iter();
        messages
            .filter(|message| message["method"] != "notifications/resources/list_changed")
            .collect()
    };
    let answer = client.answer(call).await;
    let before = of_the_call(client.unread());
    client.request("ping", json!({})).await;

    assert_eq!(
        answer["result"]["structuredContent"]["status"], "completed",
        "{answer:#}"
    );
    assert_eq!(
        of_the_call(client.unread()),
        Vec::<Value>::new(),
        "nothing follows the answer"
    );
    let params: Vec<&Value> = before.iter().map(|message| &message["params"]).collect();
    assert!(
        before
            .iter()
            .all(|message| message["method"] == "notifications/progress")
    );
    assert!(
        params.iter().all(|params| params["progressToken"] == call),
        "{params:#?}"
    );
    let progress: Vec<f64> = params
        .iter()
        .map(|it| it["progress"].as_f64().unwrap())
        .collect();
    assert!(
        progress.windows(2).all(|two| two[0] < two[1]),
        "{progress:?}"
    );
    let sampler = params
        .iter()
        .find(|params| {
            let message = params["message"].as_str().unwrap();
            message.starts_with("KSampler ") && message.ends_with("/150")
        })
        .unwrap();
    assert_eq!(sampler["total"], 9.0, "the nodes of the workflow");
    assert!(
        progress.iter().all(|progress| *progress <= 9.0),
        "{progress:?}"
    );
}

#[tokio::test]
async fn giving_up_a_wait_cancels_its_job_and_no_other() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut long = small();
    long["STEPS"] = 150.into();
    let (_, running) = client.queue(long.clone()).await;
    long["SEED"] = 2.into();
    let (_, waiting) = client.queue(long).await;
    let (_, kept) = client.queue(small()).await;

    let call = client
        .begin("wait_for_completion", json!({ "prompt_id": waiting }))
        .await;
    client.notification("notifications/progress").await;
    client.cancel(call).await;
    let first = client
        .begin("wait_for_completion", json!({ "prompt_id": running }))
        .await;
    let is_step = |message: &Value| {
        message["params"]["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("KSampler "))
    };
    client.until(is_step).await;
    client.cancel(first).await;

    assert_eq!(client.wait(&kept).await["status"], "completed");
    let answers = client
        .unread()
        .into_iter()
        .filter(|message| message.get("id").is_some());
    assert_eq!(
        answers.collect::<Vec<_>>(),
        Vec::<Value>::new(),
        "nobody waits for an answer"
    );
    for cancelled in [running, waiting] {
        let status = client
            .call("get_workflow_status", json!({ "prompt_id": cancelled }))
            .await;
        assert_eq!(status["status"], "interrupted", "{status:#}");
    }
    let queue = client.call("get_queue_status", json!({})).await;
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_wait_given_up_at_once_still_cancels_its_job() {
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut long = small();
    long["STEPS"] = 150.into();
    for seed in 0..10 {
        long["SEED"] = seed.into();
        let (_, prompt_id) = client.queue(long.clone()).await;
        let arguments = json!({ "prompt_id": prompt_id });
        let call = client.begin("wait_for_completion", arguments.clone()).await;
        client.cancel(call).await;
        let failure = client.call_fails("wait_for_completion", arguments).await;
        assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
    }
}

#[tokio::test]
async fn one_of_three_queued_jobs_is_cancelled_by_its_id() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut ids = vec![];
    for seed in 0..3 {
        let mut params = small();
        params["SEED"] = seed.into();
        // The first is still at it when the second is cancelled, on a busy machine, too.
        params["STEPS"] = if seed == 0 { 150 } else { 2 }.into();
        ids.push(client.queue(params).await.1);
    }
    let cancelled = client
        .call("cancel_job", json!({ "prompt_id": ids[1] }))
        .await;
    assert_eq!(
        cancelled,
        json!({ "prompt_id": ids[1], "outcome": "dequeued" })
    );

    assert_eq!(client.wait(&ids[0]).await["status"], "completed");
    assert_eq!(client.wait(&ids[2]).await["status"], "completed");
    let failure = client
        .call_fails("wait_for_completion", json!({ "prompt_id": ids[1] }))
        .await;
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
}

#[tokio::test]
async fn a_job_that_is_over_before_anyone_waits_is_told_at_once() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let id = json!({ "prompt_id": prompt_id });
    let status = loop {
        let status = client.call("get_workflow_status", id.clone()).await;
        if status["status"] != "queued" && status["status"] != "running" {
            break status;
        }
    };
    assert_eq!(status["status"], "completed", "{status:#}");
    let first = client.wait(&prompt_id).await;
    assert_eq!(first["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(
        client.wait(&prompt_id).await,
        first,
        "the same again, and no second asset"
    );
    assert_eq!(client.call("list_assets", json!({})).await["count"], 1);
}

#[tokio::test]
async fn a_cached_job_reports_its_outputs_too() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (workflow, first) = client.queue(small()).await;
    let first = client.wait(&first).await;
    let again = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    let second = client.wait(again["prompt_id"].as_str().unwrap()).await;
    assert_eq!(second["outputs"].as_array().unwrap().len(), 1, "{second:#}");
    assert_eq!(
        second["outputs"][0]["filename"],
        first["outputs"][0]["filename"]
    );
}

#[tokio::test]
async fn ten_jobs_of_one_client_all_come_back() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut calls = vec![];
    for seed in 0..10 {
        let mut params = small();
        params["SEED"] = seed.into();
        let (_, prompt_id) = client.queue(params).await;
        calls.push(
            client
                .begin("wait_for_completion", json!({ "prompt_id": prompt_id }))
                .await,
        );
    }
    let mut assets = std::collections::BTreeSet::new();
    for call in calls {
        let answer = client.answer(call).await;
        let done = &answer["result"]["structuredContent"];
        assert_eq!(done["status"], "completed", "{answer:#}");
        assets.insert(done["outputs"][0]["asset_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(assets.len(), 10);
}

#[tokio::test]
async fn outputs_that_are_not_valid_are_told_while_the_others_run() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let workflow = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "good" } },
        "3": { "class_type": "SaveImage", "inputs": { "filename_prefix": "bad" } },
    });
    let queued = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(
        queued["node_errors"]["3"]["errors"][0]["type"], "required_input_missing",
        "{queued:#}"
    );
    let done = client.wait(queued["prompt_id"].as_str().unwrap()).await;
    assert_eq!(done["outputs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_workflow_that_the_server_rejects_comes_back_with_its_node_errors() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let workflow = json!({
        "1": { "class_type": "SaveImage", "inputs": { "filename_prefix": "bad" } },
    });
    let failure = client
        .call_fails("execute_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(failure["error"], "VALIDATION_ERROR", "{failure:#}");
    assert_eq!(
        failure["node_errors"]["1"]["errors"][0]["type"],
        "required_input_missing"
    );
    let verdict = client
        .call("validate_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(verdict["valid"], false);
    assert_eq!(
        verdict["node_errors"], failure["node_errors"],
        "foretold word for word"
    );
}

#[tokio::test]
async fn a_node_that_runs_out_of_memory_says_so() {
    let (home, comfy) = (Home::new(), sim(&["oom@KSampler*1"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (workflow, prompt_id) = client.queue(small()).await;
    let failure = client
        .call_fails("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;
    assert_eq!(failure["error"], "OUT_OF_MEMORY", "{failure:#}");
    assert_eq!(
        (&failure["status"], &failure["node_type"]),
        (&json!("error"), &json!("KSampler"))
    );
    let again = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    let done = client.wait(again["prompt_id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "completed", "the fault was there once");
}

#[tokio::test]
async fn a_wait_that_is_too_short_leaves_the_job_alone() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let arguments = json!({ "prompt_id": prompt_id, "timeout_seconds": 0 });
    let late = client.call("wait_for_completion", arguments).await;
    assert_eq!(
        (&late["status"], &late["prompt_id"]),
        (&json!("timeout"), &json!(prompt_id))
    );
    assert_eq!(client.wait(&prompt_id).await["status"], "completed");
}

#[tokio::test]
async fn the_simulator_within_serves_an_agent_without_any_server() {
    let home = Home::new();
    let mut client = McpClient::greet(home.mmf(["serve", "--sim"])).await;
    let (_, prompt_id) = client.queue(small()).await;
    assert_eq!(client.wait(&prompt_id).await["status"], "completed");
}
