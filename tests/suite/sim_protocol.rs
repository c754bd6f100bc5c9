//! What clients rely on besides a good run: refusals, files, cancelling, restarts, lost
//! connections.

use std::time::Duration;

use image::{ImageFormat, Rgba, RgbaImage};
use massmediafactory::sim::{Fault, Sim, SimOptions};
use reqwest::multipart::{Form, Part};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::sim::{
    CLIENT, Ear, empty_image, fast, get, get_bytes, http, kinds, post, post_json, sd3,
};

/// A simulator whose samplers only end when they are stopped.
async fn endless() -> Sim {
    let options = SimOptions {
        step_delay: Duration::from_secs(600),
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

async fn with_fault(fault: &str) -> Sim {
    let sim = fast().await;
    sim.faults().add(fault.parse().unwrap());
    sim
}

fn id(answer: &(u16, Value)) -> String {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1["prompt_id"].as_str().unwrap().to_owned()
}

/// Waits until the sampler of a prompt runs.
async fn until_sampling(ear: &mut Ear) {
    ear.until(|heard| {
        heard
            .data("executing")
            .is_some_and(|data| data["node"] == "6")
    })
    .await;
}

#[rstest]
#[case::no_prompt(json!({}), 400, "no_prompt")]
#[case::no_outputs(json!({ "prompt": {} }), 400, "prompt_no_outputs")]
#[case::bad_id(json!({ "prompt": empty_image(0), "prompt_id": "7" }), 400, "invalid_prompt_id")]
#[case::unknown_class(json!({ "prompt": { "1": { "class_type": "Nope", "inputs": {} } } }), 400, "missing_node_type")]
#[case::no_null_prompt(json!({ "prompt": null }), 500, "")]
#[case::no_body(Value::Null, 500, "")]
#[case::no_number(json!({ "prompt": empty_image(0), "number": "first" }), 500, "")]
#[tokio::test]
async fn what_can_not_be_queued_is_refused_as_the_server_does(
    #[case] body: Value,
    #[case] status: u16,
    #[case] kind: &str,
) {
    let sim = fast().await;
    let (answered, answer) = post_json(&sim, "/prompt", &body).await;
    assert_eq!(answered, status, "{answer}");
    if !kind.is_empty() {
        assert_eq!(answer["error"]["type"], kind);
        assert_eq!(answer["node_errors"], json!({}));
    }
}

#[tokio::test]
async fn a_value_that_is_not_in_the_list_names_the_node_and_the_input() {
    let sim = fast().await;
    let mut prompt = sd3(1, 1);
    prompt["1"]["inputs"]["unet_name"] = json!("missing.safetensors");
    let (status, answer) = post(&sim, &prompt).await;
    assert_eq!(status, 400);
    assert_eq!(answer["error"]["type"], "prompt_outputs_failed_validation");
    let error = &answer["node_errors"]["1"]["errors"][0];
    assert_eq!(error["type"], "value_not_in_list");
    assert_eq!(error["extra_info"]["input_name"], "unet_name");
    assert_eq!(
        answer["node_errors"]["1"]["dependent_outputs"],
        json!(["9"])
    );
}

#[tokio::test]
async fn broken_json_is_an_exception_and_unknown_paths_are_not_found() {
    let sim = fast().await;
    for path in ["/prompt", "/api/queue", "/history", "/free"] {
        let answer = http()
            .post(format!("{}{path}", sim.url()))
            .body("{")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 500, "{path}");
        let text = answer.text().await.unwrap();
        assert_eq!(
            text,
            "500 Internal Server Error\n\nServer got itself in trouble"
        );
    }
    let (status, _, text) = get_bytes(&sim, "/nothing/here").await;
    assert_eq!((status, text.as_slice()), (404, &b"404: Not Found"[..]));
    assert_eq!(post_json(&sim, "/nothing/here", &json!({})).await.0, 405);
    assert_eq!(post_json(&sim, "/history/7", &json!({})).await.0, 405);
    let answer = http()
        .post(format!("{}/interrupt", sim.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "");
}

#[tokio::test]
async fn pages_of_other_sites_are_turned_away() {
    let sim = fast().await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = http()
            .get(format!("{}/queue", sim.url()))
            .header(name, value);
        assert_eq!(request.send().await.unwrap().status(), 403, "{name}");
    }
    let own = http()
        .get(format!("{}/queue", sim.url()))
        .header("origin", sim.url());
    assert_eq!(own.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn every_route_stands_below_api_too() {
    let sim = fast().await;
    for path in [
        "/prompt",
        "/queue",
        "/history",
        "/system_stats",
        "/features",
        "/embeddings",
        "/models",
    ] {
        let bare = get(&sim, path).await;
        assert!(!bare.is_null(), "{path}");
        assert_eq!(get(&sim, &format!("/api{path}")).await, bare, "{path}");
    }
    assert_eq!(
        get(&sim, "/system_stats").await["system"]["comfyui_version"],
        "0.33.0"
    );
}

#[tokio::test]
async fn all_node_classes_are_described_with_the_models_there_are() {
    let sim = fast().await;
    let all = get(&sim, "/object_info").await;
    assert_eq!(all.as_object().unwrap().len(), 886);
    let one = get(&sim, "/object_info/UNETLoader").await;
    let names = one["UNETLoader"]["input"]["required"]["unet_name"][0]
        .as_array()
        .unwrap();
    assert!(names.contains(&json!("sd3_tiny.safetensors")));
    assert_eq!(
        names,
        get(&sim, "/models/diffusion_models")
            .await
            .as_array()
            .unwrap()
    );
    assert_eq!(get(&sim, "/object_info/Nope").await, json!({}));
    assert_eq!(get_bytes(&sim, "/models/unet").await.0, 404);
}

fn picture(shade: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = RgbaImage::from_pixel(20, 10, Rgba([shade, 50, 60, 128]));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

async fn upload(sim: &Sim, name: &str, bytes: Vec<u8>, fields: &[(&str, &str)]) -> (u16, Value) {
    let part = Part::bytes(bytes).file_name(name.to_owned());
    let form = fields
        .iter()
        .fold(Form::new().part("image", part), |form, (name, value)| {
            form.text((*name).to_owned(), (*value).to_owned())
        });
    let request = http()
        .post(format!("{}/upload/image", sim.url()))
        .multipart(form);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default(),
    )
}

#[tokio::test]
async fn an_upload_keeps_its_name_unless_other_bytes_have_it() {
    let sim = fast().await;
    let named = |name: &str| {
        (
            200,
            json!({ "name": name, "subfolder": "", "type": "input" }),
        )
    };
    assert_eq!(upload(&sim, "a.png", picture(1), &[]).await, named("a.png"));
    assert_eq!(upload(&sim, "a.png", picture(1), &[]).await, named("a.png"));
    assert_eq!(
        upload(&sim, "a.png", picture(2), &[]).await,
        named("a (1).png")
    );
    assert_eq!(
        upload(&sim, "a.png", picture(3), &[("overwrite", "true")]).await,
        named("a.png")
    );
    let (_, _, bytes) = get_bytes(&sim, "/view?filename=a.png&type=input").await;
    assert_eq!(bytes, picture(3));
    assert_eq!(upload(&sim, "../../a.png", picture(1), &[]).await.0, 400);
    assert_eq!(
        upload(&sim, "a.png", picture(1), &[("subfolder", "../..")])
            .await
            .0,
        400
    );
    assert_eq!(
        upload(&sim, "a.png", picture(1), &[("type", "elsewhere")])
            .await
            .0,
        500
    );
}

#[tokio::test]
async fn an_uploaded_picture_can_be_worked_on() {
    let sim = fast().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    upload(&sim, "a.png", picture(200), &[("subfolder", "mine")]).await;
    let prompt = json!({
        "1": { "class_type": "LoadImage", "inputs": { "image": "mine/a.png" } },
        "2": { "class_type": "ImageScale", "inputs": {
            "image": ["1", 0], "upscale_method": "bilinear", "width": 40, "height": 0, "crop": "disabled",
        } },
        "3": { "class_type": "ImageInvert", "inputs": { "image": ["2", 0] } },
        "4": { "class_type": "SaveImage", "inputs": { "images": ["3", 0], "filename_prefix": "out/b" } },
    });
    let id = id(&post(&sim, &prompt).await);
    ear.until_end().await;
    let entry = &get(&sim, &format!("/history/{id}")).await[&id];
    let file = &entry["outputs"]["4"]["images"][0];
    assert_eq!(
        file,
        &json!({ "filename": "b_00001_.png", "subfolder": "out", "type": "output" })
    );
    let (_, _, bytes) = get_bytes(&sim, "/view?filename=b_00001_.png&subfolder=out").await;
    let saved = image::load_from_memory(&bytes).unwrap().into_rgba8();
    assert_eq!(saved.dimensions(), (40, 20));
    assert_eq!(saved.get_pixel(9, 9), &Rgba([55, 205, 195, 255]));

    let mut missing = prompt;
    missing["1"]["inputs"]["image"] = json!("nowhere.png");
    let (status, answer) = post(&sim, &missing).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["node_errors"]["1"]["errors"][0]["type"],
        "custom_validation_failed"
    );
}

#[tokio::test]
async fn a_view_stays_in_its_folder_and_can_be_a_preview_or_a_part() {
    let sim = fast().await;
    upload(&sim, "a.png", picture(9), &[]).await;
    let status = async |path: &str| get_bytes(&sim, path).await.0;
    assert_eq!(status("/view").await, 404);
    assert_eq!(status("/view?filename=a.png").await, 404);
    assert_eq!(status("/view?filename=a.png%20%5Binput%5D").await, 200);
    assert_eq!(status("/view?filename=../a.png&type=input").await, 400);
    assert_eq!(status("/view?filename=/etc/passwd").await, 400);
    assert_eq!(status("/view?filename=a.png&type=other").await, 400);
    assert_eq!(
        status("/view?filename=a.png&type=input&subfolder=../..").await,
        403
    );
    assert_eq!(status("/view?filename=x/a.png&type=input").await, 200);

    let (_, kind, bytes) = get_bytes(&sim, "/view?filename=a.png&type=input&preview=webp;80").await;
    assert_eq!(kind, "image/webp");
    image::load_from_memory_with_format(&bytes, ImageFormat::WebP).unwrap();
    let (_, kind, _) = get_bytes(&sim, "/view?filename=a.png&type=input&preview=jpeg").await;
    assert_eq!(kind, "image/jpeg");
    let (_, _, rgb) = get_bytes(&sim, "/view?filename=a.png&type=input&channel=rgb").await;
    assert!(!image::load_from_memory(&rgb).unwrap().color().has_alpha());

    let url = format!("{}/view?filename=a.png&type=input", sim.url());
    let part = http()
        .get(url)
        .header("range", "bytes=1-3")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap().as_ref(), b"PNG");
}

#[tokio::test]
async fn the_second_of_three_is_cancelled_and_the_others_stay() {
    let sim = endless().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let first = id(&post(&sim, &sd3(1, 9)).await);
    until_sampling(&mut ear).await;
    let second = id(&post(&sim, &sd3(2, 9)).await);
    let third = id(&post(&sim, &sd3(3, 9)).await);

    let cancelled = post_json(&sim, &format!("/api/jobs/{second}/cancel"), &json!({})).await;
    assert_eq!(cancelled, (200, json!({ "cancelled": true })));
    let again = post_json(&sim, &format!("/api/jobs/{second}/cancel"), &json!({})).await;
    assert_eq!(again, (200, json!({ "cancelled": false })));
    let queue = get(&sim, "/queue").await;
    assert_eq!(queue["queue_running"][0][1], json!(first));
    assert_eq!(queue["queue_pending"].as_array().unwrap().len(), 1);
    assert_eq!(queue["queue_pending"][0][1], json!(third));

    let running = post_json(&sim, "/api/jobs/cancel", &json!({ "job_ids": [first] })).await;
    assert_eq!(running, (200, json!({ "cancelled": true })));
    let heard = ear
        .until(|heard| heard.data("execution_interrupted").is_some())
        .await;
    assert_eq!(
        heard.last().unwrap().data("execution_interrupted").unwrap()["node_id"],
        "6"
    );
    ear.until_end().await;
    assert_eq!(
        get(&sim, &format!("/api/jobs/{first}")).await["status"],
        "cancelled"
    );
    let entry = &get(&sim, &format!("/history/{first}")).await[&first];
    assert_eq!(entry["status"]["status_str"], "error");
    assert_eq!(entry["status"]["completed"], false);
}

#[tokio::test]
async fn an_interrupt_meant_for_another_prompt_does_nothing() {
    let sim = endless().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &sd3(1, 9)).await);
    until_sampling(&mut ear).await;
    let other = "11111111-1111-4111-8111-111111111111";
    post_json(&sim, "/interrupt", &json!({ "prompt_id": other })).await;
    assert_eq!(
        get(&sim, &format!("/api/jobs/{id}")).await["status"],
        "in_progress"
    );
    post_json(&sim, "/interrupt", &json!({ "prompt_id": id })).await;
    let heard = ear.until_end().await;
    assert!(kinds(&heard).contains(&"execution_interrupted"));
}

