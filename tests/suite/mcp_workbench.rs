//! An agent that writes scripts of its own: it checks them, runs them, and saves them where the
//! user allows it.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim};

const TWO_SQUARES: &str = r#"title("Two squares");
param("SIZE", "int", #{ value: 64, about: "Pixels across" });

fn run(p) {
    let made = [];
    for colour in [255, 65280] {
        let g = workflow();
        let square = g.node("EmptyImage", #{ width: p.SIZE, height: p.SIZE, batch_size: 1, color: colour });
        g.node("SaveImage", #{ images: square[0], filename_prefix: "square" });
        made += comfy::run(g).outputs[0].asset_id;
    }
    #{ made: made }
}
"#;

const GOOD_TOOL: &str = "title(\"Add\");\nabout(\"Adds two numbers.\");\n\
    param(\"a\", \"int\", #{ value: 1 });\nfn run(p) { p.a + 1 }\n";

async fn saves(home: &Home, arguments: Value) -> Value {
    let mut client = McpClient::start(home, NOWHERE).await;
    client.call("save_script", arguments).await
}

async fn refuses(home: &Home, arguments: Value) -> Value {
    let mut client = McpClient::start(home, NOWHERE).await;
    client.call_fails("save_script", arguments).await
}

#[tokio::test]
async fn a_mistake_is_shown_with_line_and_caret_before_anything_runs() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let source = TWO_SQUARES
        .replace("comfy::run", "comfy::rum")
        .replace("height: p.SIZE", "height: p.SIZZE");
    let checked = client
        .call("check_script", json!({ "source": source }))
        .await;
    assert_eq!(
        (&checked["ok"], &checked["kind"]),
        (&json!(false), &json!("pipeline"))
    );
    let frames: Vec<&str> = checked["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["frame"].as_str().unwrap())
        .collect();
    insta::assert_snapshot!(frames.join("\n"));
    let queue = client.call("get_queue_status", json!({})).await;
    assert_eq!(
        (&queue["running"], &queue["pending"]),
        (&json!(0), &json!(0))
    );

    let checked = client
        .call("check_script", json!({ "source": TWO_SQUARES }))
        .await;
    assert_eq!(
        checked,
        json!({ "ok": true, "kind": "pipeline", "problems": [], "params": ["SIZE"] })
    );
}

#[tokio::test]
async fn a_pipeline_runs_from_its_source_and_its_pictures_are_kept() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({ "source": TWO_SQUARES, "params": { "SIZE": 32 } });
    let made = client.call("run_script", arguments).await;
    for asset_id in made["made"].as_array().unwrap() {
        let arguments = json!({ "asset_id": asset_id, "include_workflow": false });
        let asset = client.call("get_asset_metadata", arguments).await;
        assert_eq!(
            (&asset["width"], &asset["height"]),
            (&json!(32), &json!(32))
        );
    }
}

#[tokio::test]
async fn a_template_runs_to_its_pictures_in_one_call() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let params = json!({ "PROMPT": "a fox", "WIDTH": 64, "HEIGHT": 64, "STEPS": 2 });
    let done = client
        .call(
            "run_script",
            json!({ "name": "sd3_txt2img", "params": params }),
        )
        .await;
    assert_eq!(done["status"], "completed", "{done:#}");
    let asset_id = &done["outputs"][0]["asset_id"];
    let asset = client
        .call("get_asset_metadata", json!({ "asset_id": asset_id }))
        .await;
    assert_eq!(asset["provenance"]["script"]["name"], "sd3_txt2img");
    assert_eq!(asset["provenance"]["parameters"]["PROMPT"], "a fox");
}

#[tokio::test]
async fn a_script_is_saved_only_where_the_users_own_settings_allow_it() {
    let arguments = json!({ "name": "add", "source": GOOD_TOOL, "kind": "tool" });
    let home = Home::new();
    let refused = refuses(&home, arguments.clone()).await;
    assert_eq!(refused["error"], "NOT_ALLOWED", "{refused:#}");
    assert!(refused["hint"].as_str().unwrap().contains("allow_save"));

    home.write(".mmf/config.toml", "[scripts]\nallow_save = true\n");
    let refused = refuses(&home, arguments.clone()).await;
    assert_eq!(refused["error"], "NOT_ALLOWED", "a project can't allow it");

    let home = Home::new();
    home.settings("[scripts]\nallow_save = true\n");
    let saved = saves(&home, arguments).await;
    let path = saved["path"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), GOOD_TOOL);
}

#[tokio::test]
async fn a_saved_tool_can_be_called_at_once_and_a_broken_one_is_never_saved() {
    let home = Home::new();
    home.settings("[scripts]\nallow_save = true\n");
    let mut client = McpClient::start(&home, NOWHERE).await;
    let save = |source: &str, overwrite: bool| json!({ "name": "add", "source": source, "kind": "tool", "overwrite": overwrite });
    client.call("save_script", save(GOOD_TOOL, false)).await;
    let answer = client.call_raw("add", json!({ "a": 41 })).await;
    assert_eq!(answer["content"][0]["text"], "42", "{answer:#}");

    let again = client
        .call_fails("save_script", save(GOOD_TOOL, false))
        .await;
    assert_eq!(again["error"], "INVALID_PARAMS", "{again:#}");
    let broken = GOOD_TOOL.replace("p.a + 1", "p.b + 1");
    let refused = client.call_fails("save_script", save(&broken, true)).await;
    assert_eq!(refused["error"], "SCRIPT_ERROR", "{refused:#}");
    assert!(refused["frame"].as_str().unwrap().contains('^'));
    let answer = client.call_raw("add", json!({ "a": 41 })).await;
    assert_eq!(
        answer["content"][0]["text"], "42",
        "the good one is still there"
    );

    let listed = client
        .call(
            "list_scripts",
            json!({ "kind": "tool", "filter": "add", "limit": 1 }),
        )
        .await;
    assert_eq!((&listed["count"], &listed["total"]), (&json!(1), &json!(1)));
    let found = &listed["scripts"][0];
    assert_eq!(
        (&found["name"], &found["title"]),
        (&json!("add"), &json!("Add"))
    );
    assert!(
        found["path"].is_string(),
        "one's own script can be opened: {found}"
    );
}

#[tokio::test]
async fn a_script_takes_the_place_of_a_built_in_one_only_when_asked_and_breaks_no_other() {
    let home = Home::new();
    home.settings("[scripts]\nallow_save = true\n");
    let tool = |overwrite: bool| json!({ "name": "list_loras", "source": GOOD_TOOL, "kind": "tool", "overwrite": overwrite });
    let refused = refuses(&home, tool(false)).await;
    assert_eq!(refused["error"], "INVALID_PARAMS", "{refused:#}");
    assert!(
        refused["message"].as_str().unwrap().contains("list_loras"),
        "{refused:#}"
    );
    saves(&home, tool(true)).await;

    let library = json!({ "name": "save", "source": "fn clip(g, video, prefix) { g }", "kind": "lib", "overwrite": true });
    let refused = refuses(&home, library).await;
    assert_eq!(refused["error"], "INVALID_PARAMS", "{refused:#}");
    let problems = refused["problems"].as_array().unwrap();
    assert!(
        problems
            .iter()
            .all(|problem| problem.as_str().unwrap().contains("no function save::")),
        "{refused:#}"
    );
}
