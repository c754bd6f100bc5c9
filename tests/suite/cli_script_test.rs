//! `mmf script test`: scripts that test themselves.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};

const TESTED: &str = r#"title("Tested");
about("One colour.");
param("WIDTH", "int", #{ value: 64 });

fn build(p) {
    let g = workflow();
    let picture = g.node("EmptyImage", #{ width: p.WIDTH, height: 64, batch_size: 1, color: 0 });
    g.node("SaveImage", #{ images: picture[0], filename_prefix: "x" });
    g
}

fn test_it_is_as_wide_as_asked_for() {
    assert_eq(build(#{ WIDTH: 128 }).only("EmptyImage").inputs.width, 128);
}

fn test_this_one_is_wrong() {
    let g = build(#{ WIDTH: 128 });
    assert_eq(g.only("EmptyImage").inputs, #{ width: 128, height: 65, batch_size: 1, color: 0 });
}
"#;

const BESIDE: &str = r#"fn test_a_picture_comes_out() {
    let job = comfy::run(templates::build("tested", #{ WIDTH: 80 }));
    assert_eq(assets::get(job.outputs[0].asset_id).width, 80);
    assert_eq(assets::list(#{}).assets.len(), 1);
}

fn test_each_has_assets_of_its_own() {
    assert_eq(assets::list(#{}).assets, []);
}

fn test_what_is_wrong_is_seen() {
    assert_valid(templates::build("tested", #{}));
    let g = templates::build("tested", #{});
    let decoded = g.node("VAEDecode", #{ samples: ["1", 0] });
    g.node("SaveImage", #{ images: decoded[0], filename_prefix: "x" });
    let failure = assert_throws("ASSERTION_FAILED", || assert_valid(g));
    assert(failure.message.contains("VAEDecode"), failure.message);
    assert_throws(|| g.only("KSampler"));
    assert_throws("NOT_FOUND", || templates::build("nonsense", #{}));
    let failure = assert_throws("ASSERTION_FAILED", || assert_throws(|| 5));
    assert_eq(failure.message, "it throws nothing and gives 5");
}

fn helper() {
    assert(false, "this is no test");
}
"#;

fn plain(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("s] ") {
        let (start, _) = before.rsplit_once('[').unwrap();
        shown += start;
        shown += "[TIME] ";
        rest = behind;
    }
    shown + rest
}

fn home() -> Home {
    let home = Home::new();
    home.write(".mmf/templates/tested.rhai", TESTED);
    home.write(".mmf/templates/tested_test.rhai", BESIDE);
    home
}

#[tokio::test]
async fn each_test_is_told_and_a_failure_shown_in_place() {
    let home = home();
    let ran = home.mmf(["script", "test"]).run().await.exits(1);
    let shown = plain(&ran.stdout);
    assert_snapshot!(shown.replace(&format!("{}/", home.project().display()), ""));
}

#[tokio::test]
async fn one_test_is_chosen_by_a_part_of_its_name_and_told_as_json() {
    let home = home();
    let told = home.mmf(["script", "test", "as_wide", "--json"]);
    let mut told = told.run().await.exits(0).json();
    told["tests"][0]["seconds"] = Value::Null;
    assert_eq!(
        told,
        json!({ "passed": 1, "failed": 0, "tests": [{
            "script": "templates/tested", "test": "test_it_is_as_wide_as_asked_for", "passed": true,
            "seconds": null, "problem": null,
        }] })
    );
    let told = home.mmf(["script", "test", "is_wrong", "--json"]);
    let told = told.run().await.exits(1).json();
    let problem = &told["tests"][0]["problem"];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(18), &json!(5))
    );
    assert!(
        problem["hint"].as_str().unwrap().contains("height"),
        "{problem}"
    );
}

#[tokio::test]
async fn no_real_server_is_touched() {
    let (home, comfy) = (home(), sim(&[]).await);
    let ran = home
        .mmf(["script", "test", "comes_out"])
        .server(&comfy.url());
    ran.run().await.exits(0);
    let jobs = home.mmf(["call", "list_assets"]).server(&comfy.url());
    assert_eq!(jobs.run().await.exits(0).json()["assets"], json!([]));
    let queue = home.mmf(["jobs", "--json"]).run().await.exits(0).stdout;
    assert!(!queue.contains("prompt_id"), "{queue}");
}

#[tokio::test]
async fn tests_are_no_scripts_and_no_part_of_one() {
    let (home, comfy) = (home(), sim(&[]).await);
    home.write(
        ".mmf/scripts/tools/mine_test.rhai",
        "fn test_nothing() { assert(true); }",
    );
    home.write(
        ".mmf/scripts/lib/mine.rhai",
        "fn one() { 1 }\nfn test_one() { assert_eq(one(), 1); }",
    );
    home.write(
        ".mmf/scripts/pipelines/uses.rhai",
        "import \"mine\" as mine;\nfn run(p) { mine::test_one() }",
    );
    let listed = home.mmf(["script", "list"]).run().await.exits(0).stdout;
    assert!(!listed.contains("_test"), "{listed}");
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let tools = client.request("tools/list", json!({})).await;
    assert!(!tools.to_string().contains("mine_test"));

    let uses = home.mmf(["script", "check", "uses", "--json"]);
    let told = uses.run().await.exits(3).json();
    assert_eq!(told[0]["code"], "unknown-function", "{told}");
}

#[tokio::test]
async fn tests_are_checked_and_may_assert_only_in_tests() {
    let home = Home::new();
    home.write(
        ".mmf/scripts/lib/mine.rhai",
        "fn one() { assert(true); 1 }\nfn test_one() { assert_eqq(one(), 1); }",
    );
    let told = home.mmf(["script", "check", "mine", "--json"]);
    let told = told.run().await.exits(3).json();
    let told: Vec<&Value> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["message"])
        .collect();
    assert_eq!(told, ["no function assert", "no function assert_eqq"]);
}

#[tokio::test]
async fn a_file_of_tests_that_does_not_compile_fails() {
    let home = Home::new();
    home.write(".mmf/scripts/tools/mine_test.rhai", "fn test_x( {");
    let ran = home.mmf(["script", "test"]).run().await.exits(1);
    assert!(
        ran.stdout.contains("FAIL") && ran.stdout.contains("mine_test.rhai:1"),
        "{}",
        ran.stdout
    );
    let none = home.mmf(["script", "test", "qqqq"]).run().await;
    assert!(none.exits(6).stderr.contains("no tests of qqqq"));
}

#[tokio::test]
async fn the_shipped_scripts_pass_their_own_tests() {
    let home = Home::new();
    let ran = home
        .mmf(["script", "test", "--built-in", "--json"])
        .run()
        .await;
    let told = ran.json();
    let failed: Vec<&Value> = told["tests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|test| test["passed"] != true)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(told["passed"].as_u64() >= Some(40), "{}", told["passed"]);
    ran.exits(0);
}
