//! What may run after all is no error, and what the server overlooks is found.

use rstest::rstest;
use serde_json::{Value, json};

use super::{errors, found_by, picture, saved, warnings};
use crate::comfy::check::Severity;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::Rules;
use crate::knowledge::Knowledge;
use crate::preflight::{Files, Preflight};

/// The bundled facts with a picture in the input folder.
pub(super) fn with_uploads() -> NodeFacts {
    let facts = (*NodeFacts::bundled()).clone();
    facts.with_choices("LoadImage", "image", &["a.png"])
}

pub(super) fn told(
    facts: &NodeFacts,
    files: &Files,
    nodes: &Value,
) -> Vec<(Severity, &'static str, String)> {
    let knowledge = Knowledge::bundled();
    let report = Preflight::new(facts, &knowledge)
        .files(files)
        .inspect(nodes);
    let findings = report.findings.iter().map(|one| {
        let id = one.node_id.clone().unwrap_or_default();
        let input = one.input.clone().unwrap_or_default();
        let place = format!("{id}.{input} -> {}", one.suggestion);
        (one.severity, one.kind, place)
    });
    findings.collect()
}

#[test]
fn a_missing_picture_is_an_error_only_where_the_list_is_of_now() {
    let facts = with_uploads();
    let loading = |file: &str| {
        let load = json!({ "1": { "class_type": "LoadImage", "inputs": { "image": file } } });
        saved(load, &json!(["1", 0]))
    };
    let place = "1.image -> null".to_owned();
    let cases = [
        (
            Files::now(&facts),
            Severity::Error,
            "custom_validation_failed",
        ),
        (Files::once(&facts), Severity::Warning, "missing_upload"),
    ];
    for (files, severity, kind) in cases {
        let found = told(&facts, &files, &loading("new.png"));
        assert_eq!(found, [(severity, kind, place.clone())]);
        for there in ["a.png", "A.PNG", "a.png[input]", "x.psd"] {
            let found = told(&facts, &files, &loading(there));
            assert_eq!(found, [], "{there}");
        }
    }
}

/// Facts with a class of somebody else.
fn with_custom(class: &Value) -> NodeFacts {
    let mut all = json!(*NodeFacts::bundled());
    all["Theirs"] = class.clone();
    NodeFacts::read(all.to_string().as_bytes()).unwrap()
}

#[test]
fn what_a_custom_class_may_check_itself_is_no_error_and_not_put_right() {
    let facts = with_custom(&json!({
        "input": { "required": {
            "video": [["a.mp4"], {}], "mode": ["COMBO", { "options": ["fast", "slow"] }],
            "n": ["INT", { "min": 1, "max": 60 }], "rate": ["FLOAT", { "min": 1.0, "max": 60.0 }],
            "whole": ["INT", {}] } },
        "output": [], "output_node": true, "python_module": "custom_nodes.theirs" }));
    let given = |whole: Value| {
        json!({ "1": { "class_type": "Theirs", "inputs": {
            "video": "b.mp4", "mode": "fastt", "n": 120, "rate": 0, "whole": whole } } })
    };
    let found = told(&facts, &Files::Any, &given(json!(1)));
    let warning = |kind, input: &str| (Severity::Warning, kind, format!("1.{input} -> null"));
    let doubted = [
        warning("value_not_in_list", "video"),
        warning("value_not_in_list", "mode"),
        warning("value_bigger_than_max", "n"),
        warning("value_smaller_than_min", "rate"),
    ];
    assert_eq!(found, doubted);
    let knowledge = Knowledge::bundled();
    let preflight = Preflight::new(&facts, &knowledge);
    let report = preflight.inspect(&given(json!(1)));
    assert!(report.is_valid() && !report.is_accepted(), "{report:?}");
    assert_eq!(report.errors(), Vec::<String>::new());
    // What no class can switch off stays an error.
    let report = preflight.inspect(&given(json!("x")));
    assert!(!report.is_valid());
    assert_eq!(report.errors().len(), 1, "{report:?}");
}

#[test]
fn a_custom_class_may_have_a_choice_of_its_own() {
    let facts = with_custom(&json!({
        "input": { "required": { "mode": ["COMFY_DYNAMICCOMBO_V3", { "options": [
            { "key": "a", "inputs": { "required": {} } }] }] } },
        "output": [], "output_node": true, "python_module": "custom_nodes.theirs" }));
    let nodes = json!({ "1": { "class_type": "Theirs", "inputs": {} } });
    let found = told(&facts, &Files::Any, &nodes);
    assert_eq!(
        found,
        [(
            Severity::Warning,
            "missing_selector",
            "1.mode -> \"a\"".to_owned()
        )]
    );
}

#[test]
fn a_wrapped_choice_is_the_choice() {
    let mut nodes = picture();
    nodes["0"] = nodes["1"].clone();
    nodes["1"] = json!({ "class_type": "ResizeImageMaskNode", "inputs": {
        "input": ["0", 0], "resize_type": { "__value__": "scale by multiplier" },
        "resize_type.multiplier": 2.0, "scale_method": "area" } });
    let warning = "1.resize_type -> \"scale by multiplier\"".to_owned();
    assert_eq!(warnings(&nodes), [("unknown_selector", warning)]);
}

