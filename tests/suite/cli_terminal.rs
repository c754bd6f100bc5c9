//! A person at a real terminal: `script` of util-linux lends one.

#![cfg(target_os = "linux")]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::mmf::{Home, Mmf, PATIENCE, sim_with_steps};

const ASKING: &str = r#"title("How many");
param("DOUBLE", "bool", #{ value: true });

fn run(p) {
    let answer = ask("A question", #{ n: #{ type: "integer", title: "How many", value: 2 } });
    #{ action: answer.action, doubled: (answer.get("content") ?? #{}).get("n") * 2 }
}
"#;

/// A program that believes to be on a terminal, and what it has shown there.
struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    /// `None` where there is no terminal to be had.
    fn start(program: Mmf) -> Option<Self> {
        let program = program.into_command();
        let program = program.as_std();
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let line: Vec<String> = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--flush", "--command"])
            .args([&line.join(" "), "/dev/null"])
            .current_dir(program.get_current_dir().unwrap())
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        match command.spawn() {
            Ok(child) => Some(Self {
                child,
                shown: String::new(),
            }),
            Err(error) => {
                eprintln!("skipped: no `script` to lend a terminal: {error}");
                None
            }
        }
    }

    /// Reads on until this is shown.
    async fn shows(&mut self, text: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut bytes = [0; 4096];
        while !self.shown.contains(text) {
            let read = timeout(PATIENCE, stdout.read(&mut bytes)).await;
            let read = read.expect("it goes on").unwrap();
            assert!(read > 0, "{text:?} is never shown:\n{}", self.shown);
            self.shown += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    async fn types(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    async fn ends_with(&mut self, code: i32) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.shown);
    }
}

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
