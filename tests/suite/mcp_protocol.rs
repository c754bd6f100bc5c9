//! What a client sees of the server before any job: the greeting, the tools, the answers to
//! calls that make no sense.

use serde_json::{Value, json};

use crate::support::mcp::{McpClient, initialize};
use crate::support::mmf::{Home, NOWHERE};

/// What an agent pays for all tools before it has done anything, in bytes of name, description and
/// input schema. The original's 48 tools took 18,514.
const BUDGET: usize = 14_000;

#[tokio::test]
async fn the_greeting_says_who_it_is_and_how_to_begin() {
    let home = Home::new();
    let mut client = McpClient::connect(home.mmf(["serve"]));
    let mut info = client.request("initialize", initialize()).await["result"].take();
    let version = info["serverInfo"]
        .as_object_mut()
        .unwrap()
        .remove("version");
    assert_eq!(version.unwrap(), env!("CARGO_PKG_VERSION"));
    insta::assert_json_snapshot!(info);
}

#[tokio::test]
async fn clients_of_every_earlier_version_are_answered_in_theirs() {
    let home = Home::new();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let mut client = McpClient::connect(home.mmf(["serve"]));
        let mut greeting = initialize();
        greeting["protocolVersion"] = version.into();
        let info = client.request("initialize", greeting).await;
        assert_eq!(info["result"]["protocolVersion"], version);
        client.notify("notifications/initialized", json!({})).await;
        client.call("list_workflow_templates", json!({})).await;
        client.close().await;
    }
}

#[tokio::test]
async fn the_tools_with_their_schemas_fit_the_budget() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let tools = client.request("tools/list", json!({})).await["result"].take();
    let listed = tools["tools"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().len();
    let mut costs: Vec<(usize, &str)> = vec![];
    for tool in listed {
        let schema = &tool["inputSchema"];
        let cost = text(&tool["name"]) + text(&tool["description"]) + schema.to_string().len();
        costs.push((cost, tool["name"].as_str().unwrap()));
        for (name, param) in schema["properties"].as_object().unwrap() {
            let about = param["description"].as_str().unwrap_or_default();
            assert!(
                !about.is_empty(),
                "{}: {name} is not explained",
                tool["name"]
            );
        }
    }
    costs.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
    let sum: usize = costs.iter().map(|(cost, _)| cost).sum();
    assert!(sum <= BUDGET, "{sum} bytes: {costs:?}");
    insta::assert_json_snapshot!(tools);
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_of_the_protocol_that_knows_better() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let answer = client
        .request(
            "tools/call",
            json!({ "name": "execute_workflo", "arguments": {} }),
        )
        .await;
    assert_eq!(
        answer["error"],
        json!({ "code": -32602, "message": "no tool \"execute_workflo\", did you mean \"execute_workflow\"?" })
    );
}

#[tokio::test]
async fn an_unknown_method_is_an_error_of_the_protocol() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let answer = client.request("tools/cal", json!({})).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer:#}");
}

#[tokio::test]
async fn every_wrong_argument_is_named_in_one_answer() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let arguments = json!({ "promptid": "x", "timeout_seconds": "soon" });
    let failure = client.call_fails("wait_for_completion", arguments).await;
    assert_eq!(
        failure,
        json!({
            "error": "INVALID_PARAMS",
            "message": "\"prompt_id\" is required: a string; \"timeout_seconds\" is \"soon\", \
                        allowed is a number from 0 to 86400; no parameter \"promptid\", \
                        did you mean \"prompt_id\"?",
            "hint": "the parameters are prompt_id, timeout_seconds",
            "fields": ["prompt_id", "timeout_seconds", "promptid"],
        })
    );
}

#[tokio::test]
async fn wrong_parameters_of_a_template_are_named_too() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let params = json!({ "PROMPT": "x", "WIDHT": 512, "SEED": -1 });
    let arguments = json!({ "name": "sd3_txt2img", "params": params });
    let failure = client
        .call_fails("create_workflow_from_template", arguments)
        .await;
    assert_eq!(failure["error"], "INVALID_PARAMS");
    assert_eq!(failure["fields"], json!(["SEED", "WIDHT"]));
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("did you mean \"WIDTH\"?"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_job_or_asset_that_is_not_there_is_said_to_be_missing() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let arguments = json!({ "asset_id": "019a0000-0000-7000-8000-000000000000" });
    let failure = client.call_fails("get_asset_metadata", arguments).await;
    assert_eq!(
        failure["error"], "ASSET_NOT_FOUND_OR_EXPIRED",
        "{failure:#}"
    );
    let failure = client
        .call_fails("get_template", json!({ "name": "sd3_txt2im" }))
        .await;
    assert_eq!(failure["error"], "NOT_FOUND", "{failure:#}");
    assert!(
        failure["message"].as_str().unwrap().contains("sd3_txt2img"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_large_workflow_goes_through_a_single_line() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let node = |n: u32| {
        let text = format!("{n} {}", "é\n\"".repeat(500));
        (
            n.to_string(),
            json!({ "class_type": "CLIPTextEncode", "inputs": { "text": text } }),
        )
    };
    let workflow: serde_json::Map<String, Value> = (1..=1000).map(node).collect();
    let failure = client
        .call_fails("execute_workflow", json!({ "workflow": workflow }))
        .await;
    assert_eq!(failure["error"], "CONNECTION_ERROR", "{failure:#}");
}

#[tokio::test]
async fn a_line_that_is_no_message_is_answered_and_the_next_one_too() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    for (line, code, id) in [
        ("{\"jsonrpc\": \"2.0\", ", -32700, Value::Null),
        ("hello", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        ("{\"id\": 7}", -32600, Value::Null),
        ("{\"id\": 7, \"method\": \"ping\"}", -32600, json!(7)),
    ] {
        client.write_line(line).await;
        let answer = client.until(|message| message.get("error").is_some());
        let answer = answer.await;
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{line}: {answer}"
        );
    }
    // Nobody waits for an answer to these.
    client.write_line("").await;
    client
        .write_line("{\"jsonrpc\": \"1.0\", \"id\": 0, \"result\": 1}")
        .await;
    client.notify("notifications/unheard_of", json!({})).await;
    let listed = client.request("tools/list", json!({})).await;
    assert!(listed["result"]["tools"].is_array(), "{listed:#}");
    assert!(client.unread().is_empty());
}

#[tokio::test]
async fn parameters_of_another_shape_are_told_from_an_unknown_method() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    for (method, params, wrong) in [
        ("tools/call", json!({}), "missing field `name`"),
        (
            "tools/call",
            json!({ "name": "list_assets", "arguments": [1] }),
            "expected a map",
        ),
        ("resources/read", json!({ "uri": 5 }), "expected a string"),
        (
            "prompts/get",
            json!({ "title": "x" }),
            "missing field `name`",
        ),
    ] {
        let answer = client.request(method, params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer:#}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with(method) && message.contains(wrong),
            "{message}"
        );
    }
}
