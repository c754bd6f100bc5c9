//! Node classes, inputs and values that the server at hand does not have or take.
//!
//! They are warnings: another server may have the custom nodes that this one lacks.

use rhai::{ASTNode, Expr, Position};
use serde_json::{Map, Value, json};

use super::entries::{Entry, entries};
use crate::comfy::check::suggest::lists_files;
use crate::comfy::check::{Finding, node_findings};
use crate::comfy::model_name::is_model_file;
use crate::comfy::nodes::{Input, NodeClass, NodeFacts};
use crate::comfy::validate::{CoreValidation, Rules, Validator};
use crate::failure::shown;
use crate::script::arguments::nearest;
use crate::script::{Diagnostic, Mistake, NodePack, Script};

/// What the server says of values, as opposed to what is not given yet or linked elsewhere.
const OF_VALUES: [&str; 4] = [
    "value_not_in_list",
    "value_smaller_than_min",
    "value_bigger_than_max",
    "invalid_input_type",
];

/// What `g.node("Class", #{ input: ... })` says, held against the facts.
/// What some template says is of a pack is no slip, wherever it is missing. Tests are left out: they
/// build what is wrong on purpose.
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
                let inputs = entries(call.args.get(1), &script.text);
                problems.extend(unknown_inputs(script, class, &inputs));
                problems.extend(bad_values(script, facts, class, inputs));
            } else if !is_of_pack(class) {
                let like = facts.nearest(class);
                let hint = like.map(|like| format!("did you mean {like}?"));
                let message = format!("the server has no node class \"{class}\"");
                let problem = warning(script, Mistake::UnknownNode, message, *position);
                problems.push(problem.hint(hint));
            }
        }
        true
    });
    problems
}

fn unknown_inputs(script: &Script, class: &NodeClass, given: &[Entry]) -> Vec<Diagnostic> {
    // Dynamic inputs bring others, named `combo.input`.
    let is_declared = |name: &str| {
        let declared = name.split('.').next().unwrap_or(name);
        class.input(declared).is_some()
    };
    let unknown = given.iter().filter(|given| !is_declared(&given.name));
    let problems = unknown.map(|Entry { name, position, .. }| {
        let inputs = class.inputs().iter().map(Input::name);
        let hint = nearest(name, inputs.clone()).map_or_else(
            || format!("its inputs are {}", inputs.collect::<Vec<_>>().join(", ")),
            |like| format!("did you mean {like}?"),
        );
        let message = format!("{} has no input \"{name}\"", class.name());
        warning(script, Mistake::UnknownInput, message, *position).hint(Some(hint))
    });
    problems.collect()
}

/// Values that are written out and that the server would refuse.
fn bad_values(
    script: &Script,
    facts: &NodeFacts,
    class: &NodeClass,
    given: Vec<Entry>,
) -> Vec<Diagnostic> {
    let mut places = Map::new();
    let mut values = Map::new();
    for Entry {
        name,
        position,
        value,
    } in given
    {
        // Links and what is made of variables is not known yet.
        let Some(value) = value.filter(|value| !value.is_array() && !value.is_null()) else {
            continue;
        };
        let place = json!([position.line(), position.position()]);
        places.insert(name.clone(), place);
        values.insert(name, value);
    }
    let prompt = json!({ "1": { "class_type": class.name(), "inputs": values } });
    let core = CoreValidation::offline();
    let rules = Rules::guessed(facts);
    let validator = Validator::new(facts).rules(rules.clone());
    let errors = validator.own_validation(&core).apart(&prompt);
    let findings = node_findings(facts, &rules, &prompt, &errors).into_iter();
    let findings = findings.filter(|finding| OF_VALUES.contains(&finding.kind));
    findings
        .filter_map(|finding| {
            let input = finding.input.clone()?;
            let place = places.get(&input)?;
            let at = |index: usize| u16::try_from(place[index].as_u64()?).ok();
            let position = Position::new(at(0)?, at(1)?);
            bad_value(script, class, &finding, &input, position)
        })
        .collect()
}

fn bad_value(
    script: &Script,
    class: &NodeClass,
    finding: &Finding,
    name: &str,
    position: Position,
) -> Option<Diagnostic> {
    let input = class.input(name.split('.').next().unwrap_or(name))?;
    let is_file = lists_files(class.name(), name, &finding.received);
    let code = if is_file {
        // Facts without a server's files say nothing of them, and what the shipped scripts need is
        // told when they run.
        if !names_files(input) || !super::is_own(script) {
            return None;
        }
        Mistake::MissingModel
    } else {
        Mistake::BadValue
    };
    let value = shown(&finding.received);
    let message = format!("{} does not take {value} as \"{name}\"", class.name());
    let likely = [&finding.suggestion, &finding.nearest];
    let mut likely = likely.into_iter();
    let like = likely.find(|value| !value.is_null() && !finding.received.is_number());
    let hint = match like {
        Some(like) => format!("did you mean {}?", shown(like)),
        None => format!("it takes {}", allowed(&finding.allowed)),
    };
    Some(warning(script, code, message, position).hint(Some(hint)))
}

/// Whether the facts have a server's files.
fn names_files(input: &Input) -> bool {
    let choices = input.choices().unwrap_or_default().iter();
    choices.filter_map(Value::as_str).any(is_model_file)
}

/// What an input takes, in words.
fn allowed(allowed: &Value) -> String {
    if let Some(choices) = allowed["choices"].as_array() {
        let shown: Vec<String> = choices.iter().map(Value::to_string).collect();
        let more = allowed["count"].as_u64().unwrap_or_default() > shown.len() as u64;
        let end = if more { ", ..." } else { "" };
        return format!("one of {}{end}", shown.join(", "));
    }
    match (&allowed["min"], &allowed["max"]) {
        (Value::Null, Value::Null) => {
            format!("{} values", allowed["type"].as_str().unwrap_or("other"))
        }
        (min, Value::Null) => format!("{min} and more"),
        (Value::Null, max) => format!("{max} and less"),
        (min, max) => format!("{min} to {max}"),
    }
}

fn warning(script: &Script, code: Mistake, message: String, position: Position) -> Diagnostic {
    Diagnostic::new(message, script.path.clone(), &script.text, position)
        .code(code)
        .doubt()
}
