//! The conversion of saved graphs against what the real frontend made of them.
//!
//! The recordings are not part of this repository; see `support::golden`.

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Converted, Options, UiError, Unknown, to_api};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::golden::recorded;

/// What is not as the frontend has it: the graph, the end of the input's name, and the reason.
const DIFFERENT: [(&str, &str, &str); 3] = [
    (
        "micro/number_strings",
        ".batch_size",
        "one of its two nulls was undefined in the page, which the recording can't show",
    ),
    (
        "official/templates-textured_logotype-v2.1",
        ".system_prompt",
        "the bundled facts leave out long default texts; those of a server have them",
    ),
    (
        "edited/ui_598_reroute_inserted",
        ".system_prompt",
        "the bundled facts leave out long default texts; those of a server have them",
    ),
];

/// As the frontend does it, with the facts of the server that was recorded.
fn convert(graph: &Value) -> Result<Converted, UiError> {
    let options = Options {
        unknown: Unknown::Keep,
        as_is: true,
        ..Options::new(&Clock::fixed("2026-11-22T09:00:00Z".parse().unwrap()))
    };
    to_api(graph, &NodeFacts::bundled(), &options)
}

/// Without what the browser captured when it was asked.
fn comparable(prompt: &Value) -> Value {
    let mut prompt = prompt.clone();
    for (_, node) in prompt.as_object_mut().unwrap() {
        if node["class_type"] == "Load3D" {
            node["inputs"].as_object_mut().unwrap().remove("image");
        }
    }
    prompt
}

/// What is not the same, as the place and both sides.
pub(super) fn differences(
    ours: &Value,
    theirs: &Value,
    path: &str,
    found: &mut Vec<(String, String)>,
) {
    if let (Value::Object(own), Value::Object(their)) = (ours, theirs) {
        let keys = own
            .keys()
            .chain(their.keys().filter(|key| !own.contains_key(*key)));
        for key in keys {
            let absent = Value::String("(absent)".to_owned());
            differences(
                own.get(key).unwrap_or(&absent),
                their.get(key).unwrap_or(&absent),
                &format!("{path}.{key}"),
                found,
            );
        }
    } else if ours != theirs {
        found.push((
            path.to_owned(),
            format!("{ours:.200} instead of {theirs:.200}"),
        ));
    }
}

#[test]
fn graphs_become_the_prompts_that_the_frontend_makes_of_them() {
    let Some(cases) = recorded("ui2api-sample.json.gz") else {
        return;
    };
    let cases = cases.as_object().unwrap();
    assert_eq!(cases.len(), 141);
    let mut wrong = Vec::new();
    for (name, case) in cases {
        let possible = match &case["api_possible"] {
            Value::Null if case["error"].is_string() => Vec::new(),
            Value::Null => vec![case["api"].clone()],
            possible => possible.as_array().unwrap().clone(),
        };
        let mut found = Vec::new();
        match convert(&case["ui"]) {
            Ok(converted) => {
                let ours = comparable(&converted.workflow.into_json());
                let same = possible.iter().any(|theirs| comparable(theirs) == ours);
                if !same {
                    let theirs = possible.first().map_or(Value::Null, comparable);
                    differences(&ours, &theirs, "", &mut found);
                }
            }
            Err(_) if possible.is_empty() => {}
            Err(error) => found.push((String::new(), error.to_string())),
        }
        for (_, input, reason) in DIFFERENT.iter().filter(|(graph, ..)| graph == name) {
            let before = found.len();
            found.retain(|(place, _)| !place.ends_with(input));
            if found.len() == before {
                wrong.push(format!("{name}{input} is the same, though {reason}"));
            }
        }
        for (place, difference) in found {
            wrong.push(format!("{name}{place}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Something else in place of a part of a graph.
#[derive(Clone, Debug)]
enum Damage {
    Removed,
    Replaced(Value),
    Doubled,
}

fn damage() -> impl Strategy<Value = Damage> {
    let values = prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[[1, 2, 3, 4, 5, "*"]]])),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-20_i64..200).prop_map(Value::from),
        ".*".prop_map(Value::from),
        prop_oneof![
            Just("Reroute"),
            Just("PrimitiveNode"),
            Just("GetNode"),
            Just("SetNode"),
            Just("KSampler"),
            Just("CustomCombo"),
            Just("*")
        ]
        .prop_map(Value::from),
    ];
    prop_oneof![
        Just(Damage::Removed),
        Just(Damage::Doubled),
        values.prop_map(Damage::Replaced),
    ]
}

/// All parts of a value by their paths, itself first.
fn parts(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    found.push(path.clone());
    let inner: Vec<(String, &Value)> = match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (at.to_string(), item))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), field))
            .collect(),
        _ => return,
    };
    for (name, part) in inner {
        path.push(name);
        parts(part, path, found);
        path.pop();
    }
}

