//! The lifecycle of 2026-07-28, without a greeting, spoken by rmcp's own client.

use rmcp::model::{CallToolRequestParams, ProtocolVersion, SubscriptionFilter};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::{RoleClient, ServiceError};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::mmf::{Home, Mmf, PATIENCE, sim};

type Client = RunningService<RoleClient, ()>;

async fn discover(serve: Mmf) -> Client {
    let transport = TokioChildProcess::new(serve.into_command()).unwrap();
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let client = ().serve_with_lifecycle(
        transport,
        ClientLifecycleMode::Discover { preferred_versions },
    );
    timeout(PATIENCE, client).await.expect("an answer").unwrap()
}

async fn call(
    client: &Client,
    tool: &str,
    arguments: Value,
) -> Result<(bool, Value), ServiceError> {
    let mut request = CallToolRequestParams::new(tool.to_owned());
    request.arguments = arguments.as_object().cloned();
    let result = timeout(PATIENCE, client.call_tool(request))
        .await
        .expect("an answer")?;
    Ok((
        result.is_error.unwrap_or(false),
        result.structured_content.unwrap(),
    ))
}

#[tokio::test]
async fn a_client_without_a_greeting_gets_its_picture() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let client = discover(home.mmf(["serve"]).server(&comfy.url())).await;
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "wait_for_completion"));

    let params = json!({ "PROMPT": "a fox", "STEPS": 2 });
    let arguments = json!({ "name": "sd3_txt2img", "params": params });
    let (_, built) = call(&client, "create_workflow_from_template", arguments)
        .await
        .unwrap();
    let (_, queued) = call(&client, "execute_workflow", json!({ "workflow": built }))
        .await
        .unwrap();
    let arguments = json!({ "prompt_id": queued["prompt_id"] });
    let (failed, done) = call(&client, "wait_for_completion", arguments)
        .await
        .unwrap();
    assert!(!failed && done["status"] == "completed", "{done:#}");

    let (failed, refused) = call(&client, "wait_for_completion", json!({}))
        .await
        .unwrap();
    assert!(
        failed && refused["fields"] == json!(["prompt_id"]),
        "{refused:#}"
    );
    let unknown = call(&client, "wait_for_completio", json!({}))
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("-32602"), "{unknown}");
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_hears_that_the_tools_changed() {
    let home = Home::new();
    let client = discover(home.mmf(["serve"])).await;
    let filter = SubscriptionFilter::builder()
        .tools_list_changed()
        .prompts_list_changed()
        .build();
    let mut subscription = client.listen(filter).await.unwrap();
    let accepted = subscription.acknowledged();
    assert_eq!(
        (accepted.tools_list_changed, accepted.prompts_list_changed),
        (Some(true), Some(true)),
        "{accepted:?}"
    );
    for text in [
        "title(\"One\"); about(\"1\"); fn run(p) { 1 }",
        "title(\"Two\"); about(\"2\"); fn run(p) { 2 }",
    ] {
        home.write(".mmf/scripts/tools/one.rhai", text);
        let heard = timeout(PATIENCE, subscription.next())
            .await
            .expect("a word")
            .unwrap();
        let heard = serde_json::to_value(heard.expect("the subscription goes on")).unwrap();
        assert_eq!(heard["method"], "notifications/tools/list_changed");
    }
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_hears_that_a_resource_changed() {
    let home = Home::new();
    let file = ".mmf/scripts/resources/note.rhai";
    let note = |text: &str| {
        let meta = "about(\"A note.\"); meta(#{ uri: \"test://note\" });";
        format!("{meta} fn read(p) {{ \"{text}\" }}")
    };
    home.write(file, &note("hello"));
    let client = discover(home.mmf(["serve"])).await;
    let filter = SubscriptionFilter::builder()
        .resource_subscriptions(["test://note", "test://elsewhere"])
        .build();
    let mut subscription = client.listen(filter).await.unwrap();
    let accepted = subscription.acknowledged().resource_subscriptions.clone();
    assert_eq!(accepted, Some(vec!["test://note".to_owned()]));
    home.write(file, &note("good day"));
    let heard = timeout(PATIENCE, subscription.next())
        .await
        .expect("a word")
        .unwrap();
    let heard = serde_json::to_value(heard.expect("the subscription goes on")).unwrap();
    assert_eq!(heard["method"], "notifications/resources/updated");
    assert_eq!(heard["params"]["uri"], "test://note");
    client.cancel().await.unwrap();
}
