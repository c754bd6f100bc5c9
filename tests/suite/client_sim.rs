//! The client on the simulator, which can fail in ways that a real server is hard to bring to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use massmediafactory::clock::Clock;
use massmediafactory::comfy::{
    Cancelled, Comfy, End, JobEvent, JobState, Outcome, PreviewMethod, Server, Submit, Timeouts,
    Workflow,
};
use massmediafactory::failure::Code;
use massmediafactory::ids::Ids;
use massmediafactory::sim::{Sim, SimOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

async fn sim() -> Sim {
    Sim::start(SimOptions::default()).await.unwrap()
}

fn comfy(sim: &Sim) -> Comfy {
    let server = Server::parse(&sim.url()).unwrap();
    let timeouts = Timeouts {
        answer: Duration::from_secs(2),
        ..*server.timeouts()
    };
    Comfy::new(
        server.with_timeouts(timeouts),
        Ids::default(),
        Clock::default(),
    )
}

/// From the loaders to a saved picture.
fn picture(seed: u64) -> Workflow {
    let nodes = json!({
        "model": { "class_type": "UNETLoader",
                   "inputs": { "unet_name": "sd3_tiny.safetensors", "weight_dtype": "default" } },
        "clip": { "class_type": "CLIPLoader",
                  "inputs": { "clip_name": "clip_l_tiny.safetensors", "type": "sd3" } },
        "vae": { "class_type": "VAELoader", "inputs": { "vae_name": "taesd3" } },
        "text": { "class_type": "CLIPTextEncode", "inputs": { "text": "a hill", "clip": ["clip", 0] } },
        "latent": { "class_type": "EmptySD3LatentImage",
                    "inputs": { "width": 64, "height": 64, "batch_size": 1 } },
        "sampler": { "class_type": "KSampler",
                     "inputs": { "model": ["model", 0], "positive": ["text", 0], "negative": ["text", 0],
                                 "latent_image": ["latent", 0], "seed": seed, "steps": 4, "cfg": 4.0,
                                 "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0 } },
        "decode": { "class_type": "VAEDecode", "inputs": { "samples": ["sampler", 0], "vae": ["vae", 0] } },
        "save": { "class_type": "SaveImage",
                  "inputs": { "images": ["decode", 0], "filename_prefix": "sim" } },
    });
    Workflow::from_json(nodes).unwrap()
}

async fn submit(comfy: &Comfy, seed: u64) -> String {
    comfy
        .submit(&picture(seed), Submit::default())
        .await
        .unwrap()
        .prompt_id
}

async fn wait(comfy: &Comfy, prompt_id: &str) -> Arc<Outcome> {
    comfy
        .wait(prompt_id, PATIENCE, &CancellationToken::new())
        .await
        .unwrap()
}

async fn outcome_with(fault: &str) -> Arc<Outcome> {
    let sim = sim().await;
    let comfy = comfy(&sim);
    // The sampler takes long enough for the submission to be answered before anything happens.
    sim.faults().add("slow=50ms".parse().unwrap());
    sim.faults().add(fault.parse().unwrap());
    let prompt_id = submit(&comfy, 1).await;
    wait(&comfy, &prompt_id).await
}

#[tokio::test]
async fn a_job_ends_well_whatever_happens_to_its_messages() {
    for fault in [
        "drop@KSampler",
        "drop=2",
        "lose",
        "lose=execution_success",
        "lose=executing",
        "late-history=700ms",
    ] {
        let outcome = outcome_with(fault).await;
        assert!(outcome.is_success(), "{fault}: {outcome:?}");
        assert_eq!(outcome.outputs.len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_job_is_queued_once_whatever_happens_to_the_answer() {
    for fault in ["prompt-error", "prompt-hang"] {
        let sim = sim().await;
        let comfy = comfy(&sim);
        sim.faults().add(fault.parse().unwrap());
        let prompt_id = submit(&comfy, 1).await;
        assert!(wait(&comfy, &prompt_id).await.is_success(), "{fault}");
        let queue = comfy.queue().await.unwrap();
        assert!(
            queue.running.is_empty() && queue.pending.is_empty(),
            "{fault}: {queue:?}"
        );
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_is_a_loss_and_full_memory_is_told_as_such() {
    let outcome = outcome_with("restart@VAEDecode").await;
    assert_eq!(outcome.end, End::Lost);
    let outcome = outcome_with("oom@KSampler").await;
    assert_eq!(
        outcome.failure().unwrap().code,
        Code::OUT_OF_MEMORY,
        "{outcome:?}"
    );
}

#[tokio::test]
async fn previews_come_with_their_node() {
    let sim = sim().await;
    let comfy = comfy(&sim);
    sim.faults().add("slow=20ms".parse().unwrap());
    let how = Submit {
        preview: PreviewMethod::Auto,
        ..Submit::default()
    };
    let prompt_id = comfy.submit(&picture(1), how).await.unwrap().prompt_id;
    let mut watch = comfy.watch(&prompt_id).await;
    let mut previews = Vec::new();
    while let Some(event) = watch.next().await {
        if let JobEvent::Preview { node, bytes, .. } = event.unwrap() {
            image::load_from_memory(&bytes).unwrap();
            previews.push(node);
        }
    }
    assert!(
        previews.contains(&Some("sampler".to_owned())),
        "{previews:?}"
    );
}

#[tokio::test]
async fn a_large_batch_is_cancelled_before_its_next_job_begins() {
    let sim = sim().await;
    let comfy = comfy(&sim);
    sim.faults().add("slow=500ms".parse().unwrap());
    let mut batch = BTreeSet::new();
    for seed in 0..50 {
        batch.insert(submit(&comfy, seed).await);
    }
    let other = submit(&comfy, 50).await;
    let queue = comfy.queue().await.unwrap();
    let waiting = queue.pending.iter().map(|entry| &entry.prompt_id);
    let waiting: Vec<&String> = waiting.filter(|job| batch.contains(*job)).collect();
    assert!(waiting.len() > 10, "{} wait", waiting.len());
    assert_eq!(comfy.cancel_all(&batch).await.unwrap(), []);
    let mut began = 0;
    for job in waiting {
        let end = wait(&comfy, job).await.end.clone();
        began += usize::from(end != End::Interrupted { node_id: None });
    }
    assert!(began <= 1, "{began} began");
    assert!(wait(&comfy, &other).await.is_success(), "and no other");
    assert_eq!(comfy.cancel_all(&batch).await.unwrap(), [], "all is over");
}

#[tokio::test]
async fn one_job_of_many_is_cancelled_and_no_other() {
    let sim = sim().await;
    let comfy = comfy(&sim);
    sim.faults().add("slow=50ms".parse().unwrap());
    let mut jobs = Vec::new();
    for seed in 0..3 {
        jobs.push(submit(&comfy, seed).await);
    }
    assert_eq!(comfy.cancel(&jobs[1]).await.unwrap(), Cancelled::Dequeued);
    assert_eq!(
        comfy.status(&jobs[1]).await.unwrap().state,
        JobState::Interrupted
    );
    for _ in 0..2 {
        assert_eq!(
            wait(&comfy, &jobs[1]).await.end,
            End::Interrupted { node_id: None }
        );
    }
    for job in [&jobs[0], &jobs[2]] {
        assert!(wait(&comfy, job).await.is_success());
    }
}

#[tokio::test]
async fn fifty_jobs_at_once_each_bring_their_own_picture() {
    let sim = sim().await;
    let comfy = comfy(&sim);
    let mut waits = Vec::new();
    for seed in 0..50 {
        let comfy = comfy.clone();
        waits.push(tokio::spawn(async move {
            let prompt_id = submit(&comfy, seed).await;
            let outcome = wait(&comfy, &prompt_id).await;
            assert_eq!(outcome.prompt["sampler"]["inputs"]["seed"], json!(seed));
            outcome.outputs[0].file().unwrap().clone()
        }));
    }
    let mut files = Vec::new();
    for wait in waits {
        files.push(wait.await.unwrap());
    }
    files.sort_by_key(massmediafactory::comfy::OutputFile::path);
    files.dedup();
    assert_eq!(files.len(), 50);
    let small = comfy.view_preview(&files[0], "webp;80").await.unwrap();
    assert_eq!(small.content_type(), Some("image/webp"));
    let picture = image::load_from_memory(&small.bytes().await.unwrap()).unwrap();
    assert_eq!(picture.width(), 64);
}
