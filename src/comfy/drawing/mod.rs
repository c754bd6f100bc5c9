//! A workflow to look at: as a graph of the editor, as a picture, as a chart in a text.
//!
//! A prompt says nothing of places. So every node is given the slots and widgets that the editor
//! gives it (`shape`), and a place ([`layout`]), within the natural parts of the work where
//! there are such (`stage`). From that follow the graph that opens in the editor (`editor`,
//! which is held against the way back by `check`) and the picture (`svg`); a chart
//! (`mermaid`) is laid out by whoever shows it.

pub mod layout;

mod check;
mod colours;
mod editor;
mod error;
mod mermaid;
mod shape;
mod stage;
mod svg;
mod telling;
mod wires;

pub use editor::{Drawn, to_ui};
pub use error::{DrawError, Remark};
pub use mermaid::to_mermaid;
pub use svg::to_svg;
pub use wires::loose_links;

use std::collections::HashMap;

use self::layout::{Block, Edge, Gaps, Lane, lay_out};
use self::shape::Shape;
use self::stage::Stage;
use super::Workflow;
use super::nodes::NodeFacts;

/// The height of a node's title in the editor (frontend 1.49.6), which stands above its place.
const TITLE: f64 = 30.0;

/// The space around the nodes of a group.
const PADDING: f64 = 20.0;

/// The height of a group's title.
const GROUP_TITLE: f64 = 40.0;

/// Nodes with places, and the links between them.
#[derive(Debug)]
struct Drawing<'w> {
    shapes: Vec<Shape<'w>>,
    wires: Vec<Wire>,
    groups: Vec<Group>,
    width: f64,
    height: f64,
}

/// A link: a node's output, and a node's input.
#[derive(Clone, Debug)]
struct Wire {
    from: usize,
    output: usize,
    to: usize,
    input: usize,
    io_type: String,
    /// The columns that it passes.
    way: Vec<Lane>,
}

/// A frame around the nodes of one part of the work.
#[derive(Debug)]
struct Group {
    title: &'static str,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// What the nodes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// All that the editor shows.
    Editor,
    /// What tells most.
    Picture,
}

impl<'w> Drawing<'w> {
    fn of(workflow: &'w Workflow, facts: &'w NodeFacts, look: Look) -> Self {
        let (shapes, wires) = shape::shapes(workflow, facts, look);
        let stages = stage::stages(&shapes, &wires);
        let mut drawing = Self {
            shapes,
            wires,
            groups: Vec::new(),
            width: 0.0,
            height: 0.0,
        };
        drawing.lay_out(stages.as_deref(), look);
        drawing
    }

    fn lay_out(&mut self, stages: Option<&[Stage]>, look: Look) {
        let blocks: Vec<Block> = self
            .shapes
            .iter()
            .enumerate()
            .map(|(at, shape)| Block {
                width: shape.width,
                height: shape.height + TITLE,
                band: stages.map_or(0, |stages| stages[at] as usize),
                late: !shape.loads,
            })
            .collect();
        let edges: Vec<Edge> = self
            .wires
            .iter()
            .map(|wire| Edge {
                from: wire.from,
                from_y: TITLE + self.shapes[wire.from].outputs[wire.output].y,
                to: wire.to,
                to_y: TITLE + self.shapes[wire.to].inputs[wire.input].y,
            })
            .collect();
        let gaps = match look {
            Look::Editor => Gaps {
                columns: 70.0,
                bands: 3.0 * PADDING,
                rows: 40.0,
            },
            Look::Picture => Gaps {
                columns: 64.0,
                bands: 2.0 * PADDING,
                rows: 24.0,
            },
        };
        let layout = lay_out(&blocks, &edges, &gaps);
        let mut widths: HashMap<u64, f64> = HashMap::new();
        for (shape, (x, y)) in self.shapes.iter_mut().zip(layout.corners) {
            (shape.x, shape.y) = (x, y + TITLE);
            let width = widths.entry(x.to_bits()).or_default();
            *width = width.max(shape.width);
        }
        // The nodes of a column are equally wide.
        for shape in &mut self.shapes {
            shape.width = widths[&shape.x.to_bits()];
        }
        for (wire, way) in self.wires.iter_mut().zip(layout.ways) {
            wire.way = way;
        }
        self.groups = stages.map_or_else(Vec::new, |stages| self.groups(stages));
        let right = self.shapes.iter().map(|shape| shape.x + shape.width);
        let bottom = self.shapes.iter().map(|shape| shape.y + shape.height);
        self.width = right.fold(0.0, f64::max);
        self.height = bottom.fold(0.0, f64::max);
    }

    /// How far up a group's title has to stand so that no link passes through it.
    fn above_links(&self, left: f64, right: f64, top: f64) -> f64 {
        let lanes = self.wires.iter().flat_map(|wire| &wire.way);
        let lanes = lanes.filter(|lane| left < lane.right && lane.left < right);
        let mut heights: Vec<f64> = lanes.map(|lane| lane.y).collect();
        heights.sort_by(|one, other| other.total_cmp(one));
        let strip = GROUP_TITLE + PADDING;
        let within = |top: f64, y: f64| y < top && y > top - strip;
        heights
            .into_iter()
            .fold(top, |top, y| if within(top, y) { y } else { top })
    }

    fn groups(&self, stages: &[Stage]) -> Vec<Group> {
        let groups = Stage::ALL.into_iter().filter_map(|stage| {
            let members = self.shapes.iter().zip(stages);
            let members: Vec<&Shape<'_>> = members
                .filter(|(_, own)| **own == stage)
                .map(|(shape, _)| shape)
                .collect();
            let least = |of: fn(&Shape<'_>) -> f64| {
                members
                    .iter()
                    .map(|&shape| of(shape))
                    .fold(f64::INFINITY, f64::min)
            };
            let most = |of: fn(&Shape<'_>) -> f64| {
                members
                    .iter()
                    .map(|&shape| of(shape))
                    .fold(f64::NEG_INFINITY, f64::max)
            };
            let x = least(|shape| shape.x) - PADDING;
            let right = most(|shape| shape.x + shape.width) + PADDING;
            let top = self.above_links(x, right, least(|shape| shape.y) - TITLE);
            let y = top - GROUP_TITLE - PADDING / 2.0;
            (!members.is_empty()).then(|| Group {
                title: stage.title(),
                x,
                y,
                width: right - x,
                height: most(|shape| shape.y + shape.height) + PADDING - y,
            })
        });
        groups.collect()
    }
}
