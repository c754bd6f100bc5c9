//! Scripts talk with the client while they run: they log, ask its user, ask its model.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::{McpClient, initialize};
use crate::support::mmf::{Home, NOWHERE, sim_with_steps};

const FILE: &str = ".mmf/scripts/tools/talk.rhai";

fn tool(body: &str) -> String {
    format!("title(\"Talk\"); about(\"Talks.\");\nfn run(p) {{ {body} }}\n")
}

/// Asks for a number, and what the model says to it.
const ASKING: &str = r#"
    let asked = ask("How many?", #{ n: #{ type: "integer", value: 3 } });
    if asked.action != "accept" { return asked; }
    #{ n: asked.content.n, said: sample(`Is ${asked.content.n} much?`, #{ max_tokens: 9, system: "Be brief." }) }"#;

/// A client that can be asked, of the earlier lifecycles.
async fn asked(home: &Home) -> McpClient {
    asked_at(home, NOWHERE, json!({})).await
}

async fn asked_at(home: &Home, url: &str, extensions: Value) -> McpClient {
    let mut client = McpClient::connect(home.mmf(["serve"]).server(url));
    let mut greeting = initialize();
    greeting["capabilities"] =
        json!({ "elicitation": {}, "sampling": {}, "extensions": extensions });
    client.request("initialize", greeting).await;
    client.notify("notifications/initialized", json!({})).await;
    client
}

async fn question(client: &mut McpClient, method: &str) -> (Value, Value) {
    let mut request = client.until(|message| message["method"] == method).await;
    (request["id"].take(), request["params"].take())
}

#[tokio::test]
async fn the_user_and_the_model_of_the_client_are_asked() {
    let home = Home::new();
    home.write(FILE, &tool(ASKING));
    let mut client = asked(&home).await;
    let call = client.begin("talk", json!({})).await;

    let (id, params) = question(&mut client, "elicitation/create").await;
    assert_eq!(params["message"], "How many?");
    assert_eq!(
        params["requestedSchema"],
        json!({
            "type": "object",
            "properties": { "n": { "type": "integer", "default": 3 } },
            "required": ["n"],
        })
    );
    client
        .respond(&id, json!({ "action": "accept", "content": { "n": 5 } }))
        .await;

    let (id, params) = question(&mut client, "sampling/createMessage").await;
    assert_eq!(params["messages"][0]["content"]["text"], "Is 5 much?");
    assert_eq!(
        (&params["maxTokens"], &params["systemPrompt"]),
        (&json!(9), &json!("Be brief."))
    );
    let said =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "No." } });
    client.respond(&id, said).await;

    let answer = client.answer(call).await;
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({ "n": 5, "said": "No." })
    );
}

