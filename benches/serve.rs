//! What the user of an agent feels of `mmf serve`: how long it takes to start, how much memory it
//! holds while it idles, and how long after a job's end the wait for it is answered.
//!
//! The simulator runs in a process of its own. With `MMF_REAL_COMFYUI=1` the waits are measured on
//! a real ComfyUI as well.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that fails may as well stop, and has to show its figures"
)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use self::support::mcp::{McpClient, initialize};
use self::support::mmf::Home;
use self::support::rig::Rig;
use self::support::sim::http;

#[path = "../tests/support"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "it belongs to the tests, which use all of it and have their liberties"
)]
mod support {
    pub(crate) mod mcp;
    pub(crate) mod mmf;
    pub(crate) mod rig;
    pub(crate) mod sim;
}

/// Enough for a median that holds on a busy machine.
const ROUNDS: u64 = 40;

#[tokio::main]
async fn main() {
    starts().await;
    let home = Home::new();
    let mut simulator = home.mmf(["sim", "--listen", "127.0.0.1:0"]).spawn();
    let mut lines = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    memory(&url).await;
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
async fn memory(url: &str) {
    let home = Home::new();
    let mut client = McpClient::start(&home, url).await;
    show("memory once started", "MB", vec![resident(client.pid())]);
    let (workflow, prompt_id) = client.queue(small(1)).await;
    let verdict = client
        .call("validate_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(verdict["valid"], true, "{verdict:#}");
    show(
        "memory after a validation by all node facts",
        "MB",
        vec![resident(client.pid())],
    );
    client.wait(&prompt_id).await;
    show("memory after a job", "MB", vec![resident(client.pid())]);
}

/// The resident memory of a process in MB, by what Linux tells of it.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes / 1024.0)
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

fn show(what: &str, unit: &str, mut figures: Vec<f64>) {
    let first = figures[0];
    figures.sort_by(f64::total_cmp);
    let (median, most) = (figures[figures.len() / 2], figures[figures.len() - 1]);
    println!(
        "{what:48} median {median:7.1} {unit}  most {most:7.1} {unit}  first {first:7.1} {unit}"
    );
}
