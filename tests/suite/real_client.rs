//! The client on a real `ComfyUI`.

use std::time::Duration;

use jiff::Timestamp;
use massmediafactory::clock::Clock;
use massmediafactory::comfy::{
    Cancelled, Comfy, ComfyError, End, Feature, Folder, JobEvent, JobState, Outcome, OutputBody,
    Server, Submit, Workflow,
};
use massmediafactory::failure::Code;
use massmediafactory::ids::Ids;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::cutter::Cutter;
use crate::support::rig::{Rig, models};

/// Long enough for a cold first run beside other tests on a slow machine.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(120));

fn comfy(rig: &Rig) -> Comfy {
    let server = Server::parse(rig.url()).unwrap();
    Comfy::new(server, Ids::default(), Clock::default())
}

fn workflow(nodes: Value) -> Workflow {
    Workflow::from_json(nodes).unwrap()
}

fn hold(gate: &str) -> Workflow {
    workflow(json!({ "1": { "class_type": "MmfHold", "inputs": { "gate": gate } } }))
}

fn text(text: &str) -> Workflow {
    workflow(json!({ "1": { "class_type": "MmfText", "inputs": { "text": text } } }))
}

async fn submit(comfy: &Comfy, workflow: &Workflow) -> String {
    comfy
        .submit(workflow, Submit::default())
        .await
        .unwrap()
        .prompt_id
}

async fn wait(comfy: &Comfy, prompt_id: &str) -> std::sync::Arc<Outcome> {
    comfy
        .wait(prompt_id, PATIENCE, &CancellationToken::new())
        .await
        .unwrap()
}

