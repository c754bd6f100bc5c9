//! `import "NAME"` finds a library that the script was put together with and nothing else.
//!
//! Rhai's file resolver follows absolute paths and `..` out of its folder and never forgets what
//! it has read; here a name is a key into libraries that were compiled when the generation was.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{Engine, EvalAltResult, ModuleResolver, Position};

use super::engine::SharedModule;
use super::{Key, Kind, Served};

/// The libraries below one script by name, those included that its libraries import.
pub(super) type Libraries = BTreeMap<String, Served>;

/// The library that stands at `path` below a script root, if it is one of `libraries`.
pub(super) fn library_at<'a>(libraries: &'a Libraries, path: &str) -> Option<&'a Served> {
    let key = Key::from_path(path).filter(|key| key.kind == Kind::Lib)?;
    libraries.get(&key.name)
}

pub(super) struct Resolver(Arc<Libraries>);

impl Resolver {
    pub(super) fn new(libraries: &Arc<Libraries>) -> Self {
        Self(libraries.clone())
    }
}

impl ModuleResolver for Resolver {
    /// An import within a function is resolved when the function runs. One in a library's
    /// function finds what the library was put together with, whoever calls it.
    fn resolve(
        &self,
        _engine: &Engine,
        source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<SharedModule, Box<EvalAltResult>> {
        let importer = source.and_then(|source| library_at(&self.0, source));
        let within = importer.map_or(&self.0, |importer| &importer.libraries);
        within
            .get(path)
            .and_then(|library| library.module.clone())
            .ok_or_else(|| EvalAltResult::ErrorModuleNotFound(path.to_owned(), position).into())
    }
}
