//! Prompts are scripts, and what is typed for them and for addresses is completed.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim};

async fn get(client: &mut McpClient, name: &str, arguments: Value) -> Value {
    client
        .request(
            "prompts/get",
            json!({ "name": name, "arguments": arguments }),
        )
        .await
}

async fn complete(client: &mut McpClient, reference: Value, name: &str, typed: &str) -> Value {
    let argument = json!({ "name": name, "value": typed });
    let answer = client
        .request(
            "completion/complete",
            json!({ "ref": reference, "argument": argument }),
        )
        .await;
    assert_eq!(answer["error"], Value::Null);
    answer["result"]["completion"].clone()
}

#[tokio::test]
async fn a_prompt_comes_with_its_file_and_says_what_it_was_told() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let critic = r#"
        title("Critic"); about("Has a picture judged.");
        param("style", "string", #{ required: true, about: "Of the critic", choices: ["kind", "harsh"] });
        param("words", "int", #{ value: 50 });
        fn messages(p) {
            [
                user(`Be ${p.style}, in ${p.words + 1} words.`),
                user(reply().text("Look:").image("aGk=", "image/png")),
                assistant("Well,"),
                "and now?",
            ]
        }"#;
    home.write(".mmf/scripts/prompts/critic.rhai", critic);
    client
        .notification("notifications/prompts/list_changed")
        .await;
    let listed = client.request("prompts/list", json!({})).await;
    let prompts = listed["result"]["prompts"].as_array().unwrap();
    let listed = prompts.iter().find(|prompt| prompt["name"] == "critic");
    assert_eq!(
        listed,
        Some(&json!({
            "name": "critic", "title": "Critic", "description": "Has a picture judged.",
            "arguments": [
                { "name": "style", "description": "Of the critic", "required": true },
                { "name": "words", "required": false },
            ],
        }))
    );

    let got = get(
        &mut client,
        "critic",
        json!({ "style": "kind", "words": "9" }),
    )
    .await;
    let text = |role: &str, text: &str| json!({ "role": role, "content": { "type": "text", "text": text } });
    assert_eq!(
        got["result"],
        json!({
            "description": "Has a picture judged.",
            "messages": [
                text("user", "Be kind, in 10 words."),
                text("user", "Look:"),
                { "role": "user", "content": { "type": "image", "data": "aGk=", "mimeType": "image/png" } },
                text("assistant", "Well,"),
                text("user", "and now?"),
            ],
        })
    );
    let refused = get(&mut client, "critic", json!({ "style": "rude" })).await;
    assert_eq!(refused["error"]["code"], -32602);
    assert_eq!(refused["error"]["data"]["fields"], json!(["style"]));
    let unknown = get(&mut client, "crtic", json!({})).await;
    assert_eq!(
        unknown["error"]["message"],
        "no prompt \"crtic\", did you mean \"critic\"?"
    );

    let critic = json!({ "type": "ref/prompt", "name": "critic" });
    assert_eq!(
        complete(&mut client, critic.clone(), "style", "h").await,
        json!({ "values": ["harsh"], "total": 1, "hasMore": false })
    );
    assert_eq!(
        complete(&mut client, critic, "words", "1").await["values"],
        json!([])
    );
}

#[tokio::test]
async fn only_a_resource_that_is_missing_has_a_code_of_its_own() {
    let home = Home::new();
    let lost =
        "about(\"x\");\nfn messages(p) { throw #{ code: \"NOT_FOUND\", message: \"gone\" } }\n";
    home.write(".mmf/scripts/prompts/lost.rhai", lost);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let failed = get(&mut client, "lost", json!({})).await;
    assert_eq!(failed["error"]["code"], -32603, "{failed:#}");
    assert_eq!(failed["error"]["data"]["error"], "NOT_FOUND", "{failed:#}");
}

#[tokio::test]
async fn a_mistake_in_a_prompt_is_told_with_its_place() {
    let home = Home::new();
    let broken = "about(\"x\");\nfn messages(p) { user(42) }\n";
    home.write(".mmf/scripts/prompts/broken.rhai", broken);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let failed = get(&mut client, "broken", json!({})).await;
    let error = &failed["error"];
    assert_eq!(error["code"], -32603, "{failed:#}");
    assert_eq!(error["data"]["error"], "SCRIPT_ERROR");
    let frame = error["data"]["frame"].as_str().unwrap();
    assert!(frame.contains("broken.rhai:2:"), "{frame}");
}

#[tokio::test]
async fn what_is_typed_for_an_address_is_completed() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    let done = client.wait(&prompt_id).await;
    let mut first = async |uri: &str, name: &str, typed: &str| {
        let reference = json!({ "type": "ref/resource", "uri": uri });
        let completion = complete(&mut client, reference, name, typed).await;
        completion["values"][0].clone()
    };
    assert_eq!(
        first("mmf://templates/{name}", "name", "sd3_").await,
        "sd3_txt2img"
    );
    assert_eq!(
        first("mmf://nodes/{class}", "class", "ksamp").await,
        "KSampler"
    );
    assert_eq!(
        first("mmf://models/{folder}", "folder", "check").await,
        "checkpoints"
    );
    assert_eq!(
        first("mmf://assets/{asset_id}", "asset_id", "fox").await,
        done["outputs"][0]["asset_id"],
        "an asset is found by what it shows"
    );

    let reference = json!({ "type": "ref/resource", "uri": "mmf://scripts/{kind}/{name}" });
    let params = json!({
        "ref": reference,
        "argument": { "name": "name", "value": "list" },
        "context": { "arguments": { "kind": "tool" } },
    });
    let answer = client.request("completion/complete", params).await;
    let names = &answer["result"]["completion"]["values"];
    assert!(
        names.as_array().unwrap().contains(&json!("list_assets")),
        "{names}"
    );
}

