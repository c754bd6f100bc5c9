//! A person at a real terminal.

#![cfg(target_os = "linux")]

use crate::support::mmf::{Home, Mmf};
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
