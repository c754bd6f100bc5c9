//! Trying proposals: all of a fixer's at once, and in halves where not all of them help.
//!
//! Looking at a workflow takes long, and most proposals help. So many are taken together if each one
//! has put right what it was about and nothing came of it; then each would have been taken alone,
//! too. Else the halves are tried, one after the other, down to single ones.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::correction::{Correction, Proposal};
use crate::comfy::check::Finding;
use crate::preflight::Report;
use crate::script::ScriptError;

/// A workflow on its way.
pub(super) struct Mending<'i> {
    inspect: &'i dyn Fn(&Value) -> Report,
    stop: &'i CancellationToken,
    pub(super) nodes: Value,
    pub(super) report: Report,
    pub(super) corrections: Vec<Correction>,
}

impl<'i> Mending<'i> {
    pub(super) fn of(
        nodes: Value,
        inspect: &'i dyn Fn(&Value) -> Report,
        stop: &'i CancellationToken,
    ) -> Self {
        Self {
            report: inspect(&nodes),
            inspect,
            stop,
            nodes,
            corrections: vec![],
        }
    }

    /// Takes those of a fixer's proposals that help, in their order.
    pub(super) fn take(&mut self, fixer: &str, proposed: &[Proposal]) -> Result<(), ScriptError> {
        if self.stop.is_cancelled() {
            return Err(ScriptError::Cancelled);
        }
        let mut nodes = match &self.nodes {
            Value::Object(nodes) => nodes.clone(),
            _ => Map::new(),
        };
        let done = proposed.iter().map(|one| one.apply(&mut nodes, fixer));
        let done: Vec<Vec<Correction>> = done.flatten().collect();
        if done.is_empty() {
            return Ok(());
        }
        let nodes = Value::Object(nodes);
        let report = (self.inspect)(&nodes);
        let (before, after) = (&self.report.findings, &report.findings);
        let helps = match &done[..] {
            [_] => is_better(before, after),
            all => each_helps(all, before, after),
        };
        if helps {
            (self.nodes, self.report) = (nodes, report);
            self.corrections.extend(done.into_iter().flatten());
        } else if proposed.len() > 1 {
            let (first, second) = proposed.split_at(proposed.len() / 2);
            self.take(fixer, first)?;
            self.take(fixer, second)?;
        }
        Ok(())
    }
}

/// Whether less is wrong, and nothing that was not before. What an unknown class hid of its node
/// may come to light.
fn is_better(before: &[Finding], after: &[Finding]) -> bool {
    weigh(after) < weigh(before)
        && (hiding(after) < hiding(before) || errors(after).is_subset(&errors(before)))
}

fn weigh(found: &[Finding]) -> u64 {
    found.iter().map(Finding::weight).sum()
}

fn hiding(found: &[Finding]) -> usize {
    found.iter().filter(|one| one.hides_others()).count()
}

/// The errors by kind and place.
fn errors(found: &[Finding]) -> HashSet<Known<'_>> {
    let errors = found.iter().filter(|one| one.is_error());
    errors.filter_map(known).collect()
}

/// What a finding is known by: kind, node and input.
type Known<'f> = (&'static str, Option<&'f str>, Option<&'f str>);

/// None for exceptions, which repeat at another place what a better one says.
fn known(one: &Finding) -> Option<Known<'_>> {
    let repeats = one.kind.starts_with("exception_during");
    (!repeats).then_some((one.kind, one.node_id.as_deref(), one.input.as_deref()))
}

