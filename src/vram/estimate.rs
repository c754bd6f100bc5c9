//! The estimate for a workflow.

use serde::Serialize;

use super::inventory::Inventory;
use super::machine::{Machine, bytes};
use super::need::{Need, Reckoning};
use super::observed::{Observed, Shortage};
use super::plan::{Phase, PhaseKind, Plan};
use super::verdict::{Fit, Judged, Offload, cost, judge};
use super::ways::{WayOut, ways_out};
use super::weights::{Scales, Source, Span};
use super::{GIB, gigabytes};
use crate::knowledge::Knowledge;

/// What an estimate is made from.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What the workflow does.
    pub plan: &'a Plan,
    /// What is known of models.
    pub knowledge: &'a Knowledge,
    /// What is known of the files on the server.
    pub inventory: &'a Inventory,
    /// What the server works on.
    pub machine: &'a Machine,
    /// What earlier runs of workflows like it took on this device.
    pub observed: Option<&'a Observed>,
}

/// What a workflow needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// At the worst moment, with all weights on the card; none if too much is unknown.
    pub estimated_vram_gb: Option<f64>,
    /// The same with the two sides of the guidance worked on by turns, as the server does where there
    /// is no room for both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_turns_gb: Option<f64>,
    /// Between which figures that lies.
    pub range_gb: [f64; 2],
    /// What the server can have of the card now, its own models included.
    pub available_vram_gb: Option<f64>,
    /// What the card has.
    pub total_system_vram_gb: Option<f64>,
    /// Whether it can run; none if that can't be told.
    pub will_fit: Option<bool>,
    /// How.
    pub verdict: Fit,
    /// From where the weakest of the figures is.
    pub source: Source,
    /// What earlier runs took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// What has to be moved in and out, and what that costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload: Option<Offload>,
    /// What is done, and what each needs.
    pub phases: Vec<PhaseNeed>,
    /// What needs how much.
    pub breakdown: Breakdown,
    /// The files.
    pub models: Vec<ModelNeed>,
    /// Width and height of what is sampled.
    pub resolution: Option<[f64; 2]>,
    /// Frames of a clip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<f64>,
    /// How many at once.
    pub batch_size: Option<f64>,
    /// What could not be told, and what was assumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// What would help.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways_out: Vec<WayOut>,
    /// What to do.
    pub recommendation: String,
}

/// What one phase needs, in gigabytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseNeed {
    /// What it is.
    pub phase: PhaseKind,
    /// The nodes that do it.
    pub nodes: Vec<String>,
    /// All together.
    pub needs_gb: f64,
    /// Weights.
    pub weights_gb: f64,
    /// Work.
    pub activations_gb: f64,
    /// What the server keeps free.
    pub reserve_gb: f64,
    /// How it fits.
    pub verdict: Fit,
    /// Weights in bytes, and between which figures they lie.
    #[serde(skip)]
    pub weights: Span,
    /// The same of the work.
    #[serde(skip)]
    pub work: Span,
}

/// What needs how much, in gigabytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Breakdown {
    /// The diffusion model of the most demanding sampler, with what is put on it.
    pub weights_gb: Option<f64>,
    /// The sampler's work.
    pub sampling_gb: Option<f64>,
    /// The text encoders, which are done before the sampler begins.
    pub text_encoders_gb: Option<f64>,
    /// Decoding, after the sampler.
    pub decoding_gb: Option<f64>,
    /// What the server keeps free at least.
    pub reserve_gb: f64,
}

/// A file and what it needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelNeed {
    /// The file.
    pub file: String,
    /// The model that it was found to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its weights; none if that can't be told.
    pub weights_gb: Option<f64>,
    /// From where that is.
    pub source: Source,
}

/// What a question comes to, before it is put into words.
pub(super) struct Answer {
    pub(super) needs: Vec<Need>,
    pub(super) judged: Vec<Judged>,
    pub(super) fit: Fit,
    pub(super) unknown: Vec<String>,
}

impl Question<'_> {
    pub(super) fn scales(&self) -> Scales<'_> {
        Scales {
            knowledge: self.knowledge,
            inventory: self.inventory,
            machine: self.machine,
        }
    }

    /// Reckons all phases and judges them.
    pub(super) fn answer(&self) -> Answer {
        let mut reckoning = Reckoning::new(self.scales());
        let phases = &self.plan.phases;
        let sampled: Vec<&Phase> = phases
            .iter()
            .filter(|phase| phase.kind == PhaseKind::Sample)
            .collect();
        let needs: Vec<Need> = phases
            .iter()
            .map(|phase| reckoning.need(phase, &sampled))
            .collect();
        let judged: Vec<Judged> = needs.iter().map(|need| judge(need, self.machine)).collect();
        let worst = judged.iter().map(|judged| judged.fit).max();
        let fit = match worst {
            None if self.plan.elsewhere => Fit::Elsewhere,
            None => Fit::Whole,
            Some(worst) => self
                .observed
                .map_or(worst, |observed| observed.corrects(worst, self.machine)),
        };
        let loads = self
            .plan
            .unclear
            .iter()
            .map(|node| format!("what node {node} loads"));
        Answer {
            needs,
            judged,
            fit,
            unknown: loads.chain(reckoning.unknown).collect(),
        }
    }
}

