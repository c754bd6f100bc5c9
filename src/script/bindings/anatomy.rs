//! What a workflow means, and other values for it:
//!
//! ```rhai
//! let g = workflow(assets::workflow(asset_id));
//! let seed = g.settings().seed.value;
//! let made = g.change(#{ prompt: "a red fox", seed: () });
//! ```
//!
//! A pure script goes by the node classes that are part of this program, and draws no seeds; the
//! others go by the server's.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, export_module};

use super::{SharedModule, indexed};
use crate::comfy::anatomy::Anatomy;
use crate::comfy::nodes::NodeFacts;
use crate::script::handles::WorkflowHandle;
use crate::script::host::{answer, thrown};
use crate::script::value::from_map;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// For scripts that may ask the server.
pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

/// For the others.
pub(super) fn pure_module() -> SharedModule {
    indexed(exported_module!(pure_functions))
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod functions {
    use rhai::Map;
    use rhai::plugin::NativeCallContext;

    use crate::script::bindings::nodes::Known;
    use crate::script::host::Context;

    /// What a workflow has and is: `#{ prompt: #{ value, at: ["6.text"] }, seed, steps, ... }`.
    /// Example: `g.settings().seed.value`
    #[rhai_fn(return_raw, global)]
    pub fn settings(call: NativeCallContext, workflow: &mut WorkflowHandle) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let known = Known::of(&context)?;
        super::settings(workflow, &known.facts)
    }

    /// Sets what a workflow has, found by what it means (`prompt`, `seed`, `cfg`, ...), by the name
    /// of an input or as `node_id.input`: `#{ changed, left, notes, seed }`. A seed of `()` is
    /// drawn, one of -1 kept. What has no place throws, and then nothing changes.
    /// Throws `INVALID_PARAMS`.
    /// Example: `g.change(#{ prompt: "a grey fox", seed: () })`
    #[rhai_fn(return_raw, global)]
    pub fn change(
        call: NativeCallContext,
        workflow: &mut WorkflowHandle,
        wanted: Map,
    ) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let known = Known::of(&context)?;
        super::change(workflow, &known.facts, &wanted, || {
            Some(context.host.ids.seed())
        })
    }
}

#[export_module]
#[expect(
    clippy::unwrap_used,
    reason = "written by the macro, for `&mut` arguments"
)]
mod pure_functions {
    use rhai::Map;

    /// What a workflow has and is: `#{ prompt: #{ value, at: ["6.text"] }, seed, steps, ... }`.
    /// Example: `g.settings().seed.value`
    #[rhai_fn(return_raw, global)]
    pub fn settings(workflow: &mut WorkflowHandle) -> Fallible<Dynamic> {
        super::settings(workflow, &NodeFacts::bundled())
    }

    /// Sets what a workflow has, found by what it means (`prompt`, `seed`, `cfg`, ...), by the name
    /// of an input or as `node_id.input`: `#{ changed, left, notes, seed }`. What has no place
    /// throws, and then nothing changes.
    /// Throws `INVALID_PARAMS`.
    /// Example: `g.change(#{ prompt: "a grey fox", seed: () })`
    #[rhai_fn(return_raw, global)]
    pub fn change(workflow: &mut WorkflowHandle, wanted: Map) -> Fallible<Dynamic> {
        super::change(workflow, &NodeFacts::bundled(), &wanted, || None)
    }
}

fn settings(workflow: &WorkflowHandle, facts: &NodeFacts) -> Fallible<Dynamic> {
    answer(Anatomy::of(&workflow.lock(), facts).settings())
}

fn change(
    workflow: &WorkflowHandle,
    facts: &NodeFacts,
    wanted: &rhai::Map,
    draw: impl Fn() -> Option<u64>,
) -> Fallible<Dynamic> {
    let wanted = from_map(wanted).map_err(|error| error.to_string())?;
    let changes = workflow.lock().change(facts, &wanted, draw);
    answer(changes.map_err(thrown)?)
}
