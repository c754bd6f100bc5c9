//! The order in which many runs load the fewest models and do the least work twice.
//!
//! `ComfyUI` keeps a node's result as long as nothing before the node changed; how long it keeps
//! more than the last run's depends on its version and options, so only neighbours count here.
//! Runs are compared node by node, from the loaders on: those that share the longest chain of
//! equal nodes stand together, and what changes late nodes varies fastest.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Range;

use serde_json::Value;

use crate::comfy::model_name::is_model_file;
use crate::comfy::{Node, Workflow};

/// The order in which to run these: positions in `workflows`. Those that make no difference stay
/// in the order in which they came.
#[must_use]
pub fn order(workflows: &[&Workflow]) -> Vec<usize> {
    let mut orderer = Orderer::default();
    for one in workflows {
        orderer.add(one);
    }
    orderer.groups().concat()
}

/// Finds the order in which to run workflows that are shown to it one after the other. It keeps none
/// of them: a thousand of them take room.
#[derive(Default)]
pub struct Orderer {
    known: Known,
    chains: Vec<Vec<u32>>,
}

impl Orderer {
    /// Takes note of the next one.
    pub fn add(&mut self, workflow: &Workflow) {
        self.chains.push(self.known.chain(workflow));
    }

    /// The order in which to run them, by when each was added. Those that make no difference stay
    /// in the order in which they came, in groups within which the order makes none.
    #[must_use]
    pub fn groups(self) -> Vec<Vec<usize>> {
        let chains = self.chains;
        let mut order: Vec<usize> = (0..chains.len()).collect();
        order.sort_by(|one, other| chains[*one].cmp(&chains[*other]));
        there_and_back(&chains, &mut order);
        equals(&chains, &order)
    }
}

/// Splits an order where a change of places would cost something: a run may change places with the
/// next if both share as much with their neighbours as with each other.
fn equals(chains: &[Vec<u32>], order: &[usize]) -> Vec<Vec<usize>> {
    let shared: Vec<usize> = order
        .windows(2)
        .map(|pair| common(&chains[pair[0]], &chains[pair[1]]))
        .collect();
    let mut groups: Vec<Vec<usize>> = vec![];
    for (at, run) in order.iter().enumerate() {
        let is_free = at > 0 && {
            let around = at.saturating_sub(2)..(at + 1).min(shared.len());
            shared[around].iter().all(|other| *other == shared[at - 1])
        };
        match groups.last_mut().filter(|_| is_free) {
            Some(group) => group.push(*run),
            None => groups.push(vec![*run]),
        }
    }
    groups
}

/// How much work two runs have in common, from their beginnings on.
fn common(one: &[u32], other: &[u32]) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(one, other)| one == other).count()
}

/// All work seen so far, numbered as it first came: a node with all that is before it.
#[derive(Default)]
struct Known(HashMap<String, u32>);

impl Known {
    fn number(&mut self, work: String) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(work).or_insert(next)
    }

    /// The work of a workflow, what is dear to do again first.
    fn chain(&mut self, workflow: &Workflow) -> Vec<u32> {
        let graph = Graph::of(workflow);
        let mut numbers: Vec<Option<u32>> = vec![None; graph.nodes.len()];
        let mut chain = Vec::with_capacity(numbers.len());
        for at in graph.loaders_first() {
            let number = self.number(graph.work(at, &numbers));
            numbers[at] = Some(number);
            chain.push(number);
        }
        chain
    }
}

/// A workflow with its links both ways.
struct Graph<'w> {
    nodes: Vec<Node<'w>>,
    places: HashMap<&'w str, usize>,
    before: Vec<BTreeSet<usize>>,
    after: Vec<BTreeSet<usize>>,
}

impl<'w> Graph<'w> {
    fn of(workflow: &'w Workflow) -> Self {
        let nodes: Vec<_> = workflow.nodes().collect();
        let places: HashMap<_, _> = (0..).zip(&nodes).map(|(at, node)| (node.id, at)).collect();
        let mut before = vec![BTreeSet::new(); nodes.len()];
        let mut after = vec![BTreeSet::new(); nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            let inputs = node.inputs().into_iter().flat_map(|inputs| inputs.values());
            for source in inputs.filter_map(|value| places.get(linked(value)?)) {
                before[at].insert(*source);
                after[*source].insert(at);
            }
        }
        Self {
            nodes,
            places,
            before,
            after,
        }
    }

    /// Each node after all that it needs; of those that could come next, first the loaders, of
    /// these the one on which most depends, then what is made with a model, then the rest. Nodes in
    /// a cycle never come; such a workflow is refused anyway.
    fn loaders_first(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.before.iter().map(BTreeSet::len).collect();
        let mut has_model: Vec<bool> = self.nodes.iter().map(|node| loads(*node)).collect();
        let dearness = |at: usize, has_model: bool| {
            let load = loads(self.nodes[at]);
            let dependants = if load { self.dependants(at) } else { 0 };
            (load, has_model, dependants, Reverse(at))
        };
        let ready = (0..missing.len()).filter(|at| missing[*at] == 0);
        let mut ready: BinaryHeap<_> = ready.map(|at| dearness(at, has_model[at])).collect();
        let mut chain = Vec::with_capacity(missing.len());
        while let Some((_, _, _, Reverse(at))) = ready.pop() {
            chain.push(at);
            for next in &self.after[at] {
                missing[*next] -= 1;
                has_model[*next] |= has_model[at];
                if missing[*next] == 0 {
                    ready.push(dearness(*next, has_model[*next]));
                }
            }
        }
        chain
    }

