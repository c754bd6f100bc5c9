//! Scripts that a script runs by name, and the parameters that it gives them.

use rhai::{ASTNode, Expr};

use super::entries::{Entry, entries};
use super::tree;
use crate::script::arguments::nearest;
use crate::script::{Diagnostic, Generation, Kind, Mistake, Script};

/// Names that no script has, and parameters that the script of that name does not declare. They are
/// warnings: a script may be there by the time that it is asked for. Tests are left out, as they ask for
/// what there is not on purpose.
pub(super) fn check(script: &Script, generation: &Generation) -> Vec<Diagnostic> {
    let mut problems = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        let Some((call, _)) = path.last().and_then(tree::call) else {
            return true;
        };
        let namespace = tree::namespace(call);
        let kinds: &[Kind] = match (namespace.as_str(), call.name.as_str(), call.args.len()) {
            ("templates", "build", 2) => &[Kind::Template],
            ("scripts", "run", 2) => &[Kind::Pipeline, Kind::Template, Kind::Tool],
            _ => return true,
        };
        let Some(Expr::StringConstant(name, position)) = call.args.first() else {
            return true;
        };
        let warn = |code, message, position| {
            Diagnostic::new(message, script.path.clone(), &script.text, position)
                .code(code)
                .doubt()
        };
        match generation.find(kinds, name) {
            Ok(found) => {
                let given = entries(call.args.get(1), &script.text);
                let unknown = unknown(&found.script, given);
                problems.extend(unknown.map(|(entry, hint)| {
                    let message =
                        format!("{} has no parameter \"{}\"", found.script.key, entry.name);
                    warn(Mistake::UnknownParameter, message, entry.position).hint(Some(hint))
                }));
            }
            Err(error) => {
                problems.push(warn(Mistake::UnknownScript, error.to_string(), *position));
            }
        }
        true
    });
    problems
}

/// The entries that the script called does not declare, each with what may be meant.
fn unknown(called: &Script, given: Vec<Entry>) -> impl Iterator<Item = (Entry, String)> {
    let declaration = &called.declaration;
    let takes_all =
        declaration.input_schema.is_some() || declaration.params.iter().any(|param| param.rest);
    given.into_iter().filter_map(move |entry| {
        if takes_all || declaration.param(&entry.name).is_some() {
            return None;
        }
        let names = declaration.params.iter().map(|param| param.name.as_str());
        let hint = nearest(&entry.name, names.clone()).map_or_else(
            || format!("it has {}", names.collect::<Vec<_>>().join(", ")),
            |like| format!("did you mean {like}?"),
        );
        Some((entry, hint))
    })
}
