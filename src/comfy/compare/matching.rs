//! Which node of one workflow is which of the other.
//!
//! First, nodes with the same surroundings throughout: every node has a colour, at first by class
//! and values, then again and again by the colours at the other ends of its links, until no colour
//! tells more nodes apart. What has the same colour then is the same. Of several alike, one pair
//! is taken for the same and the colours are refined by that, so that what hangs on one of them
//! goes with it. What is left, because something about it is different, is matched by how much is
//! alike, the most alike first; each pair speaks for the neighbours that both have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::graph::{Graph, Vertex};

/// How much speaks for a pair: all values alike, each step of surroundings alike, each neighbour
/// matched, the same id, the same title. Only their order matters: neighbours go before values,
/// and both before names.
const VALUES: u64 = 400;
const SURROUNDINGS: u64 = 100;
const NEIGHBOUR: u64 = 300;
const ID: u64 = 60;
const TITLE: u64 = 50;

/// So many steps of surroundings are looked at.
const STEPS: usize = 4;

/// So often all pairs are looked through for better partners.
const PASSES: usize = 4;

/// For each node of the first, the node of the second.
pub(super) fn matching(old: &Graph<'_>, new: &Graph<'_>) -> Vec<Option<usize>> {
    let mut matching = Matching {
        old,
        new,
        to: vec![None; old.nodes.len()],
        from: vec![None; new.nodes.len()],
    };
    matching.match_same();
    matching.match_alike();
    matching.improve();
    matching.to
}

struct Matching<'g, 'w> {
    old: &'g Graph<'w>,
    new: &'g Graph<'w>,
    to: Vec<Option<usize>>,
    from: Vec<Option<usize>>,
}

/// The colours of the nodes of both.
#[derive(Clone)]
struct Colours {
    old: Vec<usize>,
    new: Vec<usize>,
    count: usize,
}

impl Colours {
    fn first(old: &Graph<'_>, new: &Graph<'_>) -> Self {
        Self::by(old, new, |node, _, _| (node.class, &node.values))
    }

    fn by<'a, K: Eq + std::hash::Hash>(
        old: &'a Graph<'a>,
        new: &'a Graph<'a>,
        key: impl Fn(&'a Vertex<'a>, bool, usize) -> K,
    ) -> Self {
        let mut known = HashMap::new();
        let mut colours = |graph: &'a Graph<'a>, is_old| {
            let nodes = graph.nodes.iter().enumerate();
            let colours = nodes.map(|(at, node)| {
                let next = known.len();
                *known.entry(key(node, is_old, at)).or_insert(next)
            });
            colours.collect::<Vec<usize>>()
        };
        let (old, new) = (colours(old, true), colours(new, false));
        Self {
            old,
            new,
            count: known.len(),
        }
    }

    /// One step further: by the colours at the other ends of the links.
    fn refined(&self, old: &Graph<'_>, new: &Graph<'_>) -> Self {
        Self::by(old, new, |node, is_old, at| {
            let own = if is_old { &self.old } else { &self.new };
            let mut inputs: Vec<_> = node
                .inputs
                .iter()
                .map(|link| (link.input, link.slot, own[link.other]))
                .collect();
            let mut outputs: Vec<_> = node
                .outputs
                .iter()
                .map(|link| (link.input, link.slot, own[link.other]))
                .collect();
            inputs.sort_unstable();
            outputs.sort_unstable();
            (own[at], inputs, outputs)
        })
    }

    /// As far as it goes.
    fn settled(mut self, old: &Graph<'_>, new: &Graph<'_>) -> Self {
        loop {
            let finer = self.refined(old, new);
            if finer.count == self.count {
                return self;
            }
            self = finer;
        }
    }
}

impl Matching<'_, '_> {
    fn join(&mut self, old: usize, new: usize) {
        self.to[old] = Some(new);
        self.from[new] = Some(old);
    }

    /// Matches what is the same with all that is connected to it.
    fn match_same(&mut self) {
        let mut colours = Colours::first(self.old, self.new).settled(self.old, self.new);
        loop {
            let mut news: HashMap<usize, Vec<usize>> = HashMap::new();
            for (at, &colour) in colours.new.iter().enumerate() {
                if self.from[at].is_none() {
                    news.entry(colour).or_default().push(at);
                }
            }
            let mut olds: HashMap<usize, usize> = HashMap::new();
            for (at, &colour) in colours.old.iter().enumerate() {
                if self.to[at].is_none() {
                    *olds.entry(colour).or_default() += 1;
                }
            }
            let mut several: Option<(usize, usize, bool)> = None;
            for at in 0..self.old.nodes.len() {
                let Some(partners) = news.get(&colours.old[at]) else {
                    continue;
                };
                if self.to[at].is_some() {
                    continue;
                }
                match partners.as_slice() {
                    [only] if olds[&colours.old[at]] == 1 => self.join(at, *only),
                    partners => {
                        let id = self.old.nodes[at].id;
                        let named = |new: &&usize| self.new.nodes[**new].id == id;
                        let same_id = partners.iter().find(named);
                        let better = same_id.is_some();
                        if several.is_none_or(|(_, _, by_id)| better && !by_id) {
                            let partner = same_id.unwrap_or(&partners[0]);
                            several = Some((at, *partner, better));
                        }
                    }
                }
            }
            let Some((old, new, _)) = several else {
                return;
            };
            self.join(old, new);
            colours.old[old] = colours.count;
            colours.new[new] = colours.count;
            colours.count += 1;
            colours = colours.settled(self.old, self.new);
        }
    }

