//! Rhai engines. Each run gets one of its own, made of shared parts.
//!
//! A shared engine would be a bottleneck: its string interner sits behind a lock that sleeps
//! under contention. A raw engine has no interner and costs under a microsecond, because the
//! standard library and our bindings are modules that all engines share.

use std::sync::{Arc, LazyLock};

use rhai::Engine;
use rhai::module_resolvers::DummyModuleResolver;
use rhai::packages::{Package, StandardPackage};

use super::budget::Budget;
use super::resolver::{Libraries, Resolver};
use super::{Limit, Limits, bindings, bounded};

/// A module that many engines hold.
pub(super) type SharedModule = rhai::Shared<rhai::Module>;

static STANDARD: LazyLock<SharedModule> =
    LazyLock::new(|| StandardPackage::new().as_shared_module());

/// What stands before functions of the language that could outgrow every limit in one step.
static BOUNDED: LazyLock<SharedModule> = LazyLock::new(bounded::module);

/// A bare engine with the standard library, the limits and our strictness: a misspelt variable or
/// property is an error, never a silent `()`.
pub(super) fn bare(limits: &Limits) -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .register_global_module(STANDARD.clone())
        .register_global_module(BOUNDED.clone())
        .set_module_resolver(DummyModuleResolver::new())
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .set_max_operations(limits.of(Limit::Operations))
        .set_max_call_levels(limits.size(Limit::CallLevels))
        .set_max_expr_depths(Limits::EXPRESSION_DEPTH, Limits::EXPRESSION_DEPTH)
        .set_max_string_size(limits.size(Limit::StringSize))
        .set_max_array_size(limits.size(Limit::ArraySize))
        .set_max_map_size(limits.size(Limit::MapSize))
        .set_max_variables(limits.size(Limit::Variables))
        .disable_symbol("eval");
    // Rhai's own print and debug write to stdout, which belongs to results and to JSON-RPC.
    engine.on_print(|text| tracing::info!(target: "script", "{text}"));
    engine.on_debug(|text, source, position| {
        tracing::info!(target: "script", "{}:{position}: {text}", source.unwrap_or_default());
    });
    engine
}

/// An engine that parses scripts of one purity. It knows the bindings' namespaces, because a
/// namespace that is not known is a mistake already then.
pub(super) fn compiling(pure: bool) -> Engine {
    let mut engine = bare(&Limits::default());
    bindings::register(&mut engine, pure);
    engine
}

/// An engine that runs scripts of one purity over the libraries that they may import.
pub(super) fn running(budget: &Arc<Budget>, libraries: &Arc<Libraries>, pure: bool) -> Engine {
    let mut engine = bare(budget.limits());
    budget.meter(&mut engine);
    engine.set_module_resolver(Resolver::new(libraries));
    bindings::register(&mut engine, pure);
    engine
}

/// The same with what tests are made of.
pub(super) fn testing(budget: &Arc<Budget>, libraries: &Arc<Libraries>, pure: bool) -> Engine {
    let mut engine = running(budget, libraries, pure);
    engine.register_global_module(bindings::testing::module());
    engine
}
