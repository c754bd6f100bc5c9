//! What each rule finds, and that it finds nothing where there is nothing.

mod doubt;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use self::doubt::{told, with_uploads};
use super::{Files, Preflight};
use crate::comfy::check::Severity;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::{Rules, Validator};
use crate::knowledge::Knowledge;
use crate::sim::default_models;

/// `(type, node, input, suggestion)` of what is told, errors before warnings.
fn found_by(version: &str, nodes: &Value) -> Vec<(Severity, &'static str, String)> {
    let facts = (*NodeFacts::bundled())
        .clone()
        .with_model_files(&default_models());
    let knowledge = Knowledge::bundled();
    let preflight = Preflight::new(&facts, &knowledge).rules(Rules::of(version));
    let report = preflight.inspect(nodes);
    let mut told: Vec<(Severity, &str, String)> = report
        .told()
        .map(|one| {
            let id = one.node_id.clone().unwrap_or_default();
            let input = one.input.clone().unwrap_or_default();
            let place = format!("{id}.{input} -> {}", one.suggestion);
            (one.severity, one.kind, place)
        })
        .collect();
    told.sort_by_key(|one| std::cmp::Reverse(one.0));
    told
}

fn errors(nodes: &Value) -> Vec<(&'static str, String)> {
    of(Severity::Error, nodes)
}

fn warnings(nodes: &Value) -> Vec<(&'static str, String)> {
    assert_eq!(of(Severity::Error, nodes), [], "no error");
    of(Severity::Warning, nodes)
}

fn of(severity: Severity, nodes: &Value) -> Vec<(&'static str, String)> {
    let told = found_by("0.33.0", nodes).into_iter();
    told.filter(|one| one.0 == severity)
        .map(|(_, kind, place)| (kind, place))
        .collect()
}

fn saved(mut nodes: Value, images: &Value) -> Value {
    nodes["save"] = json!({ "class_type": "SaveImage",
        "inputs": { "images": images, "filename_prefix": "x" } });
    nodes
}

