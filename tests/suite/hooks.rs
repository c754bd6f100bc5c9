//! The user's own policy: hooks that see every job before it is submitted and when it is over.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim, sim_with_steps};

fn small(seed: u64) -> Value {
    json!({ "PROMPT": "a fox", "STEPS": 1, "WIDTH": 64, "HEIGHT": 64, "SEED": seed })
}

/// A home with a hook of the user's own.
fn home(hook: &str, text: &str) -> Home {
    let home = Home::new();
    hooked(&home, hook, text);
    home
}

fn hooked(home: &Home, hook: &str, text: &str) {
    let folder = home.data().join("scripts/hooks");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{hook}.rhai")), text).unwrap();
}

/// Runs the small template from the shell, and gives what it says.
async fn run(home: &Home, url: &str, code: i32) -> (Value, String) {
    let args = [
        "run",
        "sd3_txt2img",
        "--PROMPT",
        "a fox",
        "--STEPS",
        "1",
        "--json",
    ];
    let ran = home.mmf(args).server(url).run().await.exits(code);
    (ran.json(), ran.stderr)
}

async fn jobs(home: &Home, url: &str) -> Vec<Value> {
    let listed = home.mmf(["jobs", "--json"]).server(url).run().await;
    let listed = listed.exits(0).json();
    let mut jobs = vec![];
    for job in listed["jobs"].as_array().unwrap() {
        let shown = home.mmf(["jobs", job["prompt_id"].as_str().unwrap()]);
        jobs.push(shown.server(url).run().await.exits(0).json());
    }
    jobs
}

const NAMES: &str = "fn before_submit(prompt, job) {\n    \
    for id in prompt.find(\"SaveImage\") { \
    prompt.set(id, \"filename_prefix\", \"house/\" + job.script.name); }\n}\n";

#[tokio::test]
async fn what_a_hook_changes_is_what_is_submitted_from_the_shell_and_by_agents() {
    let (home, comfy) = (home("before_submit", NAMES), sim(&[]).await);
    run(&home, &comfy.url(), 0).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small(1)).await;
    client.wait(&prompt_id).await;
    let jobs = jobs(&home, &comfy.url()).await;
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        let nodes = job["workflow"].as_object().unwrap().values();
        let mut saves = nodes.filter(|node| node["class_type"] == "SaveImage");
        let prefix = &saves.next().unwrap()["inputs"]["filename_prefix"];
        assert_eq!(prefix, "house/sd3_txt2img", "{job:#}");
        assert_eq!(job["origin"]["script"]["name"], "sd3_txt2img", "{job:#}");
    }
}

#[tokio::test]
async fn a_hook_refuses_a_job_before_the_server_hears_of_it() {
    let refuse = "fn before_submit(prompt, job) {\n    \
        throw #{ code: \"HOUSE_RULE\", message: \"not on Sundays\", hint: \"wait\" };\n}\n";
    let (home, comfy) = (home("before_submit", refuse), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let arguments = json!({ "name": "sd3_txt2img", "params": small(1) });
    let built = client
        .call("create_workflow_from_template", arguments)
        .await;
    let workflow = json!({ "workflow": built["workflow"] });
    let failure = client.call_fails("execute_workflow", workflow).await;
    assert_eq!(failure["error"], "HOUSE_RULE", "{failure:#}");
    assert_eq!(
        failure["message"],
        "the hook before_submit refuses the job: not on Sundays"
    );
    assert_eq!(failure["hook"], "before_submit");
    assert_eq!(jobs(&home, &comfy.url()).await, Vec::<Value>::new());

    // It is taken up while the server runs, as other scripts are.
    hooked(
        &home,
        "before_submit",
        "fn before_submit(prompt, job) { }\n",
    );
    let queued = async {
        loop {
            let workflow = json!({ "workflow": built["workflow"] });
            let told = client.call_raw("execute_workflow", workflow).await;
            if told["isError"] != true {
                return;
            }
        }
    };
    tokio::time::timeout(crate::support::mmf::PATIENCE, queued)
        .await
        .expect("the new hook is taken up");
}

#[tokio::test]
async fn a_spending_limit_counts_the_jobs_of_the_day() {
    let limit = "fn before_submit(prompt, job) {\n    \
        if job.submitted.today >= 2 { throw #{ code: \"SPENDING_LIMIT\", message: \"enough\" }; }\n    \
        if job.partner_nodes != [] || job.partner_jobs.today != 0 { throw \"none of these\"; }\n}\n";
    let (home, comfy) = (home("before_submit", limit), sim(&[]).await);
    for _ in 0..2 {
        run(&home, &comfy.url(), 0).await;
    }
    let (failure, _) = run(&home, &comfy.url(), 1).await;
    assert_eq!(failure["error"], "SPENDING_LIMIT", "{failure:#}");
    assert_eq!(jobs(&home, &comfy.url()).await.len(), 2);
}

#[tokio::test]
async fn jobs_queued_at_once_do_not_slip_past_a_limit() {
    let limit = "fn before_submit(prompt, job) {\n    \
        if job.submitted.today >= 3 { throw #{ code: \"SPENDING_LIMIT\", message: \"enough\" }; }\n}\n";
    let (home, comfy) = (home("before_submit", limit), sim(&[]).await);
    home.write(
        ".mmf/scripts/tools/many.rhai",
        "about(\"x\");\nfn one(seed) { try { comfy::submit(templates::build(\"sd3_txt2img\", \
         #{ PROMPT: \"a\", STEPS: 1, SEED: seed })); return 1; } catch { } 0 }\n\
         fn of(seed) { || one(seed) }\n\
         fn run(p) { let work = []; for i in 0..8 { work.push(of(i)); } \
         let sum = 0; for done in parallel(work) { sum += done; } #{ sum: sum } }",
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let told = client.call("many", json!({})).await;
    assert_eq!(told["sum"], 3, "{told:#}");
}

#[tokio::test]
async fn a_hook_that_cannot_be_read_lets_no_job_through() {
    let (home, comfy) = (
        home("before_submit", "fn before_submit(prompt"),
        sim(&[]).await,
    );
    let (failure, _) = run(&home, &comfy.url(), 3).await;
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.starts_with("the hook before_submit refuses the job"),
        "{message}"
    );
}

#[tokio::test]
async fn a_project_cannot_put_its_hook_in_the_place_of_the_users() {
    let refuse = "fn before_submit(prompt, job) { throw \"the user says no\"; }\n";
    let (home, comfy) = (home("before_submit", refuse), sim(&[]).await);
    let lax = "fn before_submit(prompt, job) { }\n";
    home.write(".mmf/scripts/hooks/before_submit.rhai", lax);
    let (failure, _) = run(&home, &comfy.url(), 3).await;
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("the user says no")
    );
}

