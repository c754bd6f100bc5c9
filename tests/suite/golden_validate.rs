//! The validator against what real servers answered.
//!
//! The recordings are not part of this repository. They are looked for where `MMF_REFERENCE`
//! points, or beside the repository; without them these tests say so and pass.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use massmediafactory::comfy::json::parse_lenient;
use massmediafactory::comfy::nodes::{NodeClass, NodeFacts};
use massmediafactory::comfy::validate::{
    Answer, Arguments, CoreValidation, Exception, Outcome, OwnValidation, Parameters, Rules,
    Validator, Verdict,
};
use serde_json::{Value, json};

fn golden(name: &str) -> Option<impl Read> {
    let reference = std::env::var_os("MMF_REFERENCE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/reference")),
        PathBuf::from,
    );
    let path = reference.join("golden").join(name);
    match File::open(&path) {
        Ok(file) => Some(GzDecoder::new(BufReader::new(file))),
        Err(error) => {
            eprintln!("skipped, there is no {}: {error}", path.display());
            None
        }
    }
}

fn golden_json(name: &str) -> Option<Value> {
    let mut body = Vec::new();
    golden(name)?.read_to_end(&mut body).unwrap();
    Some(parse_lenient(&body).unwrap())
}

/// The validation functions of the made-up classes of the smaller recording.
struct MadeUp;

impl OwnValidation for MadeUp {
    fn parameters(&self, class: &NodeClass) -> Option<Parameters> {
        let only = |required| Parameters {
            required,
            ..Parameters::default()
        };
        Some(match class.name() {
            "Valid" => only(&["image"]),
            "ValidFalse" => only(&["a"]),
            "ValidKw" => Parameters {
                any: true,
                ..Parameters::default()
            },
            "ValidTypes" => only(&["input_types"]),
            _ => return None,
        })
    }

    fn answer(&self, class: &NodeClass, arguments: &Arguments<'_>) -> Result<Answer, Exception> {
        Ok(match class.name() {
            "Valid" => match arguments.get("image") {
                Value::String(name) if name == "ok.png" => Answer::Good,
                Value::String(name) => Answer::Wrong(format!("Invalid image file: {name}")),
                _ => Answer::Wrong("Invalid image file: None".to_owned()),
            },
            "ValidFalse" => Answer::Bad,
            "ValidTypes" => {
                let (name, received) = arguments.received[0];
                let received = received.name();
                match received {
                    "LATENT" => Answer::Good,
                    _ => Answer::Wrong(format!("bad types {{'{name}': '{received}'}}")),
                }
            }
            _ => Answer::Good,
        })
    }
}

/// Both sides in a form in which everything that the server leaves to chance is sorted.
fn comparable(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(details) = answer.pointer("/error/details").cloned() {
        let mut lines: Vec<String> = match &details {
            Value::String(text) => text.split('\n').map(str::to_owned).collect(),
            Value::Array(lines) => lines
                .iter()
                .map(|line| line.as_str().unwrap().into())
                .collect(),
            other => panic!("{other}"),
        };
        lines.sort();
        answer["error"]["details"] = json!(lines);
    }
    let Some(Value::Object(nodes)) = answer.get_mut("node_errors") else {
        return answer;
    };
    for node in nodes.values_mut() {
        let outputs = node["dependent_outputs"].as_array_mut().unwrap();
        outputs.sort_by_key(Value::to_string);
        outputs.dedup();
        let errors = node["errors"].as_array_mut().unwrap();
        for error in &mut *errors {
            error["extra_info"]
                .as_object_mut()
                .unwrap()
                .remove("traceback");
            strip_sentences(&mut error["extra_info"]["input_config"]);
            error.sort_all_objects();
        }
        errors.sort_by_key(Value::to_string);
    }
    answer.sort_all_objects();
    answer
}

/// The recording's node information lacks what is said to people; the answers have it.
fn strip_sentences(config: &mut Value) {
    match config {
        Value::Object(options) => {
            if options.contains_key("__float__") {
                *config = Value::Null;
                return;
            }
            for name in ["tooltip", "placeholder", "label_on", "label_off"] {
                options.remove(name);
            }
            options.values_mut().for_each(strip_sentences);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_sentences),
        _ => {}
    }
}

