//! `mmf validate --fix`: what is mended, shown, and written back.

use std::fs;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::mmf::{Home, Mmf, Ran, sim};

const BROKEN: &str = r#"{
  "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "SDXL\\sd_xl_base_1.0.ckpt" } },
  "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox", "clip": [1, 1] } },
  "3": { "class_type": "EmptyLatentImage", "inputs": { "width": "512",  "height": 515 } },
  "4": {
    "class_type": "KSampler",
    "inputs": {
      "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0],
      "seed": 18446744073709551615, "stpes": 20, "cfg": 7.0,
      "sampler_name": "Euler", "scheduler": "karras", "denoise": 1.0,
      "mood": "calm"
    }
  },
  "5": { "class_type": "VAEDecode", "inputs": { "samples": ["4", 0], "vae": ["99", 2] } }
}
"#;

#[tokio::test]
async fn a_diff_shows_what_is_mended_and_why_and_nothing_is_written() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write("broken.json", BROKEN);
    let ran = home.mmf(["validate", "broken.json", "--fix"]);
    let ran = ran.server(&comfy.url()).run().await.exits(0);
    let shown = ran.stdout.replace(&comfy.url(), "URL");
    insta::assert_snapshot!(shown);
    assert_eq!(read(&home), BROKEN);
}

#[tokio::test]
async fn what_is_asked_to_be_written_keeps_its_layout() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write("broken.json", BROKEN);
    let ran = home.mmf(["validate", "broken.json", "--fix", "--write"]);
    ran.server(&comfy.url()).run().await.exits(0);
    let written = read(&home);
    assert!(
        written.contains(r#"{ "width": 512,  "height": 512,  "batch_size": 1 }"#),
        "{written}"
    );
    assert!(
        written.contains("\n      \"seed\": 18446744073709551615, \"steps\": 20, \"cfg\": 7.0,\n"),
        "{written}"
    );
    let again = home.mmf(["validate", "broken.json", "--fix", "--write"]);
    let again = again.server(&comfy.url()).run().await.exits(0);
    assert!(
        again.stdout.starts_with("broken.json: nothing wrong"),
        "{}",
        again.stdout
    );
    assert_eq!(read(&home), written);
}

#[tokio::test]
async fn from_stdin_the_mended_workflow_goes_to_stdout_and_errors_that_are_left_are_told() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let broken = json!({ "client_id": "me", "prompt": {
        "1": { "class_type": "EmptyImage", "inputs": { "width": "64", "height": 64, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    } });
    let fix = |workflow: &Value| {
        let ran = home.mmf(["validate", "-", "--fix"]).server(&comfy.url());
        fed(ran, workflow.to_string())
    };
    let ran = fix(&broken).await.exits(0);
    let mended = ran.json();
    assert_eq!(mended["prompt"]["1"]["inputs"]["width"], 64);
    assert_eq!(mended["client_id"], "me");
    assert!(
        ran.stdout
            .starts_with(r#"{"client_id":"me","prompt":{"1":"#),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr
            .contains("types: node 1 (EmptyImage), width: \"64\" -> 64"),
        "{}",
        ran.stderr
    );

    let mut hopeless = broken;
    hopeless["prompt"]["1"]["class_type"] = "Nonsense".into();
    assert_eq!(fix(&hopeless).await.exits(3).json(), hopeless);
}

/// Runs it with this on stdin.
async fn fed(mmf: Mmf, text: String) -> Ran {
    let mut child = mmf.spawn();
    let mut pipe = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move { pipe.write_all(text.as_bytes()).await });
    let ran = Ran::end(child).await;
    feeding.await.unwrap().unwrap();
    ran
}

fn read(home: &Home) -> String {
    fs::read_to_string(home.project().join("broken.json")).unwrap()
}

#[tokio::test]
async fn programs_get_what_was_done_and_what_is_left() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write("broken.json", BROKEN);
    home.write(
        ".mmf/scripts/fixers/prompts.rhai",
        "title(\"t\"); about(\"a\");\nfn fix(workflow, findings) { 5 }\n",
    );
    let ran = home.mmf(["validate", "broken.json", "--fix", "--json"]);
    let told = ran.server(&comfy.url()).run().await.exits(0).json();
    assert_eq!(
        (&told["valid"], &told["findings"]),
        (&json!(true), &json!([]))
    );
    let classes = &told["workflow"]["6"]["class_type"];
    assert_eq!(classes, "SaveImage");
    let fixers: Vec<&str> = told["corrections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["fixer"].as_str().unwrap())
        .collect();
    assert!(
        fixers.contains(&"misspelt_inputs") && fixers.contains(&"no_output"),
        "{fixers:?}"
    );
    assert!(
        told["failed_fixers"][0]
            .as_str()
            .unwrap()
            .starts_with("prompts: "),
        "{told:#}"
    );
}

#[tokio::test]
async fn stdin_is_not_written_to_and_writing_takes_fixing() {
    let home = Home::new();
    let ran = home.mmf(["validate", "-", "--fix", "--write"]);
    let ran = fed(
        ran,
        json!({ "1": { "class_type": "Nonsense", "inputs": {} } }).to_string(),
    );
    let ran = ran.await.exits(3);
    assert!(
        ran.stderr.contains("stdin can't be written back to"),
        "{}",
        ran.stderr
    );
    let ran = home
        .mmf(["validate", "x.json", "--write"])
        .run()
        .await
        .exits(3);
    assert!(ran.stderr.contains("--fix"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_fixer_of_ones_own_is_dropped_in() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let example = include_str!("../../examples/scripts/fixers/our_models.rhai");
    home.write(".mmf/scripts/fixers/our_models.rhai", example);
    home.write(
        "broken.json",
        &BROKEN.replace("SDXL\\\\sd_xl_base_1.0.ckpt", "our_merge_v1.safetensors"),
    );
    let ran = home.mmf(["validate", "broken.json", "--fix", "--json"]);
    let told = ran.server(&comfy.url()).run().await.exits(0).json();
    let corrections = told["corrections"].as_array().unwrap();
    let own = corrections.iter().find(|one| one["fixer"] == "our_models");
    let own = own.unwrap_or_else(|| panic!("{told:#}"));
    assert_eq!(
        (&own["from"], &own["to"], &own["reason"]),
        (
            &json!("our_merge_v1.safetensors"),
            &json!("sd_xl_base_1.0.safetensors"),
            &json!("we use this one now")
        )
    );
}
