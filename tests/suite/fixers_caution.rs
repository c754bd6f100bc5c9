//! What fixers leave alone because it may well be meant: other numbers, other authors' classes, models
//! with something put on them.

use massmediafactory::comfy::Workflow;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::preflight::Preflight;
use massmediafactory::script::{Repaired, repair_apart};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::graphs::graph;
use crate::support::mend::{FACTS, SHIPPED, left, mend, told};

const QWEN: &str = "qwen_image_2512_fp8_e4m3fn.safetensors";
const QWEN_EDIT: &str = "qwen_image_edit_2511_bf16.safetensors";

/// A class of another author.
fn custom(required: &Value, output: &str) -> Value {
    json!({
        "input": { "required": required, "optional": {} },
        "output": [output], "output_is_list": [false], "output_name": [output],
        "name": "", "display_name": "", "description": "", "category": "", "output_node": false,
        "python_module": "custom_nodes.somebody",
    })
}

/// Mends it where these classes of other authors are installed as well.
fn mend_beside(classes: &[(&str, Value)], nodes: &Value) -> Repaired {
    let mut info = FACTS.to_object_info();
    for (name, class) in classes {
        info[name] = class.clone();
        info[name]["name"] = json!(name);
    }
    let facts = NodeFacts::read(info.to_string().as_bytes()).unwrap();
    let knowledge = Knowledge::bundled();
    let preflight = Preflight::new(&facts, &knowledge);
    let workflow = Workflow::from_json(nodes.clone()).unwrap();
    repair_apart(&SHIPPED, &|nodes| preflight.inspect(nodes), workflow).unwrap()
}

fn kinds(mended: &Repaired) -> Vec<&str> {
    mended.report.findings.iter().map(|one| one.kind).collect()
}

/// A picture of Qwen-Image, with what is put on the model between.
fn painted_by(model: &str, on_it: Option<Value>) -> Value {
    let encoder = "qwen_2.5_vl_7b_fp8_scaled.safetensors";
    let mut nodes = graph(&[
        (
            "m",
            "UNETLoader",
            json!({ "unet_name": model, "weight_dtype": "default" }),
        ),
        (
            "c",
            "CLIPLoader",
            json!({ "clip_name": encoder, "type": "qwen_image" }),
        ),
        (
            "v",
            "VAELoader",
            json!({ "vae_name": "qwen_image_vae.safetensors" }),
        ),
        (
            "t",
            "CLIPTextEncode",
            json!({ "text": "a fox", "clip": ["c", 0] }),
        ),
        (
            "l",
            "EmptySD3LatentImage",
            json!({ "width": 1328, "height": 1328, "batch_size": 1 }),
        ),
        (
            "k",
            "KSampler",
            json!({
                "model": ["m", 0], "positive": ["t", 0], "negative": ["t", 0],
                "latent_image": ["l", 0], "seed": 1, "steps": 20, "cfg": 4.0,
                "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
            }),
        ),
        (
            "d",
            "VAEDecode",
            json!({ "samples": ["k", 0], "vae": ["v", 0] }),
        ),
        (
            "s",
            "SaveImage",
            json!({ "images": ["d", 0], "filename_prefix": "x" }),
        ),
    ]);
    if let Some(on_it) = on_it {
        nodes["o"] = on_it;
        nodes["k"]["inputs"]["model"] = json!(["o", 0]);
    }
    nodes
}

fn lora(file: &str) -> Value {
    json!({ "class_type": "LoraLoaderModelOnly",
        "inputs": { "model": ["m", 0], "lora_name": file, "strength_model": 1.0 } })
}

#[test]
fn a_choice_with_another_number_is_another_choice() {
    let mut nodes = painted_by(QWEN, None);
    nodes["c"]["inputs"]["type"] = json!("flux");
    left(&nodes, "value_not_in_list");
}

#[test]
fn an_input_that_another_author_reads_is_not_renamed() {
    let class = custom(&json!({ "image_1": ["IMAGE"] }), "IMAGE");
    for name in ["image_2", "imagee_1"] {
        let nodes = graph(&[
            (
                "1",
                "EmptyImage",
                json!({ "width": 64, "height": 64, "batch_size": 1, "color": 0 }),
            ),
            ("k", "Kw", json!({ name: ["1", 0] })),
            (
                "s",
                "SaveImage",
                json!({ "images": ["k", 0], "filename_prefix": "x" }),
            ),
        ]);
        let mended = mend_beside(&[("Kw", class.clone())], &nodes);
        let inputs = &mended.workflow.as_map()["k"]["inputs"];
        assert_eq!(inputs[name], json!(["1", 0]), "{:?}", told(&mended));
    }
}