fn picture() -> Value {
    saved(
        json!({ "1": { "class_type": "EmptyImage",
            "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } } }),
        &json!(["1", 0]),
    )
}

/// A picture or clip of a model with its own text encoder and autoencoder.
fn sampled(model: &str, encoder: &Value, vae: &str, latent: &Value) -> Value {
    let nodes = json!({
        "model": { "class_type": "UNETLoader",
            "inputs": { "unet_name": model, "weight_dtype": "default" } },
        "clip": encoder,
        "vae": { "class_type": "VAELoader", "inputs": { "vae_name": vae } },
        "yes": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox", "clip": ["clip", 0] } },
        "no": { "class_type": "CLIPTextEncode", "inputs": { "text": "", "clip": ["clip", 0] } },
        "latent": latent,
        "sampler": { "class_type": "KSampler", "inputs": {
            "model": ["model", 0], "positive": ["yes", 0], "negative": ["no", 0],
            "latent_image": ["latent", 0], "seed": 1, "steps": 20, "cfg": 4.0,
            "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0 } },
        "decode": { "class_type": "VAEDecode",
            "inputs": { "samples": ["sampler", 0], "vae": ["vae", 0] } },
    });
    saved(nodes, &json!(["decode", 0]))
}

fn clip(file: &str, kind: &str) -> Value {
    json!({ "class_type": "CLIPLoader", "inputs": { "clip_name": file, "type": kind } })
}

fn empty(class: &str, width: u32, height: u32) -> Value {
    json!({ "class_type": class,
        "inputs": { "width": width, "height": height, "batch_size": 1 } })
}

fn qwen(model: &str) -> Value {
    let encoder = clip("qwen_2.5_vl_7b_fp8_scaled.safetensors", "qwen_image");
    let latent = empty("EmptySD3LatentImage", 1328, 1328);
    sampled(model, &encoder, "qwen_image_vae.safetensors", &latent)
}

const QWEN: &str = "qwen_image_2512_fp8_e4m3fn.safetensors";
const QWEN_EDIT: &str = "qwen_image_edit_2511_fp8mixed.safetensors";

#[test]
fn nothing_is_said_of_what_is_right() {
    assert_eq!(warnings(&picture()), []);
    assert_eq!(warnings(&qwen(QWEN)), []);
}

#[test]
fn a_node_without_inputs_kills_the_worker_also_where_no_output_needs_it() {
    let mut nodes = picture();
    nodes["2"] = json!({ "class_type": "EmptyImage" });
    let error = ("no_inputs_object", "2.inputs -> {}".to_owned());
    assert_eq!(errors(&nodes), [error]);
}

#[test]
fn a_link_to_nowhere_is_executed_also_where_no_input_is_declared() {
    let mut nodes = picture();
    nodes["1"]["inputs"]["junk"] = json!(["9", 0]);
    assert_eq!(
        errors(&nodes),
        [("dangling_link", "1.junk -> null".to_owned())]
    );
    nodes["1"]["inputs"]["junk"] = json!(["save", 0]);
    assert_eq!(errors(&nodes)[0].0, "dependency_cycle");
}

#[test]
fn links_are_told_in_their_place() {
    let cases = [
        (json!(["9", 0]), "broken_link", r#"["1",0]"#),
        (json!(["1", 5]), "broken_link", r#"["1",0]"#),
        (json!(["1", "0"]), "link_form", r#"["1",0]"#),
        (json!([1, 0]), "link_form", r#"["1",0]"#),
    ];
    for (link, kind, meant) in cases {
        let mut nodes = picture();
        nodes["save"]["inputs"]["images"] = link;
        let error = (kind, format!("save.images -> {meant}"));
        assert_eq!(errors(&nodes), [error]);
    }
}

#[test]
fn what_a_saving_node_passes_on_is_no_source_of_its_own() {
    let mut nodes = picture();
    nodes["2"] = nodes["save"].clone();
    nodes["2"]["inputs"]["images"] = json!(["9", 0]);
    let error = ("broken_link", r#"2.images -> ["1",0]"#.to_owned());
    assert_eq!(errors(&nodes), [error]);
}

#[test]
fn inputs_that_are_no_map_are_told_once() {
    let mut nodes = picture();
    nodes["2"] = json!({ "class_type": "SaveImage", "inputs": 5 });
    let kinds: Vec<&str> = errors(&nodes).into_iter().map(|one| one.0).collect();
    assert_eq!(kinds, ["internal_server_error", "no_inputs_object"]);
}

#[test]
fn a_slot_from_the_end_runs_and_is_warned_of() {
    let mut nodes = picture();
    nodes["save"]["inputs"]["images"] = json!(["1", -1]);
    let warning = ("negative_slot", r#"save.images -> ["1",0]"#.to_owned());
    assert_eq!(warnings(&nodes), [warning]);
}

#[test]
fn everything_is_found_at_once_behind_an_unknown_class() {
    let mut nodes = picture();
    nodes["1"]["inputs"]["width"] = json!(0);
    nodes["1"]["inputs"]["height"] = json!("x");
    nodes["2"] = json!({ "class_type": "SaveImagge", "inputs": { "images": ["1", 0] } });
    let kinds: Vec<&str> = errors(&nodes).into_iter().map(|one| one.0).collect();
    let wanted = [
        "missing_node_type",
        "value_smaller_than_min",
        "invalid_input_type",
    ];
    assert_eq!(kinds, wanted);
}

#[rstest]
#[case(json!({}), "missing_selector", "1.resize_type -> \"scale dimensions\"")]
#[case(json!({ "resize_type": "nope" }), "unknown_selector", "1.resize_type -> null")]
#[case(json!({ "resize_type": "Scale by Multiplier" }), "unknown_selector",
    "1.resize_type -> \"scale by multiplier\"")]
fn a_choice_that_brings_inputs_is_needed(
    #[case] given: Value,
    #[case] kind: &'static str,
    #[case] place: &str,
) {
    let mut nodes = picture();
    nodes["0"] = nodes["1"].clone();
    nodes["1"] = json!({ "class_type": "ResizeImageMaskNode", "inputs": given });
    nodes["1"]["inputs"]["input"] = json!(["0", 0]);
    nodes["1"]["inputs"]["scale_method"] = json!("area");
    assert_eq!(errors(&nodes), [(kind, place.to_owned())]);
}

#[test]
fn a_cycle_is_named_where_the_server_is_silent_about_it() {
    let nodes = json!({
        "1": { "class_type": "ImageInvert", "inputs": { "image": ["2", 0] } },
        "2": { "class_type": "ImageInvert", "inputs": { "image": ["1", 0] } },
        "3": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
    });
    for version in ["0.3.75", "0.33.0"] {
        let kinds: Vec<&str> = found_by(version, &nodes).iter().map(|one| one.1).collect();
        assert_eq!(kinds, ["dependency_cycle"], "{version}");
    }
}

#[test]
fn values_that_are_taken_for_others_are_told() {
    let mut nodes = picture();
    let inputs = &mut nodes["1"]["inputs"];
    (inputs["width"], inputs["height"], inputs["color"]) = (json!("64"), json!(64.9), json!(true));
    let told = |place: &str| ("coerced_value", place.to_owned());
    let wanted = [
        told("1.width -> 64"),
        told("1.height -> 64"),
        told("1.color -> 1"),
    ];
    assert_eq!(warnings(&nodes), wanted);
}

#[test]
fn what_does_not_run_and_what_was_not_filled_in_are_told() {
    let mut nodes = picture();
    nodes["2"] = nodes["1"].clone();
    nodes["save"]["inputs"]["filename_prefix"] = json!("{{PREFIX}}");
    let wanted = [
        ("placeholder", "save.filename_prefix -> null".to_owned()),
        ("orphaned_node", "2. -> null".to_owned()),
    ];
    assert_eq!(warnings(&nodes), wanted);
}

#[test]
fn an_output_is_not_read_from_the_input_folder() {
    let load = json!({ "1": { "class_type": "LoadImage", "inputs": { "image": "x_00001_.png" } } });
    let nodes = saved(load, &json!(["1", 0]));
    // It may have been uploaded again under that name, as long as nobody knows.
    let warning = ("output_as_input", "1.image -> null".to_owned());
    assert_eq!(warnings(&nodes), [warning]);

    let meant = "1.image -> \"x_00001_.png [output]\"";
    let facts = with_uploads();
    let once = told(&facts, &Files::once(&facts), &nodes);
    assert_eq!(
        once,
        [(Severity::Warning, "output_as_input", meant.to_owned())]
    );
    let now = told(&facts, &Files::now(&facts), &nodes);
    let error = (
        Severity::Error,
        "custom_validation_failed",
        meant.to_owned(),
    );
    assert_eq!(now, [error]);
}

#[test]
fn a_picture_on_a_link_is_warned_of_only() {
    let mut nodes = picture();
    nodes["save"]["inputs"]["images"] = json!("photo.png");
    let kinds: Vec<&str> = warnings(&nodes).into_iter().map(|one| one.0).collect();
    assert_eq!(kinds, ["value_for_link", "orphaned_node"]);
}

#[test]
fn parts_of_another_family_are_told_with_the_right_ones() {
    let mut nodes = qwen(QWEN);
    nodes["vae"]["inputs"]["vae_name"] = json!("ae.safetensors");
    nodes["clip"]["inputs"]["clip_name"] = json!("mistral_3_small_flux2_fp8.safetensors");
    let wanted = [
        ("mixed_families", "clip.clip_name -> null".to_owned()),
        (
            "mixed_families",
            "vae.vae_name -> \"qwen_image_vae.safetensors\"".to_owned(),
        ),
    ];
    assert_eq!(warnings(&nodes), wanted);

    let mut nodes = qwen(QWEN);
    nodes["vae"]["inputs"]["vae_name"] = json!("wan_2.1_vae.safetensors");
    let alike = ("mixed_families", "vae.vae_name -> null".to_owned());
    assert_eq!(warnings(&nodes), [alike]);
}

#[test]
fn editing_with_qwen_keeps_to_its_ways() {
    let mut nodes = qwen(QWEN_EDIT);
    nodes["yes"]["inputs"]["text"] = json!("Replace the Background by a beach");
    nodes["photo"] = json!({ "class_type": "LoadImage", "inputs": { "image": "a.png" } });
    nodes["latent"] = json!({ "class_type": "VAEEncode",
        "inputs": { "pixels": ["photo", 0], "vae": ["vae", 0] } });
    let sampler = &mut nodes["sampler"]["inputs"];
    (sampler["cfg"], sampler["denoise"], sampler["steps"]) = (json!(6.0), json!(0.7), json!(40));
    let kinds: Vec<&str> = warnings(&nodes).into_iter().map(|one| one.0).collect();
    assert_eq!(
        kinds,
        ["cfg_too_high", "denoise_below_one", "latent_holds_picture"]
    );
}

#[test]
fn settings_far_from_what_a_model_wants_are_told() {
    let with = |model: &str, cfg: f64, steps: u32| {
        let mut nodes = qwen(QWEN);
        nodes["model"]["inputs"]["unet_name"] = json!(model);
        nodes["vae"]["inputs"]["vae_name"] = json!("ae.safetensors");
        nodes["clip"]["inputs"]["clip_name"] = json!("qwen_3_4b.safetensors");
        nodes["clip"]["inputs"]["type"] = json!("lumina2");
        let sampler = &mut nodes["sampler"]["inputs"];
        (sampler["cfg"], sampler["steps"]) = (json!(cfg), json!(steps));
        warnings(&nodes)
    };
    let turbo = "z_image_turbo_bf16.safetensors";
    assert_eq!(with(turbo, 1.0, 8), []);
    assert_eq!(
        with(turbo, 5.0, 60),
        [
            ("cfg_too_high", "sampler.cfg -> 1.0".to_owned()),
            ("steps_far_off", "sampler.steps -> 8".to_owned())
        ]
    );
    let whole = "z_image_bf16.safetensors";
    assert_eq!(with(whole, 4.0, 25), []);
    assert_eq!(with(whole, 1.0, 25)[0].0, "cfg_too_low");
}

#[test]
fn a_lora_for_few_steps_asks_for_a_low_cfg() {
    let mut nodes = qwen(QWEN);
    nodes["lora"] = json!({ "class_type": "LoraLoaderModelOnly", "inputs": {
        "model": ["model", 0], "lora_name": "Qwen-Image-Lightning-4steps-V1.0.safetensors",
        "strength_model": 1.0 } });
    let sampler = &mut nodes["sampler"]["inputs"];
    (sampler["model"], sampler["steps"]) = (json!(["lora", 0]), json!(4));
    sampler["cfg"] = json!(1.0);
    let of = |nodes: &Value| -> Vec<&str> {
        let warnings = of(Severity::Warning, nodes).into_iter();
        warnings.map(|one| one.0).collect()
    };
    assert_eq!(of(&nodes), Vec::<&str>::new());
    nodes["sampler"]["inputs"]["cfg"] = json!(7.0);
    assert_eq!(of(&nodes), ["cfg_too_high"]);
}

#[rstest]
#[case("ltx-2-19b-dev-fp8.safetensors", "EmptyLTXVLatentVideo", [96, 768, 500],
    [("frame_count", "latent.length -> 97"), ("size_multiple", "latent.height -> 512")])]
#[case("wan2.1_t2v_1.3B_fp16.safetensors", "EmptyHunyuanLatentVideo", [80, 832, 480],
    [("frame_count", "latent.length -> 81"), ("", "")])]
fn frames_and_sizes_are_those_of_the_family(
    #[case] model: &str,
    #[case] class: &str,
    #[case] size: [u32; 3],
    #[case] wanted: [(&str, &str); 2],
) {
    let [length, width, height] = size;
    let mut latent = empty(class, width, height);
    latent["inputs"]["length"] = json!(length);
    let mut nodes = sampled(
        model,
        &clip("umt5_xxl_fp8_e4m3fn_scaled.safetensors", "wan"),
        "wan_2.1_vae.safetensors",
        &latent,
    );
    nodes["model"] = if model.starts_with("ltx") {
        json!({ "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": model } })
    } else {
        nodes["model"].clone()
    };
    let told = of(Severity::Warning, &nodes);
    let told: Vec<(&str, &str)> = told
        .iter()
        .filter(|one| ["frame_count", "size_multiple"].contains(&one.0))
        .map(|(kind, place)| (*kind, &**place))
        .collect();
    let wanted: Vec<(&str, &str)> = wanted.into_iter().filter(|one| !one.0.is_empty()).collect();
    assert_eq!(told, wanted);
}

/// Any JSON, also such as looks like nodes.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[{}A-Z_.0-9 é]{0,8}".prop_map(Value::from),
        prop::sample::select(&[
            "1",
            "2",
            "KSampler",
            "LoadImage",
            "ResizeImageMaskNode",
            QWEN
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let keys = prop::sample::select(&[
            "1",
            "2",
            "class_type",
            "inputs",
            "model",
            "latent_image",
            "cfg",
            "image",
            "width",
            "resize_type",
            "samples",
            "vae",
            "clip",
            "unet_name",
            "_meta",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..5).prop_map(|entries| {
                let entries = entries.into_iter();
                entries
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_looked_at_gets_the_servers_outcome(prompt in anything()) {
        let facts = NodeFacts::bundled();
        let knowledge = Knowledge::bundled();
        let report = Preflight::new(&facts, &knowledge).inspect(&prompt);
        let outcome = Validator::new(&facts).receive(&prompt, None).outcome;
        prop_assert_eq!(report.is_accepted(), outcome.is_accepted());
        prop_assert!(report.is_accepted() || !report.errors().is_empty());
        prop_assert_eq!(report.is_valid(), report.errors().is_empty());
        prop_assert_eq!(report.outcome, outcome);
    }
}
