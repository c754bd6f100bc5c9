//! `variations::`: making an asset again, changed.

use std::path::Path;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::{Map, Value, json};

use super::{SharedModule, indexed};
use crate::assets::{Asset, embedded_prompt};
use crate::comfy::Workflow;
use crate::comfy::anatomy::Role;
use crate::comfy::json::parse_lenient;
use crate::failure::{Code, Failure};
use crate::jobs::{Origin, as_run, parameter, script_behind, varied};
use crate::paths;
use crate::script::Kind;
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::script::value::from_map;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use std::sync::Arc;

    use rhai::Map;

    use crate::script::bindings::nodes::Known;
    use crate::script::bindings::scripts;

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// The workflow that made an asset, to be changed.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `NO_WORKFLOW_DATA`.
    /// Example: `let g = variations::of_asset(asset_id);`
    #[rhai_fn(return_raw)]
    pub fn of_asset(call: NativeCallContext, asset_id: &str) -> Fallible<WorkflowHandle> {
        let context = Context::of(&call);
        super::of_asset(&context, asset_id).map_err(thrown)
    }

    /// The workflow in a picture that `ComfyUI` saved, to be changed.
    /// Throws `NO_WORKFLOW_DATA`.
    /// Example: `let g = variations::of_file("fox.png");`
    #[rhai_fn(return_raw)]
    pub fn of_file(call: NativeCallContext, path: &str) -> Fallible<WorkflowHandle> {
        let base = &Context::of(&call).host.project_dir;
        super::of_file(&paths::resolved(path, base)).map_err(thrown)
    }

    /// Queues a changed workflow as a variation of an asset, in the asset's session: `#{ prompt_id,
    /// session_id, node_errors, ... }`. `wanted` is what was changed, for the record.
    /// Throws `VALIDATION_ERROR` for what the server refuses, `CONNECTION_ERROR` without a server.
    /// Example: `variations::submit(g, asset_id, #{ seed: 7 }).prompt_id`
    #[rhai_fn(return_raw)]
    pub fn submit(
        call: NativeCallContext,
        workflow: WorkflowHandle,
        asset_id: &str,
        wanted: Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let asset = context.host.assets.get(asset_id).map_err(thrown)?;
        let wanted = from_map(&wanted).map_err(|error| error.to_string())?;
        let behind = script_behind(&context.host.assets, &asset).map_err(thrown)?;
        let known = Known::of(&context)?;
        let ran = as_run(&workflow.lock(), &known.facts, &wanted);
        let origin = Origin {
            script: behind.map(|behind| behind.script),
            parameters: varied(&asset.provenance.parameters, &ran),
            session: asset.session_id,
            regenerated_from: Some(asset.asset_id),
            ..Origin::default()
        };
        let given = json!([workflow.snapshot(), origin.regenerated_from, wanted]);
        context.once("variations::submit", given, || {
            super::submit(&context, &workflow, &origin)
        })
    }

    /// The same for a workflow that is no asset's.
    #[rhai_fn(name = "submit", return_raw)]
    pub fn submit_other(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        context.once("variations::submit", json!([workflow.snapshot()]), || {
            super::submit(&context, &workflow, &Origin::default())
        })
    }

    /// Runs the pipeline of a `plan` for an asset, and returns its result; what it makes is noted as
    /// variations of the asset.
    /// Throws what the pipeline throws.
    /// Example: `variations::run(asset_id, plan.name, plan.parameters)`
    #[rhai_fn(return_raw)]
    pub fn run(
        call: NativeCallContext,
        asset_id: &str,
        name: &str,
        parameters: Map,
    ) -> Fallible<Dynamic> {
        let above = Context::of(&call);
        let given = from_map(&parameters).map_err(|error| error.to_string())?;
        let context = Arc::new(Context {
            regenerated_from: Some(asset_id.to_owned()),
            ..(**above).clone()
        });
        let served = above.generation.find(&[Kind::Pipeline], name);
        let served = served.map_err(thrown)?;
        scripts::run(&context, &above.generation, served, given)
    }

    /// The script behind an asset and what to give it now: `#{ kind, name, parameters, changed,
    /// script_changed, seed }`. Names are understood as in `change`; a seed of `()` is drawn.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `NOT_FOUND` where the script is gone, `INVALID_PARAMS`
    /// for what has no place.
    /// Example: `variations::plan(asset_id, #{ prompt: "a grey fox" })`
    #[rhai_fn(return_raw)]
    pub fn plan(call: NativeCallContext, asset_id: &str, wanted: Map) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let wanted = from_map(&wanted).map_err(|error| error.to_string())?;
        context.once("variations::plan", json!([asset_id, wanted]), || {
            answer(super::plan(&context, asset_id, &wanted).map_err(thrown)?)
        })
    }
}

