//! `mmf validate`: what people and programs are shown of what is wrong with a workflow.

use massmediafactory::comfy::nodes::{NodeFacts, Snapshot};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::mmf::{Home, Mmf, Ran, sim};

const BROKEN: &str = r#"{
  "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd_xl_base_1.0.safetensors" } },
  "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a {{SUBJECT}}", "clip": [1, 1] } },
  "3": { "class_type": "EmptyLatentImage", "inputs": { "width": "512", "height": 515 } },
  "4": {
    "class_type": "KSampler",
    "inputs": {
      "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0],
      "seed": 18446744073709551616, "steps": 20, "cfg": 7.0,
      "sampler_name": "Euler", "scheduler": "karras", "denoise": 1.0,
      "junk": ["99", 0]
    }
  },
  "5": { "class_type": "VAEDecode", "inputs": { "samples": ["4", 0], "vae": ["1", 2] } },
  "6": { "class_type": "SaveImage", "inputs": { "images": ["5", 0], "filename_prefix": "x" } },
  "7": { "class_type": "Nonsense", "inputs": {} }
}
"#;

fn picture(width: impl Into<Value>) -> Value {
    json!({
        "1": { "class_type": "EmptyImage",
            "inputs": { "width": width.into(), "height": 64, "batch_size": 1, "color": 0 } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
    })
}

/// Runs it with this on stdin.
async fn fed(mmf: Mmf, stdin: impl AsRef<[u8]>) -> Ran {
    let mut child = mmf.spawn();
    let mut pipe = child.stdin.take().unwrap();
    let text = stdin.as_ref().to_vec();
    let feeding = tokio::spawn(async move { pipe.write_all(&text).await });
    let ran = Ran::end(child).await;
    feeding.await.unwrap().unwrap();
    ran
}

#[tokio::test]
async fn findings_are_shown_with_their_line_a_caret_and_advice() {
    let home = Home::new();
    home.write("broken.json", BROKEN);
    let ran = home.mmf(["validate", "broken.json"]).run().await.exits(3);
    insta::assert_snapshot!(ran.stdout);
    assert!(ran.stderr.contains("there is no ComfyUI"), "{}", ran.stderr);
}

#[tokio::test]
async fn programs_get_the_findings_as_json() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write("broken.json", BROKEN);
    let ran = home.mmf(["validate", "broken.json", "--json"]);
    let told = ran.server(&comfy.url()).run().await.exits(3).json();
    assert_eq!(told["valid"], false);
    assert_eq!(told["errors"][0], "Node type 'Nonsense' not found");
    let of = |kind: &str| {
        let mut findings = told["findings"].as_array().unwrap().iter();
        let found = findings.find(|one| one["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}: {told:#}"))
    };
    let choice = of("value_not_in_list");
    let said = [
        &choice["node_id"],
        &choice["input"],
        &choice["suggestion"],
        &choice["fixer"],
    ];
    assert_eq!(said, ["4", "sampler_name", "euler", "choices"]);
    assert_eq!(of("link_form")["suggestion"], json!(["1", 1]));
    assert_eq!(of("dangling_link")["rule"], "preflight");
    assert_eq!(of("placeholder")["severity"], "warning");
}

#[tokio::test]
async fn warnings_are_no_failure_and_nothing_wrong_is_said() {
    let home = Home::new();
    home.write("odd.json", &picture("64").to_string());
    let ran = home.mmf(["validate", "odd.json"]).run().await.exits(0);
    assert!(ran.stdout.contains("odd.json: 1 warning"), "{}", ran.stdout);
    let ran = fed(home.mmf(["validate", "-"]), picture(64).to_string()).await;
    let said = ran.exits(0).stdout;
    assert!(said.starts_with("stdin: nothing wrong"), "{said}");
}

