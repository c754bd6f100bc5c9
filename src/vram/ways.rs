//! What would help where not everything fits: each way is reckoned again and told only if it does.

use serde::Serialize;

use super::estimate::{Answer, Question};
use super::gigabytes;
use super::header::Part;
use super::inventory::Inventory;
use super::machine::{Machine, bytes};
use super::names::named_bytes;
use super::plan::{Loaded, PhaseKind, Plan, Tile};
use super::relief::{Change, TILES};
use super::sizes::Work;
use super::verdict::Fit;
use crate::comfy::model_name::{is_precision, words};
use crate::knowledge::{FrameRule, Knowledge};

/// Sides of pictures are taken in steps of this, which every family takes.
const STEP: f64 = 64.0;

/// Smaller pictures are not worth painting.
const SMALLEST: f64 = 256.0;

/// What ran out of memory has to need so much less that it's likely to run.
const LESS: f64 = 0.9;

/// What would help, and what it would come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WayOut {
    /// What to do.
    pub action: String,
    /// What is needed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_gb: Option<f64>,
    /// How it fits then.
    pub verdict: Fit,
    /// The same for a program, if it leaves what was asked for as it is.
    #[serde(skip)]
    pub change: Option<Change>,
}

impl WayOut {
    fn by(self, change: Change) -> Self {
        Self {
            change: Some(change),
            ..self
        }
    }
}

/// The ways out, those that change the result least before the others.
pub(super) fn ways_out(question: &Question<'_>, answer: &Answer) -> Vec<WayOut> {
    if !matches!(answer.fit, Fit::Streamed | Fit::No) {
        return Vec::new();
    }
    let short = question
        .observed
        .filter(|seen| seen.is_short(question.machine));
    let failed = short.and_then(|seen| seen.shortage.as_ref()?.kind());
    let desk = Desk {
        question,
        worst: answer.fit,
        failed,
        at_most: short.map_or(f64::INFINITY, |_| answer.as_done_in(failed) * LESS),
    };
    let mut ways = Vec::new();
    ways.extend(desk.smaller_files());
    ways.extend(desk.tiles());
    ways.extend(desk.single());
    ways.extend(desk.fewer_frames());
    ways.extend(desk.smaller_size());
    ways.extend(desk.others_closed());
    ways
}

/// What a changed plan comes to.
struct Reckoned {
    verdict: Fit,
    needs: f64,
    helps: bool,
}

impl Reckoned {
    fn way(&self, action: String) -> WayOut {
        WayOut {
            action,
            needs_gb: Some(gigabytes(self.needs)),
            verdict: self.verdict,
            change: None,
        }
    }
}

struct Desk<'a> {
    question: &'a Question<'a>,
    worst: Fit,
    /// What ran out of memory.
    failed: Option<PhaseKind>,
    /// What it may need so that it's a way out.
    at_most: f64,
}

