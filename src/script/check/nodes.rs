//! Node classes and inputs that the server at hand does not have.
//!
//! They are warnings: another server may have the custom nodes that this one lacks.

use rhai::{ASTNode, Expr, FnCallExpr, Position};

use crate::comfy::nodes::{Input, NodeClass, NodeFacts};
use crate::script::arguments::nearest;
use crate::script::{Diagnostic, NodePack, Script, Severity};

/// What `g.node("Class", #{ input: ... })` says, held against the facts.
/// What some template says is of a pack is no slip, wherever it is missing.
pub(super) fn check(script: &Script, facts: &NodeFacts, packs: &[NodePack]) -> Vec<Diagnostic> {
    let is_of_pack = |class: &str| {
        packs
            .iter()
            .any(|pack| pack.nodes.iter().any(|it| it == class))
    };
    let mut problems = vec![];
    script.ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::MethodCall(call, _))) = path.last()
            && call.name == "node"
            && let Some(Expr::StringConstant(class, position)) = call.args.first()
        {
            if let Some(class) = facts.class(class) {
                check_inputs(script, class, call, &mut problems);
            } else if !is_of_pack(class) {
                let like = facts.nearest(class);
                let hint = like.map(|like| format!("did you mean {like}?"));
                let message = format!("the server has no node class \"{class}\"");
                problems.push(warning(script, message, *position, hint));
            }
        }
        true
    });
    problems
}

fn check_inputs(
    script: &Script,
    class: &NodeClass,
    call: &FnCallExpr,
    problems: &mut Vec<Diagnostic>,
) {
    for (name, position) in entries(call.args.get(1), &script.text) {
        // Dynamic inputs bring others, named `combo.input`.
        let declared = name.split('.').next().unwrap_or(&name);
        if class.input(declared).is_some() {
            continue;
        }
        let inputs = class.inputs().iter().map(Input::name);
        let hint = nearest(&name, inputs.clone()).map_or_else(
            || format!("its inputs are {}", inputs.collect::<Vec<_>>().join(", ")),
            |like| format!("did you mean {like}?"),
        );
        let message = format!("{} has no input \"{name}\"", class.name());
        problems.push(warning(script, message, position, Some(hint)));
    }
}

/// The keys of a map that is written out, with their places.
fn entries(expression: Option<&Expr>, text: &str) -> Vec<(String, Position)> {
    match expression {
        Some(Expr::Map(entries, _)) => {
            let names = entries.0.iter();
            names
                .map(|(name, _)| (name.name.to_string(), name.pos))
                .collect()
        }
        Some(Expr::DynamicConstant(value, position)) => {
            let map = value.read_lock::<rhai::Map>();
            let names = map.iter().flat_map(|map| map.keys());
            names
                .map(|name| (name.to_string(), place_of(name, text, *position)))
                .collect()
        }
        _ => vec![],
    }
}

/// Where `word` stands in the map that opens at `from`: to the parser, a map of constants alone is
/// one value with one place.
fn place_of(word: &str, text: &str, from: Position) -> Position {
    let (Some(line), Some(column)) = (from.line(), from.position()) else {
        return from;
    };
    let lines = text.lines().enumerate().skip(line - 1);
    for (number, text) in lines {
        let skipped = if number + 1 == line { column - 1 } else { 0 };
        let start = text
            .char_indices()
            .nth(skipped)
            .map_or(text.len(), |(at, _)| at);
        let key = text[start..].match_indices(word).find(|(at, _)| {
            let before = text[start..start + at].chars().next_back();
            let behind = text[start + at + word.len()..]
                .trim_start_matches('"')
                .trim_start();
            behind.starts_with(':') && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        });
        if let Some((at, _)) = key {
            let column = text[..start + at].chars().count() + 1;
            return match (u16::try_from(number + 1), u16::try_from(column)) {
                (Ok(line), Ok(column)) => Position::new(line, column),
                _ => from,
            };
        }
    }
    from
}

fn warning(
    script: &Script,
    message: String,
    position: Position,
    hint: Option<String>,
) -> Diagnostic {
    let diagnostic = Diagnostic::new(message, script.path.clone(), &script.text, position);
    Diagnostic {
        severity: Severity::Warning,
        ..diagnostic.hint(hint)
    }
}