#[tokio::test]
async fn a_hook_is_held_to_limits_and_submits_nothing() {
    let endless = "fn before_submit(prompt, job) { loop { } }\n";
    let (home, comfy) = (home("before_submit", endless), sim(&[]).await);
    home.settings("[scripts.limits]\noperations = 100000\n");
    let (failure, _) = run(&home, &comfy.url(), 1).await;
    assert_eq!(
        (&failure["error"], &failure["limit"]),
        (&json!("LIMIT_EXCEEDED"), &json!("operations")),
        "{failure:#}"
    );
    let recursive = "fn before_submit(prompt, job) { comfy::submit(prompt); }\n";
    hooked(&home, "before_submit", recursive);
    let (failure, _) = run(&home, &comfy.url(), 1).await;
    assert_eq!(failure["error"], "NOT_ALLOWED", "{failure:#}");
}

#[tokio::test]
async fn a_hook_is_told_of_what_was_made_and_its_failure_loses_nothing() {
    let fails = "fn after_complete(job, outputs) {\n    \
        throw `${job.script.name} made ${outputs.len()} of ${outputs[0].mime_type}`;\n}\n";
    let (home, comfy) = (home("after_complete", fails), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small(1)).await;
    let done = client.wait(&prompt_id).await;
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["outputs"].as_array().unwrap().len(), 1, "{done:#}");
    let said = "the hook after_complete failed: sd3_txt2img made 1 of image/png";
    assert_eq!(done["warnings"], json!([said]), "{done:#}");
    let jobs = jobs(&home, &comfy.url()).await;
    assert_eq!(jobs[0]["hook_failure"], said);
}

