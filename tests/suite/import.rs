//! Importing workflows: on the command line, and as a tool.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim};

fn prompt() -> Value {
    json!({
        "12:3": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 32, "batch_size": 1, "color": 255 } },
        "9": { "class_type": "SaveImage", "inputs": { "images": ["12:3", 0], "filename_prefix": "blue" } },
    })
}

fn graph(class: &str) -> Value {
    json!({ "nodes": [{ "id": 1, "type": class, "title": "Mine", "widgets_values": [8, 8, 1, 0] }], "links": [] })
}

#[tokio::test]
async fn a_file_becomes_a_template_that_builds_what_it_was_made_of() {
    let home = Home::new();
    home.write("blue square.json", &prompt().to_string());
    let ran = home
        .mmf(["import", "blue square.json"])
        .run()
        .await
        .exits(0);
    let path = home.data().join("templates/blue_square.rhai");
    assert!(path.is_file(), "{}\n{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("mmf run blue_square --help"),
        "{}",
        ran.stdout
    );

    let built = home
        .mmf(["run", "blue_square", "--workflow"])
        .run()
        .await
        .exits(0);
    assert_eq!(built.json(), prompt());

    let again = home.mmf(["import", "blue square.json"]).run().await;
    let again = again.exits(3);
    assert!(again.stderr.contains("--overwrite"), "{}", again.stderr);
    home.mmf([
        "import",
        "blue square.json",
        "--overwrite",
        "--name",
        "blue_square",
    ])
    .run()
    .await
    .exits(0);
}

#[tokio::test]
async fn a_project_has_its_own_templates_and_json_tells_the_rest() {
    let home = Home::new();
    home.write(".mmf/config.toml", "");
    home.write("blue.json", &prompt().to_string());
    let told = home
        .mmf(["import", "blue.json", "--name", "mine", "--json"])
        .run()
        .await;
    let told = told.exits(0).json();
    assert_eq!(told["name"], "mine");
    assert!(
        home.project().join(".mmf/templates/mine.rhai").is_file(),
        "{told:#}"
    );
}

#[tokio::test]
async fn a_template_of_the_server_is_fetched_converted_and_runs() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mmf = |words: &[&str]| home.mmf(words.iter().copied()).server(&comfy.url());
    mmf(&["import", "default", "--name", "first"])
        .run()
        .await
        .exits(0);
    let made = mmf(&[
        "run", "first", "--STEPS", "2", "--WIDTH", "64", "--HEIGHT", "64", "-o", "out",
    ]);
    made.run().await.exits(0);

    let missing = mmf(&["import", "defualt"]).run().await.exits(6);
    assert!(
        missing.stderr.contains("did you mean default?"),
        "{}",
        missing.stderr
    );
}

#[tokio::test]
async fn a_node_that_cannot_be_converted_is_named_and_nothing_is_written() {
    let home = Home::new();
    home.write("odd.json", &graph("NobodyHasThis").to_string());
    let ran = home.mmf(["import", "odd.json"]).run().await.exits(3);
    assert!(
        ran.stderr.contains("node 1 \"Mine\" (NobodyHasThis)"),
        "{}",
        ran.stderr
    );
    assert!(!home.data().join("templates/odd.rhai").exists());

    home.write("no.json", "{");
    let ran = home.mmf(["import", "no.json"]).run().await.exits(3);
    assert!(ran.stderr.contains("is not JSON"), "{}", ran.stderr);
}

#[tokio::test]
async fn convert_writes_the_template_to_stdout_and_nowhere_else() {
    let home = Home::new();
    home.write("blue.json", &prompt().to_string());
    let words = [
        "convert",
        "blue.json",
        "--to",
        "rhai",
        "--name",
        "deep_blue",
    ];
    let ran = home.mmf(words).run().await.exits(0);
    assert!(
        ran.stdout.contains("title(\"Deep blue\");"),
        "{}",
        ran.stdout
    );
    assert!(!home.data().join("templates").exists());
}

#[tokio::test]
async fn an_agent_imports_what_it_is_given_and_runs_it() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.settings("[scripts]\nallow_save = true\n");
    home.write("work/blue.json", &prompt().to_string());
    home.write(".secret/blue.json", &prompt().to_string());
    home.write("work/notes.json", "{\"password\": \"fox\"}");
    let mut client = McpClient::start(&home, &comfy.url()).await;

    let seen = client
        .call("import_workflow", json!({ "from": prompt() }))
        .await;
    assert!(
        seen["source"].as_str().unwrap().contains("fn build(p)"),
        "{seen:#}"
    );
    assert!(seen.get("path").is_none(), "{seen:#}");

    let saved = client
        .call(
            "import_workflow",
            json!({ "from": "work/blue.json", "name": "blue" }),
        )
        .await;
    assert!(
        saved["path"].is_string() && saved.get("source").is_none(),
        "{saved:#}"
    );
    let done = client.call("run_script", json!({ "name": "blue" })).await;
    assert_eq!(done["status"], "completed", "{done:#}");

    let asset = done["outputs"][0]["asset_id"].clone();
    let again = client
        .call("import_workflow", json!({ "from": asset, "name": "again" }))
        .await;
    assert_eq!(again["name"], "again", "{again:#}");
    let taken = json!({ "from": asset, "name": "again" });
    let refused = client.call_fails("import_workflow", taken).await;
    assert!(
        refused["hint"].as_str().unwrap().contains("overwrite"),
        "{refused:#}"
    );

    let drawn = json!({ "from": graph("EmptyImage") });
    let drawn = client.call("import_workflow", drawn).await;
    let source = drawn["source"].as_str().unwrap();
    assert!(source.contains(".titled(\"Mine\")"), "{source}");

    let first = client
        .call(
            "import_workflow",
            json!({ "from": "default", "name": "first" }),
        )
        .await;
    assert!(
        first["params"]
            .as_array()
            .unwrap()
            .contains(&json!("PROMPT")),
        "{first:#}"
    );

    for from in [".secret/blue.json", "work/notes.json", "work/none.json"] {
        let refused = client
            .call_fails("import_workflow", json!({ "from": from }))
            .await;
        assert_eq!(refused["error"], "NO_WORKFLOW_DATA", "{refused:#}");
        assert!(!refused.to_string().contains("password"), "{refused:#}");
    }
}

#[tokio::test]
async fn an_agent_that_may_not_save_is_told_so() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let given = json!({ "from": prompt(), "name": "blue" });
    let refused = client.call_fails("import_workflow", given).await;
    assert_eq!(refused["error"], "NOT_ALLOWED", "{refused:#}");
}