#[tokio::test]
async fn jobs_are_listed_with_their_status_and_a_preview() {
    let sim = fast().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &empty_image(3)).await);
    ear.until_end().await;
    let list = get(&sim, "/api/jobs?status=completed&limit=5").await;
    assert_eq!(
        list["pagination"],
        json!({ "offset": 0, "limit": 5, "total": 1, "has_more": false })
    );
    let job = &list["jobs"][0];
    assert_eq!(
        (&job["id"], &job["status"], &job["outputs_count"]),
        (&json!(id), &json!("completed"), &json!(1))
    );
    assert_eq!(job["preview_output"]["nodeId"], "2");
    assert_eq!(job["preview_output"]["mediaType"], "images");
    let error = get(&sim, "/api/jobs?status=done").await;
    assert!(
        error["error"]
            .as_str()
            .unwrap()
            .contains("pending, in_progress, completed")
    );
    let malformed = post_json(&sim, "/api/jobs/cancel", &json!({ "job_ids": ["7"] })).await;
    assert_eq!(malformed.0, 400);
    assert_eq!(malformed.1["invalid_ids"], json!(["7"]));
}

#[tokio::test]
async fn a_restart_forgets_everything_and_keeps_the_port() {
    let sim = endless().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &sd3(1, 9)).await);
    until_sampling(&mut ear).await;
    let url = sim.url();

    sim.restart().await.unwrap();

    while ear.next().await.is_some() {}
    assert_eq!(sim.url(), url);
    assert_eq!(
        get(&sim, "/queue").await,
        json!({ "queue_running": [], "queue_pending": [] })
    );
    assert_eq!(get(&sim, &format!("/history/{id}")).await, json!({}));
    sim.faults().clear();
    let mut again = Ear::connect(&sim, CLIENT).await;
    post(&sim, &empty_image(5)).await;
    assert_eq!(kinds(&again.until_end().await).last(), Some(&"executing"));
}