#[tokio::test]
async fn without_a_server_completion_offers_what_it_knows() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let nodes = json!({ "type": "ref/resource", "uri": "mmf://nodes/{class}" });
    let completion = complete(&mut client, nodes, "class", "KSampler").await;
    assert_eq!(
        completion["values"][0], "KSampler",
        "of the bundled node types"
    );
    let models = json!({ "type": "ref/resource", "uri": "mmf://models/{folder}" });
    let completion = complete(&mut client, models, "folder", "").await;
    assert_eq!(completion["values"], json!([]));
}

#[tokio::test]
async fn the_prompts_that_are_shipped_speak() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let arguments = json!({
        "generate_and_iterate": { "idea": "a fox in the snow" },
        "find_best_settings": { "template": "sd3_txt2img" },
        "debug_failed_workflow": { "prompt_id": "1b2c" },
        "write_pipeline": { "goal": "three sizes of one picture" },
    });
    let listed = client.request("prompts/list", json!({})).await;
    let prompts = listed["result"]["prompts"].as_array().unwrap().clone();
    for name in arguments.as_object().unwrap().keys() {
        assert!(
            prompts.iter().any(|prompt| prompt["name"] == **name),
            "{name}"
        );
    }
    for prompt in prompts {
        let name = prompt["name"].as_str().unwrap();
        let got = get(&mut client, name, arguments[name].clone()).await;
        let text = got["result"]["messages"][0]["content"]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{name}: {got:#}"));
        for said in arguments[name].as_object().unwrap().values() {
            assert!(text.contains(said.as_str().unwrap()), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn the_guide_to_scripts_teaches_what_passes_the_check() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let goal = json!({ "goal": "anything" });
    let got = get(&mut client, "write_pipeline", goal).await;
    let text = got["result"]["messages"][0]["content"]["text"].as_str();
    let examples = text.unwrap().split("```rhai\n").skip(1);
    let examples: Vec<&str> = examples
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), 2, "{text:?}");
    for source in &examples {
        let checked = client
            .call("check_script", json!({ "source": source }))
            .await;
        assert_eq!(checked["problems"], json!([]), "{checked:#}");
        assert_eq!(checked["kind"], "pipeline");
    }
    let params = json!({ "PROMPT": "a fox" });
    let arguments = json!({ "source": examples[0], "params": params });
    let ran = client.call("run_script", arguments).await;
    let arguments =
        json!({ "source": examples[1], "params": { "asset_id": ran["asset_id"], "steps": 2 } });
    let again = client.call("run_script", arguments).await;
    assert_eq!(again["status"], "completed", "{again:#}");
}