    /// Matches what is left by how much is alike.
    fn match_alike(&mut self) {
        let mut steps = vec![Colours::first(self.old, self.new)];
        for step in 0..STEPS {
            steps.push(steps[step].refined(self.old, self.new));
        }
        let mut by_class: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in self.new.nodes.iter().enumerate() {
            if self.from[at].is_none() {
                by_class.entry(node.class).or_default().push(at);
            }
        }
        let mut base: HashMap<(usize, usize), u64> = HashMap::new();
        let mut heap = BinaryHeap::new();
        for (old, node) in self.old.nodes.iter().enumerate() {
            let partners = by_class.get(node.class).filter(|_| self.to[old].is_none());
            for &new in partners.into_iter().flatten() {
                let alike = likeness(node, &self.new.nodes[new]);
                let same = steps.iter().filter(|step| step.old[old] == step.new[new]);
                let alike = alike + SURROUNDINGS * same.map(|_| 1).sum::<u64>();
                base.insert((old, new), alike);
                let all = alike + NEIGHBOUR * self.neighbours(old, new);
                heap.push((all, Reverse(old), Reverse(new)));
            }
        }
        while let Some((_, Reverse(old), Reverse(new))) = heap.pop() {
            if self.to[old].is_some() || self.from[new].is_some() {
                continue;
            }
            self.join(old, new);
            for (one, other) in self.beside(old, new) {
                if let Some(alike) = base.get(&(one, other)) {
                    let all = alike + NEIGHBOUR * self.neighbours(one, other);
                    heap.push((all, Reverse(one), Reverse(other)));
                }
            }
        }
    }

    /// The pairs of nodes at the other ends of the same links.
    fn beside(&self, old: usize, new: usize) -> Vec<(usize, usize)> {
        let (one, other) = (&self.old.nodes[old], &self.new.nodes[new]);
        let inputs = one.inputs.iter().flat_map(|link| {
            let same = other.inputs.iter();
            let same = same.filter(|own| (own.input, own.slot) == (link.input, link.slot));
            same.map(|own| (link.other, own.other))
        });
        let outputs = one.outputs.iter().flat_map(|link| {
            let same = other.outputs.iter();
            let same = same.filter(|own| (own.input, own.slot) == (link.input, link.slot));
            same.map(|own| (link.other, own.other))
        });
        inputs.chain(outputs).collect()
    }

    /// How many links of both lead to a matched pair.
    fn neighbours(&self, old: usize, new: usize) -> u64 {
        let matched = |(one, other): &(usize, usize)| self.to[*one] == Some(*other);
        self.beside(old, new)
            .iter()
            .filter(|pair| matched(pair))
            .map(|_| 1)
            .sum()
    }

    /// Lets pairs of one class exchange partners where that leaves fewer differences.
    fn improve(&mut self) {
        for _ in 0..PASSES {
            let mut better = false;
            for one in 0..self.to.len() {
                for other in 0..self.to.len() {
                    let is_worth = one != other
                        && self.to[one].is_some()
                        && self.to[other].is_some()
                        && self.old.nodes[one].class == self.old.nodes[other].class
                        && self.differences(one) > 0;
                    if !is_worth {
                        continue;
                    }
                    let before = self.around(one, other);
                    self.exchange(one, other);
                    if self.around(one, other) < before {
                        better = true;
                    } else {
                        self.exchange(one, other);
                    }
                }
            }
            if !better {
                return;
            }
        }
    }

    fn exchange(&mut self, one: usize, other: usize) {
        self.to.swap(one, other);
        for old in [one, other] {
            if let Some(new) = self.to[old] {
                self.from[new] = Some(old);
            }
        }
    }

    /// The differences of two nodes and of all that hang on them.
    fn around(&self, one: usize, other: usize) -> usize {
        let mut nodes = vec![one, other];
        for at in [one, other] {
            nodes.extend(self.old.nodes[at].outputs.iter().map(|link| link.other));
            let new = self.to[at].into_iter();
            let hanging = new.flat_map(|new| &self.new.nodes[new].outputs);
            nodes.extend(hanging.filter_map(|link| self.from[link.other]));
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes.into_iter().map(|at| self.differences(at)).sum()
    }

    /// How many inputs of a node are different in its partner.
    fn differences(&self, old: usize) -> usize {
        let Some(new) = self.to[old] else {
            return 0;
        };
        let (one, other) = (&self.old.nodes[old], &self.new.nodes[new]);
        let values = one
            .values
            .iter()
            .filter(|value| !other.values.contains(value));
        let links = one.inputs.iter().filter(|link| {
            let mut same = other.inputs.iter();
            !same.any(|own| {
                (own.input, own.slot) == (link.input, link.slot)
                    && self.to[link.other] == Some(own.other)
            })
        });
        let has = |input: &str| {
            one.values.iter().any(|(name, _)| *name == input)
                || one.inputs.iter().any(|link| link.input == input)
        };
        let names = other.values.iter().map(|(name, _)| *name);
        let names = names.chain(other.inputs.iter().map(|link| link.input));
        values.count() + links.count() + names.filter(|name| !has(name)).count()
    }
}

/// How much of two nodes is alike, apart from their links.
fn likeness(one: &Vertex<'_>, other: &Vertex<'_>) -> u64 {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let same = one
        .values
        .iter()
        .filter(|value| other.values.contains(value));
    let most = count(one.values.len().max(other.values.len()).max(1));
    let mut alike = VALUES * count(same.count()) / most;
    if one.values.is_empty() && other.values.is_empty() {
        alike = VALUES;
    }
    if one.id == other.id {
        alike += ID;
    }
    if one.title == other.title {
        alike += TITLE;
    }
    alike
}
