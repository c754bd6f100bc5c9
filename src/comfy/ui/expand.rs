//! Every instance of a subgraph as a graph of its own.

use std::collections::HashMap;

use serde_json::Value;

use super::error::{NodeName, UiError};
use super::kind::Kind;
use super::live::{Live, LiveGraph, LiveNode};
use super::read::Mode;

/// The largest graphs in the wild have a few thousand nodes.
const MOST_NODES: usize = 100_000;

/// The instances of the graphs, the root first and each behind the one that it stands in.
#[derive(Debug)]
pub(super) struct Frames<'l, 'v> {
    live: &'l Live<'v>,
    pub(super) frames: Vec<Frame>,
}

/// One instance of a graph.
#[derive(Debug)]
pub(super) struct Frame {
    graph: usize,
    /// What stands before its nodes' ids: `"12:34:"`.
    pub(super) prefix: String,
    /// The node that stands for it; the root has none.
    pub(super) host: Option<Place>,
    /// The frames of its own instances, by node.
    pub(super) instances: HashMap<usize, usize>,
}

/// A node of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) frame: usize,
    pub(super) node: usize,
}

impl<'l, 'v> Frames<'l, 'v> {
    pub(super) fn of(live: &'l Live<'v>) -> Result<Self, UiError> {
        let root = Frame {
            graph: 0,
            prefix: String::new(),
            host: None,
            instances: HashMap::new(),
        };
        let mut frames = Self {
            live,
            frames: vec![root],
        };
        let mut nodes = 0;
        let mut open = 0;
        while open < frames.frames.len() {
            nodes += frames.graph(open).nodes.len();
            if nodes > MOST_NODES {
                return Err(UiError::TooManyNodes(MOST_NODES));
            }
            frames.add_instances(open);
            open += 1;
        }
        Ok(frames)
    }

    fn add_instances(&mut self, frame: usize) {
        let graph = &self.live.graphs[self.frames[frame].graph];
        for (at, node) in graph.nodes.iter().enumerate() {
            let Kind::Instance(inner) = node.kind else {
                continue;
            };
            // The frontend looks at this in the root only.
            if frame == 0 && node.mode != Mode::Runs {
                continue;
            }
            let new = self.frames.len();
            let prefix = format!("{}{}:", self.frames[frame].prefix, node.id);
            self.frames[frame].instances.insert(at, new);
            self.frames.push(Frame {
                graph: inner,
                prefix,
                host: Some(Place { frame, node: at }),
                instances: HashMap::new(),
            });
        }
    }

    pub(super) fn graph(&self, frame: usize) -> &'l LiveGraph<'v> {
        &self.live.graphs[self.frames[frame].graph]
    }

    pub(super) fn node(&self, place: Place) -> &'l LiveNode<'v> {
        &self.graph(place.frame).nodes[place.node]
    }

    pub(super) fn id(&self, place: Place) -> String {
        format!("{}{}", self.frames[place.frame].prefix, self.node(place).id)
    }

    pub(super) fn name(&self, place: Place) -> NodeName {
        let mut within = Vec::new();
        let mut frame = place.frame;
        while let Some(host) = self.frames[frame].host {
            within.push(self.graph(frame).name.into());
            frame = host.frame;
        }
        within.reverse();
        let node = self.node(place);
        let mut name = node.name(&self.frames[place.frame].prefix);
        if let Kind::Instance(graph) = node.kind {
            name.class = self.live.graphs[graph].name.into();
        }
        name.within = within.into();
        name
    }

    /// The value of a node's widget, and whether it is the node's own: an instance around it may
    /// have set another.
    pub(super) fn value(&self, place: Place, widget: usize) -> (Option<&'l Value>, bool) {
        let (mut place, mut widget, mut own) = (place, widget, true);
        while let Some(host) = self.frames[place.frame].host {
            let mut sets = self.node(host).instance.sets.iter();
            let Some(set) = sets.find(|set| (set.0, set.1) == (place.node, widget)) else {
                break;
            };
            (place, widget, own) = (host, set.2, false);
        }
        (self.node(place).widgets[widget].value.as_ref(), own)
    }

    /// All nodes, those of an instance right behind it.
    pub(super) fn places(&self) -> Vec<Place> {
        fn add(frames: &Frames<'_, '_>, frame: usize, places: &mut Vec<Place>) {
            for node in 0..frames.graph(frame).nodes.len() {
                places.push(Place { frame, node });
                if let Some(&inner) = frames.frames[frame].instances.get(&node) {
                    add(frames, inner, places);
                }
            }
        }
        let mut places = Vec::new();
        add(self, 0, &mut places);
        places
    }
}