#[tokio::test]
async fn a_restart_can_strike_in_the_middle_of_a_prompt() {
    let sim = with_fault("restart@KSampler*1").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    // It may strike before the prompt is answered.
    let id = "0189d9a0-0000-7000-8000-000000000001";
    let prompt = json!({ "prompt": sd3(1, 2), "prompt_id": id, "client_id": CLIENT });
    let request = http().post(format!("{}/prompt", sim.url()));
    let _ = request.body(prompt.to_string()).send().await;
    while ear.next().await.is_some() {}
    let mut ear = reconnect(&sim).await;
    assert_eq!(get(&sim, &format!("/history/{id}")).await, json!({}));
    post(&sim, &sd3(1, 2)).await;
    assert!(kinds(&ear.until_end().await).contains(&"execution_success"));
}

/// Connects as soon as the server listens again.
async fn reconnect(sim: &Sim) -> Ear {
    while http()
        .get(format!("{}/queue", sim.url()))
        .send()
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    Ear::connect(sim, CLIENT).await
}

#[tokio::test]
async fn a_cut_socket_ends_without_a_word_and_the_prompt_goes_on() {
    let sim = with_fault("drop@KSampler*1").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &sd3(1, 2)).await);
    let mut heard = Vec::new();
    while let Some(one) = ear.next().await {
        heard.push(one);
    }
    assert!(!kinds(&heard).contains(&"execution_success"));
    let mut watcher = Ear::connect(&sim, "watcher").await;
    while get(&sim, &format!("/history/{id}")).await == json!({}) {
        // The status change tells when the prompt is filed; it may have come before we listened.
        if get(&sim, "/prompt").await["exec_info"]["queue_remaining"] != 0 {
            watcher.next().await;
        }
    }
    let entry = &get(&sim, &format!("/history/{id}")).await[&id];
    assert_eq!(entry["status"]["status_str"], "success");
}

