//! `scripts::`: what scripts there are, and running one from another.

use std::sync::Arc;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};

use super::{SharedModule, indexed};
use crate::failure::{Code, Failure};
use crate::script::Kind;
use crate::script::host::{Context, answer, thrown};
use crate::script::reply::ReplyHandle;
use crate::script::run::call as run_here;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use crate::script::value::{from_map, to_dynamic};

    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// All scripts of all kinds, with what is wrong with those that are broken.
    #[rhai_fn(return_raw)]
    pub fn list(call: NativeCallContext) -> Fallible<Dynamic> {
        answer(Context::of(&call).generation.listing())
    }

    /// Runs a pipeline or tool within this script and returns its result: a value, or the reply
    /// if it shows something beside its value.
    #[rhai_fn(return_raw)]
    pub fn run(call: NativeCallContext, name: &str, parameters: rhai::Map) -> Fallible<Dynamic> {
        let above = Context::of(&call);
        if above.depth >= above.limits.nesting {
            let message = format!(
                "scripts run each other more than {} deep",
                above.limits.nesting
            );
            return Err(thrown(Failure::new(Code::LIMIT_EXCEEDED, message)));
        }
        let generation = &above.generation;
        let served = generation
            .find(&[Kind::Pipeline, Kind::Tool], name)
            .map_err(thrown)?;
        let given = from_map(&parameters).map_err(|error| error.to_string())?;
        let context = Arc::new(Context {
            parameters: served.script.arguments(given).map_err(thrown)?,
            script: served.reference(),
            depth: above.depth + 1,
            ..(*above).clone()
        });
        let reply = run_here(&served.script, &context).map_err(thrown)?;
        Ok(if reply.content.is_empty() {
            to_dynamic(reply.value)
        } else {
            Dynamic::from(ReplyHandle::new(reply))
        })
    }
}
