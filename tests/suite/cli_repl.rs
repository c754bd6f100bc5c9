//! `mmf repl`: scripting tried out, an input after the other.

#![cfg(unix)]

use crate::support::mmf::{Home, Ran};
use crate::support::terminal::Terminal;

/// What comes of some inputs, from a pipe.
async fn of(home: &Home, inputs: &str) -> Ran {
    use tokio::io::AsyncWriteExt as _;

    let mut child = home.mmf(["repl", "--sim"]).spawn();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(inputs.as_bytes()).await.unwrap();
    drop(stdin);
    Ran::end(child).await
}

#[tokio::test]
async fn variables_functions_and_imports_stay() {
    let ran = of(
        &Home::new(),
        r#"
let x = 40;
x + 2
fn double(n) {
    n * 2
}
double(x)
let twice = |n| double(n) + x;
twice.call(1)
import "loaders" as loaders;
let g = workflow();
let loaded = loaders::checkpoint(g, "sd3.safetensors");
g
loaded.clip
[1, "two", #{ three: () }]
:type [1]
:type g
"#,
    )
    .await
    .exits(0);
    insta::assert_snapshot!(ran.stdout, @r#"
    42
    80
    42
    1 node: CheckpointLoaderSimple
    [1]  CheckpointLoaderSimple  ckpt_name: "sd3.safetensors"
    ["1",1]
    [1,"two",{"three":null}]
    an array
    a workflow
    "#);
}

#[tokio::test]
async fn an_error_is_shown_where_it_was_written_and_takes_nothing_away() {
    let inputs = "let x = 1;\nfn twist(n) {\n    n.twisted()\n}\ntwist(x)\nlet y = x +;\nx\n";
    let ran = of(&Home::new(), inputs).await.exits(3);
    assert_eq!(ran.stdout, "1\n");
    assert!(ran.stderr.contains("--> input 2:2:7"), "{}", ran.stderr);
    assert!(ran.stderr.contains("n.twisted()"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> input 4:1:12"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_runs_on_the_server_is_told_with_its_file() {
    let home = Home::new();
    let ran = of(
        &home,
        r#"
let g = templates::build("sd3_txt2img", #{ PROMPT: "a fox", WIDTH: 64, HEIGHT: 64, STEPS: 1 });
let job = comfy::run(g);
job.outputs[0]
parallel([|| 1 + 1, || g.size])
"#,
    )
    .await
    .exits(0);
    let mut told = ran.stdout.lines().filter_map(|line| line.split_once(": "));
    let has_file = told.any(|(_, file)| std::path::Path::new(file).is_file());
    assert!(has_file, "{}", ran.stdout);
}

#[tokio::test]
async fn a_script_is_loaded_without_what_it_declares() {
    let home = Home::new();
    let script = "title(\"Sizes\");\nparam(\"N\", \"int\");\nconst BASE = 64;\nfn build(p) { global::BASE * p.N }\n";
    home.write("sizes.rhai", script);
    let ran = of(&home, ":load sizes.rhai\nbuild(#{ N: 2 })\n")
        .await
        .exits(0);
    assert_eq!(ran.stdout, "128\n");
    assert!(ran.stderr.contains("loaded sizes.rhai"), "{}", ran.stderr);
}

#[tokio::test]
async fn functions_are_looked_up_in_their_documentation() {
    let ran = of(&Home::new(), ":doc comfy::submit\n:doc nonsense\n:hepl\n")
        .await
        .exits(3);
    assert!(ran.stdout.starts_with("comfy::submit("), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("nothing is written about \"nonsense\""),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("there is no :hepl"), "{}", ran.stderr);
}

#[tokio::test]
async fn ctrl_c_cancels_what_runs_and_nothing_else() {
    let home = Home::new();
    let mut repl = Terminal::piped(home.mmf(["repl", "--sim"]));
    repl.types("let x = 41;\nprint(\"begun\"); loop {}\n").await;
    repl.shows("begun").await;
    repl.signal("INT");
    repl.shows("cancelled").await;
    repl.types("x + 1\n").await;
    repl.shows("42\n").await;
    repl.types(":quit\n").await;
    repl.ends_with(3).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn at_a_terminal_inputs_are_edited_completed_and_remembered() {
    let home = Home::new();
    let start = || Terminal::start(home.mmf(["repl", "--sim"]).env("TERM", "xterm"));
    let Some(mut repl) = start() else {
        return;
    };
    repl.shows("mmf> ").await;
    repl.types("[1,\r2].len + 90\r").await;
    repl.shows("\n92").await;
    repl.shows("mmf> ").await;
    repl.types("workflow().node(\"KSamplerAdv\t").await;
    repl.shows("KSamplerAdvanced").await;
    repl.types("\u{3}").await;
    repl.shows("mmf> ").await;
    repl.types("let x = 20;\r").await;
    repl.shows("mmf> ").await;
    repl.types("x + 22\r").await;
    repl.shows("\n42").await;
    repl.shows("mmf> ").await;
    repl.types(":quit\r").await;
    repl.ends_with(0).await;

    let mut repl = start().unwrap();
    repl.shows("mmf> ").await;
    // Up to what was typed before `:quit`.
    repl.types("\x1b[A\x1b[A").await;
    repl.shows("x + 22").await;
    repl.types("\u{3}").await;
    repl.shows("mmf> ").await;
    repl.types("\u{4}").await;
    repl.ends_with(0).await;
}
