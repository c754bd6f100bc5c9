//! `templates::`: what templates there are, and the workflows that they build.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{SharedModule, indexed};
use crate::comfy::ComfyError;
use crate::failure::{Code, Failure};
use crate::jobs::{MediaSource, Origin};
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, answer, thrown};
use crate::script::run::build_checked;
use crate::script::value::from_dynamic;
use crate::script::{
    Exchanged, Generation, Kind, Lacking, Layer, ScriptError, Served, Type, arrange, lacking,
    missing_file, name_models, named,
};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    /// All templates in short: name, title, model, type, tags, packs of nodes that they need,
    /// required parameters, placeholders, and the layer of those that do not come with the program.
    /// Throws nothing.
    /// Example: `templates::list().map(|template| template.name)`
    #[rhai_fn(return_raw)]
    pub fn list(call: NativeCallContext) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let all: Vec<Value> = context
            .generation
            .of_kind(Kind::Template)
            .map(super::summary)
            .collect();
        answer(all)
    }

    /// One template in full, with each parameter's type, meaning, default and range.
    /// Throws `NOT_FOUND`.
    /// Example: `templates::get("sd3_txt2img").parameters`
    #[rhai_fn(return_raw)]
    pub fn get(call: NativeCallContext, name: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(super::description(super::find(&context.generation, name)?))
    }

    /// The workflow that a template builds from parameters. A picture, clip or sound may be the path
    /// of a file, an `asset_id` or an `mmf://assets/` address: it is uploaded first. Model files are
    /// named as the server has them, in another folder or, where they are defaults, precision.
    /// Throws `NOT_FOUND`, `INVALID_PARAMS` for parameters that do not fit.
    /// Example: `templates::build("sd3_txt2img", #{ PROMPT: "a fox" })`
    #[rhai_fn(return_raw)]
    pub fn build(
        call: NativeCallContext,
        name: &str,
        parameters: rhai::Map,
    ) -> Fallible<WorkflowHandle> {
        let context = Context::of(&call);
        let given =
            crate::script::value::from_map(&parameters).map_err(|error| error.to_string())?;
        let served = super::find(&context.generation, name)?;
        super::build_once(&context, served, &given)
    }

    /// Makes sure that a template takes these parameters, builds with them, and has its models and
    /// nodes on the server; nothing is uploaded or queued.
    /// Throws `INVALID_PARAMS`, `NOT_FOUND`, `VALIDATION_ERROR` for what the server lacks.
    /// Example: `templates::check("wan22_img2vid", #{ PROMPT: "it runs" }, ["IMAGE_PATH"])`
    #[rhai_fn(return_raw)]
    pub fn check(call: NativeCallContext, name: &str, parameters: rhai::Map) -> Fallible<()> {
        check_later(call, name, parameters, rhai::Array::new())
    }

    /// The same where the values of some parameters will be made only later, such as the picture for
    /// a clip.
    #[rhai_fn(name = "check", return_raw)]
    pub fn check_later(
        call: NativeCallContext,
        name: &str,
        parameters: rhai::Map,
        later: rhai::Array,
    ) -> Fallible<()> {
        let context = Context::of(&call);
        let given =
            crate::script::value::from_map(&parameters).map_err(|error| error.to_string())?;
        let later: Vec<String> = later.iter().map(ToString::to_string).collect();
        let asked = json!([name, given, later]);
        let served = super::find(&context.generation, name)?;
        // What was found good once is not to be found wanting half-way.
        let check = || super::check(&context, served, given, &later).map(|()| Dynamic::UNIT);
        context.once("templates::check", asked, check).map(|_| ())
    }

    /// What the server lacks to run a workflow, each only if there is any: `#{ missing_models,
    /// missing_packs, warnings }`. Without a server that is not known.
    /// Throws nothing.
    /// Example: `templates::lacking(g).get("missing_models") ?? []`
    #[rhai_fn(return_raw)]
    pub fn lacking(call: NativeCallContext, workflow: WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(super::lacking_for(&context, &workflow)?)
    }
}

