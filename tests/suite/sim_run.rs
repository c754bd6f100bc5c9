//! Prompts run on the simulator over real sockets: the messages, the files and the history.

use serde_json::json;

use crate::support::sim::{
    CLIENT, Ear, Heard, empty_image, fast, get, get_bytes, kinds, post, sd3,
};

#[tokio::test]
async fn an_sd3_graph_runs_end_to_end_with_the_messages_in_their_order() {
    let sim = fast().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    let (status, answer) = post(&sim, &sd3(7, 3)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["node_errors"], json!({}));
    let id = answer["prompt_id"].as_str().unwrap();

    let heard = ear.until_end().await;
    let kinds = kinds(&heard);
    assert_eq!(
        kinds[..4],
        ["status", "status", "execution_start", "execution_cached"]
    );
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["execution_success", "status", "executing"]
    );
    let sampling = heard.iter().position(|one| {
        one.data("executing")
            .is_some_and(|data| data["node"] == "6")
    });
    let steps = &kinds[sampling.unwrap()..][..11];
    assert_eq!(
        steps,
        [
            "executing",
            "progress_state",
            "progress",
            "preview",
            "progress_state",
            "progress",
            "preview",
            "progress_state",
            "progress",
            "preview",
            "progress_state"
        ]
    );

    let history = get(&sim, &format!("/history/{id}")).await;
    let entry = &history[id];
    assert_eq!(entry["status"]["status_str"], "success");
    assert_eq!(entry["status"]["completed"], true);
    let file = &entry["outputs"]["9"]["images"][0];
    assert_eq!(
        file,
        &json!({ "filename": "sd3_00001_.png", "subfolder": "", "type": "output" })
    );
    let (status, kind, bytes) = get_bytes(&sim, "/view?filename=sd3_00001_.png").await;
    assert_eq!((status, kind.as_str()), (200, "image/png"));
    let picture = image::load_from_memory(&bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (256, 128));
}

#[tokio::test]
async fn a_preview_is_a_jpeg_behind_eight_bytes() {
    let sim = fast().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    post(&sim, &sd3(1, 1)).await;
    let heard = ear.until_end().await;
    let previews = heard.iter().filter_map(|one| match one {
        Heard::Binary(bytes) => Some(bytes),
        Heard::Event(..) => None,
    });
    for preview in previews {
        assert_eq!(preview[..8], [0, 0, 0, 1, 0, 0, 0, 1]);
        image::load_from_memory_with_format(&preview[8..], image::ImageFormat::Jpeg).unwrap();
    }
}

#[tokio::test]
async fn what_is_cached_is_not_saved_again_and_still_shown() {
    let sim = fast().await;
    let mut ear = Ear::connect(&sim, CLIENT).await;
    post(&sim, &empty_image(1)).await;
    ear.until_end().await;
    let (_, answer) = post(&sim, &empty_image(1)).await;
    let heard = ear.until_end().await;

    let cached = heard
        .iter()
        .find_map(|one| one.data("execution_cached"))
        .unwrap();
    assert_eq!(cached["nodes"], json!(["1", "2"]));
    let id = answer["prompt_id"].as_str().unwrap();
    let history = get(&sim, &format!("/history/{id}")).await;
    assert_eq!(
        history[id]["outputs"]["2"]["images"][0]["filename"],
        "empty_00001_.png"
    );
}
