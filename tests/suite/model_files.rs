//! A template's model files: taken as the server has them, or told with where to get them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use massmediafactory::sim::{Sim, SimOptions, default_models};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::Home;

type Models = BTreeMap<String, Vec<String>>;

/// The model that `qwen_txt2img` loads unless told otherwise.
const OFFICIAL: &str = "qwen_image_2512_fp8_e4m3fn.safetensors";

/// A simulator that has these files in place of the official one.
async fn sim(folder: &str, official: &str, instead: &[&str]) -> Sim {
    let mut models: Models = default_models();
    let files = models.get_mut(folder).unwrap();
    files.retain(|file| file != official && !file.contains("2512"));
    files.extend(instead.iter().map(|&file| file.to_owned()));
    serving(models).await
}

async fn serving(models: Models) -> Sim {
    let options = SimOptions {
        models,
        step_delay: Duration::ZERO,
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

async fn build(client: &mut McpClient, params: Value) -> Value {
    let asked = json!({ "name": "qwen_txt2img", "params": params });
    client.call("create_workflow_from_template", asked).await
}

/// The file that the workflow of `qwen_txt2img` loads.
fn loaded(built: &Value) -> &str {
    let nodes = built["workflow"].as_object().unwrap().values();
    let mut loaders = nodes.filter(|node| node["class_type"] == "UNETLoader");
    let loader = loaders.next().unwrap();
    loader["inputs"]["unet_name"].as_str().unwrap()
}

/// What an agent passes on to run a workflow.
fn to_run(built: &Value) -> Value {
    json!({ "workflow": built["workflow"], "template": built["template"] })
}

#[tokio::test]
async fn a_file_in_a_subfolder_is_taken_from_there() {
    let there = "Qwen\\qwen_image_2512_fp8_e4m3fn.safetensors";
    let comfy = sim("diffusion_models", OFFICIAL, &[there]).await;
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    for given in [
        json!({ "PROMPT": "a fox" }),
        json!({ "PROMPT": "a fox", "MODEL": OFFICIAL }),
    ] {
        let built = build(&mut client, given).await;
        assert_eq!(loaded(&built), there);
        assert_eq!(
            built["exchanged_models"],
            json!([{ "param": "MODEL", "file": OFFICIAL, "taken": there }])
        );
        assert_eq!(built.get("missing_models"), None);
        let queued = client.call("execute_workflow", to_run(&built)).await;
        assert_eq!(queued["status"], "queued", "{queued:#}");
    }
}

#[tokio::test]
async fn only_a_default_is_exchanged_for_another_precision() {
    let bf16 = "qwen_image_2512_bf16.safetensors";
    let comfy = sim("diffusion_models", OFFICIAL, &[bf16]).await;
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let built = build(&mut client, json!({ "PROMPT": "a fox" })).await;
    assert_eq!(loaded(&built), bf16);
    assert_eq!(built["exchanged_models"][0]["taken"], bf16);

    let built = build(&mut client, json!({ "PROMPT": "a fox", "MODEL": OFFICIAL })).await;
    assert_eq!(loaded(&built), OFFICIAL);
    assert_eq!(built.get("exchanged_models"), None);
    let missing = &built["missing_models"][0];
    assert_eq!(
        (&missing["file"], &missing["nearest"][0]),
        (&json!(OFFICIAL), &json!(bf16))
    );
}

#[tokio::test]
async fn a_batch_takes_what_is_there_and_says_so_once() {
    let bf16 = "qwen_image_2512_bf16.safetensors";
    let comfy = sim("diffusion_models", OFFICIAL, &[bf16]).await;
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let set = |seed: u64| json!({ "PROMPT": "a fox", "STEPS": 1, "WIDTH": 256, "HEIGHT": 256, "SEED": seed });
    let sets: Vec<Value> = (0..3).map(set).collect();
    let asked = json!({ "workflow": "qwen_txt2img", "param_sets": sets });
    let batch = client.call("execute_batch_workflows", asked).await;
    assert_eq!(batch["completed"], 3, "{batch:#}");
    let exchanged = batch["exchanged_models"].as_array().unwrap();
    assert_eq!(exchanged.len(), 1, "{batch:#}");
    let asset = &batch["results"][0]["outputs"][0]["asset_id"];
    let told = client
        .call("get_asset_metadata", json!({ "asset_id": asset }))
        .await;
    assert!(
        told.to_string().contains(bf16),
        "what was used is recorded: {told:#}"
    );
}

#[tokio::test]
async fn what_can_not_be_found_is_told_with_where_to_get_it_when_building_and_when_running() {
    let mut models = default_models();
    models.get_mut("diffusion_models").unwrap().clear();
    models.get_mut("vae").unwrap().clear();
    let comfy = serving(models).await;
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let built = build(&mut client, json!({ "PROMPT": "a fox" })).await;
    let missing = &built["missing_models"];
    let repository = "https://huggingface.co/Comfy-Org/Qwen-Image_ComfyUI/resolve/main/split_files";
    let files: Vec<Value> = missing
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["file"], one["folder"], one["url"], one["gib"]]))
        .collect();
    let vae = "qwen_image_vae.safetensors";
    assert_eq!(
        files,
        [
            json!([
                OFFICIAL,
                "diffusion_models",
                format!("{repository}/diffusion_models/{OFFICIAL}"),
                19.03
            ]),
            json!([vae, "vae", format!("{repository}/vae/{vae}"), 0.236]),
        ]
    );
    let failure = client.call_fails("execute_workflow", to_run(&built)).await;
    assert_eq!(failure["missing_models"], *missing, "{failure:#}");
    let validated = client.call("validate_workflow", to_run_alone(&built)).await;
    assert_eq!(validated["missing_models"], *missing, "{validated:#}");
}

