//! Jobs of a run that ComfyUI has lost: which are submitted again, and which are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use massmediafactory::sim::{Call, Outcome, Sim, SimNode, SimOptions};
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim_with_steps};
use crate::support::sim::{get, post_json};

const ONE: &str = r#"
about("Paints a picture.");
meta(#{ long: true });
fn run(p) {
    comfy::run(templates::build("sd3_txt2img", #{ PROMPT: "a fox", STEPS: 5, WIDTH: 64, HEIGHT: 64 }))
}
"#;

const QUEUES: &str = r#"
about("Queues two pictures and waits for both.");
meta(#{ long: true });
fn run(p) {
    let params = #{ PROMPT: "a fox", STEPS: 100, WIDTH: 64, HEIGHT: 64 };
    let jobs = [];
    for seed in 1..=2 {
        params.SEED = seed;
        jobs.push(comfy::submit(templates::build("sd3_txt2img", params)).prompt_id);
    }
    jobs.map(|id| told(id))
}
fn told(id) {
    try {
        return comfy::wait(id, 600).status;
    } catch (e) {
        return e.code;
    }
}
"#;

const PAID: &str = r#"
about("Has a clip made elsewhere, for credits.");
meta(#{ long: true });
fn run(p) {
    let params = #{ IMAGE_PATH: "example.png", PROMPT: "it walks" };
    retry(#{ times: 3 }, || comfy::run(templates::build("wan26_img2vid", params)))
}
"#;

fn home(tool: &str) -> Home {
    let home = Home::new();
    home.write(".mmf/config.toml", "[mcp]\ncall_limit_seconds = 0.2\n");
    home.write(".mmf/scripts/tools/tool.rhai", tool);
    home
}

/// What comes of the tool in the end.
async fn end(client: &mut McpClient, mut answer: Value) -> Value {
    loop {
        let told = &answer["structuredContent"];
        if told["status"] != "working" {
            return answer;
        }
        let arguments = json!({ "prompt_id": told["run_id"] });
        answer = client.call_raw("wait_for_completion", arguments).await;
    }
}

async fn jobs(home: &Home) -> Vec<Value> {
    let told = home.mmf(["jobs", "--json"]).run().await.exits(0).json();
    told["jobs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn work_that_takes_comfyui_down_each_time_is_given_up() {
    let home = home(ONE);
    let comfy = sim_with_steps(Duration::ZERO, &["restart@KSampler"]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let answer = client.call_raw("tool", json!({})).await;
    let failure = end(&mut client, answer).await["structuredContent"].clone();
    assert_eq!(failure["error"], "JOB_LOST", "{failure:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("5 attempts"), "{message}");
    let jobs = jobs(&home).await;
    assert_eq!(jobs.len(), 5, "{jobs:#?}");
    assert!(
        jobs.iter()
            .all(|job| job["status"] == "lost" && job["seconds"].is_null())
    );
}

#[tokio::test]
async fn what_somebody_has_to_pay_for_is_not_submitted_again_by_itself() {
    let home = home(PAID);
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(data.path().join("input")).unwrap();
    let picture = image::RgbImage::new(64, 64);
    picture.save(data.path().join("input/example.png")).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let partner: Arc<dyn SimNode> = Arc::new(move |_: &mut Call<'_>| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::values(vec![]))
    });
    let options = SimOptions {
        data: Some(data.path().to_owned()),
        step_delay: Duration::ZERO,
        nodes: vec![("WanImageToVideoApi".to_owned(), partner)],
        ..SimOptions::default()
    };
    let comfy = Sim::start(options).await.unwrap();
    let fault = "restart@WanImageToVideoApi*1".parse().unwrap();
    comfy.faults().add(fault);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let answer = client.call_raw("tool", json!({})).await;
    let failure = end(&mut client, answer).await["structuredContent"].clone();
    assert_eq!(failure["error"], "JOB_LOST", "{failure:#}");
    assert_eq!(failure["partner_node"], "WanImageToVideoApi", "{failure:#}");
    let hint = failure["hint"].as_str().unwrap();
    assert!(hint.contains("call it again"), "{hint}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(jobs(&home).await.len(), 1);
}

#[tokio::test]
async fn a_job_that_somebody_removed_is_not_submitted_again_by_the_next_server_either() {
    let home = home(QUEUES);
    let comfy = sim_with_steps(Duration::from_millis(10), &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("tool", json!({})).await;
    let run = json!({ "prompt_id": handle["run_id"] });
    let removed = loop {
        let status = client.call("get_workflow_status", run.clone()).await;
        match status["prompt_ids"].as_array() {
            Some(ids) if ids.len() == 2 => break ids[1].clone(),
            _ => {}
        }
    };
    client.kill().await;
    post_json(&comfy, "/queue", &json!({ "delete": [removed] })).await;

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let answer = next.call_raw("wait_for_completion", run).await;
    let answer = end(&mut next, answer).await;
    let text = answer["content"][0]["text"].as_str().unwrap();
    let told: Value = serde_json::from_str(text).unwrap();
    assert_eq!(told, json!(["completed", "JOB_LOST"]), "{answer:#}");
    assert_eq!(get(&comfy, "/history").await.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_never_was_is_not_lost() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::ZERO, &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    for id in ["018f0000-0000-7000-8000-000000000000", "nonsense"] {
        let arguments = json!({ "prompt_id": id });
        let failure = client.call_fails("wait_for_completion", arguments).await;
        assert_eq!(failure["error"], "NOT_FOUND", "{failure:#}");
    }
}

const GIVES_UP: &str = r#"
about("Waits for a picture for a second.");
meta(#{ long: true });
fn run(p) {
    let params = #{ PROMPT: "a fox", STEPS: 150, WIDTH: 64, HEIGHT: 64 };
    comfy::wait(comfy::submit(templates::build("sd3_txt2img", params)).prompt_id, 1)
}
"#;

#[tokio::test]
async fn a_wait_keeps_to_its_limit_while_comfyui_is_away() {
    let home = home(&GIVES_UP.replace(", 1)\n", ", 1.5)\n"));
    let comfy = sim_with_steps(Duration::from_millis(50), &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("tool", json!({})).await;
    let run = json!({ "prompt_id": handle["run_id"] });
    loop {
        let status = client.call("get_workflow_status", run.clone()).await;
        assert_eq!(status["status"], "working", "{status:#}");
        if status["prompt_ids"].is_array() {
            break;
        }
    }
    client.kill().await;
    comfy.faults().add("refuse".parse().unwrap());
    while tokio::net::TcpStream::connect(comfy.addr()).await.is_ok() {}

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let answer = next.call_raw("wait_for_completion", run).await;
    let told = end(&mut next, answer).await["structuredContent"].clone();
    assert_eq!(told["status"], "timeout", "{told:#}");
    assert_eq!(told["still"], "unknown", "{told:#}");
}
