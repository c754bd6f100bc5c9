//! The fixers that come with the program, one mend each: values.

use massmediafactory::comfy::Workflow;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::preflight::{Files, Preflight};
use massmediafactory::script::{Kind, repair_apart};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::graphs::{controlnet, flux, graph, wan};
use crate::support::mend::{FACTS, SHIPPED, healed, inspect, left, mend, painted, told};

#[rstest]
#[case::folder_slash_and_ending(
    "1",
    "ckpt_name",
    "SDXL\\SD_XL_base_1.0.ckpt",
    "sd_xl_base_1.0.safetensors"
)]
#[case::precision(
    "1",
    "ckpt_name",
    "sd3.5_large_bf16.safetensors",
    "sd3.5_large_fp8_scaled.safetensors"
)]
#[case::precision_of_a_part(
    "5",
    "control_net_name",
    "x/control_v11p_sd15_canny.pth",
    "control_v11p_sd15_canny_fp16.safetensors"
)]
fn a_model_file_is_found_under_its_name_here(
    #[case] node: &str,
    #[case] input: &str,
    #[case] from: &str,
    #[case] to: &str,
) {
    let nodes = painted(&[(node, input, json!(from))]);
    let (from, to) = (json!(from), json!(to));
    assert_eq!(
        healed(&nodes),
        [format!("model_paths {node}.{input}: {from} -> {to}")]
    );
}

#[test]
fn another_precision_is_said_and_another_model_never_taken() {
    let other = painted(&[("1", "ckpt_name", json!("sd3.5_large_bf16.safetensors"))]);
    let reason = &mend(&other).corrections[0].reason;
    assert_eq!(reason, "the same model, here in fp8_scaled instead of bf16");
    for name in ["sd_xl_base_0.9.safetensors", "sd_xl_bas_1.0.safetensors"] {
        left(
            &painted(&[("1", "ckpt_name", json!(name))]),
            "value_not_in_list",
        );
    }
}

#[rstest]
#[case::least("7", "batch_size", json!(0), json!(1))]
#[case::most("8", "cfg", json!(250), json!(100.0))]
#[case::step_below("7", "width", json!(515), json!(512))]
#[case::step_above("7", "width", json!(518), json!(520))]
fn a_number_becomes_the_nearest_allowed(
    #[case] node: &str,
    #[case] input: &str,
    #[case] from: Value,
    #[case] to: Value,
) {
    let mended = mend(&painted(&[(node, input, from.clone())]));
    let expected = format!("numbers {node}.{input}: {from} -> {to}");
    assert_eq!(told(&mended)[0], expected);
    assert!(
        !mended
            .report
            .findings
            .iter()
            .any(|one| one.kind.starts_with("value_"))
    );
}

#[rstest]
#[case::wan(82, 81)]
#[case::wan_above(84, 85)]
fn a_clip_gets_a_length_that_its_model_makes(#[case] from: i64, #[case] to: i64) {
    let nodes = wan();
    let (id, _) = length_of(&nodes);
    let mut wrong = nodes.clone();
    wrong[&id]["inputs"]["length"] = json!(from);
    let mended = mend(&wrong);
    assert!(
        told(&mended).contains(&format!("numbers {id}.length: {from} -> {to}")),
        "{:?}",
        told(&mended)
    );
}

fn length_of(nodes: &Value) -> (String, Value) {
    let nodes = nodes.as_object().unwrap().iter();
    let mut lengths =
        nodes.filter_map(|(id, node)| Some((id.clone(), node["inputs"].get("length")?.clone())));
    lengths.next().unwrap()
}

#[rstest]
#[case::number_as_text("8", "steps", json!("20"), json!(20))]
#[case::float_as_text("8", "cfg", json!("6.5"), json!(6.5))]
#[case::seed_as_text("8", "seed", json!("18446744073709551615"), json!(u64::MAX))]
fn a_value_gets_its_type(
    #[case] node: &str,
    #[case] input: &str,
    #[case] from: Value,
    #[case] to: Value,
) {
    let nodes = painted(&[(node, input, from.clone())]);
    let expected = format!("types {node}.{input}: {from} -> {to}");
    assert_eq!(healed(&nodes), [expected]);
}

