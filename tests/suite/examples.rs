//! The examples do what they say.

use std::path::{Path, PathBuf};

use massmediafactory::app::{App, AppOptions};
use massmediafactory::comfy::Submit;
use massmediafactory::config::{Config, Overrides};
use massmediafactory::script::{Caller, Kind};
use massmediafactory::sim::SimOptions;
use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, sim};

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
    let found = app.load_file(&examples().join(example)).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_postcard_is_painted_from_a_prompt() {
    let params = json!({ "PROMPT": "a fox", "WIDTH": 320, "HEIGHT": 256, "STEPS": 2 });
    let sizes = run("templates/postcard.rhai", params).await;
    assert_eq!(sizes, json!([[320, 256]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framed_card_has_the_frame_of_the_library_beside_it() {
    let sizes = run("templates/framed_card.rhai", json!({ "PROMPT": "a fox" })).await;
    assert_eq!(sizes, json!([[768, 512]]));
    let library = include_str!("../../examples/scripts/lib/house_style.rhai");
    assert!(library.contains("fn framed("));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_painted_card_is_told_with_its_seed() {
    let params = json!({ "prompt": "a fox", "seed": 9 });
    let told = run("scripts/tools/paint_card.rhai", params).await;
    assert_eq!(told["seed"], 9);
    assert!(told["asset_id"].is_string(), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_tried_in_every_combination_and_put_on_a_sheet() {
    let params = json!({ "PROMPT": "a fox", "STEPS": [1, 2], "CFG": [4.0] });
    let told = run("scripts/pipelines/try_steps.rhai", params).await;
    let results = told["results"].as_array().unwrap();
    let tried: Vec<&Value> = results
        .iter()
        .map(|one| &one["parameters"]["STEPS"])
        .collect();
    assert_eq!(tried, [1, 2]);
    assert!(
        told["contact_sheet"].is_string() || told["contact_sheet"].is_object(),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sharpest_picture_is_kept_and_its_search_ends_early_when_it_is_good_enough() {
    let easy = json!({ "PROMPT": "a fox", "SHARPNESS": 0.0, "TRIES": 3, "SEED": 5 });
    let first = run("scripts/pipelines/sharpest.rhai", easy).await;
    assert_eq!(
        (&first["seed"], &first["good_enough"]),
        (&json!(5), &json!(true))
    );

    let never = json!({ "PROMPT": "a fox", "SHARPNESS": 1e9, "TRIES": 2, "SEED": 5 });
    let best = run("scripts/pipelines/sharpest.rhai", never).await;
    assert_eq!(best["good_enough"], false);
    assert!(
        best["sharpness"].as_f64() >= first["sharpness"].as_f64(),
        "{best} {first}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triptych_has_each_part_painted_and_enlarged() {
    let params = json!({ "IDEA": "a fox", "PARTS": ["dawn", "dusk"] });
    let told = run("scripts/pipelines/triptych.rhai", params).await;
    let parts = told["parts"].as_array().unwrap();
    let names: Vec<&Value> = parts.iter().map(|part| &part["part"]).collect();
    assert_eq!(names, ["dawn", "dusk"]);
    assert!(
        parts
            .iter()
            .all(|part| part["large"].is_string() && part["picture"] != part["large"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_night_shift_keeps_the_best_and_tells_what_failed() {
    let params = json!({ "prompts": ["a fox", "an owl"], "seeds": 2 });
    let told = run("scripts/tools/night_shift.rhai", params).await;
    assert_eq!((&told["done"], &told["failed"]), (&json!(2), &json!(0)));
    assert_eq!(told["prompts"][1]["prompt"], "an owl");

    let wrong = json!({ "prompts": ["a fox"], "seeds": 1, "template": "posters" });
    let told = run("scripts/tools/night_shift.rhai", wrong).await;
    assert_eq!((&told["done"], &told["failed"]), (&json!(0), &json!(1)));
    assert!(
        told["prompts"][0]["error"]
            .as_str()
            .unwrap()
            .contains("posters")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_and_a_resource_speak_of_the_house_style() {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path()).await;
    let example = |path: &str| app.load_file(&examples().join(path)).unwrap();

    let occasion = [("occasion".to_owned(), json!("a birthday"))];
    let occasion = occasion.into_iter().collect();
    let found = example("scripts/prompts/card_ideas.rhai");
    let messages = app
        .messages(found, occasion, Caller::default())
        .await
        .unwrap();
    let said = format!("{messages:?}");
    assert!(
        said.contains("a birthday") && said.contains("gouache"),
        "{said}"
    );

    let found = example("scripts/resources/house_style.rhai");
    let nothing = serde_json::Map::new();
    let read = app
        .read(found, "mmf://house-style", nothing, Caller::default())
        .await
        .unwrap();
    assert!(format!("{read:?}").contains("gouache"), "{read:?}");
}

/// The steps of the page, on the simulator, with the script as it stands there.
#[tokio::test]
async fn the_way_from_a_picture_to_a_tool_is_as_the_page_says() {
    let page = include_str!("../../docs/from-a-picture-to-a-tool.md");
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mmf = |words: &[&str]| home.mmf(words.iter().copied()).server(&comfy.url());
    let small = [
        "--WIDTH", "256", "--HEIGHT", "256", "--STEPS", "2", "-o", ".",
    ];
    let made = mmf(&[
        &["run", "sd15_txt2img", "--PROMPT", "a red fox"],
        &small[..],
    ]
    .concat());
    let made = made.run().await.exits(0);
    let picture = made
        .stdout
        .lines()
        .next()
        .unwrap()
        .split("  ")
        .next()
        .unwrap();
    std::fs::rename(home.project().join(picture), home.project().join("fox.png")).unwrap();

    std::fs::create_dir(home.project().join(".mmf")).unwrap();
    mmf(&["import", "fox.png"]).run().await.exits(0);
    assert!(home.project().join(".mmf/templates/fox.rhai").is_file());
    let help = mmf(&["run", "fox", "--help"]).run().await.exits(0);
    assert!(help.stdout.contains("--PROMPT"), "{}", help.stdout);
    let refused = mmf(&["run", "fox", "--STEPS", "0"]).run().await.exits(3);
    assert!(refused.stderr.contains("STEPS"), "{}", refused.stderr);

    let scripts = page.split("```rhai\n").skip(1);
    let scripts = scripts.map(|rest| rest.split("```").next().unwrap());
    let tool = scripts.last().unwrap();
    home.write(".mmf/scripts/tools/paint_fox.rhai", tool);
    let told = mmf(&["run", "paint_fox", "--scene", "asleep", "--seed", "3"]);
    assert_eq!(told.run().await.exits(0).json()["seed"], 3);

    let mut client = McpClient::start(&home, &comfy.url()).await;
    let answer = client
        .call("paint_fox", json!({ "scene": "by a river", "seed": 4 }))
        .await;
    assert_eq!(answer["seed"], 4, "{answer:#}");
}

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_example_is_run_by_a_test() {
    let these_files = [
        include_str!("examples.rs"),
        include_str!("cli_fix.rs"),
        include_str!("hooks.rs"),
    ];
    let these_files = these_files.concat();
    let folder = examples();
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
    assert!(seen >= 14, "only {seen} examples");
}
