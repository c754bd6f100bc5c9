//! `vram::`: what memory a workflow or a model needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};

use super::{SharedModule, indexed};
use crate::comfy::{ComfyError, ModelFile, Workflow};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Estimate, Header, Inventory, Machine, Observed, Plan, Question, shape};

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
        let folders = ["checkpoints", "diffusion_models"];
        let inventory = super::inventory(&context, folders, |file| file == model)?;
        let knowledge = &context.host.knowledge;
        let fits = crate::vram::fits_on(knowledge, model, precision, &inventory, &machine);
        answer(fits.map_err(thrown)?)
    }
}

fn estimate(context: &Context, workflow: &Workflow) -> Fallible<Estimate> {
    let facts = context.wait(context.host.comfy.node_facts())?;
    let plan = Plan::of(workflow, &facts);
    let mut folders: BTreeSet<&str> = plan.files.iter().map(|file| file.folder).collect();
    if folders.contains("vae") {
        // Small ones go by a name there, and lie here.
        folders.insert("vae_approx");
    }
    let is_used = |name: &str| {
        plan.files
            .iter()
            .any(|file| file.file == name || file.folder == "vae" && name.starts_with(&file.file))
    };
    let inventory = inventory(context, folders, is_used)?;
    let machine = machine(context)?;
    let observed = observed(context, workflow, &machine);
    Ok(crate::vram::estimate(&Question {
        plan: &plan,
        knowledge: &context.host.knowledge,
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

/// The sizes of the files in these folders, and the headers of those that are used, where the server
/// is on this machine. A server that does not tell sizes (before 0.3.8) leaves them to the table.
fn inventory<'f>(
    context: &Context,
    folders: impl IntoIterator<Item = &'f str>,
    is_used: impl Fn(&str) -> bool,
) -> Fallible<Inventory> {
    let comfy = &context.host.comfy;
    let mut inventory = Inventory::default();
    let directories = if comfy.server().is_local() {
        lenient(context, comfy.model_directories())?
    } else {
        Default::default()
    };
    for folder in folders {
        for file in lenient(context, comfy.model_sizes(folder))? {
            if file.size == 0 {
                continue;
            }
            let key = (folder.to_owned(), file.name.clone());
            let index = usize::try_from(file.path_index).unwrap_or(usize::MAX);
            let directory: Option<&PathBuf> =
                directories.get(folder).and_then(|all| all.get(index));
            if is_used(&file.name)
                && let Some(header) = directory.and_then(|directory| header(directory, &file))
            {
                inventory.headers.insert(key.clone(), header);
            }
            inventory.sizes.insert(key, file.size);
        }
    }
    Ok(inventory)
}

/// The header of a file that is here, too. It is the server's own if it is as large: behind a tunnel
/// the same path may lead to something else.
fn header(directory: &Path, file: &ModelFile) -> Option<Header> {
    let path = directory.join(&file.name);
    let is_same = path.metadata().is_ok_and(|facts| facts.len() == file.size);
    if !is_same {
        return None;
    }
    Header::read(&path).unwrap_or_else(|error| {
        tracing::debug!(%error, path = %path.display(), "no header can be read");
        None
    })
}

/// Waits for an answer that an old server may not have.
fn lenient<T: Default>(
    context: &Context,
    answer: impl Future<Output = Result<T, ComfyError>>,
) -> Fallible<T> {
    context.wait(async {
        match answer.await {
            Err(error) if error.is_outage() => Err(error),
            other => Ok::<_, ComfyError>(other.unwrap_or_default()),
        }
    })
}
