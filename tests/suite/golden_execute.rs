//! Runs recorded from a real `ComfyUI`, replayed on the simulator: every message in its order, to
//! whom it went, and the history. The node types are the recording's own small ones.
//!
//! Left out of the comparison: timestamps, prompt ids, `create_time`, the lines of tracebacks, and
//! the order of what Python keeps in sets (`executed`, `current_outputs`, outputs to execute).

use std::sync::Arc;
use std::time::Duration;

use image::RgbaImage;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::sim::{
    Caching, Call, Frame, Inputs, Outcome, Raised, Sim, SimNode, SimOptions, Value as Flow,
};
use serde_json::{Map, Value, json};

use crate::support::golden::recorded;
use crate::support::sim::{CLIENT, Ear, Heard, get, post_json};

/// `(recording, run, why it may differ)`.
const DIFFERENCES: [(&str, &str, &str); 1] = [(
    "execute_0.3.75.json.gz",
    "cached_no_client",
    "0.3.68 to 0.27 forgot the outputs of cached nodes without a client; the simulator is 0.33",
)];

#[tokio::test]
async fn runs_of_0_30_2_replay_message_by_message() {
    replay("execute_0.30.2.json.gz", "0.30.2").await;
}

#[tokio::test]
async fn runs_of_0_3_75_replay_message_by_message() {
    replay("execute_0.3.75.json.gz", "0.3.75").await;
}

async fn replay(recording: &str, version: &str) {
    let Some(runs) = recorded(recording) else {
        return;
    };
    let sim = start(version).await;
    let mut listeners = Listeners::connect(&sim).await;
    // A prompt that kills the worker stays in the real queue, but here ends with a restart.
    let (mut dead, mut first_number) = (0, 0);
    let mut replayed = 0;
    for (number, (name, run)) in runs.as_object().unwrap().iter().enumerate() {
        if run.get("worker_exception").is_some() {
            assert_worker_dies(&sim, name).await;
            sim.restart().await.unwrap();
            listeners = Listeners::connect(&sim).await;
            (dead, first_number) = (dead + 1, number + 1);
            continue;
        }
        let differs = DIFFERENCES
            .iter()
            .any(|(file, run, _)| (*file, *run) == (recording, name));
        let mut expected = run.clone();
        correct(&mut expected, dead, first_number);
        let history = &expected["history"]["P"];
        if name == "preview_meta" {
            listeners.rename(&sim, "metadata").await;
            listeners.client.ask_for_metadata().await;
        }
        let id = submit(&sim, &history["prompt"], &listeners.name).await;
        let heard = listeners.hear(&expected["events"], &id).await;
        if name == "preview_meta" {
            listeners.rename(&sim, "plain").await;
        }
        assert_eq!(heard, expected["events"], "{recording} {name}");
        let entry = &get(&sim, &format!("/history/{id}")).await[&id];
        if !differs {
            assert_eq!(
                normal(entry, &id),
                normal(history, "P"),
                "{recording} {name}"
            );
        }
        replayed += 1;
    }
    assert_eq!(replayed, 27, "{recording}");
}