impl Desk<'_> {
    /// What a changed plan comes to.
    fn verdict(&self, plan: &Plan) -> Reckoned {
        self.verdict_on(plan, self.question.machine)
    }

    fn verdict_on(&self, plan: &Plan, machine: &Machine) -> Reckoned {
        let asked = Question {
            plan,
            machine,
            observed: None,
            ..*self.question
        };
        let answer = asked.answer();
        Reckoned {
            verdict: answer.fit,
            needs: answer.as_done(),
            helps: answer.fit < self.worst && answer.as_done_in(self.failed) <= self.at_most,
        }
    }

    fn helps(&self, plan: &Plan) -> bool {
        self.verdict(plan).helps
    }

    /// The way, if it is one.
    fn way(&self, plan: &Plan, action: String) -> Option<WayOut> {
        let reckoned = self.verdict(plan);
        reckoned.helps.then(|| reckoned.way(action))
    }

    /// Installed files of the same models with smaller numbers.
    fn smaller_files(&self) -> Vec<WayOut> {
        let plan = self.question.plan;
        let models = plan.files.iter().filter(|file| {
            ["checkpoints", "diffusion_models", "text_encoders"].contains(&file.folder)
        });
        let mut ways = Vec::new();
        for file in models {
            let mut found: Vec<&str> =
                smaller_files(file, self.question.knowledge, self.question.inventory);
            // The largest that helps changes least.
            found.reverse();
            let way = found.into_iter().find_map(|other| {
                let changed = with_file(plan, file, other);
                let way = self.way(&changed, format!("load {other} instead of {}", file.file))?;
                let change = Change::File {
                    folder: file.folder,
                    file: file.file.clone(),
                    other: other.to_owned(),
                };
                Some(way.by(change))
            });
            ways.extend(way);
        }
        ways
    }

    fn tiles(&self) -> Option<WayOut> {
        let mut plan = self.question.plan.clone();
        let whole = |kind: PhaseKind| matches!(kind, PhaseKind::Decode | PhaseKind::VaeEncode);
        let untiled = plan
            .phases
            .iter_mut()
            .filter(|phase| whole(phase.kind) && phase.tile.is_none());
        untiled.for_each(|phase| phase.tile = Some(Tile::USUAL));
        let way = self.way(&plan, TILES.to_owned())?;
        Some(way.by(Change::Tiles))
    }

    fn single(&self) -> Option<WayOut> {
        let work = self.question.plan.work.filter(|work| work.batch > 1.0)?;
        let plan = with_work(self.question.plan, &|own| Work { batch: 1.0, ..own });
        self.way(
            &plan,
            format!("one at a time instead of {} (batch_size 1)", work.batch),
        )
    }

    /// The most frames that would do, on the model's rule, or the most layers.
    fn fewer_frames(&self) -> Option<WayOut> {
        let plan = self.question.plan;
        let work = plan.work.filter(|work| work.frames > 1.0)?;
        let rule = self.frame_rule(&work)?;
        let (first, step) = (f64::from(rule.first), f64::from(rule.step));
        let of = |steps: u32| {
            let frames = f64::from(steps) * step + first;
            (
                frames,
                with_work(plan, &|own| Work {
                    frames: frames.min(own.frames),
                    ..own
                }),
            )
        };
        // The most that are fewer.
        let most = steps_of(((work.frames - first) / step).ceil()).checked_sub(1)?;
        // A clip of one frame is none, and a picture has at least one layer.
        let least = u32::from(rule.first == 1);
        let steps = most_that(least, most, |steps| self.helps(&of(steps).1))?;
        let (frames, plan) = of(steps);
        let action = if work.layered {
            format!("{steps} layers instead of {}", (work.frames - first) / step)
        } else {
            format!("{frames} frames instead of {}", work.frames)
        };
        self.way(&plan, action)
    }

    /// How many frames there may be: by the model's rule, else by its family's latent.
    fn frame_rule(&self, work: &Work) -> Option<FrameRule> {
        if work.layered {
            return Some(FrameRule { step: 4, first: 1 });
        }
        let sampled = &self.question.plan.phases;
        let sampled = sampled
            .iter()
            .find(|phase| phase.kind == PhaseKind::Sample)?;
        let scales = self.question.scales();
        let model = sampled.files.iter().find_map(|file| scales.model(file));
        let family = sampled.files.iter().find_map(|file| scales.family(file));
        let told = model.and_then(|model| self.question.knowledge.frame_rule(model));
        told.or_else(|| {
            let step = family?.time()?;
            let whole = step.fract() == 0.0;
            whole.then(|| FrameRule {
                step: steps_of(step),
                first: 1,
            })
        })
    }

    /// The largest size of the same shape that would do.
    fn smaller_size(&self) -> Option<WayOut> {
        let plan = self.question.plan;
        let work = plan
            .work
            .filter(|work| work.width > 0.0 && work.height > 0.0)?;
        let short = work.width.min(work.height);
        let of = |steps: u32| {
            let by = f64::from(steps) * STEP / short;
            let side = |pixels: f64| ((pixels * by / STEP).round() * STEP).max(STEP);
            let (width, height) = (side(work.width), side(work.height));
            let smaller = with_work(plan, &|own| Work {
                width: (own.width * width / work.width).min(own.width),
                height: (own.height * height / work.height).min(own.height),
                ..own
            });
            (width, height, smaller)
        };
        let least = steps_of(SMALLEST / STEP);
        // The most that is smaller.
        let most = steps_of((short / STEP).ceil()).saturating_sub(1);
        let steps = most_that(least, most, |steps| self.helps(&of(steps).2))?;
        let (width, height, plan) = of(steps);
        let action = format!(
            "{width} x {height} instead of {} x {}",
            work.width, work.height
        );
        self.way(&plan, action)
    }

    /// What the whole card would come to.
    fn others_closed(&self) -> Option<WayOut> {
        let card = self.question.machine.card?;
        let whole = super::Card {
            free: card.total,
            ..card
        };
        let machine = Machine {
            card: Some(whole),
            ..self.question.machine.clone()
        };
        let reckoned = self.verdict_on(self.question.plan, &machine);
        // What ran out of memory may do so again unless there is more.
        let still = self
            .question
            .observed
            .is_some_and(|seen| seen.is_short(&machine));
        let held = bytes(card.total - card.free);
        let action = format!(
            "close what else holds {} GB of the card's memory",
            gigabytes(held)
        );
        (reckoned.verdict < self.worst && !still).then(|| reckoned.way(action))
    }
}

