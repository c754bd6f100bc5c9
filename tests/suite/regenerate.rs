//! Making assets again with changes, over MCP on the simulator.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::graphs::{controlnet, flux, wan};
use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};
use crate::support::rig::Rig;

fn small() -> Value {
    json!({ "PROMPT": "a red fox", "SEED": 5, "WIDTH": 64, "HEIGHT": 64, "STEPS": 4 })
}

/// Waits for a job and gives its first output's asset.
async fn first_asset(client: &mut McpClient, prompt_id: &Value) -> Value {
    let done = client.wait(prompt_id.as_str().unwrap()).await;
    assert_eq!(done["status"], "completed", "{done:#}");
    done["outputs"][0]["asset_id"].clone()
}

async fn run(client: &mut McpClient, workflow: &Value) -> Value {
    let queued = client
        .call("execute_workflow", json!({ "workflow": workflow }))
        .await;
    first_asset(client, &queued["prompt_id"]).await
}

async fn metadata(client: &mut McpClient, asset_id: &Value) -> Value {
    client
        .call("get_asset_metadata", json!({ "asset_id": asset_id }))
        .await
}

/// `node.input` with what is there now.
fn changed(answer: &Value) -> Value {
    let changed = answer["changed"].as_array().unwrap();
    let paths = changed.iter().map(|change| {
        let path = format!(
            "{}.{}",
            change["node_id"].as_str().unwrap(),
            change["input"].as_str().unwrap()
        );
        (path, change["to"].clone())
    });
    paths.collect()
}

#[tokio::test]
async fn an_asset_is_made_again_with_what_was_changed_and_remembers_from_which() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (before, prompt_id) = client.queue(small()).await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;

    let answer = client
        .call(
            "regenerate",
            json!({ "asset_id": asset, "cfg": 4.5, "prompt": "a wolf" }),
        )
        .await;
    assert_eq!(answer["regenerated_from"], asset);
    assert_eq!(answer["status"], "queued");
    assert_eq!(answer["seed"], 5, "absent keeps");
    assert!(answer.get("workflow").is_none());
    let changed = changed(&answer);
    let changed = changed.as_object().unwrap();
    assert_eq!(changed.len(), 2, "{answer:#}");
    let again = first_asset(&mut client, &answer["prompt_id"]).await;
    assert_ne!(again, asset);

    let made = metadata(&mut client, &again).await;
    assert_eq!(made["provenance"]["regenerated_from"], asset);
    assert_eq!(made["prompt_preview"], "a wolf");
    assert_eq!(made["session_id"], answer["session_id"]);
    assert_eq!(made["provenance"]["parameters"]["PROMPT"], "a wolf");
    assert_eq!(made["provenance"]["parameters"]["CFG"], 4.5);
    let mut expected = before.clone();
    for (path, to) in changed {
        let (node, input) = path.split_once('.').unwrap();
        expected[node]["inputs"][input] = to.clone();
    }
    assert_eq!(made["workflow"], expected, "nothing else changed");

    client.close().await;
    let mut later = McpClient::start(&home, &comfy.url()).await;
    let made = metadata(&mut later, &again).await;
    assert_eq!(
        made["provenance"]["regenerated_from"], asset,
        "after a restart, too"
    );
}

#[tokio::test]
async fn a_seed_is_drawn_kept_or_set() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;
    for (seed, wanted) in [
        (json!({}), Some(5)),
        (json!({ "seed": -1 }), Some(5)),
        (json!({ "seed": u64::MAX }), Some(u64::MAX)),
        (json!({ "seed": null }), None),
    ] {
        let mut arguments = seed.clone();
        arguments["asset_id"] = asset.clone();
        let answer = client.call("regenerate", arguments).await;
        let got = answer["seed"].as_u64();
        match wanted {
            Some(_) => assert_eq!(got, wanted, "{seed}"),
            None => assert!(
                got.is_some_and(|seed| seed != 5 && seed < 1 << 53),
                "{answer}"
            ),
        }
        let again = first_asset(&mut client, &answer["prompt_id"]).await;
        let workflow = metadata(&mut client, &again).await["workflow"].take();
        let nodes = workflow.as_object().unwrap().values();
        let seeds: Vec<&Value> = nodes
            .filter_map(|node| node["inputs"].get("seed"))
            .collect();
        assert_eq!(seeds, [&answer["seed"]], "what ran is what was told");
    }
}

#[tokio::test]
async fn what_overrides_say_holds_for_every_name_that_is_a_parameter_too() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;
    for (name, value) in [
        ("prompt", json!("a wolf")),
        ("negative_prompt", json!("blur")),
        ("seed", json!(7)),
        ("steps", json!(3)),
        ("cfg", json!(4.5)),
    ] {
        let arguments = json!({ "asset_id": asset, "overrides": { name: value } });
        let answer = client.call("regenerate", arguments).await;
        let changed = changed(&answer);
        let to: Vec<&Value> = changed.as_object().unwrap().values().collect();
        assert_eq!(to, [&value], "{name}");
    }
}

