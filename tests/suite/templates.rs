//! The templates that come with the program: valid by the server's own rules, and they run.

use std::time::Duration;

use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::validate::Validator;
use massmediafactory::script::{Declaration, Kind, Type};
use massmediafactory::sim::{Sim, SimOptions, default_models};
use serde_json::{Map, Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::Home;
use crate::support::shipped::{built, required, shipped};

/// An argument for every parameter that needs one, and as little work as the template allows.
fn arguments(declaration: &Declaration) -> Map<String, Value> {
    let mut given = required(declaration);
    for param in &declaration.params {
        let least = match param.name.as_str() {
            "WIDTH" | "HEIGHT" | "FRAMES" => json!(param.min.unwrap_or(1.0)),
            "STEPS" => json!(2),
            _ => continue,
        };
        given.insert(param.name.clone(), least);
    }
    given
}

#[test]
fn every_template_is_valid_where_the_official_model_files_are_installed() {
    let facts = (*NodeFacts::bundled())
        .clone()
        .with_model_files(&default_models());
    let generation = shipped();
    assert!(
        generation.problems().is_empty(),
        "{:#?}",
        generation.problems()
    );
    let mut seen = 0;
    for served in generation.of_kind(Kind::Template) {
        let name = &served.script.key.name;
        seen += 1;
        // What needs a pack of nodes is none for the bare server.
        if !served.script.declaration.needs().is_empty() {
            continue;
        }
        let workflow = built(&generation, served).into_json();
        let verdict = Validator::new(&facts).receive(&workflow, None);
        assert!(
            verdict.outcome.is_accepted() && verdict.outcome.node_errors().is_empty(),
            "{name}: {:#?}",
            verdict.outcome
        );
    }
    assert!(seen >= 40, "only {seen} templates");
}

#[test]
fn every_parameter_of_a_template_says_what_it_means_and_every_number_its_range() {
    for served in shipped().of_kind(Kind::Template) {
        for param in &served.script.declaration.params {
            let place = format!("{}: {}", served.script.key, param.name);
            let speaks = param.ty == Type::Model || !param.choices.is_empty();
            assert!(
                speaks || !param.about.is_empty() || ["WIDTH", "HEIGHT"].contains(&&*param.name),
                "{place}"
            );
            let bounded = param.min.is_some() && param.max.is_some();
            assert!(
                bounded || !matches!(param.ty, Type::Int | Type::Float),
                "{place}"
            );
            assert_eq!(param.folder.is_some(), param.ty == Type::Model, "{place}");
        }
    }
}

#[test]
fn the_readme_names_every_template() {
    let readme = include_str!("../../README.md");
    let shipped = shipped();
    let all = shipped.of_kind(Kind::Template);
    let names: Vec<&str> = all.map(|served| served.script.key.name.as_str()).collect();
    assert!(readme.contains(&format!("{} templates come with", names.len())));
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

/// The table of the original: name and placeholders.
const ORIGINAL: [(&str, &[&str]); 5] = [
    ("qwen_txt2img", &["PROMPT", "SEED", "WIDTH", "HEIGHT"]),
    (
        "qwen_edit_background",
        &["IMAGE_PATH", "EDIT_PROMPT", "SEED", "CFG", "STEPS"],
    ),
    ("flux2_txt2img", &["PROMPT", "SEED", "STEPS", "CFG"]),
    ("ltx2_txt2vid", &["PROMPT", "SEED", "FRAMES"]),
    ("wan26_img2vid", &["IMAGE_PATH", "PROMPT", "SEED"]),
];

#[tokio::test]
async fn the_originals_templates_run_and_make_what_they_say() {
    let (home, data) = (Home::new(), tempfile::tempdir().unwrap());
    std::fs::create_dir(data.path().join("input")).unwrap();
    image::RgbImage::new(64, 48)
        .save(data.path().join("input/example.png"))
        .unwrap();
    let comfy = Sim::start(SimOptions {
        data: Some(data.path().to_owned()),
        step_delay: Duration::ZERO,
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    for (name, placeholders) in ORIGINAL {
        let template = client.call("get_template", json!({ "name": name })).await;
        let has = template["placeholders"].as_array().unwrap();
        for placeholder in placeholders {
            assert!(has.contains(&json!(placeholder)), "{name}: {placeholder}");
        }
        let generation = shipped();
        let declaration = &generation
            .get(Kind::Template, name)
            .unwrap()
            .script
            .declaration;
        let params = arguments(declaration);
        let built = client
            .call(
                "create_workflow_from_template",
                json!({ "name": name, "params": params }),
            )
            .await;
        let to_run = json!({ "workflow": built["workflow"], "template": name });
        let queued = client.call("execute_workflow", to_run).await;
        let done = client.wait(queued["prompt_id"].as_str().unwrap()).await;
        let [output] = &done["outputs"].as_array().unwrap()[..] else {
            panic!("{name}: {done:#}")
        };
        let kind = if name.contains("vid") {
            "video"
        } else {
            "images"
        };
        assert_eq!(output["type"], kind, "{name}: {done:#}");
        if let Some(width) = params.get("WIDTH").filter(|_| kind == "images") {
            assert_eq!(output["width"].as_f64(), width.as_f64(), "{name}: {done:#}");
        }
    }
}

#[tokio::test]
async fn a_missing_model_is_named_with_its_folder_and_what_is_installed_instead() {
    let mut models = default_models();
    let files = models.get_mut("diffusion_models").unwrap();
    files.retain(|file| !file.contains("2512"));
    let comfy = Sim::start(SimOptions {
        models,
        step_delay: Duration::ZERO,
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let built = client
        .call(
            "create_workflow_from_template",
            json!({ "name": "qwen_txt2img", "params": { "PROMPT": "a red fox" } }),
        )
        .await;
    let to_run = json!({ "workflow": built["workflow"] });
    let failure = client.call_fails("execute_workflow", to_run).await;
    assert_eq!(failure["error"], "VALIDATION_ERROR");
    let hint = failure["hint"].as_str().unwrap();
    assert!(
        hint.starts_with("put qwen_image_2512_fp8_e4m3fn.safetensors into models/diffusion_models")
            && hint.contains("qwen_image_fp8_e4m3fn.safetensors"),
        "{hint}"
    );
    assert_eq!(failure["missing_models"][0]["folder"], "diffusion_models");
    let errors = &failure["node_errors"]["1"]["errors"];
    assert_eq!(errors[0]["type"], "value_not_in_list", "{failure:#}");
}
