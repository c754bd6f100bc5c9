//! The validator against what real servers answered.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read};

use massmediafactory::comfy::BigIntegers;
use massmediafactory::comfy::json::parse_lenient;
use massmediafactory::comfy::nodes::{NodeClass, NodeFacts};
use massmediafactory::comfy::validate::{
    Answer, Arguments, CoreValidation, Exception, Outcome, OwnValidation, Parameters, Rules,
    Validator, Verdict,
};
use serde_json::{Value, json};

use crate::support::golden;

fn golden_json(name: &str) -> Option<Value> {
    let mut body = Vec::new();
    golden::open(name)?.read_to_end(&mut body).unwrap();
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
pub(crate) fn comparable(answer: &Value) -> Value {
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
            strip_sentences(&mut error["extra_info"]);
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
        let Verdict {
            outcome, prompt, ..
        } = validator.validate(&case["prompt"], None);
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
fn seen(verdict: &Verdict<'_>, prompt: &Value) -> Value {
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
    for (id, node) in after.as_object().into_iter().flatten() {
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

/// An answer of the recording. Whole numbers beyond 64 bits are read as floats on both sides, but not
/// in messages.
fn recorded(truth: &Value, prompt: &Value) -> Value {
    if truth.get("raised").is_some() {
        return truth.clone();
    }
    let mut changes = truth
        .get("coerced")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    changes.iter_mut().for_each(strip_sentences);
    changes.retain(|change| {
        let [id, name] = [0, 1].map(|part| change[part].as_str().unwrap());
        prompt[id]["inputs"][name] != change[2]
    });
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

/// The larger recording: real nodes, judged by 0.33.0.
pub(crate) struct Real {
    info: Value,
    pub(crate) facts: NodeFacts,
    files: Vec<String>,
    pub(crate) cases: Vec<(Value, BigIntegers)>,
}

impl Real {
    pub(crate) fn load() -> Option<Self> {
        const INFO: &str = "validate-0.33.0-object_info.json.gz";
        let facts = NodeFacts::read(golden::open(INFO)?).unwrap();
        let cases = BufReader::new(golden::open("validate-0.33.0-sample.jsonl.gz")?);
        let cases = cases.lines().map(|line| {
            let line = line.unwrap();
            let case = parse_lenient(line.as_bytes()).unwrap();
            (case, BigIntegers::in_text(&line))
        });
        Some(Self {
            cases: cases.collect(),
            files: uploaded_files(&facts),
            facts,
            info: golden_json(INFO)?,
        })
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        let name = name.strip_prefix("./").unwrap_or(name);
        self.files.iter().any(|file| file == name)
    }
}

fn facts_of(info: &Value) -> NodeFacts {
    NodeFacts::read(info.to_string().as_bytes()).unwrap()
}

/// The recording server's input folder: what its loaders listed, and what no loader lists.
fn uploaded_files(facts: &NodeFacts) -> Vec<String> {
    let listed = [
        ("LoadImage", "image"),
        ("LoadAudio", "audio"),
        ("LoadVideo", "file"),
    ]
    .iter()
    .filter_map(|(class, input)| facts.class(class)?.input(input)?.choices())
    .flatten()
    .filter_map(Value::as_str);
    listed
        .chain([".", "3d", "motor_cycle.fbx", "toy.glb"])
        .map(str::to_owned)
        .collect()
}

#[test]
fn real_nodes_are_judged_as_0_33_0_judged_them() {
    let Some(real) = Real::load() else {
        return;
    };
    let exists = |name: &str| real.exists(name);
    let core = CoreValidation::with_files(&exists);
    let mut wrong = BTreeMap::new();
    for (case, big) in &real.cases {
        let (id, prompt) = (case["id"].as_str().unwrap(), &case["prompt"]);
        let validator = Validator::new(&real.facts)
            .own_validation(&core)
            .big_integers(big);
        let ours = seen(&validator.validate(prompt, None), prompt);
        let theirs = recorded(&case["truth"], prompt);
        let others = case["truth_alternatives"].as_array().into_iter().flatten();
        let mut allowed: Vec<Value> = others.map(|other| recorded(other, prompt)).collect();
        allowed.push(theirs.clone());
        let as_recorded = allowed.contains(&ours)
            || (case["order_sensitive"] == true && {
                in_some_order(&real.info, prompt, |facts, prompt| {
                    let validator = Validator::new(facts).own_validation(&core);
                    allowed.contains(&seen(&validator.validate(prompt, None), prompt))
                })
            });
        if !as_recorded {
            wrong.insert(id, format!("  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert_eq!(real.cases.len(), 1406);
    let listed: Vec<String> = wrong
        .iter()
        .map(|(id, sides)| format!("{id}\n{sides}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        real.cases.len(),
        listed.join("\n")
    );
}

/// The server goes through inputs and outputs in an order that changes from start to start, and
/// what it reports before it stumbles depends on that. Tries other orders of declaration.
pub(crate) fn in_some_order(
    info: &Value,
    prompt: &Value,
    holds: impl Fn(&NodeFacts, &Value) -> bool,
) -> bool {
    let classes: Vec<&str> = prompt
        .as_object()
        .unwrap()
        .values()
        .filter_map(|node| node["class_type"].as_str())
        .collect();
    (1..200).any(|seed| {
        let mut used = json!({});
        for class in &classes {
            used[class] = info[class].clone();
            for section in ["required", "optional"] {
                if let Some(Value::Object(inputs)) = used[class]["input"].get_mut(section) {
                    shuffle(inputs, seed);
                }
            }
        }
        let mut prompt = prompt.clone();
        shuffle(prompt.as_object_mut().unwrap(), seed);
        holds(&facts_of(&used), &prompt)
    })
}

fn shuffle(map: &mut serde_json::Map<String, Value>, seed: u64) {
    let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
    entries.sort_by_cached_key(|(name, _)| {
        let mut hasher = DefaultHasher::new();
        (seed, name).hash(&mut hasher);
        hasher.finish()
    });
    map.extend(entries);
}

#[test]
fn a_posted_prompt_has_its_old_classes_replaced_first() {
    let Some(real) = Real::load() else {
        return;
    };
    let exists = |name: &str| real.exists(name);
    let core = CoreValidation::with_files(&exists);
    let validator = Validator::new(&real.facts).own_validation(&core);
    let mut posted = 0;
    for (case, _) in &real.cases {
        let (id, prompt) = (&case["id"], &case["prompt"]);
        let received = validator.receive(prompt, None);
        if let Some(raised) = case.pointer("/server/replacement_raised") {
            posted += 1;
            assert_eq!(seen(&received, prompt)["raised"], *raised, "{id}");
        } else if let Some(replaced) = case.pointer("/server/prompt_after_replacement") {
            posted += 1;
            assert_eq!(received, validator.validate(replaced, None), "{id}");
            let truth = recorded(&case["server"]["truth"], replaced);
            let agrees = in_some_order(&real.info, replaced, |facts, prompt| {
                let validator = Validator::new(facts).own_validation(&core);
                seen(&validator.validate(prompt, None), prompt) == truth
            });
            assert!(agrees, "{id}: {received:?}");
        } else if prompt.is_object() {
            assert_eq!(received, validator.validate(prompt, None), "{id}");
        }
    }
    assert_eq!(posted, 23);
}
