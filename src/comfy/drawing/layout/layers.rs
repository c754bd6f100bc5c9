//! The column of each block.

use super::{Block, Edge};

/// The edges by their numbers, without those that close a circle.
pub(super) fn without_circles(blocks: usize, edges: &[Edge]) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let mut leaving = vec![Vec::new(); blocks];
    for (at, edge) in edges.iter().enumerate() {
        leaving[edge.from].push(at);
    }
    let mut seen = vec![Seen::No; blocks];
    let mut closes = vec![false; edges.len()];
    for start in 0..blocks {
        if seen[start] != Seen::No {
            continue;
        }
        // No recursion: a chain may be as long as the workflow.
        let mut way = vec![(start, 0)];
        seen[start] = Seen::Open;
        while let Some((block, next)) = way.last_mut() {
            let Some(&edge) = leaving[*block].get(*next) else {
                seen[*block] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let to = edges[edge].to;
            match seen[to] {
                Seen::Open => closes[edge] = true,
                Seen::Done => {}
                Seen::No => {
                    seen[to] = Seen::Open;
                    way.push((to, 0));
                }
            }
        }
    }
    (0..edges.len()).filter(|&at| !closes[at]).collect()
}

/// The column of each block, counted from the left: behind all that lead to it, and band by band.
pub(super) fn layers(blocks: &[Block], edges: &[Edge]) -> Vec<usize> {
    let (order, before, behind) = sorted(blocks.len(), edges);
    let mut bands: Vec<usize> = blocks.iter().map(|block| block.band).collect();
    for &at in &order {
        for &from in &before[at] {
            bands[at] = bands[at].max(bands[from]);
        }
    }
    let mut used: Vec<usize> = bands.clone();
    used.sort_unstable();
    used.dedup();
    let mut layers = vec![0; blocks.len()];
    let mut first = 0;
    for band in used {
        let mut end = first;
        for &at in order.iter().filter(|&&at| bands[at] == band) {
            let behind = before[at].iter().map(|&from| layers[from] + 1);
            layers[at] = behind.max().unwrap_or(0).max(first);
            end = end.max(layers[at] + 1);
        }
        for &at in order.iter().rev() {
            if bands[at] == band && blocks[at].late {
                let next = behind[at]
                    .iter()
                    .map(|&to| if bands[to] == band { layers[to] } else { end });
                layers[at] = next.min().map_or(layers[at], |next| next - 1);
            }
        }
        first = end;
    }
    layers
}

type Neighbours = Vec<Vec<usize>>;

/// The blocks with each behind those that lead to it, and the neighbours of each on both sides.
fn sorted(blocks: usize, edges: &[Edge]) -> (Vec<usize>, Neighbours, Neighbours) {
    let mut before = vec![Vec::new(); blocks];
    let mut behind = vec![Vec::new(); blocks];
    for edge in edges {
        before[edge.to].push(edge.from);
        behind[edge.from].push(edge.to);
    }
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..blocks).filter(|&at| missing[at] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for &to in &behind[order[next]] {
            missing[to] -= 1;
            if missing[to] == 0 {
                order.push(to);
            }
        }
        next += 1;
    }
    (order, before, behind)
}
