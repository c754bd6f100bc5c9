//! Which tools are offered, and those whose arguments a schema describes.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE};

async fn offered(client: &mut McpClient) -> Vec<String> {
    let listed = client.request("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn only_the_tools_that_were_chosen_are_offered_and_called() {
    let home = Home::new();
    let serve = home.mmf(["serve", "--tools", "publishing,list_workflow_templats"]);
    let refused = serve.run().await.exits(3);
    assert!(
        refused.stderr.contains("list_workflow_templates"),
        "{}",
        refused.stderr
    );
    let serve = home.mmf(["serve", "--tools", "publishing, list_assets"]);
    let mut client = McpClient::greet(serve.server(NOWHERE)).await;
    assert_eq!(
        offered(&mut client).await,
        [
            "get_publish_info",
            "list_assets",
            "publish_asset",
            "set_publish_dir"
        ]
    );
    assert_eq!(client.call("list_assets", json!({})).await["count"], 0);
    let params = json!({ "name": "get_queue_status", "arguments": {} });
    let refused = client.request("tools/call", params).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}

#[tokio::test]
async fn the_settings_choose_and_the_command_line_chooses_again() {
    let home = Home::new();
    home.write(".mmf/config.toml", "[mcp]\ntools = [\"list_assets\"]\n");
    let mut client = McpClient::greet(home.mmf(["serve"])).await;
    assert_eq!(offered(&mut client).await, ["list_assets"]);
    let serve = home.mmf(["serve", "--tools", "cancel_job"]);
    let mut client = McpClient::greet(serve).await;
    assert_eq!(offered(&mut client).await, ["cancel_job"]);
}

const SHOTS: &str = r##"
about("Counts shots.");
input_schema(#{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: #{ shots: #{ type: "array", items: #{ "$ref": "#/$defs/shot" } } },
    required: ["shots"],
    additionalProperties: false,
    "$defs": #{ shot: #{ type: "object", properties: #{ steps: #{ type: "integer" } } } },
});
fn run(p) { #{ count: p.shots.len(), first: p.shots[0].steps } }
"##;

#[tokio::test]
async fn a_schema_is_shown_as_it_was_written_and_arguments_are_held_against_it() {
    let home = Home::new();
    home.write(".mmf/scripts/tools/shots.rhai", SHOTS);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let listed = client.request("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["name"] == "shots").unwrap();
    let schema = &tool["inputSchema"];
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(
        schema["$defs"]["shot"]["properties"]["steps"]["type"],
        "integer"
    );
    assert_eq!(schema["additionalProperties"], false);

    let counted = client
        .call("shots", json!({ "shots": [{ "steps": 5 }, {}] }))
        .await;
    assert_eq!(counted, json!({ "count": 2, "first": 5 }));
    let wrong = json!({ "shots": [{ "steps": "many" }, 1], "short": 1 });
    let failure = client.call_fails("shots", wrong).await;
    assert_eq!(failure["error"], "INVALID_PARAMS", "{failure:#}");
    let mut fields: Vec<&str> = failure["fields"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["short", "shots/0/steps", "shots/1"]);
}

#[tokio::test]
async fn a_schema_that_is_wrong_is_shown_at_its_place() {
    let home = Home::new();
    let text = SHOTS.replace("\"array\"", "\"list\"");
    home.write(".mmf/scripts/tools/shots.rhai", &text);
    let listed = home.mmf(["script", "list", "--json"]).run().await;
    let listed = listed.json().to_string();
    assert!(listed.contains("/properties/shots/type"), "{listed}");
    assert!(listed.contains("shots.rhai:3:1"), "{listed}");
}