#[tokio::test]
async fn a_variation_notes_what_ran_rather_than_what_was_asked_for() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;
    let drawn = client
        .call(
            "regenerate",
            json!({ "asset_id": asset, "seed": null, "steps": 3 }),
        )
        .await;
    let again = first_asset(&mut client, &drawn["prompt_id"]).await;
    let made = metadata(&mut client, &again).await;
    let noted = &made["provenance"]["parameters"];
    assert!(drawn["seed"].is_u64());
    assert_eq!(noted["SEED"], drawn["seed"]);
    assert_eq!(noted["STEPS"], 3);
    assert_eq!(made["provenance"]["script"]["name"], "sd3_txt2img");

    let kept = client
        .call(
            "regenerate",
            json!({ "asset_id": again, "seed": -1, "cfg": 4 }),
        )
        .await;
    let kept = first_asset(&mut client, &kept["prompt_id"]).await;
    let made = metadata(&mut client, &kept).await;
    assert_eq!(made["provenance"]["parameters"]["SEED"], drawn["seed"]);
    assert_eq!(made["provenance"]["script"]["name"], "sd3_txt2img");
}

#[tokio::test]
async fn graphs_of_all_kinds_change_where_their_sampler_looks() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    for (nodes, wanted, expected) in [
        (
            flux(),
            json!({ "prompt": "a wolf", "cfg": 4.5, "steps": 3 }),
            json!({ "4.text": "a wolf", "5.guidance": 4.5, "10.steps": 3 }),
        ),
        (
            controlnet(),
            json!({ "prompt": "a wolf", "negative_prompt": "ugly" }),
            json!({ "2.text": "a wolf", "3.text": "ugly" }),
        ),
        (
            wan(),
            json!({ "steps": 10, "frames": 9, "overrides": { "8.shift": 5.0 } }),
            json!({
                "8.shift": 5.0, "7.length": 9, "10.steps": 10, "20.steps": 10,
                "10.end_at_step": 5, "20.start_at_step": 5,
            }),
        ),
    ] {
        let asset = run(&mut client, &nodes).await;
        let mut arguments = wanted;
        arguments["asset_id"] = asset;
        let answer = client.call("regenerate", arguments).await;
        assert_eq!(changed(&answer), expected);
        let again = first_asset(&mut client, &answer["prompt_id"]).await;
        let ran = metadata(&mut client, &again).await["workflow"].take();
        for (path, to) in expected.as_object().unwrap() {
            let (node, input) = path.split_once('.').unwrap();
            assert_eq!(&ran[node]["inputs"][input], to);
        }
    }
}

#[tokio::test]
async fn what_can_not_be_changed_is_refused_before_it_is_queued() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let asset = run(&mut client, &flux()).await;
    let failure = client
        .call_fails(
            "regenerate",
            json!({ "asset_id": asset, "negative_prompt": "ugly", "steps": 0 }),
        )
        .await;
    assert_eq!(failure["error"], "INVALID_PARAMS");
    assert_eq!(failure["fields"], json!(["negative_prompt", "steps"]));
    assert_eq!(failure["settings"]["steps"]["at"], json!(["10.steps"]));
    let failure = client
        .call_fails("regenerate", json!({ "asset_id": "no-such-asset" }))
        .await;
    assert_eq!(failure["error"], "ASSET_NOT_FOUND_OR_EXPIRED");
    for arguments in [json!({}), json!({ "asset_id": asset, "path": "x.png" })] {
        let failure = client.call_fails("regenerate", arguments).await;
        assert_eq!(failure["message"], "give either asset_id or path");
    }
    let queue = client.call("get_queue_status", json!({})).await;
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_templates_asset_is_made_again_through_its_parameters() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;
    let answer = client
        .call(
            "regenerate",
            json!({ "asset_id": asset, "cfg": 6.0, "seed": null, "through": "script" }),
        )
        .await;
    assert_eq!(answer["script"], "sd3_txt2img");
    assert_eq!(answer["script_changed"], false);
    assert_eq!(answer["changed"][0]["parameter"], "CFG");
    let again = first_asset(&mut client, &answer["prompt_id"]).await;
    let made = metadata(&mut client, &again).await;
    assert_eq!(made["provenance"]["script"]["name"], "sd3_txt2img");
    assert_eq!(made["provenance"]["regenerated_from"], asset);
    assert_eq!(made["provenance"]["parameters"]["CFG"], 6.0);
    assert_eq!(made["provenance"]["parameters"]["SEED"], answer["seed"]);

    // A variation of the workflow leads back to the template, with what it changed.
    let varied = client
        .call("regenerate", json!({ "asset_id": again, "steps": 3 }))
        .await;
    let varied = first_asset(&mut client, &varied["prompt_id"]).await;
    let answer = client
        .call(
            "regenerate",
            json!({ "asset_id": varied, "prompt": "a wolf", "through": "script" }),
        )
        .await;
    let last = first_asset(&mut client, &answer["prompt_id"]).await;
    let parameters = metadata(&mut client, &last).await["provenance"]["parameters"].take();
    assert_eq!(
        (
            &parameters["STEPS"],
            &parameters["CFG"],
            &parameters["PROMPT"]
        ),
        (&json!(3), &json!(6.0), &json!("a wolf"))
    );
    let failure = client
        .call_fails(
            "regenerate",
            json!({ "asset_id": last, "fps": 9, "through": "script" }),
        )
        .await;
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("no parameter for \"fps\"")
    );

    home.write(".mmf/templates/sd3_txt2img.rhai", &changed_template());
    let named = json!({ "name": "sd3_txt2img" });
    while client.call("get_template", named.clone()).await["layer"] != "project" {}
    let answer = client
        .call(
            "regenerate",
            json!({ "asset_id": last, "through": "script" }),
        )
        .await;
    assert_eq!(answer["script_changed"], true);
}

