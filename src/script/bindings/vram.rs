//! `vram::`: what memory a workflow or a model needs.

use std::collections::BTreeSet;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};

use super::{SharedModule, indexed};
use crate::comfy::{ComfyError, Workflow};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Card, Estimate, Plan, Sizes};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    /// What memory a workflow needs on the server's card, with how sure that is.
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
        let sizes = super::sizes(&context, ["checkpoints", "diffusion_models"])?;
        let size = sizes
            .iter()
            .find(|((_, file), _)| file == model)
            .map(|(_, size)| *size);
        let card = super::card(&context)?;
        let knowledge = context.generation.knowledge();
        answer(crate::vram::fits(knowledge, model, precision, size, card).map_err(thrown)?)
    }
}

fn estimate(context: &Context, workflow: &Workflow) -> Fallible<Estimate> {
    let facts = context.wait(context.host.comfy.node_facts())?;
    let plan = Plan::of(workflow, &facts);
    let folders: BTreeSet<&str> = plan.files.iter().map(|file| file.folder).collect();
    let sizes = sizes(context, folders)?;
    let card = card(context)?;
    Ok(crate::vram::estimate(
        &plan,
        context.generation.knowledge(),
        &sizes,
        card,
    ))
}

fn card(context: &Context) -> Fallible<Option<Card>> {
    Ok(Card::of(&context.wait(context.host.comfy.system_stats())?))
}

/// The sizes of the files in these folders. A server that does not tell them (before 0.3.8) leaves
/// them to the table.
fn sizes<'f>(context: &Context, folders: impl IntoIterator<Item = &'f str>) -> Fallible<Sizes> {
    let mut sizes = Sizes::new();
    for folder in folders {
        let listed = context.wait(async {
            match context.host.comfy.model_sizes(folder).await {
                Err(error) if error.is_outage() => Err(error),
                other => Ok::<_, ComfyError>(other.unwrap_or_default()),
            }
        })?;
        let known = listed.into_iter().filter(|file| file.size > 0);
        sizes.extend(known.map(|file| ((folder.to_owned(), file.name), file.size)));
    }
    Ok(sizes)
}
