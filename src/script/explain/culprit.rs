//! Where an error probably is of which Rhai keeps no place: those of its limits, and of values that are
//! read while they change.

use rhai::{ASTNode, EvalAltResult, Expr, Position, Stmt};

use super::words::raced;
use crate::script::limits::Passed;
use crate::script::{Limit, Script, check};

/// The functions by which a script runs another.
const RUNNERS: [&str; 2] = ["run", "run_source"];

/// The only place of a script that could be meant; none where there are several.
pub(super) fn culprit(error: &EvalAltResult, passed: Option<Passed>, script: &Script) -> Position {
    let places = match (passed.map(|passed| passed.limit), error) {
        (Some(Limit::CallLevels), _) => recursions(script),
        (Some(Limit::Nesting), _) => RUNNERS.iter().flat_map(|it| calls(script, it)).collect(),
        (Some(_), _) => loops(script),
        (None, EvalAltResult::ErrorDataRace(what, _)) => {
            raced(what).map_or_else(Vec::new, |function| calls(script, function))
        }
        _ => vec![],
    };
    match places.as_slice() {
        [one] => *one,
        _ => Position::NONE,
    }
}

fn loops(script: &Script) -> Vec<Position> {
    let mut found = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(
            Stmt::While(_, position) | Stmt::Do(_, _, position) | Stmt::For(_, position),
        )) = path.last()
        {
            found.push(*position);
        }
        true
    });
    found
}

/// Calls of a function within itself.
fn recursions(script: &Script) -> Vec<Position> {
    let functions: Vec<_> = script.ast.iter_fn_def().collect();
    let mut found = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        let call = path.last().and_then(check::call);
        let within = call.filter(|(call, position)| {
            let mut functions = functions.iter();
            functions.any(|it| it.name == call.name && check::encloses(it, *position))
        });
        found.extend(within.map(|(_, position)| position));
        true
    });
    found
}

/// Calls of a function, like a method or not.
fn calls(script: &Script, function: &str) -> Vec<Position> {
    let mut found = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        let called = match path.last() {
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => Some((&**call, *position)),
            Some(node) => check::call(node),
            None => None,
        };
        found.extend(
            called
                .filter(|(call, _)| call.name == function)
                .map(|(_, position)| position),
        );
        true
    });
    found
}