#[tokio::test]
async fn a_socket_is_cut_after_so_many_messages() {
    let sim = with_fault("drop=3*1").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    post(&sim, &empty_image(8)).await;
    let mut after_greeting = 0;
    while ear.next().await.is_some() {
        after_greeting += 1;
    }
    assert_eq!(after_greeting, 2);
}

#[tokio::test]
async fn a_full_graphics_card_is_reported_as_torch_does() {
    let sim = with_fault("oom@KSampler*1").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &sd3(1, 2)).await);
    let heard = ear.until_end().await;
    let error = heard
        .iter()
        .find_map(|one| one.data("execution_error"))
        .unwrap();
    assert_eq!(error["exception_type"], "torch.OutOfMemoryError");
    assert_eq!(
        (&error["node_id"], &error["node_type"]),
        (&json!("6"), &json!("KSampler"))
    );
    assert_eq!(error["current_inputs"]["seed"], json!([1]));
    assert!(
        error["exception_message"]
            .as_str()
            .unwrap()
            .contains("ran out of memory on your GPU")
    );
    assert_eq!(
        get(&sim, &format!("/api/jobs/{id}")).await["status"],
        "failed"
    );
    // The fault is used up: the same prompt runs, on what was cached before it failed.
    post(&sim, &sd3(1, 2)).await;
    let heard = ear.until_end().await;
    assert!(kinds(&heard).contains(&"execution_success"));
    let cached = heard
        .iter()
        .find_map(|one| one.data("execution_cached"))
        .unwrap();
    assert!(!cached["nodes"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn the_history_can_come_later_than_the_success() {
    let sim = with_fault("late-history=10m").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &empty_image(2)).await);
    ear.until(|heard| heard.data("execution_success").is_some())
        .await;
    assert_eq!(get(&sim, &format!("/history/{id}")).await, json!({}));
    assert_eq!(get(&sim, "/queue").await["queue_running"][0][1], json!(id));
}

