//! The fixers that come with the program, one mend each.

use massmediafactory::script::{Key, Kind, Layer, Source};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::graphs::{controlnet, flux, graph, wan};
use crate::support::mend::{SHIPPED, inspect, inspect_as, mend, mend_with, told};

/// A picture that is painted and saved, with other inputs in some nodes; null takes an input out.
fn painted(changes: &[(&str, &str, Value)]) -> Value {
    let mut nodes = controlnet();
    change(&mut nodes, &[("8", "steps", json!(20))]);
    change(&mut nodes, changes);
    nodes
}

fn change(nodes: &mut Value, changes: &[(&str, &str, Value)]) {
    for (id, input, value) in changes {
        match *input {
            "class_type" => nodes[id]["class_type"] = value.clone(),
            "node" => {
                nodes[id] = value.clone();
            }
            _ if value.is_null() => {
                nodes[id]["inputs"]
                    .as_object_mut()
                    .unwrap()
                    .shift_remove(*input);
            }
            _ => nodes[id]["inputs"][input] = value.clone(),
        }
    }
}

/// What the fixers did to a workflow that had something wrong and has nothing wrong any more.
fn healed(nodes: &Value) -> Vec<String> {
    assert!(!inspect(nodes).findings.is_empty(), "nothing is wrong");
    let mended = mend(nodes);
    assert_eq!(mended.report.findings, [], "{:#?}", told(&mended));
    assert_eq!(mended.failed, Vec::<String>::new());
    told(&mended)
}

