//! `batch::`: many runs of one workflow, all queued ahead so that the card never waits.
//!
//! What is run may be the name of a template, what `get_template` or
//! `create_workflow_from_template` answer, or a workflow in either format, with `{{PLACEHOLDERS}}` or
//! without.

use std::time::Duration;

use rhai::plugin::{Dynamic, EvalAltResult, ImmutableString, NativeCallContext, export_module};
use rhai::{FLOAT, exported_module};
use serde_json::{Map, Value, json};

use super::jobs::wait_within;
use super::nodes::Known;
use super::patience::patiently;
use super::queueing::{Queued, queue_all};
use super::templates::{build, find};
use super::{SharedModule, indexed, sweep};
use crate::batch::{self, BatchError, Wholeness, check_size};
use crate::comfy::Workflow;
use crate::comfy::ui::{Options, graph_in, to_api};
use crate::failure::Failure;
use crate::jobs::{MediaSource, Upload};
use crate::script::Kind;
use crate::script::handles::WorkflowHandle;
use crate::script::host::{Context, Progress, answer, caught, thrown};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn module() -> SharedModule {
    let mut module = exported_module!(functions);
    module.combine(sweep::functions());
    indexed(module)
}

#[export_module]
mod functions {
    use rhai::{Array, Map};

    use crate::script::value::from_dynamic;

    /// Runs a workflow once with each set of parameters and waits for all, each for a number of
    /// seconds at most: a list of `#{ index, status, prompt_id, parameters, outputs, duration }`, or
    /// with `error`, `message` and `hint` for one that failed, in the order of the sets.
    /// Throws `INVALID_PARAMS` for sets that are no maps, `CONNECTION_ERROR` without a server.
    /// Example: `batch::run("sd3_txt2img", [#{ PROMPT: "a fox", SEED: 1 }, #{ PROMPT: "a fox", SEED: 2 }], 600.0)`
    #[rhai_fn(return_raw)]
    pub fn run(
        call: NativeCallContext,
        workflow: Dynamic,
        sets: Array,
        seconds: FLOAT,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let source = super::Source::of(&context, &workflow)?;
        let json = |value: &Dynamic| from_dynamic(value).map_err(|error| error.to_string());
        let (given, sets) = (json(&workflow)?, json(&sets.into())?);
        context.once("batch::run", json!([given, sets, seconds]), || {
            answer(super::run(&context, &source, &sets, seconds)?)
        })
    }

    /// Those of some parameters that a workflow has a place for.
    /// Throws `NOT_FOUND` for a template that there is not.
    /// Example: `batch::fitting("sd3_txt2img", #{ PROMPT: "a fox", NO_SUCH_THING: 1 })`
    #[rhai_fn(return_raw)]
    pub fn fitting(call: NativeCallContext, workflow: Dynamic, params: Map) -> Fallible<Map> {
        let context = Context::of(&call);
        let source = super::Source::of(&context, &workflow)?;
        let mut fitting = params;
        for name in fitting.keys().cloned().collect::<Vec<_>>() {
            if !source.takes(&context, &name)? {
                fitting.remove(&name);
            }
        }
        Ok(fitting)
    }

    /// Hands an asset to the server again, as a later run reads it: gives the name for `LoadImage`
    /// and its kin.
    /// Throws `ASSET_NOT_FOUND_OR_EXPIRED`, `CONNECTION_ERROR` without a server.
    /// Example: `templates::build("sd3_txt2img", #{ PROMPT: "a fox", IMAGE_PATH: batch::hand_over(asset_id) })`
    #[rhai_fn(return_raw)]
    pub fn hand_over(call: NativeCallContext, asset_id: &str) -> Fallible<ImmutableString> {
        let context = Context::of(&call);
        let name = context.once("batch::hand_over", json!([asset_id]), || {
            Ok(super::hand_over(&context, asset_id)?.into())
        })?;
        let name = name.into_immutable_string()?;
        let jobs = &context.host.jobs;
        jobs.note_input(&name, asset_id.to_owned());
        Ok(name)
    }
}

/// What is run.
pub(super) enum Source {
    /// A template, with what was already said of its parameters.
    Template {
        name: String,
        given: Map<String, Value>,
        /// What it built from that.
        built: Option<Workflow>,
    },
    /// A workflow that no template of ours built.
    Plain(Workflow),
}

impl Source {
    pub(super) fn of(context: &Context, value: &Dynamic) -> Fallible<Self> {
        if let Some(workflow) = value.read_lock::<WorkflowHandle>() {
            return Ok(Self::built(context, workflow.snapshot()));
        }
        let value = crate::script::value::from_dynamic(value).map_err(|error| error.to_string())?;
        let named = value.as_str().or_else(|| {
            value["name"]
                .as_str()
                .filter(|_| value["placeholders"].is_array())
        });
        if let Some(name) = named {
            find(&context.generation, name)?;
            return Ok(Self::Template {
                name: name.to_owned(),
                given: Map::new(),
                built: None,
            });
        }
        if let Some(graph) = graph_in(&value) {
            let facts = Known::of(context)?.facts;
            let converted = to_api(graph, &facts, &Options::new(&context.host.clock));
            return Ok(Self::Plain(converted.map_err(thrown)?.workflow));
        }
        let workflow = Workflow::from_json(value).map_err(thrown)?;
        Ok(Self::built(context, workflow))
    }

