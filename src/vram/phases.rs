//! What one node does with a card, read off its links.

use std::collections::HashSet;

use super::graph::{Cargo, Graph, Link, Vertex};
use super::header::Part;
use super::plan::{Loaded, Phase, PhaseKind, Tile, loads};
use crate::comfy::nodes::NodeClass;

impl<'w> Graph<'w> {
    /// What a node does with a card.
    pub(super) fn phases(&self, node: Vertex<'w>) -> Vec<Phase> {
        let takes = |cargo: Cargo| self.carrying(node, cargo).is_some();
        let mut phases = Vec::new();
        let samples = node.gives(Cargo::Latent) || node.class.contains("Sampler");
        if samples && (takes(Cargo::Model) || takes(Cargo::Guider)) {
            phases.push(self.sampling(node));
        }
        if takes(Cargo::Clip) && node.gives(Cargo::Conditioning) {
            phases.push(self.phase(PhaseKind::TextEncode, node, Cargo::Clip, Part::Text));
        }
        if takes(Cargo::Vision) && !node.gives(Cargo::Latent) {
            phases.push(self.phase(PhaseKind::VisionEncode, node, Cargo::Vision, Part::Whole));
        }
        if takes(Cargo::Upscaler) {
            let mut phase = self.phase(PhaseKind::Upscale, node, Cargo::Upscaler, Part::Whole);
            phase.work = self
                .carrying(node, Cargo::Picture)
                .and_then(|link| self.picture(link));
            phase.enlarges = self.upscaling(node);
            phases.push(phase);
        }
        if takes(Cargo::LatentUpscaler) {
            let kind = PhaseKind::LatentUpscale;
            let mut phase = self.phase(kind, node, Cargo::LatentUpscaler, Part::Whole);
            phase.work = self
                .carrying(node, Cargo::Latent)
                .and_then(|link| self.latent(link));
            phases.push(phase);
        } else if takes(Cargo::Vae) {
            phases.extend(self.with_vae(node));
        }
        phases
    }

    fn phase(&self, kind: PhaseKind, node: Vertex<'w>, cargo: Cargo, part: Part) -> Phase {
        Phase {
            nodes: vec![node.id.to_owned()],
            files: self.files(node, &[cargo], part),
            custom: node.known.is_none_or(NodeClass::is_custom),
            ..Phase::new(kind)
        }
    }

