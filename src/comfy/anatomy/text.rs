//! From what conditions a sampler to the texts that say it.
//!
//! Between a text and a sampler stand any number of nodes: guidance, `ControlNet`s, masks, areas,
//! combinations, nodes of a family that take the positive and the negative side and hand both on.

use std::collections::HashSet;

use serde_json::Value;

use super::graph::{Graph, Source};
use super::trace::Spot;

/// How many nodes may stand between a sampler and a text.
const DEPTH: usize = 64;

/// Inputs in which text encoders of all families take their text.
const PROMPTS: [&str; 16] = [
    "text",
    "prompt",
    "positive_prompt",
    "user_prompt",
    "text_g",
    "text_l",
    "clip_l",
    "clip_g",
    "t5xxl",
    "llama",
    "bert",
    "mt5xl",
    "qwen25_7b",
    "tags",
    "caption",
    "negative_prompt",
];

/// The two sides between which a sampler steers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Positive,
    Negative,
}

impl Side {
    /// What the name of an input or output says; many say nothing.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        if name.starts_with("neg") {
            Some(Self::Negative)
        } else if name.starts_with("pos") {
            Some(Self::Positive)
        } else {
            None
        }
    }
}

/// An input through which a text encoder's work goes on.
pub(super) type Edge = (String, String);

/// A text encoder, reached from a sampler.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub(super) id: String,
    /// Where its texts are written; several if it takes the prompt in several inputs.
    pub(super) texts: Vec<Spot>,
    /// The input that takes what it makes, on the way from which it was reached.
    pub(super) edge: Edge,
}

/// What one side of a sampler leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditioning {
    /// The encoders in the order in which they count.
    pub(super) encoders: Vec<Encoder>,
    /// Encoders that take both sides' texts at once hand on the other one here.
    pub(super) other_side: Vec<Spot>,
    /// All nodes on the way, the encoders among them.
    pub(super) nodes: Vec<String>,
    /// Nodes that empty whatever was said before them.
    pub(super) emptied_by: Vec<String>,
}

/// Follows one side upstream.
pub(super) struct Walk<'g, 'a> {
    pub(super) graph: &'g Graph<'a>,
    pub(super) found: Conditioning,
    pub(super) seen: HashSet<(Source<'a>, Side)>,
}

impl<'a> Walk<'_, 'a> {
    /// Follows an input of a node.
    pub(super) fn input(&mut self, id: &str, name: &str, side: Side) {
        self.follow(id, name, side, DEPTH);
    }

    fn follow(&mut self, id: &str, name: &str, side: Side, depth: usize) {
        for maker in self.graph.makers(id, name) {
            if depth > 0 && self.seen.insert((maker, side)) {
                self.node(maker, side, &(id.to_owned(), name.to_owned()), depth - 1);
            }
        }
    }

    fn node(&mut self, maker: Source<'a>, side: Side, edge: &Edge, depth: usize) {
        let id = maker.id;
        let graph = self.graph;
        self.found.nodes.push(id.to_owned());
        if graph.class_type(id).contains("ZeroOut") {
            self.found.emptied_by.push(id.to_owned());
            return;
        }
        // What comes in is the prompt; a text beside it is about something in it, such as the
        // label of an area.
        let before = self.found.encoders.len() + self.found.emptied_by.len();
        let side = self.side_of(maker).unwrap_or(side);
        for name in graph.links_of(id, "CONDITIONING") {
            let fits = Side::of(name).is_none_or(|of| of == side || !self.has_two_sides(maker));
            if fits && !name.starts_with("empty") {
                self.follow(id, name, side, depth);
            }
        }
        if self.found.encoders.len() + self.found.emptied_by.len() == before {
            self.encoder(maker, side, edge);
        }
    }

    /// Which side an output is, of nodes that hand both on.
    fn side_of(&self, maker: Source<'a>) -> Option<Side> {
        if let Some(class) = self.graph.class(maker.id) {
            return Side::of(class.outputs().get(maker.slot)?.name());
        }
        self.has_two_sides(maker).then_some(match maker.slot {
            0 => Side::Positive,
            _ => Side::Negative,
        })
    }