#[rstest]
#[case::known_for_it(lora("Qwen-Image-Lightning-8steps-V1.0.safetensors"), 8)]
#[case::by_no_known_word(lora("qwen_pcm_8s.safetensors"), 8)]
#[case::in_more_steps(lora("our_own.safetensors"), 16)]
#[case::in_a_map(json!({ "class_type": "Power Lora Loader (rgthree)", "inputs": {
    "model": ["m", 0], "lora_1": { "on": true, "lora": "Qwen-Lightning.safetensors" } } }), 20)]
#[case::who_knows_what(json!({ "class_type": "Somewhat", "inputs": { "model": ["m", 0] } }), 20)]
fn settings_stay_where_something_is_put_on_the_model(#[case] on_it: Value, #[case] steps: u32) {
    let class = custom(&json!({ "model": ["MODEL"] }), "MODEL");
    let classes = ["Power Lora Loader (rgthree)", "Somewhat"].map(|name| (name, class.clone()));
    for cfg in [1.0, 30.0] {
        let mut nodes = painted_by(QWEN, Some(on_it.clone()));
        let sampler = &mut nodes["k"]["inputs"];
        (sampler["cfg"], sampler["steps"]) = (json!(cfg), json!(steps));
        let mended = mend_beside(&classes, &nodes);
        assert_eq!(mended.workflow.as_map()["k"]["inputs"]["cfg"], json!(cfg));
    }
}

#[test]
fn few_steps_without_guidance_are_nothing_to_tell() {
    let mut nodes = painted_by(QWEN, Some(lora("qwen_pcm_8s.safetensors")));
    let sampler = &mut nodes["k"]["inputs"];
    (sampler["cfg"], sampler["steps"]) = (json!(1.0), json!(8));
    let kinds: Vec<String> = kinds(&mend(&nodes))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        !kinds.iter().any(|kind| kind.starts_with("cfg_")),
        "{kinds:?}"
    );
    sampler_of(&mut nodes)["steps"] = json!(20);
    left_in(&nodes, "cfg_too_low");
}

fn sampler_of(nodes: &mut Value) -> &mut Value {
    &mut nodes["k"]["inputs"]
}

/// That it is told, and the sampler left as it is.
fn left_in(nodes: &Value, kind: &str) {
    let mended = mend(nodes);
    assert!(kinds(&mended).contains(&kind), "{:?}", kinds(&mended));
    assert_eq!(mended.workflow.as_map()["k"], nodes["k"]);
}

#[test]
fn a_second_pass_and_a_detailer_keep_their_denoise() {
    let mut first = painted_by(QWEN_EDIT, None);
    sampler_of(&mut first)["denoise"] = json!(0.5);
    assert_eq!(told(&mend(&first)), ["settings k.denoise: 0.5 -> 1.0"]);

    let mut second = painted_by(QWEN_EDIT, None);
    second["k2"] = second["k"].clone();
    second["k2"]["inputs"]["latent_image"] = json!(["k", 0]);
    second["k2"]["inputs"]["denoise"] = json!(0.4);
    second["d"]["inputs"]["samples"] = json!(["k2", 0]);
    assert_eq!(told(&mend(&second)), Vec::<String>::new());
    assert!(!kinds(&mend(&second)).contains(&"denoise_below_one"));

    let detailer = json!({ "image": ["IMAGE"], "model": ["MODEL"],
        "steps": ["INT", { "default": 20 }], "cfg": ["FLOAT", { "default": 8.0 }],
        "denoise": ["FLOAT", { "default": 0.5 }] });
    let mut nodes = painted_by(QWEN_EDIT, None);
    nodes["f"] = json!({ "class_type": "FaceDetailer", "inputs": {
        "image": ["d", 0], "model": ["m", 0], "steps": 20, "cfg": 7.0, "denoise": 0.35 } });
    nodes["s"]["inputs"]["images"] = json!(["f", 0]);
    let classes = [("FaceDetailer", custom(&detailer, "IMAGE"))];
    assert_eq!(told(&mend_beside(&classes, &nodes)), Vec::<String>::new());
}

#[rstest]
// The default, and what another author may take.
#[case::others("custom_nodes.somebody", 1, 515)]
#[case::default("nodes", 1, 512)]
// Counted from 0, as the default shows.
#[case::multiple("nodes", 1, 640)]
fn a_number_that_the_class_may_well_take_stays(
    #[case] module: &str,
    #[case] least: i64,
    #[case] given: i64,
) {
    let width = json!(["INT", { "default": 512, "min": least, "max": 4096, "step": 8 }]);
    let mut class = custom(&json!({ "width": width }), "IMAGE");
    class["python_module"] = json!(module);
    let nodes = graph(&[
        ("1", "Sized", json!({ "width": given })),
        (
            "s",
            "SaveImage",
            json!({ "images": ["1", 0], "filename_prefix": "x" }),
        ),
    ]);
    let mended = mend_beside(&[("Sized", class)], &nodes);
    assert_eq!(mended.report.findings, []);
    assert_eq!(told(&mended), Vec::<String>::new());
}
