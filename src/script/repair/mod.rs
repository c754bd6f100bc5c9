//! Mending a workflow with the fixers.
//!
//! A fixer is a pure function of the workflow and of what was found wrong with it, and answers with
//! corrections. They are tried in the order of their names until none helps any more. A correction
//! stays only if less is wrong with it than without and nothing new is; so whatever fixers do, they
//! never make a workflow worse, they come to an end, and mending twice is mending once.

mod correction;
mod mending;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use rhai::{Dynamic, Scope};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use self::correction::Correction;
use self::correction::Proposal;
use self::mending::Mending;
use super::budget::Budget;
use super::explain::{explained, wrong_result};
use super::value::{from_dynamic, to_dynamic};
use super::{Generation, Kind, Limit, ScriptError, Served, engine};
use crate::comfy::Workflow;
use crate::comfy::check::Finding;
use crate::preflight::Report;

/// Operations of one call of a fixer: some 20 ms, a thousand times what any of ours takes.
const OPERATIONS: u64 = 20_000_000;

/// So many proposals are looked at each time. While any of them helps, the rest come up again.
const MOST_PROPOSALS: usize = 1_000;

/// A workflow as the fixers left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The workflow.
    pub workflow: Workflow,
    /// What was changed, in order.
    pub corrections: Vec<Correction>,
    /// Which fixers failed, and how; the others went on.
    pub failed: Vec<String>,
    /// What is wrong with it now.
    pub report: Report,
}

/// Lets the fixers mend a workflow; `inspect` says what is wrong with it.
pub fn repair(
    generation: &Generation,
    inspect: &dyn Fn(&Value) -> Report,
    workflow: Workflow,
    stop: &CancellationToken,
) -> Result<Repaired, ScriptError> {
    let mut mending = Mending::of(workflow.into_json(), inspect, stop);
    let mut fixers: Vec<&Served> = generation.of_kind(Kind::Fixer).collect();
    // With how much had been changed when they were asked last; they would say the same again.
    let mut asked = HashMap::new();
    let mut failed = vec![];
    loop {
        let before = mending.corrections.len();
        for fixer in fixers.clone() {
            let found = &mending.report.findings;
            if found.is_empty() {
                break;
            }
            let (key, so_far) = (&fixer.script.key, mending.corrections.len());
            if asked.insert(key, so_far) == Some(so_far) {
                continue;
            }
            match propose(generation, fixer, &mending.nodes, found, stop) {
                Ok(proposed) => mending.take(&key.name, &proposed)?,
                Err(ScriptError::Cancelled) => return Err(ScriptError::Cancelled),
                Err(error) => {
                    tracing::warn!("{key} failed: {error}");
                    failed.push(format!("{}: {error}", key.name));
                    fixers.retain(|other| other.script.key != *key);
                }
            }
        }
        if mending.corrections.len() == before {
            break;
        }
    }
    let nodes = match mending.nodes {
        Value::Object(nodes) => nodes,
        _ => serde_json::Map::new(),
    };
    Ok(Repaired {
        workflow: Workflow::from_nodes(nodes),
        corrections: mending.corrections,
        failed,
        report: mending.report,
    })
}

/// The same for callers outside scripts: on a thread with the stack that scripts need.
pub fn repair_apart(
    generation: &Generation,
    inspect: &(dyn Fn(&Value) -> Report + Sync),
    workflow: Workflow,
) -> Result<Repaired, ScriptError> {
    let stop = CancellationToken::new();
    let died = |_| ScriptError::Panicked("the fixers' thread died".to_owned());
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(generation.limits.stack());
        let mending = builder.spawn_scoped(scope, || {
            repair(generation, &|nodes| inspect(nodes), workflow, &stop)
        });
        let no_thread = |error| ScriptError::Panicked(format!("no thread for fixers: {error}"));
        mending.map_err(no_thread)?.join().map_err(died)?
    })
}

/// Asks one fixer for its corrections.
fn propose(
    generation: &Generation,
    fixer: &Served,
    nodes: &Value,
    found: &[Finding],
    stop: &CancellationToken,
) -> Result<Vec<Proposal>, ScriptError> {
    let script = &fixer.script;
    let operations = generation.limits.of(Limit::Operations).min(OPERATIONS);
    let limits = generation.limits.with(Limit::Operations, operations);
    let budget = Arc::new(Budget::new(limits, stop.child_token()));
    let mut engine = engine::running(&budget, generation.libraries_of(script), true);
    engine.set_default_tag(Dynamic::from(generation.knowledge().clone()));
    let found = found.iter().map(Finding::to_json).collect();
    let arguments = (to_dynamic(nodes.clone()), to_dynamic(found));
    let fix = || engine.call_fn::<Dynamic>(&mut Scope::new(), &script.ast, "fix", arguments);
    let made = budget
        .alone(fix)
        .map_err(|error| explained(&error, &engine, generation, script))?;
    let Ok(Value::Array(proposed)) = from_dynamic(&made) else {
        return Err(wrong_result(script, Proposal::FORM, &made));
    };
    let read = proposed.iter().take(MOST_PROPOSALS).map(Proposal::read);
    let read: Option<Vec<Proposal>> = read.collect();
    read.ok_or_else(|| wrong_result(script, Proposal::FORM, &made))
}