async fn submit(sim: &Sim, prompt: &Value, client: &str) -> String {
    let mut body = json!({ "prompt": prompt[2], "partial_execution_targets": prompt[4] });
    if prompt[3].get("client_id").is_some() {
        body["client_id"] = json!(client);
    }
    let (status, answer) = post_json(sim, "/prompt", &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["prompt_id"].as_str().unwrap().to_owned()
}

/// The prompts whose recording is only that the worker died.
async fn assert_worker_dies(sim: &Sim, name: &str) {
    let mut prompt = json!({
        "1": { "class_type": "Load", "inputs": { "seed": 12 } },
        "2": { "class_type": "Save", "inputs": { "images": ["1", 0] } },
    });
    match name {
        "unreachable_no_inputs" => prompt["7"] = json!({ "class_type": "Sample" }),
        "unknown_input_missing_link" => prompt["2"]["inputs"]["extra"] = json!(["99", 0]),
        other => panic!("no prompt is known for {other}"),
    }
    let mut ear = Ear::connect(sim, "witness").await;
    let (status, answer) = post_json(sim, "/prompt", &json!({ "prompt": prompt })).await;
    assert_eq!(status, 200, "{answer}");
    // The second status says that the worker has taken it.
    ear.next().await.unwrap();
    ear.next().await.unwrap();
    let (status, _) = post_json(sim, "/prompt", &json!({ "prompt": prompt })).await;
    assert_eq!(status, 200, "HTTP goes on as if nothing had happened");
    let queue = get(sim, "/queue").await;
    assert_eq!(queue["queue_running"][0][1], answer["prompt_id"]);
    assert_eq!(queue["queue_pending"].as_array().unwrap().len(), 1);
}

/// Takes out of a recording what the dead prompts left in the counts.
fn correct(run: &mut Value, dead: u64, first_number: usize) {
    for event in run["events"].as_array_mut().unwrap() {
        if event[0] == "status" {
            let count = &mut event[1]["status"]["exec_info"]["queue_remaining"];
            *count = json!(count.as_u64().unwrap() - dead);
        }
        event[1] = match event[0].as_str().unwrap() {
            "BIN2" => json!("preview"),
            "BIN4" => event[1][1].clone(),
            _ => normal(&event[1], "P"),
        };
    }
    let number = &mut run["history"]["P"]["prompt"][0];
    *number = json!(number.as_u64().unwrap() - first_number as u64);
}

/// Two clients: what only the first hears was sent to it, what both hear was sent to all.
struct Listeners {
    name: String,
    client: Ear,
    other: Ear,
}

impl Listeners {
    async fn connect(sim: &Sim) -> Self {
        Self {
            name: CLIENT.to_owned(),
            client: Ear::connect(sim, CLIENT).await,
            other: Ear::connect(sim, "other").await,
        }
    }

    async fn rename(&mut self, sim: &Sim, name: &str) {
        name.clone_into(&mut self.name);
        self.client = Ear::connect(sim, name).await;
    }

    /// As many messages as were recorded, in the recording's form.
    async fn hear(&mut self, expected: &Value, id: &str) -> Value {
        let mut heard = Vec::new();
        for expected in expected.as_array().unwrap() {
            let one = self.client.next().await.unwrap();
            if expected[2].is_null() {
                assert_eq!(
                    self.other.next().await.as_ref(),
                    Some(&one),
                    "everybody hears the same"
                );
            }
            let (kind, data) = in_recorded_form(&one, id);
            heard.push(json!([kind, data, expected[2]]));
        }
        Value::Array(heard)
    }
}

fn in_recorded_form(heard: &Heard, id: &str) -> (String, Value) {
    match heard {
        Heard::Event(kind, data) => (kind.clone(), normal(data, id)),
        Heard::Binary(bytes) if bytes[..4] == [0, 0, 0, 4] => {
            let length = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
            let mut metadata: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
            image::load_from_memory(&bytes[8 + length..]).unwrap();
            // Added when the message is packed, after the point where the recording listened.
            assert_eq!(
                metadata.as_object_mut().unwrap().remove("image_type"),
                Some(json!("image/jpeg"))
            );
            ("BIN4".to_owned(), normal(&metadata, id))
        }
        Heard::Binary(bytes) => {
            assert_eq!(bytes[..8], [0, 0, 0, 1, 0, 0, 0, 1], "a JPEG preview");
            image::load_from_memory(&bytes[8..]).unwrap();
            ("BIN2".to_owned(), json!("preview"))
        }
    }
}

/// A message or history entry without what differs from run to run.
fn normal(value: &Value, id: &str) -> Value {
    match value {
        Value::String(text) if text == id => json!("P"),
        Value::Array(entries) => entries.iter().map(|entry| normal(entry, id)).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| {
                !matches!(
                    name.as_str(),
                    "timestamp" | "traceback" | "create_time" | "client_id"
                )
            });
            let normal = |name: &str, value: &Value| match (name, value) {
                ("executed" | "current_outputs", Value::Array(ids)) => sorted(ids),
                // The fifth member of a prompt in the history is its outputs.
                ("prompt", Value::Array(prompt)) if prompt.len() == 5 => {
                    let mut prompt: Vec<Value> =
                        prompt.iter().map(|part| normal(part, id)).collect();
                    prompt[4] = sorted(prompt[4].as_array().unwrap());
                    Value::Array(prompt)
                }
                _ => normal(value, id),
            };
            kept.map(|(name, value)| (name.clone(), normal(name, value)))
                .collect()
        }
        other => other.clone(),
    }
}

fn sorted(ids: &[Value]) -> Value {
    let mut ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
    ids.sort_unstable();
    json!(ids)
}

/// A simulator with the recording's node types.
async fn start(version: &str) -> Sim {
    let facts = NodeFacts::read(object_info().to_string().as_bytes()).unwrap();
    let options = SimOptions {
        facts: Some(Arc::new(facts)),
        nodes: nodes(),
        caching: Caching::Classic,
        step_delay: Duration::ZERO,
        version: version.to_owned(),
        ..SimOptions::default()
    };
    Sim::start(options).await.unwrap()
}

