//! A small workflow around each class of a server.

use massmediafactory::comfy::nodes::{Input, NodeFacts};
use serde_json::{Map, Value, json};

/// For each class a small workflow around it, as far as it can be had: with defaults, the sources of
/// its links, and something that needs its output.
pub(crate) fn around_each_class(facts: &NodeFacts) -> Vec<(String, Value)> {
    let mut all = vec![];
    for class in facts.classes() {
        let mut nodes = Map::new();
        if !add(facts, class.name(), "1", 4, &mut nodes) {
            continue;
        }
        if !class.is_output_node() {
            if class.outputs().is_empty() {
                continue;
            }
            let show = json!({ "class_type": "PreviewAny", "inputs": { "source": ["1", 0] } });
            nodes.insert("show".into(), show);
        }
        all.push((class.name().to_owned(), Value::Object(nodes)));
    }
    all
}

/// Adds a node with all that it requires; false if something can't be had.
fn add(
    facts: &NodeFacts,
    class: &str,
    id: &str,
    depth: usize,
    nodes: &mut Map<String, Value>,
) -> bool {
    let class = facts.class(class).unwrap();
    let mut inputs = Map::new();
    for (at, input) in class
        .inputs()
        .iter()
        .filter(|input| input.is_required())
        .enumerate()
    {
        let name = input.name().to_owned();
        if let Some(value) = value_of(input) {
            inputs.insert(name, value);
            continue;
        }
        let source = format!("{id}.{at}");
        let Some((maker, slot)) = maker(facts, input, depth) else {
            return false;
        };
        if !add(facts, maker, &source, depth - 1, nodes) {
            return false;
        }
        inputs.insert(name, json!([source, slot]));
    }
    nodes.insert(
        id.to_owned(),
        json!({ "class_type": class.name(), "inputs": inputs }),
    );
    true
}

fn value_of(input: &Input) -> Option<Value> {
    if !input.is_widget() {
        return None;
    }
    // Small pictures and clips are made as well as large ones, and sooner.
    let small = match input.name() {
        "width" | "height" => Some(64),
        "length" | "batch_size" | "frames" => Some(1),
        "steps" => Some(2),
        _ => None,
    };
    let small = small.filter(|small| {
        let least = input.min().and_then(Value::as_i64).unwrap_or(0);
        input.io_type().is("INT") && least <= *small
    });
    let first = || input.choices().and_then(<[Value]>::first).cloned();
    let plain = || match input.io_type().name() {
        "INT" | "FLOAT" => Some(input.min().cloned().unwrap_or(json!(1))),
        "STRING" => Some(json!("a hill")),
        "BOOLEAN" => Some(json!(false)),
        _ => None,
    };
    small
        .map(Value::from)
        .or_else(|| input.default().cloned())
        .or_else(first)
        .or_else(plain)
}

fn maker<'f>(facts: &'f NodeFacts, input: &Input, depth: usize) -> Option<(&'f str, usize)> {
    const PREFERRED: [(&str, &str, usize); 14] = [
        ("IMAGE", "EmptyImage", 0),
        ("MASK", "SolidMask", 0),
        ("LATENT", "EmptySD3LatentImage", 0),
        ("MODEL", "CheckpointLoaderSimple", 0),
        ("CLIP", "CheckpointLoaderSimple", 1),
        ("VAE", "CheckpointLoaderSimple", 2),
        ("CONDITIONING", "CLIPTextEncode", 0),
        ("STRING", "MmfText", 0),
        ("*", "MmfText", 0),
        ("SIGMAS", "BasicScheduler", 0),
        ("SAMPLER", "KSamplerSelect", 0),
        ("NOISE", "RandomNoise", 0),
        ("GUIDER", "BasicGuider", 0),
        ("AUDIO", "EmptyAudio", 0),
    ];
    if depth == 0 {
        return None;
    }
    let wanted: Vec<&str> = input.io_type().members().collect();
    let known = PREFERRED
        .iter()
        .find(|(ty, class, _)| wanted.contains(ty) && facts.class(class).is_some());
    if let Some((_, class, slot)) = known {
        return Some((class, *slot));
    }
    facts.classes().find_map(|class| {
        let slot = class
            .outputs()
            .iter()
            .position(|output| wanted.contains(&output.io_type().name()))?;
        let takes_itself = class
            .inputs()
            .iter()
            .any(|input| input.is_required() && wanted.contains(&input.io_type().name()));
        (!takes_itself).then_some((class.name(), slot))
    })
}
