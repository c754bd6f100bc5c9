//! How long it takes to say what is wrong with a workflow. Goals: 1 ms for one of 100 nodes, 10 s
//! for 10,000 small ones.

#![expect(clippy::unwrap_used, reason = "a bench that fails may as well stop")]

use std::sync::{Arc, LazyLock};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use massmediafactory::comfy::Workflow;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::validate::Validator;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::preflight::Preflight;
use massmediafactory::script::{Generation, Sources, repair_apart};
use massmediafactory::sim::default_models;
use serde_json::{Map, Value, json};

static FACTS: LazyLock<NodeFacts> = LazyLock::new(|| {
    (*NodeFacts::bundled())
        .clone()
        .with_model_files(&default_models())
});

static KNOWLEDGE: LazyLock<Arc<Knowledge>> = LazyLock::new(Knowledge::bundled);

/// How many small prompts are judged at once.
const SMALL: usize = 10_000;

fn main() {
    divan::main();
}

/// A picture of SDXL in eight nodes, whose ids begin with `at`.
fn picture(at: usize, nodes: &mut Map<String, Value>) {
    let id = |name: &str| format!("{at}{name}");
    let link = |name: &str, slot: u8| json!([id(name), slot]);
    let mut add = |name: &str, class: &str, inputs: Value| {
        let node = json!({ "class_type": class, "inputs": inputs });
        nodes.insert(id(name), node);
    };
    let model = json!({ "ckpt_name": "sd_xl_base_1.0.safetensors" });
    add("model", "CheckpointLoaderSimple", model);
    let yes = json!({ "text": "a red fox", "clip": link("model", 1) });
    add("yes", "CLIPTextEncode", yes);
    let no = json!({ "text": "blurry", "clip": link("model", 1) });
    add("no", "CLIPTextEncode", no);
    let size = json!({ "width": 1024, "height": 1024, "batch_size": 1 });
    add("latent", "EmptyLatentImage", size);
    let sampler = json!({
        "model": link("model", 0), "positive": link("yes", 0), "negative": link("no", 0),
        "latent_image": link("latent", 0), "seed": at, "steps": 25, "cfg": 7.0,
        "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
    });
    add("sampler", "KSampler", sampler);
    let decode = json!({ "samples": link("sampler", 0), "vae": link("model", 2) });
    add("decode", "VAEDecode", decode);
    let scale = json!({ "image": link("decode", 0), "upscale_method": "lanczos",
        "width": 512, "height": 512, "crop": "disabled" });
    add("scale", "ImageScale", scale);
    let save = json!({ "images": link("scale", 0), "filename_prefix": "x" });
    add("save", "SaveImage", save);
}

fn hundred_nodes() -> Value {
    let mut nodes = Map::new();
    for at in 0..13 {
        picture(at, &mut nodes);
    }
    assert_eq!(nodes.len(), 104);
    nodes.into()
}

#[divan::bench]
fn the_servers_answer_to_100_nodes(bencher: Bencher<'_, '_>) {
    let prompt = hundred_nodes();
    let validator = Validator::new(&FACTS);
    assert!(validator.receive(&prompt, None).outcome.is_accepted());
    bencher.bench_local(|| validator.receive(black_box(&prompt), None));
}

#[divan::bench]
fn everything_wrong_with_100_nodes(bencher: Bencher<'_, '_>) {
    let prompt = hundred_nodes();
    let preflight = Preflight::new(&FACTS, &KNOWLEDGE);
    assert!(preflight.inspect(&prompt).is_valid());
    bencher.bench_local(|| preflight.inspect(black_box(&prompt)));
}

/// As `mmf validate --jsonl` does it on one core: from a line of text to a line of text.
#[divan::bench(sample_count = 5)]
fn ten_thousand_small_prompts(bencher: Bencher<'_, '_>) {
    let mut nodes = Map::new();
    picture(0, &mut nodes);
    let mut broken = Value::Object(nodes.clone());
    broken["0sampler"]["inputs"]["sampler_name"] = json!("eular");
    let lines = [Value::Object(nodes).to_string(), broken.to_string()];
    let preflight = Preflight::new(&FACTS, &KNOWLEDGE);
    bencher.counter(ItemsCount::new(SMALL)).bench_local(|| {
        let judge = |at: usize| {
            let prompt: Value = serde_json::from_str(&lines[at % 2]).unwrap();
            preflight.inspect(&prompt).to_verdict().to_string().len()
        };
        (0..SMALL).map(judge).sum::<usize>()
    });
}

/// With the fixers that come with the program: 20 things to mend in 104 nodes.
#[divan::bench]
fn mending_20_things_in_100_nodes(bencher: Bencher<'_, '_>) {
    let mut nodes = hundred_nodes();
    for at in 0..10 {
        nodes[format!("{at}sampler")]["inputs"]["sampler_name"] = json!("eular");
        nodes[format!("{at}latent")]["inputs"]["width"] = json!("1024");
    }
    let scripts = Generation::build(Sources::read(&[]), None);
    let preflight = Preflight::new(&FACTS, &KNOWLEDGE);
    let inspect = |nodes: &Value| preflight.inspect(nodes);
    let mend = || {
        let workflow = Workflow::from_json(nodes.clone()).unwrap();
        repair_apart(&scripts, &inspect, workflow).unwrap()
    };
    assert_eq!(mend().corrections.len(), 20);
    bencher.bench_local(mend);
}
