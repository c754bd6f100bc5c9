//! A workflow as a graph whose links have types.

use std::collections::HashSet;

use serde_json::Value;

use crate::comfy::nodes::{NodeClass, NodeFacts};
use crate::comfy::{Node, Workflow};

/// Where a link comes from: a node and one of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source<'a> {
    pub(super) id: &'a str,
    pub(super) slot: usize,
}

/// A workflow with what is known of its classes.
#[derive(Clone)]
pub(super) struct Graph<'a> {
    workflow: &'a Workflow,
    facts: &'a NodeFacts,
    live: HashSet<&'a str>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(workflow: &'a Workflow, facts: &'a NodeFacts) -> Self {
        let mut graph = Self {
            workflow,
            facts,
            live: HashSet::new(),
        };
        graph.live = graph.live();
        graph
    }

    /// What leads to an output node: the server runs nothing else. If no class is known to be
    /// one, everything may run.
    fn live(&self) -> HashSet<&'a str> {
        let outputs = self.workflow.nodes().map(|node| node.id);
        let mut open: Vec<&str> = outputs
            .filter(|id| self.class(id).is_some_and(NodeClass::is_output_node))
            .collect();
        if open.is_empty() {
            return self.workflow.nodes().map(|node| node.id).collect();
        }
        let mut live = HashSet::new();
        while let Some(id) = open.pop() {
            if live.insert(id) {
                open.extend(self.links(id).map(|(_, source)| source.id));
            }
        }
        live
    }

    /// The nodes that run, in the workflow's order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        let running = self.workflow.nodes();
        running.filter(|node| self.live.contains(node.id))
    }

    pub(super) fn node(&self, id: &str) -> Option<Node<'a>> {
        self.workflow.node(id)
    }

    pub(super) fn class(&self, id: &str) -> Option<&'a NodeClass> {
        self.facts.class(self.node(id)?.class_type()?)
    }

    pub(super) fn class_type(&self, id: &str) -> &'a str {
        let class = self.node(id).and_then(|node| node.class_type());
        class.unwrap_or_default()
    }

    pub(super) fn input(&self, id: &str, name: &str) -> Option<&'a Value> {
        self.node(id)?.inputs()?.get(name)
    }

    /// The value of an input, unless it is a link.
    pub(super) fn literal(&self, id: &str, name: &str) -> Option<&'a Value> {
        let value = self.input(id, name)?;
        self.as_link(value).is_none().then_some(value)
    }

    /// All inputs that are written out, with their values.
    pub(super) fn literals(&self, id: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let inputs = self.node(id).and_then(|node| node.inputs());
        let all = inputs.into_iter().flatten();
        all.filter(|(_, value)| self.as_link(value).is_none())
            .map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn link(&self, id: &str, name: &str) -> Option<Source<'a>> {
        self.as_link(self.input(id, name)?)
    }

    /// All inputs that come from other nodes.
    pub(super) fn links(&self, id: &str) -> impl Iterator<Item = (&'a str, Source<'a>)> {
        let inputs = self.node(id).and_then(|node| node.inputs());
        let all = inputs.into_iter().flatten();
        all.filter_map(|(name, value)| Some((name.as_str(), self.as_link(value)?)))
    }

    /// The inputs that come from other nodes and are of a type, in the node's order.
    pub(super) fn links_of(&self, id: &str, ty: &str) -> Vec<&'a str> {
        self.links(id)
            .filter(|(name, _)| self.type_of(id, name) == ty)
            .map(|(name, _)| name)
            .collect()
    }

    /// A list of the id of a node that there is, as text, and the number of one of its outputs.
    fn as_link(&self, value: &'a Value) -> Option<Source<'a>> {
        let [id, slot] = value.as_array()?.as_slice() else {
            return None;
        };
        let slot = usize::try_from(slot.as_u64()?).ok()?;
        let id = self.node(id.as_str()?)?.id;
        Some(Source { id, slot })
    }

    /// What an input takes: by its declaration, else by what comes in, else by its name.
    pub(super) fn type_of(&self, id: &str, name: &'a str) -> &'a str {
        let class = self.class(id);
        let declared = class.and_then(|class| class.input(name.split('.').next()?));
        let declared = declared.map(|input| input.io_type().name());
        if let Some(ty) = declared.filter(|ty| is_telling(ty)) {
            return ty;
        }
        let comes_in = self.link(id, name).and_then(|source| self.output(source));
        comes_in.unwrap_or_else(|| guess(name))
    }

    /// What an output gives, if that is known and definite.
    fn output(&self, source: Source<'_>) -> Option<&'a str> {
        let output = self.class(source.id)?.outputs().get(source.slot)?;
        Some(output.io_type().name()).filter(|ty| is_telling(ty))
    }

    /// The nodes that make what comes in, past those that merely pass it on: reroutes, and
    /// switches, of which only the chosen side counts.
    pub(super) fn makers(&self, id: &str, name: &str) -> Vec<Source<'a>> {
        let mut makers = Vec::new();
        let mut seen = HashSet::new();
        let mut open: Vec<Source<'a>> = self.link(id, name).into_iter().collect();
        while let Some(source) = open.pop() {
            if !seen.insert(source) {
                continue;
            }
            let through = self.passed_on(source);
            if through.is_empty() {
                makers.push(source);
            }
            open.extend(through.into_iter().rev());
        }
        makers
    }

    fn passed_on(&self, source: Source<'a>) -> Vec<Source<'a>> {
        let class = self.class(source.id);
        let output = class.and_then(|class| class.outputs().get(source.slot));
        let passes = match output {
            Some(output) => !is_telling(output.io_type().name()),
            None => self.class_type(source.id).contains("Reroute"),
        };
        if !passes {
            return Vec::new();
        }
        let chosen = self.literal(source.id, "switch").and_then(Value::as_bool);
        let side = chosen.map(|on| if on { "on_true" } else { "on_false" });
        self.links(source.id)
            .filter(|(name, _)| side.is_none_or(|side| *name == side))
            .map(|(_, source)| source)
            .collect()
    }

    /// All nodes upstream of one, itself among them.
    pub(super) fn upstream(&self, id: &'a str) -> HashSet<&'a str> {
        let mut seen = HashSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.links(id).map(|(_, source)| source.id));
            }
        }
        seen
    }

    /// Whether some node takes what this one gives as its guider.
    pub(super) fn is_used_as(&self, id: &str, input: &str) -> bool {
        let mut nodes = self.workflow.nodes();
        nodes.any(|node| {
            self.link(node.id, input)
                .is_some_and(|source| source.id == id)
        })
    }
}

fn is_telling(ty: &str) -> bool {
    !matches!(ty, "*" | "COMFY_MATCHTYPE_V3" | "COMFY_AUTOGROW_V3") && !ty.contains(',')
}

/// The type that inputs of this name have in all families of nodes.
fn guess(name: &str) -> &'static str {
    let name = name.to_lowercase();
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if starts(&["positive", "negative", "cond", "text_embeds"]) {
        "CONDITIONING"
    } else if starts(&["latent", "samples"]) {
        "LATENT"
    } else if starts(&["image", "pixels", "start_image", "end_image"]) {
        "IMAGE"
    } else if starts(&["model", "unet"]) {
        "MODEL"
    } else {
        match name.as_str() {
            "guider" => "GUIDER",
            "sigmas" => "SIGMAS",
            "noise" => "NOISE",
            "sampler" => "SAMPLER",
            "clip" => "CLIP",
            "vae" => "VAE",
            "text" | "prompt" | "string" => "STRING",
            _ => "",
        }
    }
}
