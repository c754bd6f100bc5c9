//! How long tools take, script included, as an agent's calls run them: in this process, against a
//! simulator in it. Goals at the median: 1 ms for tools that only think, 2 ms for a search among
//! the 886 node types of `ComfyUI` 0.33.

#![expect(clippy::unwrap_used, reason = "a bench that fails may as well stop")]

use std::time::Instant;

use massmediafactory::app::{App, AppOptions};
use massmediafactory::config::{Config, Overrides};
use massmediafactory::script::Caller;
use massmediafactory::sim::SimOptions;
use serde_json::{Value, json};

use self::support::figures::{ms, show};

mod support;

/// Enough for a median that holds on a busy machine.
const ROUNDS: usize = 200;

#[tokio::main]
async fn main() {
    let data = tempfile::tempdir().unwrap();
    let config = Config::load(&Overrides {
        data_dir: Some(data.path().to_owned()),
        ..Overrides::default()
    })
    .unwrap();
    let options = AppOptions {
        simulate: Some(SimOptions::default()),
        ..AppOptions::default()
    };
    let app = App::start(&config, options).await.unwrap();
    let small = json!({ "PROMPT": "a red fox", "WIDTH": 64, "HEIGHT": 64, "STEPS": 2 });
    let template = json!({ "name": "sd3_txt2img", "params": small });
    let built = call(&app, "create_workflow_from_template", &template).await;

    for (tool, arguments) in [
        ("list_workflow_templates", json!({})),
        ("list_scripts", json!({})),
        ("get_sota_models", json!({ "category": "image_gen" })),
        ("get_template", json!({ "name": "sd3_txt2img" })),
        ("create_workflow_from_template", template),
        ("get_node_info", json!({ "node_type": "KSampler" })),
        (
            "validate_workflow",
            json!({ "workflow": built["workflow"] }),
        ),
    ] {
        show(tool, "ms", time(&app, tool, &arguments).await);
    }
    for query in ["KSampler", "upscale image", "wan i2v", "controlnte loader"] {
        let arguments = json!({ "query": query });
        let what = format!("search_nodes \"{query}\"");
        show(&what, "ms", time(&app, "search_nodes", &arguments).await);
    }
}

async fn call(app: &App, tool: &str, arguments: &Value) -> Value {
    let arguments = arguments.as_object().unwrap().clone();
    let found = app.tool(tool).unwrap();
    let reply = app.run(found, arguments, Caller::default()).await.unwrap();
    reply.value
}

async fn time(app: &App, tool: &str, arguments: &Value) -> Vec<f64> {
    // The first call reads the node types and makes the index of their words.
    call(app, tool, arguments).await;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        call(app, tool, arguments).await;
        times.push(ms(began.elapsed()));
    }
    times
}