fn harm(graph: &mut Value, path: &[String], damage: Damage) {
    let Some((last, above)) = path.split_last() else {
        return;
    };
    let mut at = graph;
    for name in above {
        at = match at {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            other => &mut other[name.as_str()],
        };
    }
    match at {
        Value::Array(items) => {
            let place = last.parse::<usize>().unwrap();
            match damage {
                Damage::Removed => drop(items.remove(place)),
                Damage::Replaced(value) => items[place] = value,
                Damage::Doubled => items.insert(place, items[place].clone()),
            }
        }
        other => {
            let fields = other.as_object_mut().unwrap();
            match damage {
                Damage::Removed => drop(fields.shift_remove(last)),
                Damage::Replaced(value) => drop(fields.insert(last.clone(), value)),
                Damage::Doubled => {
                    let copy = fields[last].clone();
                    fields.insert(format!("{last}2"), copy);
                }
            }
        }
    }
}

/// A graph with a subgraph, a reroute, a primitive and a bypassed node, for where there are no
/// recordings.
fn own_graph() -> Value {
    json!({
        "last_node_id": 9,
        "nodes": [
            { "id": 1, "type": "box", "mode": 0, "widgets_values": [7],
              "inputs": [{ "name": "width", "type": "INT", "link": 1 }],
              "properties": { "proxyWidgets": [["4", "height"], ["-1", "width"]] } },
            { "id": 2, "type": "PrimitiveNode", "widgets_values": [64, "fixed"] },
            { "id": 3, "type": "Reroute", "inputs": [{ "name": "", "type": "*", "link": 2 }] },
            { "id": 5, "type": "ImageScaleBy", "mode": 4, "widgets_values": ["lanczos", 2],
              "inputs": [{ "name": "image", "type": "IMAGE", "link": 3 }] },
            { "id": 6, "type": "SaveImage", "widgets_values": ["%date:yyyy%_%box.width%"],
              "inputs": [{ "name": "images", "type": "IMAGE", "link": 4 }] },
            { "id": 7, "type": "CLIPTextEncode", "widgets_values": ["{a|b} /* c */ d"] },
        ],
        "links": [
            [1, 2, 0, 1, 0, "INT"], [2, 1, 0, 3, 0, "*"], [3, 3, 0, 5, 0, "IMAGE"],
            [4, 5, 0, 6, 0, "IMAGE"],
        ],
        "definitions": { "subgraphs": [{
            "id": "box", "name": "Box",
            "nodes": [{ "id": 4, "type": "EmptyImage", "widgets_values": [8, 8, 1, 0],
                "inputs": [{ "name": "width", "type": "INT", "link": 1,
                             "widget": { "name": "width" } }] }],
            "inputs": [{ "name": "width", "type": "INT", "linkIds": [1] }],
            "outputs": [{ "name": "IMAGE", "type": "IMAGE", "linkIds": [2] }],
            "links": [
                { "id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 4, "target_slot": 0 },
                { "id": 2, "origin_id": 4, "origin_slot": 0, "target_id": -20, "target_slot": 0 },
            ],
        }] },
    })
}

#[test]
fn damaged_graphs_become_a_prompt_or_an_error() {
    let mut graphs = vec![own_graph()];
    if let Some(cases) = recorded("ui2api-sample.json.gz") {
        graphs.extend(
            cases
                .as_object()
                .unwrap()
                .values()
                .map(|case| case["ui"].clone()),
        );
    }
    let harms = proptest::collection::vec((any::<Index>(), damage()), 1..6);
    let mut runner = TestRunner::new(Config::with_cases(300));
    let held = runner.run(&(any::<Index>(), harms), |(which, harms)| {
        let mut graph = which.get(&graphs).clone();
        for (place, damage) in harms {
            let mut found = Vec::new();
            parts(&graph, &mut Vec::new(), &mut found);
            let path: &Vec<String> = place.get(&found);
            harm(&mut graph, path, damage);
        }
        if let Ok(converted) = convert(&graph) {
            for node in converted.workflow.nodes() {
                prop_assert!(node.inputs().is_some(), "{}", node.body());
            }
        }
        Ok(())
    });
    held.unwrap();
}

#[test]
fn any_json_is_a_graph_or_an_error() {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 64, 8, |inner| {
        let names = prop_oneof![
            Just("nodes"),
            Just("links"),
            Just("id"),
            Just("type"),
            Just("inputs"),
            Just("widgets_values"),
            Just("definitions"),
            Just("subgraphs")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::vec((names, inner), 0..8).prop_map(|fields| {
                let fields = fields
                    .into_iter()
                    .map(|(name, field)| (name.to_owned(), field));
                fields.collect::<Value>()
            }),
        ]
    });
    let mut runner = TestRunner::new(Config::with_cases(500));
    let held = runner.run(&value, |value| {
        // That it comes back at all is what is held here.
        let _ = convert(&value);
        let _ = convert(&json!({ "nodes": [value] }));
        Ok(())
    });
    held.unwrap();
}
