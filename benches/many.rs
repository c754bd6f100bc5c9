//! Many runs: what a batch costs over a bare script that does the same, and what a server holds
//! and how soon it answers while thousands of jobs wait.
//!
//! The first is measured on a real ComfyUI, with `MMF_REAL_COMFYUI=1`; the second on the simulator,
//! which runs in a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that fails may as well stop, and has to show its figures"
)]

use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_tungstenite::connect_async;

use self::support::figures::{median, memory, ms, show};
use self::support::mcp::McpClient;
use self::support::mmf::Home;
use self::support::rig::Rig;

mod support;

/// Prompts of a batch.
const PROMPTS: u64 = 200;

/// So often each of the two runs a batch.
const ROUNDS: u64 = 7;

/// Jobs that wait at once, and how many a batch may have.
const WAITING: (u64, u64) = (5000, 1000);

/// How often the queue is asked for while they wait.
const ASKED: usize = 200;

/// A call is answered when it is over, and not by a handle.
const PATIENT: &str = "[mcp]\ncall_limit_seconds = 0\n";

/// The same with handles at once.
const HASTY: &str = "[mcp]\ncall_limit_seconds = 0.1\n";

#[tokio::main]
async fn main() {
    // The library's clients have it set for themselves; that of the bare script needs it, too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(rig) = Rig::start().await {
        batches(rig.url()).await;
    }
    thousands().await;
}

/// A batch by us and by a bare script, in turns. Goal: 1.05.
async fn batches(url: &str) {
    let home = Home::new();
    home.write(".mmf/config.toml", PATIENT);
    let mut client = McpClient::start(&home, url).await;
    let http = reqwest::Client::new();
    let mut prompts = (0..).map(prompt);
    let mut some = |count: u64| -> Vec<Value> {
        prompts
            .by_ref()
            .take(usize::try_from(count).unwrap())
            .collect()
    };
    by_tool(&mut client, &some(5)).await;
    by_script(&http, url, &some(5)).await;
    let (mut ours, mut bare) = (vec![], vec![]);
    for round in 0..ROUNDS {
        // Whoever comes second finds the machine warmer.
        if round % 2 == 0 {
            ours.push(by_tool(&mut client, &some(PROMPTS)).await);
            bare.push(by_script(&http, url, &some(PROMPTS)).await);
        } else {
            bare.push(by_script(&http, url, &some(PROMPTS)).await);
            ours.push(by_tool(&mut client, &some(PROMPTS)).await);
        }
    }
    let ratio = median(&ours) / median(&bare);
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare);
    show("200 prompts by a batch", "s", ours.clone());
    show("200 prompts by a bare script", "s", bare.clone());
    show("ratio by rounds", "", ratios.collect());
    println!("{:48} {ratio:.3}", "ratio of the medians");
}

/// A picture that no other prompt makes. Every batch writes to a folder of its own: the server reads
/// the whole folder each time that it saves.
fn prompt(nth: u64) -> Value {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": nth } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": format!("{}/tiny", nth / PROMPTS) } },
    })
}

/// How long `execute_batch_workflows` takes until all pictures are kept and told.
async fn by_tool(client: &mut McpClient, prompts: &[Value]) -> f64 {
    let sets: Vec<Value> = prompts
        .iter()
        .map(|prompt| {
            let (color, prefix) = (
                &prompt["1"]["inputs"]["color"],
                &prompt["2"]["inputs"]["filename_prefix"],
            );
            json!({ "color": color, "filename_prefix": prefix })
        })
        .collect();
    let arguments = json!({ "workflow": prompts[0], "param_sets": sets });
    let began = Instant::now();
    let batch = client.call("execute_batch_workflows", arguments).await;
    let took = began.elapsed().as_secs_f64();
    assert_eq!(batch["completed"], prompts.len(), "{batch:#}");
    took
}