/// That the fixers do nothing about something wrong.
fn left(nodes: &Value, kind: &str) {
    let mended = mend(nodes);
    let kinds: Vec<&str> = mended.report.findings.iter().map(|one| one.kind).collect();
    assert!(kinds.contains(&kind), "{kinds:?}");
    assert_eq!(told(&mended), Vec::<String>::new());
    assert_eq!(mended.workflow.into_json(), *nodes);
}

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
fn links_get_their_form() {
    let nodes = painted(&[("2", "clip", json!([1, 1])), ("9", "vae", json!([1, "2"]))]);
    assert_eq!(
        healed(&nodes),
        [
            r#"ids 2.clip: [1,1] -> ["1",1]"#,
            r#"links 9.vae: [1,"2"] -> ["1",2]"#
        ]
    );
    let nodes = painted(&[("9", "vae", json!(["1", -1]))]);
    assert_eq!(healed(&nodes), [r#"links 9.vae: ["1",-1] -> ["1",2]"#]);
}

#[test]
fn a_broken_link_is_put_right_where_one_output_fits() {
    for wrong in [
        json!(["1", 0]),
        json!(["1", 9]),
        json!(["99", 0]),
        json!(["1"]),
    ] {
        let nodes = painted(&[("9", "vae", wrong.clone())]);
        assert_eq!(
            healed(&nodes),
            [format!(r#"broken_links 9.vae: {wrong} -> ["1",2]"#)]
        );
    }
    // Both prompts would fit, and so would the outputs of the ControlNet.
    left(
        &painted(&[("8", "positive", json!(["99", 0]))]),
        "broken_link",
    );
    // A number can't be linked to in place of one that is gone.
    left(&painted(&[("8", "seed", json!(["99", 0]))]), "broken_link");
    // With one prompt left, it is the other one's.
    let mut nodes = painted(&[
        ("8", "positive", json!(["99", 0])),
        ("8", "negative", json!(["3", 0])),
    ]);
    for id in ["2", "5", "6"] {
        nodes.as_object_mut().unwrap().shift_remove(id);
    }
    let mended = mend(&nodes).workflow.into_json();
    assert_eq!(mended["8"]["inputs"]["positive"], json!(["99", 0]));
}

#[test]
fn a_broken_link_goes_where_the_node_can_do_without() {
    let nodes = painted(&[("6", "vae", json!(["99", 0]))]);
    assert_eq!(
        healed(&nodes),
        [r#"broken_links 6.vae: ["99",0] -> ["1",2]"#]
    );
    let nodes = painted(&[("10", "mask", json!(["99", 0]))]);
    assert_eq!(healed(&nodes), [r#"broken_links 10.mask: ["99",0] -> out"#]);
    let nodes = graph(&[
        (
            "1",
            "EmptyImage",
            json!({ "width": 8, "height": 8, "batch_size": 1, "color": 0 }),
        ),
        (
            "2",
            "CreateVideo",
            json!({ "images": ["1", 0], "fps": 8.0, "audio": ["7", 0] }),
        ),
        (
            "3",
            "SaveVideo",
            json!({ "video": ["2", 0], "filename_prefix": "x", "format": "auto", "format.codec": "auto" }),
        ),
    ]);
    assert_eq!(healed(&nodes), [r#"broken_links 2.audio: ["7",0] -> out"#]);
}

#[test]
fn a_workflow_that_ends_in_nothing_gets_what_saves_it() {
    let mut nodes = painted(&[]);
    nodes.as_object_mut().unwrap().shift_remove("10");
    let told = healed(&nodes);
    assert_eq!(told[0], r#"no_output 10.class_type: null -> "SaveImage""#);
    assert!(told[1].contains(r#""images":["9",0]"#), "{told:?}");
    // Two pictures: which of them is meant?
    nodes["11"] = json!({ "class_type": "EmptyImage", "inputs": {
        "width": 8, "height": 8, "batch_size": 1, "color": 0 } });
    left(&nodes, "prompt_no_outputs");

    let clip = graph(&[
        (
            "1",
            "EmptyImage",
            json!({ "width": 8, "height": 8, "batch_size": 1, "color": 0 }),
        ),
        (
            "2",
            "CreateVideo",
            json!({ "images": ["1", 0], "fps": 8.0 }),
        ),
    ]);
    assert!(healed(&clip)[0].ends_with(r#""SaveVideo""#));
}

#[test]
fn a_node_without_inputs_gets_them() {
    let nodes = painted(&[("11", "node", json!({ "class_type": "EmptyImage" }))]);
    let mended = mend(&nodes);
    assert!(!mended.report.findings.iter().any(|one| one.is_error()));
    assert_eq!(told(&mended)[0], "no_inputs 11.inputs: null -> {}");
}

#[test]
fn a_replaced_class_is_exchanged_with_its_inputs() {
    let nodes = painted(&[
        ("5", "class_type", json!("T2IAdapterLoader")),
        (
            "5",
            "t2i_adapter_name",
            json!("control_v11p_sd15_canny_fp16.safetensors"),
        ),
        ("5", "control_net_name", Value::Null),
    ]);
    let told = healed(&nodes);
    assert_eq!(
        told[0],
        r#"replaced_nodes 5.class_type: "T2IAdapterLoader" -> "ControlNetLoader""#
    );
    // The server drops the inputs of this one; the workflow says what they are.
    let nodes = painted(&[
        (
            "11",
            "node",
            json!({ "class_type": "ConditioningAverage ", "inputs": {
            "conditioning_to": ["2", 0], "conditioning_from": ["3", 0], "conditioning_to_strength": 0.5 } }),
        ),
        ("6", "positive", json!(["11", 0])),
    ]);
    let told = healed(&nodes);
    assert!(told[1].contains("conditioning_to_strength"), "{told:?}");
    // Servers before 0.14 reject it, and what they have is put there all the same.
    let found = inspect_as("0.13.0", &nodes).findings;
    assert!(
        found[0].is_error() && found[0].suggestion.is_object(),
        "{found:?}"
    );
}

#[test]
fn a_choice_that_brings_inputs_is_made_with_them() {
    let resized = |inputs: Value| {
        graph(&[
            (
                "1",
                "EmptyImage",
                json!({ "width": 8, "height": 8, "batch_size": 1, "color": 0 }),
            ),
            ("2", "ResizeImageMaskNode", inputs),
            (
                "3",
                "SaveImage",
                json!({ "images": ["2", 0], "filename_prefix": "x" }),
            ),
        ])
    };
    // What is there tells which choice was meant.
    let nodes = resized(
        json!({ "input": ["1", 0], "resize_type.multiplier": 2.0, "scale_method": "area" }),
    );
    assert_eq!(
        healed(&nodes),
        [r#"selectors 2.resize_type: null -> "scale by multiplier""#]
    );
    // What the choice brings comes along.
    let nodes = resized(
        json!({ "input": ["1", 0], "resize_type": "Scale By Multiplier", "scale_method": "area" }),
    );
    assert_eq!(
        healed(&nodes),
        [
            r#"selectors 2.resize_type: "Scale By Multiplier" -> "scale by multiplier""#,
            "selectors 2.resize_type.multiplier: null -> 1.0",
        ]
    );
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
    assert_eq!(
        healed(&nodes),
        [r#"output_folder 1.image: "ComfyUI_00001_.png" -> "ComfyUI_00001_.png [output]""#]
    );
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

/// The shipped scripts and a fixer of one's own.
fn with_fixer(name: &str, body: &str) -> massmediafactory::script::Generation {
    let text = format!("title(\"t\"); about(\"a\");\nfn fix(workflow, findings) {{ {body} }}\n");
    SHIPPED.with(&Source {
        key: Key {
            kind: Kind::Fixer,
            name: name.to_owned(),
        },
        layer: Layer::Project,
        path: format!("{name}.rhai").into(),
        text: text.into(),
    })
}

#[rstest]
#[case::no_list("5", "has to return a list")]
#[case::no_proposal("[#{ node_id: 5 }]", "has to return a list")]
#[case::endless("loop {}", "too many steps")]
#[case::too_many(
    "let l = []; for i in 0..1001 { l.push(#{ node_id: \"1\", field: \"x\", to: i }); } l",
    "at most 1000"
)]
#[case::broken("findings.nonsense()", "nonsense")]
fn a_fixer_that_misbehaves_is_told_and_passed_over(#[case] body: &str, #[case] reason: &str) {
    let scripts = with_fixer("a_bad_one", body);
    let mended = mend_with(&scripts, &painted(&[("8", "steps", json!("20"))]));
    assert_eq!(told(&mended), [r#"types 8.steps: "20" -> 20"#]);
    assert_eq!(mended.failed.len(), 1);
    let failed = &mended.failed[0];
    assert!(
        failed.starts_with("a_bad_one: ") && failed.contains(reason),
        "{failed}"
    );
}

#[test]
fn what_makes_it_worse_or_merely_other_is_not_taken() {
    let scripts = with_fixer(
        "a_bad_one",
        r#"[
            #{ node_id: "8", field: "steps", to: -1 },
            #{ node_id: "8", field: "vae", to: ["99", 0] },
            #{ node_id: "10", field: "class_type", to: "Nope" },
            #{ changes: [#{ node_id: "8", field: "steps", to: 20 }, #{ node_id: "2", field: "text", remove: true }] },
            #{ node_id: "2", field: "text", to: "another prompt" },
        ]"#,
    );
    let mended = mend_with(&scripts, &painted(&[("8", "steps", json!("20"))]));
    assert_eq!(told(&mended), [r#"types 8.steps: "20" -> 20"#]);
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
