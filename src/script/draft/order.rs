//! What stands where: each node behind what it needs, and the work in its natural parts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::DraftError;
use super::idiom::{Argument, Unit};
use super::meaning::loads_models;
use super::purpose::{is_end, medium_of_upload};
use super::read::{Graph, Part};

/// What only loading gives, and what is made of that before anything is painted.
const LOADED: [&str; 13] = [
    "MODEL",
    "CLIP",
    "VAE",
    "CLIP_VISION",
    "CONTROL_NET",
    "STYLE_MODEL",
    "UPSCALE_MODEL",
    "LATENT_UPSCALE_MODEL",
    "AUDIO_ENCODER",
    "MODEL_PATCH",
    "GLIGEN",
    "PHOTOMAKER",
    "HOOKS",
];

/// What sampling is made of.
const SAMPLED: [&str; 5] = ["LATENT", "NOISE", "SIGMAS", "SAMPLER", "GUIDER"];

/// A part of the work. Those before `Sample` stand together, each after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Load,
    Given,
    Say,
    Sample,
    Finish,
}

impl Stage {
    /// Where it belongs; from sampling on, the links alone decide.
    fn rank(self) -> Self {
        self.min(Self::Sample)
    }
}

/// The statements in their order.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) units: Vec<(Unit, Stage)>,
    /// The unit of each node, and its place there.
    pub(super) places: Vec<(usize, usize)>,
}

/// Orders the units. Where the nodes are numbered as a script would number them, that is their
/// order.
pub(super) fn arrange(graph: &Graph<'_>, units: Vec<Unit>) -> Result<Ordered, DraftError> {
    let needs = needs_of(graph, &units);
    let order = match numbered(graph, &units, &needs) {
        Some(order) => order,
        None => by_stage(graph, &units, &needs)?,
    };
    let stages = stages(graph, &units, &needs, &order);
    let mut units: Vec<Option<Unit>> = units.into_iter().map(Some).collect();
    let ordered = order
        .iter()
        .filter_map(|&at| Some((units[at].take()?, stages[at])));
    let units: Vec<(Unit, Stage)> = ordered.collect();
    let mut places = vec![(0, 0); graph.parts.len()];
    for (at, (unit, _)) in units.iter().enumerate() {
        for (place, &part) in unit.parts.iter().enumerate() {
            places[part] = (at, place);
        }
    }
    Ok(Ordered { units, places })
}

/// The units that each unit needs, in the order of its links.
fn needs_of(graph: &Graph<'_>, units: &[Unit]) -> Vec<Vec<usize>> {
    let mut unit_of = vec![0; graph.parts.len()];
    for (at, unit) in units.iter().enumerate() {
        for &part in &unit.parts {
            unit_of[part] = at;
        }
    }
    let needed = |unit: &Unit| -> Vec<usize> {
        if let Some(call) = &unit.call {
            let arguments = call.arguments.iter();
            let links = arguments.filter_map(|argument| match argument {
                Argument::Link(output) => Some(unit_of[output.part]),
                Argument::Value { .. } => None,
            });
            return links.collect();
        }
        let parts = unit.parts.iter();
        let links = parts.flat_map(|part| graph.parts[*part].links());
        links.map(|(_, output)| unit_of[output.part]).collect()
    };
    units.iter().map(needed).collect()
}

/// The order of the ids, where these are 1, 2, 3 and so on and it is a possible order.
fn numbered(graph: &Graph<'_>, units: &[Unit], needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let number = |part: usize| graph.parts[part].id.parse::<usize>().ok();
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(units.len());
    for (at, unit) in units.iter().enumerate() {
        let first = number(*unit.parts.first()?)?;
        let mut numbers = unit.parts.iter().enumerate();
        let follows = numbers.all(|(place, part)| number(*part) == Some(first + place));
        order.push(follows.then_some((first, at))?);
    }
    order.sort_unstable();
    let mut next = 1;
    let mut done = vec![false; units.len()];
    for (first, at) in &order {
        let is_next = *first == next && needs[*at].iter().all(|need| done[*need]);
        next += is_next.then_some(units[*at].parts.len())?;
        done[*at] = true;
    }
    Some(order.into_iter().map(|(_, at)| at).collect())
}