    /// How many nodes need this one, by whatever way.
    fn dependants(&self, at: usize) -> usize {
        let mut reached = vec![false; self.nodes.len()];
        let mut to_do = vec![at];
        let mut count = 0;
        while let Some(at) = to_do.pop() {
            for next in &self.after[at] {
                if !std::mem::replace(&mut reached[*next], true) {
                    count += 1;
                    to_do.push(*next);
                }
            }
        }
        count
    }

    /// What a node does, spelt out: its class and inputs, with what it is linked to by number, so
    /// that the same work under another id is the same.
    fn work(&self, at: usize, numbers: &[Option<u32>]) -> String {
        let node = self.nodes[at];
        let mut inputs: Vec<_> = node.inputs().into_iter().flatten().collect();
        inputs.sort_by_key(|(name, _)| *name);
        let mut work = node.class_type().unwrap_or_default().to_owned();
        for (name, value) in inputs {
            let source = linked(value).and_then(|id| self.places.get(id));
            match source.and_then(|source| numbers[*source]) {
                Some(number) => {
                    work.extend([
                        "\0",
                        name,
                        "\0#",
                        &number.to_string(),
                        ".",
                        &value[1].to_string(),
                    ]);
                }
                None => work.extend(["\0", name, "\0", &value.to_string()]),
            }
        }
        work
    }
}

/// The id of the node that a value is a link to.
fn linked(value: &Value) -> Option<&str> {
    match value.as_array()?.as_slice() {
        [Value::String(id), Value::Number(_)] => Some(id),
        _ => None,
    }
}

/// Whether a node reads a model, as far as its inputs show.
fn loads(node: Node<'_>) -> bool {
    let inputs = node.inputs().into_iter().flat_map(|inputs| inputs.values());
    inputs.filter_map(Value::as_str).any(is_model_file)
}

