//! Prompts as graphs of the editor: each is converted back, and has to be what it was.

use std::collections::HashMap;

use massmediafactory::clock::Clock;
use massmediafactory::comfy::drawing::{
    DrawError, Drawn, Remark, loose_links, to_mermaid, to_svg, to_ui,
};
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Options, to_api};
use massmediafactory::comfy::{Workflow, link};
use massmediafactory::failure::Failure;
use serde_json::{Value, json};

use crate::support::golden::recorded;

fn workflow(nodes: Value) -> Workflow {
    Workflow::from_json(nodes).unwrap()
}

fn drawn(nodes: Value) -> Result<Drawn, DrawError> {
    to_ui(&workflow(nodes), &NodeFacts::bundled())
}

/// What the editor would send.
fn back(graph: &Value) -> Value {
    let options = Options {
        as_is: true,
        ..Options::new(&Clock::fixed("2026-11-30T09:00:00Z".parse().unwrap()))
    };
    let converted = to_api(graph, &NodeFacts::bundled(), &options).unwrap();
    converted.workflow.into_json()
}

/// The saved node of that id.
fn node(graph: &Value, id: u64) -> &Value {
    let mut nodes = graph["nodes"].as_array().unwrap().iter();
    nodes.find(|node| node["id"] == id).unwrap()
}

fn sampled() -> Value {
    json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "sd3.safetensors" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a red fox", "clip": ["1", 1] },
               "_meta": { "title": "Prompt" } },
        "3": { "class_type": "CLIPTextEncode", "inputs": { "text": "", "clip": ["1", 1] } },
        "4": { "class_type": "EmptyLatentImage", "inputs": { "width": 512, "height": 768, "batch_size": 1 } },
        "5": { "class_type": "KSampler", "inputs": {
            "seed": 7, "steps": 20, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0],
            "latent_image": ["4", 0] } },
        "6": { "class_type": "VAEDecode", "inputs": { "samples": ["5", 0], "vae": ["1", 2] } },
        "7": { "class_type": "SaveImage", "inputs": { "filename_prefix": "fox", "images": ["6", 0] } },
    })
}

/// Ids of the graph in place of those of before, and no titles.
fn comparable(prompt: &Value, ids: &HashMap<String, String>) -> Value {
    let new = |id: &str| ids.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let nodes = prompt.as_object().unwrap().iter().map(|(id, node)| {
        let mut node = node.clone();
        node.as_object_mut().unwrap().remove("_meta");
        for value in node["inputs"].as_object_mut().unwrap().values_mut() {
            if let Some((from, output)) = link(value) {
                *value = json!([new(from), output]);
            }
        }
        (new(id), node)
    });
    nodes.collect()
}

