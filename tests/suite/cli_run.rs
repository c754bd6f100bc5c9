//! `mmf run`: parameters in, files and one result out, and an exit code that says how it went.

use std::path::Path;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::mmf::{Home, PATIENCE, Ran, sim, sim_with_steps};
use crate::support::sim::get;

/// The arguments for a small picture, with some more.
fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let template = [
        "run",
        "sd3_txt2img",
        "--PROMPT",
        "a red fox",
        "--WIDTH",
        "64",
        "--HEIGHT",
        "64",
    ];
    let steps: &[&str] = if more.contains(&"--STEPS") {
        &[]
    } else {
        &["--STEPS", "4"]
    };
    [&template, steps, &["--json"], more].concat()
}

/// A template whose second output lacks its picture.
const HALF: &str = r#"
title("Half");
about("One good output and one bad.");
fn build(p) {
    let g = workflow();
    let picture = g.node("EmptyImage", #{ width: 64, height: 64, batch_size: 1, color: 0 });
    g.node("SaveImage", #{ images: picture[0], filename_prefix: "good" });
    g.node("SaveImage", #{ filename_prefix: "bad" });
    g
}
"#;

#[tokio::test]
async fn the_result_is_all_that_stdout_carries() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let ran = home
        .mmf(small(&["-o", "pictures"]))
        .server(&comfy.url())
        .run()
        .await
        .exits(0);
    let result = ran.json();
    let output = &result["outputs"][0];
    let path = home.project().join(output["path"].as_str().unwrap());
    assert_eq!(path.parent(), Some(&*home.project().join("pictures")));
    assert_eq!(image::open(&path).unwrap().width(), 64);
    assert_eq!(
        (
            &result["status"],
            &output["type"],
            &output["width"],
            &output["height"]
        ),
        (
            &json!("completed"),
            &json!("images"),
            &json!(64),
            &json!(64)
        )
    );
    assert_eq!(output["bytes"], path.metadata().unwrap().len());
    assert_eq!(ran.stderr, "", "nothing worth a word");
}

#[tokio::test]
async fn a_person_reads_one_line_for_each_output() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let args: Vec<&str> = small(&["--BATCH", "2"])
        .into_iter()
        .filter(|arg| *arg != "--json")
        .collect();
    let ran = home.mmf(args).server(&comfy.url()).run().await.exits(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    for line in lines {
        let (path, size) = line.split_once("  ").unwrap();
        assert!(Path::new(path).is_file() && size == "64x64", "{line}");
    }
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut names = vec![];
    for _ in 0..3 {
        let ran = home
            .mmf(small(&["-o", "."]))
            .server(&comfy.url())
            .run()
            .await
            .exits(0);
        let path = ran.json()["outputs"][0]["path"]
            .as_str()
            .unwrap()
            .to_owned();
        names.push(
            Path::new(&path)
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned(),
        );
    }
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), 3, "{names:?}");
    assert!(
        names.iter().all(|name| home.project().join(name).is_file()),
        "{names:?}"
    );
}

#[tokio::test]
async fn every_way_to_write_a_parameter_means_the_same() {
    let home = Home::new();
    home.write(
        "params.json",
        &format!(
            "{{ \"PROMPT\": \"a \\\"fox\\\"\", \"SEED\": {} }}",
            u64::MAX
        ),
    );
    let seed = u64::MAX.to_string();
    let pair = format!("SEED={seed}");
    let inline = format!("{{\"PROMPT\": \"a \\\"fox\\\"\", \"SEED\": {seed}}}");
    let ways: [&[&str]; 6] = [
        &["--PROMPT", "a \"fox\"", "--SEED", &seed],
        &["--prompt", "a \"fox\"", "--seed", &seed],
        &["-p", "PROMPT=a \"fox\"", "-p", &pair],
        &["--params", &inline],
        &["--params", "@params.json"],
        // What is said beside the file counts more.
        &[
            "--params",
            "{\"PROMPT\": \"a cat\"}",
            "--PROMPT",
            "a \"fox\"",
            "-p",
            &pair,
        ],
    ];
    let mut workflows = vec![];
    for way in ways {
        let args = [&["run", "sd3_txt2img", "--workflow"], way].concat();
        workflows.push(home.mmf(args).run().await.exits(0).json());
    }
    assert!(
        workflows.iter().all(|workflow| *workflow == workflows[0]),
        "{workflows:#?}"
    );
    let inputs = |class: &str| -> Value {
        let mut nodes = workflows[0].as_object().unwrap().values();
        nodes.find(|node| node["class_type"] == class).unwrap()["inputs"].clone()
    };
    assert_eq!(inputs("KSampler")["seed"], u64::MAX);
    assert_eq!(inputs("CLIPTextEncode")["text"], "a \"fox\"");
}