#[test]
fn a_truth_gets_its_type() {
    let nodes = graph(&[
        (
            "1",
            "EmptyImage",
            json!({ "width": 8, "height": 8, "batch_size": 1, "color": 0 }),
        ),
        (
            "2",
            "SaveAnimatedWEBP",
            json!({
                "images": ["1", 0], "filename_prefix": "x", "fps": 6.0, "lossless": "false",
                "quality": 80, "method": "default",
            }),
        ),
    ]);
    assert_eq!(healed(&nodes), [r#"types 2.lossless: "false" -> false"#]);
}

#[test]
fn what_is_required_gets_its_default_or_the_only_link_that_fits() {
    let nodes = painted(&[
        ("8", "steps", Value::Null),
        ("10", "filename_prefix", Value::Null),
    ]);
    assert_eq!(
        healed(&nodes),
        [
            "missing 8.steps: null -> 20",
            r#"missing 10.filename_prefix: null -> "ComfyUI""#
        ]
    );
    let nodes = painted(&[("9", "vae", Value::Null)]);
    assert_eq!(healed(&nodes), [r#"missing 9.vae: null -> ["1",2]"#]);
    // Which of the two conditionings is meant, nobody can tell.
    left(
        &painted(&[("8", "positive", Value::Null)]),
        "required_input_missing",
    );
    // The picture that comes of it can't go into it; there is one more.
    let nodes = painted(&[("6", "image", json!(["9", 7]))]);
    assert_eq!(
        healed(&nodes),
        [r#"broken_links 6.image: ["9",7] -> ["4",0]"#]
    );
}

#[test]
fn a_misspelt_choice_class_and_input_are_put_right() {
    let nodes = painted(&[("8", "sampler_name", json!("Eular"))]);
    assert_eq!(
        healed(&nodes),
        [r#"choices 8.sampler_name: "Eular" -> "euler""#]
    );
    let nodes = painted(&[("9", "class_type", json!("VaeDecode"))]);
    assert_eq!(
        healed(&nodes),
        [r#"classes 9.class_type: "VaeDecode" -> "VAEDecode""#]
    );
    let nodes = painted(&[
        ("8", "steps", Value::Null),
        ("8", "stpes", json!(7)),
        ("9", "vae", Value::Null),
        ("9", "Vae", json!(["1", 2])),
    ]);
    let mended = mend(&nodes);
    assert_eq!(mended.report.findings, []);
    let mended = mended.workflow.into_json();
    assert_eq!(
        (
            &mended["8"]["inputs"]["steps"],
            &mended["9"]["inputs"]["vae"]
        ),
        (&json!(7), &json!(["1", 2]))
    );
}

#[test]
fn a_class_that_would_not_do_the_work_is_not_put_there() {
    // A sampler of another author, for which KSampler is no stand-in.
    let nodes = painted(&[("8", "class_type", json!("KSamplerX9"))]);
    left(&nodes, "missing_node_type");
    let nodes = painted(&[("2", "class_type", json!("VAEDecod"))]);
    left(&nodes, "missing_node_type");
}

#[test]
fn settings_far_from_the_models_are_put_right() {
    let nodes = painted(&[("8", "cfg", json!(60.0))]);
    let told = healed(&nodes);
    assert!(told[0].starts_with("settings 8.cfg: 60.0 -> "), "{told:?}");
}

#[test]
fn values_that_nothing_reads_go_and_whatever_may_be_read_stays() {
    let nodes = painted(&[("8", "sampler_mood", json!("calm"))]);
    assert_eq!(
        healed(&nodes),
        [r#"unknown_inputs 8.sampler_mood: "calm" -> out"#]
    );
    // What editors write down is nobody's mistake.
    let nodes = painted(&[("8", "control_after_generate", json!("randomize"))]);
    assert_eq!(inspect(&nodes).findings, []);
}

#[test]
fn a_result_that_is_read_as_an_input_is_read_from_where_it_lies() {
    let nodes = graph(&[
        ("1", "LoadImage", json!({ "image": "ComfyUI_00001_.png" })),
        (
            "2",
            "SaveImage",
            json!({ "images": ["1", 0], "filename_prefix": "x" }),
        ),
    ]);
    // It may have been uploaded again under that name.
    left(&nodes, "output_as_input");
    let facts = FACTS.clone();
    let facts = facts.with_choices("LoadImage", "image", &["photo.png"]);
    let knowledge = Knowledge::bundled();
    for files in [Files::once(&facts), Files::now(&facts)] {
        let preflight = Preflight::new(&facts, &knowledge).files(&files);
        let inspect = |nodes: &Value| preflight.inspect(nodes);
        let workflow = Workflow::from_json(nodes.clone()).unwrap();
        let mended = repair_apart(&SHIPPED, &inspect, workflow).unwrap();
        assert_eq!(
            told(&mended),
            [r#"output_folder 1.image: "ComfyUI_00001_.png" -> "ComfyUI_00001_.png [output]""#]
        );
        assert_eq!(mended.report.findings, []);
    }
}

#[test]
fn a_link_that_its_node_would_fail_on_is_taken_out() {
    let nodes = painted(&[("10", "mask", json!(["9", 0]))]);
    assert_eq!(healed(&nodes), [r#"broken_links 10.mask: ["9",0] -> out"#]);
}

#[test]
fn a_placeholder_is_not_filled_in() {
    left(
        &painted(&[("2", "text", json!("{{PROMPT}}"))]),
        "placeholder",
    );
}

#[test]
fn every_fixer_is_named_by_some_finding_and_every_finding_names_one_that_there_is() {
    let source = include_str!("../../src/comfy/check/fixable.rs");
    assert!(SHIPPED.problems().is_empty(), "{:#?}", SHIPPED.problems());
    for served in SHIPPED.of_kind(Kind::Fixer) {
        let name = &served.script.key.name;
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
    let named = source
        .split("\", \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let mut seen = 0;
    for name in named {
        assert!(SHIPPED.get(Kind::Fixer, name).is_ok(), "{name}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen}");
}

#[test]
fn what_is_right_stays_as_it_is() {
    for nodes in [controlnet(), flux(), wan()] {
        let errors = inspect(&nodes)
            .findings
            .iter()
            .filter(|one| one.is_error())
            .count();
        assert_eq!(errors, 0);
        let mended = mend(&nodes);
        let kinds: Vec<&str> = mended.corrections.iter().map(|one| &*one.fixer).collect();
        assert!(kinds.iter().all(|fixer| *fixer == "settings"), "{kinds:?}");
    }
}
