//! What scripts show beside their value reaches the client as the protocol has it.

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE};

/// What a tool with this body answers.
async fn answer(body: &str) -> Value {
    let home = Home::new();
    write(&home, body);
    let mut client = McpClient::start(&home, NOWHERE).await;
    client.call_raw("show", json!({})).await
}

fn write(home: &Home, body: &str) {
    let text = format!("title(\"Show\"); about(\"Shows.\");\nfn run(p) {{ {body} }}\n");
    home.write(".mmf/scripts/tools/show.rhai", &text);
}

#[tokio::test]
async fn every_kind_of_content_arrives_in_its_order() {
    let body = r#"
        reply()
            .text("Look:")
            .image("aGk=", "image/png")
            .audio(blob(3, 65), "audio/wav")
            .link("mmf://assets/7f", #{ mime_type: "image/png", size: 12, title: "A fox" })
            .resource("mmf://notes/1", "as text", "text/plain")
            .resource("mmf://notes/2", blob(3, 65), "application/octet-stream")"#;
    let answer = answer(body).await;
    assert_eq!(
        answer["content"],
        json!([
            { "type": "text", "text": "Look:" },
            { "type": "image", "data": "aGk=", "mimeType": "image/png" },
            { "type": "audio", "data": "QUFB", "mimeType": "audio/wav" },
            {
                "type": "resource_link", "uri": "mmf://assets/7f", "name": "7f", "title": "A fox",
                "mimeType": "image/png", "size": 12,
            },
            { "type": "resource", "resource": {
                "uri": "mmf://notes/1", "mimeType": "text/plain", "text": "as text",
            } },
            { "type": "resource", "resource": {
                "uri": "mmf://notes/2", "mimeType": "application/octet-stream", "blob": "QUFB",
            } },
        ])
    );
    assert_eq!(answer.get("structuredContent"), None, "there is no value");
}

#[tokio::test]
async fn a_value_stands_before_what_is_shown_beside_it() {
    let answer = answer(r#"reply(#{ width: 64 }).image("aGk=", "image/png")"#).await;
    assert_eq!(answer["structuredContent"], json!({ "width": 64 }));
    assert_eq!(answer["content"][0]["text"], r#"{"width":64}"#);
    assert_eq!(answer["content"][1]["type"], "image");
}

#[tokio::test]
async fn text_of_the_script_takes_the_place_of_json() {
    let answer = answer(r#"reply(#{ width: 64 }).text("64 pixels wide")"#).await;
    assert_eq!(answer["structuredContent"], json!({ "width": 64 }));
    assert_eq!(
        answer["content"],
        json!([{ "type": "text", "text": "64 pixels wide" }])
    );
}

#[tokio::test]
async fn what_is_no_object_is_text_alone() {
    let answer = answer("[1, 2]").await;
    assert_eq!(answer["content"][0]["text"], "[1,2]");
    assert_eq!(answer.get("structuredContent"), None);
}

#[tokio::test]
async fn a_script_can_go_on_with_what_another_one_shows() {
    let home = Home::new();
    write(&home, r#"reply(1).image("aGk=", "image/png")"#);
    let outer = r#"title("Outer"); about("Runs show.");
        fn run(p) { scripts::run("show", #{}).text("and this") }"#;
    home.write(".mmf/scripts/tools/outer.rhai", outer);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let answer = client.call_raw("outer", json!({})).await;
    assert_eq!(
        answer["content"],
        json!([
            { "type": "image", "data": "aGk=", "mimeType": "image/png" },
            { "type": "text", "text": "and this" },
        ])
    );
}

#[tokio::test]
async fn a_picture_that_is_no_base64_is_a_mistake_with_its_place() {
    let answer = answer("reply().image(\"no picture\", \"image/png\")").await;
    assert_eq!(answer["isError"], true, "{answer:#}");
    let failure = &answer["structuredContent"];
    assert!(
        failure["message"].as_str().unwrap().contains("not base64")
            && failure["frame"].as_str().unwrap().contains("show.rhai:2:"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_shell_gets_the_value_and_hears_of_the_rest() {
    let home = Home::new();
    write(&home, r#"reply(#{ width: 64 }).image("aGk=", "image/png")"#);
    let ran = home.mmf(["call", "show"]).run().await.exits(0);
    assert_eq!(ran.json(), json!({ "width": 64 }));
    assert!(ran.stderr.contains("image/png, 2 bytes"), "{}", ran.stderr);

    write(&home, r#"reply().text("just words")"#);
    let ran = home.mmf(["run", "show"]).run().await.exits(0);
    assert_eq!(ran.stdout, "just words\n");
}