/// Loading first, then what is given and said, then the work as one thing leads to the other.
fn by_stage(
    graph: &Graph<'_>,
    units: &[Unit],
    needs: &[Vec<usize>],
) -> Result<Vec<usize>, DraftError> {
    let natural = downstream(graph, units, needs)?;
    // The longer way first: what a second pass needs beside the first stands behind that.
    let mut depths = vec![0_usize; units.len()];
    for &at in &natural {
        let deepest = needs[at].iter().map(|need| depths[*need] + 1).max();
        depths[at] = deepest.unwrap_or(0);
    }
    let mut longest_first = needs.to_vec();
    for needed in &mut longest_first {
        needed.sort_by_key(|need| Reverse(depths[*need]));
    }
    let natural = downstream(graph, units, &longest_first)?;
    let stages = stages(graph, units, needs, &natural);
    let places = natural.iter().enumerate();
    let places: HashMap<usize, usize> = places.map(|(place, at)| (*at, place)).collect();
    let mut left: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut takers = vec![Vec::new(); units.len()];
    for (at, needed) in needs.iter().enumerate() {
        for &need in needed {
            takers[need].push(at);
        }
    }
    let key = |at: usize| Reverse((stages[at].rank(), places[&at], at));
    let free = (0..units.len()).filter(|at| left[*at] == 0);
    let mut ready: BinaryHeap<_> = free.map(key).collect();
    let mut order = Vec::with_capacity(units.len());
    while let Some(Reverse((_, _, at))) = ready.pop() {
        order.push(at);
        for &taker in &takers[at] {
            left[taker] -= 1;
            if left[taker] == 0 {
                ready.push(key(taker));
            }
        }
    }
    Ok(order)
}

/// What each end needs, and then the end.
fn downstream(
    graph: &Graph<'_>,
    units: &[Unit],
    needs: &[Vec<usize>],
) -> Result<Vec<usize>, DraftError> {
    let mut state = vec![State::New; units.len()];
    let mut order = Vec::with_capacity(units.len());
    let is_end = |at: &usize| {
        units[*at]
            .parts
            .iter()
            .any(|part| is_end(&graph.parts[*part]))
    };
    let (ends, others): (Vec<usize>, Vec<usize>) = (0..units.len()).partition(is_end);
    for root in ends.into_iter().chain(others) {
        // Without recursion: chains of thousands of nodes are as good as any.
        let mut open = vec![(root, 0)];
        while let Some((at, next)) = open.pop() {
            if state[at] == State::Done {
                continue;
            }
            state[at] = State::Open;
            let Some(&need) = needs[at].get(next) else {
                state[at] = State::Done;
                order.push(at);
                continue;
            };
            open.push((at, next + 1));
            match state[need] {
                State::New => open.push((need, 0)),
                State::Open => return Err(circle(graph, units, &open, need)),
                State::Done => {}
            }
        }
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

fn circle(graph: &Graph<'_>, units: &[Unit], open: &[(usize, usize)], from: usize) -> DraftError {
    let round = open.iter().skip_while(|(at, _)| *at != from);
    let parts = round.filter_map(|(at, _)| units[*at].parts.first());
    let named = parts.map(|part| {
        let part = &graph.parts[*part];
        format!("{} ({})", part.id, part.class)
    });
    DraftError::Cycle(named.collect())
}

/// The stage of each unit; `order` has each behind what it needs.
fn stages(graph: &Graph<'_>, units: &[Unit], needs: &[Vec<usize>], order: &[usize]) -> Vec<Stage> {
    let mut stages = vec![Stage::Finish; units.len()];
    for &at in order {
        let latest = needs[at].iter().map(|need| stages[*need]).max();
        let parts = units[at].parts.iter().map(|part| &graph.parts[*part]);
        let own = parts.map(|part| stage_of(part, latest)).max();
        stages[at] = own.unwrap_or(Stage::Finish);
    }
    // What sampling still needs is a part of it.
    for &at in order.iter().rev() {
        if stages[at] == Stage::Sample {
            for &need in &needs[at] {
                if stages[need] == Stage::Finish {
                    stages[need] = Stage::Sample;
                }
            }
        }
    }
    stages
}

/// The stage of a node by what it gives, given the latest stage of what it needs.
fn stage_of(part: &Part<'_>, latest: Option<Stage>) -> Stage {
    let gives_only = |types: &[&str]| {
        let mut outputs = part.outputs().peekable();
        outputs.peek().is_some() && outputs.all(|output| types.contains(&output))
    };
    let gives = |types: &[&str]| part.outputs().any(|output| types.contains(&output));
    let latest = latest.unwrap_or(Stage::Load);
    let loads = gives_only(&LOADED) || part.facts.is_none() && loads_models(part);
    if is_end(part) {
        Stage::Finish
    } else if loads && latest == Stage::Load {
        Stage::Load
    } else if medium_of_upload(part).is_some() {
        Stage::Given
    } else if gives(&SAMPLED) {
        Stage::Sample
    } else if latest <= Stage::Say && gives(&["CONDITIONING", "STRING"]) {
        Stage::Say
    } else if latest <= Stage::Given
        && gives(&["IMAGE", "MASK", "VIDEO", "AUDIO", "INT", "FLOAT", "BOOLEAN"])
    {
        Stage::Given
    } else if loads {
        latest.max(Stage::Sample)
    } else {
        Stage::Finish
    }
}
