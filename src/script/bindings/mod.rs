//! What scripts can do: the only place that knows both Rhai and the domain.
//!
//! A pure script gets [`workflow`] alone; the others get everything. Each file is one namespace
//! of the scripts' world.

mod anatomy;
mod assets;
mod batch;
mod careful;
mod comfy;
pub(super) mod facts;
mod flow;
mod grounds;
mod jobs;
mod knowledge;
mod message;
mod model_name;
mod nodes;
mod parallel;
mod patience;
mod publishing;
mod pure;
mod queueing;
mod reply;
mod runs;
mod scripts;
mod sweep;
mod talk;
mod templates;
pub(super) mod testing;
mod variations;
mod vision;
mod vram;
mod workflow;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rhai::Engine;

/// A module that all engines share.
type SharedModule = rhai::Shared<rhai::Module>;

/// A namespace and what is in it; an empty name stands for the global one.
type Namespace = (&'static str, SharedModule);

static EVERYWHERE: LazyLock<Vec<Namespace>> = LazyLock::new(|| {
    vec![
        ("", workflow::module()),
        ("", model_name::module()),
        ("", facts::module()),
    ]
});

static PURE: LazyLock<Vec<Namespace>> = LazyLock::new(|| vec![("", anatomy::pure_module())]);

/// What stands before functions of the language that a pure script may not call, and refuses.
static REFUSALS: LazyLock<SharedModule> = LazyLock::new(pure::module);

static EFFECTS: LazyLock<Vec<Namespace>> = LazyLock::new(|| {
    vec![
        ("", flow::module()),
        ("", parallel::module()),
        ("", talk::module()),
        ("", reply::module()),
        ("", message::module()),
        ("", anatomy::module()),
        ("comfy", comfy::module()),
        ("nodes", nodes::module()),
        ("assets", assets::module()),
        ("variations", variations::module()),
        ("templates", templates::module()),
        ("batch", batch::module()),
        ("knowledge", knowledge::module()),
        ("vram", vram::module()),
        ("vision", vision::module()),
        ("scripts", scripts::module()),
    ]
});

/// How to write a script, in few words.
pub(super) fn guide() -> &'static str {
    scripts::GUIDE
}

/// Gives `engine` what a script of this purity may use.
pub(super) fn register(engine: &mut Engine, pure: bool) {
    if pure {
        engine.register_global_module(REFUSALS.clone());
    }
    register_ours(engine, pure);
}

/// The same without what only refuses.
pub(super) fn register_ours(engine: &mut Engine, pure: bool) {
    let further = if pure { &PURE } else { &EFFECTS };
    for (name, module) in EVERYWHERE.iter().chain(&**further) {
        if name.is_empty() {
            engine.register_global_module(module.clone());
        } else {
            engine.register_static_module(name, module.clone());
        }
    }
}

/// The namespaces that pure scripts lack.
pub(super) fn effect_namespaces() -> impl Iterator<Item = &'static str> {
    EFFECTS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.is_empty())
}

/// Whether `name` is a function that pure scripts lack.
pub(super) fn is_effect(name: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let names = |pure| {
            let mut engine = Engine::new_raw();
            register(&mut engine, pure);
            function_names(&engine).into_iter().collect::<BTreeSet<_>>()
        };
        &names(false) - &names(true)
    });
    NAMES.contains(name)
}

/// The names of all functions that a script of this purity can call, as it would write them.
pub(super) fn function_names(engine: &Engine) -> Vec<String> {
    let signatures = engine.gen_fn_signatures(true);
    let names = signatures
        .iter()
        .filter_map(|signature| signature.split('(').next());
    names.map(|name| name.trim().to_owned()).collect()
}

/// Makes a module ready to be shared.
fn indexed(mut module: rhai::Module) -> SharedModule {
    module.build_index();
    module.into()
}
