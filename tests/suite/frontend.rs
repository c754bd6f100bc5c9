//! The conversion of saved graphs against `ComfyUI`'s own editor, on every template of the version
//! that the test rig has.
//!
//! The recording is made on the machine that runs this; see `support::frontend`.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Options, UiError, Unknown, to_api};
use serde_json::{Value, json};

use super::golden_ui::differences;
use crate::support::frontend::{Case, Recording};

/// Widgets that only show something, and that no class declares: the player of a sound, the text of
/// `PreviewAny`. This editor (1.32.9) writes them into prompts, where no server reads them; later ones
/// (1.49.6) don't.
const SHOWN: [&str; 2] = ["audioUI", "preview"];

/// How many in a hundred of the official templates have to be exactly what the editor makes, of
/// those whose nodes the server has.
const EXACT_PERCENT: usize = 98;

/// What has come out of a graph that is not wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Exact,
    /// But for [`SHOWN`].
    ExactButShown,
    /// But for ids: subgraphs of the graph have nodes of the same id. This editor (1.32.9) leaves them so;
    /// later ones (1.49.6) give them ids of their own, as is done here. All else is the same.
    ExactButIds,
    /// Has nodes that the server does not have, and is refused with the name of one.
    Refused,
    /// Neither the editor nor we make a prompt of it.
    Impossible,
}

fn convert(ui: &Value, facts: &NodeFacts, unknown: Unknown) -> Result<Value, UiError> {
    let options = Options {
        unknown,
        ..Options::new(&Clock::fixed("2026-11-22T09:00:00Z".parse().unwrap()))
    };
    to_api(ui, facts, &options).map(|converted| converted.workflow.into_json())
}

/// Without titles, which nothing runs, and what the browser captured when it was asked.
fn comparable(prompt: &Value) -> Value {
    let mut prompt = prompt.clone();
    for (_, node) in prompt.as_object_mut().unwrap() {
        node.as_object_mut().unwrap().remove("_meta");
        if node["class_type"] == "Load3D" {
            node["inputs"].as_object_mut().unwrap().remove("image");
        }
    }
    prompt
}

/// Without [`SHOWN`].
fn without_shown(prompt: &Value, facts: &NodeFacts) -> Value {
    let mut prompt = prompt.clone();
    for (_, node) in prompt.as_object_mut().unwrap() {
        let class = node["class_type"]
            .as_str()
            .and_then(|name| facts.class(name));
        let Some(class) = class else { continue };
        let inputs = node["inputs"].as_object_mut().unwrap();
        inputs.retain(|name, value| {
            !SHOWN.contains(&name.as_str()) || class.input(name).is_some() || *value != json!("")
        });
    }
    prompt
}

/// The nodes by what they are and hang on, whatever their ids.
fn shapes(prompt: &Value) -> Vec<u64> {
    fn shape(prompt: &Value, id: &str, known: &mut HashMap<String, u64>) -> u64 {
        if let Some(&shape) = known.get(id) {
            return shape;
        }
        known.insert(id.to_owned(), 0);
        let mut inputs = BTreeMap::new();
        for (name, input) in prompt[id]["inputs"].as_object().into_iter().flatten() {
            let text = match input.as_array().map(Vec::as_slice) {
                Some([Value::String(origin), slot]) => {
                    format!("{} {slot}", shape(prompt, origin, known))
                }
                _ => input.to_string(),
            };
            inputs.insert(name, text);
        }
        let mut hasher = DefaultHasher::new();
        (prompt[id]["class_type"].as_str(), inputs).hash(&mut hasher);
        known.insert(id.to_owned(), hasher.finish());
        hasher.finish()
    }
    let mut known = HashMap::new();
    let nodes = prompt.as_object().unwrap().keys();
    let mut shapes: Vec<u64> = nodes.map(|id| shape(prompt, id, &mut known)).collect();
    shapes.sort_unstable();
    shapes
}

/// Whether nodes of several graphs of a file have the same id.
fn shares_ids(ui: &Value) -> bool {
    let inner = ui.pointer("/definitions/subgraphs");
    let inner = inner.and_then(Value::as_array).into_iter().flatten();
    let mut seen = HashSet::new();
    let nodes = [ui].into_iter().chain(inner);
    let mut ids = nodes.flat_map(|graph| graph["nodes"].as_array().into_iter().flatten());
    !ids.all(|node| seen.insert(node["id"].to_string()))
}