#[tokio::test]
async fn a_value_may_begin_with_a_dash_or_be_empty() {
    let home = Home::new();
    for text in ["-1", "--sim", "-", ""] {
        let args = ["run", "sd3_txt2img", "--workflow", "--PROMPT", text];
        let workflow = home.mmf(args).run().await.exits(0).json();
        assert!(
            workflow
                .to_string()
                .contains(&json!({ "text": text }).to_string()[1..]),
            "{workflow:#}"
        );
    }
}

#[tokio::test]
async fn the_simulator_within_needs_no_server() {
    let home = Home::new();
    let first = home
        .mmf(small(&["--sim", "--SEED", "7"]))
        .run()
        .await
        .exits(0)
        .json();
    let again = home
        .mmf([&["--sim"], &*small(&["--SEED", "7"])].concat())
        .run()
        .await
        .exits(0)
        .json();
    let other = home
        .mmf(small(&["--sim", "--SEED", "8"]))
        .run()
        .await
        .exits(0)
        .json();
    let bytes =
        |result: &Value| std::fs::read(result["outputs"][0]["path"].as_str().unwrap()).unwrap();
    let pixels = |result: &Value| image::load_from_memory(&bytes(result)).unwrap();
    assert_eq!(bytes(&first), bytes(&again), "the same seed");
    assert_ne!(pixels(&first), pixels(&other), "another seed");
}

#[tokio::test]
async fn options_after_the_parameters_count_as_well() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let data = home.project().join("elsewhere");
    let template = data.join("templates/mine.rhai");
    std::fs::create_dir_all(template.parent().unwrap()).unwrap();
    std::fs::write(
        template,
        HALF.replace(
            "#{ filename_prefix: \"bad\" }",
            "#{ images: picture[0], filename_prefix: \"more\" }",
        ),
    )
    .unwrap();
    let url = comfy.url();
    let data_dir = format!("--data-dir={}", data.display());
    let args = ["run", "mine", "--json", "--url", &url, &data_dir];
    let result = home.mmf(args).run().await.exits(0).json();
    for output in result["outputs"].as_array().unwrap() {
        assert!(
            Path::new(output["path"].as_str().unwrap()).starts_with(&data),
            "{result:#}"
        );
    }
    assert!(!home.data().exists());
}

