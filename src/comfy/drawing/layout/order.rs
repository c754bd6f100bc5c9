//! The order of the blocks in their columns, with few crossings of links.

use std::collections::HashMap;

use super::{Block, Edge};

/// Sweeps through the columns. Later ones hardly ever find anything (measured on the official
/// templates).
const SWEEPS: usize = 12;

/// The pieces of links that meet a block or a lane on one side.
pub(super) type Pieces = Vec<Piece>;

/// A piece of a link as one of its ends sees it.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    /// What is at its other end.
    pub(super) other: usize,
    /// The height within that.
    pub(super) there: f64,
    /// The height at this end.
    pub(super) here: f64,
}

/// Blocks and the places where links pass columns between their ends, with the links cut into
/// pieces from one column to the next.
pub(super) struct Lanes {
    /// Heights; those behind the blocks' are of passing links.
    pub(super) heights: Vec<f64>,
    /// How many of them are blocks.
    pub(super) blocks: usize,
    /// The column of each.
    pub(super) layers: Vec<usize>,
    /// What leads to each.
    pub(super) before: Vec<Pieces>,
    /// What each leads to.
    pub(super) behind: Vec<Pieces>,
    /// For each edge where it passes columns.
    pub(super) ways: Vec<Vec<usize>>,
    columns: usize,
}

impl Lanes {
    pub(super) fn new(blocks: &[Block], edges: &[Edge], layers: &[usize]) -> Self {
        let mut lanes = Self {
            heights: blocks.iter().map(|block| block.height).collect(),
            blocks: blocks.len(),
            layers: layers.to_vec(),
            before: vec![Vec::new(); blocks.len()],
            behind: vec![Vec::new(); blocks.len()],
            ways: Vec::with_capacity(edges.len()),
            columns: layers.iter().max().map_or(0, |last| last + 1),
        };
        // Links of one output run together.
        let mut passing: HashMap<(usize, u64, usize), usize> = HashMap::new();
        for edge in edges {
            let mut at = (edge.from, edge.from_y);
            let mut way = Vec::new();
            for layer in layers[edge.from] + 1..layers[edge.to] {
                let key = (edge.from, edge.from_y.to_bits(), layer);
                let lane = *passing.entry(key).or_insert_with(|| {
                    let lane = lanes.add(layer);
                    lanes.join(at, (lane, 0.0));
                    lane
                });
                way.push(lane);
                at = (lane, 0.0);
            }
            lanes.ways.push(way);
            lanes.join(at, (edge.to, edge.to_y));
        }
        lanes
    }

    fn add(&mut self, layer: usize) -> usize {
        self.heights.push(0.0);
        self.layers.push(layer);
        self.before.push(Vec::new());
        self.behind.push(Vec::new());
        self.heights.len() - 1
    }

    fn join(&mut self, from: (usize, f64), to: (usize, f64)) {
        let piece = |other: (usize, f64), here| Piece {
            other: other.0,
            there: other.1,
            here,
        };
        self.behind[from.0].push(piece(to, from.1));
        self.before[to.0].push(piece(from, to.1));
    }

    pub(super) fn is_lane(&self, at: usize) -> bool {
        at >= self.blocks
    }

    /// The columns in an order that keeps together what is connected.
    fn as_connected(&self) -> Vec<Vec<usize>> {
        let mut columns = vec![Vec::new(); self.columns];
        let mut seen = vec![false; self.heights.len()];
        for start in 0..self.heights.len() {
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                if std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                columns[self.layers[at]].push(at);
                // The first is looked at first, so it goes on top.
                open.extend(self.behind[at].iter().rev().map(|next| next.other));
                open.extend(self.before[at].iter().rev().map(|next| next.other));
            }
        }
        columns
    }
}

/// The members of each column from top to bottom.
pub(super) fn ordered(lanes: &Lanes) -> Vec<Vec<usize>> {
    let mut columns = lanes.as_connected();
    let mut best = (crossings(lanes, &columns), columns.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let mut places = places(lanes, &columns);
        let to_right = sweep % 2 == 0;
        for step in 0..columns.len() {
            let layer = if to_right {
                step
            } else {
                columns.len() - 1 - step
            };
            let column = &mut columns[layer];
            let sides = if to_right {
                &lanes.before
            } else {
                &lanes.behind
            };
            let mut keyed: Vec<(f64, usize)> = column
                .iter()
                .map(|&at| (middle(lanes, &places, &sides[at]).unwrap_or(places[at]), at))
                .collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            for (place, (_, at)) in keyed.into_iter().enumerate() {
                column[place] = at;
                places[at] = as_float(place);
            }
        }
        let found = crossings(lanes, &columns);
        if found < best.0 {
            best = (found, columns.clone());
        }
    }
    best.1
}

/// The mean place of the neighbours on one side, with the height at which links meet them.
fn middle(lanes: &Lanes, places: &[f64], neighbours: &[Piece]) -> Option<f64> {
    let at = neighbours
        .iter()
        .map(|piece| places[piece.other] + piece.there / (lanes.heights[piece.other] + 1.0));
    (!neighbours.is_empty()).then(|| at.sum::<f64>() / as_float(neighbours.len()))
}

fn places(lanes: &Lanes, columns: &[Vec<usize>]) -> Vec<f64> {
    let mut places = vec![0.0; lanes.heights.len()];
    for column in columns {
        for (place, &at) in column.iter().enumerate() {
            places[at] = as_float(place);
        }
    }
    places
}

/// How many pairs of links cross between neighbouring columns.
fn crossings(lanes: &Lanes, columns: &[Vec<usize>]) -> usize {
    let places = places(lanes, columns);
    let end = |(at, y): (usize, f64)| places[at] + y / (lanes.heights[at] + 1.0);
    let mut found = 0;
    for column in columns {
        let mut ends: Vec<(f64, f64)> = column
            .iter()
            .flat_map(|&at| {
                let pieces = lanes.behind[at].iter();
                pieces.map(move |piece| (end((at, piece.here)), end((piece.other, piece.there))))
            })
            .collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        let mut right: Vec<f64> = ends.into_iter().map(|(_, right)| right).collect();
        found += inversions(&mut right);
    }
    found
}

/// How many pairs stand in the wrong order; sorts them.
fn inversions(values: &mut [f64]) -> usize {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut found = inversions(left) + inversions(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut one, mut other) = (0, 0);
    while one < left.len() || other < right.len() {
        let takes_left = other == right.len() || (one < left.len() && left[one] <= right[other]);
        if takes_left {
            merged.push(left[one]);
            one += 1;
        } else {
            found += left.len() - one;
            merged.push(right[other]);
            other += 1;
        }
    }
    values.copy_from_slice(&merged);
    found
}

fn as_float(count: usize) -> f64 {
    // No workflow has more than 2^32 nodes.
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
