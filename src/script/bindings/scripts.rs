//! `scripts::`: what scripts there are, and running one from another.

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::exported_module;
use serde_json::{Value, json};

use crate::script::engine::SharedModule;
use crate::failure::{Code, Failure};
use crate::script::host::{Context, answer, thrown};
use crate::script::run::{call as run_here, checked, reference};
use crate::script::{Generation, Kind};

pub(super) fn module() -> SharedModule {
    let mut module = exported_module!(functions);
    module.build_index();
    module.into()
}

#[export_module]
#[expect(clippy::needless_pass_by_value, reason = "Rhai hands contexts over by value")]
mod functions {
    use crate::script::value::{from_map, to_dynamic};

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// All scripts of all kinds, with what is wrong with those that are broken.
    #[rhai_fn(return_raw)]
    pub fn list(call: NativeCallContext) -> Fallible<Dynamic> {
        answer(super::listing(&Context::of(&call).generation))
    }

    /// Runs a pipeline or tool within this script and returns its result.
    #[rhai_fn(return_raw)]
    pub fn run(call: NativeCallContext, name: &str, parameters: rhai::Map) -> Fallible<Dynamic> {
        let above = Context::of(&call);
        if above.depth >= above.limits.nesting {
            let message = format!("scripts run each other more than {} deep", above.limits.nesting);
            return Err(thrown(Failure::new(Code::LIMIT_EXCEEDED, message)));
        }
        let generation = &above.generation;
        let served = generation
            .get(Kind::Pipeline, name)
            .or_else(|error| generation.get(Kind::Tool, name).map_err(|_| error))
            .map_err(thrown)?;
        let given = from_map(&parameters).map_err(|error| error.to_string())?;
        let context = Context {
            parameters: checked(&served.script, given).map_err(thrown)?,
            script: reference(served),
            depth: above.depth + 1,
            ..above.clone()
        };
        run_here(&served.script, &context).map(to_dynamic).map_err(thrown)
    }
}

fn listing(generation: &Generation) -> Vec<Value> {
    let served = generation.all().map(|served| {
        let script = &served.script;
        let mut entry = json!({
            "name": script.key.name,
            "kind": script.key.kind,
            "title": script.declaration.title,
            "layer": script.layer,
            "path": script.path,
        });
        if let Some(problem) = generation.problems().get(&script.key) {
            entry["problem"] = problem.one_line().into();
        }
        entry
    });
    let served: Vec<Value> = served.collect();
    let never_good = generation.problems().iter().filter(|(key, _)| generation.get(key.kind, &key.name).is_err());
    let never_good = never_good.map(|(key, problem)| {
        json!({
            "name": key.name,
            "kind": key.kind,
            "path": problem.path,
            "problem": problem.one_line(),
        })
    });
    served.into_iter().chain(never_good).collect()
}
