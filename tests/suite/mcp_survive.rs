//! What is left of a job when the server that submitted it is gone.

use std::time::Duration;

use serde_json::json;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim_with_steps};

#[tokio::test]
async fn a_server_that_is_killed_leaves_its_job_to_the_next_one_with_all_its_provenance() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a red fox", "SEED": u64::MAX, "STEPS": 8 });
    let (workflow, prompt_id) = client.queue(params).await;
    client.kill().await;

    let mut client = McpClient::start(&home, &comfy.url()).await;
    let done = client.wait(&prompt_id).await;
    let asset_id = &done["outputs"][0]["asset_id"];
    let asset = client
        .call("get_asset_metadata", json!({ "asset_id": asset_id }))
        .await;
    assert_eq!(asset["workflow"], workflow);
    assert_eq!(asset["provenance"]["script"]["name"], "sd3_txt2img");
    assert_eq!(asset["provenance"]["parameters"]["SEED"], u64::MAX);
    assert_eq!(asset["provenance"]["server"]["url"], comfy.url());
    let bytes = std::fs::read(asset["path"].as_str().unwrap()).unwrap();
    assert_eq!(asset["blake3"], blake3::hash(&bytes).to_hex().as_str());
}

#[tokio::test]
async fn a_killed_servers_jobs_are_followed_by_the_next_one_before_anybody_asks() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut queued = vec![];
    for seed in 0..3 {
        let params = json!({ "PROMPT": "a red fox", "SEED": seed, "STEPS": 8 });
        queued.push(client.queue(params).await.1);
    }
    client.kill().await;
    let before = home.mmf(["jobs", "--json"]).run().await.exits(0).json();
    let open = before["jobs"].as_array().unwrap().iter();
    let open = open.filter(|job| job["status"] == "queued" || job["status"] == "running");
    assert!(open.count() >= 2, "{before:#}");

    let client = McpClient::start(&home, &comfy.url()).await;
    for prompt_id in queued.iter().rev() {
        let ended = async {
            loop {
                let job = home.mmf(["jobs", prompt_id]).run().await.exits(0).json();
                if job["status"] == "done" {
                    break job;
                }
            }
        };
        let job = tokio::time::timeout(crate::support::mmf::PATIENCE, ended)
            .await
            .unwrap();
        assert_eq!(job["outputs"].as_array().unwrap().len(), 1, "{job:#}");
        assert_eq!(job["origin"]["script"]["name"], "sd3_txt2img");
    }
    client.close().await;
    let listed = home.mmf(["jobs"]).run().await.exits(0);
    assert_eq!(
        listed.stdout.matches("done").count(),
        3,
        "{}",
        listed.stdout
    );
}

#[tokio::test]
async fn what_became_of_a_job_is_told_when_the_server_has_forgotten_it() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client
        .queue(json!({ "PROMPT": "a red fox", "STEPS": 50 }))
        .await;
    let clear = json!({ "clear": true });
    let http = crate::support::sim::http();
    client
        .call("cancel_job", json!({ "prompt_id": prompt_id }))
        .await;
    client.settled(&prompt_id).await;
    let job = home.mmf(["jobs", &prompt_id]).run().await.exits(0).json();
    assert_eq!(job["status"], "cancelled", "{job:#}");
    http.post(format!("{}/history", comfy.url()))
        .json(&clear)
        .send()
        .await
        .unwrap();
    let status = client
        .call("get_workflow_status", json!({ "prompt_id": prompt_id }))
        .await;
    assert_eq!(status["was"], "cancelled", "{status:#}");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_take_its_job_along() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(20), &[]).await,
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client
        .queue(json!({ "PROMPT": "a red fox", "STEPS": 20 }))
        .await;
    client
        .begin("wait_for_completion", json!({ "prompt_id": prompt_id }))
        .await;
    client.notification("notifications/progress").await;
    client.close().await;

    let mut client = McpClient::start(&home, &comfy.url()).await;
    assert_eq!(client.wait(&prompt_id).await["status"], "completed");
}

#[tokio::test]
async fn two_servers_share_one_folder_of_assets() {
    let (home, comfy) = (Home::new(), sim_with_steps(Duration::ZERO, &[]).await);
    let mut one = McpClient::start(&home, &comfy.url()).await;
    let mut two = McpClient::start(&home, &comfy.url()).await;
    for client in [&mut one, &mut two] {
        let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
        assert_eq!(client.wait(&prompt_id).await["status"], "completed");
    }
    let seen = one.call("list_assets", json!({})).await;
    assert_eq!(seen["count"], 2, "{seen:#}");
    assert_eq!(
        two.call("list_assets", json!({})).await["assets"],
        seen["assets"]
    );
}
