//! Scripts that mean harm or run wild: each ends at the limit that it went past, and nobody else
//! notices.

use std::cell::Cell;
use std::fs;

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::http::HttpServer;
use crate::support::mcp::McpClient;
use crate::support::mmf::{Home, NOWHERE, sim};

/// Tight, so that it is soon over.
const LIMITS: &str = "[scripts.limits]\noperations = 3000000\nseconds = 6\nmemory_mb = 128\n\
    map_entries = 1000\njobs = 5\nwritten_mb = 1\n";

/// The most that a server may ever take beside that, in MB: itself, and the result of one step that
/// is measured when it is there.
#[cfg(target_os = "linux")]
const BESIDE: u64 = 512;

const CALM: &str = "about(\"Adds.\");\nparam(\"n\", \"int\", #{ value: 1 });\n\
    fn run(p) { let sum = 0; for i in 0..100 { sum += p.n; } #{ sum: sum } }";

fn home() -> Home {
    let home = Home::new();
    home.settings(LIMITS);
    home.write(".mmf/scripts/tools/calm.rhai", CALM);
    home
}

fn hostile(home: &Home, text: &str) {
    let text = format!("about(\"Means harm.\");\n{text}");
    home.write(".mmf/scripts/tools/hostile.rhai", &text);
}

/// What the hostile tool is told, and how often another client was answered meanwhile.
async fn beside_a_calm_client(home: &Home, comfy: &str) -> (Value, usize) {
    let server = HttpServer::start(home, comfy).await;
    let (one, other) = (server.session().await, server.session().await);
    let is_over = Cell::new(false);
    let harm = async {
        let id = json!(1);
        let mut answer = one.begin(&id, "hostile", &json!({})).await;
        let told = answer.answer(&id).await;
        is_over.set(true);
        told
    };
    let calm = async {
        let mut calls = 0;
        while !is_over.get() {
            let calm = other.call("calm", &json!({ "n": calls })).await;
            assert_eq!(calm["sum"], calls * 100_usize, "{calm}");
            calls += 1;
        }
        calls
    };
    let (told, calls) = tokio::join!(harm, calm);
    let calm = other.call("calm", &json!({ "n": 7 })).await;
    assert_eq!(calm["sum"], 700, "the server goes on: {calm}");
    #[cfg(target_os = "linux")]
    {
        let most = server.peak_memory_mb();
        assert!(most < 128 + BESIDE, "it took {most} MB");
    }
    (told["result"]["structuredContent"].clone(), calls)
}

#[rstest]
#[case::endless_loop("fn run(p) { loop { } }", "operations")]
#[case::one_that_catches_its_end(
    "fn run(p) { loop { try { [1].map(|x| { loop { } }); } catch { } } }",
    "operations"
)]
#[case::one_within_another(
    "fn run(p) { loop { try { scripts::run(\"endless\", #{}); } catch { } } }",
    "operations"
)]
#[case::wide_fan_out(
    "fn run(p) { let work = []; for i in 0..500 { work.push(|| { loop { } }); } parallel(work) }",
    "operations"
)]
#[case::slow_steps(
    "fn run(p) { let a = []; a.pad(1000000, 1); let n = 0; loop { n += a.index_of(2); } }",
    "seconds"
)]
#[case::values_within_values("fn run(p) { let a = []; loop { a = [a]; } }", "seconds")]
#[case::deep_recursion("fn f(n) { 1 + f(n + 1) }\nfn run(p) { f(0) }", "call_levels")]
#[case::recursion_of_scripts("fn run(p) { scripts::run(\"hostile\", #{}) }", "nesting")]
#[case::deep_recursion_of_scripts(
    "fn f(n) { if n == 0 { return scripts::run(\"hostile\", #{}); } \
     1 + (2 + (3 + (4 + (5 + (6 + (7 + (8 + f(n - 1)))))))) }\nfn run(p) { f(55) }",
    "nesting"
)]
#[case::doubled_string("fn run(p) { let s = \"x\"; loop { s += s; } }", "string_mb")]
#[case::woven_string("fn run(p) { let s = \"x\"; loop { s = `${s}${s}`; } }", "string_mb")]
#[case::string_that_is_replaced(
    "fn run(p) { let s = \"x\"; for i in 0..23 { s += s; } let by = s; s.replace(\"x\", by); }",
    "string_mb"
)]
#[case::string_that_is_split(
    "fn run(p) { let s = \",\"; for i in 0..24 { s += s; } s.split(\",\").len() }",
    "array_items"
)]
#[case::doubled_array("fn run(p) { let a = [0]; loop { a += a; } }", "array_items")]
#[case::doubled_blob("fn run(p) { let b = blob(1000, 1); loop { b += b; } }", "array_items")]
#[case::growing_map(
    "fn run(p) { let m = #{}; let i = 0; loop { let n = #{}; n[\"key\" + i] = i; m += n; i += 1; } }",
    "map_entries"
)]
#[case::map_of_long_strings(
    "fn run(p) { let s = \"x\"; for i in 0..18 { s += s; } let m = #{}; let i = 0; \
     loop { m[\"key\" + i] = s + i; i += 1; } }",
    "memory_mb"
)]
#[case::long_strings_together(
    "fn f(s, n) { let more = s + n; f(more, n + 1) }\n\
     fn run(p) { let s = \"x\"; for i in 0..23 { s += s; } f(s, 0) }",
    "memory_mb"
)]
#[case::closures_in_closures(
    "fn run(p) { let f = || 1; loop { let g = f; f = || g; } }",
    "operations"
)]
#[case::arrays_in_closures(
    "fn g(a) { a }\nfn run(p) { let a = []; a.pad(500000, 1); let f = Fn(\"g\"); \
     loop { f = f.curry(a); } }",
    "memory_mb"
)]
#[case::branches_together(
    "fn wait(s, n) { let more = s + n; if n == 9 { wait_a_moment(more, n) } else { wait(more, n + 1) } }\n\
     fn wait_a_moment(s, n) { let i = 0; while i < 20000 { i += 1; } s.len() }\n\
     fn run(p) { let s = \"x\"; for i in 0..21 { s += s; } let work = []; \
     for i in 0..12 { work.push(|| wait(s, 0)); } parallel(work) }",
    "memory_mb"
)]
#[tokio::test]
async fn a_script_that_runs_wild_ends_at_its_limit_and_another_client_goes_on(
    #[case] text: &str,
    #[case] limit: &str,
) {
    let home = home();
    hostile(&home, text);
    home.write(
        ".mmf/scripts/tools/endless.rhai",
        "about(\"x\");\nfn run(p) { loop { } }",
    );
    let (told, calls) = beside_a_calm_client(&home, NOWHERE).await;
    assert_eq!(told["error"], "LIMIT_EXCEEDED", "{told:#}");
    assert_eq!(told["limit"], limit, "{told:#}");
    let hint = told["hint"].as_str().unwrap();
    assert!(hint.contains(limit), "{hint}");
    if ["operations", "seconds"].contains(&limit) {
        // The first may have begun before the hostile one.
        assert!(calls > 1, "the other client was answered meanwhile");
    }
}

