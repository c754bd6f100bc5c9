//! Finding nodes and models over MCP, and the small tools around the queue.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim, sim_with_steps};

#[tokio::test]
async fn model_lists_are_what_the_server_has_page_by_page() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let all = client.call("get_all_models", json!({})).await;
    for (tool, key, folder) in [
        ("list_checkpoints", "checkpoints", "checkpoints"),
        ("list_unets", "unets", "diffusion_models"),
        ("list_loras", "loras", "loras"),
        ("list_vaes", "vaes", "vae"),
        ("list_controlnets", "controlnets", "controlnet"),
    ] {
        let listed = client.call(tool, json!({ "limit": 1000 })).await;
        let names = listed[key].as_array().unwrap();
        assert_eq!(listed["count"], names.len(), "{tool}");
        assert_eq!(
            listed["total"],
            all["folders"].get(folder).cloned().unwrap_or(json!(0))
        );
        let in_folder = client
            .call("get_all_models", json!({ "folder": folder }))
            .await;
        assert_eq!(&in_folder["files"], &listed[key]);
    }
    let whole = client.call("list_unets", json!({})).await;
    let names = whole["unets"].as_array().unwrap();
    assert!(names.len() > 1, "{whole}");
    let first = client.call("list_unets", json!({ "limit": 1 })).await;
    assert_eq!(first["unets"], json!([names[0]]));
    assert_eq!(first["next_offset"], 1);
    let second = client
        .call("list_unets", json!({ "limit": 1, "offset": 1 }))
        .await;
    assert_eq!(second["unets"], json!([names[1]]));
    let word = names[0]
        .as_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_uppercase();
    let filtered = client.call("list_unets", json!({ "filter": word })).await;
    assert!(
        filtered["unets"].as_array().unwrap().contains(&names[0]),
        "{filtered}"
    );
}

#[tokio::test]
async fn a_node_is_found_and_described_in_few_words() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let found = client
        .call("search_nodes", json!({ "query": "k sampler", "limit": 3 }))
        .await;
    assert_eq!(found["matches"][0]["name"], "KSampler");
    assert_eq!(found["matches"][0]["inputs"]["model"], "MODEL");
    assert_eq!(found["matches"].as_array().unwrap().len(), 3);
    assert!(found["total"].as_u64().unwrap() >= 3);
    assert!(
        found.to_string().len() < 1500,
        "{}",
        found.to_string().len()
    );
    assert!(found.get("source").is_none(), "the server itself answered");

    let short = client
        .call("get_node_info", json!({ "node_type": "KSampler" }))
        .await;
    assert_eq!(short["inputs"]["cfg"]["max"], 100.0);
    assert_eq!(short["outputs"], json!(["LATENT"]));
    let full = client
        .call(
            "get_node_info",
            json!({ "node_type": "KSampler", "full": true }),
        )
        .await;
    assert_eq!(
        full["inputs"]["sampler_name"]["choices"]
            .as_array()
            .unwrap()
            .len(),
        short["inputs"]["sampler_name"]["choices_total"]
    );
}

#[tokio::test]
async fn an_unknown_node_type_is_answered_with_those_like_it() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let failure = client
        .call_fails("get_node_info", json!({ "node_type": "KSamplr" }))
        .await;
    assert_eq!(failure["error"], "NOT_FOUND");
    assert_eq!(failure["nearest"][0], "KSampler");
}

#[tokio::test]
async fn nodes_are_known_while_the_server_is_away_and_models_are_not() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let found = client
        .call("search_nodes", json!({ "query": "save video" }))
        .await;
    assert_eq!(found["matches"][0]["name"], "SaveVideo");
    let source = found["source"].as_str().unwrap();
    assert!(source.starts_with("ComfyUI 0.33.0"), "{source}");
    let failure = client.call_fails("list_loras", json!({})).await;
    assert_eq!(failure["error"], "CONNECTION_ERROR");
    assert!(failure["hint"].as_str().unwrap().contains("COMFYUI_URL"));
}

#[tokio::test]
async fn an_interrupt_stops_our_job_and_never_another_clients() {
    let (home, other_home) = (Home::new(), Home::new());
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    let mut ours = McpClient::start(&home, &comfy.url()).await;
    let mut theirs = McpClient::start(&other_home, &comfy.url()).await;
    assert_eq!(
        ours.call("interrupt_execution", json!({})).await["interrupted"],
        json!([])
    );
    let (_, running) = theirs.queue(long(1)).await;
    until_running(&mut theirs, &running).await;

    let failure = ours.call_fails("interrupt_execution", json!({})).await;
    assert_eq!(failure["error"], "NOT_ALLOWED");
    assert_eq!(failure["prompt_id"], *running);
    let stopped = theirs.call("interrupt_execution", json!({})).await;
    assert_eq!(stopped["interrupted"], json!([running]));

    let (_, named) = theirs.queue(long(2)).await;
    until_running(&mut theirs, &named).await;
    let stopped = ours
        .call("interrupt_execution", json!({ "prompt_id": named }))
        .await;
    assert_eq!(stopped["interrupted"], json!([named]));
}

#[tokio::test]
async fn memory_is_freed_and_counted_in_gigabytes() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let freed = client
        .call("free_memory", json!({ "unload_models": true }))
        .await;
    assert_eq!(freed, json!({ "success": true, "unloaded_models": true }));
    let stats = client.call("get_system_stats", json!({})).await;
    let device = &stats["devices"][0];
    let figure = |name: &str| device[name].as_f64().unwrap();
    assert!(figure("vram_total_gb") >= figure("vram_free_gb"), "{stats}");
    assert!(
        (figure("vram_used_gb") - (figure("vram_total_gb") - figure("vram_free_gb"))).abs() < 0.02
    );
    assert_eq!(stats["system"]["comfyui_version"], "0.33.0");
}

fn long(seed: u64) -> Value {
    json!({ "PROMPT": "a red fox", "SEED": seed, "WIDTH": 64, "HEIGHT": 64, "STEPS": 150 })
}

async fn until_running(client: &mut McpClient, prompt_id: &str) {
    loop {
        let status = client
            .call("get_workflow_status", json!({ "prompt_id": prompt_id }))
            .await;
        match status["status"].as_str() {
            Some("running") => return,
            Some("queued") => {}
            _ => panic!("{status}"),
        }
    }
}
