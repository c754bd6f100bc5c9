//! Where a workflow has just what a function of the libraries adds.

use serde_json::Value;

use super::lift::Lifting;
use super::probe::{Pattern, PatternNode, Returns, Slot};
use super::purpose::is_end;
use super::read::{Given, Graph, Output};

/// How many ways to lay a pattern over a workflow are tried.
const TRIES: usize = 20_000;

/// What one statement adds: a node, or what a function of a library adds.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// The nodes in the order in which they are added.
    pub(super) parts: Vec<usize>,
    pub(super) call: Option<Call>,
}

/// A call of a function of a library.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) pattern: Pattern,
    pub(super) arguments: Vec<Argument>,
}

/// What a function is called with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Link(Output),
    /// A value, of the inputs of nodes; it may be a part of a text there.
    Value {
        value: Value,
        at: Vec<(usize, String)>,
        whole: bool,
    },
}

impl Unit {
    /// Each node for itself.
    pub(super) fn singles(graph: &Graph<'_>) -> Vec<Self> {
        (0..graph.parts.len()).map(Self::single).collect()
    }

    fn single(part: usize) -> Self {
        Self {
            parts: vec![part],
            call: None,
        }
    }
}

/// Every node of the workflow, in calls where there is a function for it.
pub(super) fn find(graph: &Graph<'_>, patterns: &[Pattern]) -> Vec<Unit> {
    let mut finder = Finder {
        graph,
        taken: vec![false; graph.parts.len()],
        units: Vec::new(),
    };
    for pattern in patterns {
        while let Some(unit) = finder.next(pattern) {
            for &part in &unit.parts {
                finder.taken[part] = true;
            }
            finder.units.push(unit);
        }
    }
    let Finder {
        taken, mut units, ..
    } = finder;
    let rest = taken.iter().enumerate().filter(|(_, taken)| !**taken);
    units.extend(rest.map(|(part, _)| Unit::single(part)));
    units
}

/// The same without the calls that would take a parameter its effect.
pub(super) fn suited(units: Vec<Unit>, lifting: &Lifting) -> Vec<Unit> {
    let units = units.into_iter();
    let each = |unit: Unit| -> Vec<Unit> {
        match &unit.call {
            Some(call) if !lifting.suits(call) => {
                unit.parts.iter().map(|part| Unit::single(*part)).collect()
            }
            _ => vec![unit],
        }
    };
    units.flat_map(each).collect()
}

struct Finder<'g, 'a> {
    graph: &'g Graph<'a>,
    taken: Vec<bool>,
    units: Vec<Unit>,
}

/// The nodes and arguments that are settled so far.
#[derive(Clone)]
struct Laid {
    parts: Vec<Option<usize>>,
    arguments: Vec<Option<Argument>>,
}

impl Finder<'_, '_> {
    /// The next place where a pattern fits.
    fn next(&self, pattern: &Pattern) -> Option<Unit> {
        let laid = Laid {
            parts: vec![None; pattern.nodes.len()],
            arguments: vec![None; pattern.parameters.len()],
        };
        let mut tries = TRIES;
        self.lay(pattern, pattern.nodes.len(), laid, &mut tries)
    }

    /// Lays the nodes of a pattern over the workflow, the last one first: it is linked to others.
    fn lay(&self, pattern: &Pattern, left: usize, laid: Laid, tries: &mut usize) -> Option<Unit> {
        let Some(at) = left.checked_sub(1) else {
            return self.finished(pattern, laid);
        };
        let node = &pattern.nodes[at];
        let candidates: Vec<usize> = match laid.parts[at] {
            Some(part) => vec![part],
            None => (0..self.graph.parts.len()).collect(),
        };
        for part in candidates {
            let is_free = !self.taken[part] && self.graph.parts[part].class == node.class;
            let is_other =
                |(other, own): (usize, &Option<usize>)| other == at || *own != Some(part);
            if !is_free || !laid.parts.iter().enumerate().all(is_other) {
                continue;
            }
            *tries = tries.checked_sub(1)?;
            let mut next = laid.clone();
            next.parts[at] = Some(part);
            if self.fits(node, part, &mut next)
                && let Some(unit) = self.lay(pattern, at, next, tries)
            {
                return Some(unit);
            }
        }
        None
    }

