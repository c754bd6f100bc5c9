//! From the samplers to what sets them.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::graph::{Graph, Source};
use super::role::Role;
use super::text::{Conditioning, Edge, Side, Walk, prompt_inputs};
use crate::comfy::Workflow;
use crate::comfy::nodes::{NodeFacts, model_folder};

/// How many nodes may stand on a chain.
const DEPTH: usize = 64;

/// What the names of model files end in.
const MODEL_ENDINGS: [&str; 7] = [
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pth",
    ".bin",
    ".gguf",
];

const SEEDS: [&str; 2] = ["noise_seed", "seed"];

const FRAMES: [&str; 5] = [
    "length",
    "video_frames",
    "num_frames",
    "frames",
    "frames_number",
];

/// A place where a value is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// The node.
    pub node_id: String,
    /// Its input.
    pub input: String,
    /// What is written there; a link if it is computed elsewhere.
    pub value: Value,
    /// The node and input that take the value, if it is written upstream of them.
    pub feeds: Option<(String, String)>,
    /// Spots of one group are set together, such as the two texts of one encoder.
    pub(super) group: usize,
}

impl Spot {
    pub(super) fn new(id: &str, input: &str, value: &Value) -> Self {
        Self {
            node_id: id.to_owned(),
            input: input.to_owned(),
            value: value.clone(),
            feeds: None,
            group: 0,
        }
    }

    pub(super) fn behind(mut self, id: &str, input: &str) -> Self {
        self.feeds = Some((id.to_owned(), input.to_owned()));
        self
    }

    pub(super) fn is_at(&self, other: &Self) -> bool {
        self.node_id == other.node_id && self.input == other.input
    }

    pub(super) fn says_something(&self) -> bool {
        match self.value.as_str() {
            Some(text) => !text.trim().is_empty(),
            None => true,
        }
    }

    /// `node_id.input`
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.node_id, self.input)
    }
}

/// What is set where in a workflow.
#[derive(Clone, Debug, Default)]
pub struct Anatomy {
    pub(super) spots: BTreeMap<Role, Vec<Spot>>,
    /// Step numbers at which samplers begin and end, in terms of all steps.
    pub(super) marks: Vec<Spot>,
    /// The inputs that take the positive and the negative side from an encoder, by encoder.
    pub(super) edges: BTreeMap<String, [HashSet<Edge>; 2]>,
    /// Why a role has no place, where that is known.
    pub(super) reasons: BTreeMap<Role, String>,
}

impl Anatomy {
    /// Follows the links of a workflow. Facts that lack some of its classes merely show less.
    #[must_use]
    pub fn of(workflow: &Workflow, facts: &NodeFacts) -> Self {
        let graph = Graph::new(workflow, facts);
        let mut trace = Trace {
            anatomy: Self::default(),
            groups: 0,
            graph: &graph,
        };
        trace.run();
        trace.anatomy
    }

    /// The places of a role, the most important first.
    #[must_use]
    pub fn spots(&self, role: Role) -> &[Spot] {
        self.spots.get(&role).map_or(&[], Vec::as_slice)
    }

    /// The value of a role where it counts most.
    #[must_use]
    pub fn value(&self, role: Role) -> Option<&Value> {
        self.spots(role).first().map(|spot| &spot.value)
    }

    /// What the workflow has and is: `{"seed": {"value": 42, "at": ["3.seed"]}, ...}`; with
    /// `others` where further nodes have other values.
    #[must_use]
    pub fn settings(&self) -> Value {
        let mut settings = Map::new();
        for role in Role::all() {
            let Some((first, rest)) = self.spots(role).split_first() else {
                continue;
            };
            let alike = |spot: &&Spot| spot.group == first.group || spot.value == first.value;
            let (same, others): (Vec<&Spot>, Vec<&Spot>) = rest.iter().partition(alike);
            let at: Vec<String> = [first].into_iter().chain(same).map(Spot::path).collect();
            let mut told = json!({ "value": first.value, "at": at });
            if !others.is_empty() {
                let others = others.iter();
                told["others"] = others
                    .map(|spot| (spot.path(), spot.value.clone()))
                    .collect::<Map<_, _>>()
                    .into();
            }
            settings.insert(role.as_str().to_owned(), told);
        }
        settings.into()
    }