#[tokio::test]
async fn a_run_puts_no_more_jobs_on_the_server_than_it_may() {
    let (home, comfy) = (home(), sim(&[]).await);
    hostile(
        &home,
        "fn run(p) { let n = 0; loop { try { \
         comfy::submit(templates::build(\"sd3_txt2img\", #{ PROMPT: \"a\", STEPS: 1, SEED: n })); n += 1; \
         } catch { } } }",
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let told = client.call_fails("hostile", json!({})).await;
    assert_eq!(told["limit"], "jobs", "{told:#}");
    let jobs = home
        .mmf(["jobs", "--json"])
        .server(&comfy.url())
        .run()
        .await;
    let jobs = jobs.exits(0).json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 5, "{jobs:#}");
}

#[tokio::test]
async fn a_run_writes_no_more_than_it_may() {
    let (home, comfy) = (home(), sim(&[]).await);
    hostile(
        &home,
        "fn run(p) { let g = templates::build(\"sd3_txt2img\", #{ PROMPT: \"a\", STEPS: 1 }); \
         let made = comfy::run(g).outputs[0].asset_id; let n = 0; loop { \
         assets::save(made, `${n}.png`, true); n += 1; } }",
    );
    let mut client = McpClient::start(&home, &comfy.url()).await;
    let told = client.call_fails("hostile", json!({})).await;
    assert_eq!(told["limit"], "written_mb", "{told:#}");
    let written = fs::read_dir(home.project()).unwrap().filter_map(|file| {
        let file = file.unwrap();
        let is_picture = file.path().extension().is_some_and(|it| it == "png");
        is_picture.then(|| file.metadata().unwrap().len())
    });
    let (mut bytes, mut files) = (0, 0);
    for size in written {
        (bytes, files) = (bytes + size, files + 1);
    }
    // The one that went past it is there as well.
    assert!(files > 1 && bytes < 2 * 1024 * 1024, "{bytes} in {files}");
}

#[tokio::test]
async fn what_stands_too_deep_in_itself_is_not_told_and_the_server_goes_on() {
    let home = home();
    hostile(
        &home,
        "fn run(p) { let a = []; for i in 0..200 { a = [a]; } a }",
    );
    let (told, _) = beside_a_calm_client(&home, NOWHERE).await;
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("within more than 120 others"), "{message}");
}

#[rstest]
#[case::upwards("import \"../../../secret\" as x;")]
#[case::absolute("import \"/etc/hostname\" as x;")]
#[case::by_another_kind("import \"../tools/calm\" as x;")]
#[case::by_its_file("import \"calm.rhai\" as x;")]
#[case::backwards("import \"..\\\\..\\\\secret\" as x;")]
#[case::computed("let up = \"../../../sec\"; import up + \"ret\" as x;")]
#[tokio::test]
async fn an_import_finds_libraries_and_nothing_else(#[case] import: &str) {
    let home = home();
    home.write("secret.rhai", "fn word() { \"swordfish\" }");
    home.write(".mmf/secret.rhai", "fn word() { \"swordfish\" }");
    hostile(&home, &format!("fn run(p) {{ {import} x::word() }}"));
    let call = home.mmf(["call", "hostile", "{}"]).run().await;
    assert_ne!(call.code, Some(0), "{call:?}");
    assert!(!call.stdout.contains("swordfish"), "{call:?}");
    assert!(
        call.stdout.contains("no library") || call.stdout.contains("import"),
        "{call:?}"
    );
}

#[rstest]
#[case::file("open_file(\"/etc/hostname\")")]
#[case::environment("env(\"HOME\")")]
#[case::process("exec(\"ls\")")]
#[case::text_as_script("eval(\"40 + 2\")")]
#[tokio::test]
async fn there_is_no_way_out_but_by_bindings(#[case] call: &str) {
    let home = home();
    hostile(&home, &format!("fn run(p) {{ {call} }}"));
    let call = home.mmf(["call", "hostile", "{}"]).run().await.exits(3);
    assert_eq!(call.json()["error"], "SCRIPT_ERROR", "{call:?}");
}