#[tokio::test]
async fn a_job_is_told_once_however_often_it_is_asked_for() {
    let save = "fn after_complete(job, outputs) {\n    \
        assets::save(outputs[0].asset_id, \"told.png\", false);\n}\n";
    let (home, comfy) = (home("after_complete", save), sim(&[]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small(1)).await;
    let done = client.wait(&prompt_id).await;
    assert_eq!(done.get("warnings"), None, "{done:#}");
    assert!(home.project().join("told.png").is_file());
    // A second time it could not be saved, for it is there.
    let mut other = McpClient::start(&home, &comfy.url()).await;
    let again = other.wait(&prompt_id).await;
    assert_eq!(again.get("warnings"), None, "{again:#}");
}

#[tokio::test]
async fn a_hook_is_told_of_what_failed() {
    let fails = "fn on_error(job, failure) { throw `told of ${failure.error}`; }\n";
    let (home, comfy) = (home("on_error", fails), sim(&["oom@KSampler*1"]).await);
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let (_, prompt_id) = client.queue(small(1)).await;
    let arguments = json!({ "prompt_id": prompt_id });
    let failure = client.call_fails("wait_for_completion", arguments).await;
    assert_eq!(failure["error"], "OUT_OF_MEMORY", "{failure:#}");
    let said = json!(["the hook on_error failed: told of OUT_OF_MEMORY"]);
    assert_eq!(failure["warnings"], said, "{failure:#}");
}

#[tokio::test]
async fn a_run_that_is_gone_on_with_does_not_ask_again_for_the_jobs_that_it_had() {
    // Each time that it is asked it puts its mark before the name.
    let marks = "fn before_submit(prompt, job) {\n    \
        for node in prompt.nodes() { if node.class_type == \"SaveImage\" { \
        prompt.set(node.id, \"filename_prefix\", \"asked_\" + node.inputs.filename_prefix); } }\n}\n";
    let home = home("before_submit", marks);
    home.write(".mmf/config.toml", "[mcp]\ncall_limit_seconds = 0.2\n");
    home.write(
        ".mmf/scripts/tools/long.rhai",
        "about(\"x\");\nmeta(#{ long: true });\nfn run(p) { comfy::run(templates::build(\
         \"sd3_txt2img\", #{ PROMPT: \"a\", STEPS: 60, WIDTH: 64, HEIGHT: 64, SEED: 1 })) }",
    );
    let comfy = sim_with_steps(Duration::from_millis(20), &[]).await;
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let handle = client.call("long", json!({})).await;
    let arguments = json!({ "prompt_id": handle["run_id"] });
    loop {
        let status = client.call("get_workflow_status", arguments.clone()).await;
        if status["prompt_ids"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
        {
            break;
        }
    }
    client.kill().await;
    let mut next = McpClient::start(&home, &comfy.url()).await;
    loop {
        let waited = next.call("wait_for_completion", arguments.clone()).await;
        if waited["status"] != "working" {
            break;
        }
    }
    let jobs = jobs(&home, &comfy.url()).await;
    assert_eq!(jobs.len(), 1, "{jobs:#?}");
    let workflow = jobs[0]["workflow"].to_string();
    assert!(
        workflow.contains("asked_") && !workflow.contains("asked_asked_"),
        "{workflow}"
    );
}

#[tokio::test]
async fn a_new_hook_is_right_from_its_beginning() {
    let home = Home::new();
    for hook in ["before_submit", "after_complete", "on_error"] {
        home.mmf(["script", "new", "hook", hook])
            .run()
            .await
            .exits(0);
        home.mmf(["script", "check", hook]).run().await.exits(0);
        home.mmf(["script", "test", hook, "--sim"])
            .run()
            .await
            .exits(0);
    }
    let other = home.mmf(["script", "new", "hook", "whenever"]).run().await;
    assert_eq!(other.code, Some(3), "{other:?}");
    assert!(
        other
            .stderr
            .contains("before_submit, after_complete, on_error"),
        "{other:?}"
    );
}

#[tokio::test]
async fn the_hooks_of_the_examples_name_what_is_saved_and_collect_it() {
    let (home, comfy) = (Home::new(), sim(&[]).await);
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for hook in [
        "scripts/hooks/before_submit.rhai",
        "scripts/hooks/after_complete.rhai",
    ] {
        let text = fs::read_to_string(examples.join(hook)).unwrap();
        home.write(&format!(".mmf/{hook}"), &text);
    }
    run(&home, &comfy.url(), 0).await;
    let job = &jobs(&home, &comfy.url()).await[0];
    assert_eq!(job.get("hook_failure"), None, "{job:#}");
    assert!(job["workflow"].to_string().contains("\"house/"), "{job:#}");
    let made = fs::read_dir(home.project().join("made")).unwrap();
    assert_eq!(made.count(), 1);
}

#[tokio::test]
async fn no_script_puts_a_rule_of_its_own_in_the_place_of_the_users() {
    let home = home(
        "before_submit",
        "fn before_submit(prompt, job) { throw \"no\"; }\n",
    );
    home.settings("[scripts]\nallow_save = true\n");
    let mut client = McpClient::start(&home, NOWHERE).await;
    let asked = json!({
        "name": "before_submit", "kind": "hook", "overwrite": true,
        "source": "fn before_submit(prompt, job) { }",
    });
    let told = client.call_raw("save_script", asked).await;
    let told = &told["structuredContent"];
    assert_eq!(told["error"], "NOT_ALLOWED", "{told:#}");
    client.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_rule_that_can_not_be_read_is_not_taken_for_none() {
    let home = Home::new();
    let folder = home.data().join("scripts/hooks");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("before_submit.rhai"), [b'/', b'/', 0xe9, b'\n']).unwrap();
    let theirs = "fn before_submit(prompt, job) { }\n";
    home.write(".mmf/scripts/hooks/before_submit.rhai", theirs);
    let comfy = sim(&[]).await;
    let (told, _) = run(&home, &comfy.url(), 3).await;
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("before_submit") && message.contains("can't be read"),
        "{told:#}"
    );
}