fn of_asset(context: &Context, asset_id: &str) -> Result<WorkflowHandle, Failure> {
    let assets = &context.host.assets;
    let asset = assets.get(asset_id)?;
    let workflow = Workflow::from_json(assets.workflow(&asset)?)?;
    Ok(WorkflowHandle::new(workflow))
}

fn of_file(path: &Path) -> Result<WorkflowHandle, Failure> {
    let prompt = embedded_prompt(path)?;
    let workflow = parse_lenient::<Value>(&prompt)
        .ok()
        .and_then(|prompt| Workflow::from_json(prompt).ok())
        .ok_or_else(|| {
            Failure::new(
                Code::NO_WORKFLOW_DATA,
                format!(
                    "the prompt in {} is no workflow in API format",
                    path.display()
                ),
            )
        })?;
    Ok(WorkflowHandle::new(workflow))
}

fn submit(
    context: &Context,
    workflow: &WorkflowHandle,
    origin: &Origin,
) -> Result<Dynamic, Box<EvalAltResult>> {
    let session = origin.session.clone();
    let session = session.unwrap_or_else(|| context.session().to_owned());
    let submitted = super::jobs::submit_as(context, workflow, origin)?;
    let mut told = json!(submitted);
    told["session_id"] = session.into();
    answer(told)
}

fn plan(context: &Context, asset_id: &str, wanted: &Map<String, Value>) -> Result<Value, Failure> {
    let assets = &context.host.assets;
    let asset: Asset = assets.get(asset_id)?;
    let behind = script_behind(assets, &asset)?.ok_or_else(|| {
        Failure::new(
            Code::NOT_FOUND,
            format!("no script is known to have made asset \"{asset_id}\""),
        )
        .hint("regenerate it through its workflow")
    })?;
    let name = behind.script.name.as_str();
    let served = context
        .generation
        .find(&[Kind::Template, Kind::Pipeline], name)?;
    let declaration = &served.script.declaration;
    let names = || declaration.params.iter().map(|param| param.name.as_str());
    let mut parameters = behind.parameters;
    parameters.retain(|name, _| declaration.param(name).is_some());
    let mut changed = Vec::new();
    let mut homeless = Vec::new();
    for (name, value) in wanted {
        let is_seed = Role::named(name) == Some(Role::Seed);
        let keeps = if is_seed {
            value.as_i64() == Some(-1)
        } else {
            value.is_null()
        };
        if keeps {
            continue;
        }
        let Some(own) = parameter(name, &names()) else {
            homeless.push(format!("\"{name}\""));
            continue;
        };
        let to = if value.is_null() {
            context.host.ids.seed().into()
        } else {
            value.clone()
        };
        let from = parameters.insert(own.to_owned(), to.clone());
        if from.as_ref() != Some(&to) {
            changed.push(json!({ "parameter": own, "from": from, "to": to }));
        }
    }
    if !homeless.is_empty() {
        let known: Vec<&str> = names().collect();
        let message = format!("{name} has no parameter for {}", homeless.join(", "));
        return Err(Failure::new(Code::INVALID_PARAMS, message).hint(format!(
            "its parameters are {}; anything else can be changed through the workflow",
            known.join(", ")
        )));
    }
    let seed = parameter("seed", &names()).and_then(|name| parameters.get(name));
    Ok(json!({
        "kind": served.script.key.kind,
        "name": name,
        "seed": seed,
        "changed": changed,
        "script_changed": served.hash != behind.script.hash,
        "parameters": parameters,
    }))
}