async fn until_running(comfy: &Comfy, prompt_id: &str) {
    let mut watch = comfy.watch(prompt_id).await;
    while let Some(event) = watch.next().await {
        match event.unwrap() {
            JobEvent::Started => return,
            JobEvent::Finished(outcome) => panic!("it ended without running: {outcome:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_diffusion_graph_ends_in_a_picture_and_the_wait_ends_with_it() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let graph = workflow(json!({
        "model": { "class_type": "UNETLoader",
                   "inputs": { "unet_name": models::DIFFUSION_MODEL, "weight_dtype": "default" } },
        "clip": { "class_type": "CLIPLoader",
                  "inputs": { "clip_name": models::TEXT_ENCODER, "type": "sd3" } },
        "vae": { "class_type": "VAELoader", "inputs": { "vae_name": "taesd3" } },
        "text": { "class_type": "CLIPTextEncode", "inputs": { "text": "a hill", "clip": ["clip", 0] } },
        "latent": { "class_type": "EmptySD3LatentImage",
                    "inputs": { "width": 128, "height": 128, "batch_size": 1 } },
        "sampler": { "class_type": "KSampler", "_meta": { "title": "The sampler" },
                     "inputs": { "model": ["model", 0], "positive": ["text", 0], "negative": ["text", 0],
                                 "latent_image": ["latent", 0], "seed": u64::MAX, "steps": 8, "cfg": 4.0,
                                 "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0 } },
        "decode": { "class_type": "VAEDecode", "inputs": { "samples": ["sampler", 0], "vae": ["vae", 0] } },
        "save": { "class_type": "SaveImage",
                  "inputs": { "images": ["decode", 0], "filename_prefix": "client/shot" } },
    }));
    let submitted = comfy.submit(&graph, Submit::default()).await.unwrap();
    let mut watch = comfy.watch(&submitted.prompt_id).await;
    let outcome = wait(&comfy, &submitted.prompt_id).await;
    let late = Timestamp::now().duration_since(outcome.ended_at.unwrap());
    assert!(outcome.is_success(), "{outcome:?}");
    // After its first job the server collects garbage, and answers nothing for as long.
    assert!(late.as_secs() < 5, "{late:#}");
    assert_eq!(outcome.prompt["sampler"]["inputs"]["seed"], json!(u64::MAX));

    let [output] = &outcome.outputs[..] else {
        panic!("{:?}", outcome.outputs)
    };
    let file = output.file().unwrap();
    assert_eq!(
        (file.subfolder.as_str(), file.folder),
        ("client", Folder::Output)
    );
    let download = comfy.view(file).await.unwrap();
    assert_eq!(download.content_type(), Some("image/png"));
    let picture = image::load_from_memory(&download.bytes().await.unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (128, 128));

    let mut steps = Vec::new();
    while let Some(event) = watch.next().await {
        if let JobEvent::Progress(progress) = event.unwrap()
            && progress.node.as_deref() == Some("sampler")
            && progress.max > 1.0
        {
            assert_eq!(progress.title.as_deref(), Some("The sampler"));
            assert_eq!(progress.nodes_total, 8);
            steps.push(progress.value);
        }
    }
    assert!(
        steps.is_sorted() && steps.contains(&8.0) && steps.len() >= 8,
        "{steps:?}"
    );
}

#[tokio::test]
async fn a_job_that_ended_before_anyone_waited_is_told_at_once() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mine = comfy(rig);
    let prompt_id = submit(&mine, &text("early")).await;
    wait(&mine, &prompt_id).await;

    let other = comfy(rig);
    let outcome = wait(&other, &prompt_id).await;
    assert_eq!(outcome.outputs[0].text(), Some("early"));
    let status = other.status(&prompt_id).await.unwrap();
    assert_eq!(status.state, JobState::Completed);
}

#[tokio::test]
async fn a_fully_cached_job_still_reports_its_outputs() {
    let Some(mut rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let first = submit(&comfy, &text("again")).await;
    wait(&comfy, &first).await;
    let second = submit(&comfy, &text("again")).await;
    let outcome = wait(&comfy, &second).await;
    assert_eq!(outcome.cached, ["1"]);
    assert_eq!(outcome.outputs[0].text(), Some("again"));
    rig.kill();
}

#[tokio::test]
async fn a_failed_node_is_named_with_its_exception() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let fail = |kind: &str| {
        let inputs = json!({ "message": "no such luck", "kind": kind });
        workflow(json!({ "7": { "class_type": "MmfFail", "inputs": inputs } }))
    };
    let outcome = wait(&comfy, &submit(&comfy, &fail("value_error")).await).await;
    let End::Failed(failed) = &outcome.end else {
        panic!("{outcome:?}")
    };
    assert_eq!(failed.node_id.as_deref(), Some("7"));
    assert_eq!(failed.node_type.as_deref(), Some("MmfFail"));
    assert_eq!(
        (failed.exception_type.as_str(), failed.message.as_str()),
        ("ValueError", "no such luck")
    );
    assert!(
        failed
            .traceback
            .iter()
            .any(|line| line.contains("mmf_test_nodes")),
        "{failed:?}"
    );

    let outcome = wait(&comfy, &submit(&comfy, &fail("out_of_memory")).await).await;
    assert_eq!(
        outcome.failure().unwrap().code,
        Code::OUT_OF_MEMORY,
        "{outcome:?}"
    );
}

#[tokio::test]
async fn cancelling_the_second_of_three_jobs_leaves_the_others_alone() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let first = submit(&comfy, &hold("three")).await;
    until_running(&comfy, &first).await;
    let second = submit(&comfy, &text("second")).await;
    let third = submit(&comfy, &text("third")).await;
    let queue = comfy.queue().await.unwrap();
    assert_eq!(
        (queue.position(&second), queue.position(&third)),
        (Some(1), Some(2))
    );
    assert_eq!(
        queue.pending[0].client_id.as_deref(),
        Some(comfy.client_id())
    );

    assert_eq!(comfy.cancel(&second).await.unwrap(), Cancelled::Dequeued);
    assert_eq!(
        wait(&comfy, &second).await.end,
        End::Interrupted { node_id: None }
    );
    assert!(comfy.queue().await.unwrap().is_running(&first));

    rig.open_gate("three");
    assert!(wait(&comfy, &first).await.is_success());
    assert!(wait(&comfy, &third).await.is_success());
    assert_eq!(comfy.cancel(&third).await.unwrap(), Cancelled::AlreadyOver);
    let unknown = comfy
        .cancel("00000000-0000-4000-8000-000000000000")
        .await
        .unwrap_err();
    assert!(
        matches!(unknown, ComfyError::UnknownJob { .. }),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn cancelling_the_running_job_lets_the_next_one_run() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let first = submit(&comfy, &hold("never")).await;
    let next = submit(&comfy, &text("next")).await;
    until_running(&comfy, &first).await;

    assert_eq!(comfy.cancel(&first).await.unwrap(), Cancelled::Interrupted);
    let outcome = wait(&comfy, &first).await;
    assert_eq!(
        outcome.end,
        End::Interrupted {
            node_id: Some("1".to_owned())
        }
    );
    assert_eq!(outcome.failure().unwrap().code, Code::CANCELLED);
    assert!(wait(&comfy, &next).await.is_success());
}

#[tokio::test]
async fn a_time_limit_ends_the_wait_and_not_the_job() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let prompt_id = submit(&comfy, &hold("late")).await;
    until_running(&comfy, &prompt_id).await;
    let never = CancellationToken::new();
    let error = comfy
        .wait(&prompt_id, Some(Duration::from_millis(50)), &never)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ComfyError::Timeout {
                still: "running",
                ..
            }
        ),
        "{error:?}"
    );

    let stop = CancellationToken::new();
    stop.cancel();
    let error = comfy.wait(&prompt_id, None, &stop).await.unwrap_err();
    assert!(matches!(error, ComfyError::Stopped { .. }), "{error:?}");

    rig.open_gate("late");
    assert!(wait(&comfy, &prompt_id).await.is_success());
}

