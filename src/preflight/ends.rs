//! What a workflow without an output could end in.

use serde_json::{Map, Value, json};

use super::view::View;
use crate::comfy::check::Finding;
use crate::comfy::check::defaults::fill;
use crate::comfy::nodes::{NodeClass, NodeFacts};

/// What is saved, by what, and what is shown where nothing can be saved.
const SAVED: [(&str, &str); 3] = [
    ("IMAGE", "SaveImage"),
    ("VIDEO", "SaveVideo"),
    ("AUDIO", "SaveAudio"),
];
const SHOWN: [(&str, &str); 3] = [
    ("STRING", "PreviewAny"),
    ("INT", "PreviewAny"),
    ("FLOAT", "PreviewAny"),
];

/// So many are named.
const NAMED: usize = 8;

pub(super) fn find(view: &View<'_>, facts: &NodeFacts, found: &mut [Finding]) {
    let mut whole = found.iter_mut();
    let Some(finding) = whole.find(|one| one.kind == "prompt_no_outputs") else {
        return;
    };
    let mut ends = ends(view, &SAVED);
    if ends.is_empty() {
        ends = self::ends(view, &SHOWN);
    }
    let links = ends.iter().take(NAMED).map(|(link, _)| link.clone());
    finding.allowed = json!({ "links": links.collect::<Value>() });
    if let [(link, class)] = &ends[..] {
        finding.suggestion = node(facts, class, link).unwrap_or_default();
    }
}

/// The outputs of these types that nothing takes, each with the class that could.
fn ends(view: &View<'_>, types: &[(&'static str, &'static str)]) -> Vec<(Value, &'static str)> {
    let links = view
        .nodes
        .iter()
        .flat_map(|node| node.inputs().into_iter().flatten());
    let linked: Vec<&Value> = links
        .map(|(_, value)| value)
        .filter(|value| value.is_array())
        .collect();
    let mut ends = vec![];
    for node in &view.nodes {
        let outputs = node.class.map(NodeClass::outputs).unwrap_or_default();
        for (slot, output) in outputs.iter().enumerate() {
            let link = json!([node.id, slot]);
            let taker = types.iter().find(|(ty, _)| output.io_type().is(ty));
            if let Some((_, class)) = taker.filter(|_| !linked.contains(&&link)) {
                ends.push((link, *class));
            }
        }
    }
    ends
}

/// A node of a class that takes the link.
fn node(facts: &NodeFacts, class: &str, link: &Value) -> Option<Value> {
    let class = facts.class(class)?;
    let linked = class.inputs().first()?;
    let mut inputs = Map::new();
    inputs.insert(linked.name().to_owned(), link.clone());
    let is_whole = fill(class, &mut inputs);
    is_whole.then(|| json!({ "class_type": class.name(), "inputs": inputs }))
}
