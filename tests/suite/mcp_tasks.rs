//! Long tools as tasks, for clients that know the protocol's extension for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::{Events, HttpServer, request};
use crate::support::mcp::{McpClient, initialize};
use crate::support::mmf::{Home, sim_with_steps};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

fn long(seed: u64) -> Value {
    json!({ "PROMPT": "a fox", "STEPS": 100, "WIDTH": 64, "HEIGHT": 64, "SEED": seed })
}

/// A client of the earlier lifecycle that knows tasks.
async fn client(home: &Home, url: &str) -> McpClient {
    let mut client = McpClient::connect(home.mmf(["serve"]).server(url));
    let mut greeting = initialize();
    greeting["capabilities"] = json!({ "extensions": { EXTENSION: {} } });
    let info = client.request("initialize", greeting).await;
    let extensions = &info["result"]["capabilities"]["extensions"];
    assert!(extensions[EXTENSION].is_object(), "{info:#}");
    client.notify("notifications/initialized", json!({})).await;
    client
}

/// Queues a job and begins the task of waiting for it: the job and the task.
async fn begin(client: &mut McpClient, seed: u64) -> (String, Value) {
    let (_, prompt_id) = client.queue(long(seed)).await;
    let created = client
        .call_raw("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;
    assert_eq!(
        (&created["resultType"], &created["status"]),
        (&json!("task"), &json!("working")),
        "{created:#}"
    );
    assert!(created["ttlMs"].is_u64(), "{created:#}");
    (prompt_id, created["taskId"].clone())
}

/// Asks until a task is over.
async fn ended(client: &mut McpClient, task: &Value) -> Value {
    loop {
        let got = client.request("tasks/get", json!({ "taskId": task })).await;
        let got = got["result"].clone();
        if got["status"] != "working" {
            return got;
        }
    }
}

#[tokio::test]
async fn a_task_is_told_about_and_kept_for_the_next_server() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(10), &[]).await;
    let mut first = client(&home, &comfy.url()).await;
    let (prompt_id, task) = begin(&mut first, 1).await;
    let told = first.notification("notifications/tasks").await;
    assert_eq!(
        (&told["taskId"], &told["status"]),
        (&task, &json!("completed")),
        "{told:#}"
    );
    let done = ended(&mut first, &task).await;
    assert_eq!(done["result"], told["result"], "{done:#}");
    let answer = &done["result"]["structuredContent"];
    assert_eq!(
        (&answer["status"], &answer["prompt_id"]),
        (&json!("completed"), &json!(prompt_id)),
        "{done:#}"
    );
    first.kill().await;
    let mut next = client(&home, &comfy.url()).await;
    assert_eq!(ended(&mut next, &task).await, done);
}

#[tokio::test]
async fn a_task_whose_server_was_killed_goes_on_at_the_next_one() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(10), &[]).await;
    let mut first = client(&home, &comfy.url()).await;
    let (_, task) = begin(&mut first, 1).await;
    first.kill().await;
    let mut next = client(&home, &comfy.url()).await;
    let done = ended(&mut next, &task).await;
    assert_eq!(
        done["result"]["structuredContent"]["status"], "completed",
        "{done:#}"
    );
}

#[tokio::test]
async fn a_cancelled_task_takes_its_job_along_and_no_other() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    let mut client = client(&home, &comfy.url()).await;
    let (cancelled, task) = begin(&mut client, 1).await;
    let (_, kept) = begin(&mut client, 2).await;
    let acknowledged = client
        .request("tasks/cancel", json!({ "taskId": task }))
        .await;
    assert!(acknowledged["result"].is_object(), "{acknowledged:#}");
    assert_eq!(ended(&mut client, &task).await["status"], "cancelled");
    let status = client.settled(&cancelled).await;
    assert_eq!(status["status"], "interrupted", "{status:#}");
    let done = ended(&mut client, &kept).await;
    assert_eq!(done["status"], "completed", "{done:#}");

    let unknown = json!({ "taskId": "run-018f0000-0000-7000-8000-000000000000" });
    let refused = client.request("tasks/get", unknown).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused:#}");
}

#[tokio::test]
async fn a_task_that_fails_has_answered() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::ZERO, &["oom@KSampler*1"]).await;
    let mut client = client(&home, &comfy.url()).await;
    let (_, task) = begin(&mut client, 1).await;
    let done = ended(&mut client, &task).await;
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["result"]["isError"], true, "{done:#}");
    assert_eq!(
        done["result"]["structuredContent"]["error"], "OUT_OF_MEMORY",
        "{done:#}"
    );
}

/// The lifecycle of 2026-07-28, over HTTP.
#[tokio::test]
async fn a_client_without_a_session_comes_back_for_its_task() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(5), &[]).await;
    let server = HttpServer::start(&home, &comfy.url()).await;
    let session = server.session().await;
    let prompt_id = session.queue(&long(1)).await;
    let ask = async |method: &str, name: &str, mut params: Value| {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "tests", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "extensions": { EXTENSION: {} } },
        });
        let post = server
            .post(&request(&json!(1), method, &params))
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .header("mcp-name", name);
        let answer = Events::of(post.send().await.unwrap())
            .answer(&json!(1))
            .await;
        answer["result"].clone()
    };
    let arguments = json!({ "prompt_id": prompt_id });
    let call = json!({ "name": "wait_for_completion", "arguments": arguments });
    let created = ask("tools/call", "wait_for_completion", call).await;
    assert_eq!(created["resultType"], "task", "{created:#}");
    let task = created["taskId"].as_str().unwrap();
    let done = loop {
        let got = ask("tasks/get", task, json!({ "taskId": task })).await;
        if got["status"] != "working" {
            break got;
        }
    };
    assert_eq!(
        done["result"]["structuredContent"]["status"], "completed",
        "{done:#}"
    );
}
