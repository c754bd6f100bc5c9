//! A workflow as a graph: who is linked to whom, by which type.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::comfy::Workflow;
use crate::comfy::nodes::{NodeClass, NodeFacts};

/// How many links are followed to find a number.
const NUMBER_DEPTH: usize = 6;

/// A node with what is known of its class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vertex<'w> {
    pub(super) id: &'w str,
    pub(super) class: &'w str,
    pub(super) inputs: &'w Map<String, Value>,
    pub(super) known: Option<&'w NodeClass>,
}

/// An input that is linked, and where to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'w> {
    pub(super) input: &'w str,
    pub(super) from: Vertex<'w>,
    pub(super) slot: usize,
}

/// The nodes by their ids.
#[derive(Debug)]
pub(super) struct Graph<'w> {
    nodes: Vec<Vertex<'w>>,
    by_id: HashMap<&'w str, usize>,
}

impl<'w> Graph<'w> {
    pub(super) fn of(workflow: &'w Workflow, facts: &'w NodeFacts) -> Self {
        let nodes: Vec<Vertex<'w>> = workflow
            .nodes()
            .filter_map(|node| {
                let class = node.class_type()?;
                Some(Vertex {
                    id: node.id,
                    class,
                    inputs: node.inputs()?,
                    known: facts.class(class),
                })
            })
            .collect();
        let by_id = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (node.id, index))
            .collect();
        Self { nodes, by_id }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = Vertex<'w>> + '_ {
        self.nodes.iter().copied()
    }

    /// The links of a node, in the order of its inputs.
    pub(super) fn links(&self, node: Vertex<'w>) -> impl Iterator<Item = Link<'w>> + '_ {
        node.inputs.iter().filter_map(|(input, value)| {
            let (id, slot) = target(value)?;
            let from = self.nodes[*self.by_id.get(id)?];
            Some(Link { input, from, slot })
        })
    }

    /// The link of one input.
    pub(super) fn link(&self, node: Vertex<'w>, input: &str) -> Option<Link<'w>> {
        self.links(node).find(|link| link.input == input)
    }

    /// The first link that carries this.
    pub(super) fn carrying(&self, node: Vertex<'w>, cargo: Cargo) -> Option<Link<'w>> {
        self.links(node).find(|link| link.carries(cargo))
    }

    /// A node and all from which this comes to it.
    pub(super) fn upstream(&self, from: Vertex<'w>, cargo: &[Cargo]) -> Vec<Vertex<'w>> {
        let mut seen = HashSet::from([from.id]);
        let mut found = vec![from];
        let mut next = 0;
        while let Some(node) = found.get(next).copied() {
            next += 1;
            for link in self.links(node) {
                let carries = cargo.iter().any(|cargo| link.carries(*cargo));
                if carries && seen.insert(link.from.id) {
                    found.push(link.from);
                }
            }
        }
        found
    }

    /// A number, written there or in the node that it is linked to.
    pub(super) fn number(&self, node: Vertex<'w>, input: &str) -> Option<f64> {
        self.number_within(node, input, NUMBER_DEPTH)
    }

    fn number_within(&self, node: Vertex<'w>, input: &str, depth: usize) -> Option<f64> {
        let value = node.inputs.get(input)?;
        if let Some(number) = value.as_f64() {
            return Some(number);
        }
        let depth = depth.checked_sub(1)?;
        let from = self.link(node, input)?.from;
        // A constant has one number, whatever it is called; what is reckoned from links is none.
        if from.inputs.values().any(Value::is_array) && !from.inputs.contains_key("value") {
            return None;
        }
        let mut numbers = from.inputs.iter().filter(|(_, value)| value.is_number());
        let (name, _) = match (numbers.next(), numbers.next()) {
            (Some(only), None) => only,
            (None, _) => from.inputs.get_key_value("value")?,
            _ => return None,
        };
        self.number_within(from, name, depth)
    }
}

/// What a link may carry, as far as memory is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cargo {
    Model,
    Guider,
    Clip,
    Vae,
    Vision,
    Control,
    Conditioning,
    Latent,
    Picture,
    Upscaler,
    LatentUpscaler,
}

impl Cargo {
    /// Of a type, by its name; custom nodes have types of their own for the same things.
    fn of_type(name: &str) -> Option<Self> {
        Some(match name {
            "GUIDER" => Self::Guider,
            "CLIP" => Self::Clip,
            "VAE" => Self::Vae,
            "CLIP_VISION" => Self::Vision,
            "CONTROL_NET" => Self::Control,
            "CONDITIONING" => Self::Conditioning,
            "LATENT" => Self::Latent,
            "IMAGE" | "VIDEO" | "AUDIO" => Self::Picture,
            "UPSCALE_MODEL" => Self::Upscaler,
            "LATENT_UPSCALE_MODEL" => Self::LatentUpscaler,
            "MODEL" => Self::Model,
            other if other.contains("VAE") => Self::Vae,
            other if other.contains("TEXTENCODER") || other.contains("T5") => Self::Clip,
            other if other.contains("VISION") || other.contains("EMBED") => return None,
            other if other.contains("MODEL") => Self::Model,
            _ => return None,
        })
    }

    /// Of an input, by its name, where nothing is known of the class that gives it.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let has = |part: &str| name.contains(part);
        Some(match () {
            () if has("upscale_model") => Self::Upscaler,
            () if has("guider") => Self::Guider,
            () if has("vae") => Self::Vae,
            () if has("clip_vision") => Self::Vision,
            () if has("clip") || has("t5") || has("text_encoder") => Self::Clip,
            () if has("control_net") || has("controlnet") => Self::Control,
            () if has("positive") || has("negative") || has("conditioning") => Self::Conditioning,
            () if has("latent") || has("samples") => Self::Latent,
            () if has("model") || has("unet") => Self::Model,
            () if has("image") || has("pixels") || has("frames") => Self::Picture,
            () => return None,
        })
    }
}

impl Link<'_> {
    /// Whether this is what it carries.
    pub(super) fn carries(&self, cargo: Cargo) -> bool {
        let found = match self.from.known {
            Some(known) => known
                .outputs()
                .get(self.slot)
                .and_then(|output| output.io_type().members().find_map(Cargo::of_type)),
            None => Cargo::of_name(self.input),
        };
        found == Some(cargo)
    }
}

impl Vertex<'_> {
    /// Whether an output gives this.
    pub(super) fn gives(&self, cargo: Cargo) -> bool {
        if let Some(known) = self.known {
            let mut types = known
                .outputs()
                .iter()
                .flat_map(|output| output.io_type().members());
            return types.any(|name| Cargo::of_type(name) == Some(cargo));
        }
        let class = self.class;
        match cargo {
            Cargo::Latent => class.contains("Latent") || class.contains("Sampler"),
            Cargo::Picture => class.contains("Decode"),
            Cargo::Conditioning => class.contains("TextEncode"),
            _ => false,
        }
    }

    /// A text that is written there.
    pub(super) fn text(&self, input: &str) -> Option<&str> {
        self.inputs.get(input)?.as_str()
    }
}

fn target(value: &Value) -> Option<(&str, usize)> {
    let [id, slot] = value.as_array()?.as_slice() else {
        return None;
    };
    Some((id.as_str()?, usize::try_from(slot.as_u64()?).ok()?))
}