fn object_info() -> Value {
    let class = |name: &str, required: Value, output: &[&str], is_output: bool| {
        let info = json!({
            "input": { "required": required },
            "output": output,
            "output_is_list": vec![name == "Batch"; output.len()],
            "output_name": output,
            "name": name,
            "display_name": name,
            "description": "",
            "python_module": "nodes",
            "category": "test",
            "output_node": is_output,
        });
        (name.to_owned(), info)
    };
    let x = || json!({ "x": ["IMAGE"] });
    let images = || json!({ "images": ["IMAGE"] });
    let switch = json!({
        "sw": ["BOOLEAN", {}],
        "a": ["IMAGE", { "lazy": true }],
        "b": ["IMAGE", { "lazy": true }],
    });
    let seed = json!({ "seed": ["INT", { "default": 0 }] });
    let classes = [
        class("Load", seed, &["IMAGE"], false),
        class("Sample", x(), &["IMAGE"], false),
        class("Async", x(), &["IMAGE"], false),
        class("Expand", x(), &["IMAGE"], false),
        class("Boom", x(), &["IMAGE"], false),
        class("Intr", x(), &["IMAGE"], false),
        class("Batch", json!({}), &["IMAGE"], false),
        class("Block", json!({}), &["IMAGE"], false),
        class("BlockSilent", json!({}), &["IMAGE"], false),
        class("Switch", switch, &["IMAGE"], false),
        class("Save", images(), &[], true),
        class("NoUi", images(), &[], true),
        class("Text", images(), &[], true),
        class("TextBad", images(), &[], true),
    ];
    Value::Object(Map::from_iter(classes))
}

fn text(text: impl Into<String>) -> Outcome {
    Outcome::values(vec![Flow::Json(json!(text.into()))])
}

fn nodes() -> Vec<(String, Arc<dyn SimNode>)> {
    fn node(name: &str, node: impl SimNode + 'static) -> (String, Arc<dyn SimNode>) {
        (name.to_owned(), Arc::new(node))
    }
    fn plain(
        name: &str,
        function: fn(&mut Call<'_>) -> Result<Outcome, Raised>,
    ) -> (String, Arc<dyn SimNode>) {
        node(name, function)
    }
    vec![
        plain("Load", |call| {
            Ok(text(format!("img{}", call.json("seed").unwrap())))
        }),
        plain("Sample", sample),
        plain("Async", |call| Ok(text(format!("{}async", call.text("x"))))),
        plain("Expand", |call| Ok(expand(call))),
        plain("Boom", |_| Err(Raised::new("ValueError", "boom"))),
        plain("Intr", |_| Err(Raised::Interrupted)),
        plain("Batch", |_| {
            let members = ["a", "b"].map(|name| Flow::Json(json!(name)));
            Ok(Outcome::values(vec![Flow::List(members.into())]))
        }),
        plain("Block", |_| {
            Ok(Outcome::values(vec![Flow::Blocked(Some(
                "no way".to_owned(),
            ))]))
        }),
        plain("BlockSilent", |_| {
            Ok(Outcome::values(vec![Flow::Blocked(None)]))
        }),
        node("Switch", Switch),
        plain("Save", |call| {
            let file = format!("{}.png", call.text("images"));
            let entry = json!({ "filename": file, "subfolder": "", "type": "output" });
            Ok(Outcome::default().show("images", json!([entry])))
        }),
        plain("NoUi", |_| Ok(Outcome::default())),
        plain("Text", |_| {
            Ok(Outcome::default().show("text", json!(["hello"])))
        }),
        plain("TextBad", |_| Ok(Outcome::default().show("text", "abc"))),
    ]
}

/// Two steps, the second with a preview.
fn sample(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    call.server.step(1, 2, None)?;
    call.server
        .step(2, 2, Some(&|| Frame::from_pixels(RgbaImage::new(8, 8))))?;
    Ok(text(format!("{}s", call.text("x"))))
}

/// Becomes a Sample and a Save.
fn expand(call: &Call<'_>) -> Outcome {
    let [first, second] = [1, 2].map(|n| format!("{}.0.0.{n}", call.id));
    let nodes = json!({
        (&first): { "class_type": "Sample", "inputs": { "x": call.text("x") } },
        (&second): { "class_type": "Save", "inputs": { "images": [first, 0] } },
    });
    Outcome {
        expansion: nodes.as_object().cloned(),
        links: vec![Some((first, 0))],
        ..Outcome::default()
    }
}

/// Needs only the side that is switched to.
struct Switch;

impl Switch {
    fn side(inputs: &Inputs) -> &'static str {
        let on = inputs
            .get("sw")
            .and_then(|value| value.as_json()?.as_bool());
        if on == Some(true) { "a" } else { "b" }
    }
}

impl SimNode for Switch {
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        Ok(text(call.text(Self::side(&call.inputs))))
    }

    fn needs(&self, inputs: &Inputs) -> Vec<String> {
        vec![Self::side(inputs).to_owned()]
    }
}
