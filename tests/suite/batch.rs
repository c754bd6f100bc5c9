//! Many runs of one workflow: batches, sweeps and pipelines of stages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim, sim_with_steps};

fn tiny(mut more: Value) -> Value {
    for (name, value) in [
        ("PROMPT", json!("a fox")),
        ("STEPS", json!(1)),
        ("WIDTH", json!(64)),
        ("HEIGHT", json!(64)),
    ] {
        if more.get(name).is_none() {
            more[name] = value;
        }
    }
    more
}

/// A workflow of nobody's template.
fn plain() -> Value {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": "{{WIDTH}}", "height": 32, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "{{NAME}}" } },
    })
}

fn statuses(results: &Value) -> Vec<&str> {
    let results = results.as_array().unwrap().iter();
    results
        .map(|result| result["status"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn one_failure_never_sinks_the_rest_and_the_order_is_kept() {
    let (home, comfy) = (Home::new(), sim(&["oom@KSampler*1"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({
        "workflow": "sd3_txt2img",
        "param_sets": [
            tiny(json!({ "SEED": 1 })),
            tiny(json!({ "SEED": u64::MAX })),
            tiny(json!({ "SAMPLER": "nonesuch" })),
            tiny(json!({ "WIDTH": 65 })),
            "no object",
        ],
    });
    let batch = client.call("execute_batch_workflows", arguments).await;
    assert_eq!(
        statuses(&batch["results"]),
        ["error", "completed", "error", "error", "error"],
        "{batch:#}"
    );
    assert_eq!(
        (&batch["total_jobs"], &batch["completed"], &batch["errors"]),
        (&json!(5), &json!(1), &json!(4))
    );
    let codes: Vec<&Value> = batch["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["error"])
        .collect();
    assert_eq!(
        codes,
        [
            &json!("OUT_OF_MEMORY"),
            &Value::Null,
            &json!("VALIDATION_ERROR"),
            &json!("INVALID_PARAMS"),
            &json!("INVALID_PARAMS")
        ]
    );
    let good = &batch["results"][1];
    assert_eq!(
        (&good["index"], &good["parameters"]["SEED"]),
        (&json!(1), &json!(u64::MAX))
    );
    let asset = json!({ "asset_id": good["outputs"][0]["asset_id"] });
    let asset = client.call("get_asset_metadata", asset).await;
    assert_eq!(asset["provenance"]["script"]["name"], "sd3_txt2img");
    assert_eq!(asset["provenance"]["parameters"]["SEED"], json!(u64::MAX));
}

#[tokio::test]
async fn all_runs_are_queued_before_the_first_is_over() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let sets: Vec<Value> = (0..4)
        .map(|seed| tiny(json!({ "SEED": seed, "STEPS": 150 })))
        .collect();
    let arguments = json!({ "workflow": "sd3_txt2img", "param_sets": sets });
    let batch = client.begin("execute_batch_workflows", arguments).await;
    client.notification("notifications/progress").await;
    let queue = client.call("get_queue_status", json!({})).await;
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(1), &json!(3))
    );

    let (_, other) = client.queue(tiny(json!({ "SEED": 9 }))).await;
    client.cancel(batch).await;
    assert_eq!(
        client.wait(&other).await["status"],
        "completed",
        "and no other"
    );
    let queue = client.call("get_queue_status", json!({})).await;
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(0), &json!(0)),
        "cancelled, all of them"
    );
}

#[tokio::test]
async fn every_form_of_a_workflow_can_be_run_with_parameters() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let template = client
        .call("get_template", json!({ "name": "sd3_txt2img" }))
        .await;
    let built = json!({ "name": "sd3_txt2img", "params": tiny(json!({})) });
    let built = client.call("create_workflow_from_template", built).await;
    let seeds = json!([{ "SEED": 1 }, { "SEED": 2 }]);
    let full = json!([tiny(json!({ "SEED": 1 })), tiny(json!({ "SEED": 2 }))]);
    for (workflow, sets) in [
        (json!("sd3_txt2img"), &full),
        (template, &full),
        (built.clone(), &seeds),
        (built["workflow"].clone(), &seeds),
    ] {
        let arguments = json!({ "workflow": workflow, "param_sets": sets });
        let batch = client.call("execute_batch_workflows", arguments).await;
        assert_eq!(batch["completed"], 2, "{batch:#}");
    }
    let plain_input =
        json!({ "workflow": built["workflow"], "param_sets": [{ "seed": 3 }, { "sede": 3 }] });
    let batch = client.call("execute_batch_workflows", plain_input).await;
    assert_eq!(
        statuses(&batch["results"]),
        ["completed", "error"],
        "{batch:#}"
    );

    let arguments = json!({ "workflow": plain(), "param_sets": [{ "WIDTH": 48, "NAME": "say {{WIDTH}}" }, { "WIDTH": 48 }] });
    let batch = client.call("execute_batch_workflows", arguments).await;
    assert_eq!(batch["results"][0]["outputs"][0]["width"], 48, "{batch:#}");
    assert_eq!(
        batch["results"][0]["outputs"][0]["filename"],
        "say {{WIDTH}}_00001_.png"
    );
    let message = batch["results"][1]["message"].as_str().unwrap();
    assert!(message.contains("NAME"), "{message}");
}

#[tokio::test]
async fn a_sweep_too_large_to_be_meant_queues_nothing() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let many: Vec<u32> = (0..50).collect();
    let arguments = json!({
        "workflow": "sd3_txt2img",
        "sweep_params": { "SEED": many, "STEPS": many },
        "fixed_params": { "PROMPT": "a fox" },
    });
    let failure = client
        .call_fails("execute_parameter_sweep", arguments)
        .await;
    assert_eq!(failure["error"], "LIMIT_EXCEEDED");
    assert!(
        failure["message"].as_str().unwrap().contains("2500"),
        "{failure:#}"
    );
    let assets = client.call("list_assets", json!({})).await;
    assert_eq!(assets["count"], 0);
}

