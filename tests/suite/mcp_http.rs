//! MCP over streamable HTTP: who may come in, several clients at once, streams that break off.

use std::time::Duration;

use reqwest::StatusCode;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use crate::support::http::{Events, HttpServer, SESSION, request};
use crate::support::mcp::initialize;
use crate::support::mmf::{Home, NOWHERE, sim_with_steps};
use crate::support::sim::http;

const TOKEN: &str = "correct-horse-battery-staple";

fn small() -> Value {
    json!({ "PROMPT": "a fox", "STEPS": 2, "WIDTH": 64, "HEIGHT": 64 })
}

fn long(seed: u64) -> Value {
    json!({ "PROMPT": "a fox", "STEPS": 150, "WIDTH": 64, "HEIGHT": 64, "SEED": seed })
}

fn is_step(message: &Value) -> bool {
    message["params"]["message"]
        .as_str()
        .is_some_and(|text| text.starts_with("KSampler "))
}

#[tokio::test]
async fn clients_with_the_same_numbers_cancel_only_their_own_calls() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let server = HttpServer::start(&home, &comfy.url()).await;
    let (one, other) = (server.session().await, server.session().await);
    assert_ne!(one.id, other.id);
    let running = one.queue(&long(1)).await;
    let kept = other.queue(&small()).await;

    let wait = |prompt_id: &str| json!({ "prompt_id": prompt_id });
    let mut of_one = one
        .begin(&json!(7), "wait_for_completion", &wait(&running))
        .await;
    of_one.until(is_step).await;
    let mut of_other = other
        .begin(&json!(7), "wait_for_completion", &wait(&kept))
        .await;
    of_other
        .until(|message| message["method"] == "notifications/progress")
        .await;
    one.notify("notifications/cancelled", &json!({ "requestId": 7 }))
        .await;
    let done = of_other.answer(&json!(7)).await;
    assert_eq!(
        done["result"]["structuredContent"]["status"], "completed",
        "{done:#}"
    );
    let status = one.call("get_workflow_status", &wait(&running)).await;
    assert_eq!(status["status"], "interrupted", "{status:#}");
    let listed = one.call("list_assets", &json!({})).await;
    assert_eq!(listed["count"], 1, "both see all assets: {listed:#}");
}

#[tokio::test]
async fn a_session_stops_only_what_it_has_submitted_unless_told_otherwise() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let server = HttpServer::start(&home, &comfy.url()).await;
    let (one, other) = (server.session().await, server.session().await);
    let running = one.queue(&long(1)).await;
    let wait = json!({ "prompt_id": running });
    let mut of_other = other.begin(&json!(7), "wait_for_completion", &wait).await;
    of_other.until(is_step).await;
    other
        .notify("notifications/cancelled", &json!({ "requestId": 7 }))
        .await;
    let refused = other.call("interrupt_execution", &json!({})).await;
    assert_eq!(refused["error"], "NOT_ALLOWED", "{refused:#}");
    let status = other.call("get_workflow_status", &wait).await;
    assert_eq!(status["status"], "running", "{status:#}");

    let stopped = one.call("interrupt_execution", &json!({})).await;
    assert_eq!(stopped["interrupted"], json!([running]), "{stopped:#}");

    let painted = one.queue(&small()).await;
    let done = json!({ "prompt_id": painted });
    let done = one.call("wait_for_completion", &done).await;
    let asset = json!({ "asset_id": done["outputs"][0]["asset_id"] });
    let asset = other.call("get_asset_metadata", &asset).await;
    let theirs = json!({ "session_id": asset["session_id"] });
    let listed = other.call("list_assets", &theirs).await;
    assert_eq!(listed["count"], 1, "{listed:#}");
    let again = other.queue(&small()).await;
    other
        .call("wait_for_completion", &json!({ "prompt_id": again }))
        .await;
    let listed = other.call("list_assets", &theirs).await;
    assert_eq!(listed["count"], 1, "each has its own: {listed:#}");
}

#[tokio::test]
async fn a_stream_that_broke_off_is_taken_up_again() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let server = HttpServer::start(&home, &comfy.url()).await;
    let session = server.session().await;
    let prompt_id = session.queue(&small()).await;
    let arguments = json!({ "prompt_id": prompt_id });
    let mut events = session
        .begin(&json!(1), "wait_for_completion", &arguments)
        .await;
    events
        .until(|message| message["method"] == "notifications/progress")
        .await;
    let last = events.last.clone();
    assert!(!last.is_empty());
    drop(events);
    let mut resumed = session.resume(&last).await;
    let done = resumed.answer(&json!(1)).await;
    assert_eq!(
        done["result"]["structuredContent"]["status"], "completed",
        "{done:#}"
    );
}

