//! Pipelines on the shell whose terminal dies.

use std::time::Duration;

use massmediafactory::sim::Sim;
use serde_json::{Value, json};

use crate::support::mmf::{Home, sim_with_steps};
use crate::support::sim::get;

const TWO: &str = r#"
title("Two pictures");
param("PROMPT", "string", #{ required: true });
fn run(p) {
    let made = [];
    for seed in 1..=2 {
        let params = #{ PROMPT: p.PROMPT, STEPS: 100, WIDTH: 64, HEIGHT: 64, SEED: seed };
        made.push(comfy::run(templates::build("sd3_txt2img", params)).outputs[0].asset_id);
    }
    #{ prompt: p.PROMPT, made: made }
}
"#;

async fn listed(home: &Home) -> Value {
    home.mmf(["jobs", "--json"]).run().await.exits(0).json()
}

/// A pipeline that is killed in its second stage; gives its handle.
async fn interrupted(home: &Home, comfy: &Sim) -> String {
    home.write(".mmf/scripts/pipelines/two.rhai", TWO);
    let words = ["run", "two", "--PROMPT", "a fox"];
    let mut terminal = home.mmf(words).server(&comfy.url()).spawn();
    while listed(home).await["jobs"].as_array().unwrap().len() < 2 {}
    terminal.kill().await.unwrap();
    let told = listed(home).await;
    let run = &told["interrupted_runs"][0];
    assert_eq!(run["script"], "two", "{told:#}");
    assert_eq!(run["arguments"], json!({ "PROMPT": "a fox" }));
    run["run_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pipeline_whose_terminal_died_is_gone_on_with_where_it_was() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(10), &[]).await;
    let run_id = interrupted(&home, &comfy).await;
    let told = home.mmf(["jobs"]).run().await.exits(0);
    let way = format!("mmf run --resume {run_id}");
    assert!(told.stderr.contains(&way), "{}", told.stderr);

    let resume = || home.mmf(["run", "--resume", &run_id]).server(&comfy.url());
    let done = resume().run().await.exits(0).json();
    assert_eq!(done["prompt"], "a fox");
    assert_eq!(done["made"].as_array().unwrap().len(), 2, "{done:#}");
    assert_eq!(get(&comfy, "/history").await.as_object().unwrap().len(), 2);
    assert_eq!(listed(&home).await["interrupted_runs"], Value::Null);
    resume().run().await.exits(6);
}

#[tokio::test]
async fn a_pipeline_that_was_changed_meanwhile_is_begun_anew_only_when_that_is_said() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(10), &[]).await;
    let run_id = interrupted(&home, &comfy).await;
    let changed = TWO.replace("1..=2", "1..=1");
    home.write(".mmf/scripts/pipelines/two.rhai", &changed);
    let resume = ["run", "--resume", &run_id];
    let refused = home.mmf(resume).server(&comfy.url()).run().await.exits(1);
    let words = &refused.stderr;
    assert!(words.contains("another script by now"), "{words}");
    assert!(words.contains("--anew"), "{words}");

    let anew = [&resume[..], &["--anew"]].concat();
    let done = home.mmf(anew).server(&comfy.url()).run().await;
    let done = done.exits(0).json();
    assert_eq!(done["made"].as_array().unwrap().len(), 1, "{done:#}");
    assert_eq!(done["prompt"], "a fox");
}
