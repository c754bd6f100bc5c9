//! `mmf export`, `mmf diff` and `mmf graph`: workflows to look at and to compare.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use massmediafactory::script::Kind;

use crate::support::mmf::{Home, Ran, sim};
use crate::support::shipped::shipped;

const SQUARE: &str = r#"
    title("A square");
    about("One picture of one colour.");
    param("SIZE", "int", #{ value: 64, min: 8, max: 1024 });
    param("NAME", "string", #{ required: true, about: "What the file is called" });
    fn build(p) {
        let g = workflow();
        let square = g.node("EmptyImage", #{ width: p.SIZE, height: p.SIZE, batch_size: 1, color: 255 });
        g.node("SaveImage", #{ images: square[0], filename_prefix: p.NAME });
        g
    }
"#;

fn home() -> Home {
    let home = Home::new();
    home.write(".mmf/templates/square.rhai", SQUARE);
    home
}

async fn run(home: &Home, args: &[&str], code: i32) -> Ran {
    home.mmf(args).run().await.exits(code)
}

#[tokio::test]
async fn a_template_is_exported_as_a_prompt_with_what_was_not_given_left_open() {
    let home = home();
    let ran = run(&home, &["export", "square", "--SIZE", "128"], 0).await;
    let nodes = ran.json();
    assert_eq!(nodes["1"]["inputs"]["width"], 128);
    assert_eq!(nodes["2"]["inputs"]["filename_prefix"], "{{NAME}}");
    assert!(ran.stderr.contains("{{NAME}}"), "{}", ran.stderr);

    let ran = run(
        &home,
        &["export", "square", "--NAME", "fox", "--to", "api"],
        0,
    )
    .await;
    assert_eq!(ran.json()["2"]["inputs"]["filename_prefix"], "fox");
    assert_eq!(ran.stderr, "");
    let same = run(
        &home,
        &["run", "square", "--NAME", "fox", "--workflow", "--sim"],
        0,
    )
    .await;
    assert_eq!(ran.json(), same.json());
}

#[tokio::test]
async fn an_exported_graph_converts_back_to_the_prompt() {
    let home = home();
    let graph = run(
        &home,
        &["export", "square", "-p", "NAME=fox", "--to", "ui"],
        0,
    )
    .await;
    assert!(graph.json()["nodes"].is_array());
    home.write("square.json", &graph.stdout);
    let prompt = run(&home, &["export", "square", "--NAME", "fox"], 0).await;
    home.write("prompt.json", &prompt.stdout);
    run(&home, &["diff", "square.json", "prompt.json"], 0).await;
    let again = run(&home, &["convert", "prompt.json", "--to", "ui"], 0).await;
    assert_eq!(again.json(), graph.json());
    let as_it_is = run(&home, &["convert", "square.json", "--to", "ui"], 0).await;
    assert_eq!(as_it_is.json(), graph.json());

    let comfy = sim(&[]).await;
    let export = ["export", "square", "--NAME", "fox", "--to", "ui"];
    let ran = home.mmf(export).server(&comfy.url()).run().await.exits(0);
    assert!(ran.stderr.contains(&comfy.url()), "{}", ran.stderr);
}

/// Whether a template has nodes that the editor can't be told of here.
fn needs_packs(name: &str) -> bool {
    let shipped = shipped();
    let served = shipped.get(Kind::Template, name).unwrap();
    !served.script.declaration.needs().is_empty()
}

#[tokio::test]
async fn all_shipped_templates_are_exported_as_graphs_that_convert_back() {
    let home = Home::new();
    let listed = run(&home, &["script", "list", "--json"], 0).await.json();
    let names = listed["scripts"].as_array().unwrap().iter();
    let names: Vec<&str> = names
        .filter(|script| script["kind"] == "template")
        .map(|script| script["name"].as_str().unwrap())
        .filter(|name| !needs_packs(name))
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let graph = run(&home, &["export", name, "--to", "ui"], 0).await;
        home.write("graph.json", &graph.stdout);
        // Defaults that the template leaves to the server are the one difference.
        let ran = home.mmf(["diff", name, "graph.json", "--json"]).run().await;
        let found = ran.json();
        assert_eq!(
            (&found["nodes_added"], &found["nodes_removed"]),
            (&json!([]), &json!([])),
            "{name}"
        );
        let changes = found["nodes_modified"].as_array().unwrap().iter();
        for change in changes.flat_map(|node| node["changes"].as_array().unwrap()) {
            assert_eq!(change.get("from"), None, "{name}: {change}");
            let input = change["input"].as_str().unwrap();
            assert!(
                graph.stderr.contains(&format!("\"{input}\" of")),
                "{name}: {}",
                graph.stderr
            );
        }
    }
}

#[tokio::test]
async fn what_can_not_be_exported_is_refused() {
    let home = home();
    let ran = run(&home, &["export", "view_output"], 3).await;
    assert!(ran.stderr.contains("is no template"), "{}", ran.stderr);
    run(&home, &["export", "no_such"], 6).await;
    run(&home, &["export", "square", "--SIZE", "2"], 3).await;
    run(&home, &["export", "square", "--to", "pdf"], 3).await;
    run(&home, &["export", "--to", "ui"], 3).await;
}

#[tokio::test]
async fn help_lists_what_there_is_to_export() {
    let ran = run(&home(), &["export", "square", "--help"], 0).await;
    insta::assert_snapshot!(ran.stdout);
}

fn prompt(steps: u32) -> Value {
    json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "a.safetensors" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": "a red fox in the snow", "clip": ["1", 1] },
               "_meta": { "title": "Prompt" } },
        "3": { "class_type": "KSampler", "inputs": { "model": ["1", 0], "positive": ["2", 0], "steps": steps } },
    })
}