#[test]
fn made_up_nodes_are_judged_as_0_30_2_judged_them() {
    let Some(recorded) = golden_json("validate_0.30.2.json.gz") else {
        return;
    };
    let facts = NodeFacts::read(recorded["object_info"].to_string().as_bytes()).unwrap();
    let validator = Validator::new(&facts)
        .rules(Rules::of("0.30.2"))
        .own_validation(&MadeUp);
    let cases = recorded["cases"].as_object().unwrap();
    let mut wrong = Vec::new();
    for (name, case) in cases {
        let Verdict { outcome, prompt } = validator.validate(&case["prompt"], None);
        let mut outputs = match &outcome {
            Outcome::Accepted { outputs, .. } => outputs.clone(),
            _ => Vec::new(),
        };
        outputs.sort();
        let ours = json!({
            "status": outcome.status(),
            "body": comparable(&outcome.to_json()),
            "outputs": outputs,
            "prompt": prompt,
        });
        let theirs = json!({
            "status": case["status"],
            "body": comparable(&case["body"]),
            "outputs": case.get("outputs").unwrap_or(&json!([])),
            "prompt": case.get("prompt_after").unwrap_or(&case["prompt"]),
        });
        if ours != theirs {
            wrong.push(format!("{name}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert_eq!(cases.len(), 91);
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// What the recorder saw of one prompt.
fn seen(verdict: &Verdict, prompt: &Value) -> Value {
    match &verdict.outcome {
        Outcome::Raised(raised) => {
            json!({ "raised": format!("{}: {}", raised.kind, raised.message) })
        }
        Outcome::Accepted { outputs, .. } => {
            let mut answer = comparable(&verdict.outcome.to_json());
            let mut outputs = outputs.clone();
            outputs.sort();
            answer["outputs"] = json!(outputs);
            answer["coerced"] = coerced(prompt, &verdict.prompt);
            answer
        }
        Outcome::Rejected { .. } => {
            let mut answer = comparable(&verdict.outcome.to_json());
            answer["outputs"] = json!([]);
            answer["coerced"] = coerced(prompt, &verdict.prompt);
            answer
        }
    }
}

/// `[node, input, value]` of every input that was rewritten.
fn coerced(before: &Value, after: &Value) -> Value {
    let mut changes = Vec::new();
    for (id, node) in after.as_object().unwrap() {
        let Some(inputs) = node.get("inputs").and_then(Value::as_object) else {
            continue;
        };
        for (name, value) in inputs {
            if before[id]["inputs"][name] != *value {
                changes.push(json!([id, name, value]));
            }
        }
    }
    changes.sort_by_key(Value::to_string);
    changes.into()
}

fn recorded(truth: &Value) -> Value {
    if truth.get("raised").is_some() {
        return truth.clone();
    }
    let mut changes = truth
        .get("coerced")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    changes.iter_mut().for_each(strip_sentences);
    changes.sort_by_key(Value::to_string);
    let mut answer = json!({
        "node_errors": truth["node_errors"],
        "outputs": truth["outputs"],
    });
    if !truth["error"].is_null() {
        answer["error"] = truth["error"].clone();
    }
    let mut answer = comparable(&answer);
    answer["coerced"] = changes.into();
    answer
}

#[test]
fn real_nodes_are_judged_as_0_33_0_judged_them() {
    let Some(info) = golden_json("validate-0.33.0-object_info.json.gz") else {
        return;
    };
    let cases = golden("validate-0.33.0-sample.jsonl.gz").unwrap();
    let facts = NodeFacts::read(info.to_string().as_bytes()).unwrap();
    let files = uploaded_files(&facts);
    let exists = |name: &str| files.iter().any(|file| file == name);
    let core = CoreValidation::with_files(&exists);
    let validator = Validator::new(&facts).own_validation(&core);
    let mut wrong = BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(cases).lines() {
        let case = parse_lenient(line.unwrap().as_bytes()).unwrap();
        count += 1;
        let prompt = &case["prompt"];
        let ours = seen(&validator.validate(prompt, None), prompt);
        let theirs = recorded(&case["truth"]);
        let mut others = case["truth_alternatives"].as_array().into_iter().flatten();
        if ours != theirs && !others.any(|other| recorded(other) == ours) {
            let id = case["id"].as_str().unwrap().to_owned();
            wrong.insert(id, format!("  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert_eq!(count, 1406);
    let listed: Vec<String> = wrong
        .iter()
        .map(|(id, sides)| format!("{id}\n{sides}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        listed.join("\n")
    );
}

/// The recording server's input folder, as its loaders listed it.
fn uploaded_files(facts: &NodeFacts) -> Vec<String> {
    [
        ("LoadImage", "image"),
        ("LoadAudio", "audio"),
        ("LoadVideo", "file"),
    ]
    .iter()
    .filter_map(|(class, input)| facts.class(class)?.input(input)?.choices())
    .flatten()
    .filter_map(|name| name.as_str().map(str::to_owned))
    .collect()
}