#[tokio::test]
async fn a_script_lying_anywhere_runs_by_its_path() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let colour = r#"
        param("COLOUR", "int", #{ value: 16711680 });
        fn build(p) {
            let g = workflow();
            let picture = g.node("EmptyImage", #{ width: 16, height: 16, batch_size: 1, color: p.COLOUR });
            g.node("SaveImage", #{ images: picture[0], filename_prefix: "colour" });
            g
        }"#;
    home.write("anywhere/colour.rhai", colour);
    let args = ["run", "anywhere/colour.rhai", "--COLOUR", "255", "--json"];
    let result = home
        .mmf(args)
        .server(&comfy.url())
        .run()
        .await
        .exits(0)
        .json();
    let picture = image::open(result["outputs"][0]["path"].as_str().unwrap()).unwrap();
    assert_eq!(picture.to_rgb8().get_pixel(8, 8).0, [0, 0, 255]);
}

#[tokio::test]
async fn a_pipeline_runs_templates_and_gives_its_own_result() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let pipeline = r#"
        title("Two");
        about("Two pictures.");
        param("PROMPT", "string", #{ required: true });
        fn run(p) {
            let ids = [];
            for seed in [1, 2] {
                let made = templates::build("sd3_txt2img", #{ PROMPT: p.PROMPT, SEED: seed, STEPS: 2 });
                ids.push(comfy::run(made).outputs[0].asset_id);
            }
            #{ assets: ids }
        }"#;
    home.write(".mmf/scripts/pipelines/two.rhai", pipeline);
    let run = home
        .mmf(["run", "two", "--PROMPT", "a fox"])
        .server(&comfy.url());
    let result = run.run().await.exits(0).json();
    let [first, second] = &result["assets"].as_array().unwrap()[..] else {
        panic!("{result:#}")
    };
    assert_ne!(first, second);
    let arguments = json!({ "asset_id": first }).to_string();
    let asset = home
        .mmf(["call", "get_asset_metadata", &arguments])
        .run()
        .await
        .exits(0)
        .json();
    let provenance = &asset["provenance"];
    assert_eq!(
        provenance["script"]["name"], "sd3_txt2img",
        "which made the workflow"
    );
    assert_eq!(provenance["parameters"]["SEED"], 1);
}

#[tokio::test]
async fn help_lists_the_parameters_of_the_script() {
    let home = Home::new();
    let ran = home
        .mmf(["run", "sd3_txt2img", "--help"])
        .run()
        .await
        .exits(0);
    insta::assert_snapshot!(ran.stdout);
}

#[tokio::test]
async fn a_time_limit_ends_the_wait_with_2_and_the_job_goes_on() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(50), &[]).await,
    );
    let ran = home
        .mmf(small(&["--timeout", "0.3", "--STEPS", "40"]))
        .server(&comfy.url())
        .run()
        .await;
    let failure = ran.exits(2).json();
    assert_eq!(failure["error"], "TIMEOUT", "{failure:#}");
    let arguments = json!({ "prompt_id": failure["prompt_id"] }).to_string();
    let wait = home
        .mmf(["call", "wait_for_completion", &arguments])
        .server(&comfy.url());
    assert_eq!(wait.run().await.exits(0).json()["status"], "completed");
}

