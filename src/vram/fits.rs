//! Whether a model fits, in each precision.

use serde::Serialize;
use serde_json::Value;

use super::extents::{area, between};
use super::family::{Family, Grid, families, family};
use super::inventory::Inventory;
use super::machine::{Machine, bytes};
use super::names::{is_gguf, named_bytes};
use super::need::Need;
use super::plan::{Loaded, PhaseKind};
use super::sizes::Work;
use super::verdict::{Fit, crowded, judge};
use super::ways::{file_named, smaller_files};
use super::weights::{Scales, Source, Span, Weighed};
use super::{Card, gigabytes};
use crate::comfy::model_name::is_model_file;
use crate::knowledge::{Knowledge, KnowledgeError, Model};

/// How a model's weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Two bytes each, as published.
    Fp16,
    /// One byte each.
    Fp8,
    /// GGUF with about one byte each.
    Q8,
    /// GGUF with a little over half a byte each.
    Q4,
}

impl Precision {
    const ALL: [Self; 4] = [Self::Fp16, Self::Fp8, Self::Q8, Self::Q4];

    fn bytes(self) -> f64 {
        match self {
            Self::Fp16 => 2.0,
            Self::Fp8 => 1.0,
            Self::Q8 => 1.06,
            Self::Q4 => 0.57,
        }
    }
}

/// Whether a model fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fits {
    /// The model.
    pub model: String,
    /// What was asked about: a precision, or "default" for what the name says.
    pub precision: String,
    /// Weights, work at the model's own size, and what is kept free.
    pub estimated_vram_gb: Option<f64>,
    /// The same with the two sides of the guidance worked on by turns, as the server does where there
    /// is no room for both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_turns_gb: Option<f64>,
    /// Between which figures that lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_gb: Option<[f64; 2]>,
    /// Weights that would be moved in and out, in gigabytes.
    #[serde(skip)]
    pub moved_gb: f64,
    /// What the server can have of the card.
    pub available_vram_gb: Option<f64>,
    /// Whether it can run; none if that can't be told.
    pub will_fit: Option<bool>,
    /// How.
    #[serde(rename = "verdict")]
    pub fit: Fit,
    /// From where the weight is.
    pub source: Source,
    /// At which size, in which frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What to do.
    pub recommendation: String,
    /// The other precisions.
    pub alternatives: Vec<Alternative>,
}

/// The same in another precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// Which.
    pub precision: Precision,
    /// Weights, work and what is kept free.
    pub estimated_vram_gb: Option<f64>,
    /// How it fits.
    #[serde(rename = "verdict")]
    pub fit: Fit,
    /// A file on the server that is stored so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
}

/// The clip that is assumed where the facts tell none: many families' own length is this.
const FRAMES: f64 = 81.0;

/// Between which sizes the work of a model lies of which no size is known: pictures and clips in
/// pixels, sound in seconds, bodies in cells.
const PICTURES: [[f64; 2]; 2] = [[512.0, 512.0], [2048.0, 2048.0]];
const CLIPS: [[f64; 2]; 2] = [[832.0, 480.0], [1920.0, 1088.0]];
const SECONDS: [f64; 2] = [30.0, 600.0];
const CELLS: [f64; 2] = [1024.0, 8192.0];

/// On how many sides of a guidance a sampler works that is set as the model wants it: with a cfg of
/// 1 there is only one.
fn sides(model: &Model) -> f64 {
    let cfg = model.settings.get("cfg").and_then(Value::as_f64);
    let is_one = cfg.is_some_and(|cfg| (cfg - 1.0).abs() < f64::EPSILON);
    if is_one { 1.0 } else { 2.0 }
}

/// Says whether a model (by its name or a file's) fits on a card. `size` is that of its file, if the
/// server has it; it counts for the precision "default".
pub fn fits(
    knowledge: &Knowledge,
    name: &str,
    precision: &str,
    size: Option<u64>,
    card: Option<Card>,
) -> Result<Fits, KnowledgeError> {
    let mut inventory = Inventory::default();
    if let Some(size) = size {
        inventory
            .sizes
            .insert(("diffusion_models".to_owned(), name.to_owned()), size);
    }
    fits_on(
        knowledge,
        name,
        precision,
        &inventory,
        &Machine::with_card(card),
    )
}

