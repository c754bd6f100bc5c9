//! `mmf validate --jsonl` against what the real server answered, by nothing but its node
//! information.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;

use crate::support::golden;
use crate::support::mmf::{Home, Ran};

/// What the node information does not tell: what lies in the temp and output folders and outside of
/// all, and files that no loader lists.
const UNKNOWABLE: [&str; 5] = [
    "class-mut:ImageStitch:1",
    "shape:custom_LoadAudio_audio_09",
    "shape:custom_LoadImageOutput_image_05",
    "shape:custom_LoadImageOutput_image_09",
    "shape:custom_LoadVideo_file_04",
];

#[derive(Deserialize)]
struct Case {
    id: String,
    prompt: Box<RawValue>,
    truth: Value,
    #[serde(default)]
    truth_alternatives: Vec<Value>,
    /// Where `POST /prompt` does something else than the validator.
    #[serde(default)]
    server: Option<Value>,
}

/// Whether it is accepted, and the types of the errors of each node.
fn judged(answer: &Value, accepted: &str) -> (bool, BTreeMap<String, Vec<String>>) {
    let nodes = answer["node_errors"].as_object().into_iter().flatten();
    let nodes = nodes.map(|(id, node)| {
        let errors = node["errors"].as_array().unwrap().iter();
        let mut types: Vec<String> = errors.map(|error| error["type"].to_string()).collect();
        types.sort();
        (id.clone(), types)
    });
    (answer[accepted] == true, nodes.collect())
}

#[tokio::test]
async fn each_recorded_prompt_gets_the_recorded_verdict() {
    let name = "validate-0.33.0-object_info.json.gz";
    let (Some(nodes), Some(cases)) = (
        golden::path(name),
        golden::open("validate-0.33.0-sample.jsonl.gz"),
    ) else {
        return;
    };
    let lines = BufReader::new(cases).lines().map(Result::unwrap);
    let cases: Vec<Case> = lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    let home = Home::new();
    let words = ["validate", "--jsonl", "--nodes", nodes.to_str().unwrap()];
    let mut command = home.mmf(words).into_command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: Vec<&str> = cases.iter().map(|case| case.prompt.get()).collect();
    let prompts = lines.join("\n");
    let writing = tokio::spawn(async move { stdin.write_all(prompts.as_bytes()).await });
    let ran = Ran::end(child).await.exits(3);
    writing.await.unwrap().unwrap();

    let verdicts: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(verdicts.len(), cases.len());
    let mut differ: Vec<&str> = vec![];
    for (case, verdict) in cases.iter().zip(&verdicts) {
        let ours = judged(verdict, "accepted");
        let mut theirs = std::iter::once(&case.truth).chain(&case.truth_alternatives);
        // Where the validator raised, the server answers 500 and names no nodes.
        let agrees = theirs.any(|truth| {
            let recorded = judged(truth, "valid");
            recorded == ours || truth.get("raised").is_some() && !ours.0
        });
        if !agrees && case.server.is_none() {
            differ.push(&case.id);
        }
    }
    differ.sort_unstable();
    assert_eq!(differ, UNKNOWABLE);
}
