//! Older versions: what they lack must be lacking, as a client finds out by asking.

use std::time::Duration;

use massmediafactory::sim::{Sim, SimOptions};
use rstest::rstest;
use serde_json::json;

use crate::support::sim::{CLIENT, Ear, empty_image, get, get_bytes, http, post, post_json, sd3};

async fn version(version: &str) -> Sim {
    let options = SimOptions {
        version: version.to_owned(),
        step_delay: Duration::ZERO,
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

#[rstest]
#[case("0.3.75", [405, 405, 404, 404, 200, 200])]
#[case("0.6.0", [405, 405, 200, 404, 200, 200])]
#[case("0.26.0", [200, 200, 200, 200, 200, 200])]
#[case("0.3.44", [405, 405, 404, 404, 404, 200])]
#[tokio::test]
async fn a_route_is_there_from_its_release_on(#[case] release: &str, #[case] expected: [u16; 6]) {
    let sim = version(release).await;
    let cancel = post_json(&sim, "/api/jobs/7/cancel", &json!({})).await.0;
    let cancel_many = post_json(&sim, "/api/jobs/cancel", &json!({ "job_ids": [] }))
        .await
        .0;
    let mut found = vec![cancel, cancel_many];
    for path in ["/api/jobs", "/node_replacements", "/features", "/queue"] {
        found.push(get_bytes(&sim, path).await.0);
    }
    assert_eq!(found, expected, "{release}");
}

#[tokio::test]
async fn any_text_is_a_prompt_id_before_0_25() {
    let send = async |sim: &Sim, id: serde_json::Value| {
        post_json(
            sim,
            "/prompt",
            &json!({ "prompt": empty_image(0), "prompt_id": id }),
        )
        .await
    };
    let old = version("0.24.9").await;
    assert_eq!(send(&old, json!("mine")).await.1["prompt_id"], "mine");
    assert_eq!(send(&old, json!(null)).await.1["prompt_id"], "None");
    assert_eq!(send(&old, json!(7)).await.1["prompt_id"], "7");
    let new = version("0.25.0").await;
    let (status, answer) = send(&new, json!("mine")).await;
    assert_eq!(status, 400);
    assert_eq!(answer["error"]["type"], "invalid_prompt_id");
}

#[tokio::test]
async fn an_interrupt_before_0_3_57_hits_whatever_runs() {
    let options = SimOptions {
        version: "0.3.56".to_owned(),
        step_delay: Duration::from_secs(600),
        ..SimOptions::default()
    };
    let sim = Sim::start(options).await.unwrap();
    let mut ear = Ear::connect(&sim, CLIENT).await;
    assert_eq!(post(&sim, &sd3(1, 2)).await.0, 200);
    ear.until(|heard| {
        heard
            .data("executing")
            .is_some_and(|data| data["node"] == "6")
    })
    .await;
    post_json(&sim, "/interrupt", &json!({ "prompt_id": "another" })).await;
    let heard = ear.until_end().await;
    assert!(
        heard
            .iter()
            .any(|one| one.data("execution_interrupted").is_some())
    );
}

/// The answers are those of a real 0.3.75.
#[tokio::test]
async fn the_flags_and_the_system_are_those_of_the_version() {
    let sim = version("0.3.75").await;
    let flags = json!({ "supports_preview_metadata": true, "max_upload_size": 104_857_600 });
    assert_eq!(get(&sim, "/features").await, flags);
    let stats = get(&sim, "/system_stats").await;
    assert_eq!(stats["system"]["os"], "posix");
    assert_eq!(stats["system"]["comfyui_version"], "0.3.75");
    assert!(stats["system"].get("deploy_environment").is_none());
    assert!(
        get(&sim, "/experiment/models").await[0]
            .get("extensions")
            .is_none()
    );
    let marked = http()
        .get(format!("{}/queue", sim.url()))
        .header("sec-fetch-site", "cross-site");
    assert_eq!(marked.send().await.unwrap().status(), 200);
}