#[tokio::test]
async fn what_is_not_valid_ends_with_3() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let wrong: [&[&str]; 6] = [
        &["run", "sd3_txt2img"],
        &["run", "sd3_txt2img", "--PROMPT", "x", "--WIDTH", "1001"],
        &["run", "sd3_txt2img", "--PROMPT", "x", "--WIDHT", "512"],
        &["run", "sd3_txt2img", "--params", "{PROMPT}"],
        &["run"],
        &["runn"],
    ];
    for args in wrong {
        let ran = home.mmf(args).server(&comfy.url()).run().await.exits(3);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
    let args = small(&["--MODEL", "none.safetensors"]);
    let failure = home
        .mmf(args)
        .server(&comfy.url())
        .run()
        .await
        .exits(3)
        .json();
    assert_eq!(failure["error"], "VALIDATION_ERROR", "{failure:#}");
    assert!(
        failure["node_errors"]
            .to_string()
            .contains("none.safetensors"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_half_success_ends_with_4_and_says_what_failed() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write("half.rhai", HALF);
    let result = home
        .mmf(["run", "half.rhai", "--json"])
        .server(&comfy.url())
        .run()
        .await
        .exits(4)
        .json();
    assert_eq!(result["outputs"].as_array().unwrap().len(), 1, "{result:#}");
    assert_eq!(
        result["node_errors"]["3"]["class_type"], "SaveImage",
        "{result:#}"
    );
    let said = home
        .mmf(["run", "half.rhai"])
        .server(&comfy.url())
        .run()
        .await
        .exits(4);
    assert!(
        said.stderr.contains("Required input is missing"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn no_server_ends_with_5_and_says_where_it_was_looked_for() {
    let home = Home::new();
    let said = home
        .mmf(["run", "sd3_txt2img", "--PROMPT", "x"])
        .run()
        .await
        .exits(5);
    assert!(
        said.stderr.contains("http://127.0.0.1:1"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("hint: start ComfyUI"),
        "{}",
        said.stderr
    );
    assert_eq!(
        home.mmf(small(&[])).run().await.exits(5).json()["error"],
        "CONNECTION_ERROR"
    );
}

#[tokio::test]
async fn what_is_not_there_ends_with_6() {
    let home = Home::new();
    let said = home.mmf(["run", "sd3_txt2im"]).run().await.exits(6);
    assert!(
        said.stderr.contains("did you mean \"sd3_txt2img\"?"),
        "{}",
        said.stderr
    );
    home.mmf(["run", "nowhere.rhai"]).run().await.exits(6);
}

/// Runs the small template on a server with faults.
async fn with_faults(faults: &[&str]) -> Ran {
    let (home, comfy) = (Home::new(), sim(faults).await);
    home.mmf(small(&[])).server(&comfy.url()).run().await
}

#[tokio::test]
async fn a_full_graphics_card_ends_with_7() {
    let failure = with_faults(&["oom@KSampler"]).await.exits(7).json();
    assert_eq!(
        (&failure["error"], &failure["node_type"]),
        (&json!("OUT_OF_MEMORY"), &json!("KSampler"))
    );
}

#[tokio::test]
async fn a_node_that_fails_ends_with_1_and_speaks_for_itself() {
    let failure = with_faults(&["fail@KSampler:ValueError: no such thing"])
        .await
        .exits(1)
        .json();
    assert_eq!(failure["error"], "EXECUTION_ERROR", "{failure:#}");
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("no such thing"),
        "{failure:#}"
    );
}

#[tokio::test]
async fn a_server_that_forgets_the_job_ends_with_1() {
    let failure = with_faults(&["slow=50ms", "restart@VAEDecode*1"])
        .await
        .exits(1)
        .json();
    assert_eq!(failure["error"], "JOB_LOST", "{failure:#}");
}

#[tokio::test]
async fn what_a_run_survives_is_not_even_mentioned_in_its_result() {
    for fault in [
        "drop@KSampler*1",
        "drop=3*1",
        "late-history=300ms",
        "lose=execution_success",
        "prompt-error*1",
    ] {
        let result = with_faults(&[fault]).await.exits(0).json();
        assert_eq!(
            result["outputs"].as_array().unwrap().len(),
            1,
            "{fault}: {result:#}"
        );
    }
}

#[cfg(unix)]
#[rstest]
#[case::ctrl_c("-INT")]
#[case::terminate("-TERM")]
#[tokio::test]
async fn an_interrupt_cancels_the_job_on_the_server_and_ends_with_130(#[case] signal: &str) {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(50), &[]).await,
    );
    let queue = |home: &Home| home.mmf(["call", "get_queue_status"]).server(&comfy.url());
    let run = home
        .mmf(small(&["--STEPS", "150"]))
        .server(&comfy.url())
        .spawn();
    while queue(&home).run().await.exits(0).json()["running"] != 1 {}

    let pid = run.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let failure = Ran::end(run).await.exits(130).json();
    assert_eq!(failure["error"], "CANCELLED", "{failure:#}");
    while queue(&home).run().await.exits(0).json()["running"] != 0 {}
    let history = get(&comfy, "/history").await.to_string();
    assert!(history.contains("execution_interrupted"), "{history}");
}

#[tokio::test]
async fn a_parameter_may_be_called_like_an_option_of_mmf() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let names = [
        "set", "data_dir", "URL", "json", "help", "workflow", "timeout", "Seed", "seed",
    ];
    let params: String = names
        .map(|name| format!("param(\"{name}\", \"string\");\n"))
        .concat();
    home.write(
        ".mmf/scripts/pipelines/echo.rhai",
        &format!("{params}fn run(p) {{ p }}"),
    );
    let args = [
        "run",
        "echo",
        "--set",
        "1",
        "--data_dir",
        "2",
        "--URL",
        "3",
        "-p",
        "json=4",
        "-p",
        "help=5",
        "--workflow",
        "6",
        "--timeout",
        "7",
        "--Seed",
        "8",
        "--seed",
        "9",
        "--url",
        &comfy.url(),
    ];
    let echoed = home.mmf(args).run().await.exits(0).json();
    for (name, value) in names.iter().zip(1..) {
        assert_eq!(echoed[name], value.to_string(), "{name}: {echoed:#}");
    }
}

#[tokio::test]
async fn the_help_of_run_lists_its_own_options() {
    let home = Home::new();
    for args in [&["run", "--help"][..], &["help", "run"]] {
        let shown = home.mmf(args).run().await.exits(0).stdout;
        for option in [
            "-p <",
            "--params",
            "--json",
            "--output",
            "--workflow",
            "--timeout",
        ] {
            assert!(shown.contains(option), "{option}\n{shown}");
        }
    }
}

#[tokio::test]
async fn options_before_the_name_count_as_well() {
    let home = Home::new();
    let args = [
        "run",
        "--workflow",
        "-p",
        "SEED=5",
        "sd3_txt2img",
        "--PROMPT",
        "a fox",
    ];
    let workflow = home.mmf(args).run().await.exits(0).json();
    assert!(workflow.to_string().contains("\"seed\":5"), "{workflow:#}");
    let args = ["run", "--workflow", "get_queue_status"];
    let said = home.mmf(args).run().await.exits(3).stderr;
    assert!(said.contains("--workflow is for templates"), "{said}");
}

#[tokio::test]
async fn whoever_asks_for_json_gets_json_whatever_is_wrong() {
    let home = Home::new();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["run", "nosuch", "--json"], 6, "NOT_FOUND"),
        (
            &["run", "sd3_txt2img", "--params", "{", "--json"],
            3,
            "INVALID_PARAMS",
        ),
        (
            &["run", "sd3_txt2img", "--json", "--nosuch", "5"],
            3,
            "INVALID_PARAMS",
        ),
        (
            &["run", "--json", "sd3_txt2img", "--timeout", "-1"],
            3,
            "INVALID_PARAMS",
        ),
        (
            &["run", "sd3_txt2img", "--json", "--url", "not an address"],
            3,
            "INVALID_PARAMS",
        ),
    ];
    for (args, code, error) in cases {
        let failure = home.mmf(args).run().await.exits(code).json();
        assert_eq!(failure["error"], error, "{args:?}: {failure:#}");
    }
}

#[tokio::test]
async fn a_time_limit_that_is_none_is_refused() {
    let home = Home::new();
    for limit in ["--timeout=-1", "--timeout=nan", "--timeout=soon"] {
        let args = ["run", "sd3_txt2img", "--PROMPT", "x", limit];
        let said = home.mmf(args).run().await.exits(3).stderr;
        assert!(said.contains("number of seconds"), "{said}");
    }
}

#[tokio::test]
async fn the_assets_of_a_pipeline_are_copied_too() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let pipeline = r#"
        fn run(p) {
            let made = templates::build("sd3_txt2img", #{ PROMPT: "a fox", STEPS: 1, WIDTH: 64, HEIGHT: 64, BATCH: 2 });
            #{ best: comfy::run(made).outputs }
        }"#;
    home.write(".mmf/scripts/pipelines/pair.rhai", pipeline);
    let run = home.mmf(["run", "pair", "-o", "pictures"]);
    run.server(&comfy.url()).run().await.exits(0);
    let copied: Vec<_> = std::fs::read_dir(home.project().join("pictures"))
        .unwrap()
        .map(|entry| image::open(entry.unwrap().path()).unwrap().width())
        .collect();
    assert_eq!(copied, [64, 64]);
}

#[tokio::test]
async fn what_a_template_takes_is_refused_by_other_scripts() {
    let home = Home::new();
    for option in ["--workflow", "--timeout=5"] {
        let said = home.mmf(["run", "get_queue_status", option]).run().await;
        let said = said.exits(3).stderr;
        assert!(said.contains("unexpected argument"), "{said}");
    }
}

#[tokio::test]
async fn a_mistake_in_a_script_is_shown_with_one_piece_of_advice() {
    let home = Home::new();
    let broken = home.write("broken.rhai", "fn build(p) {\n  let x = ;\n}");
    let broken = broken.to_str().unwrap();
    let said = home.mmf(["run", broken]).run().await.exits(3).stderr;
    assert!(said.contains("broken.rhai:2:"), "{said}");
    assert!(!said.contains("hint:"), "{said}");
    let misspelt = "param(\"SIZE\", \"int\", #{ value: 1 });\nfn build(p) {\n  p.SIZ\n}";
    home.write("misspelt.rhai", misspelt);
    let run = home.mmf(["run", "misspelt.rhai", "--workflow"]);
    let said = run.run().await.exits(3).stderr;
    assert_eq!(said.matches("SIZE").count(), 1, "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_ctrl_c_does_not_wait_for_the_server() {
    // Connections are taken and never answered, so nothing can be cancelled.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let home = Home::new();
    let mut run = home.mmf(small(&[])).server(&url).spawn();
    let pid = run.id().unwrap().to_string();
    let interrupt = || Command::new("kill").args(["-INT", &pid]).status();

    let _held = timeout(PATIENCE, silent.accept())
        .await
        .expect("it asks")
        .unwrap();
    assert!(interrupt().await.unwrap().success());
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    let line = timeout(PATIENCE, said.next_line()).await.expect("a word");
    assert!(line.unwrap().unwrap().contains("cancelling"));
    assert!(interrupt().await.unwrap().success());
    let ran = Ran::end(run).await.exits(130);
    assert_eq!(ran.stdout, "", "it would have told how the cancelling went");
}

const RED: &str = r#"
title("Red");
about("A red square.");
fn build(p) {
    let g = workflow();
    let red = g.node("EmptyImage", #{ width: 8, height: 8, batch_size: 1, color: 16711680 });
    g.node("SaveImage", #{ images: red[0], filename_prefix: "red" });
    g
}
"#;

const ECHO: &str = r#"
title("Echo");
about("The same picture.");
param("IMAGE_PATH", "image", #{ required: true });
fn build(p) {
    let g = workflow();
    let picture = g.node("LoadImage", #{ image: p.IMAGE_PATH });
    g.node("SaveImage", #{ images: picture[0], filename_prefix: "echo" });
    g
}
"#;

#[tokio::test]
async fn a_bare_name_is_the_file_here_unless_the_server_has_one_of_that_name() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(".mmf/templates/red.rhai", RED);
    home.write(".mmf/templates/echo.rhai", ECHO);
    let run = |words: &[&str]| home.mmf(words.iter().copied()).server(&comfy.url()).run();
    run(&["run", "red", "-o", "out"]).await.exits(0);
    let mut made = std::fs::read_dir(home.project().join("out")).unwrap();
    let made = made.next().unwrap().unwrap().path();
    std::fs::rename(made, home.project().join("fox.png")).unwrap();

    let ran = run(&["run", "echo", "--IMAGE_PATH", "fox.png"])
        .await
        .exits(0);
    assert!(ran.stderr.contains("uploading ./fox.png"), "{}", ran.stderr);

    let upload = r#"{"image_path": "./fox.png", "filename": "fox.png"}"#;
    run(&["call", "upload_image", upload]).await.exits(0);
    let ran = run(&["run", "echo", "--IMAGE_PATH", "fox.png"])
        .await
        .exits(0);
    assert!(
        ran.stderr
            .contains("fox.png is the one in the server's input folder"),
        "{}",
        ran.stderr
    );
}