#[tokio::test]
async fn a_prompt_can_be_taken_though_the_answer_is_an_error() {
    let sim = with_fault("prompt-error*1").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let (status, _) = post(&sim, &empty_image(2)).await;
    assert_eq!(status, 500);
    assert!(kinds(&ear.until_end().await).contains(&"execution_success"));
}

#[tokio::test]
async fn events_can_be_lost() {
    let sim = with_fault("lose=execution_success").await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    post(&sim, &empty_image(2)).await;
    let heard = ear.until_end().await;
    assert!(!kinds(&heard).contains(&"execution_success"));
    assert!(kinds(&heard).contains(&"executed"));
}

#[tokio::test]
async fn a_server_that_refuses_connections_comes_back_with_its_queue() {
    let sim = endless().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let id = id(&post(&sim, &sd3(1, 9)).await);
    until_sampling(&mut ear).await;

    sim.faults()
        .add(Fault::always(massmediafactory::sim::FaultKind::Refuse));
    while ear.next().await.is_some() {}
    while http()
        .get(format!("{}/queue", sim.url()))
        .send()
        .await
        .is_ok()
    {}
    sim.faults().clear();

    reconnect(&sim).await;
    assert_eq!(get(&sim, "/queue").await["queue_running"][0][1], json!(id));
}

#[tokio::test]
async fn free_memory_lets_the_next_run_start_anew() {
    let sim = fast().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    for freed in [false, true] {
        if freed {
            post_json(
                &sim,
                "/free",
                &json!({ "unload_models": true, "free_memory": true }),
            )
            .await;
        }
        post(&sim, &empty_image(4)).await;
        let heard = ear.until_end().await;
        let cached = heard
            .iter()
            .find_map(|one| one.data("execution_cached"))
            .unwrap();
        assert_eq!(cached["nodes"], json!([]), "freed: {freed}");
    }
}

#[tokio::test]
async fn a_new_socket_under_the_same_id_is_orphaned_by_the_end_of_the_old_one() {
    // A mistake of the real server that clients must live with.
    let sim = fast().await;
    let old = Ear::connect(&sim, CLIENT).await;
    let mut new = Ear::connect(&sim, CLIENT).await;
    let mut witness = Ear::connect(&sim, "witness").await;
    drop(old);
    // Each prompt tells the witness; the new socket hears less and less, at last nothing.
    let mut heard = true;
    while heard {
        post(&sim, &empty_image(1)).await;
        witness
            .until(|one| {
                one.data("status")
                    .is_some_and(|data| data["status"]["exec_info"]["queue_remaining"] == 0)
            })
            .await;
        heard = tokio::time::timeout(Duration::from_millis(200), new.until_end())
            .await
            .is_ok();
    }
}

#[tokio::test]
async fn a_client_that_comes_back_is_told_which_node_runs() {
    let sim = endless().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    post(&sim, &sd3(1, 9)).await;
    until_sampling(&mut ear).await;
    sim.drop_sockets();
    while ear.next().await.is_some() {}
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let heard = ear.next().await.unwrap();
    assert_eq!(heard.data("executing"), Some(&json!({ "node": "6" })));
}
