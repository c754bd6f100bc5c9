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

    #[cfg(unix)]
    std::os::unix::fs::symlink(
        home.project().join(".secret/blue.json"),
        home.project().join("work/none.json"),
    )
    .unwrap();
    for from in [
        ".secret/blue.json",
        "work/notes.json",
        "work/none.json",
        "work/",
        "no.json",
    ] {
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

/// A subgraph whose `size` is the width and height of two pictures.
fn shared_size() -> Value {
    let picture = |id: u32, links: [u32; 2]| {
        let input = |name: &str, link: u32| json!({ "name": name, "type": "INT", "link": link, "widget": { "name": name } });
        json!({ "id": id, "type": "EmptyImage", "widgets_values": [8, 8, 1, 0],
                "inputs": [input("width", links[0]), input("height", links[1])] })
    };
    let link = |id: u32, from: i32, target: i32, slot: u32| json!({ "id": id, "origin_id": from, "origin_slot": 0, "target_id": target, "target_slot": slot });
    json!({
        "nodes": [
            { "id": 9, "type": "box", "widgets_values": [96] },
            { "id": 6, "type": "SaveImage", "widgets_values": ["a"],
              "inputs": [{ "name": "images", "type": "IMAGE", "link": 1 }] },
        ],
        "links": [[1, 9, 0, 6, 0, "IMAGE"]],
        "definitions": { "subgraphs": [{
            "id": "box", "name": "Box",
            "nodes": [
                picture(1, [11, 12]), picture(2, [13, 14]),
                { "id": 3, "type": "ImageBatch", "inputs": [
                    { "name": "image1", "type": "IMAGE", "link": 15 },
                    { "name": "image2", "type": "IMAGE", "link": 16 }] },
            ],
            "inputs": [{ "name": "size", "type": "INT", "linkIds": [11, 12, 13, 14] }],
            "outputs": [{ "name": "IMAGE", "type": "IMAGE", "linkIds": [17] }],
            "links": [
                link(11, -10, 1, 0), link(12, -10, 1, 1), link(13, -10, 2, 0), link(14, -10, 2, 1),
                link(15, 1, 3, 0), link(16, 2, 3, 1), link(17, 3, -20, 0),
            ],
        }] },
    })
}

#[tokio::test]
async fn what_one_input_of_a_subgraph_sets_one_parameter_sets() {
    let home = Home::new();
    home.write("sized.json", &shared_size().to_string());
    home.mmf(["import", "sized.json"]).run().await.exits(0);
    let built = home
        .mmf(["run", "sized", "--WIDTH", "120", "--workflow"])
        .run()
        .await
        .exits(0)
        .json();
    for node in ["9:1", "9:2"] {
        for side in ["width", "height"] {
            assert_eq!(built[node]["inputs"][side], 120, "{built:#}");
        }
    }
}

#[tokio::test]
async fn the_seed_of_the_sampler_is_the_seed() {
    let home = Home::new();
    let sampler = |seed: u32, latent: &str| {
        json!({ "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": [latent, 0],
            "seed": seed, "steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0 } })
    };
    let prompt = json!({
        "1": { "class_type": "CheckpointLoaderSimple", "inputs": { "ckpt_name": "a.safetensors" } },
        "2": { "class_type": "CLIPTextEncode", "inputs": { "text": ["8", 0], "clip": ["1", 1] } },
        "8": { "class_type": "RandomWords", "inputs": { "seed": 11 } },
        "4": { "class_type": "EmptyLatentImage", "inputs": { "width": 64, "height": 64, "batch_size": 1 } },
        "5": sampler(22, "4"),
        "6": { "class_type": "VAEDecode", "inputs": { "samples": ["5", 0], "vae": ["1", 2] } },
        "7": { "class_type": "SaveImage", "inputs": { "images": ["6", 0], "filename_prefix": "a" } },
    });
    home.write("seeds.json", &prompt.to_string());
    home.mmf(["import", "seeds.json"]).run().await.exits(0);
    let built = home
        .mmf(["run", "seeds", "--SEED", "33", "--workflow"])
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(built["5"]["inputs"]["seed"], 33, "{built:#}");
    assert_eq!(built["8"]["inputs"]["seed"], 11, "{built:#}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_with_the_one_that_may_be_meant() {
    let home = Home::new();
    home.write("fox.json", &prompt().to_string());
    for (named, like) in [
        ("fix.json", "did you mean fox.json?"),
        ("./fix.json", "./fox.json"),
    ] {
        let ran = home.mmf(["import", named]).run().await.exits(6);
        let said = &ran.stderr;
        assert!(
            said.contains(&format!("there is no file {named}")),
            "{said}"
        );
        assert!(said.contains(like), "{said}");
    }
    let ran = home.mmf(["import", "none/fix.jsn"]).run().await.exits(6);
    assert!(
        ran.stderr.contains("there is no folder none"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_graph_of_another_version_is_imported_only_as_it_is() {
    let home = Home::new();
    let mut shifted = graph("EmptyImage");
    shifted["nodes"][0]["widgets_values"] = json!([8, "euler", 1, 0]);
    home.write("old.json", &shifted.to_string());
    let ran = home.mmf(["import", "old.json"]).run().await.exits(3);
    assert!(ran.stderr.contains("add --as-is"), "{}", ran.stderr);
    let ran = home
        .mmf(["import", "old.json", "--as-is"])
        .run()
        .await
        .exits(0);
    assert!(
        ran.stderr.contains("\"height\" would get \"euler\""),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn an_agent_is_told_of_a_graph_of_another_version_and_may_have_it_as_it_is() {
    let home = Home::new();
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let mut shifted = graph("EmptyImage");
    shifted["nodes"][0]["widgets_values"] = json!([8, "euler", 1, 0]);
    let mut given = json!({ "from": shifted });
    let refused = client.call_fails("import_workflow", given.clone()).await;
    let hint = refused["hint"].as_str().unwrap();
    assert!(hint.contains("as_is: true"), "{refused:#}");
    given["as_is"] = true.into();
    let made = client.call("import_workflow", given).await;
    let note = made["notes"][0].as_str().unwrap();
    assert!(note.contains("\"height\" would get \"euler\""), "{made:#}");
}