    /// Whether a node takes both sides and gives more than one thing.
    fn has_two_sides(&self, maker: Source<'a>) -> bool {
        let inputs = self.graph.node(maker.id).and_then(|node| node.inputs());
        let sides: HashSet<Side> = inputs
            .into_iter()
            .flatten()
            .filter_map(|(name, _)| Side::of(name))
            .collect();
        let outputs = self.graph.class(maker.id).map(|class| {
            let outputs = class.outputs().iter();
            outputs
                .filter(|output| output.io_type().is("CONDITIONING"))
                .count()
        });
        sides.len() == 2 && outputs.is_none_or(|outputs| outputs > 1)
    }

    fn encoder(&mut self, maker: Source<'a>, side: Side, edge: &Edge) {
        let graph = self.graph;
        let mut names = prompt_inputs(graph, maker.id);
        if names.is_empty() {
            names = plain_texts(graph, maker.id);
        }
        let (negative, positive): (Vec<&str>, Vec<&str>) = names
            .into_iter()
            .partition(|name| Side::of(name) == Some(Side::Negative));
        let texts = |names: &[&'a str]| -> Vec<Spot> {
            let mut texts: Vec<Spot> = names
                .iter()
                .filter_map(|name| graph.texts(maker.id, name).into_iter().next())
                .collect();
            // Of several inputs for the same prompt, those that are in use count.
            if texts.iter().any(Spot::says_something) {
                texts.retain(Spot::says_something);
            }
            texts
        };
        let two_outputs = self.side_of(maker).is_some();
        let own = match side {
            Side::Negative if two_outputs && !negative.is_empty() => &negative,
            _ => &positive,
        };
        let own = texts(own);
        if !two_outputs {
            self.found.other_side.extend(texts(&negative));
        }
        if !own.is_empty() {
            self.found.encoders.push(Encoder {
                id: maker.id.to_owned(),
                texts: own,
                edge: edge.clone(),
            });
        }
    }
}

/// The inputs in which a node takes words to be shown: those with a name that is known for it,
/// else its texts of several lines.
pub(super) fn prompt_inputs<'a>(graph: &Graph<'a>, id: &str) -> Vec<&'a str> {
    let inputs = graph.node(id).and_then(|node| node.inputs());
    let inputs: Vec<(&str, &Value)> = inputs
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let class = graph.class(id);
    let is_text = |name: &&str| {
        let declared = class.and_then(|class| class.input(name));
        if let Some(input) = declared {
            input.io_type().name() == "STRING"
        } else {
            let value = inputs.iter().find(|(own, _)| own == name);
            value.is_some_and(|(_, value)| value.is_string()) || graph.link(id, name).is_some()
        }
    };
    let is_long = |name: &&str| {
        let declared = class.and_then(|class| class.input(name));
        declared.is_some_and(|input| input.flag("multiline") && input.io_type().is("STRING"))
    };
    let names = || inputs.iter().map(|(name, _)| *name);
    let known: Vec<&str> = names()
        .filter(|name| PROMPTS.contains(name))
        .filter(is_text)
        .collect();
    if !known.is_empty() {
        return known;
    }
    names().filter(is_long).collect()
}

/// The inputs of an encoder of unknown habits that take text; without its declaration, those in
/// which several words stand.
fn plain_texts<'a>(graph: &Graph<'a>, id: &str) -> Vec<&'a str> {
    let class = graph.class(id);
    let is_text = |name: &str, value: &Value| match class.and_then(|class| class.input(name)) {
        Some(input) => input.io_type().name() == "STRING",
        None => value.as_str().is_some_and(|text| text.trim().contains(' ')),
    };
    graph
        .literals(id)
        .filter(|(name, value)| is_text(name, value))
        .map(|(name, _)| name)
        .collect()
}