    /// The files of the nodes from which this comes.
    fn files(&self, node: Vertex<'w>, cargo: &[Cargo], part: Part) -> Vec<Loaded> {
        let mut files: Vec<Loaded> = Vec::new();
        for source in self.upstream(node, cargo).into_iter().skip(1) {
            for file in loads(source).0 {
                let part = match file.folder {
                    "checkpoints" | "diffusion_models" | "text_encoders" | "vae" => part,
                    _ => Part::Whole,
                };
                let file = Loaded { part, ..file };
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        files
    }

    fn sampling(&self, node: Vertex<'w>) -> Phase {
        let models = [Cargo::Model, Cargo::Guider];
        let mut phase = self.phase(PhaseKind::Sample, node, Cargo::Model, Part::Model);
        phase.files = self.files(node, &models, Part::Model);
        let heads: Vec<Vertex<'w>> = self.upstream(node, &[Cargo::Guider]);
        for head in &heads {
            match self.is_guided(*head) {
                Ok(true) => phase.sides = 2.0,
                Ok(false) => {}
                Err(input) => {
                    phase.sides = 2.0;
                    phase.notes.push(format!(
                        "{input} of node {}, which another node reckons: two sides of a guidance are assumed",
                        head.id
                    ));
                }
            }
        }
        let one_sided = phase.sides < 2.0;
        let told = heads.iter().flat_map(|head| self.links(*head));
        phase.references = told
            .filter(|link| link.carries(Cargo::Conditioning))
            .filter(|link| !(one_sided && link.input.contains("negative")))
            .map(|link| self.seen(link))
            .collect();
        let mut asks = vec![Cargo::Conditioning, Cargo::Guider];
        asks.push(Cargo::Control);
        for file in self.files(node, &asks, Part::Whole) {
            if file.folder == "controlnet" {
                phase.files.push(file);
            }
        }
        let latent = self
            .carrying(node, Cargo::Latent)
            .or_else(|| self.link(node, "image_embeds"));
        phase.unread = latent.map_or_else(Vec::new, |link| self.unread(link));
        if !phase.unread.is_empty() {
            return phase;
        }
        phase.work = latent
            .and_then(|link| self.latent(link))
            .or_else(|| self.written(node));
        phase
    }

    /// Whether a sampler or a guider works on two sides of a guidance; the input that would tell, if
    /// its number can't be read.
    fn is_guided(&self, node: Vertex<'w>) -> Result<bool, &'static str> {
        let inputs = ["cfg", "cfg_conds", "cfg_cond2_negative"];
        let mut there = inputs
            .into_iter()
            .filter(|name| node.inputs.contains_key(*name));
        there.try_fold(false, |guided, name| {
            let cfg = self.number(node, name).ok_or(name)?;
            Ok(guided || (cfg - 1.0).abs() > f64::EPSILON)
        })
    }

    /// Millions of pixels of the reference pictures of one side of a guidance.
    fn seen(&self, side: Link<'w>) -> f64 {
        let mut known = HashSet::from([(side.from.id, side.slot)]);
        let mut next = vec![side];
        let mut sum = 0.0;
        while let Some(Link { from, slot, .. }) = next.pop() {
            sum += self.references(from);
            // What takes both sides gives both, in that order.
            let of_side = ["positive", "negative"].get(slot).copied();
            let both =
                self.link(from, "positive").is_some() && self.link(from, "negative").is_some();
            let sources = self.links(from).filter(|link| {
                link.carries(Cargo::Conditioning) && (!both || of_side == Some(link.input))
            });
            next.extend(sources.filter(|link| known.insert((link.from.id, link.slot))));
        }
        sum
    }

    /// How many millions of pixels a node adds to those that a sampler looks at. Encoders of
    /// instructions bring each picture to about one.
    fn references(&self, node: Vertex<'w>) -> f64 {
        match node.class {
            "ReferenceLatent" => {
                let work = self
                    .carrying(node, Cargo::Latent)
                    .and_then(|link| self.latent(link));
                work.map_or(1.0, |work| work.width * work.height / 1_048_576.0)
            }
            "TextEncodeQwenImageEdit" | "TextEncodeQwenImageEditPlus"
                if self.carrying(node, Cargo::Vae).is_some() =>
            {
                self.links(node)
                    .filter(|link| link.carries(Cargo::Picture))
                    .map(|_| 1.0)
                    .sum()
            }
            _ => 0.0,
        }
    }

    /// Decoding, encoding or neither: some nodes only hand an autoencoder on.
    fn with_vae(&self, node: Vertex<'w>) -> Option<Phase> {
        let latent = self.carrying(node, Cargo::Latent);
        let picture = self.carrying(node, Cargo::Picture);
        let kind = match (latent, picture) {
            (Some(_), None) if node.gives(Cargo::Picture) => PhaseKind::Decode,
            (_, Some(_)) => PhaseKind::VaeEncode,
            _ => return None,
        };
        let mut phase = self.phase(kind, node, Cargo::Vae, Part::Vae);
        let number = |name: &str| self.number(node, name);
        // The nodes for it take no smaller ones.
        let piece = number("tile_size").filter(|piece| *piece >= Tile::SMALLEST);
        phase.tile = piece.map(|side| Tile {
            side,
            frames: number("temporal_size")
                .filter(|frames| *frames >= 1.0)
                .unwrap_or(Tile::USUAL.frames),
        });
        let size = |link| {
            if kind == PhaseKind::Decode {
                self.latent(link)
            } else {
                self.picture(link)
            }
        };
        let from = if kind == PhaseKind::Decode {
            latent
        } else {
            picture
        };
        phase.work = self.written(node).or_else(|| from.and_then(size));
        Some(phase)
    }
}