/// How long a script takes that posts all of them at once, listens until the last is over, reads the
/// history and fetches the pictures.
async fn by_script(http: &reqwest::Client, url: &str, prompts: &[Value]) -> f64 {
    let began = Instant::now();
    let socket = format!("ws{}/ws?clientId=bare", url.trim_start_matches("http"));
    let (mut socket, _) = connect_async(socket).await.unwrap();
    let posted = prompts.iter().map(|prompt| {
        let body = json!({ "prompt": prompt, "client_id": "bare" });
        async move {
            let posted = http
                .post(format!("{url}/prompt"))
                .json(&body)
                .send()
                .await
                .unwrap();
            let answer: Value = posted.error_for_status().unwrap().json().await.unwrap();
            answer["prompt_id"].as_str().unwrap().to_owned()
        }
    });
    let posting = futures_util::future::join_all(posted);
    let listening = async {
        let mut left = prompts.len();
        while left > 0 {
            let message = socket.next().await.unwrap().unwrap();
            let Ok(text) = message.into_text() else {
                continue;
            };
            let message: Value = serde_json::from_str(&text).unwrap_or_default();
            if message["type"] == "execution_success" {
                left -= 1;
            }
        }
    };
    let (ids, ()) = tokio::join!(posting, listening);
    // The last entry is written a moment after its end is told.
    let history = loop {
        let history = http
            .get(format!("{url}/history"))
            .query(&[("max_items", ids.len())]);
        let history: Value = history.send().await.unwrap().json().await.unwrap();
        if ids.iter().all(|id| history.get(id).is_some()) {
            break history;
        }
    };
    let files = ids
        .iter()
        .map(|id| &history[id]["outputs"]["2"]["images"][0]);
    let fetched = stream::iter(files).map(|file| async move {
        let wanted =
            ["filename", "subfolder", "type"].map(|name| (name, file[name].as_str().unwrap()));
        let picture = http.get(format!("{url}/view")).query(&wanted).send().await;
        picture
            .unwrap()
            .error_for_status()
            .unwrap()
            .bytes()
            .await
            .unwrap()
    });
    let fetched: Vec<_> = fetched.buffer_unordered(4).collect().await;
    assert!(fetched.iter().all(|picture| !picture.is_empty()));
    began.elapsed().as_secs_f64()
}

/// What a server holds and how soon it tells the queue. Goals: 150 MB, 5 ms.
async fn thousands() {
    let (home, simulated) = (Home::new(), Home::new());
    home.write(".mmf/config.toml", HASTY);
    let mut simulator = simulated
        .mmf(["sim", "--listen", "127.0.0.1:0", "--fault", "slow=3600s"])
        .spawn();
    let mut lines = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    let mut client = McpClient::start(&home, &url).await;
    let began = Instant::now();
    let (waiting, at_once) = WAITING;
    let mut answers = vec![];
    for batch in 0..waiting / at_once {
        let seeds = batch * at_once..(batch + 1) * at_once;
        let sets: Vec<Value> = seeds
            .map(|seed| json!({ "PROMPT": "a red fox", "SEED": seed, "WIDTH": 64, "HEIGHT": 64 }))
            .collect();
        let arguments = json!({ "workflow": "sd3_txt2img", "param_sets": sets });
        client.call("execute_batch_workflows", arguments).await;
    }
    loop {
        let asked = Instant::now();
        let queue = client.call("get_queue_status", json!({})).await;
        let there = queue["pending"].as_u64().unwrap() + queue["running"].as_u64().unwrap();
        if there >= waiting {
            break;
        }
        answers.push(ms(asked.elapsed()));
    }
    println!(
        "{waiting} jobs queued in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    show("get_queue_status while they are queued", "ms", answers);
    let mut answers = vec![];
    for _ in 0..ASKED {
        let asked = Instant::now();
        let queue = client.call("get_queue_status", json!({})).await;
        answers.push(ms(asked.elapsed()));
        assert_eq!(
            (&queue["running"], &queue["pending"]),
            (&json!(1), &json!(waiting - 1))
        );
    }
    show("get_queue_status with all of them waiting", "ms", answers);
    let held = |pid: u32| [memory(pid, "VmRSS"), memory(pid, "VmHWM")];
    for (what, [now, most]) in [
        ("memory of the server", held(client.pid())),
        ("memory of the simulator", held(simulator.id().unwrap())),
    ] {
        println!("{what:48} now {now:9.1} MB  at most {most:7.1} MB");
    }
}
