//! The MCP server on a real `ComfyUI`.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::Home;
use crate::support::rig::Rig;
use crate::support::sim::http;

/// Parameters of the sd3 template that take a CPU a second.
fn small(seed: u64) -> Value {
    json!({ "PROMPT": "a red fox", "SEED": seed, "WIDTH": 64, "HEIGHT": 64, "STEPS": 3 })
}

fn hold(gate: &str) -> Value {
    json!({ "1": { "class_type": "MmfHold", "inputs": { "gate": gate } } })
}

async fn execute(client: &mut McpClient, workflow: &Value) -> String {
    let queued = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    queued["prompt_id"].as_str().unwrap().to_owned()
}

/// What the server itself remembers of a job.
async fn history(rig: &Rig, prompt_id: &str) -> Value {
    let url = format!("{}/history/{prompt_id}", rig.url());
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[prompt_id].take()
}

#[tokio::test]
async fn a_template_becomes_an_asset_with_every_seed_unharmed() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let version =
        client.call("get_system_stats", json!({})).await["system"]["comfyui_version"].take();
    for seed in [0, 1 << 53, 1 << 63, u64::MAX] {
        let (workflow, prompt_id) = client.queue(small(seed)).await;
        let verdict = client
            .call("validate_workflow", json!({ "workflow": workflow }))
            .await;
        assert_eq!(verdict["valid"], true, "{verdict:#}");
        let done = client.wait(&prompt_id).await;
        let [output] = &done["outputs"].as_array().unwrap()[..] else {
            panic!("{done:#}")
        };

        let arguments = json!({ "asset_id": output["asset_id"] });
        let asset = client.call("get_asset_metadata", arguments).await;
        assert_eq!(asset["workflow"], workflow, "as it was built");
        let prompt = &history(rig, &prompt_id).await["prompt"][2];
        let samplers = prompt.as_object().unwrap().values();
        let seeds: Vec<&Value> = samplers
            .filter_map(|node| node["inputs"].get("seed"))
            .collect();
        assert_eq!(seeds, [&json!(seed)], "as the server ran it");

        let provenance = &asset["provenance"];
        assert_eq!(provenance["parameters"]["SEED"], seed);
        assert_eq!(provenance["script"]["name"], "sd3_txt2img");
        assert_eq!(
            provenance["server"],
            json!({ "url": rig.url(), "version": version })
        );
        let bytes = std::fs::read(asset["path"].as_str().unwrap()).unwrap();
        assert_eq!(asset["blake3"], blake3::hash(&bytes).to_hex().as_str());
        let saved = rig.output_dir().join(asset["filename"].as_str().unwrap());
        assert_eq!(bytes, std::fs::read(saved).unwrap());
    }
}

#[tokio::test]
async fn a_node_gets_every_seed_as_it_was_written() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    for seed in [0, 1 << 53, (1 << 53) + 1, 1 << 63, u64::MAX] {
        let echo = json!({ "1": { "class_type": "MmfSeedEcho", "inputs": { "seed": seed } } });
        let prompt_id = execute(&mut client, &echo).await;
        let done = client.wait(&prompt_id).await;
        assert_eq!(done["outputs"][0]["text"], seed.to_string(), "{done:#}");
    }
}

#[tokio::test]
async fn a_job_over_before_the_wait_and_a_cached_one_report_their_outputs() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let (workflow, prompt_id) = client.queue(small(77)).await;
    loop {
        let status = client
            .call("get_workflow_status", json!({ "prompt_id": prompt_id }))
            .await;
        if status["status"] == "completed" {
            break;
        }
        assert!(
            ["queued", "running"].contains(&status["status"].as_str().unwrap()),
            "{status:#}"
        );
    }
    let first = client.wait(&prompt_id).await;
    assert_eq!(first["outputs"].as_array().unwrap().len(), 1, "{first:#}");

    let again = execute(&mut client, &workflow).await;
    let second = client.wait(&again).await;
    assert_eq!(
        second["outputs"][0]["filename"], first["outputs"][0]["filename"],
        "{second:#}"
    );
    let messages = history(rig, &again).await["status"]["messages"].take();
    let cached = messages
        .as_array()
        .unwrap()
        .iter()
        .find(|message| message[0] == "execution_cached");
    let cached = cached.unwrap()[1]["nodes"].as_array().unwrap().len();
    assert_eq!(
        cached,
        workflow.as_object().unwrap().len(),
        "every node was cached"
    );
}

#[tokio::test]
async fn ten_jobs_at_once_each_come_back_with_their_own() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let mut calls = vec![];
    for number in 0..10 {
        let text = format!("job {number} of ten");
        let workflow = json!({ "1": { "class_type": "MmfText", "inputs": { "text": text } } });
        let prompt_id = execute(&mut client, &workflow).await;
        let call = client
            .begin("wait_for_completion", json!({ "prompt_id": prompt_id }))
            .await;
        calls.push((text, call));
    }
    for (text, call) in calls {
        let answer = client.answer(call).await;
        assert_eq!(
            answer["result"]["structuredContent"]["outputs"][0]["text"], text,
            "{answer:#}"
        );
    }
}

#[tokio::test]
async fn giving_up_the_wait_for_the_second_of_three_leaves_the_others_alone() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let first = execute(&mut client, &hold("first")).await;
    let second = execute(&mut client, &hold("never")).await;
    let third = execute(&mut client, &hold("third")).await;
    let call = client
        .begin("wait_for_completion", json!({ "prompt_id": second }))
        .await;
    client.notification("notifications/progress").await;
    client.cancel(call).await;
    loop {
        let queue = client.call("get_queue_status", json!({})).await;
        if queue["pending_ids"] == json!([third]) {
            assert_eq!(queue["running_ids"], json!([first]), "{queue:#}");
            break;
        }
    }
    for (gate, prompt_id) in [("first", first), ("third", third)] {
        rig.open_gate(gate);
        assert_eq!(client.wait(&prompt_id).await["status"], "completed");
    }
}

