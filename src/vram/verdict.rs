//! Whether what is needed runs in what there is.

use serde::Serialize;

use super::gigabytes;
use super::machine::{Kind, Machine, bytes};
use super::need::Need;
use super::plan::PhaseKind;

/// What moves over the bus in a second, at most: PCI Express 4.0 with 16 lanes.
const BUS: f64 = 25e9;

/// The least share of a card that the server uses for weights where they don't fit whole
/// (`MIN_WEIGHT_MEMORY_RATIO`, which is none for NVIDIA's).
const LEAST_SHARE: f64 = 0.4;

/// How a workflow runs in the memory that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Fit {
    /// The work is done elsewhere.
    #[serde(rename = "elsewhere")]
    Elsewhere,
    /// Everything on the card.
    #[serde(rename = "fits")]
    Whole,
    /// The server moves weights in and out while it works, or works in tiles, which is slower.
    #[serde(rename = "fits_with_offload")]
    Streamed,
    /// Can't be told.
    #[serde(rename = "unknown")]
    Unknown,
    /// The work alone is more than the card has.
    #[serde(rename = "does_not_fit")]
    No,
}

impl Fit {
    /// Whether it can run; none if that can't be told.
    #[must_use]
    pub fn can_run(self) -> Option<bool> {
        match self {
            Self::Whole | Self::Streamed | Self::Elsewhere => Some(true),
            Self::No => Some(false),
            Self::Unknown => None,
        }
    }
}

/// What it costs that not everything fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offload {
    /// Weights that wait in the machine's memory.
    pub moved_gb: f64,
    /// What that means.
    pub cost: String,
}

/// The verdict on one phase.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) fit: Fit,
    /// Bytes of weights that are moved in and out.
    pub(super) moved: f64,
    /// Whether both sides of the guidance find room only one after the other.
    pub(super) by_turns: bool,
    /// Whether it goes over to tiles.
    pub(super) in_tiles: bool,
}

impl Judged {
    fn only(fit: Fit) -> Self {
        Self {
            fit,
            moved: 0.0,
            by_turns: false,
            in_tiles: false,
        }
    }
}

/// Judges a phase as the server would load it (`load_models_gpu`).
pub(super) fn judge(need: &Need, machine: &Machine) -> Judged {
    let Some(card) = machine.card else {
        return Judged::only(Fit::Unknown);
    };
    let room = bytes(card.free);
    let total = need.total();
    if !need.is_known() {
        let least = need.work.low + machine.reserved;
        return Judged::only(match () {
            // Work of which not even a span is known is anything.
            () if need.unbounded || need.work_unknown && need.work.high <= 0.0 => Fit::Unknown,
            () if total.high <= room => Fit::Whole,
            () if least > bytes(card.total) && !need.can_tile => Fit::No,
            () => Fit::Unknown,
        });
    }
    let floor = if need.kind == PhaseKind::Upscale {
        0.0
    } else {
        Machine::LEAST_WORK
    };
    let beside = |work: f64| work.max(floor) + machine.reserved;
    let (all, least) = (beside(need.work.likely), beside(need.least_work));
    let by_turns = need.kind == PhaseKind::Sample && need.least_work < need.work.likely;
    if need.weights.likely + all <= room {
        return Judged::only(Fit::Whole);
    }
    if by_turns && need.weights.likely + least <= room {
        return Judged {
            by_turns,
            ..Judged::only(Fit::Whole)
        };
    }
    // With weights in the machine's own memory there is nowhere else to move them.
    let can_move = !matches!(machine.kind, Kind::Cpu | Kind::Mps);
    let kept = need
        .weights
        .likely
        .min(if can_move { 0.0 } else { f64::INFINITY });
    if kept + least > room {
        return Judged::only(Fit::No);
    }
    let in_tiles = need.can_tile && kept + all > room;
    // Samplers are given the room that one side of the guidance needs, others all that they ask for.
    let for_work = if need.kind == PhaseKind::Sample || in_tiles {
        least
    } else {
        all
    };
    let share = match machine.kind {
        Kind::Cuda => 0.0,
        _ => (room * LEAST_SHARE).min(room - beside(0.0)),
    };
    let for_weights = (room - for_work).max(share).max(0.0);
    let moved = (need.weights.likely - for_weights).max(0.0);
    Judged {
        fit: Fit::Streamed,
        moved: if can_move { moved } else { 0.0 },
        by_turns,
        in_tiles,
    }
}

/// What is to be said where weights hardly find room in the machine's memory.
pub(super) fn crowded(moved: f64, machine: &Machine) -> Option<String> {
    let (total, free) = machine.ram.filter(|_| moved > 0.0)?;
    if moved > total {
        let total = gigabytes(total);
        return Some(format!(
            "the machine has only {total} GB of memory: the rest waits on the disk, which takes very long, or the server is stopped by the system"
        ));
    }
    let free_gb = gigabytes(free);
    (moved > free).then(|| format!("the machine has only {free_gb} GB of memory free: it may swap"))
}

