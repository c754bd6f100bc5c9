//! Things that go on beside each other in a script, and things that are done again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, PATIENCE, sim, sim_with_steps};

const THREE: &str = r#"
about("Paints three pictures beside each other.");
meta(#{ long: true });
import "shades" as shades;
const STEPS = 30;
fn paint(seed) {
    let workflow = templates::build("sd3_txt2img", #{
        PROMPT: shades::of(seed), STEPS: global::STEPS, WIDTH: 64, HEIGHT: 64, SEED: seed,
    });
    comfy::run(workflow).outputs[0].asset_id
}
fn run(p) {
    let drawn = random_seed();
    let made = parallel([|| paint(1), || paint(2), || paint(drawn)]);
    #{ made: made, drawn: drawn }
}
"#;

const SHADES: &str = "fn of(seed) { `a fox, shade ${seed}` }";

fn home() -> Home {
    let home = Home::new();
    home.write(".mmf/config.toml", "[mcp]\ncall_limit_seconds = 0.2\n");
    home.write(".mmf/scripts/tools/three.rhai", THREE);
    home.write(".mmf/scripts/lib/shades.rhai", SHADES);
    home
}

async fn seeds(client: &mut McpClient, made: &Value) -> Vec<Value> {
    let mut seeds = vec![];
    for asset_id in made.as_array().unwrap() {
        let asset = client
            .call("get_asset_metadata", json!({ "asset_id": asset_id }))
            .await;
        seeds.push(asset["provenance"]["parameters"]["SEED"].clone());
    }
    seeds
}

#[tokio::test]
async fn branches_that_were_cut_off_go_on_and_keep_their_order_and_their_chance() {
    let home = home();
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("three", json!({})).await;
    let arguments = json!({ "prompt_id": handle["run_id"] });
    let queued = async {
        loop {
            let status = client.call("get_workflow_status", arguments.clone()).await;
            if status["prompt_ids"]
                .as_array()
                .is_some_and(|ids| ids.len() == 3)
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, queued).await.unwrap();
    client.kill().await;

    let mut next = McpClient::start(&home, &comfy.url()).await;
    let done = loop {
        let waited = next.call("wait_for_completion", arguments.clone()).await;
        if waited["status"] != "working" {
            break waited;
        }
    };
    assert_eq!(
        seeds(&mut next, &done["made"]).await,
        [json!(1), json!(2), done["drawn"].clone()]
    );
    let assets = next.call("list_assets", json!({})).await;
    assert_eq!(assets["count"], 3, "nothing twice: {assets:#}");
}

#[tokio::test]
async fn a_branch_that_fails_lets_the_others_end_and_is_then_told() {
    let home = home();
    home.write(
        ".mmf/scripts/tools/one_fails.rhai",
        r#"about("x");
        fn run(p) {
            parallel([
                || { throw #{ code: "FIRST", message: "the first" } },
                || comfy::run(templates::build("sd3_txt2img", #{ PROMPT: "a", STEPS: 1 })),
            ])
        }"#,
    );
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let failure = client.call_fails("one_fails", json!({})).await;
    assert_eq!(failure["error"], "FIRST", "{failure:#}");
    let assets = client.call("list_assets", json!({})).await;
    assert_eq!(assets["count"], 1, "{assets:#}");
}

#[tokio::test]
async fn parallel_within_parallel_is_bounded_and_keeps_its_order() {
    let home = home();
    home.write(
        ".mmf/scripts/tools/nested.rhai",
        r#"about("x");
        fn cell(n, i) { || n * 10 + i }
        fn row(n) { || wide(n) }
        fn wide(n) {
            let work = [];
            for i in 0..6 { work.push(cell(n, i)); }
            parallel(work)
        }
        fn deep(n) { if n == 0 { 0 } else { parallel([|| deep(n - 1)])[0] + 1 } }
        fn run(p) {
            let work = [];
            for n in 0..6 { work.push(row(n)); }
            #{ wide: parallel(work), deep: deep(4), deeper: told(5) }
        }
        fn told(n) { try { return deep(n); } catch (e) { return e.code; } }"#,
    );
    let comfy = sim(&[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let told = client.call("nested", json!({})).await;
    for (n, row) in told["wide"].as_array().unwrap().iter().enumerate() {
        let expected: Vec<usize> = (0..6).map(|i| n * 10 + i).collect();
        assert_eq!(*row, json!(expected));
    }
    assert_eq!(told["deep"], 4);
    assert_eq!(told["deeper"], "LIMIT_EXCEEDED", "{told:#}");
}

#[tokio::test]
async fn what_fails_in_passing_is_done_again_and_what_fails_otherwise_is_not() {
    let home = home();
    home.write(
        ".mmf/scripts/tools/again.rhai",
        r#"about("x");
        param("codes", "array", #{ value: [] });
        fn run(p) {
            let workflow = templates::build("sd3_txt2img", #{ PROMPT: "a", STEPS: 1 });
            retry(#{ times: 2, codes: p.codes }, || comfy::run(workflow)).status
        }"#,
    );
    let comfy = sim(&["oom@KSampler*1"]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let failure = client.call_fails("again", json!({})).await;
    assert_eq!(failure["error"], "OUT_OF_MEMORY", "{failure:#}");

    let comfy = sim(&["oom@KSampler*1"]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({ "codes": ["OUT_OF_MEMORY"] });
    let status = client.call_raw("again", arguments).await;
    assert_eq!(status["content"][0]["text"], "\"completed\"", "{status:#}");

    let wrong = json!({ "codes": 7 });
    client.call_fails("again", wrong).await;
}
