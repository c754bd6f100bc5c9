//! Calls of functions that do not exist, or not with so many arguments.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{ASTNode, Expr, FnCallExpr, Position};

use super::functions::Functions;
use super::tree;
use crate::script::compile::is_test;
use crate::script::resolver::Libraries;
use crate::script::{Diagnostic, Mistake, Script, explain};

/// The mistakes in a script's calls.
pub(super) fn check(script: &Script, libraries: &Arc<Libraries>) -> Vec<Diagnostic> {
    let functions = Functions::of(script, libraries);
    let in_tests = script.testing.as_ref();
    let in_tests = in_tests.map(|_| Functions::of_tests(script, libraries));
    let mut problems = vec![];
    script.whole().walk(&mut |path: &[ASTNode]| {
        let called = match path.last() {
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => {
                Some((&**call, *position, true))
            }
            Some(node) => tree::call(node).map(|(call, position)| (call, position, false)),
            None => None,
        };
        if let Some((call, position, is_method)) = called {
            let in_test = in_tests.as_ref().filter(|_| is_in_test(script, position));
            let functions = in_test.unwrap_or(&functions);
            let problem = judge(script, functions, call, position, is_method);
            problems.extend(problem);
        }
        true
    });
    problems
}

fn is_in_test(script: &Script, position: Position) -> bool {
    let mut functions = script.whole().iter_fn_def();
    functions.any(|function| {
        is_test(&function.name, function.params.len()) && tree::encloses(function, position)
    })
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
    let namespace = tree::namespace(call);
    let given = call.args.len() + usize::from(is_method);
    let written = if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}::{name}")
    };
    let (code, message, hint) = match functions.counts(&namespace, name) {
        Some(counts) if counts.contains(&given) => return None,
        Some(counts) => {
            let message = format!("{written} is called with {}", arguments(call.args.len()));
            let hint = functions.takes(&written);
            let hint = hint.unwrap_or_else(|| takes(counts, is_method));
            (Mistake::ArgumentCount, message, Some(hint))
        }
        None => {
            let like = functions.meant(&namespace, name);
            let effect = explain::effect_hint(name, script.key.kind);
            let code = if effect.is_some() {
                Mistake::EffectInPure
            } else {
                Mistake::UnknownFunction
            };
            let hint = effect.or_else(|| like.map(|like| format!("did you mean {like}?")));
            (code, format!("no function {written}"), hint)
        }
    };
    let diagnostic = Diagnostic::new(message, script.path.clone(), &script.text, position);
    let diagnostic = diagnostic.code(code).hint(hint);
    // A value may be a map with a function in it, which is called like a method.
    Some(if is_method {
        diagnostic.doubt()
    } else {
        diagnostic
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
