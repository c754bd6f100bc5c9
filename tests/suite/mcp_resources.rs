//! Resources are scripts: listed page by page, read by their address, and watched.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim, sim_with_steps};

const NOTE: &str = ".mmf/scripts/resources/note.rhai";

/// A resource at one address.
fn note(text: &str) -> String {
    format!(
        "title(\"Note\"); about(\"A note.\");\n\
         meta(#{{ uri: \"test://note\", mime_type: \"text/plain\" }});\n\
         fn read(p) {{ \"{text}\" }}\n"
    )
}

async fn read(client: &mut McpClient, uri: &str) -> Value {
    client
        .request("resources/read", json!({ "uri": uri }))
        .await
}

/// All resources, page by page, and how many pages they took.
async fn list(client: &mut McpClient) -> (Vec<Value>, usize) {
    let (mut resources, mut pages, mut params) = (vec![], 0, json!({}));
    loop {
        let page = client.request("resources/list", params).await["result"].take();
        resources.extend(page["resources"].as_array().unwrap().clone());
        pages += 1;
        if page["nextCursor"].is_null() {
            return (resources, pages);
        }
        params = json!({ "cursor": page["nextCursor"] });
    }
}

#[tokio::test]
async fn what_a_script_reads_is_text_json_or_bytes() {
    let home = Home::new();
    let things = r#"
        title("Things"); about("Things by name.");
        meta(#{ uri: "test://things/{name}" });
        param("name", "string", #{});
        fn read(p) {
            switch p.name {
                "text" => "just text",
                "json" => #{ list: [1, 2] },
                "bytes" => blob(3, 65),
                "two" => reply().text("first").resource("test://other", "second", "text/markdown"),
                _ => throw #{ code: "NOT_FOUND", message: "no such thing" },
            }
        }"#;
    home.write(".mmf/scripts/resources/things.rhai", things);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let mut contents = async |name: &str| {
        let uri = format!("test://things/{name}");
        let mut read = read(&mut client, &uri).await;
        assert_eq!(read["error"], Value::Null);
        read["result"]["contents"].take()
    };
    assert_eq!(
        contents("text").await,
        json!([{ "uri": "test://things/text", "mimeType": "text/plain", "text": "just text" }])
    );
    assert_eq!(
        contents("json").await,
        json!([{ "uri": "test://things/json", "mimeType": "application/json", "text": "{\"list\":[1,2]}" }])
    );
    assert_eq!(
        contents("bytes").await,
        json!([{ "uri": "test://things/bytes", "mimeType": "application/octet-stream", "blob": "QUFB" }])
    );
    assert_eq!(
        contents("two").await,
        json!([
            { "uri": "test://things/two", "mimeType": "text/plain", "text": "first" },
            { "uri": "test://other", "mimeType": "text/markdown", "text": "second" },
        ])
    );
    for missing in ["test://things/none", "test://nothing"] {
        let error = &read(&mut client, missing).await["error"];
        assert_eq!(error["code"], -32002, "{error:#}");
    }
}

#[tokio::test]
async fn many_resources_come_in_pages_that_are_made_on_demand() {
    let home = Home::new();
    let numbers = r#"
        title("Numbers"); about("Two hundred and fifty numbers.");
        meta(#{ uri: "test://numbers/{n}" });
        param("n", "int", #{});
        fn read(p) { p.n + 1 }
        fn list(after) {
            let from = after ?? 0;
            if from == 200 { return #{ items: entries(200, 250), next: () } }
            #{ items: entries(from, from + 40), next: from + 40 }
        }
        fn entries(from, to) {
            let all = [];
            for n in from..to { all.push(#{ n: n, title: `Number ${n}` }) }
            all
        }"#;
    home.write(".mmf/scripts/resources/numbers.rhai", numbers);
    home.write(NOTE, &note("hello"));
    let mut client = McpClient::start(&home, NOWHERE).await;
    let (resources, pages) = list(&mut client).await;
    let uris: Vec<&str> = resources
        .iter()
        .map(|resource| resource["uri"].as_str().unwrap())
        .collect();
    let numbers: Vec<&&str> = uris
        .iter()
        .filter(|uri| uri.starts_with("test://numbers/"))
        .collect();
    let different: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(
        (numbers.len(), different.len()),
        (250, 250),
        "each is listed once"
    );
    assert!(uris.contains(&"test://note"), "{uris:?}");
    assert!(pages >= 3, "{pages} pages");
    assert_eq!(
        read(&mut client, "test://numbers/41").await["result"]["contents"][0]["text"],
        "42",
        "a variable has the type that is declared"
    );
}

#[tokio::test]
async fn a_list_ends_though_a_script_says_for_ever_that_more_follows() {
    let home = Home::new();
    let endless = r#"
        title("Endless"); about("Promises more.");
        meta(#{ uri: "test://endless/{n}" });
        param("n", "int", #{});
        fn read(p) { p.n }
        fn list(after) { #{ items: [], next: (after ?? 0) + 1 } }"#;
    home.write(".mmf/scripts/resources/endless.rhai", endless);
    let mut client = McpClient::start(&home, NOWHERE).await;
    let (resources, pages) = list(&mut client).await;
    assert!(pages < 10, "as many as the others have: {pages}");
    assert!(resources.iter().any(|it| it["uri"] == "mmf://queue"));
}

#[tokio::test]
async fn an_asset_that_comes_or_goes_changes_the_list_after_what_is_few() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    client.wait(&prompt_id).await;
    client
        .notification("notifications/resources/list_changed")
        .await;
    let (resources, _) = list(&mut client).await;
    let place = |begin: &str| {
        let starts = |it: &Value| it["uri"].as_str().unwrap().starts_with(begin);
        resources.iter().position(starts).unwrap()
    };
    assert!(place("mmf://assets/") > place("mmf://queue"));
    assert!(place("mmf://assets/") > place("mmf://templates/"));
}

#[tokio::test]
async fn a_client_may_be_subscribed_to_so_many_and_no_more() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let uri = |n: u32| json!({ "uri": format!("mmf://assets/{n}") });
    for n in 1..=64 {
        let subscribed = client.request("resources/subscribe", uri(n)).await;
        assert_eq!(subscribed["result"], json!({}), "{subscribed:#}");
    }
    let refused = client.request("resources/subscribe", uri(65)).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused:#}");
    client.request("resources/unsubscribe", uri(1)).await;
    let subscribed = client.request("resources/subscribe", uri(65)).await;
    assert_eq!(subscribed["result"], json!({}), "{subscribed:#}");
}

#[tokio::test]
async fn a_resource_comes_and_goes_with_its_file() {
    let home = Home::new();
    let mut client = McpClient::start(&home, NOWHERE).await;
    let file = home.write(NOTE, &note("hello"));
    client
        .notification("notifications/resources/list_changed")
        .await;
    let (resources, _) = list(&mut client).await;
    let listed = resources.iter().find(|it| it["uri"] == "test://note");
    assert_eq!(
        listed,
        Some(&json!({
            "uri": "test://note", "name": "note", "title": "Note", "description": "A note.",
            "mimeType": "text/plain",
        }))
    );
    std::fs::remove_file(file).unwrap();
    client
        .notification("notifications/resources/list_changed")
        .await;
    assert_eq!(
        read(&mut client, "test://note").await["error"]["code"],
        -32002
    );
}

#[tokio::test]
async fn a_subscriber_hears_when_something_else_stands_there() {
    let home = Home::new();
    home.write(NOTE, &note("hello"));
    let mut client = McpClient::start(&home, NOWHERE).await;
    let uri = json!({ "uri": "test://note" });
    let subscribed = client.request("resources/subscribe", uri.clone()).await;
    assert_eq!(subscribed["result"], json!({}), "{subscribed:#}");
    home.write(NOTE, &note("good day"));
    let updated = client.notification("notifications/resources/updated").await;
    assert_eq!(updated, uri);
    let text = &read(&mut client, "test://note").await["result"]["contents"][0]["text"];
    assert_eq!(text, "good day");

    let elsewhere = json!({ "uri": "test://elsewhere" });
    let refused = client.request("resources/subscribe", elsewhere).await;
    assert_eq!(refused["error"]["code"], -32002, "{refused:#}");
}

#[tokio::test]
async fn what_changes_by_itself_is_watched_for_the_subscriber() {
    let comfy = sim_with_steps(Duration::from_millis(50), &[]).await;
    let home = Home::new();
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let uri = json!({ "uri": "mmf://queue" });
    client.request("resources/subscribe", uri.clone()).await;
    let params = json!({ "PROMPT": "a fox", "STEPS": 150 });
    let (_, prompt_id) = client.queue(params).await;
    let updated = client.notification("notifications/resources/updated").await;
    assert_eq!(updated, uri);
    client
        .call("cancel_job", json!({ "prompt_id": prompt_id }))
        .await;
    client.notification("notifications/resources/updated").await;
    let queue = read(&mut client, "mmf://queue").await["result"]["contents"][0].take();
    assert_eq!(queue["mimeType"], "application/json");
    let queue: Value = serde_json::from_str(queue["text"].as_str().unwrap()).unwrap();
    assert_eq!(queue, json!({ "running": [], "pending": [] }));
    client.request("resources/unsubscribe", uri).await;
}

#[tokio::test]
async fn a_mistake_in_an_address_is_told_where_it_is_written() {
    let home = Home::new();
    let wrong = [
        (
            "no address",
            "about(\"x\"); fn read(p) { 1 }",
            "meta(#{ uri:",
        ),
        (
            "no parameter",
            "about(\"x\"); meta(#{ uri: \"a://{b}\" }); fn read(p) { 1 }",
            "param(\"b\", \"string\")",
        ),
        (
            "no place",
            "about(\"x\"); meta(#{ uri: \"a://b\" }); param(\"c\", \"int\"); fn read(p) { 1 }",
            "c has no place",
        ),
        (
            "no entry",
            "about(\"x\"); meta(#{ uri: \"a://b\" });",
            "fn read(p)",
        ),
    ];
    for (what, text, told) in wrong {
        home.write(NOTE, text);
        let listed = home.mmf(["script", "list"]).run().await.exits(4);
        assert!(listed.stderr.contains(told), "{what}: {}", listed.stderr);
    }
}

#[tokio::test]
async fn everything_that_is_shipped_can_be_read() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    let done = client.wait(&prompt_id).await;
    let asset = done["outputs"][0]["asset_id"].as_str().unwrap();

    let (resources, _) = list(&mut client).await;
    let uris: BTreeSet<&str> = resources
        .iter()
        .map(|resource| resource["uri"].as_str().unwrap())
        .collect();
    let picture = format!("mmf://assets/{asset}");
    for uri in [
        "mmf://templates/sd3_txt2img",
        "mmf://scripts/tool/execute_workflow",
        "mmf://queue",
        &picture,
    ] {
        assert!(uris.contains(uri), "{uri} is not listed: {uris:#?}");
    }

    let listed = client.request("resources/templates/list", json!({})).await;
    let templates = listed["result"]["resourceTemplates"].as_array().unwrap();
    let templates: BTreeSet<&str> = templates
        .iter()
        .map(|template| template["uriTemplate"].as_str().unwrap())
        .collect();
    assert_eq!(
        templates,
        BTreeSet::from([
            "mmf://assets/{asset_id}",
            "mmf://models/{folder}",
            "mmf://nodes/{class}",
            "mmf://scripts/{kind}/{name}",
            "mmf://templates/{name}",
        ])
    );

    let mut text = async |uri: &str| {
        let read = read(&mut client, uri).await;
        let text = read["result"]["contents"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{uri}: {read:#}")).to_owned()
    };
    assert!(
        text("mmf://templates/sd3_txt2img")
            .await
            .contains("\"PROMPT\"")
    );
    let source = text("mmf://scripts/tool/execute_workflow").await;
    assert!(source.contains("comfy::submit"), "{source}");
    assert!(text("mmf://nodes/KSampler").await.contains("\"cfg\""));
    assert!(
        text("mmf://models/checkpoints")
            .await
            .contains(".safetensors")
    );

    let read = read(&mut client, &picture).await["result"]["contents"][0].take();
    assert_eq!(
        (&read["uri"], &read["mimeType"]),
        (&json!(picture), &json!("image/png"))
    );
    assert!(read["blob"].as_str().unwrap().starts_with("iVBORw0KGgo"));

    let gone = client
        .request("resources/read", json!({ "uri": "mmf://assets/gone" }))
        .await;
    assert_eq!(gone["error"]["code"], -32002, "{gone:#}");
    assert_eq!(gone["error"]["data"]["error"], "ASSET_NOT_FOUND_OR_EXPIRED");
}