/// Whether each of several proposals would help by itself: each has put right something at a place
/// of its own, and nothing came of it that was not there, but for what unknown classes hid.
fn each_helps(done: &[Vec<Correction>], before: &[Finding], after: &[Finding]) -> bool {
    let mut left: HashMap<Known<'_>, usize> = HashMap::new();
    for one in after.iter().filter_map(known) {
        *left.entry(one).or_default() += 1;
    }
    let mut gone = HashSet::new();
    for one in before {
        let Some(known) = known(one) else {
            continue;
        };
        match left.get_mut(&known).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => {
                gone.insert((known.1, known.2));
            }
        }
    }
    let brings_new = left.values().any(|count| *count > 0);
    let uncovered = hiding(before).saturating_sub(hiding(after));
    let mut places = HashSet::new();
    let mut each = done.iter().map(|one| {
        let own = one.iter().filter(|one| {
            let (node, field) = (one.node_id.as_str(), one.field.as_str());
            gone.contains(&(Some(node), Some(field))) && places.insert((node, field))
        });
        own.count() > 0
    });
    weigh(after) < weigh(before)
        && (!brings_new || uncovered >= done.len())
        && each.all(|has_own| has_own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::comfy::nodes::NodeFacts;
    use crate::knowledge::Knowledge;
    use crate::preflight::Preflight;

    const PICTURES: usize = 4;

    /// Pictures that are saved, with faults here and there.
    fn nodes(faults: &[Value]) -> Value {
        let mut nodes = json!({});
        for id in 0..PICTURES {
            nodes[format!("p{id}")] = json!({ "class_type": "EmptyImage",
                "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": 0 } });
            nodes[format!("s{id}")] = json!({ "class_type": "SaveImage",
                "inputs": { "images": [format!("p{id}"), 0], "filename_prefix": "x" } });
        }
        let Value::Object(mut changed) = nodes else {
            return nodes;
        };
        for fault in faults {
            let _ = Proposal::read(fault).and_then(|fault| fault.apply(&mut changed, "fault"));
        }
        Value::Object(changed)
    }

    /// A change that may mend, break or do neither.
    fn change() -> impl Strategy<Value = Value> {
        let picture = (0..PICTURES).prop_map(|id| format!("p{id}"));
        let numbers = [json!(64), json!("64"), json!(-1), json!(true), json!("x")];
        let value = (
            picture,
            select(&["width", "height", "junk"]),
            select(&numbers),
        );
        let value =
            value.prop_map(|(id, field, to)| json!({ "node_id": id, "field": field, "to": to }));
        let save = (0..PICTURES, select(&["p0", "p1", "nowhere"]), 0..2_u64);
        let link = save.prop_map(|(id, from, slot)| {
            json!({ "node_id": format!("s{id}"), "field": "images", "to": [from, slot] })
        });
        let class = (
            0..PICTURES,
            select(&["EmptyImage", "Nonsense", "ImageInvert"]),
        );
        let class = class.prop_map(|(id, class)| {
            json!({ "node_id": format!("p{id}"), "field": "class_type", "to": class })
        });
        let removal = (0..PICTURES, select(&["width", "junk"]));
        let removal = removal.prop_map(
            |(id, field)| json!({ "node_id": format!("p{id}"), "field": field, "remove": true }),
        );
        prop_oneof![5 => value, 2 => link, 1 => class, 1 => removal]
    }

    fn select<T: Clone + std::fmt::Debug + 'static>(
        from: &[T],
    ) -> impl Strategy<Value = T> + use<T> {
        prop::sample::select(from.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn together_is_what_one_by_one_is(
            faults in prop::collection::vec(change(), 0..10),
            proposed in prop::collection::vec(change(), 2..10),
        ) {
            let facts = NodeFacts::bundled();
            let knowledge = Knowledge::bundled();
            let inspect = |nodes: &Value| Preflight::new(&facts, &knowledge).inspect(nodes);
            let stop = CancellationToken::new();
            let proposed: Option<Vec<Proposal>> = proposed.iter().map(Proposal::read).collect();
            let proposed = proposed.unwrap();
            let mut together = Mending::of(nodes(&faults), &inspect, &stop);
            together.take("mine", &proposed).unwrap();
            let mut single = Mending::of(nodes(&faults), &inspect, &stop);
            for one in proposed.chunks(1) {
                single.take("mine", one).unwrap();
            }
            prop_assert_eq!(together.corrections, single.corrections);
            prop_assert_eq!(together.nodes, single.nodes);
        }
    }
}