    fn fits(&self, node: &PatternNode, part: usize, laid: &mut Laid) -> bool {
        let own = &self.graph.parts[part];
        let titled = own.title.is_none() || own.title == node.title.as_deref();
        let same_names = own.inputs.len() == node.inputs.len();
        titled
            && same_names
            && node.inputs.iter().all(|(name, slot)| {
                let given = own.input(name);
                given.is_some_and(|given| fits_slot(part, name, given, slot, laid))
            })
    }

    fn finished(&self, pattern: &Pattern, laid: Laid) -> Option<Unit> {
        let parts: Vec<usize> = laid.parts.into_iter().collect::<Option<_>>()?;
        let arguments: Vec<Argument> = laid.arguments.into_iter().collect::<Option<_>>()?;
        let is_own = |part: usize| parts.contains(&part);
        // What it is called with comes from elsewhere.
        let from_itself = arguments
            .iter()
            .any(|argument| matches!(argument, Argument::Link(output) if is_own(output.part)));
        if from_itself {
            return None;
        }
        for (at, &part) in parts.iter().enumerate() {
            let takers: Vec<_> = self.graph.takers(part).collect();
            if takers.is_empty() && !is_end(&self.graph.parts[part]) {
                return None;
            }
            for (taker, input, slot) in takers {
                if is_own(taker) {
                    continue;
                }
                let key = pattern.key_of(at, slot)?;
                if is_another_key(&pattern.returns, key, input) {
                    return None;
                }
            }
        }
        Some(Unit {
            parts,
            call: Some(Call {
                pattern: pattern.clone(),
                arguments,
            }),
        })
    }
}

/// Whether an input is called as something else that the function returns: the negative side is
/// not taken for the positive one.
fn is_another_key(returns: &Returns, key: &str, input: &str) -> bool {
    match returns {
        Returns::Outputs(outputs) => {
            let mut keys = outputs.iter().map(|(key, _)| key.as_str());
            input != key && keys.any(|other| other == input)
        }
        _ => false,
    }
}

fn fits_slot(part: usize, name: &str, given: Given<'_>, slot: &Slot, laid: &mut Laid) -> bool {
    match (slot, given) {
        (Slot::Fixed(fixed), Given::Value(value)) => fixed == value,
        (Slot::Link { node, slot }, Given::Link(output)) => {
            let laid = &mut laid.parts[*node];
            *slot == output.slot && *laid.get_or_insert(output.part) == output.part
        }
        (
            Slot::Argument {
                parameter,
                before,
                behind,
            },
            given,
        ) => {
            let Some(argument) = argument(part, name, given, before, behind) else {
                return false;
            };
            match &mut laid.arguments[*parameter] {
                Some(known) => known.join(&argument),
                unknown => {
                    *unknown = Some(argument);
                    true
                }
            }
        }
        _ => false,
    }
}

fn argument(
    part: usize,
    name: &str,
    given: Given<'_>,
    before: &str,
    behind: &str,
) -> Option<Argument> {
    match given {
        Given::Link(output) if before.is_empty() && behind.is_empty() => {
            Some(Argument::Link(output))
        }
        Given::Value(value) if before.is_empty() && behind.is_empty() => Some(Argument::Value {
            value: value.clone(),
            at: vec![(part, name.to_owned())],
            whole: true,
        }),
        Given::Value(Value::String(text)) => {
            let rest = text.strip_prefix(before)?.strip_suffix(behind)?;
            Some(Argument::Value {
                value: rest.into(),
                at: vec![(part, name.to_owned())],
                whole: false,
            })
        }
        _ => None,
    }
}

impl Argument {
    /// Takes another place of the same argument; false if it is not the same there.
    fn join(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Link(own), Self::Link(other)) => own == other,
            (
                Self::Value { value, at, whole },
                Self::Value {
                    value: other,
                    at: also,
                    whole: also_whole,
                },
            ) => {
                at.extend(also.iter().cloned());
                *whole &= also_whole;
                value == other
            }
            _ => false,
        }
    }
}