fn to_run_alone(built: &Value) -> Value {
    json!({ "workflow": built["workflow"] })
}

#[tokio::test]
async fn a_person_reads_a_table_of_what_to_fetch() {
    let mut models = default_models();
    models.get_mut("diffusion_models").unwrap().clear();
    models.get_mut("vae").unwrap().clear();
    let comfy = serving(models).await;
    let home = Home::new();
    let words = ["run", "qwen_txt2img", "--PROMPT", "a fox"];
    let ran = home.mmf(words).server(&comfy.url()).run().await.exits(3);
    insta::assert_snapshot!(ran.stderr);

    let words = [&words[..], &["--workflow"]].concat();
    let ran = home.mmf(words).server(&comfy.url()).run().await.exits(0);
    let table = ran.stderr.lines().next().unwrap();
    assert!(
        table.contains("missing file") && ran.stdout.contains(OFFICIAL),
        "{ran:?}"
    );
}

#[tokio::test]
async fn on_the_command_line_an_exchange_is_a_note() {
    let there = "qwen/qwen_image_2512_bf16.safetensors";
    let comfy = sim("diffusion_models", OFFICIAL, &[there]).await;
    let home = Home::new();
    let words = ["run", "qwen_txt2img", "--PROMPT", "a fox", "--workflow"];
    let ran = home.mmf(words).server(&comfy.url()).run().await.exits(0);
    let note = format!("note: MODEL: {there} stands for {OFFICIAL}, which is not there\n");
    assert_eq!(ran.stderr, note);
    // Without a server nothing is known, and nothing is changed.
    let ran = home.mmf(words).run().await.exits(0);
    assert!(
        ran.stdout.contains(OFFICIAL) && ran.stderr.is_empty(),
        "{ran:?}"
    );
}

