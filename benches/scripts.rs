//! What scripting costs: how long templates take to expand, what a tool adds to the calls it makes,
//! and how soon one of 64 busy scripts stops. Goals at the median: 0.1 ms for a template, 0.2 ms
//! for what a tool adds.

#![expect(clippy::unwrap_used, reason = "a bench that fails may as well stop")]

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use massmediafactory::app::{App, AppOptions};
use massmediafactory::config::{Config, Overrides};
use massmediafactory::script::{Caller, Kind, Trace};
use massmediafactory::sim::SimOptions;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use self::support::figures::{median, ms, show};
use self::support::shipped::{required, shipped};

mod support;

/// Enough for a median that holds on a busy machine.
const ROUNDS: usize = 200;

/// Scripts at once.
const CROWD: usize = 64;

/// Tools of the user's own: one that does nothing, one that computes for ever.
const TOOLS: [(&str, &str); 2] = [
    ("nothing", "about(\"Nothing.\");\nfn run(p) { #{} }\n"),
    ("busy", "about(\"Is busy.\");\nfn run(p) { loop { } }\n"),
];

#[tokio::main]
async fn main() {
    templates();
    let (_data, app) = start().await;
    let app = Arc::new(app);
    for (tool, arguments) in [
        ("nothing", json!({})),
        ("get_queue_status", json!({})),
        ("get_system_stats", json!({})),
        ("list_assets", json!({})),
        ("list_checkpoints", json!({})),
    ] {
        let added = added(&app, tool, &arguments).await;
        show(&format!("{tool} adds to its calls"), "ms", added);
    }
    crowd(&app).await;
}

/// What each template takes at the median, and the slowest of them.
fn templates() {
    let generation = shipped();
    let mut medians = vec![];
    for served in generation.of_kind(Kind::Template) {
        let script = &served.script;
        let given = required(&script.declaration);
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let given = given.clone();
            let began = Instant::now();
            massmediafactory::script::build(&generation, &script.key.name, given).unwrap();
            times.push(ms(began.elapsed()));
        }
        medians.push((median(&times), script.key.name.clone(), times));
    }
    medians.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = medians.iter().map(|(median, ..)| *median).collect();
    for (_, name, times) in medians.into_iter().take(5) {
        show(&format!("{name} expands"), "ms", times);
    }
    show("all templates, each at its median", "ms", all);
}

async fn start() -> (TempDir, App) {
    let data = tempfile::tempdir().unwrap();
    let tools = data.path().join("scripts/tools");
    fs::create_dir_all(&tools).unwrap();
    for (name, text) in TOOLS {
        fs::write(tools.join(format!("{name}.rhai")), text).unwrap();
    }
    let overrides = Overrides {
        data_dir: Some(data.path().to_owned()),
        ..Overrides::default()
    };
    let options = AppOptions {
        simulate: Some(SimOptions::default()),
        ..AppOptions::default()
    };
    let config = Config::load(&overrides).unwrap();
    let app = App::start(&config, options).await.unwrap();
    (data, app)
}

async fn call(app: &App, tool: &str, arguments: Map<String, Value>, caller: Caller) {
    let found = app.tool(tool).unwrap();
    app.run(found, arguments, caller).await.unwrap();
}

/// What is left of each call's time without that of the calls that the script made.
async fn added(app: &App, tool: &str, arguments: &Value) -> Vec<f64> {
    let arguments = arguments.as_object().unwrap();
    // The first call fills caches.
    call(app, tool, arguments.clone(), Caller::default()).await;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let trace = Arc::new(Trace::default());
        let caller = Caller {
            trace: Some(trace.clone()),
            ..Caller::default()
        };
        let began = Instant::now();
        call(app, tool, arguments.clone(), caller).await;
        let whole = ms(began.elapsed());
        let calls = trace.for_chrome();
        let calls = calls["traceEvents"].as_array().into_iter().flatten();
        let micros: f64 = calls.filter_map(|call| call["dur"].as_f64()).sum();
        times.push(whole - micros / 1e3);
    }
    times
}

/// Stops one after the other of many scripts that compute, and calls a small tool between.
async fn crowd(app: &Arc<App>) {
    let mut busy = vec![];
    for _ in 0..CROWD {
        let caller = Caller::default();
        let stop = caller.cancel.clone();
        let app = app.clone();
        let run = async move { app.run(app.tool("busy").unwrap(), Map::new(), caller).await };
        busy.push((stop, tokio::spawn(run)));
    }
    let (mut stops, mut calls) = (vec![], vec![]);
    for (stop, run) in busy {
        let began = Instant::now();
        call(app, "nothing", Map::new(), Caller::default()).await;
        calls.push(ms(began.elapsed()));
        let began = Instant::now();
        stop.cancel();
        assert!(run.await.unwrap().is_err());
        stops.push(ms(began.elapsed()));
    }
    show("a call beside up to 64 busy scripts", "ms", calls);
    show("one of up to 64 busy scripts stops", "ms", stops);
}
