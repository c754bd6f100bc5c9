//! The commands beside `mmf run`: demo, call, sim, doctor, nodes, script.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, PATIENCE, Ran, sim, sim_with_steps};

/// The files that a demo says it made, with their hashes.
async fn demo(home: &Home) -> Vec<(String, String)> {
    let dir = home.project().join("demo");
    let shown = home
        .mmf(["demo", "--dir", dir.to_str().unwrap()])
        .run()
        .await
        .exits(0)
        .stdout;
    let paths = shown.lines().filter_map(|line| line.strip_prefix("   "));
    let made = paths.map(|path| {
        assert!(Path::new(path).starts_with(&dir), "{shown}");
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}\n{shown}"));
        assert!(image::load_from_memory(&bytes).unwrap().width() > 0);
        (path.to_owned(), blake3::hash(&bytes).to_hex().to_string())
    });
    made.collect()
}

#[tokio::test]
async fn the_demo_makes_two_pictures_and_publishes_one() {
    let home = Home::new();
    let made = demo(&home).await;
    let [first, second, published] = &made[..] else {
        panic!("{made:?}")
    };
    assert_ne!(first.1, second.1, "another seed");
    assert!(
        published.0.ends_with("public/gen/hero.png"),
        "{published:?}"
    );

    let hashes = |made: &[(String, String)]| {
        made.iter()
            .map(|(_, hash)| hash.clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        hashes(&demo(&home).await),
        hashes(&made),
        "the same seeds, in the same folder"
    );
    assert_eq!(
        hashes(&demo(&Home::new()).await),
        hashes(&made),
        "and elsewhere"
    );
}

#[tokio::test]
async fn a_call_from_the_shell_answers_what_an_agent_gets() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(json!({ "PROMPT": "a fox", "STEPS": 2 })).await;
    let done = client.wait(&prompt_id).await;
    let calls = [
        ("list_assets", json!({ "limit": 5 })),
        (
            "get_asset_metadata",
            json!({ "asset_id": done["outputs"][0]["asset_id"] }),
        ),
        ("get_template", json!({ "name": "sd3_txt2img" })),
        ("get_queue_status", json!({})),
        ("wait_for_completion", json!({ "prompt_id": prompt_id })),
    ];
    for (tool, arguments) in calls {
        let mut over_mcp = client.call(tool, arguments.clone()).await;
        let call = home
            .mmf(["call", tool, &arguments.to_string()])
            .server(&comfy.url());
        let mut on_shell = call.run().await.exits(0).json();
        for answer in [&mut over_mcp, &mut on_shell] {
            // A job asked for again by another process makes assets of its own only if need be.
            if let Some(output) = answer.pointer_mut("/outputs/0/asset_id") {
                output.take();
            }
        }
        assert_eq!(on_shell, over_mcp, "{tool}");
    }
    let refused = json!({ "prompt_id": 5 });
    let over_mcp = client
        .call_fails("wait_for_completion", refused.clone())
        .await;
    let call = home
        .mmf(["call", "wait_for_completion", &refused.to_string()])
        .run()
        .await;
    assert_eq!(call.exits(3).json(), over_mcp);
}

#[tokio::test]
async fn arguments_of_a_call_come_from_a_file_or_from_stdin() {
    let home = Home::new();
    home.write("name.json", "{\"name\": \"sd3_txt2img\"}");
    let of_file = home
        .mmf(["call", "get_template", "@name.json"])
        .run()
        .await
        .exits(0)
        .json();
    let mut child = home.mmf(["call", "get_template", "@-"]).spawn();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"{\"name\": \"sd3_txt2img\"}")
        .await
        .unwrap();
    drop(stdin);
    assert_eq!(Ran::end(child).await.exits(0).json(), of_file);
    assert_eq!(of_file["name"], "sd3_txt2img");

    assert_eq!(
        home.mmf(["call", "get_template", "@none"])
            .run()
            .await
            .exits(6)
            .json()["error"],
        "NOT_FOUND"
    );
    assert_eq!(
        home.mmf(["call", "get_template", "[1]"])
            .run()
            .await
            .exits(3)
            .json()["error"],
        "INVALID_PARAMS"
    );
    assert_eq!(
        home.mmf(["call", "get_templat"])
            .run()
            .await
            .exits(6)
            .json()["error"],
        "NOT_FOUND"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_simulator_prints_its_address_and_serves_until_it_is_interrupted() {
    let home = Home::new();
    let args = [
        "sim",
        "--listen",
        "127.0.0.1:0",
        "--fault",
        "oom@KSampler*1",
    ];
    let mut simulator = home.mmf(args).spawn();
    let mut lines = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let url = timeout(PATIENCE, lines.next_line())
        .await
        .expect("an address")
        .unwrap()
        .unwrap();

    let run = ["run", "sd3_txt2img", "--PROMPT", "a fox", "--STEPS", "2"];
    home.mmf(run).server(&url).run().await.exits(7);
    home.mmf(run).server(&url).run().await.exits(0);

    let pid = simulator.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    Ran::end(simulator).await.exits(0);
    home.mmf(run).server(&url).run().await.exits(5);
}

#[tokio::test]
async fn a_fault_that_there_is_not_is_refused_with_those_that_there_are() {
    let home = Home::new();
    let said = home
        .mmf(["sim", "--fault", "explode"])
        .run()
        .await
        .exits(3)
        .stderr;
    assert!(
        said.contains("unknown fault \"explode\"") && said.contains("oom@NODE"),
        "{said}"
    );
}

#[tokio::test]
async fn the_doctor_finds_everything_in_place() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let found = home
        .mmf(["doctor", "--json"])
        .server(&comfy.url())
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(found["healthy"], true, "{found:#}");
    let findings = found["findings"].as_array().unwrap();
    let found = |what: &str| {
        findings
            .iter()
            .find(|finding| finding["what"] == what)
            .unwrap()["found"]
            .clone()
    };
    assert_eq!(found("ComfyUI"), format!("0.33.0 at {}", comfy.url()));
    assert!(
        found("node classes")
            .as_str()
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 800
    );
}

