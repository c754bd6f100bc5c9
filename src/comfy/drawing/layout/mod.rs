//! Where things stand: columns from left to right, few crossings, straight links.
//!
//! The usual way to lay out directed graphs, in the steps of Sugiyama: columns by depth
//! (`layers`), the order within them by where the links come from and go to (`order`), and
//! heights as close to those of the neighbours as the order allows (`place`). The same graph
//! always gets the same places.

mod layers;
mod order;
mod place;

/// A thing with an extent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Block {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// All blocks of a band stand to the right of those of the bands before.
    pub band: usize,
    /// Whether it stands as far right as its links allow; otherwise as far left.
    pub late: bool,
}

/// A link between two blocks, with the heights within them at which it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The block at its left end.
    pub from: usize,
    /// The height within that.
    pub from_y: f64,
    /// The block at its right end.
    pub to: usize,
    /// The height within that.
    pub to_y: f64,
}

/// The space between blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaps {
    /// Between columns.
    pub columns: f64,
    /// More of it between bands.
    pub bands: f64,
    /// Between the blocks of a column.
    pub rows: f64,
}

/// Where everything stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The upper left corner of each block.
    pub corners: Vec<(f64, f64)>,
    /// For each edge the columns that it passes between its ends.
    pub ways: Vec<Vec<Lane>>,
}

/// Where an edge passes a column without touching a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lane {
    /// The left side of the column.
    pub left: f64,
    /// The right side.
    pub right: f64,
    /// The height.
    pub y: f64,
}

/// Finds a place for each block. No two overlap, and every edge goes to the right, except one of
/// each circle.
#[must_use]
pub fn lay_out(blocks: &[Block], edges: &[Edge], gaps: &Gaps) -> Layout {
    let kept = layers::without_circles(blocks.len(), edges);
    let forward: Vec<Edge> = kept.iter().map(|&at| edges[at]).collect();
    let layers = layers::layers(blocks, &forward);
    let lanes = order::Lanes::new(blocks, &forward, &layers);
    let ordered = order::ordered(&lanes);
    let heights = place::heights(&lanes, &ordered, gaps.rows);
    let columns = columns(blocks, &layers, gaps);
    let mut ways = vec![Vec::new(); edges.len()];
    for (&at, way) in kept.iter().zip(&lanes.ways) {
        let way = way.iter().map(|&lane| {
            let (left, right) = columns[lanes.layers[lane]];
            let y = heights[lane];
            Lane { left, right, y }
        });
        ways[at] = way.collect();
    }
    let corners = layers.iter().zip(heights);
    Layout {
        corners: corners.map(|(&layer, y)| (columns[layer].0, y)).collect(),
        ways,
    }
}

/// Both sides of each column.
fn columns(blocks: &[Block], layers: &[usize], gaps: &Gaps) -> Vec<(f64, f64)> {
    let count = layers.iter().max().map_or(0, |last| last + 1);
    let mut widths = vec![0.0_f64; count];
    let mut bands = vec![0; count];
    for (block, &layer) in blocks.iter().zip(layers) {
        widths[layer] = widths[layer].max(block.width);
        bands[layer] = bands[layer].max(block.band);
    }
    let mut x = 0.0;
    let mut columns = Vec::with_capacity(count);
    for layer in 0..count {
        if layer > 0 && bands[layer] != bands[layer - 1] {
            x += gaps.bands;
        }
        columns.push((x, x + widths[layer]));
        x += widths[layer] + gaps.columns;
    }
    columns
}

#[cfg(test)]
mod tests;
