//! What could be linked where a link is missing, leads nowhere or brings the wrong thing.
//!
//! Only what fits is named, and only what can be meant in one way is suggested: the one output of the
//! linked node that fits, or else the one that fits in the whole workflow.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::nodes::{IoType, NodeClass};
use crate::comfy::validate::{expand, fits};

/// What a link can mend.
const KINDS: [&str; 4] = [
    "bad_linked_input",
    "broken_link",
    "required_input_missing",
    "return_type_mismatch",
];

/// So many are named.
const NAMED: usize = 8;

pub(super) fn find(view: &View<'_>, found: &mut [Finding]) {
    for finding in found.iter_mut() {
        if KINDS.contains(&finding.kind) && finding.suggestion.is_null() {
            suggest(view, finding);
        }
    }
    none_twice(found);
}

/// Two inputs of one node that lack a link mean different things: which of them the one output is for
/// can't be told.
fn none_twice(found: &mut [Finding]) {
    let place = |one: &Finding| (one.node_id.clone(), one.suggestion.to_string());
    let mut times: HashMap<_, usize> = HashMap::new();
    let is_link = |one: &Finding| KINDS.contains(&one.kind) && one.suggestion.is_array();
    for one in found.iter().filter(|one| is_link(one)) {
        *times.entry(place(one)).or_default() += 1;
    }
    for one in found.iter_mut().filter(|one| is_link(one)) {
        if times.get(&place(one)).is_some_and(|times| *times > 1) {
            one.suggestion = Value::Null;
        }
    }
}

fn suggest(view: &View<'_>, finding: &mut Finding) -> Option<()> {
    let at = view.at(finding.node_id.as_deref()?)?;
    let node = &view.nodes[at];
    let name = finding.input.clone()?;
    let expanded = expand(node.class?, node.body.get("inputs")?, view.rules).ok()?;
    let declared = expanded.inputs.iter().find(|one| one.name == name)?;
    if !finding.allowed.is_object() {
        finding.allowed = json!({});
    }
    if !declared.required && finding.kind == "broken_link" {
        finding.allowed["optional"] = true.into();
    }
    let wanted = declared.input.io_type();
    if declared.input.is_widget() || is_anything(wanted) {
        return None;
    }
    let links = links_to(view, at, wanted);
    let first = links.iter().take(NAMED);
    finding.allowed["links"] = first.map(Source::to_json).collect();
    let meant = meant(
        node,
        &links,
        node.link(&name).and_then(|link| link.node),
        wanted,
    );
    if let Some(meant) = meant {
        finding.suggestion = meant.to_json();
    }
    Some(())
}

/// An output, and the node that it is of.
struct Source<'a> {
    at: usize,
    id: &'a str,
    slot: usize,
}

impl Source<'_> {
    fn to_json(&self) -> Value {
        json!([self.id, self.slot])
    }
}

/// The outputs that fit an input of a node and don't need the node themselves.
fn links_to<'a>(view: &View<'a>, at: usize, wanted: &IoType) -> Vec<Source<'a>> {
    let mut sources = vec![];
    for (from, node) in view.nodes.iter().enumerate() {
        // What a node that saves passes on was somebody else's before.
        let class = node.class.filter(|class| !class.is_output_node());
        let outputs = class.map(NodeClass::outputs).unwrap_or_default();
        let fitting = outputs.iter().enumerate().filter(|(_, output)| {
            let given = output.io_type();
            !is_anything(given) && fits(given, wanted, view.rules)
        });
        let mut fitting = fitting.peekable();
        if fitting.peek().is_some() && !view.needs(from, at) {
            sources.extend(fitting.map(|(slot, _)| Source {
                at: from,
                id: node.id,
                slot,
            }));
        }
    }
    sources
}

/// The one that is meant, if only one can be.
fn meant<'s, 'a>(
    node: &Node<'_>,
    links: &'s [Source<'a>],
    linked: Option<usize>,
    wanted: &IoType,
) -> Option<&'s Source<'a>> {
    let own: Vec<&Source<'_>> = links.iter().filter(|one| Some(one.at) == linked).collect();
    match (&own[..], links) {
        ([one], _) => return Some(one),
        ([], [_]) => {}
        _ => return None,
    }
    let one = &links[0];
    // Two inputs of one kind, such as a positive and a negative prompt, mean different things.
    let is_taken = node.links.iter().any(|(name, link)| {
        let input = node.class.and_then(|class| class.input(name));
        link.node == Some(one.at) && input.is_some_and(|input| input.io_type() == wanted)
    });
    (!is_taken).then_some(one)
}

/// What fits everything tells nothing about what is meant.
fn is_anything(io_type: &IoType) -> bool {
    io_type
        .members()
        .any(|name| name == "*" || name.starts_with("COMFY_"))
}