#[tokio::test]
async fn stages_hand_their_outputs_on_and_may_be_skipped() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let half = json!({
        "1": { "class_type": "LoadImage", "inputs": { "image": "{{PICTURE}}" } },
        "2": { "class_type": "ImageScaleBy", "inputs": { "image": ["1", 0], "upscale_method": "area", "scale_by": 0.5 } },
        "3": { "class_type": "SaveImage", "inputs": { "images": ["2", 0], "filename_prefix": "half" } },
    });
    let stages = json!([
        { "name": "paint", "workflow": "sd3_txt2img", "output_mapping": { "images": "PICTURE" } },
        { "name": "halve", "workflow": half, "output_mapping": { "images": "PICTURE" } },
        { "name": "spare", "workflow": half, "skip_if": { "previous_status": "completed", "reason": "small enough" } },
        { "name": "again", "workflow": half },
    ]);
    let arguments = json!({ "stages": stages, "params": tiny(json!({})) });
    let done = client.call("execute_pipeline_stages", arguments).await;
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(
        statuses(&done["stages"]),
        ["completed", "completed", "skipped", "completed"]
    );
    assert_eq!(done["stages"][2]["skip_reason"], "small enough");
    let widths: Vec<&Value> = [0, 1, 3]
        .iter()
        .map(|at| &done["stages"][at]["outputs"][0]["width"])
        .collect();
    assert_eq!(widths, [64, 32, 16], "{done:#}");
    assert_eq!(done["final_outputs"], done["stages"][3]["outputs"]);
    assert!(done["total_duration"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_pipeline_stops_at_the_first_failure_and_refuses_what_no_stage_knows() {
    let (home, comfy) = (Home::new(), sim(&["oom@KSampler"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let stages = json!([{ "workflow": "sd3_txt2img" }, { "workflow": "sd3_txt2img" }]);
    let arguments = json!({ "stages": stages, "params": tiny(json!({})) });
    let done = client.call("execute_pipeline_stages", arguments).await;
    assert_eq!(
        (&done["status"], statuses(&done["stages"])),
        (&json!("error"), vec!["error"]),
        "{done:#}"
    );
    assert_eq!(done["stages"][0]["error"], "OUT_OF_MEMORY");

    let nowhere = json!([
        { "workflow": "sd3_txt2img", "output_mapping": { "images": "IMAGE" } },
        { "workflow": "sd3_txt2img" },
    ]);
    let unruly =
        json!([{ "workflow": "sd3_txt2img", "skip_if": { "previous_status": "success" } }]);
    for (stages, said) in [
        (json!([]), "no stages"),
        (nowhere, "no later stage has a place for \"IMAGE\""),
        (unruly, "skip_if takes a previous_status"),
    ] {
        let arguments = json!({ "stages": stages, "params": {} });
        let failure = client
            .call_fails("execute_pipeline_stages", arguments)
            .await;
        let message = failure["message"].as_str().unwrap();
        assert!(message.contains(said), "{failure:#}");
    }
    let misspelt = json!([{ "workflow": "sd3_txt2img", "output_maping": { "images": "X" } }]);
    let arguments = json!({ "stages": misspelt, "params": tiny(json!({})) });
    let failure = client
        .call_fails("execute_pipeline_stages", arguments)
        .await;
    assert_eq!(failure["message"], "a stage has no \"output_maping\"");
    assert!(
        failure["hint"].as_str().unwrap().contains("output_mapping"),
        "{failure:#}"
    );

    let arguments = json!({ "stages": stages, "params": tiny(json!({ "SEDE": 5 })) });
    let failure = client
        .call_fails("execute_pipeline_stages", arguments)
        .await;
    assert!(
        failure["message"].as_str().unwrap().contains("SEDE"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_graph_of_the_editor_is_swept_as_the_prompt_that_it_becomes() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let graph = json!({ "version": 0.4, "links": [[1, 1, 0, 2, 0, "IMAGE"]], "nodes": [
        { "id": 1, "type": "EmptyImage", "inputs": [],
            "outputs": [{ "name": "IMAGE", "type": "IMAGE", "links": [1] }],
            "widgets_values": [64, 64, 1, 255] },
        { "id": 2, "type": "SaveImage", "outputs": [],
            "inputs": [{ "name": "images", "type": "IMAGE", "link": 1 }],
            "widgets_values": ["x"] },
    ] });
    let arguments = json!({ "workflow": graph, "sweep_params": { "width": [32, 48] } });
    let swept = client.call("execute_parameter_sweep", arguments).await;
    assert_eq!(swept["results"]["width=32"]["outputs"][0]["width"], 32);
    assert_eq!(swept["results"]["width=48"]["outputs"][0]["width"], 48);
}

#[tokio::test]
async fn nothing_to_run_is_an_error() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    for (tool, arguments) in [
        (
            "execute_batch_workflows",
            json!({ "workflow": "sd3_txt2img", "param_sets": [] }),
        ),
        (
            "execute_parameter_sweep",
            json!({ "workflow": "sd3_txt2img", "sweep_params": {} }),
        ),
        ("wait_for_completion", json!({ "prompt_id": "" })),
        ("get_workflow_status", json!({ "prompt_id": " " })),
        ("cancel_job", json!({ "prompt_id": "" })),
        ("list_assets", json!({ "limit": 0 })),
    ] {
        let failure = client.call_fails(tool, arguments).await;
        assert_eq!(failure["error"], "INVALID_PARAMS", "{tool}: {failure:#}");
    }
}
