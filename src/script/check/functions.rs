//! The functions that a script can call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{ASTNode, Engine, FnNamespace, Position};

use super::tree;
use crate::script::arguments::nearest;
use crate::script::budget::Budget;
use crate::script::explain::Known;
use crate::script::resolver::Libraries;
use crate::script::{Script, engine};

/// What the language itself offers in the form of functions.
const KEYWORDS: [&str; 9] = [
    "Fn",
    "call",
    "curry",
    "debug",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "print",
    "type_of",
];

/// Functions by name within their namespace (empty for the global one), with the numbers of
/// arguments that they take.
#[derive(Default)]
pub(super) struct Functions {
    counts: BTreeMap<String, BTreeMap<String, BTreeSet<usize>>>,
    known: Option<Known>,
}

impl Functions {
    /// Those of the language, of the bindings, of the script and of the libraries it imports.
    pub(super) fn of(script: &Script, libraries: &Arc<Libraries>) -> Self {
        let is_pure = script.key.kind.is_pure();
        let engine = engine::running(&Budget::of_checks(), libraries, is_pure);
        Self::in_engine(&engine, script, libraries)
    }

    /// The same for what is called in tests.
    pub(super) fn of_tests(script: &Script, libraries: &Arc<Libraries>) -> Self {
        let engine = engine::testing(&Budget::of_checks(), libraries, script.key.kind.is_pure());
        Self::in_engine(&engine, script, libraries)
    }

    fn in_engine(engine: &Engine, script: &Script, libraries: &Libraries) -> Self {
        let mut functions = Self::default();
        functions.add_registered(engine);
        for function in script.whole().iter_functions() {
            functions.add("", function.name, function.params.len());
        }
        for import in tree::imports(script) {
            let library = libraries.get(&import.library);
            let library = library.map(|library| &library.script);
            for function in library
                .iter()
                .flat_map(|library| library.ast.iter_functions())
            {
                functions.add(&import.alias, function.name, function.params.len());
            }
        }
        functions.known = Some(Known::of(engine, script, libraries));
        functions
    }

    fn add_registered(&mut self, engine: &Engine) {
        let registered = engine.collect_fn_metadata(
            None,
            |info| {
                let function = info.metadata;
                let is_global = function.namespace == FnNamespace::Global;
                let name = function.name.to_string();
                Some((
                    info.namespace.to_string(),
                    is_global,
                    name,
                    function.num_params,
                ))
            },
            true,
        );
        for (namespace, is_global, name, count) in registered {
            if is_global {
                self.add("", &name, count);
            }
            self.add(&namespace, &name, count);
        }
    }

    fn add(&mut self, namespace: &str, name: &str, count: usize) {
        let names = self.counts.entry(namespace.to_owned()).or_default();
        names.entry(name.to_owned()).or_default().insert(count);
    }

    /// How many arguments the function takes; `None` if there is none of that name.
    pub(super) fn counts(&self, namespace: &str, name: &str) -> Option<&BTreeSet<usize>> {
        self.counts.get(namespace)?.get(name)
    }

    /// How a function is called, in words.
    pub(super) fn takes(&self, name: &str) -> Option<String> {
        self.known.as_ref()?.takes(name)
    }

    /// Whether the language takes care of the call itself.
    pub(super) fn is_keyword(name: &str) -> bool {
        KEYWORDS.contains(&name)
    }

    /// The function that was probably meant, as a script would write it.
    pub(super) fn meant(&self, namespace: &str, name: &str) -> Option<String> {
        let written = |space: &str, name: &str| match space {
            "" => name.to_owned(),
            space => format!("{space}::{name}"),
        };
        let within = self.counts.get(namespace)?.keys().map(String::as_str);
        // Operators have names of their own that nobody means.
        let words = within.filter(|name| name.starts_with(|c: char| c.is_alphabetic()));
        if let Some(like) = nearest(name, words) {
            return Some(written(namespace, &like));
        }
        let elsewhere = self
            .counts
            .iter()
            .find(|(_, names)| names.contains_key(name));
        elsewhere.map(|(space, _)| written(space, name))
    }
}

/// The first call of a library's function that no library of that name has, with its place.
pub(in crate::script) fn lacking(
    script: &Script,
    libraries: &Libraries,
) -> Option<(String, Position)> {
    let imports = tree::imports(script);
    let mut found = None;
    script.whole().walk(&mut |path: &[ASTNode]| {
        let call = path.last().and_then(tree::call);
        found = call.and_then(|(call, position)| {
            let space = tree::namespace(call);
            let mut meant = imports
                .iter()
                .filter(|import| import.alias == space)
                .filter_map(|import| libraries.get(&import.library))
                .peekable();
            meant.peek()?;
            let has = meant.any(|library| {
                let mut functions = library.script.ast.iter_functions();
                functions.any(|it| it.name == call.name && it.params.len() == call.args.len())
            });
            (!has).then(|| (format!("{space}::{}", call.name), position))
        });
        found.is_none()
    });
    found
}
