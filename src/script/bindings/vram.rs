//! `vram::`: what memory a workflow or a model needs.

use std::time::Duration;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};

use tokio::time::timeout;

use super::{SharedModule, indexed};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::{ComfyError, Workflow};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Estimate, Inventory, Machine, Observed, Plan, Question, shape};

/// How long a server that is there but slow is waited for: its word is only a further one.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    /// What memory a workflow needs on the server's card, phase by phase, whether it fits, and what
    /// would help if it doesn't.
    /// Throws `CONNECTION_ERROR` without a server.
    /// Example: `vram::estimate(g).get("will_fit")`
    #[rhai_fn(return_raw)]
    pub fn estimate(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        // What a script decides by it is to be decided alike when it is gone through again.
        context.once("vram::estimate", || {
            answer(super::estimate(&context, &workflow.snapshot())?)
        })
    }

    /// Whether a model, by its name or a file's, fits on the server's card; the precision may be
    /// "default", "fp16", "fp8", "q8" or "q4".
    /// Throws `NOT_FOUND` for a model that is not known, `CONNECTION_ERROR` without a server.
    /// Example: `vram::fits("Qwen-Image-2512", "fp8")`
    #[rhai_fn(return_raw)]
    pub fn fits(call: NativeCallContext, model: &str, precision: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let machine = super::machine(&context)?;
        let comfy = &context.host.comfy;
        let inventory = super::told(&context, Inventory::of_model(comfy, model))?;
        let (machine, inventory) = (machine.unwrap_or_default(), inventory.unwrap_or_default());
        let knowledge = context.generation.knowledge();
        let fits = crate::vram::fits_on(knowledge, model, precision, &inventory, &machine);
        let refused = |error| thrown(super::super::knowledge::refused(&context, error));
        answer(fits.map_err(refused)?)
    }
}

/// The facts and the figures answer without a server, too; one that is there says more.
fn estimate(context: &Context, workflow: &Workflow) -> Fallible<Estimate> {
    let comfy = &context.host.comfy;
    let facts = told(context, async { comfy.node_facts().await.ok() })?;
    let facts = facts.flatten().unwrap_or_else(NodeFacts::bundled);
    let plan = Plan::of(workflow, &facts);
    let machine = machine(context)?;
    let is_there = machine.is_some();
    let machine = machine.unwrap_or_default();
    let inventory = told(context, Inventory::of(comfy, &plan))?.unwrap_or_default();
    let observed = observed(context, workflow, &machine);
    let mut estimate = crate::vram::estimate(&Question {
        plan: &plan,
        knowledge: context.generation.knowledge(),
        inventory: &inventory,
        machine: &machine,
        observed: observed.as_ref(),
    });
    if !is_there {
        let note = "the server does not answer: what memory and which files it has";
        estimate.unknown.push(note.to_owned());
    }
    Ok(estimate)
}

/// What a server works on; none if it does not say so soon.
pub(super) fn machine(context: &Context) -> Fallible<Option<Machine>> {
    let stats = told(context, async {
        context.host.comfy.system_stats().await.ok()
    })?;
    Ok(stats.flatten().map(|stats| Machine::of(&stats)))
}

/// What a server tells, if it does so soon.
pub(super) fn told<T>(context: &Context, told: impl Future<Output = T>) -> Fallible<Option<T>> {
    context.wait(async { Ok::<_, ComfyError>(timeout(PATIENCE, told).await.ok()) })
}

/// What earlier runs took; what can't be read is merely not known.
fn observed(context: &Context, workflow: &Workflow, machine: &Machine) -> Option<Observed> {
    let observations = context.host.jobs.observations()?;
    let device = machine.device.as_deref()?;
    observations
        .of(&shape(workflow), device)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "what was observed can't be read");
            None
        })
}