fn renumbered(remarks: &[Remark]) -> HashMap<String, String> {
    let ids = remarks.iter().filter_map(|remark| match remark {
        Remark::Renumbered { id, new } => Some((id.clone(), new.to_string())),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_graph_for_the_editor_has_everything_in_its_place() {
    let graph = drawn(sampled()).unwrap().graph;
    insta::assert_json_snapshot!(graph);
}

#[test]
fn what_the_frontend_made_of_graphs_becomes_graphs_that_give_the_same() {
    let Some(cases) = recorded("ui2api-sample.json.gz") else {
        return;
    };
    let mut same = 0;
    let mut unknown = 0;
    for (name, case) in cases.as_object().unwrap() {
        let possible = case["api_possible"]
            .as_array()
            .map(|possible| possible[0].clone());
        let Some(prompt) = possible.or_else(|| case.get("api").cloned()) else {
            continue;
        };
        if !prompt.is_object() {
            continue;
        }
        let drawn = match drawn(prompt.clone()) {
            Ok(drawn) => drawn,
            Err(DrawError::UnknownClass { .. }) => {
                unknown += 1;
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let back = comparable(&back(&drawn.graph), &HashMap::new());
        let mut wanted = comparable(&prompt, &renumbered(&drawn.remarks));
        for remark in &drawn.remarks {
            if let Remark::Filled { node, input, value } = remark {
                // Only what a script or an older server left away; both are known.
                assert!(
                    ["micro/dictvals", "micro/number_strings"].contains(&name.as_str()),
                    "{name}: {remark}"
                );
                wanted[&*node.id]["inputs"][input] = value.clone();
            } else {
                assert!(
                    matches!(remark, Remark::Renumbered { .. }),
                    "{name}: {remark}"
                );
            }
        }
        assert_eq!(back, wanted, "{name}");
        tidy(name, &drawn.graph);
        same += 1;
    }
    assert_eq!((same, unknown), (135, 4));
}

/// No two nodes or groups overlap, a group's nodes are within it, and links go to the right.
fn tidy(name: &str, graph: &Value) {
    let numbers = |value: &Value| -> Vec<f64> {
        let numbers = value.as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    let apart = |one: &[f64], other: &[f64]| {
        one[0] + one[2] <= other[0]
            || other[0] + other[2] <= one[0]
            || one[1] + one[3] <= other[1]
            || other[1] + other[3] <= one[1]
    };
    let mut boxes: HashMap<u64, Vec<f64>> = HashMap::new();
    for node in graph["nodes"].as_array().unwrap() {
        let (at, size) = (numbers(&node["pos"]), numbers(&node["size"]));
        // With the title, which stands above.
        let own = vec![at[0], at[1] - 30.0, size[0], size[1] + 30.0];
        for (other, taken) in &boxes {
            assert!(apart(&own, taken), "{name}: {} and {other}", node["id"]);
        }
        boxes.insert(node["id"].as_u64().unwrap(), own);
    }
    let groups: Vec<Vec<f64>> = graph["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| numbers(&group["bounding"]))
        .collect();
    for (at, group) in groups.iter().enumerate() {
        assert!(
            groups[..at].iter().all(|other| apart(group, other)),
            "{name}: {groups:?}"
        );
        for (id, own) in &boxes {
            let within = group[0] <= own[0]
                && own[0] + own[2] <= group[0] + group[2]
                && group[1] <= own[1]
                && own[1] + own[3] <= group[1] + group[3];
            assert!(
                within || apart(group, own),
                "{name}: {id} is half in a group"
            );
        }
    }
    for link in graph["links"].as_array().unwrap() {
        let (from, to) = (
            &boxes[&link[1].as_u64().unwrap()],
            &boxes[&link[3].as_u64().unwrap()],
        );
        assert!(from[0] + from[2] < to[0], "{name}: {link}");
    }
}

#[test]
fn seeds_stay_as_they_are_from_run_to_run() {
    let graph = drawn(sampled()).unwrap().graph;
    let values = json!([7, "fixed", 20, 4, "euler", "normal", 1]);
    assert_eq!(node(&graph, 5)["widgets_values"], values);
}

#[test]
fn a_link_into_a_widget_keeps_the_place_of_its_value() {
    let mut nodes = sampled();
    nodes["8"] = json!({ "class_type": "PrimitiveInt", "inputs": { "value": 30 } });
    nodes["5"]["inputs"]["steps"] = json!(["8", 0]);
    let drawn = drawn(nodes.clone()).unwrap();
    let sampler = node(&drawn.graph, 5);
    assert_eq!(sampler["widgets_values"][2], 20);
    let inputs = sampler["inputs"].as_array().unwrap();
    let steps = inputs
        .iter()
        .find(|input| input["name"] == "steps")
        .unwrap();
    assert_eq!(steps["widget"], json!({ "name": "steps" }));
    assert!(steps["link"].is_u64());
    assert_eq!(back(&drawn.graph)["5"]["inputs"]["steps"], json!(["8", 0]));
}

#[test]
fn choices_bring_their_inputs_and_rows_of_inputs_grow() {
    let nodes = json!({
        "1": { "class_type": "LoadImage", "inputs": { "image": "a.png" } },
        "2": { "class_type": "BatchImagesNode", "inputs": {
            "images.image0": ["1", 0], "images.image1": ["1", 0], "images.image2": ["1", 0] } },
        "3": { "class_type": "ResizeImageMaskNode", "inputs": {
            "input": ["2", 0], "resize_type": "scale by multiplier",
            "resize_type.multiplier": 0.5, "scale_method": "lanczos" } },
        "4": { "class_type": "SaveImage", "inputs": { "images": ["3", 0], "filename_prefix": "a" } },
    });
    let drawn = drawn(nodes.clone()).unwrap();
    assert_eq!(drawn.remarks, []);
    assert_eq!(
        comparable(&back(&drawn.graph), &HashMap::new()),
        comparable(&nodes, &HashMap::new())
    );
    // The button to upload another picture has a value as well.
    assert_eq!(
        node(&drawn.graph, 1)["widgets_values"],
        json!(["a.png", "image"])
    );
    let batch = node(&drawn.graph, 2)["inputs"].as_array().unwrap();
    assert_eq!(batch.len(), 4, "one is free");
    assert_eq!(
        node(&drawn.graph, 3)["widgets_values"],
        json!(["scale by multiplier", 0.5, "lanczos"])
    );
    // What comes in gives the type of what goes out.
    assert_eq!(node(&drawn.graph, 3)["outputs"][0]["type"], "IMAGE");
}

#[test]
fn texts_stay_the_same_though_braces_and_slashes_mean_something_to_the_editor() {
    for text in [
        "{red|blue} fox",
        "see https://example.org/fox",
        "a /* b */ c",
        "{{PROMPT}}",
    ] {
        let mut nodes = sampled();
        nodes["2"]["inputs"]["text"] = text.into();
        let graph = drawn(nodes).unwrap().graph;
        assert_eq!(back(&graph)["2"]["inputs"]["text"], text);
    }
}

#[test]
fn ids_of_subgraphs_become_whole_numbers_and_that_is_said() {
    let nodes = json!({
        "7": { "class_type": "PreviewImage", "inputs": { "images": ["12:34", 0] } },
        "12:34": { "class_type": "EmptyImage", "inputs": { "width": 8, "height": 8, "batch_size": 1, "color": 0 } },
    });
    let drawn = drawn(nodes).unwrap();
    assert_eq!(
        drawn.remarks,
        [Remark::Renumbered {
            id: "12:34".to_owned(),
            new: 8
        }]
    );
    assert_eq!(back(&drawn.graph)["7"]["inputs"]["images"], json!(["8", 0]));
}

#[test]
fn titles_are_kept_where_somebody_gave_them() {
    let graph = drawn(sampled()).unwrap().graph;
    assert_eq!(node(&graph, 2)["title"], "Prompt");
    assert_eq!(node(&graph, 3).get("title"), None);
    assert_eq!(back(&graph)["2"]["_meta"]["title"], "Prompt");
}

#[test]
fn what_is_not_quite_the_same_in_the_editor_is_said() {
    let mut nodes = sampled();
    nodes["5"]["inputs"]["seed"] = json!(u64::MAX);
    nodes["5"]["inputs"]
        .as_object_mut()
        .unwrap()
        .remove("denoise");
    nodes["5"]["inputs"]["leftover"] = json!(1);
    let remarks = drawn(nodes).unwrap().remarks;
    let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_would_be_lost_in_the_editor_is_an_error_that_names_the_node() {
    let cases = [
        (
            "an unknown class",
            "3",
            json!({ "class_type": "ClipTextEncode", "inputs": { "text": "" } }),
        ),
        (
            "a link to nowhere",
            "6",
            json!({ "class_type": "VAEDecode", "inputs": { "samples": ["99", 0] } }),
        ),
        (
            "an output that is not there",
            "6",
            json!({ "class_type": "VAEDecode", "inputs": { "samples": ["5", 9] } }),
        ),
        (
            "a text that no widget can have",
            "2",
            json!({ "class_type": "CLIPTextEncode",
            "inputs": { "text": "\\{a|b}", "clip": ["1", 1] } }),
        ),
        (
            "a pattern that the editor replaces",
            "7",
            json!({ "class_type": "SaveImage",
            "inputs": { "filename_prefix": "%date:yyyy%", "images": ["6", 0] } }),
        ),
    ];
    let mut said = String::new();
    for (what, id, body) in cases {
        let mut nodes = sampled();
        nodes[id] = body;
        let failure = Failure::from(drawn(nodes).unwrap_err());
        let hint = failure.hint.as_deref().unwrap_or_default();
        said = format!("{said}{what}\n  {failure}\n  {hint}\n");
    }
    insta::assert_snapshot!(said);
}

#[test]
fn an_undeclared_value_of_a_custom_node_is_an_error() {
    let facts =
        br#"{"Mine": {"input": {"required": {"n": ["INT", {}]}}, "output": [], "output_node": true,
        "python_module": "custom_nodes.mine"}}"#;
    let facts = NodeFacts::read(&facts[..]).unwrap();
    let nodes = json!({ "1": { "class_type": "Mine", "inputs": { "n": 1, "more": 2 } } });
    let error = to_ui(&workflow(nodes), &facts).unwrap_err();
    assert!(
        matches!(&error, DrawError::NoPlace { input, .. } if input == "more"),
        "{error}"
    );
}

#[test]
fn a_value_where_the_editor_has_no_widget_is_an_error_that_says_so() {
    let mut nodes = sampled();
    nodes["6"]["inputs"]["samples"] = json!(5);
    let failure = Failure::from(drawn(nodes).unwrap_err());
    insta::assert_snapshot!(
        failure,
        @r#"input "samples" of node 6 (VAEDecode) is 5, and the editor takes nothing but a link there"#
    );
    assert!(failure.hint.unwrap().contains("PrimitiveInt"));
}

#[test]
fn links_to_nowhere_are_drawn_as_what_is_missing() {
    let mut nodes = sampled();
    nodes["6"]["inputs"]["samples"] = json!(["99", 0]);
    let (workflow, facts) = (workflow(nodes), NodeFacts::bundled());
    assert!(to_mermaid(&workflow, &facts).contains("samples: missing (99, 0)"));
    assert!(to_svg(&workflow, &facts).contains("missing (99, 0)"));
    let loose: Vec<String> = loose_links(&workflow, &facts)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        loose,
        [
            "input \"samples\" of node 6 (VAEDecode) links to output 0 of node 99, which is not there"
        ]
    );
}

#[test]
fn a_workflow_is_a_chart_that_mermaid_draws() {
    insta::assert_snapshot!(to_mermaid(&workflow(sampled()), &NodeFacts::bundled()));
}

#[test]
fn a_workflow_is_a_picture() {
    insta::assert_snapshot!(to_svg(&workflow(sampled()), &NodeFacts::bundled()));
}

#[test]
fn whatever_is_wrong_with_a_workflow_it_can_be_looked_at() {
    let nodes = json!({
        "<&\">": { "class_type": "No \"such\" <class>", "inputs": {
            "a": ["b", 0], "b": ["nowhere", 3], "c": "]]>\u{0}{|}", "d": [1, 2] } },
        "b": { "class_type": "Another", "inputs": { "round": ["<&\">", 100] } },
        "c": {},
    });
    let facts = NodeFacts::bundled();
    let picture = to_svg(&workflow(nodes.clone()), &facts);
    assert!(
        picture.contains("No &quot;such&quot; &lt;class&gt;"),
        "{picture}"
    );
    assert!(!picture.contains('\0'));
    let chart = to_mermaid(&workflow(nodes), &facts);
    assert!(chart.contains("No #34;such#34; #60;class#62;"), "{chart}");
    assert!(to_svg(&Workflow::default(), &facts).starts_with("<svg"));
}