/// The greatest number of steps with which it works: what works with more works with fewer.
fn most_that(least: u32, most: u32, works: impl Fn(u32) -> bool) -> Option<u32> {
    if least > most || !works(least) {
        return None;
    }
    let (mut low, mut high) = (least, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if works(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(low)
}

fn steps_of(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes of pictures are small, and the cast saturates"
    )]
    let steps = number as u32;
    steps
}

/// Installed files of the same model with smaller numbers, the smallest first.
pub(super) fn smaller_files<'i>(
    file: &Loaded,
    knowledge: &Knowledge,
    inventory: &'i Inventory,
) -> Vec<&'i str> {
    let identified = |name: &str| {
        knowledge
            .identify(name)
            .map(|found| (&found.model.name, found.variant))
    };
    let bare = |name: &str| -> Vec<String> {
        let words = words(name).into_iter();
        words
            .filter(|word| !is_precision(word) && !["s", "m", "k", "0", "1"].contains(&&**word))
            .collect()
    };
    let size = |name: &str| {
        inventory
            .sizes
            .get(&super::weights::key(file.folder, name))
            .copied()
    };
    let own = (identified(&file.file), bare(&file.file));
    let mine = size(&file.file).unwrap_or(u64::MAX);
    let is_same = |name: &str| {
        let found = identified(name);
        found.is_some() && found == own.0 || bare(name) == own.1
    };
    let mut found: Vec<(u64, &str)> = inventory
        .sizes
        .iter()
        .filter(|((folder, name), other)| {
            let smaller = **other < mine && named_bytes(name) < named_bytes(&file.file);
            folder == file.folder && smaller && is_same(name)
        })
        .map(|((_, name), size)| (*size, name.as_str()))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The plan with another file in one's place.
fn with_file(plan: &Plan, file: &Loaded, other: &str) -> Plan {
    let mut plan = plan.clone();
    let phases = plan.phases.iter_mut().flat_map(|phase| &mut phase.files);
    for own in plan.files.iter_mut().chain(phases) {
        if own.same_file(file) {
            other.clone_into(&mut own.file);
            own.shrunk = false;
        }
    }
    plan
}

/// The plan with work of another size.
fn with_work(plan: &Plan, change: &dyn Fn(Work) -> Work) -> Plan {
    let mut plan = plan.clone();
    plan.work = plan.work.map(change);
    for phase in &mut plan.phases {
        phase.work = phase.work.map(change);
    }
    plan
}

/// A file that is asked about by name alone.
pub(super) fn file_named(folder: &'static str, file: &str) -> Loaded {
    Loaded {
        folder,
        file: file.to_owned(),
        shrunk: false,
        part: Part::Model,
        aside: false,
        merged: false,
    }
}
