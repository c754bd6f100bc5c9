//! `--trace`: what a script calls, and how long that takes.

use serde_json::Value;

use crate::support::mmf::Home;

const PIPELINE: &str = r#"title("Two");
about("Two pictures beside each other.");
fn picture(colour) {
    let g = workflow();
    let picture = g.node("EmptyImage", #{ width: 64, height: 64, batch_size: 1, color: colour });
    g.node("SaveImage", #{ images: picture[0], filename_prefix: "x" });
    comfy::run(g).outputs[0].asset_id
}
fn run(p) {
    let ids = parallel([|| picture(1), || picture(2)]);
    scripts::run("inner", #{ asset_id: ids[0] });
    #{ ids: ids }
}
"#;

const INNER: &str = r#"param("asset_id", "string");
fn run(p) { assets::get(p.asset_id).width }
"#;

/// The lines of a tree without their times and the places' lines.
fn calls(tree: &str) -> Vec<String> {
    let timed = tree.lines().filter(|line| line.contains(" ms  "));
    let names = timed.map(|line| line.split_once(" ms  ").unwrap().1);
    names
        .map(|call| {
            call.split("scripts/pipelines")
                .next()
                .unwrap()
                .trim_end()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn calls_are_shown_as_a_tree_and_written_for_a_trace_viewer() {
    let home = Home::new();
    home.write(".mmf/scripts/pipelines/two.rhai", PIPELINE);
    home.write(".mmf/scripts/pipelines/inner.rhai", INNER);
    let ran = home.mmf(["run", "two", "--sim", "--json", "--trace=trace.json"]);
    let ran = ran.run().await.exits(0);
    assert!(ran.json()["ids"].is_array(), "stdout has the result alone");
    assert_eq!(
        calls(&ran.stderr),
        [
            "parallel",
            "  comfy::run",
            "  comfy::run",
            "scripts::run",
            "  assets::get"
        ],
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("scripts/pipelines/two.rhai:7"),
        "{}",
        ran.stderr
    );

    let written = std::fs::read_to_string(home.project().join("trace.json")).unwrap();
    let events: Value = serde_json::from_str(&written).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    assert_eq!(events.len(), 5);
    let of = |name: &'static str| events.iter().filter(move |event| event["name"] == name);
    let end = |event: &Value| event["ts"].as_u64().unwrap() + event["dur"].as_u64().unwrap();
    let parallel = of("parallel").next().unwrap();
    for run in of("comfy::run") {
        assert!(run["ts"].as_u64() >= parallel["ts"].as_u64() && end(run) <= end(parallel));
    }
    let threads: Vec<&Value> = of("comfy::run").map(|event| &event["tid"]).collect();
    assert_ne!(threads[0], threads[1]);
}

#[tokio::test]
async fn a_template_and_a_tool_are_traced_as_well() {
    let home = Home::new();
    let ran = home
        .mmf(["call", "get_queue_status", "--sim", "--trace"])
        .run()
        .await
        .exits(0);
    assert!(ran.json()["running"].is_number());
    assert!(
        ran.stderr.contains("comfy::queue") && ran.stderr.contains(" ms"),
        "{}",
        ran.stderr
    );

    home.write(
        ".mmf/templates/one.rhai",
        "fn build(p) { let g = workflow(); let a = g.node(\"EmptyImage\", #{ width: 64, height: 64, \
         batch_size: 1, color: 0 }); g.node(\"SaveImage\", #{ images: a[0], filename_prefix: \"x\" }); g }",
    );
    let ran = home
        .mmf(["run", "one", "--sim", "--trace"])
        .run()
        .await
        .exits(0);
    assert_eq!(
        calls(&ran.stderr),
        ["templates::build", "comfy::submit", "comfy::wait"]
    );
}

#[tokio::test]
async fn what_fails_is_traced_up_to_there() {
    let home = Home::new();
    home.write(
        ".mmf/scripts/pipelines/fails.rhai",
        "fn run(p) { let id = random_seed(); assets::get(`${id}`) }",
    );
    let ran = home
        .mmf(["run", "fails", "--sim", "--trace"])
        .run()
        .await
        .exits(6);
    assert!(
        ran.stderr.contains("random_seed") && ran.stderr.contains("assets::get"),
        "{}",
        ran.stderr
    );
}
