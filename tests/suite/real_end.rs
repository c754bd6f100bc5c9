//! How soon the end of a job is known, on a real `ComfyUI`, when nothing follows that job.
//!
//! After a job the server collects garbage, every 10 seconds at most, and answers nothing
//! meanwhile. Jobs that come one after the other rarely meet that; a job on its own always does.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use massmediafactory::assets::{AssetOptions, Assets};
use massmediafactory::clock::Clock;
use massmediafactory::comfy::{Comfy, Server, Submit, Workflow};
use massmediafactory::ids::Ids;
use massmediafactory::jobs::{Jobs, Order};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::rig::Rig;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(120));

/// Longer than the server's pause between two collections of garbage (`main.py`, all versions).
const PAUSE: Duration = Duration::from_millis(10_500);

/// How many jobs on their own are tried.
const ROUNDS: u32 = 4;

fn workflow(nodes: Value) -> Workflow {
    Workflow::from_json(nodes).unwrap()
}

fn comfy(rig: &Rig) -> Comfy {
    let server = Server::parse(rig.url()).unwrap();
    Comfy::new(server, Ids::default(), Clock::default())
}

fn late(ended_at: Option<Timestamp>) -> i128 {
    Timestamp::now()
        .duration_since(ended_at.unwrap())
        .as_millis()
}

#[tokio::test]
async fn the_end_of_a_job_on_its_own_is_told_while_the_server_collects_garbage() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let text = format!("round {round}");
        let job = workflow(json!({
            "text": { "class_type": "MmfText", "inputs": { "text": text } },
            "image": { "class_type": "EmptyImage",
                       "inputs": { "width": 256, "height": 256, "batch_size": 1, "color": round } },
            "sleep": { "class_type": "MmfSleep",
                       "inputs": { "seconds": 0.3, "steps": 3, "value": ["image", 0] } },
            "save": { "class_type": "SaveImage",
                      "inputs": { "images": ["sleep", 0], "filename_prefix": "end" } },
        }));
        let prompt_id = comfy
            .submit(&job, Submit::default())
            .await
            .unwrap()
            .prompt_id;
        let outcome = comfy
            .wait(&prompt_id, PATIENCE, &CancellationToken::new())
            .await
            .unwrap();
        all.push(late(outcome.ended_at));
        let outputs = &outcome.outputs;
        assert_eq!(outputs.len(), 2, "{outputs:?}");
        assert!(
            outputs
                .iter()
                .any(|output| output.text() == Some(text.as_str()))
        );
        tokio::time::sleep(PAUSE).await;
    }
    eprintln!("milliseconds after the server's own end: {all:?}");
    assert!(all.iter().min() <= Some(&50), "{all:?}");
}

#[tokio::test]
async fn the_files_of_a_job_on_its_own_are_kept_while_the_server_collects_garbage() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let assets = Assets::open(
        dir.path(),
        AssetOptions::default(),
        Clock::default(),
        Ids::default(),
    );
    let jobs = Jobs::new(comfy(&rig), Arc::new(assets.unwrap()), "s".to_owned());
    for last in ["save", "sleep"] {
        let mut all = Vec::new();
        for round in 0..ROUNDS {
            let mut job = json!({
                "image": { "class_type": "EmptyImage",
                           "inputs": { "width": 256, "height": 256, "batch_size": 1, "color": round } },
                "sleep": { "class_type": "MmfSleep", "inputs": { "seconds": 0.3, "steps": 3 + round } },
                "save": { "class_type": "SaveImage",
                          "inputs": { "images": ["image", 0], "filename_prefix": last } },
            });
            if last == "save" {
                job["sleep"]["inputs"]["value"] = json!(["image", 0]);
                job["save"]["inputs"]["images"] = json!(["sleep", 0]);
            }
            let order = Order::default();
            let submitted = jobs.submit(&workflow(job), order).await.unwrap();
            let finished = jobs
                .wait(
                    &submitted.prompt_id,
                    PATIENCE,
                    &CancellationToken::new(),
                    |_| {},
                )
                .await
                .unwrap();
            all.push(late(finished.outcome.ended_at));
            assert!(finished.outputs[0].kept.is_ok(), "{finished:?}");
            tokio::time::sleep(PAUSE).await;
        }
        eprintln!("{last} last, milliseconds after the server's own end: {all:?}");
    }
}
