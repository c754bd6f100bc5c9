//! Tools are scripts, and scripts are taken up while the server runs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, PATIENCE, sim_with_steps};

const FILE: &str = ".mmf/scripts/tools/greet.rhai";
const CHANGED: &str = "notifications/tools/list_changed";

fn greet(about: &str, word: &str) -> String {
    format!(
        "title(\"Greet\");\n\
         about(\"{about}\");\n\
         param(\"name\", \"string\", #{{ required: true }});\n\
         \n\
         fn run(p) {{\n\
         \x20   #{{ greeting: \"{word} \" + p.name }}\n\
         }}\n"
    )
}

/// What the list of tools says of the tool `greet`.
async fn about(client: &mut McpClient) -> Option<Value> {
    let tools = client.request("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    tools
        .into_iter()
        .find(|tool| tool["name"] == "greet")
        .map(|mut tool| tool["description"].take())
}

async fn call(client: &mut McpClient) -> Value {
    client.call("greet", json!({ "name": "you" })).await["greeting"].take()
}

/// Calls until the answer is `greeting`: a change that the client need not know of is not told.
async fn call_until(client: &mut McpClient, greeting: &str) {
    let answered = timeout(PATIENCE, async { while call(client).await != greeting {} }).await;
    assert!(answered.is_ok(), "it never answers {greeting}");
}

#[tokio::test]
async fn a_tool_comes_changes_and_goes_with_its_file() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    assert_eq!(about(&mut client).await, None);

    let file = home.write(FILE, &greet("Greets.", "hello"));
    client.notification(CHANGED).await;
    assert_eq!(about(&mut client).await, Some(json!("Greets.")));
    assert_eq!(call(&mut client).await, "hello you");

    home.write(FILE, &greet("Greets politely.", "good day"));
    client.notification(CHANGED).await;
    assert_eq!(about(&mut client).await, Some(json!("Greets politely.")));
    assert_eq!(call(&mut client).await, "good day you");

    std::fs::remove_file(file).unwrap();
    client.notification(CHANGED).await;
    assert_eq!(about(&mut client).await, None);
    let gone = client
        .request("tools/call", json!({ "name": "greet", "arguments": {} }))
        .await;
    assert_eq!(gone["error"]["code"], -32602);
}

#[tokio::test]
async fn a_new_body_is_taken_up_without_bothering_the_client() {
    let home = Home::new();
    home.write(FILE, &greet("Greets.", "hello"));
    let mut client = McpClient::start(&home, NOWHERE).await;
    assert_eq!(call(&mut client).await, "hello you");

    home.write(FILE, &greet("Greets.", "servus"));
    call_until(&mut client, "servus you").await;
    assert_eq!(
        client.unread(),
        Vec::<Value>::new(),
        "the list of tools is the same"
    );
}

#[tokio::test]
async fn a_broken_save_leaves_the_last_good_version_at_work() {
    let home = Home::new();
    home.write(FILE, &greet("Greets.", "hello"));
    let mut client = McpClient::start(&home, NOWHERE).await;

    home.write(
        FILE,
        &greet("Greets.", "hello").replace("greeting: ", "greeting "),
    );
    let log = client.logged("greet.rhai").await;
    assert!(log.contains("greet.rhai:6:"), "{log}");
    assert_eq!(call(&mut client).await, "hello you");
    assert_eq!(about(&mut client).await, Some(json!("Greets.")));

    let listed = home.mmf(["script", "list"]).run().await.exits(4);
    let frame: Vec<&str> = listed
        .stderr
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    let place = frame.iter().find(|line| line.contains("-->")).unwrap();
    assert!(place.ends_with("greet.rhai:6:17"), "{}", listed.stderr);
    let at = frame
        .iter()
        .position(|line| line.contains("#{ greeting \"hello"))
        .unwrap();
    assert_eq!(
        frame[at + 1].find('^'),
        frame[at].find("\"hello"),
        "{}",
        listed.stderr
    );

    home.write(FILE, &greet("Greets.", "hello again"));
    call_until(&mut client, "hello again you").await;
}

#[tokio::test]
async fn a_broken_import_leaves_the_last_good_version_at_work() {
    let home = Home::new();
    home.write(".mmf/scripts/lib/words.rhai", "fn hello() { \"hello\" }");
    let importing = format!("import \"words\" as words;\n{}", greet("Greets.", "hello"));
    let importing = importing.replace("\"hello \"", "words::hello() + \" \"");
    home.write(FILE, &importing);
    let mut client = McpClient::start(&home, NOWHERE).await;
    assert_eq!(call(&mut client).await, "hello you");

    home.write(FILE, &importing.replace("\"words\"", "\"wordss\""));
    let log = client.logged("greet.rhai").await;
    assert!(log.contains("did you mean \"words\"?"), "{log}");
    assert_eq!(call(&mut client).await, "hello you");
    assert_eq!(about(&mut client).await, Some(json!("Greets.")));
}