/// The template with one line more.
fn changed_template() -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/sd3_txt2img.rhai");
    format!("// mine\n{}", std::fs::read_to_string(own).unwrap())
}

#[tokio::test]
async fn a_picture_on_disk_is_made_again_from_the_workflow_in_it() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small()).await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;
    let path = metadata(&mut client, &asset).await["path"].take();
    let copy = home.project().join("from-a-friend.png");
    std::fs::copy(Path::new(path.as_str().unwrap()), &copy).unwrap();

    let answer = client
        .call(
            "regenerate",
            json!({ "path": copy, "prompt": "a wolf", "include_workflow": true }),
        )
        .await;
    assert_eq!(answer["regenerated_from"], Value::Null);
    assert_eq!(answer["changed"][0]["to"], "a wolf");
    assert!(answer["workflow"].is_object());
    let again = first_asset(&mut client, &answer["prompt_id"]).await;
    assert_eq!(
        metadata(&mut client, &again).await["prompt_preview"],
        "a wolf"
    );

    let relative = json!({ "path": "from-a-friend.png", "steps": 2 });
    client.call("regenerate", relative).await;

    let secret = home.write("id_rsa", "-----BEGIN OPENSSH PRIVATE KEY-----");
    let failure = client
        .call_fails("regenerate", json!({ "path": secret }))
        .await;
    assert_eq!(failure["error"], "UNSUPPORTED_TYPE");
    assert!(!failure.to_string().contains("OPENSSH"));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_waits_for_the_other_end_of_a_pipe() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let pipe = home.project().join("pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let failure = client
        .call_fails("regenerate", json!({ "path": pipe }))
        .await;
    assert_eq!(failure["error"], "UNSUPPORTED_TYPE");
}

#[tokio::test]
async fn what_a_pipeline_makes_again_remembers_from_which() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let pipeline = r#"
        param("PROMPT", "string", #{ required: true });
        param("STEPS", "int", #{ value: 2 });
        fn run(p) {
            let g = templates::build("sd3_txt2img", #{ PROMPT: p.PROMPT, WIDTH: 64, HEIGHT: 64 });
            g.change(#{ steps: p.STEPS });
            #{ asset_id: comfy::run(g).outputs[0].asset_id }
        }"#;
    home.write(".mmf/scripts/pipelines/one.rhai", pipeline);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let made = client
        .call(
            "run_script",
            json!({ "name": "one", "params": { "PROMPT": "a fox" } }),
        )
        .await;
    let asset = first_id(&made);
    let answer = client
        .call(
            "regenerate",
            json!({ "asset_id": asset, "steps": 3, "through": "script" }),
        )
        .await;
    assert_eq!(answer["script"], "one");
    let again = first_id(&answer["result"]);
    let made = metadata(&mut client, &again).await;
    assert_eq!(made["provenance"]["regenerated_from"], asset);
    assert_eq!(made["provenance"]["script"]["name"], "one");
    assert_eq!(made["provenance"]["parameters"]["STEPS"], 3);
}

/// The asset that a pipeline tells, however deep its result is packed.
fn first_id(answer: &Value) -> Value {
    let id = answer
        .get("asset_id")
        .or_else(|| answer["result"].get("asset_id"));
    id.unwrap_or_else(|| panic!("{answer:#}")).clone()
}

#[tokio::test]
async fn a_real_server_runs_what_was_changed() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let home = Home::new();
    let mut client = McpClient::start(&home, rig.url()).await;
    let (_, prompt_id) = client
        .queue(json!({ "PROMPT": "a red fox", "SEED": 1, "WIDTH": 64, "HEIGHT": 64, "STEPS": 3 }))
        .await;
    let asset = first_asset(&mut client, &json!(prompt_id)).await;
    let answer = client
        .call(
            "regenerate",
            json!({ "asset_id": asset, "seed": u64::MAX, "cfg": 4.5, "negative_prompt": "blur" }),
        )
        .await;
    let again = first_asset(&mut client, &answer["prompt_id"]).await;
    let made = metadata(&mut client, &again).await;
    assert_eq!(made["provenance"]["regenerated_from"], asset);
    assert_eq!(answer["seed"], u64::MAX);
    assert_eq!(answer["changed"].as_array().unwrap().len(), 3, "{answer:#}");
}