fn lacking_for(
    context: &Context,
    workflow: &WorkflowHandle,
) -> Result<Lacking, Box<EvalAltResult>> {
    let workflow = workflow.snapshot();
    let comfy = &context.host.comfy;
    context
        .wait(async { Ok::<_, ComfyError>(lacking(comfy, &context.generation, &workflow).await) })
}

/// What a template is given on the server at hand.
#[derive(Serialize, Deserialize)]
struct Arranged {
    arguments: Map<String, Value>,
    exchanged: Vec<Exchanged>,
}

/// Throws unless a template can be run with some parameters.
fn check(
    context: &Context,
    served: &Served,
    mut given: Map<String, Value>,
    later: &[String],
) -> Result<(), Box<EvalAltResult>> {
    let name = &served.script.key.name;
    let declaration = &served.script.declaration;
    let named = named(&given);
    for open in later {
        if declaration.param(open).is_none() {
            let message = format!("{name} takes no {open}");
            let failure = Failure::new(Code::INVALID_PARAMS, message);
            return Err(thrown(failure.hint(
                "choose another template: get_template tells what one takes",
            )));
        }
        given.insert(open.clone(), "later".into());
    }
    let of_it = |failure: Failure| {
        thrown(Failure {
            message: format!("{name}: {}", failure.message),
            ..failure
        })
    };
    let mut arguments = served
        .script
        .arguments(given)
        .map_err(|error| of_it(error.into()))?;
    if let Some(missing) = missing_file(declaration, &context.host.project_dir, &arguments) {
        return Err(of_it(missing));
    }
    let naming = name_models(&context.host.comfy, declaration, &named, &mut arguments);
    context.wait(async { Ok::<_, Failure>(naming.await) })?;
    let budget = &context.budget;
    let built = build_checked(&context.generation, &served.script, arguments, budget);
    let workflow = match built {
        Err(error) if budget.is_over() => return Err(context.ended(error)),
        built => built.map_err(|error| of_it(error.into()))?,
    };
    let lacking = lacking_for(context, &workflow)?;
    lacking
        .failure(name)
        .map_or(Ok(()), |failure| Err(thrown(failure)))
}

/// Builds a template's workflow, so that what it makes will name the template.
pub(super) fn build(
    context: &Context,
    served: &Served,
    given: Map<String, Value>,
) -> Fallible<WorkflowHandle> {
    let said: Vec<String> = given.keys().cloned().collect();
    let arranged = arranged(context, served, given)?;
    build_arranged(context, served, &said, arranged)
}

/// The same as a step of a run: which files stand for others on the server is found out once.
pub(super) fn build_once(
    context: &Context,
    served: &Served,
    given: &Map<String, Value>,
) -> Fallible<WorkflowHandle> {
    let said: Vec<String> = given.keys().cloned().collect();
    let step = json!([served.script.key.name, given]);
    let told = context.once("templates::build", step, || {
        answer(arranged(context, served, given.clone())?)
    })?;
    let told = from_dynamic(&told).map_err(|error| error.to_string())?;
    let arranged: Arranged = serde_json::from_value(told).map_err(|error| error.to_string())?;
    note_inputs(context, served, given, &arranged.arguments);
    build_arranged(context, served, &said, arranged)
}

fn arranged(context: &Context, served: &Served, given: Map<String, Value>) -> Fallible<Arranged> {
    let named = named(&given);
    let mut arguments = served.script.arguments(given).map_err(thrown)?;
    let declaration = &served.script.declaration;
    let arranging = arrange(&context.host, declaration, &named, &mut arguments);
    let (exchanged, bytes) = context.budget.apart(|| context.wait(arranging))?;
    context.budget.write(bytes)?;
    Ok(Arranged {
        arguments,
        exchanged,
    })
}

