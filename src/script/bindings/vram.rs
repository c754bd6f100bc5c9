//! `vram::`: what memory a workflow or a model needs.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::json;

use super::{SharedModule, indexed};
use crate::comfy::{ComfyError, Workflow};
use crate::script::estimate::{self, estimated, soon};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Estimate, Inventory, Machine};

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
        context.once("vram::estimate", json!([workflow.snapshot()]), || {
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

pub(super) fn estimate(context: &Context, workflow: &Workflow) -> Fallible<Estimate> {
    let knowledge = context.generation.knowledge();
    let estimating = estimated(&context.host, knowledge, workflow);
    context.wait(async { Ok::<_, ComfyError>(estimating.await) })
}

/// What a server works on; none if it does not say so soon.
fn machine(context: &Context) -> Fallible<Option<Machine>> {
    Ok(told(context, estimate::machine(&context.host))?.flatten())
}

/// What a server tells, if it does so soon.
pub(super) fn told<T>(context: &Context, told: impl Future<Output = T>) -> Fallible<Option<T>> {
    context.wait(async { Ok::<_, ComfyError>(soon(told).await) })
}
