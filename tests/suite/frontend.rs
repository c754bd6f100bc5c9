//! The conversion of saved graphs against `ComfyUI`'s own editor, on every template of the version
//! that the test rig has.
//!
//! The recording is made on the machine that runs this; see `support::frontend`.

use std::collections::BTreeMap;

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{Editor, Options, UiError, Unknown, to_api};
use serde_json::Value;

use super::golden_ui::differences;
use crate::support::frontend::{Case, Recording};

/// How many in a hundred of the official templates have to be exactly what the editor makes, of
/// those whose nodes the server has.
const EXACT_PERCENT: usize = 98;

/// Official templates that were saved with another version of a class than the server has: what the
/// editor makes of them is made here as well, if it is asked for, but refused by default.
const OTHER_WIDGETS: [&str; 2] = [
    "official/api_moonvalley_video_to_video_motion_transfer",
    "official/api_moonvalley_video_to_video_pose_control",
];

/// What has come out of a graph that is not wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Exact,
    /// The editor gives values to widgets for which they were not saved. The same comes out here as
    /// it is, and else an error that names the node.
    OtherWidgets,
    /// Has nodes that the server does not have, and is refused with the name of one.
    Refused,
    /// Neither the editor nor we make a prompt of it.
    Impossible,
}

/// As a person gets it.
fn convert(ui: &Value, facts: &NodeFacts) -> Result<Value, UiError> {
    to_api(ui, facts, &options()).map(|converted| converted.workflow.into_json())
}

/// As the editor does it, whatever it is.
fn as_it_is(ui: &Value, facts: &NodeFacts) -> Result<Value, UiError> {
    let options = Options {
        unknown: Unknown::Keep,
        as_is: true,
        ..options()
    };
    to_api(ui, facts, &options).map(|converted| converted.workflow.into_json())
}

fn options() -> Options {
    Options {
        editor: Editor::Early,
        ..Options::new(&Clock::fixed("2026-11-22T09:00:00Z".parse().unwrap()))
    }
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

/// Without the nodes that the server does not have: their values have no names, and each version of
/// the editor makes up others.
fn without_unknown(mut prompt: Value) -> Value {
    let nodes = prompt.as_object_mut().unwrap();
    nodes.retain(|_, node| node["class_type"].is_string());
    prompt
}

/// What has come out, or what is wrong with it.
fn judge(case: &Case, facts: &NodeFacts) -> Result<Outcome, String> {
    let converted = convert(&case.ui, facts);
    let Some(theirs) = &case.api else {
        let reason = case.error.as_deref().unwrap_or_default();
        return match converted {
            Err(_) => Ok(Outcome::Impossible),
            Ok(_) => Err(format!("converted, though the editor says: {reason}")),
        };
    };
    let ours = as_it_is(&case.ui, facts).map_err(|error| error.to_string())?;
    compare(case, &ours, theirs)?;
    let nodes = theirs.as_object().unwrap().iter();
    let unknown: Vec<&String> = nodes
        .filter(|(_, node)| !node["class_type"].is_string())
        .map(|(id, _)| id)
        .collect();
    match converted {
        Ok(_) if unknown.is_empty() => Ok(Outcome::Exact),
        Ok(_) => Err(format!("the server does not have {unknown:?}")),
        Err(UiError::OtherWidgets(_)) if unknown.is_empty() => Ok(Outcome::OtherWidgets),
        Err(error) => {
            let said = error.to_string();
            let is_named = |id: &&String| said.contains(&format!("node {id} "));
            if unknown.iter().any(is_named) {
                Ok(Outcome::Refused)
            } else {
                Err(said)
            }
        }
    }
}

fn compare(case: &Case, ours: &Value, theirs: &Value) -> Result<(), String> {
    let ours = without_unknown(comparable(ours));
    let theirs = without_unknown(comparable(theirs));
    let later = case.later.as_ref().map(comparable);
    if ours == theirs || later.as_ref() == Some(&ours) {
        return Ok(());
    }
    let mut found = Vec::new();
    differences(&ours, &theirs, "", &mut found);
    let found = found.iter().map(|(place, what)| format!("{place}: {what}"));
    Err(found.collect::<Vec<_>>().join("\n  "))
}

#[test]
fn every_graph_becomes_what_the_editor_makes_of_it() {
    let Some(recording) = Recording::open() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut other_widgets = Vec::new();
    let mut outcomes = BTreeMap::<&str, BTreeMap<Outcome, usize>>::new();
    for case in &recording.cases {
        let (origin, _) = case.name.split_once('/').unwrap();
        match judge(case, &recording.facts) {
            Ok(outcome) => {
                let outcomes = outcomes.entry(origin).or_default();
                *outcomes.entry(outcome).or_default() += 1;
                if outcome == Outcome::OtherWidgets && origin == "official" {
                    other_widgets.push(case.name.as_str());
                }
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
    assert_eq!(other_widgets, OTHER_WIDGETS);

    let official = &outcomes["official"];
    let count = |outcome| official.get(&outcome).copied().unwrap_or_default();
    let exact = count(Outcome::Exact);
    let runnable = exact + count(Outcome::OtherWidgets);
    assert!(runnable > 100, "too few templates: {official:?}");
    assert!(exact * 100 >= runnable * EXACT_PERCENT, "{official:?}");
}

/// The values of the same inputs that are not the same. What `SaveVideo` had as its codec, its newer
/// version has as that of its format.
fn unlike(prompt: &Value, truth: &Value) -> Vec<String> {
    let mut unlike = Vec::new();
    for (id, node) in prompt.as_object().unwrap() {
        for (name, value) in node["inputs"].as_object().unwrap() {
            let own = &truth[id]["inputs"][name];
            let has_moved = name == "codec" && node["inputs"]["format.codec"] == *own;
            if !own.is_null() && own != value && !has_moved {
                unlike.push(format!(
                    "{id} {} {name}: {value} instead of {own}",
                    node["class_type"]
                ));
            }
        }
    }
    unlike
}

#[test]
fn under_another_version_each_input_keeps_its_value_or_the_node_is_named() {
    let Some(recording) = Recording::open() else {
        return;
    };
    let facts = NodeFacts::bundled();
    let (mut kept, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    let official = recording.cases.iter();
    for case in official.filter(|case| case.name.starts_with("official/")) {
        let Ok(truth) = convert(&case.ui, &recording.facts) else {
            continue;
        };
        match convert(&case.ui, &facts) {
            Ok(prompt) => {
                kept += 1;
                let unlike = unlike(&prompt, &truth).into_iter();
                wrong.extend(unlike.map(|what| format!("{} {what}", case.name)));
            }
            Err(UiError::UnknownClass { .. } | UiError::Gone { .. }) => {}
            Err(error) => refused.push(format!("{} {error}", case.name)),
        }
    }
    eprintln!("{kept} keep their values");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let names: Vec<&str> = refused
        .iter()
        .filter_map(|told| told.split(' ').next())
        .collect();
    assert_eq!(names, ["official/api_veo3"], "{}", refused.join("\n"));
}
