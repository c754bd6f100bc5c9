//! Parameters that are read and not declared.

use rhai::{ASTNode, Expr, Position, ScriptFuncDef};

use super::tree::encloses;
use crate::script::arguments::nearest;
use crate::script::{Diagnostic, Mistake, Script};

/// The undeclared parameters that a script's entry function reads.
pub(super) fn check(script: &Script) -> Vec<Diagnostic> {
    let functions: Vec<&ScriptFuncDef> = script.ast.iter_fn_def().map(|def| &**def).collect();
    let entry = script.key.entry();
    let Some(entry) = entry.filter(|entry| entry.params == ["p"]) else {
        return vec![];
    };
    let Some(function) = functions.iter().find(|def| def.name == entry.name) else {
        return vec![];
    };
    let Some(parameters) = function.params.first() else {
        return vec![];
    };
    // A closure may have a parameter of its own under the same name.
    let is_its_own = |path: &[ASTNode], position| {
        let statement = path.first().map(ASTNode::position);
        let mut closures = functions.iter().filter(|def| def.name.starts_with("anon$"));
        let within = |closure: &&ScriptFuncDef| {
            // One without braces is a single statement, whose end is not noted.
            Some(closure.body.start_position()) == statement || encloses(closure, position)
        };
        encloses(function, position) && !closures.any(within)
    };
    let mut problems = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::Dot(dot, ..))) = path.last()
            && matches!(&dot.lhs, Expr::Variable(variable, ..) if variable.1 == *parameters)
            && let Some((name, position)) = property(&dot.rhs)
            && is_its_own(path, position)
            && script.declaration.param(name).is_none()
        {
            problems.push(undeclared(script, name, position));
        }
        true
    });
    problems
}

/// The name that stands behind the dot, by itself or as the first of a chain.
fn property(expression: &Expr) -> Option<(&str, Position)> {
    match expression {
        Expr::Property(property, position) => Some((property.2.as_str(), *position)),
        Expr::Dot(chain, ..) | Expr::Index(chain, ..) => property(&chain.lhs),
        _ => None,
    }
}

fn undeclared(script: &Script, name: &str, position: Position) -> Diagnostic {
    let params = script.declaration.params.iter();
    let declared = params.map(|param| param.name.as_str());
    let hint = nearest(name, declared).map_or_else(
        || format!("declare it: param(\"{name}\", \"string\", #{{ about: \"...\" }})"),
        |like| format!("did you mean {like}?"),
    );
    let message = format!("no parameter \"{name}\" is declared");
    Diagnostic::new(message, script.path.clone(), &script.text, position)
        .code(Mistake::UnknownParameter)
        .hint(Some(hint))
}