    /// `seed (3.seed)`, for each role that has a place.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let told = self.spots.iter().filter_map(|(role, spots)| {
            Some(format!("{} ({})", role.as_str(), spots.first()?.path()))
        });
        told.collect()
    }
}

struct Trace<'g, 'a> {
    anatomy: Anatomy,
    groups: usize,
    graph: &'g Graph<'a>,
}

impl<'a> Trace<'_, 'a> {
    fn run(&mut self) {
        let samplers = self.samplers();
        for sampler in &samplers {
            self.sampler(sampler);
        }
        if samplers.is_empty() {
            let makers: Vec<&str> = self.graph.nodes().map(|node| node.id).collect();
            for id in makers {
                self.maker_of_media(id);
            }
        }
        self.uploads();
    }

    /// The samplers that run, the one from which the others go on first.
    fn samplers(&self) -> Vec<&'a str> {
        let ids = self.graph.nodes().map(|node| node.id);
        let found: Vec<&str> = ids.filter(|id| self.is_sampler(id)).collect();
        let mut ordered: Vec<(usize, &str)> = found
            .iter()
            .map(|id| {
                let upstream = self.graph.upstream(id);
                (
                    found
                        .iter()
                        .filter(|other| upstream.contains(*other))
                        .count(),
                    *id,
                )
            })
            .collect();
        ordered.sort_by_key(|(before, _)| *before);
        ordered.into_iter().map(|(_, id)| id).collect()
    }

    /// Something that takes a guider, or conditioning together with what steers sampling, and
    /// makes latents or media of it.
    fn is_sampler(&self, id: &str) -> bool {
        let graph = self.graph;
        let is_guider = match graph.class(id) {
            Some(class) => class.outputs().iter().any(|out| out.io_type().is("GUIDER")),
            None => graph.is_used_as(id, "guider"),
        };
        if is_guider {
            return false;
        }
        if !graph.links_of(id, "GUIDER").is_empty() {
            return true;
        }
        let gives = graph.class(id).is_none_or(|class| {
            let mut types = class.outputs().iter().map(|out| out.io_type().name());
            types.any(|ty| matches!(ty, "LATENT" | "IMAGE" | "VIDEO" | "AUDIO"))
        });
        let conditioned = !graph.links_of(id, "CONDITIONING").is_empty()
            || graph.input(id, "text_embeds").is_some();
        let steered = ["steps", "sigmas", "sampler_name", "sampler"]
            .iter()
            .chain(&SEEDS)
            .any(|name| graph.input(id, name).is_some());
        gives && conditioned && steered
    }

    fn note(&mut self, role: Role, spot: Option<Spot>) {
        let group = self.next_group();
        self.note_all(role, spot, group);
    }

    fn next_group(&mut self) -> usize {
        self.groups += 1;
        self.groups
    }

    fn note_all(&mut self, role: Role, spots: impl IntoIterator<Item = Spot>, group: usize) {
        let known = self.anatomy.spots.entry(role).or_default();
        for mut spot in spots {
            if !known
                .iter()
                .any(|other| other.is_at(&spot) && other.feeds == spot.feeds)
            {
                spot.group = group;
                known.push(spot);
            }
        }
        if known.is_empty() {
            self.anatomy.spots.remove(&role);
        }
    }

    fn note_input(&mut self, role: Role, id: &str, input: &str) {
        let spot = self.graph.spot(id, input);
        self.note(role, spot);
    }

    fn first_input(&mut self, role: Role, id: &str, inputs: &[&str]) {
        if let Some(input) = inputs
            .iter()
            .find(|input| self.graph.input(id, input).is_some())
        {
            self.note_input(role, id, input);
        }
    }

    fn sampler(&mut self, id: &'a str) {
        let guiders = self.makers_of(id, "GUIDER");
        let heads: Vec<&str> = [id].into_iter().chain(guiders).collect();
        self.first_input(Role::Seed, id, &SEEDS);
        for noise in self.makers_of(id, "NOISE") {
            self.first_input(Role::Seed, noise, &SEEDS);
        }
        self.schedule(id);
        self.first_input(Role::Sampler, id, &["sampler_name"]);
        for method in self.makers_of(id, "SAMPLER") {
            self.first_input(Role::Sampler, method, &["sampler_name"]);
        }
        let mut sides = [Conditioning::default(), Conditioning::default()];
        for side in [Side::Positive, Side::Negative] {
            sides[side as usize] = self.side(&heads, side);
        }
        self.texts(&sides);
        self.strength_of_prompt(&heads, &sides[0]);
        for head in &heads {
            for link in self.graph.links_of(head, "MODEL") {
                self.model(head, link, &mut HashSet::new(), DEPTH);
            }
            if self.graph.link(head, "model").is_some() {
                self.model(head, "model", &mut HashSet::new(), DEPTH);
            }
        }
        self.canvas(id);
        self.sizes_beside(&heads, &sides);
    }

    fn makers_of(&self, id: &str, ty: &str) -> Vec<&'a str> {
        let inputs = self.graph.links_of(id, ty);
        let makers = inputs.iter().flat_map(|input| self.graph.makers(id, input));
        makers.map(|maker| maker.id).collect()
    }

    /// Steps, scheduler and denoise: in the sampler, or in what makes its noise levels.
    fn schedule(&mut self, sampler: &'a str) {
        let mut open: Vec<&str> = vec![sampler];
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) || seen.len() > DEPTH {
                continue;
            }
            for mark in ["start_at_step", "end_at_step", "step"] {
                if id == sampler || mark == "step" {
                    self.anatomy.marks.extend(self.graph.spot(id, mark));
                }
            }
            let before = self.makers_of(id, "SIGMAS");
            if before.is_empty() {
                self.first_input(Role::Steps, id, &["steps"]);
                self.first_input(Role::Scheduler, id, &["scheduler"]);
                self.first_input(Role::Denoise, id, &["denoise"]);
            }
            open.extend(before);
        }
    }

    fn side(&self, heads: &[&'a str], side: Side) -> Conditioning {
        let mut walk = Walk {
            graph: self.graph,
            found: Conditioning::default(),
            seen: HashSet::new(),
        };
        for head in heads {
            let mut inputs = self.graph.links_of(head, "CONDITIONING");
            if self.graph.link(head, "text_embeds").is_some() && !inputs.contains(&"text_embeds") {
                inputs.push("text_embeds");
            }
            for input in inputs {
                let is_side = Side::of(input).unwrap_or(Side::Positive) == side;
                if is_side && !input.starts_with("empty") {
                    walk.input(head, input, side);
                }
            }
        }
        walk.found
    }

    fn texts(&mut self, sides: &[Conditioning; 2]) {
        let roles = [Role::Prompt, Role::NegativePrompt];
        for (at, role) in roles.into_iter().enumerate() {
            for encoder in &sides[at].encoders {
                let group = self.next_group();
                self.note_all(role, encoder.texts.clone(), group);
                let edges = self.anatomy.edges.entry(encoder.id.clone()).or_default();
                edges[at].insert(encoder.edge.clone());
                self.first_input(Role::Seed, &encoder.id, &SEEDS);
            }
            let group = self.next_group();
            self.note_all(roles[1 - at], sides[at].other_side.clone(), group);
            if let Some(id) = sides[at].emptied_by.first() {
                let reason = format!("node {id} ({}) empties it", self.graph.class_type(id));
                self.anatomy.reasons.entry(role).or_insert(reason);
            } else if at == 1 && sides[1].nodes.is_empty() {
                let reason = "nothing negative leads to the sampler".to_owned();
                self.anatomy.reasons.entry(role).or_insert(reason);
            }
        }
    }

    /// Cfg and guidance. Models that are told their guidance as a number run with a cfg of 1, so
    /// there that number is what a caller means by cfg.
    fn strength_of_prompt(&mut self, heads: &[&str], positive: &Conditioning) {
        for id in &positive.nodes {
            self.first_input(Role::Guidance, id, &["guidance"]);
        }
        let is_cfg = |name: &str| name.starts_with("cfg") || name.ends_with("_cfg");
        let mut cfg: Vec<Spot> = Vec::new();
        for head in heads {
            let inputs = self.graph.node(head).and_then(|node| node.inputs());
            let names = inputs.into_iter().flatten().map(|(name, _)| name);
            cfg.extend(
                names
                    .filter(|name| is_cfg(name))
                    .filter_map(|name| self.graph.spot(head, name)),
            );
        }
        let neutral = |spot: &Spot| spot.value.as_f64() == Some(1.0);
        let guidance = self.anatomy.spots(Role::Guidance).to_vec();
        if !guidance.is_empty() && cfg.iter().all(neutral) {
            cfg = guidance;
        }
        for spot in cfg {
            self.note(Role::Cfg, Some(spot));
        }
    }

    /// The file that is loaded at the beginning of a chain of models, and the `LoRA`s on it.
    fn model(&mut self, id: &str, input: &str, seen: &mut HashSet<&'a str>, depth: usize) {
        for maker in self.graph.makers(id, input) {
            if depth == 0 || !seen.insert(maker.id) {
                continue;
            }
            let mut before = self.graph.links_of(maker.id, "MODEL");
            before.retain(|name| !name.contains("lora"));
            let files: Vec<&str> = self.files(maker.id).collect();
            for file in files {
                let is_lora = file.contains("lora");
                if is_lora || before.is_empty() {
                    let role = if is_lora { Role::Lora } else { Role::Model };
                    self.note_input(role, maker.id, file);
                }
            }
            for name in before {
                self.model(maker.id, name, seen, depth - 1);
            }
        }
    }

    /// The inputs of a node that name model files.
    fn files(&self, id: &str) -> impl Iterator<Item = &'a str> {
        let class = self.graph.class_type(id);
        self.graph.literals(id).filter_map(move |(name, value)| {
            let file = value.as_str()?.to_lowercase();
            let is_file = model_folder(class, name).is_some()
                || MODEL_ENDINGS.iter().any(|ending| file.ends_with(ending));
            is_file.then_some(name)
        })
    }

    /// Size, frames and batch: where the latents begin, or the picture that they are made from.
    fn canvas(&mut self, sampler: &'a str) {
        let mut seen = HashSet::new();
        for input in self.graph.links_of(sampler, "LATENT") {
            for maker in self.graph.makers(sampler, input) {
                self.canvas_from(maker, &mut seen, DEPTH);
            }
        }
        if self.graph.links_of(sampler, "LATENT").is_empty() {
            self.size_of(sampler);
        }
    }

    fn canvas_from(&mut self, maker: Source<'a>, seen: &mut HashSet<&'a str>, depth: usize) {
        let id = maker.id;
        if depth == 0 || !seen.insert(id) {
            return;
        }
        let latents = self.graph.links_of(id, "LATENT");
        if !latents.is_empty() && !self.is_sampler(id) {
            for input in &latents {
                for before in self.graph.makers(id, input) {
                    self.canvas_from(before, seen, depth - 1);
                }
            }
        } else if !self.is_sampler(id) && !self.has_size(id) {
            // Encoded from a picture: its size is set by what scales that.
            for input in self.graph.links_of(id, "IMAGE") {
                for before in self.graph.makers(id, input) {
                    self.canvas_from(before, seen, depth - 1);
                }
            }
        }
        self.size_of(id);
    }

    fn has_size(&self, id: &str) -> bool {
        ["width", "height"]
            .iter()
            .all(|name| self.graph.input(id, name).is_some())
    }

    fn size_of(&mut self, id: &str) {
        if self.has_size(id) {
            self.note_input(Role::Width, id, "width");
            self.note_input(Role::Height, id, "height");
        }
        self.first_input(Role::Frames, id, &FRAMES);
        self.first_input(Role::BatchSize, id, &["batch_size"]);
    }

    /// Nodes that are told the size too and have to agree: some schedulers, model patches and
    /// text encoders.
    fn sizes_beside(&mut self, heads: &[&'a str], sides: &[Conditioning; 2]) {
        let mut beside: Vec<String> = sides.iter().flat_map(|side| side.nodes.clone()).collect();
        for head in heads {
            for ty in ["SIGMAS", "MODEL"] {
                let mut open = self.makers_of(head, ty);
                let mut seen = HashSet::new();
                while let Some(id) = open.pop() {
                    if seen.insert(id) {
                        beside.push(id.to_owned());
                        open.extend(self.makers_of(id, ty));
                    }
                }
            }
        }
        let size = [Role::Width, Role::Height].map(|role| self.anatomy.value(role).cloned());
        let [Some(width), Some(height)] = size else {
            return;
        };
        for id in beside {
            for prefix in ["", "target_"] {
                let [across, down] = [format!("{prefix}width"), format!("{prefix}height")];
                let (one, other) = (self.graph.spot(&id, &across), self.graph.spot(&id, &down));
                let agrees = one.as_ref().is_some_and(|spot| spot.value == width)
                    && other.as_ref().is_some_and(|spot| spot.value == height);
                if agrees {
                    self.note(Role::Width, one);
                    self.note(Role::Height, other);
                }
            }
        }
    }

    /// A node that makes media by itself, such as one that calls a service.
    fn maker_of_media(&mut self, id: &'a str) {
        let makes = self.graph.class(id).is_none_or(|class| {
            let mut types = class.outputs().iter().map(|out| out.io_type().name());
            types.any(|ty| matches!(ty, "IMAGE" | "VIDEO" | "AUDIO" | "LATENT"))
        });
        let words = prompt_inputs(self.graph, id);
        if makes && !words.is_empty() {
            for name in words {
                let role = match Side::of(name) {
                    Some(Side::Negative) => Role::NegativePrompt,
                    _ => Role::Prompt,
                };
                let text = self.graph.texts(id, name).into_iter().next();
                self.note(role, text);
            }
            self.first_input(Role::Model, id, &["model", "model_name"]);
        }
        if makes {
            self.first_input(Role::Seed, id, &SEEDS);
            self.first_input(Role::Steps, id, &["steps"]);
            self.first_input(Role::Cfg, id, &["cfg", "cfg_scale", "guidance_scale"]);
            self.first_input(Role::Guidance, id, &["guidance"]);
            self.size_of(id);
        }
    }

    /// The pictures, clips and sounds that go in.
    fn uploads(&mut self) {
        let nodes: Vec<&str> = self.graph.nodes().map(|node| node.id).collect();
        for id in nodes {
            let class = self.graph.class(id);
            let names: Vec<&str> = self
                .graph
                .literals(id)
                .map(|(name, _)| name)
                .filter(|name| {
                    let declared = class.and_then(|class| class.input(name));
                    match declared {
                        Some(input) => input.is_upload(),
                        None => {
                            matches!(*name, "image" | "video" | "audio")
                                && self.graph.class_type(id).starts_with("Load")
                        }
                    }
                })
                .collect();
            for name in names {
                self.note_input(Role::Image, id, name);
            }
        }
    }
}