    /// A workflow whose template is known can be built anew with other parameters.
    fn built(context: &Context, workflow: Workflow) -> Self {
        let origin = context.host.jobs.origin_of(&workflow);
        let script = origin
            .as_ref()
            .and_then(|origin| origin.script.as_ref())
            .filter(|script| script.kind == Kind::Template.as_str())
            .filter(|script| find(&context.generation, &script.name).is_ok());
        match (script, &origin) {
            (Some(script), Some(origin)) => Self::Template {
                name: script.name.clone(),
                given: origin.parameters.clone(),
                built: Some(workflow),
            },
            _ => Self::Plain(workflow),
        }
    }

    fn takes(&self, context: &Context, name: &str) -> Fallible<bool> {
        Ok(match self {
            Self::Template { name: own, .. } => declares(context, own, name)?,
            Self::Plain(workflow) => batch::takes(workflow, &Known::of(context)?.facts, name),
        })
    }

    /// What a template declares a parameter of that name to be; of other workflows nothing is known.
    pub(super) fn wholeness(&self, context: &Context, name: &str) -> Option<Wholeness> {
        let Self::Template { name: own, .. } = self else {
            return None;
        };
        let served = find(&context.generation, own).ok()?;
        served.script.declaration.wholeness(name)
    }

    /// The workflow with a set of parameters.
    pub(super) fn build(&self, context: &Context, set: &Map<String, Value>) -> Fallible<Workflow> {
        match self {
            Self::Plain(workflow) => fill(context, workflow, set),
            Self::Template { name, given, built } => {
                let mut is_for_script = true;
                for own in set.keys() {
                    is_for_script &= declares(context, name, own)?;
                }
                if let Some(built) = built
                    && !is_for_script
                    && let Ok(filled) = fill(context, built, set)
                {
                    return Ok(filled);
                }
                let mut all = given.clone();
                all.extend(set.clone());
                let served = find(&context.generation, name)?;
                Ok(build(context, served, all)?.snapshot())
            }
        }
    }
}

/// Whether a template has a parameter of that name.
fn declares(context: &Context, template: &str, name: &str) -> Fallible<bool> {
    let declaration = &find(&context.generation, template)?.script.declaration;
    Ok(declaration.params.iter().any(|param| param.name == name))
}

fn fill(context: &Context, workflow: &Workflow, set: &Map<String, Value>) -> Fallible<Workflow> {
    let facts = Known::of(context)?.facts;
    let draw = || Some(context.host.ids.seed());
    batch::fill(workflow, &facts, set, draw).map_err(thrown)
}

/// Runs are queued and waited for in the order that costs least and told in the order asked.
fn run(context: &Context, source: &Source, sets: &Value, seconds: f64) -> Fallible<Vec<Value>> {
    let limit = Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("can't wait for {seconds} seconds"))?;
    let sets = sets.as_array().map(Vec::as_slice).unwrap_or_default();
    if sets.is_empty() {
        return Err(thrown(BatchError::NoRuns));
    }
    check_size(sets.len()).map_err(thrown)?;
    let total = sets.len();
    let mut results = vec![Value::Null; total];
    let queued = queue_all(context, source, sets)?;
    context.report(Progress::Stage {
        message: format!("{total} runs are queued"),
        fraction: Some(0.0),
    });
    for (done, (index, queued)) in queued.into_iter().enumerate() {
        let mut result = json!({ "index": index });
        let over = match queued {
            Queued::Failed(failure) => Err(failure),
            Queued::Under(prompt_id) => {
                result["prompt_id"] = prompt_id.as_str().into();
                told(wait_within(context, &prompt_id, Some(limit)))?
            }
        };
        result["parameters"] = sets[index].clone();
        describe(&mut result, over);
        results[index] = result;
        context.report(Progress::Stage {
            message: format!("{} of {total} runs are over", done + 1),
            fraction: Some(part(done + 1, total)),
        });
    }
    Ok(results)
}

/// A result's end: what it made, that it goes on, or why it failed.
fn describe(result: &mut Value, over: Result<Value, Failure>) {
    match over {
        Ok(mut over) => {
            // Another than was queued if that was lost.
            result["prompt_id"] = over["prompt_id"].take();
            result["status"] = over["status"].take();
            if let Some(still) = over.get_mut("still") {
                result["still"] = still.take();
            } else {
                result["outputs"] = over["outputs"].take();
            }
            result["duration"] = over["elapsed_seconds"].take();
        }
        Err(failure) => {
            result["status"] = "error".into();
            if let (Value::Object(result), Value::Object(failure)) = (result, failure.to_json()) {
                for (name, value) in failure {
                    result.entry(name).or_insert(value);
                }
            }
        }
    }
}

/// What a binding threw on purpose, as a failure; everything else goes on upwards.
pub(super) fn told<T>(result: Fallible<T>) -> Fallible<Result<T, Failure>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match &*error {
            EvalAltResult::ErrorRuntime(value, _) => caught(value).map(Err).ok_or(error),
            _ => Err(error),
        },
    }
}

fn hand_over(context: &Context, asset_id: &str) -> Fallible<ImmutableString> {
    let host = &context.host;
    let upload = async || {
        let asset = MediaSource::Asset(asset_id.to_owned());
        host.jobs.upload(asset, &Upload::default()).await
    };
    let uploaded = context.budget.apart(|| patiently(context, upload))?;
    context.budget.write(uploaded.bytes)?;
    Ok(uploaded.name.into())
}

#[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
fn part(done: usize, total: usize) -> f64 {
    done as f64 / total.max(1) as f64
}
