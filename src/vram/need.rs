//! What a phase needs: weights, work and what the server keeps free.

use super::extents::{any_work, area, between, latent, pictures, seen};
use super::family::{Family, Grid, families};
use super::machine::Machine;
use super::plan::{Loaded, Phase, PhaseKind, Tile};
use super::sizes::Work;
use super::vae::Vae;
use super::weights::{Scales, Source, Span};

/// By how much the server's own reckoning of work may be off (its makers call it a guess).
const WORK_OFF: f64 = 0.2;

/// By how much the work may be off where its size is a picture's: twice and half of each side.
const PICTURE_OFF: f64 = 4.0;

/// The tile to which the server goes over by itself when whole decoding runs out of memory.
const LAST_RESORT: Tile = Tile {
    side: 256.0,
    frames: f64::INFINITY,
};

/// What one phase needs, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Need {
    pub(super) kind: PhaseKind,
    pub(super) nodes: Vec<String>,
    pub(super) weights: Span,
    pub(super) work: Span,
    /// What it could do with, if there is no room: one side of the guidance after the other, or
    /// small tiles.
    pub(super) least_work: f64,
    pub(super) reserve: f64,
    pub(super) source: Source,
    /// Whether the work is reckoned for want of better knowledge.
    pub(super) work_unknown: bool,
    /// Whether it may be more than the span says: nobody knows how large what is worked on is.
    pub(super) unbounded: bool,
    /// Whether it can be done in tiles instead.
    pub(super) can_tile: bool,
}

impl Need {
    pub(super) fn total(&self) -> Span {
        let reserve = Span::about(self.reserve, 0.0);
        self.weights.plus(self.work).plus(reserve)
    }

    /// The same in the least room in which all weights can stay on the card.
    pub(super) fn least(&self) -> f64 {
        let saved = (self.work.likely - self.least_work).max(0.0);
        let kept = (Machine::LEAST_WORK - self.least_work).max(0.0);
        let more_kept = kept - (Machine::LEAST_WORK - self.work.likely).max(0.0);
        self.total().likely - saved + more_kept
    }

    pub(super) fn is_known(&self) -> bool {
        self.source != Source::Unknown && !self.work_unknown
    }
}

/// Reckons needs, and notes what had to be assumed.
pub(super) struct Reckoning<'a> {
    pub(super) scales: Scales<'a>,
    pub(super) unknown: Vec<String>,
}

impl<'a> Reckoning<'a> {
    pub(super) fn new(scales: Scales<'a>) -> Self {
        Self {
            scales,
            unknown: Vec::new(),
        }
    }

