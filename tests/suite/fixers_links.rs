//! The fixers that come with the program, one mend each: links, nodes and what they need.

use massmediafactory::comfy::check::Finding;
use serde_json::{Value, json};

use crate::support::graphs::graph;
use crate::support::mend::{healed, inspect_as, left, mend, painted, told};

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
    assert!(!mended.report.findings.iter().any(Finding::is_error));
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
