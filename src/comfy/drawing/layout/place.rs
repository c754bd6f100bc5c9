//! How high the blocks of each column stand.

use super::order::{Lanes, Piece, Pieces};

/// Rounds from left to right and back. More move things by less than a row.
const ROUNDS: usize = 6;

/// A passing link counts for more than the end of one, so that long links run straight.
const STRAIGHT: f64 = 4.0;

/// The upper side of each block and the height of each lane; the highest block is at 0.
pub(super) fn heights(lanes: &Lanes, columns: &[Vec<usize>], gap: f64) -> Vec<f64> {
    let mut ys = vec![0.0; lanes.heights.len()];
    for column in columns {
        let mut y = 0.0;
        for (place, &at) in column.iter().enumerate() {
            if let Some(&above) = place.checked_sub(1).and_then(|above| column.get(above)) {
                y += lanes.heights[above] + apart(lanes, above, at, gap);
            }
            ys[at] = y;
        }
    }
    for round in 0..ROUNDS {
        let to_right = round % 2 == 0;
        for step in 0..columns.len() {
            let layer = if to_right {
                step
            } else {
                columns.len() - 1 - step
            };
            // The last round looks at both sides.
            let sides: &[_] = match (round + 1 == ROUNDS, to_right) {
                (true, _) => &[&lanes.before, &lanes.behind],
                (_, true) => &[&lanes.before],
                (_, false) => &[&lanes.behind],
            };
            let column = &columns[layer];
            let wanted: Vec<(f64, f64)> = column
                .iter()
                .map(|&at| wanted(lanes, &ys, sides, at))
                .collect();
            settle(lanes, column, &wanted, gap, &mut ys);
        }
    }
    let blocks = &ys[..lanes.blocks];
    let top = blocks.iter().copied().fold(f64::INFINITY, f64::min);
    ys.iter().map(|y| (y - top).round()).collect()
}

/// Where a block would like to be, and how much it matters.
fn wanted(lanes: &Lanes, ys: &[f64], sides: &[&Vec<Pieces>], at: usize) -> (f64, f64) {
    let (mut sum, mut weight) = (0.0, 0.0);
    for &Piece { other, there, here } in sides.iter().flat_map(|side| &side[at]) {
        let straight = lanes.is_lane(at) && lanes.is_lane(other);
        let counts = if straight { STRAIGHT } else { 1.0 };
        sum += counts * (ys[other] + there - here);
        weight += counts;
    }
    if weight > 0.0 {
        (sum / weight, weight)
    } else {
        // Where it is will do.
        (ys[at], 0.1)
    }
}

fn apart(lanes: &Lanes, above: usize, below: usize, gap: f64) -> f64 {
    match (lanes.is_lane(above), lanes.is_lane(below)) {
        (false, false) => gap,
        (true, true) => gap / 4.0,
        _ => gap / 2.0,
    }
}

/// Puts the members of a column as near to what they want as their order and extents allow: the
/// least sum of squares, found by pooling neighbours that want to pass each other.
fn settle(lanes: &Lanes, column: &[usize], wanted: &[(f64, f64)], gap: f64, ys: &mut [f64]) {
    struct Pool {
        mean: f64,
        weight: f64,
        members: usize,
    }
    let mut offsets = Vec::with_capacity(column.len());
    let mut pools: Vec<Pool> = Vec::with_capacity(column.len());
    let mut offset = 0.0;
    for (place, (&at, &(y, weight))) in column.iter().zip(wanted).enumerate() {
        if let Some(&above) = place.checked_sub(1).and_then(|above| column.get(above)) {
            offset += lanes.heights[above] + apart(lanes, above, at, gap);
        }
        offsets.push(offset);
        let mut pool = Pool {
            mean: y - offset,
            weight,
            members: 1,
        };
        while let Some(above) = pools.pop_if(|above| above.mean > pool.mean) {
            let weight = above.weight + pool.weight;
            pool.mean = (above.mean * above.weight + pool.mean * pool.weight) / weight;
            pool.weight = weight;
            pool.members += above.members;
        }
        pools.push(pool);
    }
    let means = pools
        .iter()
        .flat_map(|pool| std::iter::repeat_n(pool.mean, pool.members));
    for ((&at, offset), mean) in column.iter().zip(offsets).zip(means) {
        ys[at] = mean + offset;
    }
}
