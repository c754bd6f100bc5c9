//! Functions of libraries that a pure script can't call, because they reach the server, the clock
//! or chance. A library may have both sorts: it is its caller that is pure or not.

use std::collections::HashSet;

use rhai::{AST, ASTNode};

use super::tree;
use crate::script::resolver::Libraries;
use crate::script::{Diagnostic, Mistake, Script, bindings};

/// The calls by which a pure script would have an effect through a library.
pub(super) fn check(script: &Script, libraries: &Libraries) -> Vec<Diagnostic> {
    let kind = script.key.kind;
    if !kind.is_pure() {
        return vec![];
    }
    let imports = tree::imports(script);
    let mut problems = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        let Some((call, position)) = path.last().and_then(tree::call) else {
            return true;
        };
        let namespace = tree::namespace(call);
        let library = imports.iter().find(|import| import.alias == namespace);
        let effect = library.and_then(|import| {
            let count = call.args.len();
            Search::default().effect_in(libraries, &import.library, &call.name, count)
        });
        if let Some(effect) = effect {
            let message = format!(
                "a {kind} is pure, and {namespace}::{} calls {effect}",
                call.name
            );
            let hint = "what it gives has to be a parameter, or the work of a pipeline";
            let problem = Diagnostic::new(message, script.path.clone(), &script.text, position)
                .code(Mistake::EffectInPure)
                .hint(Some(hint.to_owned()));
            problems.push(problem);
        }
        true
    });
    problems
}

/// Goes through the functions that call each other, each once.
#[derive(Default)]
struct Search {
    seen: HashSet<(String, String, usize)>,
}

impl Search {
    /// The first effect that a library's function has, as it is written there.
    fn effect_in(
        &mut self,
        libraries: &Libraries,
        library: &str,
        function: &str,
        count: usize,
    ) -> Option<String> {
        let place = (library.to_owned(), function.to_owned(), count);
        if !self.seen.insert(place) {
            return None;
        }
        let served = libraries.get(library)?;
        let script = &served.script;
        let imports = tree::imports(script);
        for (namespace, called, count) in called_by(&script.ast, function, count) {
            let written = format!("{namespace}::{called}");
            let found = if namespace.is_empty() {
                let is_own = script.function_names().any(|name| name == called);
                if is_own {
                    self.effect_in(libraries, library, &called, count)
                } else {
                    bindings::is_effect(&called).then(|| called.clone())
                }
            } else if bindings::effect_namespaces().any(|space| space == namespace) {
                Some(written)
            } else {
                let import = imports.iter().find(|import| import.alias == namespace);
                import.and_then(|import| {
                    self.effect_in(&served.libraries, &import.library, &called, count)
                })
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// The functions that a function calls, its closures among them: namespace, name, arguments.
fn called_by(ast: &AST, function: &str, count: usize) -> Vec<(String, String, usize)> {
    let mut called = vec![];
    let mut alone = ast.clone();
    alone.retain_functions(|_, _, name, parameters| name == function && parameters == count);
    alone.walk(&mut |path: &[ASTNode]| {
        let node = path.last();
        if let Some((call, _)) = node.and_then(tree::call) {
            called.push((
                tree::namespace(call),
                call.name.to_string(),
                call.args.len(),
            ));
        }
        if let Some(ASTNode::Expr(expression)) = node
            && let Some(closure) = tree::pointed_at(expression)
        {
            let mut functions = ast.iter_functions();
            let parameters = functions.find(|it| it.name == closure);
            let parameters = parameters.map_or(0, |it| it.params.len());
            called.push((String::new(), closure, parameters));
        }
        true
    });
    called
}