#[tokio::test]
async fn a_picture_is_looked_at_by_the_prompt_in_it() {
    let home = Home::new();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let text = [b"prompt\0", picture(0).to_string().as_bytes()].concat();
    for (kind, content) in [(b"tEXt", &text[..]), (b"IEND", b"")] {
        png.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        png.extend([kind, content, &[0; 4]].concat());
    }
    let path = home.write("shot.png", "");
    std::fs::write(path, &png).unwrap();
    let ran = home.mmf(["validate", "shot.png"]).run().await.exits(3);
    assert!(
        ran.stdout.contains("shot.png (its prompt)"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("value_smaller_than_min"),
        "{}",
        ran.stdout
    );
    fed(home.mmf(["validate", "-"]), &png).await.exits(3);
}

#[tokio::test]
async fn a_graph_of_the_editor_is_judged_as_the_prompt_that_it_becomes() {
    let home = Home::new();
    let graph = json!({ "version": 0.4, "links": [[1, 1, 0, 2, 0, "IMAGE"]], "nodes": [
        { "id": 1, "type": "EmptyImage", "inputs": [],
            "outputs": [{ "name": "IMAGE", "type": "IMAGE", "links": [1] }],
            "widgets_values": [64, 64, 0, 255] },
        { "id": 2, "type": "SaveImage", "outputs": [],
            "inputs": [{ "name": "images", "type": "IMAGE", "link": 1 }],
            "widgets_values": ["x"] },
    ] });
    home.write("graph.json", &graph.to_string());
    let ran = home.mmf(["validate", "graph.json"]).run().await.exits(3);
    assert!(
        ran.stdout.contains("graph.json, converted")
            && ran.stdout.contains("value_smaller_than_min"),
        "{}",
        ran.stdout
    );

    let unknown = graph.to_string().replace("EmptyImage", "EmptyImagine");
    home.write("graph.json", &unknown);
    let ran = home.mmf(["validate", "graph.json"]).run().await.exits(3);
    assert!(ran.stderr.contains("EmptyImagine"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_is_no_workflow_is_told() {
    let home = Home::new();
    home.write("text.json", "nope");
    for (file, code, said) in [
        ("text.json", 3, "not JSON"),
        ("absent.json", 6, "there is no file absent.json"),
    ] {
        let ran = home.mmf(["validate", file]).run().await.exits(code);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    home.mmf(["validate"]).run().await.exits(3);
}

#[tokio::test]
async fn each_line_gets_a_verdict_in_its_order() {
    let home = Home::new();
    let mut lines = String::new();
    let mut widths = vec![];
    for at in 0..2_000 {
        let width = at % 3;
        widths.push(width);
        lines += &picture(width).to_string();
        lines.push('\n');
    }
    lines += "nope\n\n{\"prompt\": {}, \"client_id\": \"x\"}\n[";
    let ran = fed(home.mmf(["validate", "--jsonl"]), lines).await.exits(3);
    let verdicts: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(verdicts.len(), 2_003);
    for (verdict, width) in verdicts.iter().zip(widths) {
        assert_eq!(verdict["accepted"], json!(width > 0));
        let errors = &verdict["node_errors"]["1"]["errors"];
        assert_eq!(errors.is_null(), width > 0, "{verdict}");
    }
    let last = &verdicts[2_000..];
    assert!(last[0]["errors"][0].as_str().unwrap().contains("no JSON"));
    assert_eq!(last[1]["error"]["type"], "prompt_no_outputs");
    assert!(last[2]["errors"][0].as_str().unwrap().contains("no JSON"));
}

#[tokio::test]
async fn facts_come_from_a_snapshot_or_from_what_a_server_answers() {
    let home = Home::new();
    let files = ["mine.safetensors"];
    let facts = (*NodeFacts::bundled())
        .clone()
        .with_choices("VAELoader", "vae_name", &files)
        .with_choices("LoadImage", "image", &["there.png"]);
    home.write("info.json", &facts.to_object_info().to_string());
    let snapshot = Snapshot {
        comfyui_version: "0.33.0".to_owned(),
        taken_at: "2026-11-22T09:00:00Z".parse().unwrap(),
        url: None,
        facts,
    };
    snapshot
        .write(&home.project().join("nodes-0.33.0.json.gz"))
        .unwrap();
    let workflow = |vae: &str, image: &str| {
        json!({
            "1": { "class_type": "VAELoader", "inputs": { "vae_name": vae } },
            "2": { "class_type": "LoadImage", "inputs": { "image": image } },
            "3": { "class_type": "VAEEncode", "inputs": { "pixels": ["2", 0], "vae": ["1", 0] } },
            "4": { "class_type": "SaveLatent",
                "inputs": { "samples": ["3", 0], "filename_prefix": "x" } },
        })
    };
    home.write(
        "good.json",
        &workflow("mine.safetensors", "there.png").to_string(),
    );
    home.write(
        "bad.json",
        &workflow("other.safetensors", "gone.png").to_string(),
    );
    // Without a word, the latest snapshot in the folder.
    for nodes in [Some("info.json"), Some("nodes-0.33.0.json.gz"), None] {
        let judge = |file: &str| {
            let words = ["validate", file, "--json"].map(str::to_owned);
            let more = nodes.map(|nodes| vec!["--nodes".to_owned(), nodes.to_owned()]);
            home.mmf(words.into_iter().chain(more.unwrap_or_default()))
                .run()
        };
        judge("good.json").await.exits(0);
        let told = judge("bad.json").await.exits(3).json();
        let kind = |id: &str| told["node_errors"][id]["errors"][0]["type"].clone();
        // A picture may have been uploaded since; that it was not there is worth a warning.
        assert_eq!(
            [kind("1"), kind("2")],
            [json!("value_not_in_list"), json!(null)]
        );
        let findings = told["findings"].as_array().unwrap();
        let at = |id: &str| findings.iter().find(|one| one["node_id"] == id).unwrap();
        assert_eq!(at("2")["type"], "missing_upload", "{told:#}");
        assert_eq!(at("2")["severity"], "warning");
        // The answer of a server does not tell its version.
        let judge = told["judged_by"].as_str().unwrap();
        let is_told = judge.contains("0.33.0");
        assert_eq!(is_told, nodes != Some("info.json"), "{judge}");
    }
    let ran = home.mmf(["validate", "good.json", "--nodes", "good.json"]);
    ran.run().await.exits(3);
    let ran = home.mmf(["validate", "good.json", "--nodes", "http://127.0.0.1:1"]);
    ran.run().await.exits(5);
}