/// A template with a node of a pack.
const SPEECH: &str = r#"
title("Speech");
about("Says something.");
meta(#{ model: "F5-TTS", type: "tts", needs: [#{
    pack: "ComfyUI-F5-TTS",
    url: "https://github.com/niknah/ComfyUI-F5-TTS",
    nodes: ["F5TTSAudioInputs"],
}] });
fn build(p) {
    let g = workflow();
    let speech = g.node("F5TTSAudioInputs", #{ speech: "hello" });
    g.node("SaveAudio", #{ audio: speech[0], filename_prefix: "speech" });
    g
}
"#;

#[rstest]
#[case("0.33.0")]
#[case("0.3.75")]
#[tokio::test]
async fn a_pack_of_nodes_that_is_not_there_is_named_wherever_its_nodes_are_used(
    #[case] version: &str,
) {
    let home = Home::new();
    home.write(".mmf/templates/speech.rhai", SPEECH);
    let options = SimOptions {
        version: version.to_owned(),
        ..SimOptions::default()
    };
    let comfy = Sim::start(options).await.unwrap();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let listed = client.call("list_workflow_templates", json!({})).await;
    let templates = listed["templates"].as_array().unwrap();
    let speech = templates
        .iter()
        .find(|one| one["name"] == "speech")
        .unwrap();
    assert_eq!(speech["needs"], json!(["ComfyUI-F5-TTS"]));

    let asked = json!({ "name": "speech" });
    let built = client.call("create_workflow_from_template", asked).await;
    assert_eq!(built["missing_packs"][0]["pack"], "ComfyUI-F5-TTS");
    let failure = client.call_fails("execute_workflow", to_run(&built)).await;
    let advice = "install the node pack ComfyUI-F5-TTS";
    let hint = failure["hint"].as_str().unwrap();
    assert!(hint.starts_with(advice), "{failure:#}");
    assert_eq!(
        failure["missing_packs"][0]["nodes"],
        json!(["F5TTSAudioInputs"])
    );

    // Of nobody's template, and no other unknown class.
    let mut workflow = built["workflow"].clone();
    workflow["9"] = json!({ "class_type": "Unheard", "inputs": {} });
    let asked = json!({ "workflow": workflow });
    let validated = client.call("validate_workflow", asked).await;
    let errors = validated["errors"].to_string();
    assert_eq!(errors.matches(advice).count(), 1, "{validated:#}");
    assert!(
        errors.contains("Node type 'Unheard' not found\""),
        "{errors}"
    );
}

#[tokio::test]
async fn what_a_template_needs_is_written_right_or_told_at_once() {
    let home = Home::new();
    let wrong = SPEECH.replace("pack:", "packet:");
    home.write(".mmf/templates/speech.rhai", &wrong);
    let ran = home
        .mmf(["run", "speech", "--workflow"])
        .run()
        .await
        .exits(3);
    assert!(
        ran.stderr.contains("\"needs\" is a list of"),
        "{}",
        ran.stderr
    );
}

/// The files below a folder that hold some text.
fn holding(folder: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if std::fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
}

mod account {
    use std::sync::{Arc, Mutex};

    use massmediafactory::sim::{Call, Frame, Outcome, Raised, SimNode, Value, Video};

    use super::*;

    const KEY: &str = "comfyui-k3y-of-nobody";

    /// What the partner node was given.
    type Seen = Arc<Mutex<Vec<serde_json::Value>>>;

    /// A partner node as it is: without an account it fails.
    fn partner(seen: Seen) -> Arc<dyn SimNode> {
        Arc::new(move |call: &mut Call<'_>| {
            let key = call.server.extra_data().get("api_key_comfy_org").cloned();
            let Some(key) = key else {
                let message = "Unauthorized: Please login first to use this node.";
                return Err(Raised::new("Exception", message));
            };
            seen.lock().unwrap().push(key);
            let frame = Frame::from_pixels(image::RgbaImage::new(64, 64));
            let video = Video {
                frames: Arc::new(vec![frame; 5]),
                fps: 5.0,
                audio: None,
                file: None,
            };
            Ok(Outcome::values(vec![Value::Video(Arc::new(video))]))
        })
    }

    async fn comfy(seen: &Seen, data: &Path) -> Sim {
        std::fs::create_dir_all(data.join("input")).unwrap();
        let picture = image::RgbImage::new(640, 480);
        picture.save(data.join("input/example.png")).unwrap();
        let options = SimOptions {
            data: Some(data.to_owned()),
            step_delay: Duration::ZERO,
            nodes: vec![("WanImageToVideoApi".to_owned(), partner(seen.clone()))],
            ..SimOptions::default()
        };
        Sim::start(options).await.unwrap()
    }

    const WORDS: [&str; 6] = [
        "run",
        "wan26_img2vid",
        "--IMAGE_PATH",
        "example.png",
        "--PROMPT",
        "it walks",
    ];

    #[tokio::test]
    async fn the_key_reaches_the_partner_node_and_is_written_nowhere() {
        let (home, data, seen) = (Home::new(), tempfile::tempdir().unwrap(), Seen::default());
        let comfy = comfy(&seen, data.path()).await;
        let words = [&WORDS[..], &["--json", "-v", "-v"]].concat();
        let ran = home
            .mmf(words)
            .server(&comfy.url())
            .env("COMFY_ORG_API_KEY", KEY)
            .run()
            .await
            .exits(0);
        assert_eq!(*seen.lock().unwrap(), [json!(KEY)]);
        assert!(
            !ran.stdout.contains(KEY) && !ran.stderr.contains(KEY),
            "{ran:?}"
        );
        let mut found = vec![];
        holding(&home.data(), KEY, &mut found);
        holding(&home.project(), KEY, &mut found);
        holding(data.path(), KEY, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[tokio::test]
    async fn without_a_key_it_is_said_what_to_configure() {
        let (home, data, seen) = (Home::new(), tempfile::tempdir().unwrap(), Seen::default());
        let comfy = comfy(&seen, data.path()).await;
        let ran = home.mmf(WORDS).server(&comfy.url()).run().await.exits(1);
        assert!(
            ran.stderr.contains("= help: make a key at"),
            "{}",
            ran.stderr
        );

        let mut client = McpClient::start(&home, &comfy.url()).await;
        let params = json!({ "IMAGE_PATH": "example.png", "PROMPT": "it walks" });
        let asked = json!({ "name": "wan26_img2vid", "params": params });
        let built = client.call("create_workflow_from_template", asked).await;
        let warning = built["warnings"][0].as_str().unwrap();
        assert!(warning.contains("COMFY_ORG_API_KEY"), "{warning}");
        let asked = json!({ "workflow": built["workflow"] });
        let validated = client.call("validate_workflow", asked).await;
        assert_eq!(validated["valid"], true, "{validated:#}");
        let kinds = validated["findings"].to_string();
        assert_eq!(kinds.matches("no_account_key").count(), 1, "{kinds}");
    }

    #[tokio::test]
    async fn a_prompt_without_a_partner_node_brings_no_key() {
        let (home, seen) = (Home::new(), Seen::default());
        let record = seen.clone();
        let options = SimOptions {
            step_delay: Duration::ZERO,
            nodes: vec![(
                "EmptyImage".to_owned(),
                Arc::new(move |call: &mut Call<'_>| {
                    let extra = json!(call.server.extra_data());
                    record.lock().unwrap().push(extra);
                    Err(Raised::new("Exception", "enough"))
                }),
            )],
            ..SimOptions::default()
        };
        let comfy = Sim::start(options).await.unwrap();
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/templates/one_colour.rhai"
        );
        let mmf = home.mmf(["run", file]).server(&comfy.url());
        mmf.env("COMFY_ORG_API_KEY", KEY).run().await.exits(1);
        let seen = seen.lock().unwrap();
        assert!(
            seen.len() == 1 && !seen[0].to_string().contains(KEY),
            "{seen:?}"
        );
    }
}
