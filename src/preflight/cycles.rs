//! Nodes that need their own output.
//!
//! Servers before 0.20 reject a cycle without a word about it, and none looks for cycles through
//! inputs that a class does not declare.

use serde_json::Value;

use super::view::{Link, View};
use crate::comfy::check::{Finding, cycle_path};

pub(super) fn find(view: &View<'_>, is_accepted: bool, found: &mut Vec<Finding>) {
    let sure = |at: usize, link: &Link<'_>| view.is_sure(at) && !link.is_lazy;
    if let Some(cycle) = cycle(view, sure) {
        found.push(told(view, &cycle, Finding::error));
    } else if let Some(cycle) = cycle(view, |at, _| view.is_live(at)) {
        // What stands behind a lazy input may never be asked for; a prompt that was refused is
        // refused for the cycle.
        let how = if is_accepted {
            Finding::warning
        } else {
            Finding::error
        };
        found.push(told(view, &cycle, how));
    }
}

/// The cycle, told at its first node.
fn told(view: &View<'_>, cycle: &[usize], how: fn(&'static str, &str, &str) -> Finding) -> Finding {
    let name = |&at: &usize| format!("{} ({})", view.nodes[at].id, view.nodes[at].class_type);
    let steps: Vec<String> = cycle.iter().chain(cycle.first()).map(name).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let node = &view.nodes[cycle[0]];
    let next = cycle[1 % cycle.len()];
    let finding = how("dependency_cycle", node.id, node.class_type);
    let finding = finding.says(format!("it needs its own output: {}", cycle_path(&steps)));
    match node.links.iter().find(|(_, link)| link.node == Some(next)) {
        Some((name, _)) => finding.at(name, node.input(name).unwrap_or(&Value::Null)),
        None => finding,
    }
}

/// The first cycle among the nodes that run, along the links that count.
fn cycle(view: &View<'_>, counts: impl Fn(usize, &Link<'_>) -> bool) -> Option<Vec<usize>> {
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
            let is_taken = link.is_followed && counts(at, link);
            let Some(target) = link.node.filter(|_| is_taken) else {
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
