//! Workflow files as they come: with numbers that JSON readers shorten, a byte order mark, the line
//! ends of Windows, `NaN`; and readers that have gone away.

use std::fs;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::mmf::{Home, Mmf, Ran};

const BIG: &str = "123456789012345678901234567890";

/// A picture whose width is text, with this beside its inputs.
fn picture(beside: &str) -> String {
    format!(
        r#"{{
  "1": {{
    "class_type": "EmptyImage",
    "inputs": {{ "width": "64", "height": 64, "batch_size": 1, "color": 0 }},
    "_meta": {{ "title": "t", "z": {beside} }}
  }},
  "2": {{ "class_type": "SaveImage", "inputs": {{ "images": ["1", 0], "filename_prefix": "x" }} }}
}}
"#
    )
}

async fn run(home: &Home, arguments: &[&str], code: i32) -> Ran {
    home.mmf(arguments).run().await.exits(code)
}

fn read(home: &Home) -> String {
    fs::read_to_string(home.project().join("p.json")).unwrap()
}

/// Runs it with this on stdin.
async fn fed(mmf: Mmf, text: &str) -> Ran {
    let mut child = mmf.spawn();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(text.as_bytes()).await.unwrap();
    drop(pipe);
    Ran::end(child).await
}

#[tokio::test]
async fn whole_numbers_beyond_64_bits_stay_as_they_are() {
    let home = Home::new();
    home.write("p.json", &picture(BIG));
    let ran = run(&home, &["convert", "p.json", "--to", "api"], 0).await;
    assert!(ran.stdout.contains(BIG), "{}", ran.stdout);
    let ran = run(&home, &["validate", "p.json", "--fix", "--json"], 0).await;
    assert!(ran.stdout.contains(BIG), "{}", ran.stdout);
    home.write("p.json", &picture("1").replace("\"64\"", BIG));
    let ran = run(&home, &["validate", "p.json", "--json"], 3).await;
    let received = format!("\"received\":{BIG}");
    assert!(ran.stdout.contains(&received), "{}", ran.stdout);
    let node = json!({ "id": 1, "type": "EmptyImage", "widgets_values": [8, 16, 1, 1.0] });
    let graph = json!({ "nodes": [node], "links": [] }).to_string();
    home.write("p.json", &graph.replace("1.0", BIG));
    let ran = run(&home, &["convert", "p.json", "--to", "api"], 0).await;
    assert!(ran.stdout.contains(BIG), "{}", ran.stdout);
}

#[tokio::test]
async fn what_json_has_no_words_for_is_kept_or_its_loss_told() {
    let home = Home::new();
    home.write("p.json", &picture("NaN"));
    let ran = run(&home, &["convert", "p.json", "--to", "api"], 0).await;
    assert!(ran.stderr.contains("such as NaN"), "{}", ran.stderr);
    run(&home, &["validate", "p.json", "--fix", "--write"], 0).await;
    assert_eq!(read(&home), picture("NaN").replace("\"64\"", "64"));

    // Of two equal keys only the last can be mended in its place.
    let twice = picture("NaN").replace("\"x\" }", "\"x\", \"foo\": 3, \"foo\": 4 }");
    home.write("p.json", &twice);
    let ran = run(&home, &["validate", "p.json", "--fix", "--write"], 3).await;
    assert!(ran.stderr.contains("would lose"), "{}", ran.stderr);
    assert_eq!(read(&home), twice);
}

#[tokio::test]
async fn a_byte_order_mark_is_read_over_and_kept() {
    let home = Home::new();
    let marked = format!("\u{feff}{}", picture("1"));
    home.write("p.json", &marked);
    run(&home, &["validate", "p.json", "--fix", "--write"], 0).await;
    assert_eq!(read(&home), marked.replace("\"64\"", "64"));
    let line: Value = serde_json::from_str(&picture("1")).unwrap();
    let line = format!("\u{feff}{line}\n");
    let lines = fed(home.mmf(["validate", "--jsonl"]), &line);
    assert_eq!(lines.await.exits(0).json()["valid"], true);
}

#[tokio::test]
async fn lines_of_windows_stay_so() {
    let home = Home::new();
    let nodes: Value = serde_json::from_str(&picture("1")).unwrap();
    let mut endless = nodes;
    endless.as_object_mut().unwrap().shift_remove("2");
    let text = serde_json::to_string_pretty(&endless).unwrap();
    home.write("p.json", &text.replace('\n', "\r\n"));
    run(&home, &["validate", "p.json", "--fix", "--write"], 0).await;
    let written = read(&home);
    assert!(written.contains("SaveImage"), "{written}");
    assert_eq!(
        written.matches('\n').count(),
        written.matches("\r\n").count()
    );
}

#[tokio::test]
async fn what_can_not_be_written_is_refused_before_anything_else_is_told() {
    let home = Home::new();
    for json in [false, true] {
        let mut arguments = vec!["validate", "-", "--fix", "--write"];
        arguments.extend(json.then_some("--json"));
        let ran = fed(home.mmf(arguments), &picture("1")).await.exits(3);
        if json {
            let told: Value = serde_json::from_str(&ran.stdout).expect("one document");
            assert_eq!(told["error"], "INVALID_PARAMS");
        } else {
            assert_eq!(ran.stdout, "");
        }
    }
}

#[tokio::test]
async fn from_stdin_what_is_left_is_told_on_stderr() {
    let home = Home::new();
    let hopeless = picture("1").replace("EmptyImage", "Nonsense");
    let ran = fed(home.mmf(["validate", "-", "--fix"]), &hopeless)
        .await
        .exits(3);
    assert_eq!(ran.stdout, hopeless);
    for said in ["Node type 'Nonsense' not found", "stdin: 1 error"] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_reader_of_stderr_that_has_gone_away_is_no_failure() {
    let home = Home::new();
    home.write("p.json", "no JSON");
    let mut child = home.mmf(["validate", "p.json"]).spawn();
    drop(child.stderr.take());
    assert_eq!(child.wait().await.unwrap().code(), Some(3));
}
