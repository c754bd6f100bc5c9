//! `mmf dev`: whoever writes a script sees what each save does.

#![cfg(unix)]

use std::fs;

use crate::support::mmf::Home;
use crate::support::terminal::Terminal;

const TEMPLATE: &str = ".mmf/templates/square.rhai";

/// A template of two nodes, which makes a picture of this width.
fn square(width: u32) -> String {
    format!(
        r#"title("A square");

fn build(p) {{
    let g = workflow();
    let square = g.node("EmptyImage", #{{ width: {width}, height: 64, batch_size: 1, color: 255 }});
    g.node("SaveImage", #{{ images: square[0], filename_prefix: "square" }});
    g
}}
"#
    )
}

fn dev(home: &Home, words: &[&str]) -> Terminal {
    Terminal::piped(home.mmf([&["dev"], words].concat()))
}

#[tokio::test]
async fn a_save_is_told_by_what_it_changes_in_the_workflow() {
    let home = Home::new();
    home.write(TEMPLATE, &square(64));
    let mut dev = dev(&home, &["square", "--sim"]);
    dev.shows("template \"square\": 2 nodes: EmptyImage, SaveImage\n")
        .await;
    dev.shows("nothing wrong, judged by ComfyUI 0.33").await;
    dev.shows("memory: ").await;

    home.write(TEMPLATE, &square(128));
    dev.shows("~ EmptyImage [1]\n~     width: 64 -> 128\nnodes: 1 changed, 1 the same\n")
        .await;
    dev.shows("nothing wrong").await;

    home.write(TEMPLATE, &square(100_000));
    dev.shows("width: 128 -> 100000").await;
    dev.shows("error[value_bigger_than_max]: node 1 (EmptyImage)")
        .await;
    dev.shows("allowed: 1 to ").await;
    dev.shows("1 error, judged by").await;

    dev.types_no_more();
    dev.ends_with(0).await;
}

#[tokio::test]
async fn a_broken_save_is_shown_in_place_and_the_last_good_version_stays() {
    let home = Home::new();
    let file = home.write(TEMPLATE, &square(64));
    let mut dev = dev(&home, &["square"]);
    dev.shows("2 nodes").await;

    home.write(TEMPLATE, &square(64).replace("p) {", "p) {{"));
    dev.shows("error: ").await;
    dev.shows(&format!("--> {}:", file.display())).await;
    dev.shows("the last good version stays").await;

    // What is seen only by checking is no good either, and nor is what fails when it builds.
    home.write(TEMPLATE, &square(64).replace("workflow()", "workflw()"));
    dev.shows("error: no function workflw").await;
    dev.shows("help: did you mean workflow?").await;
    dev.shows("the last good version stays").await;
    home.write(
        TEMPLATE,
        &square(64).replace("    g\n", "    throw \"not today\";\n"),
    );
    dev.shows("error: not today").await;
    dev.shows("throw \"not today\"").await;

    home.write(TEMPLATE, &square(256));
    dev.shows("width: 64 -> 256").await;
    dev.types_no_more();
    dev.ends_with(0).await;
}

#[tokio::test]
async fn what_a_script_imports_and_the_facts_that_it_quotes_are_followed_too() {
    let home = Home::new();
    let library = |size: u32| format!("fn wide() {{ {size} }}\n");
    let facts = |steps: u32| {
        format!(
            "[[model]]\nname = \"Our fox\"\nfamily = \"sdxl\"\ncategory = \"image_gen\"\n\
             released = \"2026-11-01\"\nsource = \"us\"\nmatch = [\"our fox\"]\n\
             settings = {{ steps = {steps} }}\n"
        )
    };
    home.write(".mmf/scripts/lib/sizes.rhai", &library(64));
    home.write(".mmf/sota.toml", &facts(30));
    let quoting = r#"import "sizes" as sizes;
const FACTS = facts("Our fox");
param("COLOR", "int", #{ value: FACTS.steps });
"#;
    let text = square(64).replace("width: 64", "width: sizes::wide()");
    let text = text.replace("color: 255", "color: p.COLOR");
    home.write(TEMPLATE, &format!("{quoting}{text}"));
    let mut dev = dev(&home, &["square"]);
    dev.shows("2 nodes").await;

    home.write(".mmf/scripts/lib/sizes.rhai", &library(128));
    dev.shows("width: 64 -> 128").await;
    home.write(".mmf/sota.toml", &facts(31));
    dev.shows("color: 30 -> 31").await;
    home.write(".mmf/sota.toml", "[[model]]\nname = ");
    dev.shows("sota.toml").await;
    dev.types_no_more();
    dev.ends_with(0).await;
}

#[tokio::test]
async fn a_file_that_lies_anywhere_is_followed_however_it_is_saved() {
    let home = Home::new();
    let file = home.write("drafts/square.rhai", &square(64));
    let mut dev = dev(&home, &["drafts/square.rhai"]);
    dev.shows("template \"square\": 2 nodes").await;
    dev.shows("judged by the built-in facts").await;

    let other = home.write("drafts/.square.swp", &square(128));
    fs::rename(other, file).unwrap();
    dev.shows("width: 64 -> 128").await;
    dev.signal("TERM");
    dev.ends_with(0).await;
}

#[tokio::test]
async fn with_run_each_good_save_is_run_and_tells_its_picture() {
    let home = Home::new();
    home.write(TEMPLATE, &square(64));
    let mut dev = dev(&home, &["square", "--sim", "--run", "-o", "out"]);
    dev.shows("square_00001_.png  64x64").await;
    home.write(TEMPLATE, &square(128));
    dev.shows("width: 64 -> 128").await;
    dev.shows("png  128x64").await;
    dev.types_no_more();
    dev.ends_with(0).await;
    let made = fs::read_dir(home.project().join("out")).unwrap();
    assert_eq!(made.count(), 2);
}

#[tokio::test]
async fn what_is_no_template_is_checked_and_parameters_are_read_anew() {
    let home = Home::new();
    let pipeline = |param: &str| {
        format!(
            "param(\"{param}\", \"int\", #{{ required: true }});\nfn run(p) {{ #{{ n: p.{param} }} }}\n"
        )
    };
    let file = ".mmf/scripts/pipelines/count.rhai";
    home.write(file, &pipeline("MANY"));
    let mut dev = dev(&home, &["count", "--MANY", "3", "--sim", "--run"]);
    dev.shows("pipeline \"count\": nothing wrong").await;
    dev.shows("{\"n\":3}").await;
    home.write(file, &pipeline("MORE"));
    dev.shows("unexpected argument '--MANY'").await;
    dev.shows("the last good version stays").await;
    dev.types_no_more();
    dev.ends_with(0).await;
}

#[tokio::test]
async fn a_script_that_is_broken_from_the_beginning_is_waited_for() {
    let home = Home::new();
    home.write(TEMPLATE, "fn build(p) {");
    let mut dev = dev(&home, &["square", "--sim", "--run"]);
    dev.shows("error: ").await;
    home.write(TEMPLATE, &square(64));
    dev.shows("2 nodes: EmptyImage, SaveImage").await;
    dev.shows("64x64").await;
    dev.types_no_more();
    dev.ends_with(0).await;
}

#[tokio::test]
async fn a_script_that_there_is_not_is_an_error() {
    let home = Home::new();
    let ran = home.mmf(["dev", "sqare"]).run().await.exits(6);
    assert!(ran.stderr.contains("no script \"sqare\""), "{}", ran.stderr);
}

/// On a terminal that calls itself one which shows pictures.
fn at_terminal(home: &Home, words: &[&str]) -> Option<Terminal> {
    home.write(TEMPLATE, &square(64));
    let program = home.mmf([&["dev"], words].concat());
    let program = program.env("TERM", "xterm").env("TERM_PROGRAM", "WezTerm");
    Terminal::start_and_then(program, "stty -a")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_key_runs_it_and_the_picture_is_shown_on_the_terminal() {
    let home = Home::new();
    let Some(mut dev) = at_terminal(&home, &["square", "--sim"]) else {
        return;
    };
    dev.shows("r runs it").await;
    dev.shows("memory: ").await;
    dev.types("w").await;
    dev.shows("[1]  EmptyImage  batch_size: 1").await;
    dev.types("s").await;
    dev.shows("no parameter of the type seed").await;
    dev.types("r").await;
    dev.shows("64x64").await;
    dev.shows("\x1b]1337;File=inline=1;").await;
    dev.types("q").await;
    dev.ends_with(0).await;
    let modes = dev.shown().rsplit("speed").next().unwrap();
    assert!(
        modes.contains(" icanon") && modes.contains(" echo "),
        "{modes}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_new_seed_is_drawn_by_a_key_and_ctrl_c_gives_the_terminal_back() {
    let home = Home::new();
    let small = ["sd3_txt2img", "--PROMPT", "x", "--SEED", "7", "--sim"];
    let Some(mut dev) = at_terminal(&home, &small) else {
        return;
    };
    dev.shows("memory: ").await;
    dev.types("s").await;
    dev.shows("seed: 7 -> ").await;
    dev.shows("memory: ").await;
    dev.types("\u{3}").await;
    dev.ends_with(0).await;
    let modes = dev.shown().rsplit("speed").next().unwrap();
    assert!(
        modes.contains(" icanon") && modes.contains(" echo "),
        "{modes}"
    );
}
