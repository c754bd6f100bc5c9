//! Mending a workflow with the fixers.
//!
//! A fixer is a pure function of the workflow and of what was found wrong with it, and answers with
//! corrections. They are tried in turn until none helps any more; a correction stays only if less is
//! wrong with it than without.

use std::sync::Arc;

use rhai::{Dynamic, Scope};
use serde::Serialize;
use serde_json::{Value, json};

use super::host::Context;
use super::run::{explained, stop_on, wrong_result};
use super::value::{from_dynamic, to_dynamic};
use super::{Generation, Kind, Limits, ScriptError, Served, engine};
use crate::comfy::Workflow;
use crate::comfy::check::Finding;
use crate::preflight::Preflight;

/// Fixers that undo each other would go on for ever.
const ROUNDS: usize = 8;

/// A change that a fixer made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Correction {
    /// The node.
    pub node_id: String,
    /// The input, or `class_type`.
    pub field: String,
    /// What stood there.
    pub from: Value,
    /// What stands there now.
    pub to: Value,
    /// Why.
    pub reason: String,
    /// Who did it.
    pub fixer: String,
}

/// A workflow as the fixers left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The workflow.
    pub workflow: Workflow,
    /// What was changed, in order.
    pub corrections: Vec<Correction>,
    /// Which fixers failed, and how; the others went on.
    pub failed: Vec<String>,
}

/// Lets the fixers mend a workflow.
pub(super) fn repair(
    context: &Context,
    preflight: &Preflight<'_>,
    workflow: Workflow,
) -> Result<Repaired, ScriptError> {
    let generation = &context.generation;
    let mut fixers: Vec<&Served> = generation.of_kind(Kind::Fixer).collect();
    let mut repaired = Repaired {
        workflow,
        corrections: vec![],
        failed: vec![],
    };
    for _ in 0..ROUNDS {
        let before = repaired.corrections.len();
        for fixer in fixers.clone() {
            let found = findings(preflight, &repaired.workflow);
            if found.is_empty() {
                return Ok(repaired);
            }
            let proposed = match propose(context, generation, fixer, &repaired.workflow, &found) {
                Ok(proposed) => proposed,
                Err(ScriptError::Cancelled) => return Err(ScriptError::Cancelled),
                Err(error) => {
                    let key = &fixer.script.key;
                    tracing::warn!("{key} failed: {error}");
                    repaired.failed.push(format!("{}: {error}", key.name));
                    fixers.retain(|other| other.script.key != *key);
                    continue;
                }
            };
            for proposed in proposed {
                let score = weigh(&findings(preflight, &repaired.workflow));
                let Some((workflow, correction)) = apply(&repaired.workflow, proposed) else {
                    continue;
                };
                if weigh(&findings(preflight, &workflow)) < score {
                    repaired.workflow = workflow;
                    repaired.corrections.push(correction);
                }
            }
        }
        if repaired.corrections.len() == before {
            break;
        }
    }
    Ok(repaired)
}

fn findings(preflight: &Preflight<'_>, workflow: &Workflow) -> Vec<Finding> {
    preflight.inspect(&workflow.clone().into_json()).findings
}

fn weigh(found: &[Finding]) -> u64 {
    found.iter().map(Finding::weight).sum()
}

/// Asks one fixer for its corrections.
fn propose(
    context: &Context,
    generation: &Arc<Generation>,
    fixer: &Served,
    workflow: &Workflow,
    found: &[Finding],
) -> Result<Vec<Correction>, ScriptError> {
    let script = &fixer.script;
    let mut engine = engine::running(&Limits::default(), generation.libraries_of(script), true);
    stop_on(&mut engine, context.stop.clone());
    let nodes = to_dynamic(workflow.clone().into_json());
    let found = found.iter().map(Finding::to_json).collect();
    let arguments = (nodes, to_dynamic(found));
    let made = engine
        .call_fn::<Dynamic>(&mut Scope::new(), &script.ast, "fix", arguments)
        .map_err(|error| explained(&error, &engine, generation, script))?;
    let wrong = || {
        let wanted = "return a list of #{ node_id, field, to, reason }";
        wrong_result(script, wanted, &made)
    };
    let Ok(Value::Array(proposed)) = from_dynamic(&made) else {
        return Err(wrong());
    };
    let correction = |proposed: &Value| {
        let word = |name: &str| proposed[name].as_str().map(str::to_owned);
        Some(Correction {
            node_id: word("node_id")?,
            field: word("field")?,
            from: Value::Null,
            to: proposed["to"].clone(),
            reason: word("reason").unwrap_or_default(),
            fixer: script.key.name.clone(),
        })
    };
    proposed
        .iter()
        .map(|one| correction(one).ok_or_else(wrong))
        .collect()
}

/// The workflow with a correction, and the correction with what stood there.
fn apply(workflow: &Workflow, mut correction: Correction) -> Option<(Workflow, Correction)> {
    let mut nodes = workflow.as_map().clone();
    let node = nodes.get_mut(&correction.node_id)?.as_object_mut()?;
    let place = if correction.field == "class_type" {
        node
    } else {
        node.entry("inputs")
            .or_insert_with(|| json!({}))
            .as_object_mut()?
    };
    let before = place.insert(correction.field.clone(), correction.to.clone());
    correction.from = before.unwrap_or_default();
    Some((Workflow::from_nodes(nodes), correction))
}
