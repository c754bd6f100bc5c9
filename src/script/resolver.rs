//! `import "NAME"` finds a library of the generation at hand and nothing else.
//!
//! Rhai's file resolver follows absolute paths and `..` out of its folder and never forgets what
//! it has read; here a name is a key into libraries that were compiled when the generation was.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{Engine, EvalAltResult, ModuleResolver, Position};

use super::engine::SharedModule;

/// The libraries of one generation by name.
pub(super) type Modules = BTreeMap<String, SharedModule>;

pub(super) struct Resolver(Arc<Modules>);

impl Resolver {
    pub(super) fn new(modules: &Arc<Modules>) -> Self {
        Self(modules.clone())
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        _engine: &Engine,
        _source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<SharedModule, Box<EvalAltResult>> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| EvalAltResult::ErrorModuleNotFound(path.to_owned(), position).into())
    }
}