/// A picture through a switch whose other side is not asked for.
fn switched(aside: &Value) -> Value {
    let mut nodes = picture();
    nodes["aside"] = aside.clone();
    nodes["switch"] = json!({ "class_type": "ComfySwitchNode", "inputs": {
        "switch": false, "on_false": ["1", 0], "on_true": ["aside", 0] } });
    nodes["save"]["inputs"]["images"] = json!(["switch", 0]);
    nodes
}

#[rstest]
#[case(json!({ "class_type": "ResizeImageMaskNode",
    "inputs": { "input": ["1", 0], "scale_method": "area" } }), "missing_selector")]
#[case(json!({ "class_type": "ImageInvert",
    "inputs": { "image": ["1", 0], "junk": ["99", 0] } }), "dangling_link")]
#[case(json!({ "class_type": "ImageInvert",
    "inputs": { "image": ["1", 0], "junk": ["switch", 0] } }), "dependency_cycle")]
fn what_only_a_lazy_input_asks_for_may_never_fail(#[case] aside: Value, #[case] kind: &str) {
    let kinds: Vec<&str> = warnings(&switched(&aside))
        .iter()
        .map(|one| one.0)
        .collect();
    assert_eq!(kinds.first(), Some(&kind), "{kinds:?}");
    // On the way that is always taken it is sure to.
    let mut sure = switched(&aside);
    sure["switch"]["inputs"]["on_false"] = json!(["1", 0]);
    sure["save"]["inputs"]["images"] = json!(["aside", 0]);
    if kind == "dependency_cycle" {
        sure["aside"]["inputs"]["junk"] = json!(["save", 0]);
    }
    assert_eq!(errors(&sure)[0].0, kind);
}

#[test]
fn a_link_to_nowhere_is_found_where_a_dynamic_input_does_not_bring_it() {
    let mut nodes = picture();
    nodes["0"] = nodes["1"].clone();
    nodes["1"] = json!({ "class_type": "ResizeImageMaskNode", "inputs": {
        "input": ["0", 0], "resize_type": "scale by multiplier", "resize_type.multiplier": 2.0,
        "scale_method": "area", "resize_type.match": ["77", 0] } });
    let dangling = |place: &str| ("dangling_link", format!("1.{place} -> null"));
    assert_eq!(errors(&nodes), [dangling("resize_type.match")]);

    nodes["1"] = json!({ "class_type": "BatchImagesNode",
        "inputs": { "images.image0": ["0", 0], "images.image99": ["77", 0] } });
    assert_eq!(errors(&nodes), [dangling("images.image99")]);

    let mut nodes = picture();
    // Python takes false for a number.
    nodes["1"]["inputs"]["junk"] = json!(["77", false]);
    assert_eq!(errors(&nodes), [dangling("junk")]);
}

#[test]
fn a_link_that_a_class_can_not_take_fails() {
    let mut nodes = picture();
    nodes["save"]["inputs"]["mask"] = json!(["1", 0]);
    assert_eq!(
        errors(&nodes),
        [("undeclared_link", "save.mask -> null".to_owned())]
    );
    // What the server fills in itself it puts in that place.
    let inputs = nodes["save"]["inputs"].as_object_mut().unwrap();
    inputs.remove("mask");
    inputs.insert("prompt".to_owned(), json!(["1", 0]));
    assert_eq!(warnings(&nodes), []);
}

/// A row of nodes, each behind the one before.
fn row(length: usize) -> Value {
    let mut nodes = picture();
    let mut last = "1".to_owned();
    for at in 2..length {
        let id = format!("n{at}");
        nodes[&id] = json!({ "class_type": "ImageInvert", "inputs": { "image": [last, 0] } });
        last = id;
    }
    nodes["save"]["inputs"]["images"] = json!([last, 0]);
    nodes
}

#[rstest]
#[case(800, None)]
#[case(950, Some(Severity::Warning))]
#[case(1001, Some(Severity::Error))]
fn a_chain_may_be_too_deep_for_the_server(#[case] length: usize, #[case] how: Option<Severity>) {
    let found = found_by("0.33.0", &row(length));
    let deep = found.iter().find(|one| one.1 == "too_deep");
    assert_eq!(deep.map(|one| one.0), how);
}

#[rstest]
#[case("0.33.0")]
#[case("0.3.75")]
fn a_long_cycle_is_told_once_and_in_short(#[case] version: &str) {
    let mut nodes = row(2000);
    nodes["n2"]["inputs"]["image"] = json!(["n1999", 0]);
    let facts = NodeFacts::bundled();
    let knowledge = Knowledge::bundled();
    let preflight = Preflight::new(&facts, &knowledge).rules(Rules::of(version));
    let report = preflight.inspect(&nodes);
    let told: Vec<&str> = report.told().map(|one| one.kind).collect();
    let cycles = told.iter().filter(|kind| **kind == "dependency_cycle");
    assert_eq!(cycles.count(), 1, "{version}");
    let text = report.to_json(&facts, &knowledge).to_string();
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
}