/// Notes which assets stand behind what another process may have handed over.
fn note_inputs(
    context: &Context,
    served: &Served,
    given: &Map<String, Value>,
    arguments: &Map<String, Value>,
) {
    for param in &served.script.declaration.params {
        let value = |of: &Map<String, Value>| Some(of.get(&param.name)?.as_str()?.to_owned());
        let is_media = matches!(param.ty, Type::Image | Type::Video | Type::Audio);
        let source = value(given).filter(|_| is_media);
        let source = source.and_then(|it| MediaSource::of(&it, &context.host.project_dir));
        if let (Some(MediaSource::Asset(asset_id)), Some(name)) = (source, value(arguments)) {
            context.host.jobs.note_input(&name, asset_id);
        }
    }
}

fn build_arranged(
    context: &Context,
    served: &Served,
    said: &[String],
    arranged: Arranged,
) -> Fallible<WorkflowHandle> {
    let mut arguments = arranged.arguments;
    context.exchanges.note(arranged.exchanged);
    let workflow = build_checked(
        &context.generation,
        &served.script,
        arguments.clone(),
        &context.budget,
    )
    .map_err(|error| context.ended(error))?;
    // What was left open says nothing of what was made.
    arguments.retain(|name, value| !value.is_null() || said.contains(name));
    let origin = Origin {
        script: Some(served.reference()),
        parameters: arguments,
        ..Origin::default()
    };
    context.host.jobs.remember(&workflow.snapshot(), origin);
    Ok(workflow)
}

pub(super) fn find<'a>(
    generation: &'a Generation,
    name: &str,
) -> Result<&'a Served, Box<EvalAltResult>> {
    generation.get(Kind::Template, name).map_err(|error| {
        let unknown = matches!(error, ScriptError::Unknown { .. });
        let failure = Failure::from(error);
        thrown(if unknown {
            failure.hint("list_workflow_templates shows what there is")
        } else {
            failure
        })
    })
}

fn summary(served: &Served) -> Value {
    let script = &served.script;
    let declaration = &script.declaration;
    let names: Vec<&str> = declaration
        .params
        .iter()
        .map(|param| param.name.as_str())
        .collect();
    let mut summary = Map::new();
    summary.insert("name".into(), script.key.name.as_str().into());
    summary.insert("description".into(), declaration.title.as_str().into());
    for fact in ["model", "type"] {
        if let Some(value) = declaration.meta.get(fact) {
            summary.insert(fact.into(), value.clone());
        }
    }
    let packs = declaration.needs();
    if !packs.is_empty() {
        let packs: Vec<&str> = packs.iter().map(|pack| pack.pack.as_str()).collect();
        summary.insert("needs".into(), json!(packs));
    }
    if let Some(tags) = declaration.meta.get("tags") {
        summary.insert("tags".into(), tags.clone());
    }
    let required = declaration.params.iter().filter(|param| param.required);
    let required: Vec<&str> = required.map(|param| param.name.as_str()).collect();
    summary.insert("required".into(), json!(required));
    summary.insert("placeholders".into(), json!(names));
    if script.layer != Layer::BuiltIn {
        summary.insert("layer".into(), json!(script.layer));
    }
    summary.into()
}

fn description(served: &Served) -> Value {
    let script = &served.script;
    let declaration = &script.declaration;
    let params = declaration.params.iter();
    let defaults: Map<String, Value> = params
        .clone()
        .filter(|param| !param.default.is_null())
        .map(|param| (param.name.clone(), param.default.clone()))
        .collect();
    let required: Vec<&str> = params
        .clone()
        .filter(|param| param.required)
        .map(|param| param.name.as_str())
        .collect();
    let placeholders: Vec<&str> = params.map(|param| param.name.as_str()).collect();
    json!({
        "name": script.key.name,
        "title": declaration.title,
        "description": declaration.about,
        "placeholders": placeholders,
        "required": required,
        "defaults": defaults,
        "parameters": declaration.params,
        "meta": declaration.meta,
        "layer": script.layer,
        "path": script.path,
        "hash": served.hash,
    })
}
