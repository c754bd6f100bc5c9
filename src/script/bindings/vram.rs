//! `vram::`: what memory a workflow or a model needs.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};

use super::{SharedModule, indexed};
use crate::comfy::Workflow;
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Estimate, Inventory, Machine, Observed, Plan, Question, shape};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    /// What memory a workflow needs on the server's card, phase by phase, whether it fits, and what
    /// would help if it doesn't.
    #[rhai_fn(return_raw)]
    pub fn estimate(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(super::estimate(&context, &workflow.snapshot())?)
    }

    /// Whether a model, by its name or a file's, fits on the server's card; the precision may be
    /// "default", "fp16", "fp8", "q8" or "q4".
    #[rhai_fn(return_raw)]
    pub fn fits(call: NativeCallContext, model: &str, precision: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let machine = super::machine(&context)?;
        let inventory = context.wait(Inventory::of_model(&context.host.comfy, model))?;
        let knowledge = context.generation.knowledge();
        let fits = crate::vram::fits_on(knowledge, model, precision, &inventory, &machine);
        answer(fits.map_err(thrown)?)
    }
}

fn estimate(context: &Context, workflow: &Workflow) -> Fallible<Estimate> {
    let facts = context.wait(context.host.comfy.node_facts())?;
    let plan = Plan::of(workflow, &facts);
    let inventory = context.wait(Inventory::of(&context.host.comfy, &plan))?;
    let machine = machine(context)?;
    let observed = observed(context, workflow, &machine);
    Ok(crate::vram::estimate(&Question {
        plan: &plan,
        knowledge: context.generation.knowledge(),
        inventory: &inventory,
        machine: &machine,
        observed: observed.as_ref(),
    }))
}

fn machine(context: &Context) -> Fallible<Machine> {
    Ok(Machine::of(
        &context.wait(context.host.comfy.system_stats())?,
    ))
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