#[tokio::test]
async fn jobs_of_others_can_be_watched() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let (theirs, mine) = (comfy(&rig), comfy(&rig));
    let first = submit(&theirs, &hold("shared")).await;
    until_running(&theirs, &first).await;
    let second = submit(&theirs, &text("theirs")).await;

    let mut watch = mine.watch(&second).await;
    let event = watch.next().await.unwrap().unwrap();
    assert!(
        matches!(event, JobEvent::Queued { position: 1 }),
        "{event:?}"
    );
    assert!(matches!(
        mine.status(&first).await.unwrap().state,
        JobState::Running
    ));
    rig.open_gate("shared");
    let outcome = wait(&mine, &second).await;
    assert_eq!(outcome.outputs[0].text(), Some("theirs"));
}

#[tokio::test]
async fn many_jobs_at_once_each_get_their_own_end() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let mut waits = Vec::new();
    for n in 0..30 {
        let comfy = comfy.clone();
        waits.push(tokio::spawn(async move {
            let said = format!("job {n}");
            let prompt_id = submit(&comfy, &text(&said)).await;
            let outcome = wait(&comfy, &prompt_id).await;
            assert_eq!(outcome.outputs[0].text(), Some(said.as_str()));
        }));
    }
    for wait in waits {
        wait.await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_job_is_told_as_its_loss() {
    let Some(mut rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    let prompt_id = submit(&comfy, &hold("lost")).await;
    until_running(&comfy, &prompt_id).await;
    let waiting = tokio::spawn({
        let (comfy, prompt_id) = (comfy.clone(), prompt_id.clone());
        async move { wait(&comfy, &prompt_id).await }
    });
    rig.kill();
    let error = comfy
        .submit(&text("nobody"), Submit::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ComfyError::Unreachable { .. }), "{error:?}");
    let _rig = rig.restart().await;
    let outcome = waiting.await.unwrap();
    assert_eq!(outcome.end, End::Lost);
    assert_eq!(outcome.failure().unwrap().code, Code::JOB_LOST);
    let after = submit(&comfy, &text("after")).await;
    assert!(wait(&comfy, &after).await.is_success());
}

#[tokio::test]
async fn a_socket_that_is_cut_in_the_middle_of_a_job_loses_nothing_of_it() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let wire = Cutter::to(rig.url()).await;
    let server = Server::parse(&wire.url()).unwrap();
    let comfy = Comfy::new(server, Ids::default(), Clock::default());
    let job = workflow(json!({
        "1": { "class_type": "MmfHold", "inputs": { "gate": "cut" } },
        "2": { "class_type": "MmfText", "inputs": { "text": "after the cut" } },
    }));
    let prompt_id = submit(&comfy, &job).await;
    until_running(&comfy, &prompt_id).await;

    assert_eq!(wire.cut_sockets(), 1);
    rig.open_gate("cut");

    let outcome = wait(&comfy, &prompt_id).await;
    assert_eq!(outcome.end, End::Success);
    let texts: Vec<&OutputBody> = outcome.outputs.iter().map(|output| &output.body).collect();
    assert!(
        texts.contains(&&OutputBody::Text("after the cut".to_owned())),
        "{texts:?}"
    );
}

#[tokio::test]
async fn the_largest_seed_arrives_unharmed() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let echo =
        workflow(json!({ "1": { "class_type": "MmfSeedEcho", "inputs": { "seed": u64::MAX } } }));
    let outcome = wait(&comfy, &submit(&comfy, &echo).await).await;
    assert_eq!(outcome.outputs[0].text(), Some("18446744073709551615"));
    assert_eq!(
        outcome.prompt["1"]["inputs"]["seed"].as_u64(),
        Some(u64::MAX)
    );
}

#[tokio::test]
async fn a_not_a_number_in_the_history_does_not_hide_the_job() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let sleep = workflow(
        json!({ "1": { "class_type": "MmfSleep", "inputs": { "seconds": "nan", "steps": 2 } } }),
    );
    let prompt_id = submit(&comfy, &sleep).await;
    let outcome = wait(&comfy, &prompt_id).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let outcome = comfy.outcome(&prompt_id).await.unwrap().unwrap();
    assert_eq!(outcome.prompt["1"]["inputs"]["seconds"], Value::Null);
}