#[tokio::test]
async fn the_doctor_says_what_to_do_about_a_server_that_is_not_there() {
    let home = Home::new();
    let shown = home.mmf(["doctor"]).run().await.exits(1).stdout;
    let bad: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("BAD"))
        .collect();
    assert!(bad.len() == 1 && bad[0].contains("ComfyUI"), "{shown}");
    assert!(shown.contains("-> start ComfyUI"), "{shown}");
}

#[tokio::test]
async fn the_doctor_names_a_broken_script() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(".mmf/templates/mine.rhai", "fn build(p) {\n  let x = ;\n}");
    let shown = home
        .mmf(["doctor"])
        .server(&comfy.url())
        .run()
        .await
        .exits(1)
        .stdout;
    assert!(
        shown.contains("1 broken") && shown.contains("mine.rhai:2:"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_snapshot_of_the_nodes_can_be_read_back() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let ran = home
        .mmf(["nodes", "snapshot"])
        .server(&comfy.url())
        .run()
        .await
        .exits(0);
    assert_eq!(ran.stdout, "nodes-0.33.0.json.gz\n");
    let file = home.project().join("nodes-0.33.0.json.gz");
    let snapshot = massmediafactory::comfy::nodes::Snapshot::read(&file).unwrap();
    assert_eq!(snapshot.comfyui_version, "0.33.0");
    assert!(snapshot.facts.class("KSampler").is_some());
    home.mmf(["nodes", "snapshot", "x.json.gz"])
        .run()
        .await
        .exits(5);
    assert!(!home.project().join("x.json.gz").exists());
}

#[tokio::test]
async fn the_list_of_scripts_says_where_each_comes_from() {
    let home = Home::new();
    let template = "title(\"Mine\"); about(\"My own.\"); fn build(p) { workflow() }";
    home.write(".mmf/templates/mine.rhai", template);
    home.write(".mmf/templates/sd3_txt2img.rhai", template);
    let listed = home
        .mmf(["script", "list", "--json"])
        .run()
        .await
        .exits(0)
        .json();
    let layer = |name: &str| -> Value {
        let scripts = listed["scripts"].as_array().unwrap();
        scripts
            .iter()
            .find(|script| script["name"] == name)
            .unwrap()["layer"]
            .clone()
    };
    assert_eq!(layer("mine"), "project");
    assert_eq!(layer("sd3_txt2img"), "project", "the nearest wins");
    assert_eq!(layer("execute_workflow"), "built-in");
}

#[tokio::test]
async fn settings_of_the_project_count_and_a_wrong_one_is_named() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let file = home.write(
        ".mmf/config.toml",
        &format!("[comfyui]\nurl = \"{}\"\n", comfy.url()),
    );
    let mut call = home.mmf(["call", "get_queue_status"]).into_command();
    let answered = call.env_remove("COMFYUI_URL").output().await.unwrap();
    assert!(answered.status.success(), "{answered:?}");

    std::fs::write(file, "[comfyui]\nulr = \"http://x\"\n").unwrap();
    let said = home.mmf(["script", "list"]).run().await.exits(3).stderr;
    assert!(
        said.contains("ulr") && said.contains("config.toml"),
        "{said}"
    );
}