/// What it costs, in plain words; nothing if all fits.
pub(super) fn cost(judged: &[(PhaseKind, Judged)], machine: &Machine) -> Option<Offload> {
    let streamed = |judged: &&(PhaseKind, Judged)| judged.1.fit == Fit::Streamed;
    let most = judged
        .iter()
        .filter(streamed)
        .max_by(|a, b| a.1.moved.total_cmp(&b.1.moved))?;
    let moved = most.1.moved;
    let mut words = Vec::new();
    if moved > 0.0 && most.0 == PhaseKind::Sample {
        words.push(format!(
            "{} GB of weights wait in the machine's memory and come over the bus at every step: at least {:.1} s more each (PCIe 4.0 x16)",
            gigabytes(moved),
            moved / BUS
        ));
    } else if moved > 0.0 {
        words.push(format!(
            "{} GB of weights wait in the machine's memory and come over the bus once: some seconds more",
            gigabytes(moved)
        ));
    }
    if judged
        .iter()
        .any(|(kind, judged)| judged.in_tiles && *kind == PhaseKind::Decode)
    {
        words.push(
            "decoding may run out of memory and be begun again in tiles, which takes longer"
                .to_owned(),
        );
    } else if judged.iter().any(|(_, judged)| judged.in_tiles) {
        words.push("pictures are worked on in smaller tiles, which takes longer".to_owned());
    }
    if judged.iter().any(|(_, judged)| judged.by_turns) {
        words.push("the two sides of the guidance are worked on by turns".to_owned());
    }
    words.extend(crowded(moved, machine));
    Some(Offload {
        moved_gb: gigabytes(moved),
        cost: words.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vram::weights::{Source, Span};
    use crate::vram::{Card, GIB};

    fn need(weights: f64, work: f64, least: f64) -> Need {
        Need {
            kind: PhaseKind::Sample,
            nodes: vec![],
            weights: Span::about(weights * GIB, 0.05),
            work: Span::about(work * GIB, 0.2),
            least_work: least * GIB,
            reserve: 0.0,
            source: Source::FileSize,
            work_unknown: false,
            unbounded: false,
            can_tile: false,
        }
    }

    fn machine(kind: Kind, gigabytes: u64) -> Machine {
        Machine {
            kind,
            reserved: 0.4 * GIB,
            ..Machine::with_card(Some(Card {
                total: gigabytes << 30,
                free: gigabytes << 30,
            }))
        }
    }

    #[test]
    fn weights_that_have_no_room_are_moved_and_work_that_has_none_is_not_done() {
        let card = machine(Kind::Cuda, 24);
        assert_eq!(judge(&need(20.0, 3.0, 1.5), &card).fit, Fit::Whole);
        let streamed = judge(&need(30.0, 3.0, 1.5), &card);
        // 24 - 1.5 - 0.4 are left for 30: one side of the guidance at a time.
        assert_eq!((streamed.fit, streamed.by_turns), (Fit::Streamed, true));
        assert!((streamed.moved / GIB - 7.9).abs() < 1e-6, "{streamed:?}");
        assert_eq!(judge(&need(1.0, 30.0, 25.0), &card).fit, Fit::No);
    }

    #[test]
    fn where_weights_wait_there_has_to_be_memory() {
        let with = |ram: f64| {
            let machine = Machine {
                ram: Some((ram * GIB, ram * GIB / 2.0)),
                ..machine(Kind::Cuda, 8)
            };
            let judged = judge(&need(20.0, 2.0, 1.0), &machine);
            cost(&[(PhaseKind::Sample, judged)], &machine).unwrap().cost
        };
        assert!(
            with(8.0).contains("has only 8 GB of memory"),
            "{}",
            with(8.0)
        );
        assert!(
            with(16.0).contains("only 8 GB of memory free"),
            "{}",
            with(16.0)
        );
        assert!(!with(64.0).contains("only"), "{}", with(64.0));
    }

    #[test]
    fn work_of_which_nothing_is_known_is_not_none() {
        let mut unknown = need(1.0, 0.0, 0.0);
        unknown.work_unknown = true;
        assert_eq!(judge(&unknown, &machine(Kind::Cuda, 24)).fit, Fit::Unknown);
    }

    #[test]
    fn both_sides_of_the_guidance_can_take_turns() {
        let judged = judge(&need(20.0, 6.0, 3.0), &machine(Kind::Cuda, 24));
        assert_eq!(
            (judged.fit, judged.by_turns, judged.moved),
            (Fit::Whole, true, 0.0)
        );
    }

    #[test]
    fn in_the_machines_own_memory_nothing_can_be_moved() {
        for kind in [Kind::Mps, Kind::Cpu] {
            assert_eq!(
                judge(&need(30.0, 1.0, 1.0), &machine(kind, 24)).fit,
                Fit::No,
                "{kind:?}"
            );
            assert_eq!(
                judge(&need(20.0, 1.0, 1.0), &machine(kind, 24)).fit,
                Fit::Whole,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_not_judged_unless_any_figure_gives_the_same() {
        let mut unknown = need(4.0, 1.0, 1.0);
        unknown.source = Source::Unknown;
        assert_eq!(judge(&unknown, &machine(Kind::Cuda, 24)).fit, Fit::Whole);
        assert_eq!(judge(&unknown, &machine(Kind::Cuda, 4)).fit, Fit::Unknown);
        assert_eq!(
            judge(&unknown, &Machine::default()).fit,
            Fit::Unknown,
            "no card is known"
        );
    }
}