#[tokio::test]
async fn giving_up_the_wait_for_a_running_job_interrupts_it_alone() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let running = execute(&mut client, &hold("never")).await;
    let next = execute(&mut client, &hold("next")).await;
    let call = client
        .begin("wait_for_completion", json!({ "prompt_id": running }))
        .await;
    let runs = |message: &Value| {
        message["params"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("1/2"))
    };
    client.until(runs).await;
    client.cancel(call).await;
    rig.open_gate("next");
    assert_eq!(client.wait(&next).await["status"], "completed");
    let arguments = json!({ "prompt_id": running });
    let failure = client.call_fails("wait_for_completion", arguments).await;
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
}

#[tokio::test]
async fn a_killed_mmf_leaves_its_jobs_to_the_next_one() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    execute(&mut client, &hold("kill")).await;
    let (workflow, prompt_id) = client.queue(small(u64::MAX)).await;
    client.kill().await;
    rig.open_gate("kill");

    let mut client = McpClient::start(&home, rig.url()).await;
    let done = client.wait(&prompt_id).await;
    let arguments = json!({ "asset_id": done["outputs"][0]["asset_id"] });
    let asset = client.call("get_asset_metadata", arguments).await;
    assert_eq!(asset["workflow"], workflow);
    assert_eq!(asset["provenance"]["script"]["name"], "sd3_txt2img");
    assert_eq!(asset["provenance"]["parameters"]["SEED"], u64::MAX);
}

#[tokio::test]
async fn a_crash_of_comfyui_in_the_middle_of_a_job_is_told_as_its_loss() {
    let Some(mut rig) = Rig::start().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let prompt_id = execute(&mut client, &hold("never")).await;
    let call = client
        .begin("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;
    client.notification("notifications/progress").await;
    rig.kill();
    let rig = rig.restart().await;
    let answer = client.answer(call).await;
    assert_eq!(
        answer["result"]["structuredContent"]["error"], "JOB_LOST",
        "{answer:#}"
    );

    let (_, prompt_id) = client.queue(small(1)).await;
    assert_eq!(
        client.wait(&prompt_id).await["status"],
        "completed",
        "{}",
        rig.url()
    );
}

#[tokio::test]
async fn what_the_server_rejects_is_foretold_and_told_with_its_node_errors() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let workflow = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 0, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0] } },
    });
    let failure = client
        .call_fails("execute_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(failure["error"], "VALIDATION_ERROR", "{failure:#}");
    let errors = &failure["node_errors"];
    assert_eq!(
        errors["1"]["errors"][0]["type"], "value_smaller_than_min",
        "{failure:#}"
    );
    assert_eq!(
        errors["2"]["errors"][0]["type"], "required_input_missing",
        "{failure:#}"
    );
    let verdict = client
        .call("validate_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(verdict["node_errors"], *errors);
}

#[tokio::test]
async fn outputs_that_are_partly_invalid_run_as_far_as_they_can() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let workflow = json!({
        "1": { "class_type": "MmfText", "inputs": { "text": "the good half" } },
        "2": { "class_type": "MmfEven", "inputs": { "number": 3 } },
    });
    let queued = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(
        queued["node_errors"]["2"]["class_type"], "MmfEven",
        "{queued:#}"
    );
    let done = client.wait(queued["prompt_id"].as_str().unwrap()).await;
    assert_eq!(done["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(done["outputs"][0]["text"], "the good half");

    let half = r#"
        title("Half");
        about("One good output and one bad.");
        fn build(p) {
            let g = workflow();
            g.node("MmfText", #{ text: "the good half" });
            g.node("MmfEven", #{ number: 3 });
            g
        }"#;
    home.write("half.rhai", half);
    let run = home.mmf(["run", "half.rhai", "--json"]).server(rig.url());
    let result = run.run().await.exits(4).json();
    assert_eq!(
        result["node_errors"]["2"]["class_type"], "MmfEven",
        "{result:#}"
    );
}

#[tokio::test]
async fn a_node_that_fails_and_one_without_memory_say_so() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    for (kind, code, exit) in [
        ("value_error", "EXECUTION_ERROR", 1),
        ("out_of_memory", "OUT_OF_MEMORY", 7),
    ] {
        let inputs = json!({ "message": "it was told to", "kind": kind });
        let workflow = json!({ "1": { "class_type": "MmfFail", "inputs": inputs } });
        let prompt_id = execute(&mut client, &workflow).await;
        let arguments = json!({ "prompt_id": prompt_id });
        let failure = client
            .call_fails("wait_for_completion", arguments.clone())
            .await;
        assert_eq!(
            (&failure["error"], &failure["node_type"]),
            (&json!(code), &json!("MmfFail"))
        );
        assert!(
            failure["message"]
                .as_str()
                .unwrap()
                .contains("it was told to"),
            "{failure:#}"
        );
        let call = ["call", "wait_for_completion", &arguments.to_string()];
        assert_eq!(
            home.mmf(call)
                .server(rig.url())
                .run()
                .await
                .exits(exit)
                .json(),
            failure
        );
    }
}

#[tokio::test]
async fn the_doctor_is_content() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let found = home
        .mmf(["doctor", "--json"])
        .server(rig.url())
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(found["healthy"], true, "{found:#}");
}