/// Without the nodes that the server does not have: their values have no names, and each version of
/// the editor makes up others.
fn without_unknown(mut prompt: Value) -> Value {
    let nodes = prompt.as_object_mut().unwrap();
    nodes.retain(|_, node| node["class_type"].is_string());
    prompt
}

/// What has come out, or what is wrong with it.
fn judge(case: &Case, facts: &NodeFacts) -> Result<Outcome, String> {
    let refusal = convert(&case.ui, facts, Unknown::Refuse).err();
    let Some(theirs) = &case.api else {
        let reason = case.error.as_deref().unwrap_or_default();
        return match refusal {
            Some(_) => Ok(Outcome::Impossible),
            None => Err(format!("converted, though the editor says: {reason}")),
        };
    };
    let nodes = theirs.as_object().unwrap().iter();
    let unknown: Vec<&String> = nodes
        .filter(|(_, node)| !node["class_type"].is_string())
        .map(|(id, _)| id)
        .collect();
    let said = refusal.map_or(String::new(), |error| error.to_string());
    let is_named = |id: &&String| said.contains(&format!("node {id} "));
    if !unknown.is_empty() && !unknown.iter().any(is_named) {
        return Err(format!("the server does not have {unknown:?}: {said:?}"));
    }
    let ours = convert(&case.ui, facts, Unknown::Keep).map_err(|error| error.to_string())?;
    let ours = without_unknown(comparable(&ours));
    let theirs = without_unknown(comparable(theirs));
    let outcome = compare(case, facts, &ours, &theirs)?;
    Ok(if unknown.is_empty() {
        outcome
    } else {
        Outcome::Refused
    })
}

fn compare(
    case: &Case,
    facts: &NodeFacts,
    ours: &Value,
    theirs: &Value,
) -> Result<Outcome, String> {
    if ours == theirs || case.later.as_ref().map(comparable).as_ref() == Some(ours) {
        return Ok(Outcome::Exact);
    }
    let theirs = without_shown(theirs, facts);
    if *ours == theirs {
        return Ok(Outcome::ExactButShown);
    }
    if shares_ids(&case.ui) && shapes(ours) == shapes(&theirs) {
        return Ok(Outcome::ExactButIds);
    }
    let mut found = Vec::new();
    differences(ours, &theirs, "", &mut found);
    let found = found.iter().map(|(place, what)| format!("{place}: {what}"));
    Err(found.collect::<Vec<_>>().join("\n  "))
}

#[test]
fn every_graph_becomes_what_the_editor_makes_of_it() {
    let Some(recording) = Recording::open() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut outcomes = BTreeMap::<&str, BTreeMap<Outcome, usize>>::new();
    for case in &recording.cases {
        let (origin, _) = case.name.split_once('/').unwrap();
        match judge(case, &recording.facts) {
            Ok(outcome) => {
                let outcomes = outcomes.entry(origin).or_default();
                *outcomes.entry(outcome).or_default() += 1;
            }
            Err(what) => wrong.push(format!("{} {what}", case.name)),
        }
    }
    for (origin, outcomes) in &outcomes {
        let all: usize = outcomes.values().sum();
        eprintln!("{origin}: {all} agree with the editor, of which {outcomes:?}");
    }
    eprintln!("{} of {} do not", wrong.len(), recording.cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let official = &outcomes["official"];
    let count = |outcome| official.get(&outcome).copied().unwrap_or_default();
    let exact = count(Outcome::Exact) + count(Outcome::ExactButShown);
    let runnable = exact + count(Outcome::ExactButIds);
    assert!(runnable > 100, "too few templates: {official:?}");
    assert!(exact * 100 >= runnable * EXACT_PERCENT, "{official:?}");
}

#[test]
fn graphs_of_one_shape_have_the_same_nodes_whatever_their_ids() {
    let prompt = |first: &str, second: &str, seed: u32| {
        json!({
            first: { "class_type": "A", "inputs": { "seed": seed } },
            second: { "class_type": "B", "inputs": { "a": [first, 0] } },
        })
    };
    assert_eq!(shapes(&prompt("1", "2", 3)), shapes(&prompt("9:1", "4", 3)));
    assert_ne!(shapes(&prompt("1", "2", 3)), shapes(&prompt("1", "2", 4)));
}