#[tokio::test]
async fn a_tool_that_was_never_good_says_what_is_wrong_with_it() {
    let home = Home::new();
    home.write(
        FILE,
        "title(\"Greet\"); about(\"Greets.\");\nfn run(p) { #{ greeting \"hello\" } }\n",
    );
    let listed = home
        .mmf(["script", "list", "--json"])
        .run()
        .await
        .exits(4)
        .json();
    let entries = listed["scripts"].as_array().unwrap();
    let greet = entries
        .iter()
        .find(|entry| entry["name"] == "greet")
        .unwrap();
    assert!(
        greet["problem"].as_str().unwrap().contains("greet.rhai:2:"),
        "{greet:#}"
    );

    let mut client = McpClient::start(&home, NOWHERE).await;
    assert_eq!(about(&mut client).await, None);
    let failure = client.call_fails("greet", json!({})).await;
    assert_eq!(failure["error"], "SCRIPT_ERROR", "{failure:#}");
    assert!(
        failure["frame"]
            .as_str()
            .unwrap()
            .contains("#{ greeting \"hello\""),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_mistake_at_run_time_is_shown_with_its_line() {
    let home = Home::new();
    home.write(FILE, &greet("Greets.", "hello").replace("p.name", "p.nmae"));
    let mut client = McpClient::start(&home, NOWHERE).await;
    let failure = client.call_fails("greet", json!({ "name": "you" })).await;
    assert_eq!(failure["error"], "SCRIPT_ERROR", "{failure:#}");
    assert!(
        failure["frame"].as_str().unwrap().contains("greet.rhai:6:"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn what_a_script_throws_is_what_the_client_reads() {
    let home = Home::new();
    let throwing = "title(\"Greet\"); about(\"Greets.\");\nfn run(p) { throw #{ code: \"NO_GREETING\", message: \"not today\", day: 3 } }\n";
    home.write(FILE, throwing);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let mut failure = client.call_fails("greet", json!({})).await;
    let at = failure.as_object_mut().unwrap().remove("at").unwrap();
    assert_eq!(
        failure,
        json!({ "error": "NO_GREETING", "message": "not today", "day": 3 })
    );
    assert_eq!(
        (&at["line"], &at["column"]),
        (&json!(2), &json!(13)),
        "{at}"
    );
}

#[tokio::test]
async fn what_a_script_prints_does_not_reach_stdout() {
    let home = Home::new();
    let printing = "title(\"Greet\"); about(\"Greets.\");\nfn run(p) { print(\"printed\"); debug(\"debugged\"); #{} }\n";
    home.write(FILE, printing);
    let mut client = McpClient::start(&home, NOWHERE).await;
    assert_eq!(client.call("greet", json!({})).await, json!({}));
    client.logged("printed").await;
}

#[tokio::test]
async fn a_script_without_end_can_be_given_up() {
    let home = Home::new();
    home.write(
        FILE,
        "title(\"Greet\"); about(\"Greets.\");\nfn run(p) { loop { } }\n",
    );
    let mut client = McpClient::start(&home, NOWHERE).await;
    let endless = client.begin("greet", json!({})).await;
    client.cancel(endless).await;
    client.call("list_workflow_templates", json!({})).await;
    let (status, _) = client.close().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_call_ends_with_the_script_that_it_began_with() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let waiting = r#"
        title("Greet");
        about("Waits.");
        param("prompt_id", "string", #{ required: true });
        fn run(p) {
            try { comfy::wait(p.prompt_id, 60.0) } catch (error) { return #{ greeting: error.code } }
        }"#;
    home.write(FILE, waiting);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a fox", "STEPS": 150 });
    let (_, prompt_id) = client.queue(params).await;
    let arguments = json!({ "prompt_id": prompt_id });
    let waiting = client.begin("greet", arguments.clone()).await;
    client.notification("notifications/progress").await;

    home.write(FILE, &greet("Greets.", "hello"));
    client.notification(CHANGED).await;
    assert_eq!(call(&mut client).await, "hello you");
    client.call("cancel_job", arguments).await;
    let answer = client.answer(waiting).await;
    let ended = &answer["result"]["structuredContent"];
    assert_eq!(*ended, json!({ "greeting": "CANCELLED" }), "{answer:#}");
}

#[tokio::test]
async fn what_a_script_says_of_its_progress_reaches_the_client() {
    let home = Home::new();
    let stages = "title(\"Greet\"); about(\"Greets.\");\n\
        fn run(p) { progress(\"begun\", 0.25); progress(\"back\", 0.125); progress(\"half\", 0.5); #{} }\n";
    home.write(FILE, stages);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let call = client.begin("greet", json!({})).await;
    client.answer(call).await;
    let heard: Vec<Value> = client
        .unread()
        .into_iter()
        .map(|mut message| message["params"].take())
        .collect();
    let stage = |progress: f64, message: &str| json!({ "progressToken": call, "progress": progress, "total": 1.0, "message": message });
    assert_eq!(
        heard,
        [stage(0.25, "begun"), stage(0.5, "half")],
        "it never goes back"
    );
}

#[tokio::test]
async fn every_job_of_a_script_shows_its_progress() {
    let comfy = sim_with_steps(Duration::from_millis(5), &[]).await;
    let home = Home::new();
    let two = r#"
        title("Greet");
        about("Paints two pictures.");
        fn run(p) {
            for seed in [1, 2] {
                let params = #{ PROMPT: "a fox", SEED: seed, STEPS: 4, WIDTH: 64, HEIGHT: 64 };
                comfy::run(templates::build("sd3_txt2img", params));
            }
            #{}
        }"#;
    home.write(FILE, two);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let call = client.begin("greet", json!({})).await;
    client.answer(call).await;
    let heard = client.unread();
    let steps = heard.iter().filter(|heard| {
        let message = heard["params"]["message"].as_str();
        message.is_some_and(|message| message.starts_with("KSampler 2/4"))
    });
    let progress: Vec<f64> = steps
        .map(|step| step["params"]["progress"].as_f64().unwrap())
        .collect();
    assert!(
        progress.len() == 2 && progress[1] > progress[0] + 2.0,
        "{heard:#?}"
    );
}