#[tokio::test]
async fn a_secret_header_reaches_the_server_and_nothing_else() {
    let home = Home::new();
    let call = home.mmf(["-vv", "call", "get_queue_status"]);
    let ran = call
        .env("COMFYUI_HEADERS", "Authorization: Bearer s3cret")
        .run()
        .await
        .exits(5);
    assert!(
        !ran.stderr.contains("s3cret") && !ran.stdout.contains("s3cret"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn the_answer_of_a_call_decides_how_it_ends() {
    let (home, comfy) = (
        Home::new(),
        sim_with_steps(Duration::from_millis(50), &[]).await,
    );
    let call = |tool: &str, arguments: Value| {
        let call = home.mmf(["call", tool, &arguments.to_string()]);
        call.server(&comfy.url()).run()
    };
    let picture = json!({ "class_type": "EmptyImage",
        "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } });
    let good = json!({ "class_type": "SaveImage",
        "inputs": { "images": ["1", 0], "filename_prefix": "good" } });
    let bad = json!({ "class_type": "SaveImage", "inputs": { "filename_prefix": "bad" } });

    let none = json!({ "workflow": { "3": bad } });
    let verdict = call("validate_workflow", none).await.exits(3).json();
    assert_eq!(verdict["valid"], false);

    let half = json!({ "workflow": { "1": picture, "2": good, "3": bad } });
    let queued = call("execute_workflow", half.clone()).await.exits(4).json();
    assert_eq!(queued["status"], "queued");
    let run = home.mmf(["run", "execute_workflow", "--params", &half.to_string()]);
    run.server(&comfy.url()).run().await.exits(4);

    let long = json!({ "name": "sd3_txt2img", "params": { "PROMPT": "a fox", "STEPS": 100 } });
    let built = call("create_workflow_from_template", long)
        .await
        .exits(0)
        .json();
    let queued = call("execute_workflow", json!({ "workflow": built["workflow"] })).await;
    let prompt_id = queued.exits(0).json()["prompt_id"].clone();
    let wait = json!({ "prompt_id": prompt_id, "timeout_seconds": 0.1 });
    let waited = call("wait_for_completion", wait).await.exits(2).json();
    assert_eq!(waited["status"], "timeout");
}

/// What the doctor finds wrong: what it is, and in which words.
async fn ailments(mut command: Command) -> Vec<(String, String)> {
    let output = command.output().await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["ok"] == false)
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            (text("what"), text("found"))
        })
        .collect()
}

#[tokio::test]
async fn settings_that_make_no_sense_are_a_finding() {
    let home = Home::new();
    let doctor = home.mmf(["doctor", "--json"]).server("not an address");
    let found = ailments(doctor.into_command()).await;
    assert!(found.len() == 1 && found[0].0 == "settings", "{found:?}");
}

#[tokio::test]
async fn a_publish_folder_that_may_not_be_stops_publishing_and_nothing_else() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    home.write(".mmf/config.toml", "[publish]\ndir = \"/etc/zz\"\n");
    let call = home.mmf(["call", "get_queue_status"]);
    call.server(&comfy.url()).run().await.exits(0);
    let doctor = home.mmf(["doctor", "--json"]).server(&comfy.url());
    let found = ailments(doctor.into_command()).await;
    assert!(found.len() == 1 && found[0].0 == "publishing", "{found:?}");
    assert!(found[0].1.contains("/etc/zz"), "{found:?}");
}

#[tokio::test]
async fn a_project_does_not_get_the_headers_of_its_user() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let theirs = format!("[comfyui]\nurl = \"{}\"\n", comfy.url());
    home.write(".mmf/config.toml", &theirs);
    let mine = "[comfyui]\nurl = \"http://mine\"\nheaders = \"Authorization: Bearer s3cret\"\n";
    home.write("settings/massmediafactory/config.toml", mine);
    let mut doctor = home.mmf(["doctor", "--json"]).into_command();
    doctor.env_remove("COMFYUI_URL");
    doctor.env("XDG_CONFIG_HOME", home.project().join("settings"));
    let found = ailments(doctor).await;
    if cfg!(target_os = "linux") {
        assert!(found.len() == 1 && found[0].0 == "headers", "{found:?}");
        assert!(found[0].1.contains(&comfy.url()), "{found:?}");
    }
    assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
}

#[tokio::test]
async fn the_demo_lies_in_a_folder_of_its_user() {
    let home = Home::new();
    let shown = home.mmf(["demo"]).run().await.exits(0).stdout;
    let home = home.project().parent().unwrap().to_owned();
    let paths = shown.lines().filter_map(|line| line.strip_prefix("   "));
    for path in paths {
        assert!(Path::new(path).starts_with(&home), "{shown}");
    }
}

#[tokio::test]
async fn a_demo_whose_workflow_is_not_valid_says_so_and_fails() {
    let home = Home::new();
    let template = r#"
        param("PROMPT", "any");
        param("SEED", "any");
        param("WIDTH", "any");
        param("HEIGHT", "any");
        fn build(p) { let g = workflow(); g.node("SaveImage", #{ filename_prefix: "x" }); g }"#;
    home.write("demo/data/templates/sd3_txt2img.rhai", template);
    let said = home.mmf(["demo", "--dir", "demo"]).run().await.exits(3);
    assert!(said.stderr.contains("is not valid"), "{}", said.stderr);
    assert!(said.stderr.contains("SaveImage"), "{}", said.stderr);
}