#[tokio::test]
async fn who_declines_is_heard_and_who_can_not_be_asked_is_not() {
    let home = Home::new();
    home.write(FILE, &tool(ASKING));
    let mut client = asked(&home).await;
    let call = client.begin("talk", json!({})).await;
    let (id, _) = question(&mut client, "elicitation/create").await;
    client.respond(&id, json!({ "action": "decline" })).await;
    let answer = client.answer(call).await;
    assert_eq!(answer["result"]["structuredContent"]["action"], "decline");

    let mut silent = McpClient::start(&home, NOWHERE).await;
    let answer = silent.call("talk", json!({})).await;
    assert_eq!(answer["action"], "unsupported");
    home.write(FILE, &tool("#{ said: sample(\"Hello?\") }"));
    let ran = home.mmf(["call", "talk"]).run().await.exits(0);
    assert_eq!(
        ran.json(),
        json!({ "said": null }),
        "a shell lends no model"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_an_error_of_the_script() {
    let home = Home::new();
    home.write(FILE, &tool(ASKING));
    let mut client = asked(&home).await;
    let call = client.begin("talk", json!({})).await;
    let (id, _) = question(&mut client, "elicitation/create").await;
    let wrong = json!({ "action": "accept", "content": { "n": "five" } });
    client.respond(&id, wrong).await;
    let answer = client.answer(call).await;
    assert_eq!(
        answer["result"]["structuredContent"]["error"], "VALIDATION_ERROR",
        "{answer:#}"
    );
}

#[tokio::test]
async fn a_script_that_waits_for_an_answer_can_be_cancelled() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(50), &[]).await;
    let body = r#"
        let job = comfy::submit(templates::build("sd3_txt2img", #{ PROMPT: "a fox", STEPS: 150 }));
        log("info", job.prompt_id);
        ask("Go on?", #{ yes: #{ type: "boolean" } })"#;
    home.write(FILE, &tool(body));
    let mut client = asked_at(&home, &comfy.url(), json!({})).await;
    let call = client.begin("talk", json!({})).await;
    question(&mut client, "elicitation/create").await;
    let job = client.notification("notifications/message").await;
    let job = json!({ "prompt_id": job["data"] });
    client.cancel(call).await;
    // A run that is cancelled takes its jobs along, which would go on for seconds.
    loop {
        let status = client.call("get_workflow_status", job.clone()).await;
        match status["status"].as_str().unwrap() {
            "queued" | "running" => {}
            ended => {
                assert_ne!(ended, "completed", "{status:#}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn after_its_handle_a_script_finds_nobody_to_ask_and_goes_on() {
    let home = Home::new();
    home.write(".mmf/config.toml", "[mcp]\ncall_limit_seconds = 0.2\n");
    let body = r#"
        let form = #{ n: #{ type: "integer" } };
        let open = ask("How many?", form);
        let late = ask("How many?", form);
        #{ open: open.action, late: late.action, said: sample("Hello?") }"#;
    home.write(FILE, &format!("meta(#{{ long: true }});\n{}", tool(body)));
    let mut client = asked(&home).await;
    let handle = client.call("talk", json!({})).await;
    assert_eq!(handle["status"], "working", "{handle:#}");
    let arguments = json!({ "prompt_id": handle["run_id"] });
    let done = client.call("wait_for_completion", arguments).await;
    assert_eq!(
        done,
        json!({ "open": "unsupported", "late": "unsupported", "said": null })
    );
}

#[tokio::test]
async fn a_client_that_knows_tasks_is_asked_by_the_scripts_that_it_runs() {
    let home = Home::new();
    let tasks = json!({ "io.modelcontextprotocol/tasks": {} });
    let mut client = asked_at(&home, NOWHERE, tasks).await;
    let source = r#"title("Ask"); about("Asks."); fn run(p) { ask("How many?", #{ n: #{ type: "integer" } }) }"#;
    let call = client
        .begin("run_script", json!({ "source": source }))
        .await;
    let (id, _) = question(&mut client, "elicitation/create").await;
    let accepted = json!({ "action": "accept", "content": { "n": 5 } });
    client.respond(&id, accepted).await;
    let answer = client.answer(call).await;
    let answered = answer["result"].to_string();
    assert!(answered.contains("accept"), "{answer:#}");
}

#[tokio::test]
async fn a_script_that_would_be_one_question_too_many_hears_that_nobody_answers() {
    let home = Home::new();
    home.write(FILE, &tool(ASKING));
    let mut client = McpClient::connect(home.mmf(["serve"]));
    let mut open = 0;
    loop {
        let params = json!({ "name": "talk", "arguments": {}, "_meta": meta(None) });
        let answer = client.request("tools/call", params).await["result"].take();
        if answer["resultType"] == "input_required" {
            open += 1;
            assert!(open <= 32, "{answer:#}");
            continue;
        }
        assert_eq!(answer["structuredContent"]["action"], "unsupported");
        assert_eq!(open, 32);
        return;
    }
}

#[tokio::test]
async fn the_log_reaches_the_client_as_far_as_it_wants_to_hear_it() {
    let home = Home::new();
    home.write(
        FILE,
        &tool(
            "log(\"debug\", \"one\"); log(\"info\", \"two\"); log(\"error\", #{ three: 3 }); #{}",
        ),
    );
    let mut client = McpClient::start(&home, NOWHERE).await;
    let mut heard = async |level: Option<&str>| {
        if let Some(level) = level {
            client
                .request("logging/setLevel", json!({ "level": level }))
                .await;
        }
        client.call("talk", json!({})).await;
        let unread = client.unread().into_iter();
        unread
            .map(|mut message| message["params"].take())
            .collect::<Vec<_>>()
    };
    let line = |level: &str, data: Value| json!({ "level": level, "logger": "talk", "data": data });
    let (two, three) = (
        line("info", json!("two")),
        line("error", json!({ "three": 3 })),
    );
    assert_eq!(heard(None).await, [two.clone(), three.clone()]);
    assert_eq!(heard(Some("warning")).await, std::slice::from_ref(&three));
    let one = line("debug", json!("one"));
    assert_eq!(heard(Some("debug")).await, [one, two, three]);
}

/// What every request of the lifecycle of 2026-07-28 carries.
fn meta(level: Option<&str>) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {}, "sampling": {} },
    });
    if let Some(level) = level {
        meta["io.modelcontextprotocol/logLevel"] = level.into();
    }
    meta
}

#[tokio::test]
async fn without_requests_of_the_server_the_answer_comes_with_a_further_call() {
    let home = Home::new();
    home.write(FILE, &tool(ASKING));
    let mut client = McpClient::connect(home.mmf(["serve"]));
    let call = |further: Value| {
        let mut params = json!({ "name": "talk", "arguments": {}, "_meta": meta(None) });
        let further = further.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(further);
        params
    };
    let first = client.request("tools/call", call(json!({}))).await["result"].take();
    assert_eq!(first["resultType"], "input_required", "{first:#}");
    let asked = &first["inputRequests"]["question"];
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(asked["params"]["message"], "How many?");

    let answers = json!({ "question": { "action": "accept", "content": { "n": 5 } } });
    let state = first["requestState"].clone();
    let further = json!({ "requestState": state, "inputResponses": answers });
    let second = client.request("tools/call", call(further.clone())).await["result"].take();
    let asked = &second["inputRequests"]["question"];
    assert_eq!(asked["method"], "sampling/createMessage", "{second:#}");
    assert_ne!(second["requestState"], state);

    let said =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "No." } });
    let last =
        json!({ "requestState": second["requestState"], "inputResponses": { "question": said } });
    let third = client.request("tools/call", call(last)).await["result"].take();
    assert_eq!(third["structuredContent"], json!({ "n": 5, "said": "No." }));

    let late = client.request("tools/call", call(further)).await["result"].take();
    assert_eq!(late["structuredContent"]["error"], "TIMEOUT", "{late:#}");
}

#[tokio::test]
async fn each_request_says_what_it_wants_to_hear_of_the_log() {
    let home = Home::new();
    home.write(
        FILE,
        &tool("log(\"info\", \"one\"); log(\"error\", \"two\"); #{}"),
    );
    let mut client = McpClient::connect(home.mmf(["serve"]));
    for (level, wanted) in [(None, 0), (Some("error"), 1), (Some("debug"), 2)] {
        let params = json!({ "name": "talk", "arguments": {}, "_meta": meta(level) });
        client.request("tools/call", params).await;
        assert_eq!(client.unread().len(), wanted, "{level:?}");
    }
}
