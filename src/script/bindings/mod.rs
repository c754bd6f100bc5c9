//! What scripts can do: the only place that knows both Rhai and the domain.
//!
//! A pure script gets [`workflow`] alone; the others get everything. Each file is one namespace
//! of the scripts' world.

mod assets;
mod comfy;
mod flow;
mod scripts;
mod templates;
mod workflow;

use std::sync::LazyLock;

use rhai::{Engine, SharedModule};

pub(super) use workflow::{Link, NodeHandle, WorkflowHandle};

/// A namespace and what is in it; an empty name stands for the global one.
type Namespace = (&'static str, SharedModule);

static PURE: LazyLock<Vec<Namespace>> = LazyLock::new(|| vec![("", workflow::module())]);

static EFFECTS: LazyLock<Vec<Namespace>> = LazyLock::new(|| {
    vec![
        ("", flow::module()),
        ("comfy", comfy::module()),
        ("assets", assets::module()),
        ("templates", templates::module()),
        ("scripts", scripts::module()),
    ]
});

/// Gives `engine` what a script of this purity may use.
pub(super) fn register(engine: &mut Engine, pure: bool) {
    let effects = if pure { &[][..] } else { &EFFECTS[..] };
    for (name, module) in PURE.iter().chain(effects) {
        if name.is_empty() {
            engine.register_global_module(module.clone());
        } else {
            engine.register_static_module(name, module.clone());
        }
    }
}

/// The namespaces that pure scripts lack.
pub(super) fn effect_namespaces() -> impl Iterator<Item = &'static str> {
    EFFECTS.iter().map(|(name, _)| *name).filter(|name| !name.is_empty())
}

/// The names of all functions that a script of this purity can call without a namespace.
pub(super) fn function_names(pure: bool) -> Vec<String> {
    let effects = if pure { &[][..] } else { &EFFECTS[..] };
    let mut names = vec![];
    for (namespace, module) in PURE.iter().chain(effects) {
        for (_, function) in module.iter_fn() {
            let name = &function.name;
            if namespace.is_empty() {
                names.push(name.to_string());
            } else {
                names.push(format!("{namespace}::{name}"));
            }
        }
    }
    names
}
