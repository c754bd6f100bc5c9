//! The end of a job on a real `ComfyUI`, when nothing follows that job.
//!
//! After a job the server collects garbage, every 10 seconds at most, and answers nothing
//! meanwhile. Jobs that come one after the other rarely meet that; a job on its own always does.

use std::sync::Arc;
use std::time::Duration;

use massmediafactory::assets::{AssetOptions, Assets};
use massmediafactory::clock::Clock;
use massmediafactory::comfy::{Comfy, Outcome, Server, Submit, Workflow};
use massmediafactory::ids::Ids;
use massmediafactory::jobs::{Jobs, Order};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::rig::Rig;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(120));

fn workflow(nodes: Value) -> Workflow {
    Workflow::from_json(nodes).unwrap()
}

fn comfy(rig: &Rig) -> Comfy {
    let server = Server::parse(rig.url()).unwrap();
    Comfy::new(server, Ids::default(), Clock::default())
}

#[tokio::test]
async fn the_end_of_a_job_on_its_own_is_told_as_the_history_tells_it() {
    // A server's first job is followed by a collection of garbage, during which it answers nothing.
    let Some(rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let job = workflow(json!({
        "text": { "class_type": "MmfText", "inputs": { "text": "alone" } },
        "image": { "class_type": "EmptyImage",
                   "inputs": { "width": 256, "height": 256, "batch_size": 1, "color": 1 } },
        "sleep": { "class_type": "MmfSleep",
                   "inputs": { "seconds": 0.3, "steps": 3, "value": ["image", 0] } },
        "save": { "class_type": "SaveImage",
                  "inputs": { "images": ["sleep", 0], "filename_prefix": "end" } },
    }));
    let submitted = comfy.submit(&job, Submit::default()).await.unwrap();
    let never = CancellationToken::new();
    let waited = comfy.wait(&submitted.prompt_id, PATIENCE, &never).await;
    let outcome = waited.unwrap();

    let known = |outcome: &Outcome| {
        let mut outputs = outcome.outputs.clone();
        outputs.sort_by(|one, other| one.node_id.cmp(&other.node_id));
        (outcome.end.clone(), outputs, outcome.ended_at)
    };
    let written = comfy.outcome(&submitted.prompt_id).await.unwrap();
    assert_eq!(known(&outcome), known(&written.unwrap()));
}

#[tokio::test]
async fn a_file_is_kept_before_its_job_ends() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let options = AssetOptions::default();
    let assets = Assets::open(dir.path(), options, Clock::default(), Ids::default());
    let jobs = Jobs::new(comfy(rig), Arc::new(assets.unwrap()), "s".to_owned());
    // Of what can run the server takes outputs first, so the picture is saved before the sleep.
    let job = workflow(json!({
        "image": { "class_type": "EmptyImage",
                   "inputs": { "width": 256, "height": 256, "batch_size": 1, "color": 7 } },
        "save": { "class_type": "SaveImage",
                  "inputs": { "images": ["image", 0], "filename_prefix": "before" } },
        "invert": { "class_type": "ImageInvert", "inputs": { "image": ["image", 0] } },
        "sleep": { "class_type": "MmfSleep",
                   "inputs": { "seconds": 3.0, "steps": 30, "value": ["invert", 0] } },
    }));
    let submitted = jobs.submit(&job, Order::default()).await.unwrap();
    let never = CancellationToken::new();
    let waited = jobs.wait(
        &submitted.prompt_id,
        jobs.session(),
        PATIENCE,
        &never,
        |_| {},
    );
    let finished = waited.await.unwrap();
    let kept = finished.outputs[0].kept.as_ref().unwrap();
    let ended_at = finished.outcome.ended_at.unwrap();
    assert!(kept.created_at < ended_at, "{kept:?} {ended_at}");
}