#[tokio::test]
async fn a_rejection_keeps_what_the_server_said_of_every_node() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let odd = workflow(json!({
        "1": { "class_type": "MmfEven", "inputs": { "number": 3 } },
        "2": { "class_type": "MmfText", "inputs": {} },
    }));
    let error = comfy.submit(&odd, Submit::default()).await.unwrap_err();
    let ComfyError::Rejected(rejection) = &error else {
        panic!("{error:?}")
    };
    assert!(rejection.names("custom_validation_failed"), "{rejection:?}");
    assert!(rejection.names("required_input_missing"), "{rejection:?}");
    assert!(error.to_string().contains("number - 3 is odd"), "{error}");

    let half = workflow(json!({
        "1": { "class_type": "MmfEven", "inputs": { "number": 3 } },
        "2": { "class_type": "MmfText", "inputs": { "text": "runs" } },
    }));
    let submitted = comfy.submit(&half, Submit::default()).await.unwrap();
    assert_eq!(submitted.node_errors["1"]["class_type"], "MmfEven");
    assert_eq!(wait(&comfy, &submitted.prompt_id).await.outputs.len(), 1);
}

#[tokio::test]
async fn a_link_that_would_kill_the_worker_is_left_out() {
    let Some(rig) = Rig::start().await else {
        return;
    };
    let comfy = comfy(&rig);
    comfy.node_facts().await.unwrap();
    let deadly = workflow(json!({
        "1": { "class_type": "MmfText", "inputs": { "text": "alive", "ghost": ["99", 0] } },
        "2": { "class_type": "MmfText" },
    }));
    let submitted = comfy
        .submit(
            &deadly,
            Submit {
                targets: Some(vec!["1".to_owned()]),
                ..Submit::default()
            },
        )
        .await;
    let submitted = submitted.unwrap();
    assert_eq!(submitted.dropped[0].input, "ghost");
    assert!(wait(&comfy, &submitted.prompt_id).await.is_success());
}

#[tokio::test]
async fn an_uploaded_file_is_found_under_the_name_that_it_was_given() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let upload = async |bytes: &'static [u8], overwrite| {
        comfy
            .upload("note ü.bin", bytes, "client up", Folder::Input, overwrite)
            .await
            .unwrap()
    };
    let first = upload(b"one", false).await;
    assert_eq!(first.reference(), "client up/note ü.bin");
    let second = upload(b"two", false).await;
    assert_ne!(first, second);
    assert_eq!(
        comfy
            .view(&second.file)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        &b"two"[..]
    );
    let third = upload(b"three", true).await;
    assert_eq!(first, third);
    assert_eq!(
        comfy
            .view(&first.file)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        &b"three"[..]
    );

    let mut gone = first.file.clone();
    gone.filename.push('x');
    let error = comfy.view(&gone).await.err().unwrap();
    assert!(matches!(error, ComfyError::NoSuchFile { .. }), "{error:?}");
    let error = comfy
        .upload("x", &b""[..], "../..", Folder::Input, false)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ComfyError::UploadRefused { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_server_tells_what_it_is_and_has() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let comfy = comfy(rig);
    let stats = comfy.system_stats().await.unwrap();
    assert_eq!(stats.devices[0].kind, "cpu");
    assert!(stats.devices[0].vram_total > 1 << 30);
    let features = comfy.features().await.unwrap();
    assert!(
        features.has(Feature::TargetedInterrupt) && !features.has(Feature::JobsCancel),
        "{features:?}"
    );

    let facts = comfy.node_facts().await.unwrap();
    assert!(facts.len() > 100, "{}", facts.len());
    assert!(facts.class("MmfText").unwrap().is_output_node());

    assert!(
        comfy
            .model_folders()
            .await
            .unwrap()
            .contains(&"diffusion_models".to_owned())
    );
    let models = comfy.models("diffusion_models").await.unwrap();
    assert!(
        models.contains(&models::DIFFUSION_MODEL.to_owned()),
        "{models:?}"
    );
    let sizes = comfy.model_sizes("diffusion_models").await.unwrap();
    assert!(
        sizes
            .iter()
            .any(|file| file.name == models::DIFFUSION_MODEL && file.size > 1000)
    );
    let error = comfy.models("unet").await.unwrap_err();
    assert!(
        matches!(error, ComfyError::NoSuchFolder { .. }),
        "{error:?}"
    );
    comfy.free(true, true).await.unwrap();
}