/// The same for what a server works on, and for the files that it has.
pub fn fits_on(
    knowledge: &Knowledge,
    name: &str,
    precision: &str,
    inventory: &Inventory,
    machine: &Machine,
) -> Result<Fits, KnowledgeError> {
    let found = knowledge.identify(name).map(|found| found.model);
    let desk = Desk {
        scales: Scales {
            knowledge,
            inventory,
            machine,
        },
        model: found,
        name,
    };
    let file = desk.file();
    let is_there = file.as_ref().is_some_and(|file| desk.is_installed(file));
    if found.is_none() && !is_there {
        return Err(KnowledgeError::UnknownModel {
            name: name.to_owned(),
            alike: knowledge.alike(name),
        });
    }
    let asked = Precision::ALL
        .into_iter()
        .find(|one| format!("{one:?}").eq_ignore_ascii_case(precision));
    let weighed = desk.weigh(asked, file.as_ref());
    let need = desk.need(&weighed);
    let judged = judge(&need, machine);
    let can_scale = desk.can_scale(file.as_ref());
    let alternatives: Vec<Alternative> = Precision::ALL
        .into_iter()
        .filter(|one| can_scale && Some(*one) != asked)
        .map(|one| desk.alternative(one, file.as_ref()))
        .collect();
    let total = need.total();
    let known = need.is_known();
    Ok(Fits {
        model: found.map_or_else(|| name.to_owned(), |model| model.name.clone()),
        precision: precision.to_owned(),
        estimated_vram_gb: known.then(|| gigabytes(total.likely)),
        by_turns_gb: judged.by_turns.then(|| gigabytes(need.least())),
        range_gb: Some([gigabytes(total.low), gigabytes(total.high)]),
        moved_gb: gigabytes(judged.moved),
        available_vram_gb: machine.card.map(|card| gigabytes(bytes(card.free))),
        will_fit: judged.fit.can_run(),
        fit: judged.fit,
        source: weighed.source,
        at: desk.at(),
        recommendation: advice(judged.fit, judged.moved, &alternatives, machine),
        alternatives,
    })
}

struct Desk<'a> {
    scales: Scales<'a>,
    model: Option<&'a Model>,
    name: &'a str,
}

