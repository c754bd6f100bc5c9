//! Jobs within limits: a full card, a time that is over, several at once.

use std::time::Duration;

use massmediafactory::sim::{Sim, SimOptions};
use serde_json::{Value, json};

use crate::support::mmf::{Home, Ran, sim, sim_with_steps};
use crate::support::sim::get;

const CAREFUL: &str = r#"
title("Careful");
param("OPTIONS", "object");
param("STEPS", "int", #{ value: 2 });
param("TEMPLATE", "string", #{ value: "sd3_txt2img" });

fn run(p) {
    let size = #{ PROMPT: "a fox", WIDTH: 256, HEIGHT: 256, STEPS: p.STEPS };
    comfy::run(templates::build(p.TEMPLATE, size), p.OPTIONS)
}
"#;

const SEVERAL: &str = r#"
title("Several");

fn run(p) {
    let jobs = [1, 2, 3].map(|seed| {
        let size = #{ PROMPT: "a fox", WIDTH: 64, HEIGHT: 64, STEPS: 1, SEED: seed };
        comfy::submit(templates::build("sd3_txt2img", size))
    });
    #{ results: comfy::wait_all(jobs), again: comfy::wait_all([jobs[1].prompt_id], 60) }
}
"#;

const ROOM: &str = r#"
import "making" as making;
title("Room");

fn picture(name) {
    let g = workflow();
    let empty = g.node("EmptyImage", #{ width: 64, height: 64, batch_size: 1, color: 0 });
    g.node("SaveImage", #{ images: empty[0], filename_prefix: name });
    g
}

fn run(p) {
    comfy::run(picture("one"));
    making::make_room(templates::build("qwen_txt2img", #{ PROMPT: "a fox" }));
    comfy::run(picture("two")).prompt_id
}
"#;

fn home() -> Home {
    let home = Home::new();
    for (name, text) in [("careful", CAREFUL), ("several", SEVERAL), ("room", ROOM)] {
        home.write(&format!(".mmf/scripts/pipelines/{name}.rhai"), text);
    }
    home
}

async fn careful(home: &Home, comfy: &Sim, options: &Value, more: &[&str]) -> Ran {
    let options = options.to_string();
    let words = [&["run", "careful", "--json", "--OPTIONS", &options], more].concat();
    home.mmf(words).server(&comfy.url()).run().await
}

/// How many prompts the server has run.
async fn prompts(comfy: &Sim) -> usize {
    get(comfy, "/history").await.as_object().unwrap().len()
}

/// What the server had kept of earlier prompts when it ran this one.
async fn cached(comfy: &Sim, prompt_id: &Value) -> Value {
    let id = prompt_id.as_str().unwrap();
    let history = get(comfy, &format!("/history/{id}")).await;
    let messages = history[id]["status"]["messages"].as_array().unwrap();
    let cached = messages.iter().find(|one| one[0] == "execution_cached");
    cached.unwrap()[1]["nodes"].clone()
}

#[tokio::test]
async fn a_full_card_is_freed_and_the_job_runs_once_more_with_less() {
    let (home, comfy) = (home(), sim(&["oom@KSampler*1"]).await);
    let ran = careful(&home, &comfy, &json!({ "on_oom": "less" }), &[]).await;
    let done = ran.exits(0).json();
    let relieved = done["relieved"].as_array().unwrap();
    assert!(
        relieved[0].as_str().unwrap().contains("VAEDecodeTiled"),
        "{done:#}"
    );
    let arguments = json!({ "asset_id": done["outputs"][0]["asset_id"] }).to_string();
    let asset = home.mmf(["call", "get_asset_metadata", &arguments]);
    let asset = asset.server(&comfy.url()).run().await.exits(0).json();
    assert!(asset["workflow"].to_string().contains("VAEDecodeTiled"));
    assert_eq!(
        asset["provenance"]["script"]["name"], "sd3_txt2img",
        "{asset:#}"
    );
    assert_eq!(
        cached(&comfy, &done["prompt_id"]).await,
        json!([]),
        "nothing was left loaded"
    );
}

#[tokio::test]
async fn it_runs_once_more_as_it_is_where_nothing_else_is_wanted() {
    let (home, comfy) = (home(), sim(&["oom@KSampler*1"]).await);
    let ran = careful(&home, &comfy, &json!({ "on_oom": "retry" }), &[]).await;
    let done = ran.exits(0).json();
    assert_eq!(done["relieved"], json!([]));
    assert_eq!(prompts(&comfy).await, 2);

    let comfy = sim(&["oom@KSampler*1"]).await;
    let ran = careful(&home, &comfy, &json!({}), &[]).await;
    assert_eq!(ran.exits(7).json()["error"], "OUT_OF_MEMORY");
    assert_eq!(prompts(&comfy).await, 1, "not unless the script says so");
}

#[tokio::test]
async fn a_card_that_is_full_again_is_told_with_what_was_tried_and_what_else_helps() {
    let (home, comfy) = (home(), sim(&["oom@KSampler"]).await);
    let more = ["--TEMPLATE", "qwen_txt2img"];
    let ran = careful(&home, &comfy, &json!({ "on_oom": "less" }), &more).await;
    let failure = ran.exits(7).json();
    assert_eq!(failure["error"], "OUT_OF_MEMORY");
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("; so it did once more after memory was freed, to "),
        "{failure:#}"
    );
    assert!(
        !failure["tried"].as_array().unwrap().is_empty(),
        "{failure:#}"
    );
    assert!(
        failure["hint"]
            .as_str()
            .unwrap()
            .starts_with("what else would help: "),
        "{failure:#}"
    );
    assert_eq!(prompts(&comfy).await, 2, "once more, and no more");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_cancelled_and_told() {
    let (home, comfy) = (home(), sim_with_steps(Duration::from_millis(50), &[]).await);
    let options = json!({ "seconds": 0.5 });
    let ran = careful(&home, &comfy, &options, &["--STEPS", "150"]).await;
    let failure = ran.exits(2).json();
    assert_eq!(failure["error"], "TIMEOUT", "{failure:#}");
    let queue = home.mmf(["call", "get_queue_status"]).server(&comfy.url());
    let queue = queue.run().await.exits(0).json();
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_misspelt_limit_is_refused() {
    let (home, comfy) = (home(), sim(&[]).await);
    for (options, said) in [
        (json!({ "on_om": "less" }), "did you mean \"on_oom\"?"),
        (json!({ "on_oom": "more" }), "on_oom is \"more\""),
        (json!({ "seconds": -1 }), "seconds is a number from 0"),
    ] {
        let failure = careful(&home, &comfy, &options, &[]).await.exits(3).json();
        assert!(
            failure["message"].as_str().unwrap().contains(said),
            "{failure:#}"
        );
    }
    assert_eq!(prompts(&comfy).await, 0);
}

#[tokio::test]
async fn several_jobs_are_waited_for_and_one_that_fails_does_not_sink_the_rest() {
    let (home, comfy) = (home(), sim(&["oom@KSampler*1"]).await);
    let ran = home.mmf(["run", "several", "--json"]).server(&comfy.url());
    let done = ran.run().await.exits(0).json();
    let results = done["results"].as_array().unwrap();
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["error", "completed", "completed"], "{done:#}");
    assert_eq!(results[0]["error"], "OUT_OF_MEMORY");
    assert_eq!(done["again"], json!([results[1]]));
}

#[tokio::test]
async fn what_is_loaded_is_let_go_only_before_what_needs_the_whole_card() {
    let home = home();
    for (gigabytes, kept) in [(24, true), (4, false)] {
        let options = SimOptions {
            vram_total: gigabytes << 30,
            step_delay: Duration::ZERO,
            ..SimOptions::default()
        };
        let comfy = Sim::start(options).await.unwrap();
        let ran = home.mmf(["run", "room", "--json"]).server(&comfy.url());
        let prompt_id = ran.run().await.exits(0).json();
        let cached = cached(&comfy, &prompt_id).await;
        assert_eq!(cached != json!([]), kept, "{gigabytes} GiB: {cached}");
    }
}
