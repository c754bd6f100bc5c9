//! Nodes that need their own output.
//!
//! Servers before 0.20 reject a cycle without a word about it, and none looks for cycles through
//! inputs that a class does not declare.

use serde_json::Value;

use super::view::View;
use crate::comfy::check::Finding;

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    let Some(cycle) = cycle(view) else {
        return;
    };
    let path: Vec<String> = cycle
        .iter()
        .chain(cycle.first())
        .map(|&at| format!("{} ({})", view.nodes[at].id, view.nodes[at].class_type))
        .collect();
    let path = path.join(" -> ");
    for (step, &at) in cycle.iter().enumerate() {
        let node = &view.nodes[at];
        let next = cycle[(step + 1) % cycle.len()];
        let input = node.links.iter().find(|(_, link)| link.node == Some(next));
        let mut finding = Finding::error("dependency_cycle", node.id, node.class_type);
        if let Some((name, _)) = input {
            finding = finding.at(name, node.input(name).unwrap_or(&Value::Null));
        }
        found.push(finding.says(format!("it needs its own output: {path}")));
    }
}

/// The first cycle among the nodes that run.
fn cycle(view: &View<'_>) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; view.nodes.len()];
    for (start, _) in view.live_nodes() {
        // A list stands for the recursion, so that depth is no matter.
        let mut open: Vec<(usize, usize)> = vec![(start, 0)];
        if state[start] != State::New {
            continue;
        }
        state[start] = State::Open;
        while let Some((at, next)) = open.pop() {
            let links = &view.nodes[at].links;
            let Some((_, link)) = links.get(next) else {
                state[at] = State::Done;
                continue;
            };
            open.push((at, next + 1));
            let Some(target) = link.node.filter(|_| link.is_followed) else {
                continue;
            };
            match state[target] {
                State::New => {
                    state[target] = State::Open;
                    open.push((target, 0));
                }
                State::Open => {
                    let from = open.iter().position(|(at, _)| *at == target)?;
                    return Some(open[from..].iter().map(|(at, _)| *at).collect());
                }
                State::Done => {}
            }
        }
    }
    None
}
