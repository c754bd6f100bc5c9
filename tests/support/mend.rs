//! Mending with the fixers that come with the program, where all official model files are installed.

use std::sync::LazyLock;

use massmediafactory::comfy::Workflow;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::validate::Rules;
use massmediafactory::knowledge::Knowledge;
use massmediafactory::preflight::{Preflight, Report};
use massmediafactory::script::{Generation, Kind, Repaired, repair_apart};
use massmediafactory::sim::default_models;
use serde_json::{Value, json};

use crate::support::graphs::controlnet;
use crate::support::shipped::{built, shipped};

/// The facts of 0.33 with the models that the simulator pretends to have.
pub(crate) static FACTS: LazyLock<NodeFacts> = LazyLock::new(|| {
    (*NodeFacts::bundled())
        .clone()
        .with_model_files(&default_models())
});

/// The scripts that come with the program.
pub(crate) static SHIPPED: LazyLock<Generation> = LazyLock::new(shipped);

/// What is wrong with a workflow.
pub(crate) fn inspect(nodes: &Value) -> Report {
    inspect_as("0.33.0", nodes)
}

/// The same by the rules of another version.
pub(crate) fn inspect_as(version: &str, nodes: &Value) -> Report {
    let knowledge = Knowledge::bundled();
    let preflight = Preflight::new(&FACTS, &knowledge).rules(Rules::of(version));
    preflight.inspect(nodes)
}

/// Lets the fixers mend it.
pub(crate) fn mend(nodes: &Value) -> Repaired {
    mend_with(&SHIPPED, nodes)
}

/// Lets the fixers of other scripts mend it.
pub(crate) fn mend_with(scripts: &Generation, nodes: &Value) -> Repaired {
    let workflow = Workflow::from_json(nodes.clone()).unwrap();
    repair_apart(scripts, &inspect, workflow).unwrap()
}

/// `fixer node.field: from -> to`, one a line.
pub(crate) fn told(repaired: &Repaired) -> Vec<String> {
    let corrections = repaired.corrections.iter().map(|one| {
        let to = if one.removed {
            "out".to_owned()
        } else {
            one.to.to_string()
        };
        format!(
            "{} {}.{}: {} -> {to}",
            one.fixer, one.node_id, one.field, one.from
        )
    });
    corrections.collect()
}

/// The workflows of all templates that come with the program, with what they need and no more.
pub(crate) fn templates() -> Vec<Value> {
    let templates = SHIPPED.of_kind(Kind::Template);
    // Of nodes of packs nothing is known here.
    let templates = templates.filter(|served| served.script.declaration.needs().is_empty());
    let built = templates.map(|served| built(&SHIPPED, served).into_json());
    built.collect()
}

/// A picture that is painted and saved, with other inputs in some nodes; null takes an input out.
pub(crate) fn painted(changes: &[(&str, &str, Value)]) -> Value {
    let mut nodes = controlnet();
    change(&mut nodes, &[("8", "steps", json!(20))]);
    change(&mut nodes, changes);
    nodes
}

fn change(nodes: &mut Value, changes: &[(&str, &str, Value)]) {
    for (id, input, value) in changes {
        match *input {
            "class_type" => nodes[id]["class_type"] = value.clone(),
            "node" => {
                nodes[id] = value.clone();
            }
            _ if value.is_null() => {
                nodes[id]["inputs"]
                    .as_object_mut()
                    .unwrap()
                    .shift_remove(*input);
            }
            _ => nodes[id]["inputs"][input] = value.clone(),
        }
    }
}

/// What the fixers did to a workflow that had something wrong and has nothing wrong any more.
pub(crate) fn healed(nodes: &Value) -> Vec<String> {
    assert!(!inspect(nodes).findings.is_empty(), "nothing is wrong");
    let mended = mend(nodes);
    assert_eq!(mended.report.findings, [], "{:#?}", told(&mended));
    assert_eq!(mended.failed, Vec::<String>::new());
    told(&mended)
}

/// That the fixers do nothing about something wrong.
pub(crate) fn left(nodes: &Value, kind: &str) {
    let mended = mend(nodes);
    let kinds: Vec<&str> = mended.report.findings.iter().map(|one| one.kind).collect();
    assert!(kinds.contains(&kind), "{kinds:?}");
    assert_eq!(told(&mended), Vec::<String>::new());
    assert_eq!(mended.workflow.into_json(), *nodes);
}