impl Desk<'_> {
    fn is_installed(&self, file: &Loaded) -> bool {
        let key = (file.folder.to_owned(), file.file.clone());
        self.scales.inventory.sizes.contains_key(&key)
    }

    /// The file that is meant: that of the name, else the official one.
    fn file(&self) -> Option<Loaded> {
        let folders = ["diffusion_models", "checkpoints"];
        let named = folders.iter().map(|folder| file_named(folder, self.name));
        if let Some(file) = named.into_iter().find(|file| self.is_installed(file)) {
            return Some(file);
        }
        if is_model_file(self.name) {
            return Some(file_named("diffusion_models", self.name));
        }
        let official = self
            .model?
            .files
            .iter()
            .find(|file| file.precision.is_some())?;
        let folder = folders
            .into_iter()
            .find(|folder| **folder == official.folder)?;
        Some(file_named(folder, &official.name))
    }

    /// The weights in the precision that is asked for, else as the file has them.
    fn weigh(&self, asked: Option<Precision>, file: Option<&Loaded>) -> Weighed {
        let billions = self.model.and_then(|model| model.parameters);
        match (asked, file, billions) {
            (Some(asked), _, Some(billions)) => Weighed {
                bytes: Span::about(billions * 1e9 * asked.bytes(), 0.1),
                source: Source::Table,
            },
            (None, Some(file), _) => self.scales.weigh(file),
            (Some(asked), Some(file), None) => {
                let Weighed { bytes, source } = self.scales.weigh(file);
                let by = asked.bytes() / named_bytes(&file.file);
                Weighed {
                    bytes: if source == Source::Unknown {
                        bytes
                    } else {
                        Span::about(bytes.likely * by, 0.1)
                    },
                    source,
                }
            }
            _ => self.scales.weigh(&file_named("diffusion_models", "")),
        }
    }

    /// Whether weights can be told in another precision than the file's.
    fn can_scale(&self, file: Option<&Loaded>) -> bool {
        let parameters = self.model.and_then(|model| model.parameters);
        parameters.is_some()
            || file.is_some_and(|file| self.scales.weigh(file).source != Source::Unknown)
    }

    fn work(&self) -> Option<Work> {
        let [width, height] = self.model?.native_size?;
        let family = family(self.scales.knowledge, &self.model?.family)?;
        let frames = family.time().map_or(1.0, |_| self.frames());
        Some(Work::of(width.into(), height.into(), frames, 1.0))
    }

    /// Frames of what the model makes: its usual clip, or one picture.
    fn frames(&self) -> f64 {
        match self.model {
            Some(model) if model.category == "video_gen" => model.frames.map_or(FRAMES, f64::from),
            _ => 1.0,
        }
    }

    /// Bytes of the work on one side of a guidance.
    fn side(&self, family: &Family, work: &Work) -> f64 {
        let machine = self.scales.machine;
        let area = area(family, work, 0.0);
        family.sampling(
            area,
            machine.numbers.work,
            machine.attention,
            machine.edition,
        )
    }

    /// The same where the family or the size is not known: from the least to the most that it may be.
    fn any_side(&self) -> Span {
        let own = self
            .model
            .and_then(|model| family(self.scales.knowledge, &model.family));
        let category = self.model.map_or("", |model| model.category.as_str());
        let makes = |family: &Family| match (category, family.grid) {
            ("audio_gen", grid) => matches!(grid, Grid::Sound(_)),
            ("3d", grid) => grid == Grid::Body,
            ("video_gen", grid) => matches!(grid, Grid::Clip(..)),
            (_, grid) => matches!(grid, Grid::Picture(_)),
        };
        let may_be: Vec<Family> = match own {
            Some(own) => vec![own],
            None => families(self.scales.knowledge).filter(makes).collect(),
        };
        let works = may_be.iter().flat_map(|family| {
            let works = self.any_work(family);
            works.map(|work| self.side(family, &work))
        });
        between(works)
    }

    /// The least and the most work that is usual.
    fn any_work(&self, family: &Family) -> [Work; 2] {
        let native = self.model.and_then(|model| model.native_size);
        let sides = |usual: [[f64; 2]; 2]| native.map_or(usual, |size| [size.map(f64::from); 2]);
        let painted = |[width, height]: [f64; 2]| Work::of(width, height, self.frames(), 1.0);
        let nothing = Work::of(0.0, 0.0, 1.0, 1.0);
        match family.grid {
            Grid::Sound(_) => SECONDS.map(|seconds| Work { seconds, ..nothing }),
            Grid::Body => CELLS.map(|cells| Work { cells, ..nothing }),
            Grid::Clip(..) if self.frames() > 1.0 => sides(CLIPS).map(painted),
            Grid::Picture(_) | Grid::Clip(..) => sides(PICTURES).map(painted),
        }
    }

    fn at(&self) -> Option<String> {
        let work = self.work()?;
        let frames = if work.frames > 1.0 {
            format!(", {} frames", work.frames)
        } else {
            String::new()
        };
        Some(format!("{} x {}{frames}", work.width, work.height))
    }

    /// What a model of that weight needs to work at its own size.
    fn need(&self, weighed: &Weighed) -> Need {
        let machine = self.scales.machine;
        let family = self
            .model
            .and_then(|model| family(self.scales.knowledge, &model.family));
        let one = family
            .zip(self.work())
            .map(|(family, work)| self.side(&family, &work));
        let sides = self.model.map_or(2.0, sides);
        let work = one.map_or_else(
            || {
                let any = self.any_side();
                Span {
                    high: any.high * sides,
                    ..any
                }
            },
            |one| Span::about(one * sides, 0.2),
        );
        Need {
            kind: PhaseKind::Sample,
            nodes: Vec::new(),
            weights: weighed.bytes,
            work,
            least_work: one.unwrap_or(work.low),
            reserve: machine.reserved + (Machine::LEAST_WORK - work.likely).max(0.0),
            source: weighed.source,
            work_unknown: one.is_none(),
            unbounded: false,
            can_tile: false,
        }
    }

    fn alternative(&self, precision: Precision, file: Option<&Loaded>) -> Alternative {
        let need = self.need(&self.weigh(Some(precision), file));
        let Scales {
            knowledge,
            inventory,
            machine,
        } = self.scales;
        let smaller = file
            .map(|file| smaller_files(file, knowledge, inventory))
            .unwrap_or_default();
        let wants_gguf = matches!(precision, Precision::Q8 | Precision::Q4);
        let installed = smaller.into_iter().find(|file| {
            is_gguf(file) == wants_gguf && (named_bytes(file) - precision.bytes()).abs() < 0.02
        });
        Alternative {
            precision,
            estimated_vram_gb: need.is_known().then(|| gigabytes(need.total().likely)),
            fit: judge(&need, machine).fit,
            installed: installed.map(str::to_owned),
        }
    }
}

fn advice(fit: Fit, moved: f64, alternatives: &[Alternative], machine: &Machine) -> String {
    let whole = || alternatives.iter().filter(|one| one.fit == Fit::Whole);
    let installed = whole().find_map(|one| one.installed.as_deref());
    let instead = match (installed, whole().next()) {
        (Some(file), _) => format!("; {file} is installed and fits whole"),
        (None, Some(one)) => format!(
            "; as {} it would fit whole",
            format!("{:?}", one.precision).to_lowercase()
        ),
        (None, None) => String::new(),
    };
    match fit {
        Fit::Whole | Fit::Elsewhere => "runs with everything on the card".to_owned(),
        Fit::Streamed => {
            let crowded = crowded(moved, machine);
            let crowded = crowded.map_or_else(String::new, |words| format!("; {words}"));
            format!(
                "runs, slower: {} GB of its weights are moved in and out at every step{crowded}{instead}",
                gigabytes(moved)
            )
        }
        Fit::No => format!("does not run at its own size{instead}"),
        Fit::Unknown if machine.card.is_none() => {
            "can't be told: the server's memory is not known".to_owned()
        }
        Fit::Unknown => "can't be told: nothing is known of its work; see range_gb".to_owned(),
    }
}

#[cfg(test)]
mod tests;
