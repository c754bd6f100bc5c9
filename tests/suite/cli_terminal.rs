//! A person at a real terminal.

#![cfg(target_os = "linux")]

use std::time::Duration;

use crate::support::mmf::{Home, Mmf, sim_with_steps};
use crate::support::terminal::Terminal;

const ASKING: &str = r#"title("How many");
param("DOUBLE", "bool", #{ value: true });

fn run(p) {
    let answer = ask("A question", #{ n: #{ type: "integer", title: "How many", value: 2 } });
    #{ action: answer.action, doubled: (answer.get("content") ?? #{}).get("n") * 2 }
}
"#;

fn asking(home: &Home) -> Mmf {
    home.write(".mmf/scripts/pipelines/asking.rhai", ASKING);
    home.mmf(["run", "asking"])
}

#[tokio::test]
async fn a_script_that_asks_is_answered_on_the_terminal_and_asks_again_when_it_must() {
    let home = Home::new();
    let Some(mut terminal) = Terminal::start(asking(&home)) else {
        return;
    };
    terminal.shows("How many [2]:").await;
    terminal.types("many\n").await;
    terminal.shows("that is not a whole number").await;
    terminal.types("21\n").await;
    terminal.shows("42").await;
    terminal.ends_with(0).await;
}

#[tokio::test]
async fn an_open_question_is_left_with_ctrl_c() {
    let home = Home::new();
    let Some(mut terminal) = Terminal::start(asking(&home)) else {
        return;
    };
    terminal.shows("How many [2]:").await;
    terminal.types("\u{3}").await;
    terminal.ends_with(130).await;
}

#[tokio::test]
async fn many_runs_have_a_bar_each_and_one_for_all_with_the_time_that_is_left() {
    let home = Home::new();
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    home.write("rows.csv", "PROMPT\none\ntwo\n");
    let batch = [
        "batch",
        "sd3_txt2img",
        "--from",
        "rows.csv",
        "--STEPS",
        "40",
        "--WIDTH=64",
        "--HEIGHT=64",
    ];
    let Some(mut terminal) = Terminal::start(home.mmf(batch).server(&comfy.url())) else {
        return;
    };
    terminal.shows("KSampler").await;
    terminal.shows("1 of 2 runs are over").await;
    terminal.shows(" left").await;
    terminal.shows("2 of 2 runs completed").await;
    terminal.ends_with(0).await;
}
