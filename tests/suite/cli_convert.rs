//! `mmf convert`: workflows from one format to another.

use massmediafactory::comfy::nodes::{NodeFacts, Snapshot};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::mmf::{Home, Ran, sim};

fn graph(class: &str, values: &Value) -> String {
    let node = json!({ "id": 1, "type": class, "widgets_values": values });
    json!({ "nodes": [node], "links": [] }).to_string()
}

fn picture() -> String {
    graph("EmptyImage", &json!([8, 16, 1, 255]))
}

fn converted() -> Value {
    json!({ "1": {
        "inputs": { "width": 8, "height": 16, "batch_size": 1, "color": 255 },
        "class_type": "EmptyImage",
        "_meta": { "title": "Empty Image" },
    } })
}

#[tokio::test]
async fn a_graph_is_converted_even_without_a_server() {
    let home = Home::new();
    home.write("graph.json", &picture());
    let convert = ["convert", "graph.json", "--to", "api"];
    let ran = home.mmf(convert).run().await.exits(0);
    assert_eq!(ran.json(), converted());
    assert!(
        ran.stderr.contains("going by the nodes of ComfyUI 0.33.0"),
        "{}",
        ran.stderr
    );

    let comfy = sim(&[]).await;
    let ran = home.mmf(convert).server(&comfy.url()).run().await.exits(0);
    assert_eq!(ran.json(), converted());
    assert!(ran.stderr.contains(&comfy.url()), "{}", ran.stderr);
}

#[tokio::test]
async fn a_graph_of_another_version_is_converted_only_as_it_is() {
    let home = Home::new();
    home.write("old.json", &graph("EmptyImage", &json!([8, true, 1, 255])));
    let words = ["convert", "old.json", "--to", "api"];
    let ran = home.mmf(words).run().await.exits(3);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("node 1 (EmptyImage)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("add --as-is"), "{}", ran.stderr);

    let words = ["convert", "old.json", "--to", "api", "--as-is"];
    let ran = home.mmf(words).run().await.exits(0);
    assert_eq!(ran.json()["1"]["inputs"]["height"], true);
    assert!(
        ran.stderr.contains("\"height\" would get true"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn stdin_and_a_prompt_are_taken_as_well() {
    let home = Home::new();
    for given in [picture(), converted().to_string()] {
        let mut child = home.mmf(["convert", "-", "--to", "api"]).spawn();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(given.as_bytes()).await.unwrap();
        drop(stdin);
        assert_eq!(Ran::end(child).await.exits(0).json(), converted());
    }
}

#[tokio::test]
async fn a_picture_gives_the_prompt_that_it_was_made_with() {
    let home = Home::new();
    home.write(
        "red.rhai",
        r#"title("Red"); about("A red square.");
           fn build(p) {
               let g = workflow();
               let red = g.node("EmptyImage", #{ width: 8, height: 8, batch_size: 1, color: 16711680 });
               g.node("SaveImage", #{ images: red[0], filename_prefix: "red" });
               g
           }"#,
    );
    let built = home
        .mmf(["run", "red.rhai", "--workflow"])
        .run()
        .await
        .exits(0)
        .json();
    home.mmf(["run", "red.rhai", "--sim", "-o", "out"])
        .run()
        .await
        .exits(0);
    let mut files = std::fs::read_dir(home.project().join("out")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let ran = home
        .mmf(["convert", file.to_str().unwrap(), "--to", "api"])
        .run()
        .await
        .exits(0);
    assert_eq!(ran.json(), built);
    assert!(ran.stderr.contains("the prompt in"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_nodes_of_a_snapshot_or_of_another_server_may_be_asked_for() {
    let home = Home::new();
    home.write("graph.json", &graph("MyNode", &json!([3])));
    let facts = br#"{"MyNode": {"input": {"required": {"n": ["INT", {}]}}, "output": []}}"#;
    let snapshot = Snapshot {
        comfyui_version: "0.33.0".to_owned(),
        taken_at: "2026-11-22T09:00:00Z".parse().unwrap(),
        url: None,
        facts: NodeFacts::read(&facts[..]).unwrap(),
    };
    snapshot
        .write(&home.project().join("mine.json.gz"))
        .unwrap();
    let convert = ["convert", "graph.json", "--to", "api", "--nodes"];
    let ran = home
        .mmf(convert.into_iter().chain(["mine.json.gz"]))
        .run()
        .await
        .exits(0);
    assert_eq!(ran.json()["1"]["inputs"], json!({ "n": 3 }));
    assert_eq!(ran.stderr, "");

    let comfy = sim(&[]).await;
    let ran = home
        .mmf(convert.into_iter().chain([comfy.url().as_str()]))
        .run()
        .await
        .exits(3);
    assert!(ran.stderr.contains("node 1 (MyNode)"), "{}", ran.stderr);
    home.mmf(convert.into_iter().chain(["http://127.0.0.1:1"]))
        .run()
        .await
        .exits(5);
}

#[tokio::test]
async fn what_is_no_workflow_is_refused() {
    let home = Home::new();
    home.write("words.txt", "hello");
    for (file, code) in [("words.txt", 3), ("missing.json", 6)] {
        let ran = home
            .mmf(["convert", file, "--to", "api"])
            .run()
            .await
            .exits(code);
        assert!(ran.stderr.contains(file), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    home.mmf(["convert", "words.txt", "--to", "pdf"])
        .run()
        .await
        .exits(3);
}
