//! The examples do what they say.

use std::path::{Path, PathBuf};

use massmediafactory::app::{App, AppOptions};
use massmediafactory::comfy::Submit;
use massmediafactory::config::{Config, Overrides};
use massmediafactory::script::{Caller, Kind};
use massmediafactory::sim::SimOptions;
use serde_json::{Value, json};

async fn app(folder: &Path) -> App {
    let overrides = Overrides {
        data_dir: Some(folder.to_owned()),
        ..Overrides::default()
    };
    let config = Config::load(&overrides).unwrap();
    let simulate = Some(SimOptions::default());
    App::start(
        &config,
        AppOptions {
            simulate,
            ..AppOptions::default()
        },
    )
    .await
    .unwrap()
}

/// Runs an example: a template up to its outputs, anything else to its result.
async fn run(example: &str, arguments: Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path()).await;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(example);
    let found = app.load_file(&file).unwrap();
    let Value::Object(arguments) = arguments else {
        panic!("not an object")
    };
    let caller = Caller::default();
    if found.served.script.key.kind != Kind::Template {
        return app.run(found, arguments, caller).await.unwrap().value;
    }
    let built = app.build(found, arguments, caller.clone()).await.unwrap();
    let submitted = app
        .submit(&built.workflow, Submit::default())
        .await
        .unwrap();
    let finished = app.wait(&submitted.prompt_id, None, &caller).await.unwrap();
    assert!(finished.is_success(), "{:?}", finished.outcome.end);
    let sizes = finished.outputs.iter().map(|output| {
        let asset = output.kept.as_ref().unwrap();
        json!([asset.width, asset.height])
    });
    sizes.collect::<Vec<_>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_colour_is_a_picture() {
    assert_eq!(
        run("templates/one_colour.rhai", json!({})).await,
        json!([[256, 256]])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn half_size_is_half_as_large() {
    let sizes = run(
        "templates/half_size.rhai",
        json!({ "WIDTH": 800, "HEIGHT": 200 }),
    )
    .await;
    assert_eq!(sizes, json!([[400, 100]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_seeds_are_two_pictures() {
    let result = run(
        "scripts/pipelines/two_seeds.rhai",
        json!({ "PROMPT": "a fox", "SEED": 7 }),
    )
    .await;
    let pictures = result["pictures"].as_array().unwrap();
    assert_eq!(
        (&pictures[0]["seed"], &pictures[1]["seed"]),
        (&json!(7), &json!(8))
    );
    assert_ne!(pictures[0]["asset_id"], pictures[1]["asset_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_says_which_server_is_there() {
    let result = run("scripts/tools/hello.rhai", json!({ "name": "you" })).await;
    assert_eq!(
        result,
        json!({ "greeting": "Hello, you!", "comfyui": "0.33.0" })
    );
}

#[test]
fn every_example_is_run_by_a_test() {
    let these_files = [include_str!("examples.rs"), include_str!("cli_fix.rs")].concat();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut open = vec![folder.clone()];
    let mut seen = 0;
    while let Some(next) = open.pop() {
        for path in std::fs::read_dir(next)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                open.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "rhai")
            {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
                assert!(
                    these_files.contains(&format!("{name}\"")),
                    "{name} is never run"
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "only {seen} examples");
}
