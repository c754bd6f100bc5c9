//! How long it takes to convert a saved graph into a prompt. Goal: 20 ms for the largest official
//! template.
//!
//! The graphs are recordings that are not part of this repository; without them (see
//! `tests/support/golden.rs` and `tests/support/frontend.rs`) only the made-up one is measured.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that fails may as well stop, and has to show its figures"
)]

use divan::{Bencher, black_box};
use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Options, Unknown, to_api};
use serde_json::{Value, json};

use self::support::frontend::Recording;
use self::support::golden::recorded;

#[path = "../tests/support"]
#[allow(
    dead_code,
    clippy::print_stderr,
    reason = "it belongs to the tests, which have their liberties"
)]
mod support {
    pub(crate) mod frontend;
    pub(crate) mod golden;
}

fn main() {
    divan::main();
}

/// The largest recorded graph.
#[divan::bench]
fn largest_recorded(bencher: Bencher<'_, '_>) {
    let cases = recorded("ui2api-sample.json.gz");
    let graphs = cases
        .iter()
        .flat_map(|cases| cases.as_object().unwrap().values());
    let largest = graphs
        .map(|case| &case["ui"])
        .max_by_key(|graph| graph.to_string().len());
    if let Some(graph) = largest {
        measure(bencher, graph, &NodeFacts::bundled());
    }
}

/// The largest template of the version that the test rig has.
#[divan::bench]
fn largest_official(bencher: Bencher<'_, '_>) {
    let Some(recording) = Recording::open() else {
        return;
    };
    let official = recording.cases.iter();
    let official = official.filter(|case| case.name.starts_with("official/"));
    let largest = official.max_by_key(|case| case.ui.to_string().len());
    measure(bencher, &largest.unwrap().ui, &recording.facts);
}

/// A thousand samplers in a row.
#[divan::bench]
fn thousand_samplers(bencher: Bencher<'_, '_>) {
    let nodes: Vec<Value> = (1..=1000)
        .map(|id| {
            json!({
                "id": id,
                "type": "KSampler",
                "inputs": [{ "name": "latent_image", "type": "LATENT", "link": id }],
                "outputs": [{ "name": "LATENT", "type": "LATENT", "links": [id + 1] }],
                "widgets_values": [id, "fixed", 20, 8, "euler", "normal", 1],
            })
        })
        .collect();
    let links: Vec<Value> = (2..=1000)
        .map(|id| json!([id, id - 1, 0, id, 3, "LATENT"]))
        .chain([json!([1, 1000, 0, 1, 3, "LATENT"])])
        .collect();
    let graph = json!({ "nodes": nodes, "links": links });
    measure(bencher, &graph, &NodeFacts::bundled());
}

fn measure(bencher: Bencher<'_, '_>, graph: &Value, facts: &NodeFacts) {
    let options = Options {
        unknown: Unknown::Keep,
        as_is: true,
        ..Options::new(&Clock::default())
    };
    bencher.bench(|| to_api(black_box(graph), facts, &options).unwrap());
}
