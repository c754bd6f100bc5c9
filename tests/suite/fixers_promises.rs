//! What the fixers promise of any workflow whatever: never worse, no link between things that do not
//! fit, twice is once, and what is right is left alone.

use std::cell::Cell;

use massmediafactory::comfy::Workflow;
use massmediafactory::comfy::json::parse_lenient;
use massmediafactory::comfy::validate::{CoreValidation, Rules, expand, fits};
use massmediafactory::knowledge::Knowledge;
use massmediafactory::preflight::Preflight;
use massmediafactory::script::{Repaired, repair_apart};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::suite::golden_validate::Real;
use crate::support::graphs::{controlnet, flux, wan};
use crate::support::mend::{FACTS, SHIPPED, inspect, mend, templates, told};
use crate::support::mutate::{Mutation, mutation};
use crate::support::mutations::{Chance, KINDS, mutant};

/// Right workflows of many kinds.
fn right() -> Vec<Value> {
    let mut all = templates();
    all.extend([controlnet(), flux(), wan()]);
    all
}

/// So many errors are in it. Exceptions repeat what a better one says.
fn errors(nodes: &Value) -> usize {
    let report = inspect(nodes);
    let errors = report.findings.iter().filter(|one| one.is_error());
    errors
        .filter(|one| !one.kind.starts_with("exception_during"))
        .count()
}

/// The broken workflow with nothing mended but what hid other faults: misspelt classes, nodes without
/// inputs, and links without which a node does not run.
fn uncovered(broken: &Value, mended: &Value) -> Value {
    let mut nodes = broken.clone();
    for (id, node) in nodes.as_object_mut().unwrap() {
        let known = node["class_type"]
            .as_str()
            .and_then(|class| FACTS.class(class));
        if known.is_none() {
            node["class_type"] = mended[id]["class_type"].clone();
        }
        if !node["inputs"].is_object() {
            node["inputs"] = json!({});
        }
        for (name, value) in node["inputs"].as_object_mut().unwrap() {
            let now = &mended[id]["inputs"][name];
            if value.is_array() && now.is_array() {
                *value = now.clone();
            }
        }
    }
    nodes
}

/// Whether every link that the fixers made and that still stands brings what its input takes.
fn all_links_fit(repaired: &Repaired) -> Result<(), TestCaseError> {
    let nodes = repaired.workflow.as_map();
    for one in repaired.corrections.iter().filter(|one| one.to.is_array()) {
        let inputs = &nodes[&one.node_id]["inputs"];
        if inputs.get(&one.field) != Some(&one.to) {
            continue;
        }
        let class_of = |id: &str| FACTS.class(nodes[id]["class_type"].as_str()?);
        let from = one.to[0].as_str().unwrap_or_default();
        let slot = usize::try_from(one.to[1].as_u64().unwrap_or(u64::MAX)).unwrap();
        let output = class_of(from).and_then(|class| class.outputs().get(slot));
        let class = class_of(&one.node_id).unwrap();
        let expanded = expand(class, inputs, &Rules::default()).unwrap();
        let input = expanded.inputs.iter().find(|input| input.name == one.field);
        let (Some(output), Some(input)) = (output, input) else {
            return Err(TestCaseError::fail(format!("{one:?} leads nowhere")));
        };
        prop_assert!(
            fits(output.io_type(), input.input.io_type(), &Rules::default()),
            "{one:?} does not fit"
        );
    }
    Ok(())
}

/// Tells how many errors less there are.
fn keeps_its_promises(broken: &Value) -> Result<usize, TestCaseError> {
    let repaired = mend(broken);
    prop_assert_eq!(&repaired.failed, &Vec::<String>::new());
    let mended = repaired.workflow.clone().into_json();
    let before = errors(broken).max(errors(&uncovered(broken, &mended)));
    let after = errors(&mended);
    prop_assert!(
        after <= before,
        "{before} errors became {after}: {:#?}",
        told(&repaired)
    );
    all_links_fit(&repaired)?;

    let again = mend(&mended);
    prop_assert_eq!(told(&again), Vec::<String>::new());
    prop_assert_eq!(again.workflow.into_json(), mended);
    if inspect(broken).findings.is_empty() {
        prop_assert_eq!(repaired.corrections, vec![]);
    }
    Ok(errors(broken).saturating_sub(after))
}

#[test]
fn fixers_never_make_a_broken_workflow_worse_and_mending_twice_is_mending_once() {
    let right = right();
    let mended = Cell::new(0);
    let cases = 200;
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let broken = (0..right.len(), vec(mutation(), 1..6));
    let outcome = runner.run(&broken, |(which, mutations): (usize, Vec<Mutation>)| {
        let mut nodes = right[which].clone();
        for mutation in mutations {
            mutation.apply(&mut nodes);
        }
        mended.set(mended.get() + keeps_its_promises(&nodes)?);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // Were nothing mended at all, every promise would be kept.
    assert!(
        mended.get() > cases as usize / 2,
        "{} errors mended",
        mended.get()
    );
}

#[test]
fn the_promises_hold_for_everything_that_the_servers_validator_tells_apart() {
    let right = right();
    let mut chance = Chance::new(33);
    let mut mended = 0;
    for first in 0..8 * KINDS.len() {
        let base = &right[first % right.len()];
        let mutant = mutant(&FACTS, base, first, &mut chance);
        let broken: Value = parse_lenient(mutant.text.as_bytes()).unwrap();
        if Workflow::from_json(broken.clone()).is_ok() {
            let held = keeps_its_promises(&broken);
            mended +=
                held.unwrap_or_else(|error| panic!("{:?}: {error}\n{}", mutant.kinds, mutant.text));
        }
    }
    assert!(mended > 40, "{mended} errors mended");
}

#[test]
fn a_template_as_it_comes_has_nothing_to_mend() {
    for nodes in templates() {
        let repaired = mend(&nodes);
        assert_eq!(told(&repaired), Vec::<String>::new());
        assert_eq!(repaired.workflow.into_json(), nodes);
    }
}

/// Every third recorded prompt, so that it takes seconds.
const EVERY: usize = 3;

#[test]
fn what_a_real_server_accepts_it_still_accepts_once_mended() {
    let Some(real) = Real::load() else {
        return;
    };
    let exists = |name: &str| real.exists(name);
    let core = CoreValidation::with_files(&exists);
    let knowledge = Knowledge::bundled();
    let preflight = Preflight::new(&real.facts, &knowledge).own_validation(&core);
    let (mut kept, mut mended) = (0, 0);
    for (case, big) in real.cases.iter().step_by(EVERY) {
        let Ok(workflow) = Workflow::from_json(case["prompt"].clone()) else {
            continue;
        };
        let nodes = workflow.clone().into_json();
        let inspect = |nodes: &Value| preflight.inspect_exactly(nodes, big);
        let before = inspect(&nodes);
        let repaired = repair_apart(&SHIPPED, &inspect, workflow).unwrap();
        let id = &case["id"];
        assert_eq!(repaired.failed, Vec::<String>::new(), "{id}");
        if before.is_accepted() {
            assert!(
                repaired.report.is_accepted(),
                "{id}: {:#?}",
                told(&repaired)
            );
            kept += 1;
        }
        if before.is_valid() {
            assert!(repaired.report.is_valid(), "{id}: {:#?}", told(&repaired));
        } else if repaired.report.is_valid() {
            mended += 1;
        }
    }
    eprintln!("{kept} accepted ones kept so, {mended} of the others mended");
    assert!(kept > 100 && mended > 20, "{kept} kept, {mended} mended");
}
