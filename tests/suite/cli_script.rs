//! `mmf script check` and `new`: what the authors of scripts are told, and what they begin with.

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::mmf::{Home, Ran, sim};

/// A template with one mistake of each sort that can be seen without running it.
const WRONG: &str = r#"import "save" as save;
import "making" as making;
import "prompts" as prompts;

title("Wrong");
param("WIDTH", "int", #{ value: 64 });
param("HEIGHT", "int", #{ value: 64 });

fn build(p) {
    let g = workflow();
    let picture = g.node("EmptyImag", #{ width: p.WIDHT });
    let other = g.node("EmptyImage", #{ widht: p.WIDTH, height: 99999, batch_size: p.WIDTH, color: 0 });
    let latent = g.node("KSampler", #{ sampler_name: "eulr", steps: 0, cfg: 4.0 });
    save::images(g, picture[0]);
    save::pitcures(g, picture[0], "wrong");
    making::make_room(g);
    random_seed();
    g.nodde("SaveImage", #{});
    g
}
"#;

fn relative(home: &Home, text: &str) -> String {
    text.replace(&format!("{}/", home.project().display()), "")
}

#[tokio::test]
async fn mistakes_are_shown_as_a_compiler_shows_them_and_nothing_is_run() {
    let home = Home::new();
    home.write(".mmf/templates/wrong.rhai", WRONG);
    let ran = home.mmf(["script", "check", "wrong"]).run().await.exits(3);
    assert_snapshot!(relative(&home, &ran.stdout));
    assert!(ran.stderr.contains("there is no ComfyUI"), "{}", ran.stderr);
}

#[tokio::test]
async fn editors_get_the_same_as_json() {
    let home = Home::new();
    let file = home.write("wrong.rhai", WRONG);
    let ran = home.mmf(["script", "check", "wrong.rhai", "--json"]);
    let told = ran.run().await.exits(3).json();
    let codes: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "unused-import",
            "unused-parameter",
            "unknown-node",
            "unknown-parameter",
            "unknown-input",
            "bad-value",
            "bad-value",
            "bad-value",
            "argument-count",
            "unknown-function",
            "effect-in-pure",
            "effect-in-pure",
            "unknown-function",
        ]
    );
    assert_eq!(
        told[2],
        json!({
            "path": "wrong.rhai", "line": 11, "column": 26, "end": 37, "severity": "warning",
            "code": "unknown-node", "message": "the server has no node class \"EmptyImag\"",
            "hint": "did you mean EmptyImage?",
        })
    );
    assert!(file.is_file());
}

#[tokio::test]
async fn all_that_is_shipped_passes_without_a_word() {
    let home = Home::new();
    let told = home.mmf(["script", "check", "--strict", "--json"]);
    assert_eq!(told.run().await.exits(0).json(), json!([]));
}

#[tokio::test]
async fn warnings_are_no_hindrance_unless_they_are_to_be() {
    let home = Home::new();
    let text = "import \"save\" as save;\nfn build(p) { workflow() }";
    home.write(".mmf/templates/mine.rhai", text);
    let shown = home.mmf(["script", "check", "mine"]).run().await.exits(0);
    assert!(
        shown
            .stdout
            .contains("nothing of the library \"save\" is used")
            && shown.stdout.contains("1 warning in 1 script"),
        "{}",
        shown.stdout
    );
    let strict = home.mmf(["script", "check", "mine", "--strict"]);
    strict.run().await.exits(3);
}

#[tokio::test]
async fn model_files_are_held_against_the_server_that_is_there() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(
        ".mmf/templates/mine.rhai",
        r#"param("MODEL", "model", #{ value: "sd3_tinny.safetensors", folder: "diffusion_models" });
fn build(p) {
    let g = workflow();
    g.node("UNETLoader", #{ unet_name: p.MODEL, weight_dtype: "default" });
    g.node("VAELoader", #{ vae_name: "taesd33" });
    g
}
"#,
    );
    let check = |home: &Home| home.mmf(["script", "check", "mine", "--json"]);
    let told = check(&home)
        .server(&comfy.url())
        .run()
        .await
        .exits(0)
        .json();
    let said: Vec<(&Value, &Value)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["code"], &it["line"]))
        .collect();
    let missing = json!("missing-model");
    assert_eq!(said, [(&missing, &json!(1)), (&missing, &json!(5))]);
    assert_eq!(told[0]["hint"], "did you mean sd3_tiny.safetensors?");
    assert_eq!(
        check(&home).run().await.exits(0).json(),
        json!([]),
        "who knows no server's files says nothing of them"
    );
}

#[rstest]
#[case::syntax("fn build(p) { let x = ; }", "syntax")]
#[case::import("import \"savee\" as s;\nfn build(p) { s::x() }", "missing-import")]
#[case::namespace("fn build(p) { comfy::queue() }", "effect-in-pure")]
#[case::entry("fn biuld(p) { workflow() }", "declaration")]
#[case::option(
    "param(\"A\", \"int\", #{ vaule: 1 });\nfn build(p) { p.A }",
    "declaration"
)]
#[tokio::test]
async fn what_keeps_a_script_from_being_loaded_has_a_code(#[case] text: &str, #[case] code: &str) {
    let home = Home::new();
    home.write(".mmf/templates/mine.rhai", text);
    let told = home.mmf(["script", "check", "mine", "--json"]);
    let told = told.run().await.exits(3).json();
    assert_eq!(told[0]["code"], code, "{told:#}");
    assert_eq!(told[0]["severity"], "error");
}

#[tokio::test]
async fn a_script_that_is_not_there_is_said_with_what_is_like_it() {
    let home = Home::new();
    let told = home.mmf(["script", "check", "sd3_txt2imgg", "--json"]);
    let told = told.run().await.exits(6).json();
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .contains("did you mean \"sd3_txt2img\""),
        "{told}"
    );
}