impl Answer {
    /// The phase that needs most.
    fn peak(&self) -> Option<&Need> {
        let likely = |need: &&Need| need.total().likely;
        self.needs
            .iter()
            .max_by(|a, b| likely(a).total_cmp(&likely(b)))
    }

    /// What is needed as it will be done: with the sides of the guidance by turns where they are.
    pub(super) fn as_done(&self) -> f64 {
        self.as_done_in(None)
    }

    /// The same of the phases of one kind, if there are any.
    pub(super) fn as_done_in(&self, kind: Option<PhaseKind>) -> f64 {
        let kind = kind.filter(|kind| self.needs.iter().any(|need| need.kind == *kind));
        let counts = |need: &Need| kind.is_none_or(|kind| need.kind == kind);
        let needs = self.needs.iter().zip(&self.judged);
        let needs = needs.filter(|(need, _)| counts(need));
        let all = needs.map(|(need, judged)| {
            if judged.by_turns {
                need.least()
            } else {
                need.total().likely
            }
        });
        all.fold(0.0, f64::max)
    }

    fn is_by_turns(&self) -> bool {
        self.judged.iter().any(|judged| judged.by_turns)
    }

    fn is_known(&self) -> bool {
        // What is unknown and small is of no account.
        let peak = self.peak().map_or(0.0, |peak| peak.total().likely);
        self.needs
            .iter()
            .all(|need| need.is_known() || need.total().high <= peak)
            && self.peak().is_none_or(Need::is_known)
    }

    fn range(&self) -> [f64; 2] {
        let of = |end: fn(&Need) -> f64| self.needs.iter().map(end).fold(0.0, f64::max);
        [of(|need| need.total().low), of(|need| need.total().high)]
    }
}

/// Estimates what a workflow needs.
#[must_use]
pub fn estimate(question: &Question<'_>) -> Estimate {
    let Question {
        plan,
        machine,
        observed,
        ..
    } = *question;
    let answer = question.answer();
    let mut reckoning = Reckoning::new(question.scales());
    let seen = observed.filter(|observed| observed.runs > 0);
    let range = answer.range();
    let taken = seen.map(|seen| seen.needs(range));
    let ways_out = ways_out(question, &answer);
    let likely = answer
        .peak()
        .filter(|_| answer.is_known())
        .map(|peak| peak.total().likely);
    let likely = likely.or_else(|| plan.phases.is_empty().then_some(0.0));
    let weakest = answer.needs.iter().map(|need| need.source).max();
    let sampled = || {
        plan.phases
            .iter()
            .filter(|phase| phase.kind == PhaseKind::Sample)
    };
    let work = sampled()
        .filter_map(|phase| reckoning.work(phase))
        .max_by(|a, b| a.amount().total_cmp(&b.amount()));
    let work = work.filter(|work| work.width > 0.0);
    let by_kind: Vec<_> = answer
        .needs
        .iter()
        .map(|need| need.kind)
        .zip(answer.judged.iter().cloned())
        .collect();
    Estimate {
        estimated_vram_gb: taken.map(|taken| taken.0).or(likely).map(gigabytes),
        by_turns_gb: (answer.is_by_turns() && seen.is_none()).then(|| gigabytes(answer.as_done())),
        range_gb: taken.map_or(range, |taken| taken.1).map(gigabytes),
        available_vram_gb: machine.card.map(|card| gigabytes(bytes(card.free))),
        total_system_vram_gb: machine.card.map(|card| gigabytes(bytes(card.total))),
        will_fit: answer.fit.can_run(),
        verdict: answer.fit,
        source: seen.map_or(weakest.unwrap_or(Source::FileSize), |_| Source::Observed),
        observed: observed.cloned(),
        offload: cost(&by_kind, machine).filter(|_| answer.fit == Fit::Streamed),
        phases: answer
            .needs
            .iter()
            .zip(&answer.judged)
            .map(|(need, judged)| phase_need(need, judged))
            .collect(),
        breakdown: breakdown(&answer, machine),
        models: models(question),
        resolution: work.map(|work| [work.width, work.height]),
        frames: work.map(|work| work.frames).filter(|frames| *frames > 1.0),
        batch_size: work.map(|work| work.batch),
        recommendation: advice(question, &answer, &ways_out),
        ways_out,
        unknown: answer.unknown,
    }
}

fn phase_need(need: &Need, judged: &Judged) -> PhaseNeed {
    PhaseNeed {
        phase: need.kind,
        nodes: need.nodes.clone(),
        needs_gb: gigabytes(need.total().likely),
        weights_gb: gigabytes(need.weights.likely),
        activations_gb: gigabytes(need.work.likely),
        reserve_gb: gigabytes(need.reserve),
        verdict: judged.fit,
        weights: need.weights,
        work: need.work,
    }
}