/// Turns a group around where its end is what the run before it has at that place: after the last
/// text with one model comes the same text with the next.
fn there_and_back(chains: &[Vec<u32>], order: &mut [usize]) {
    let longest = chains.iter().map(Vec::len).max().unwrap_or_default();
    let mut groups: Vec<Range<usize>> = std::iter::once(0..order.len()).collect();
    for place in 0..longest {
        let at = |run: usize| chains[run].get(place);
        let mut finer = Vec::with_capacity(groups.len());
        for group in groups {
            let before = group.start.checked_sub(1).and_then(|last| at(order[last]));
            let runs = &mut order[group.clone()];
            let mut parts: Vec<&[usize]> =
                runs.chunk_by(|one, other| at(*one) == at(*other)).collect();
            let end = parts.last().and_then(|part| at(part[0]));
            if before.is_some() && end == before {
                parts.reverse();
            }
            let mut start = group.start;
            for part in &parts {
                finer.push(start..start + part.len());
                start += part.len();
            }
            let parts = parts.concat();
            runs.copy_from_slice(&parts);
        }
        finer.retain(|group| group.len() > 1);
        groups = finer;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_in_the_same_way_may_change_places() {
        let groups = |workflows: &[Workflow]| {
            let mut orderer = Orderer::default();
            for one in workflows {
                orderer.add(one);
            }
            orderer.groups()
        };
        let one_by_one: Vec<Vec<usize>> = vec![(0..9).collect()];
        assert_eq!(groups(&grid(1, 1, 1, 1, 9)), one_by_one, "seeds");
        // The last seed of one model and the first of the next stand where the model changes.
        let seeds = [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]].concat();
        let found = groups(&grid(2, 1, 1, 1, 5));
        assert_eq!(found.concat(), seeds);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [4, 1, 1, 4]);
        assert_eq!(groups(&[]), Vec::<Vec<usize>>::new());
    }

    /// A picture of two models, a text and a seed.
    fn picture(unet: usize, clip: usize, text: usize, side: usize, seed: usize) -> Workflow {
        Workflow::from_json(json!({
            "9": { "class_type": "SaveImage", "inputs": { "images": ["8", 0], "filename_prefix": "x" } },
            "8": { "class_type": "VAEDecode", "inputs": { "samples": ["6", 0], "vae": ["7", 0] } },
            "7": { "class_type": "VAELoader", "inputs": { "vae_name": "v.safetensors" } },
            "6": { "class_type": "KSampler", "inputs": { "seed": seed, "model": ["1", 0],
                "positive": ["3", 0], "negative": ["3", 0], "latent_image": ["5", 0] } },
            "5": { "class_type": "EmptyLatentImage", "inputs": { "width": 64 * (side + 1), "height": 64 } },
            "3": { "class_type": "CLIPTextEncode",
                "inputs": { "text": format!("text {text}"), "clip": ["2", 0] } },
            "2": { "class_type": "CLIPLoader", "inputs": { "clip_name": format!("c{clip}.safetensors") } },
            "1": { "class_type": "UNETLoader", "inputs": { "unet_name": format!("u{unet}.gguf") } },
        }))
        .unwrap()
    }

    /// How often each class runs on a server that keeps what the last run used, as `ComfyUI` does
    /// with `--cache-classic`.
    fn executed(workflows: &[&Workflow], order: &[usize]) -> HashMap<String, usize> {
        let mut known = Known::default();
        let mut kept = HashSet::new();
        let mut counts = HashMap::new();
        for run in order {
            let graph = Graph::of(workflows[*run]);
            let mut numbers = vec![None; graph.nodes.len()];
            let mut used = HashSet::new();
            for at in graph.loaders_first() {
                let number = known.number(graph.work(at, &numbers));
                numbers[at] = Some(number);
                used.insert(number);
                if !kept.contains(&number) {
                    let class = graph.nodes[at].class_type().unwrap();
                    *counts.entry(class.to_owned()).or_default() += 1;
                }
            }
            kept = used;
        }
        counts
    }

    fn in_order(workflows: &[Workflow]) -> (Vec<&Workflow>, Vec<usize>) {
        let all: Vec<&Workflow> = workflows.iter().collect();
        let found = order(&all);
        (all, found)
    }

    /// All of them, with what the parameters are called last to first changing slowest.
    fn grid(unets: usize, clips: usize, texts: usize, sides: usize, seeds: usize) -> Vec<Workflow> {
        let mut all = vec![];
        for seed in 0..seeds {
            for side in 0..sides {
                for text in 0..texts {
                    for clip in 0..clips {
                        for unet in 0..unets {
                            all.push(picture(unet, clip, text, side, seed));
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn each_model_is_loaded_once_and_each_text_encoded_once() {
        let workflows = grid(3, 1, 4, 2, 5);
        let (all, found) = in_order(&workflows);
        let naive: Vec<usize> = (0..all.len()).collect();
        let (worst, best) = (executed(&all, &naive), executed(&all, &found));
        assert_eq!((worst["UNETLoader"], best["UNETLoader"]), (120, 3));
        // Four texts with each of three models; the last with one is the first with the next.
        assert_eq!((worst["CLIPTextEncode"], best["CLIPTextEncode"]), (40, 10));
        assert_eq!(best["CLIPLoader"], 1);
        assert_eq!(best["VAELoader"], 1);
        assert_eq!(best["KSampler"], 120, "each picture once");
    }

    #[test]
    fn where_two_models_change_one_is_taken_along_to_the_next_group() {
        let workflows = grid(3, 3, 1, 1, 1);
        let (all, found) = in_order(&workflows);
        let best = executed(&all, &found);
        let loads = best["UNETLoader"] + best["CLIPLoader"];
        assert_eq!(loads, 3 + 7, "the first of each, and one change per run");
    }

    #[test]
    fn what_makes_no_difference_stays_in_the_order_in_which_it_came() {
        let workflows = grid(1, 1, 1, 1, 9);
        assert_eq!(in_order(&workflows).1, (0..9).collect::<Vec<_>>());
        assert_eq!(order(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_cycle_and_a_link_to_nowhere_do_no_harm() {
        let odd = Workflow::from_json(json!({
            "1": { "class_type": "A", "inputs": { "x": ["2", 0] } },
            "2": { "class_type": "B", "inputs": { "x": ["1", 0], "y": ["77", 0] } },
            "3": { "class_type": "C", "inputs": { "x": ["77", 0] } },
        }));
        assert_eq!(order(&[&odd.unwrap(), &Workflow::default()]), [1, 0]);
    }

    proptest! {
        #[test]
        fn it_is_a_permutation_that_never_costs_more_loads_and_does_not_hang_on_the_order_asked(
            runs in prop::collection::vec((0..3_usize, 0..2_usize, 0..3_usize, 0..4_usize), 1..40),
        ) {
            let workflows: Vec<Workflow> = runs
                .iter()
                .map(|(unet, text, side, seed)| picture(*unet, 0, *text, *side, *seed))
                .collect();
            let (all, found) = in_order(&workflows);
            let mut sorted = found.clone();
            sorted.sort_unstable();
            let naive: Vec<usize> = (0..all.len()).collect();
            prop_assert_eq!(&sorted, &naive);
            prop_assert_eq!(&order(&all), &found);

            let unets: HashSet<usize> = runs.iter().map(|run| run.0).collect();
            let loads = executed(&all, &found)["UNETLoader"];
            prop_assert_eq!(loads, unets.len());
            prop_assert!(loads <= executed(&all, &naive)["UNETLoader"]);
        }
    }
}