#[tokio::test]
async fn a_difference_is_told_by_meaning_an_input_a_line() {
    let home = home();
    home.write("a.json", &prompt(20).to_string());
    let mut other = json!({
        "9": prompt(30)["3"], "8": prompt(30)["2"], "7": prompt(30)["1"],
        "5": { "class_type": "LoraLoader", "inputs": { "model": ["7", 0], "clip": ["7", 1], "lora_name": "fox" } },
    });
    other["9"]["inputs"]["positive"] = json!(["8", 0]);
    other["9"]["inputs"]["model"] = json!(["5", 0]);
    other["8"]["inputs"]["clip"] = json!(["5", 1]);
    other["8"]["inputs"]["text"] = "a red fox in the rain".into();
    home.write("b.json", &other.to_string());
    let ran = run(&home, &["diff", "a.json", "b.json"], 1).await;
    insta::assert_snapshot!(ran.stdout);
    let back = run(&home, &["diff", "b.json", "a.json"], 1).await;
    assert!(back.stdout.contains("- LoraLoader [5]"), "{}", back.stdout);
    let told = run(&home, &["diff", "a.json", "b.json", "--json"], 1)
        .await
        .json();
    assert_eq!(told["identical"], false);
    assert_eq!(told["nodes_unchanged"], 1);
    assert_eq!(told["nodes_added"][0]["class"], "LoraLoader");
    let changes = json!([
        { "input": "model", "from": ["1", 0], "to": ["5", 0] },
        { "input": "steps", "from": 20, "to": 30 },
    ]);
    assert_eq!(told["nodes_modified"][1]["changes"], changes);
}

#[tokio::test]
async fn the_same_under_other_ids_is_no_difference() {
    let home = home();
    home.write("a.json", &prompt(20).to_string());
    let renamed = prompt(20)
        .to_string()
        .replace("\"1\"", "\"41\"")
        .replace("\"2\"", "\"40\"");
    home.write("b.json", &renamed);
    let ran = run(&home, &["diff", "a.json", "b.json"], 0).await;
    assert_eq!(ran.stdout, "nodes: 3 the same\n");
    home.write("c.json", &renamed.replace("Prompt", "What to paint"));
    let ran = run(&home, &["diff", "a.json", "c.json"], 0).await;
    assert!(
        ran.stdout
            .contains("title only: \"Prompt\" -> \"What to paint\""),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn what_can_not_be_compared_is_told_apart_from_a_difference() {
    let home = home();
    home.write("a.json", &prompt(20).to_string());
    let ran = run(&home, &["diff", "a.json", "no_such"], 6).await;
    assert!(
        ran.stderr.contains("neither a file nor a template"),
        "{}",
        ran.stderr
    );
    home.write("words.txt", "hello");
    let told = run(&home, &["diff", "a.json", "words.txt", "--json"], 3).await;
    assert_eq!(told.json()["error"], "VALIDATION_ERROR");
    run(&home, &["diff", "-", "-"], 3).await;
}

#[tokio::test]
async fn a_workflow_is_drawn_from_a_file_a_template_or_stdin() {
    let home = home();
    let ran = run(&home, &["graph", "square"], 0).await;
    assert!(ran.stdout.starts_with("flowchart LR\n"), "{}", ran.stdout);
    let drawn = run(&home, &["graph", "square", "--output", "square.svg"], 0).await;
    assert_eq!(drawn.stdout, "");
    let picture = std::fs::read_to_string(home.project().join("square.svg")).unwrap();
    assert!(
        picture.starts_with("<svg ") && picture.ends_with("</svg>\n"),
        "{picture}"
    );

    let mut child = home.mmf(["graph", "-"]).spawn();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(prompt(20).to_string().as_bytes())
        .await
        .unwrap();
    drop(stdin);
    let ran = Ran::end(child).await.exits(0);
    assert!(ran.stdout.contains("KSampler"), "{}", ran.stdout);
    run(
        &home,
        &["graph", "square", "--to", "svg", "-o", "no/such/folder.svg"],
        1,
    )
    .await;
}
