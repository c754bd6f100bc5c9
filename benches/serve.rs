//! What the user of an agent feels of `mmf serve`: how long it takes to start, how much memory it
//! holds while it idles, and how long after a job's end the wait for it is answered.
//!
//! The simulator runs in a process of its own. With `MMF_REAL_COMFYUI=1` the waits are measured on
//! a real ComfyUI as well.

#![expect(clippy::unwrap_used, reason = "a bench that fails may as well stop")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use self::support::figures::{memory, show};
use self::support::mcp::{McpClient, initialize};
use self::support::mmf::Home;
use self::support::rig::Rig;
use self::support::sim::http;

mod support;

/// Enough for a median that holds on a busy machine.
const ROUNDS: u64 = 40;

#[tokio::main]
async fn main() {
    starts().await;
    let home = Home::new();
    let mut simulator = home.mmf(["sim", "--listen", "127.0.0.1:0"]).spawn();
    let mut lines = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    idles(&url).await;
    waits("wait answered after the job's end, simulator", &url).await;
    simulator.kill().await.unwrap();
    if let Some(rig) = Rig::start().await {
        waits("wait answered after the job's end, real", rig.url()).await;
    }
}

/// From the start of the process to its first answer. Goal: 50 ms.
async fn starts() {
    let used = Home::new();
    start(&used).await;
    let (mut first, mut later) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        first.push(start(&Home::new()).await);
        later.push(start(&used).await);
    }
    show("start to first answer, new folder", "ms", first);
    show("start to first answer, used folder", "ms", later);
}

async fn start(home: &Home) -> f64 {
    let began = Instant::now();
    let mut client = McpClient::connect(home.mmf(["serve"]));
    client.request("initialize", initialize()).await;
    let took = began.elapsed().as_secs_f64() * 1e3;
    client.close().await;
    took
}

/// What a server holds that has seen all node classes and made a picture. Goal: 40 MB.
async fn idles(url: &str) {
    let home = Home::new();
    let mut client = McpClient::start(&home, url).await;
    show(
        "memory once started",
        "MB",
        vec![memory(client.pid(), "VmRSS")],
    );
    let (workflow, prompt_id) = client.queue(small(1)).await;
    let verdict = client
        .call("validate_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(verdict["valid"], true, "{verdict:#}");
    show(
        "memory after a validation by all node facts",
        "MB",
        vec![memory(client.pid(), "VmRSS")],
    );
    client.wait(&prompt_id).await;
    show(
        "memory after a job",
        "MB",
        vec![memory(client.pid(), "VmRSS")],
    );
}

/// From the moment that the server itself notes as a job's end until the answer of the wait for it
/// has arrived, its picture fetched and kept. Goal: 50 ms.
async fn waits(what: &str, url: &str) {
    let home = Home::new();
    let mut client = McpClient::start(&home, url).await;
    let mut late = vec![];
    for seed in 0..ROUNDS {
        let (_, prompt_id) = client.queue(small(seed)).await;
        client.wait(&prompt_id).await;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
            * 1e3;
        late.push(now - ended_at(url, &prompt_id).await);
    }
    show(what, "ms", late);
}

async fn ended_at(url: &str, prompt_id: &str) -> f64 {
    let history = http()
        .get(format!("{url}/history/{prompt_id}"))
        .send()
        .await
        .unwrap();
    let history: Value = serde_json::from_str(&history.text().await.unwrap()).unwrap();
    let messages = history[prompt_id]["status"]["messages"].as_array().unwrap();
    let success = messages
        .iter()
        .find(|message| message[0] == "execution_success");
    success.unwrap()[1]["timestamp"].as_f64().unwrap()
}

fn small(seed: u64) -> Value {
    json!({ "PROMPT": "a red fox", "SEED": seed, "WIDTH": 64, "HEIGHT": 64, "STEPS": 4 })
}
