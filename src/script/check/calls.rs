//! Calls of functions that do not exist, or not with so many arguments.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::functions::Functions;
use crate::script::resolver::Libraries;
use crate::script::{Diagnostic, Script, Severity, explain};

/// The mistakes in a script's calls.
pub(super) fn check(script: &Script, libraries: &Arc<Libraries>) -> Vec<Diagnostic> {
    let functions = Functions::of(script, libraries);
    let mut problems = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        let called = match path.last() {
            Some(
                ASTNode::Expr(Expr::FnCall(call, position))
                | ASTNode::Stmt(Stmt::FnCall(call, position)),
            ) => Some((call, *position, false)),
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => Some((call, *position, true)),
            _ => None,
        };
        if let Some((call, position, is_method)) = called {
            let problem = judge(script, &functions, call, position, is_method);
            problems.extend(problem);
        }
        true
    });
    problems
}

fn judge(
    script: &Script,
    functions: &Functions,
    call: &FnCallExpr,
    position: Position,
    is_method: bool,
) -> Option<Diagnostic> {
    let name = call.name.as_str();
    if call.is_operator_call() || Functions::is_keyword(name) || name.starts_with("anon$") {
        return None;
    }
    let namespace: Vec<&str> = call
        .namespace
        .path
        .iter()
        .map(rhai::Ident::as_str)
        .collect();
    let namespace = namespace.join("::");
    let given = call.args.len() + usize::from(is_method);
    let written = if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}::{name}")
    };
    let (message, hint) = match functions.counts(&namespace, name) {
        Some(counts) if counts.contains(&given) => return None,
        Some(counts) => {
            let message = format!("{written} is called with {}", arguments(call.args.len()));
            (message, Some(takes(counts, is_method)))
        }
        None => {
            let like = functions.meant(&namespace, name);
            let hint = explain::effect_hint(name, script.key.kind)
                .or_else(|| like.map(|like| format!("did you mean {like}?")));
            (format!("no function {written}"), hint)
        }
    };
    let diagnostic = Diagnostic::new(message, script.path.clone(), &script.text, position);
    Some(Diagnostic {
        // A value may be a map with a function in it, which is called like a method.
        severity: if is_method {
            Severity::Warning
        } else {
            Severity::Error
        },
        ..diagnostic.hint(hint)
    })
}

fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        count => format!("{count} arguments"),
    }
}

fn takes(counts: &BTreeSet<usize>, is_method: bool) -> String {
    let counts = counts
        .iter()
        .map(|count| count.saturating_sub(usize::from(is_method)));
    let counts: Vec<String> = counts.map(|count| count.to_string()).collect();
    format!("it takes {}", counts.join(" or "))
}
