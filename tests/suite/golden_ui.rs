//! The conversion of saved graphs against what the real frontend made of them.
//!
//! The recordings are not part of this repository; see `support::golden`.

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Converted, Options, UiError, Unknown, to_api};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

use crate::support::golden::recorded;

/// Graphs that the frontend converts to something else, each with the reason.
const DIFFERENT: [(&str, &str); 1] = [(
    "micro/number_strings",
    "one of its two nulls was undefined in the page, which the recording can't show",
)];

/// As the frontend does it, with the facts of the server that was recorded.
fn convert(graph: &Value) -> Result<Converted, UiError> {
    let options = Options {
        unknown: Unknown::Keep,
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

/// What is not the same, as `node.input: ours, theirs`.
fn differences(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    if let (Value::Object(own), Value::Object(their)) = (ours, theirs) {
        let keys = own.keys().chain(their.keys().filter(|key| !own.contains_key(*key)));
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
        found.push(format!("{path}: {ours:.200} instead of {theirs:.200}"));
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
            Err(error) => found.push(error.to_string()),
        }
        let expected = DIFFERENT.iter().any(|(different, _)| different == name);
        if expected && found.is_empty() {
            wrong.push(format!("{name} is listed as different and is the same"));
        } else if !expected && !found.is_empty() {
            wrong.push(format!("{name}:\n  {}", found.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
