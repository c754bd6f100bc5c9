//! From an input to the place where its value is written: in the input itself, or in a primitive
//! behind links.

use serde_json::Value;

use super::graph::{Graph, Source};
use super::trace::Spot;

/// How many nodes may stand between an input and its value.
const DEPTH: usize = 16;

/// Inputs of text nodes that shape a text and are not part of it.
const SHAPING: [&str; 9] = [
    "delimiter",
    "separator",
    "find",
    "replace",
    "regex_pattern",
    "mode",
    "case",
    "format",
    "system_prompt",
];

impl<'a> Graph<'a> {
    /// Where the number, word or file of an input is written; none if the node has no such input.
    /// What other nodes compute is written nowhere: then it is the input itself, as a link.
    pub(super) fn spot(&self, id: &str, input: &str) -> Option<Spot> {
        let value = self.input(id, input)?;
        if self.link(id, input).is_none() {
            return Some(Spot::new(id, input, value));
        }
        let [maker] = self.makers(id, input)[..] else {
            return Some(Spot::new(id, input, value));
        };
        let written = self.primitive(maker);
        Some(match written {
            Some((name, value)) => Spot::new(maker.id, name, value).behind(id, input),
            None => Spot::new(id, input, value),
        })
    }

    /// The one value that a node without links of its own hands on.
    fn primitive(&self, maker: Source<'a>) -> Option<(&'a str, &'a Value)> {
        if self.links(maker.id).next().is_some() {
            return None;
        }
        let output = self
            .class(maker.id)
            .and_then(|class| class.outputs().get(maker.slot));
        if let Some(output) = output
            && let Some((name, value)) = self
                .literals(maker.id)
                .find(|(name, _)| *name == output.name().to_lowercase())
        {
            return Some((name, value));
        }
        if let Some(value) = self.literal(maker.id, "value") {
            return Some(("value", value));
        }
        let mut plain = self
            .literals(maker.id)
            .filter(|(name, value)| value.is_number() && !name.contains("control"));
        match (plain.next(), plain.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// The texts that make up a text input, the one that says most first come first.
    pub(super) fn texts(&self, id: &'a str, input: &'a str) -> Vec<Spot> {
        let Some(value) = self.input(id, input) else {
            return Vec::new();
        };
        if self.link(id, input).is_none() {
            return vec![Spot::new(id, input, value)];
        }
        let mut found = Vec::new();
        for maker in self.makers(id, input) {
            self.collect_texts(maker, DEPTH, &mut found);
        }
        if found.is_empty() {
            // Nobody wrote it: it can only be replaced as a whole.
            return vec![Spot::new(id, input, value)];
        }
        let said = |spot: &Spot| {
            spot.value
                .as_str()
                .is_some_and(|text| !text.trim().is_empty())
        };
        if found.iter().any(said) {
            found.retain(said);
        }
        found
            .into_iter()
            .map(|spot| spot.behind(id, input))
            .collect()
    }

    fn collect_texts(&self, maker: Source<'a>, depth: usize, found: &mut Vec<Spot>) {
        let node = self.node(maker.id);
        for (name, value) in node.and_then(|node| node.inputs()).into_iter().flatten() {
            if SHAPING.contains(&name.as_str()) {
                continue;
            }
            if self.link(maker.id, name).is_none() {
                let is_choice = self
                    .class(maker.id)
                    .and_then(|class| class.input(name))
                    .is_some_and(|input| input.io_type().name() != "STRING");
                if value.is_string() && !is_choice {
                    found.push(Spot::new(maker.id, name, value));
                }
            } else if depth > 0 && matches!(self.type_of(maker.id, name), "STRING" | "") {
                for further in self.makers(maker.id, name) {
                    self.collect_texts(further, depth - 1, found);
                }
            }
        }
    }
}
