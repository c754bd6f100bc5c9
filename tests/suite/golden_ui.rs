//! The conversion of saved graphs against what the real frontend made of them.
//!
//! The recordings are not part of this repository; see `support::golden`.

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Converted, Options, UiError, Unknown, to_api};
use serde_json::Value;

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
fn differences(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<(String, String)>) {
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
        found.push((path.to_owned(), format!("{ours:.200} instead of {theirs:.200}")));
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