fn breakdown(answer: &Answer, machine: &Machine) -> Breakdown {
    let of = |kind: PhaseKind, part: fn(&Need) -> Option<f64>| {
        let all = answer.needs.iter().filter(|need| need.kind == kind);
        all.filter_map(part).reduce(f64::max).map(gigabytes)
    };
    let weights = |need: &Need| (need.source != Source::Unknown).then_some(need.weights.likely);
    let work = |need: &Need| (!need.work_unknown).then_some(need.work.likely);
    Breakdown {
        weights_gb: of(PhaseKind::Sample, weights),
        sampling_gb: of(PhaseKind::Sample, work),
        text_encoders_gb: of(PhaseKind::TextEncode, weights),
        decoding_gb: of(PhaseKind::Decode, work),
        reserve_gb: gigabytes(machine.reserved),
    }
}

/// The files, with what the parts of them that are used weigh.
fn models(question: &Question<'_>) -> Vec<ModelNeed> {
    let scales = question.scales();
    let phases = &question.plan.phases;
    let need = |file: &super::Loaded| {
        // A checkpoint is used in parts, by one phase each.
        let mut used: Vec<&super::Loaded> = Vec::new();
        for own in phases
            .iter()
            .flat_map(|phase| &phase.files)
            .filter(|own| own.same_file(file))
        {
            if !used.contains(&own) {
                used.push(own);
            }
        }
        if used.is_empty() {
            used.push(file);
        }
        let weighed: Vec<_> = used.iter().map(|file| scales.weigh(file)).collect();
        let source = weighed
            .iter()
            .map(|weighed| weighed.source)
            .max()
            .unwrap_or(Source::Unknown);
        let sum: f64 = weighed.iter().map(|weighed| weighed.bytes.likely).sum();
        ModelNeed {
            file: file.file.clone(),
            model: scales.model(file).map(|model| model.name.clone()),
            weights_gb: (source != Source::Unknown).then(|| gigabytes(sum)),
            source,
        }
    };
    question.plan.files.iter().map(need).collect()
}

fn advice(question: &Question<'_>, answer: &Answer, ways: &[WayOut]) -> String {
    let machine = question.machine;
    let likely = answer.as_done();
    let crowded = machine.idle.is_some_and(|idle| likely > idle);
    let short = question.observed.filter(|seen| seen.is_short(machine));
    if let Some(shortage) = short.and_then(|seen| seen.shortage.as_ref()) {
        return ran_out(shortage, ways);
    }
    match answer.fit {
        Fit::Whole if answer.needs.is_empty() => "runs: no model is loaded",
        Fit::Whole if machine.kind == super::Kind::Cpu => {
            "runs in the machine's memory, without a card, so slowly"
        }
        Fit::Whole if crowded => {
            "runs: the server lets go of models that it still holds; free_memory(unload_models: true) does so at once"
        }
        Fit::Whole if answer.is_by_turns() => {
            "runs with all weights on the card, the two sides of the guidance by turns"
        }
        Fit::Whole => "runs with everything on the card",
        Fit::Streamed if ways.iter().any(|way| way.verdict == Fit::Whole) => {
            "runs, slower: see offload, and ways_out for what would fit whole"
        }
        Fit::Streamed => "runs, slower: see offload",
        Fit::No => return does_not_run(machine, likely, ways),
        Fit::Elsewhere => "runs on the service's machines, not on this card",
        Fit::Unknown if machine.card.is_none() => "can't be told: the server does not say what memory it has",
        Fit::Unknown => "can't be told: see unknown and range_gb",
    }
    .to_owned()
}

fn does_not_run(machine: &Machine, likely: f64, ways: &[WayOut]) -> String {
    let others = machine
        .card
        .is_some_and(|card| likely <= bytes(card.total) && card.free < card.total);
    match (others, ways.is_empty()) {
        (true, true) => "does not run now: other programs hold the card's memory; close them",
        (true, false) => {
            "does not run now: other programs hold the card's memory; close them, or take one of ways_out"
        }
        (false, true) => "does not run: it takes a larger card or a smaller model",
        (false, false) => "does not run: take one of ways_out",
    }
    .to_owned()
}

/// What to do about a workflow that is reckoned to run, or is not, and ran out of memory.
fn ran_out(shortage: &Shortage, ways: &[WayOut]) -> String {
    let node = shortage.node.as_ref();
    let node = node.map_or_else(String::new, |node| format!(", in {node}"));
    let or = if ways.is_empty() {
        ""
    } else {
        ", or take one of ways_out"
    };
    format!(
        "ran out of memory on this card with {} GB to be had{node}, and never ran: free memory of the card{or}",
        shortage.free_gb
    )
}

/// Bytes of so many gigabytes.
pub(super) fn of_gigabytes(gigabytes: f64) -> f64 {
    gigabytes * GIB
}

#[cfg(test)]
mod tests;