#[tokio::test]
async fn parameters_that_are_handed_on_count_as_read_where_they_are() {
    let home = Home::new();
    home.write(
        ".mmf/scripts/lib/mine.rhai",
        "fn paint(g, p) { g.node(\"EmptyImage\", #{ width: p.WIDTH, height: p.get(\"HEIGHT\") ?? 8 }) }",
    );
    home.write(
        ".mmf/templates/mine.rhai",
        r#"import "mine" as mine;
param("WIDTH", "int", #{ value: 64 });
param("HEIGHT", "int", #{ value: 64 });
param("COUNT", "int", #{ value: 1 });
param("DEPTH", "int", #{ value: 1 });
fn build(p) {
    let g = workflow();
    let once = || mine::paint(g, p);
    for i in 0..p.COUNT { once.call(); }
    g
}
"#,
    );
    let told = home.mmf(["script", "check", "mine", "--json"]);
    let told = told.run().await.exits(0).json();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told[0]["message"], "nothing reads the parameter \"DEPTH\"");
    assert_eq!(
        (&told[0]["line"], &told[0]["column"]),
        (&json!(5), &json!(7))
    );
}

#[tokio::test]
async fn scripts_that_are_run_by_name_are_held_against_those_there_are() {
    let home = Home::new();
    home.write(
        ".mmf/scripts/pipelines/mine.rhai",
        r#"fn run(p) {
    let g = templates::build("sd3_txt2imgg", #{ PROMPT: "a fox" });
    let g = templates::build("sd3_txt2img", #{ PROMT: "a fox", SEED: random_seed() });
    scripts::run("best_of", #{ PROMPT: "a fox", COUNT: 2 })
}
"#,
    );
    let told = home.mmf(["script", "check", "mine", "--json"]);
    let told = told.run().await.exits(0).json();
    let said: Vec<(&Value, &Value, &Value)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["code"], &it["line"], &it["message"]))
        .collect();
    assert_eq!(
        said,
        [
            (
                &json!("unknown-script"),
                &json!(2),
                &json!("no template \"sd3_txt2imgg\", did you mean \"sd3_txt2img\"?")
            ),
            (
                &json!("unknown-parameter"),
                &json!(3),
                &json!("template \"sd3_txt2img\" has no parameter \"PROMT\"")
            ),
        ]
    );
}

async fn made(home: &Home, kind: &str) -> Ran {
    let name = format!("my_{kind}");
    home.mmf(["script", "new", kind, &name])
        .run()
        .await
        .exits(0)
}

#[rstest]
#[tokio::test]
async fn what_one_begins_with_is_right_tested_and_runs(
    #[values("template", "pipeline", "tool", "prompt", "resource", "fixer", "lib")] kind: &str,
) {
    let home = Home::new();
    home.write(".mmf/config.toml", "");
    let ran = made(&home, kind).await;
    let path = ran.stdout.lines().next().unwrap();
    assert!(
        path.contains("/.mmf/") && std::path::Path::new(path).is_file(),
        "{path}"
    );
    let name = format!("my_{kind}");
    assert!(ran.stdout.contains(&format!("mmf script test {name}")));

    let checked = home.mmf(["script", "check", &name, "--strict", "--json"]);
    assert_eq!(checked.run().await.exits(0).json(), json!([]));
    let tested = home.mmf(["script", "test", &name, "--json"]);
    let tested = tested.run().await.exits(0).json();
    assert!(tested["passed"].as_u64() >= Some(1), "{tested:#}");

    let again = home.mmf(["script", "new", kind, &name]).run().await;
    assert!(
        again.exits(3).stderr.contains("already"),
        "nothing is replaced"
    );
    let other = home.mmf(["script", "new", kind, "../x"]).run().await;
    assert!(other.exits(1).stderr.contains("no name for a script"));
}

#[tokio::test]
async fn what_one_begins_with_runs_on_the_simulator() {
    let home = Home::new();
    for kind in ["template", "pipeline", "tool"] {
        made(&home, kind).await;
    }
    let picture = home.mmf(["run", "my_template", "--sim", "--WIDTH", "128"]);
    assert!(picture.run().await.exits(0).stdout.contains("128x512"));
    let pictures = home.mmf(["run", "my_pipeline", "--sim", "--json"]);
    let pictures = pictures.run().await.exits(0).json();
    assert_eq!(pictures["pictures"].as_array().unwrap().len(), 3);
    let names = home.mmf(["call", "my_tool", "--sim", r#"{"words": "sampler"}"#]);
    let names = names.run().await.exits(0).json();
    assert_eq!(names["names"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_kind_that_is_none_is_told_the_kinds() {
    let home = Home::new();
    let ran = home.mmf(["script", "new", "workflow", "x"]).run().await;
    let said = ran.exits(3).stderr;
    assert!(said.contains("the kinds are template, tool"), "{said}");
}