    fn machine(&self) -> &'a Machine {
        self.scales.machine
    }

    fn note(&mut self, text: String) {
        if !self.unknown.contains(&text) {
            self.unknown.push(text);
        }
    }

    /// What a phase needs; `sampled` are the phases that sample, which say what is decoded.
    pub(super) fn need(&mut self, phase: &Phase, sampled: &[&Phase]) -> Need {
        let (weights, source) = self.weights(phase);
        let mut need = Need {
            kind: phase.kind,
            nodes: phase.nodes.clone(),
            weights,
            work: Span::default(),
            least_work: 0.0,
            reserve: self.machine().reserved,
            source,
            work_unknown: false,
            unbounded: false,
            can_tile: false,
        };
        match phase.kind {
            PhaseKind::Sample => self.sampling(phase, &mut need),
            PhaseKind::Decode | PhaseKind::VaeEncode => self.with_vae(phase, sampled, &mut need),
            // The server asks for no room for the work of encoders.
            PhaseKind::TextEncode | PhaseKind::VisionEncode => {}
            PhaseKind::Upscale => upscaling(phase, &mut need),
            PhaseKind::LatentUpscale => self.latent_upscaling(phase, sampled, &mut need),
        }
        if phase.kind != PhaseKind::Upscale {
            need.reserve += (Machine::LEAST_WORK - need.work.likely).max(0.0);
        }
        need
    }

    fn weights(&mut self, phase: &Phase) -> (Span, Source) {
        let on_card = match phase.kind {
            PhaseKind::TextEncode => self.machine().text_on_card,
            PhaseKind::Decode | PhaseKind::VaeEncode => self.machine().vae_on_card,
            _ => true,
        };
        let mut all = Span::default();
        let mut worst = Source::Header;
        for file in phase.files.iter().filter(|file| on_card && !file.aside) {
            let weighed = self.scales.weigh(file);
            let span = if file.merged {
                Span {
                    low: 0.0,
                    likely: 0.0,
                    ..weighed.bytes
                }
            } else {
                worst = worst.max(weighed.source);
                weighed.bytes
            };
            if weighed.source == Source::Unknown && !file.merged {
                self.note(format!("the size of {}", file.file));
            }
            all = all.plus(span);
        }
        let nothing = phase.files.iter().all(|file| file.folder == "loras");
        if nothing && on_card {
            return self.nothing_seen(phase, all);
        }
        (all, worst)
    }

    /// A phase whose model no loader was seen to load.
    fn nothing_seen(&mut self, phase: &Phase, additions: Span) -> (Span, Source) {
        let (folder, part) = match phase.kind {
            PhaseKind::TextEncode => ("text_encoders", super::header::Part::Text),
            PhaseKind::Decode | PhaseKind::VaeEncode => ("vae", super::header::Part::Vae),
            PhaseKind::Sample => ("diffusion_models", super::header::Part::Model),
            _ => ("upscale_models", super::header::Part::Whole),
        };
        let file = Loaded {
            folder,
            file: String::new(),
            shrunk: false,
            part,
            aside: false,
            merged: false,
        };
        let nodes = phase.nodes.join(", ");
        self.note(if nodes.is_empty() {
            "which model is loaded".to_owned()
        } else {
            format!("which model node {nodes} works with")
        });
        (
            self.scales.weigh(&file).bytes.plus(additions),
            Source::Unknown,
        )
    }

    /// The model of a phase that samples, and its family.
    pub(super) fn family(&self, phase: &Phase) -> Option<Family> {
        phase.files.iter().find_map(|file| self.scales.family(file))
    }

    /// The size of what is sampled. If it is taken from a picture, the model's own is assumed.
    pub(super) fn work(&mut self, phase: &Phase) -> Option<Work> {
        if phase.work.is_some() {
            return phase.work;
        }
        if !phase.unread.is_empty() {
            phase
                .unread
                .iter()
                .for_each(|input| self.note(input.clone()));
            return None;
        }
        let native = phase
            .files
            .iter()
            .find_map(|file| self.scales.model(file)?.native_size);
        let [width, height] = native?;
        self.note(format!(
            "the size, which depends on a picture: {width} x {height} is assumed"
        ));
        Some(Work::of(width.into(), height.into(), 1.0, 1.0))
    }

    fn sampling(&mut self, phase: &Phase, need: &mut Need) {
        phase.notes.iter().for_each(|note| self.note(note.clone()));
        let family = self.family(phase);
        let known = self.work(phase);
        if known.is_none() && phase.unread.is_empty() {
            self.note("the size of what is sampled".to_owned());
        }
        need.unbounded = known.is_none();
        let is_clip = known.map_or_else(
            || family.is_some_and(|family| family.time().is_some()),
            |work| work.frames > 1.0,
        );
        let works = known.map_or_else(|| any_work(is_clip), |work| vec![work]);
        let machine = self.machine();
        let sampling = |family: &Family, area: f64| {
            family.sampling(
                area,
                machine.numbers.work,
                machine.attention,
                machine.edition,
            )
        };
        // References are looked at once, however many sides there are, and one side's are the least.
        let all = phase.references.iter().sum();
        let one = phase.references.iter().copied().fold(0.0, f64::max);
        let bytes = |family: &Family, work: &Work| {
            sampling(
                family,
                area(family, work, 0.0) * phase.sides + seen(family, all),
            )
        };
        let least = |family: &Family, work: &Work| sampling(family, area(family, work, one));
        if let Some(family) = family {
            let off = if phase.custom || machine.attention_guessed {
                0.5
            } else {
                WORK_OFF
            };
            if let Some(work) = known {
                need.work = Span::about(bytes(&family, &work), off);
                need.least_work = least(&family, &work);
            } else {
                need.work_unknown = true;
                need.work = between(works.iter().map(|work| bytes(&family, work)));
                need.least_work = need.work.low;
            }
            if known.is_some() && phase.work.is_none() {
                // A picture may be smaller or larger than what the model was made for.
                need.work.low /= PICTURE_OFF;
                need.work.high *= PICTURE_OFF;
            }
            if phase.custom {
                self.note(
                    "how the custom sampler works: reckoned as ComfyUI's own would".to_owned(),
                );
            }
            return;
        }
        self.note("the model's family, and with it the sampler's work".to_owned());
        need.work_unknown = true;
        let alike = families(self.scales.knowledge).filter(|family| match family.grid {
            Grid::Clip(..) => is_clip,
            Grid::Picture(_) => !is_clip,
            _ => false,
        });
        let bytes = |family: Family| works.iter().map(move |work| bytes(&family, work));
        need.work = between(alike.flat_map(bytes));
        need.least_work = need.work.low;
    }

    /// Which autoencoder it is: as its file's name says, else that of the model that is sampled.
    fn vae(&self, phase: &Phase, sampled: &[&Phase]) -> (Option<Vae>, Option<Family>) {
        let family = sampled.iter().find_map(|phase| self.family(phase));
        let own = phase.files.iter().find_map(|file| self.scales.family(file));
        let named = phase.files.iter().find_map(|file| Vae::in_file(&file.file));
        let family = own.or(family);
        (
            named.or_else(|| family.map(|family| family.autoencoder)),
            family,
        )
    }

    fn with_vae(&mut self, phase: &Phase, sampled: &[&Phase], need: &mut Need) {
        let work = phase.work.or_else(|| self.work(sampled.first()?));
        let machine = self.machine();
        let workshop = machine.workshop();
        let (vae, family) = self.vae(phase, sampled);
        let bytes = |vae: Vae, work: &Work, tile: Option<Tile>| {
            if phase.kind == PhaseKind::Decode {
                vae.decoding(latent(vae, family.as_ref(), work, tile), &workshop)
            } else {
                vae.encoding(pictures(vae, work, tile), &workshop)
            }
        };
        if !machine.vae_on_card {
            return;
        }
        let known = vae.zip(work).and_then(|(vae, work)| {
            Some((
                bytes(vae, &work, phase.tile)?,
                bytes(vae, &work, Some(LAST_RESORT))?,
            ))
        });
        if let Some((whole, in_tiles)) = known {
            need.work = Span::about(whole, WORK_OFF);
            need.least_work = in_tiles.min(whole);
            need.can_tile = phase.tile.is_none() && in_tiles < whole;
            return;
        }
        self.note("what its autoencoder needs".to_owned());
        need.work_unknown = true;
        need.unbounded = work.is_none();
        let is_clip = work.map_or_else(
            || vae.is_some_and(Vae::is_of_clips),
            |work| work.frames > 1.0,
        );
        let works = work.map_or_else(|| any_work(is_clip), |work| vec![work]);
        let alike: Vec<Vae> = vae.map_or_else(
            || {
                let all = families(self.scales.knowledge).map(|family| family.autoencoder);
                all.filter(|vae| vae.is_of_clips() == is_clip).collect()
            },
            |vae| vec![vae],
        );
        let bytes = alike.iter().flat_map(|vae| {
            let works = works.iter();
            works.filter_map(|work| bytes(*vae, work, phase.tile))
        });
        need.work = between(bytes);
        need.can_tile = phase.tile.is_none();
    }

    /// `LTXVLatentUpsampler`: 3,000 bytes for each number of the latent.
    fn latent_upscaling(&mut self, phase: &Phase, sampled: &[&Phase], need: &mut Need) {
        const CHANNELS: f64 = 128.0;
        const BYTES: f64 = 3000.0;
        let family = sampled.iter().find_map(|phase| self.family(phase));
        let Some((family, work)) = family.zip(phase.work) else {
            need.work_unknown = true;
            return;
        };
        let cells = family.cells(work.width, work.height) * family.latent_frames(work.frames);
        need.work = Span::about(cells * work.batch * CHANNELS * BYTES, WORK_OFF);
        need.least_work = need.work.likely;
    }
}

/// `ImageUpscaleWithModel`: a tile of 512 x 512, and the picture, in numbers of four bytes.
fn upscaling(phase: &Phase, need: &mut Need) {
    const TILE: f64 = 512.0 * 512.0 * 3.0 * 4.0 * 384.0;
    let picture = phase.work.map_or(0.0, |work| {
        work.width * work.height * work.frames * work.batch * 12.0
    });
    need.work = Span::about(TILE * phase.enlarges.max(1.0) + picture, WORK_OFF);
    // It goes over to smaller tiles by itself, down to 128.
    need.least_work = TILE * phase.enlarges.max(1.0) / 16.0 + picture;
    need.can_tile = true;
}