#[tokio::test]
async fn what_another_site_sends_is_refused() {
    let home = Home::new();
    let server = HttpServer::start(&home, NOWHERE).await;
    let greeting = request(&json!(1), "initialize", &initialize());
    let own = server.url.trim_end_matches("/mcp").to_owned();
    for (header, value, status) in [
        ("host", "evil.example.com", StatusCode::FORBIDDEN),
        ("origin", "http://evil.example.com", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", "http://localhost:1", StatusCode::FORBIDDEN),
        ("origin", own.as_str(), StatusCode::OK),
        ("host", "localhost:8765", StatusCode::OK),
    ] {
        let answer = server.post(&greeting).header(header, value).send().await;
        assert_eq!(answer.unwrap().status(), status, "{header}: {value}");
    }
}

#[tokio::test]
async fn a_page_that_the_user_allows_may_speak() {
    let home = Home::new();
    home.write(
        "user.toml",
        "[mcp]\nallowed_hosts = [\"gpu.example.com\"]\nallowed_origins = [\"https://app.example.com:443\"]\n",
    );
    let user = home.project().join("massmediafactory");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::rename(home.project().join("user.toml"), user.join("config.toml")).unwrap();
    let serve = home.mmf(["serve", "--http", "127.0.0.1:0"]);
    let server = HttpServer::of(serve.env("XDG_CONFIG_HOME", home.project())).await;
    let greeting = request(&json!(1), "initialize", &initialize());
    let from = |host: &str, origin: &str| {
        let post = server.post(&greeting).header("host", host.to_owned());
        post.header("origin", origin.to_owned()).send()
    };
    let allowed = from("gpu.example.com", "https://app.example.com").await;
    assert_eq!(allowed.unwrap().status(), StatusCode::OK);
    let refused = from("gpu.example.com", "https://other.example.com").await;
    assert_eq!(refused.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn with_a_token_nobody_else_comes_in_and_the_log_keeps_it_secret() {
    let home = Home::new();
    let serve = home.mmf(["serve", "--http", "127.0.0.1:0", "-vv"]);
    let server = HttpServer::of(serve.env("MMF_HTTP_TOKEN", TOKEN)).await;
    let greeting = request(&json!(1), "initialize", &initialize());
    for wrong in [
        None,
        Some(format!("Bearer {TOKEN}x")),
        Some(TOKEN.to_owned()),
    ] {
        let mut post = server.post(&greeting);
        if let Some(wrong) = &wrong {
            post = post.header("authorization", wrong);
        }
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{wrong:?}");
        assert!(answer.headers().contains_key("www-authenticate"));
    }
    let get = http()
        .get(&server.url)
        .header("accept", "text/event-stream");
    assert_eq!(get.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let post = server.post(&greeting).bearer_auth(TOKEN);
    let answer = Events::of(post.send().await.unwrap());
    assert!(answer.headers().contains_key(SESSION));
    drop(answer);
    let (status, log) = server.terminate().await;
    assert!(status.success(), "{status}");
    assert!(!log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn beyond_this_machine_it_does_not_start_without_a_token() {
    let home = Home::new();
    let ran = home.mmf(["serve", "--http", "0.0.0.0:0"]).run().await;
    let ran = ran.exits(3);
    assert!(ran.stderr.contains("MMF_HTTP_TOKEN"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_cuts_waits_off_and_leaves_their_jobs() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let server = HttpServer::start(&home, &comfy.url()).await;
    let session = server.session().await;
    let prompt_id = session.queue(&long(1)).await;
    let arguments = json!({ "prompt_id": prompt_id });
    let mut events = session
        .begin(&json!(1), "wait_for_completion", &arguments)
        .await;
    events.until(is_step).await;
    drop(session);
    let (status, log) = server.terminate().await;
    assert!(status.success(), "{status}: {log}");

    let next = HttpServer::start(&home, &comfy.url()).await;
    let session = next.session().await;
    let done = session.call("wait_for_completion", &arguments).await;
    assert_eq!(done["status"], "completed", "{done:#}");
}

/// The lifecycle of 2026-07-28, whose requests belong to no session.
#[tokio::test]
async fn a_client_without_a_session_cancels_by_hanging_up() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let server = HttpServer::start(&home, &comfy.url()).await;
    let session = server.session().await;
    let version = ProtocolVersion::V_2026_07_28;
    let begin = async |tool: &str, arguments: &Value| {
        let params = json!({
            "name": tool,
            "arguments": arguments,
            "_meta": {
                "progressToken": 1,
                "io.modelcontextprotocol/protocolVersion": version.as_str(),
                "io.modelcontextprotocol/clientInfo": { "name": "tests", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        });
        let post = server
            .post(&request(&json!(1), "tools/call", &params))
            .header("mcp-protocol-version", version.as_str())
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool);
        Events::of(post.send().await.unwrap())
    };
    let arguments = json!({ "name": "sd3_txt2img", "params": long(1) });
    let built = session
        .call("create_workflow_from_template", &arguments)
        .await;
    let mut queued = begin("execute_workflow", &built).await;
    let queued = queued.answer(&json!(1)).await;
    let running = &queued["result"]["structuredContent"]["prompt_id"];
    let arguments = json!({ "prompt_id": running });
    let mut events = begin("wait_for_completion", &arguments).await;
    events.until(is_step).await;
    drop(events);
    let failure = session.call("wait_for_completion", &arguments).await;
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
}

#[tokio::test]
async fn a_client_without_a_greeting_calls_tools() {
    let (home, comfy) = (Home::new(), sim_with_steps(Duration::ZERO, &[]).await);
    let serve = home.mmf(["serve", "--http", "127.0.0.1:0"]);
    let serve = serve.server(&comfy.url()).env("MMF_HTTP_TOKEN", TOKEN);
    let server = HttpServer::of(serve).await;
    let config =
        StreamableHttpClientTransportConfig::with_uri(server.url.clone()).auth_header(TOKEN);
    let transport = StreamableHttpClientTransport::with_client(http().clone(), config);
    let mode = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    let client = ().serve_with_lifecycle(transport, mode).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "get_queue_status"));
    let called = client
        .call_tool(CallToolRequestParams::new("get_queue_status"))
        .await
        .unwrap();
    assert_eq!(called.structured_content.unwrap()["running"], 0);
    let unknown = client
        .call_tool(CallToolRequestParams::new("get_queue_statu"))
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("-32602"), "{unknown}");
    client.cancel().await.unwrap();
}
