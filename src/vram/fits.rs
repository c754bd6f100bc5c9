//! Whether a model fits, in each precision.

use serde::Serialize;
use serde_json::Value;

use super::family::family;
use super::inventory::Inventory;
use super::machine::{Machine, bytes};
use super::names::{is_gguf, named_bytes};
use super::need::Need;
use super::plan::{Loaded, PhaseKind};
use super::sizes::Work;
use super::verdict::{Fit, judge};
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
    /// Between which figures that lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_gb: Option<[f64; 2]>,
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

/// The clip that is assumed: most families' own length is about this.
const FRAMES: f64 = 81.0;

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
    let alternatives: Vec<Alternative> = Precision::ALL
        .into_iter()
        .filter(|one| Some(*one) != asked)
        .map(|one| desk.alternative(one, file.as_ref()))
        .collect();
    let total = need.total();
    let known = need.is_known();
    Ok(Fits {
        model: found.map_or_else(|| name.to_owned(), |model| model.name.clone()),
        precision: precision.to_owned(),
        estimated_vram_gb: known.then(|| gigabytes(total.likely)),
        range_gb: Some([gigabytes(total.low), gigabytes(total.high)]),
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
            (Some(_), Some(file), None) => Weighed {
                source: Source::Unknown,
                ..self.scales.weigh(file)
            },
            _ => self.scales.weigh(&file_named("diffusion_models", "")),
        }
    }

    fn work(&self) -> Option<Work> {
        let [width, height] = self.model?.native_size?;
        let family = family(&self.model?.family)?;
        let frames = if self.model?.category == "video_gen" && family.time().is_some() {
            FRAMES
        } else {
            1.0
        };
        Some(Work::of(width.into(), height.into(), frames, 1.0))
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
        let family = self.model.and_then(|model| family(&model.family));
        let one = family.zip(self.work()).map(|(family, work)| {
            let area = family.cells(work.width, work.height) * family.latent_frames(work.frames);
            family.sampling(
                area,
                machine.numbers.work,
                machine.attention,
                machine.edition,
            )
        });
        let least = one.unwrap_or_default();
        let likely = least * self.model.map_or(1.0, sides);
        Need {
            kind: PhaseKind::Sample,
            nodes: Vec::new(),
            weights: weighed.bytes,
            work: Span::about(likely, 0.2),
            least_work: least,
            reserve: machine.reserved + (Machine::LEAST_WORK - likely).max(0.0),
            source: weighed.source,
            work_unknown: one.is_none(),
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
        // Smaller ones than the largest that could be meant are all there are.
        let largest = file.map(|file| Loaded {
            file: file.file.clone(),
            ..file.clone()
        });
        let smaller = largest
            .as_ref()
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
        Fit::Streamed => format!(
            "runs, slower: {} GB of its weights are moved in and out at every step{instead}",
            gigabytes(moved)
        ),
        Fit::No => format!("does not run at its own size{instead}"),
        Fit::Unknown if machine.card.is_none() => {
            "can't be told: the server's memory is not known".to_owned()
        }
        Fit::Unknown => "can't be told: nothing is known of its work; see range_gb".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vram::GIB;

    fn card(gigabytes: u64) -> Card {
        Card {
            total: gigabytes << 30,
            free: gigabytes << 30,
        }
    }

    fn asked(name: &str, precision: &str, gigabytes: u64) -> Fits {
        fits(
            &Knowledge::bundled(),
            name,
            precision,
            None,
            Some(card(gigabytes)),
        )
        .unwrap()
    }

    #[test]
    fn what_does_not_fit_whole_has_a_smaller_precision_that_does() {
        let fits = asked("Qwen-Image-2512", "fp16", 24);
        assert_eq!(fits.fit, Fit::Streamed);
        let whole: Vec<Precision> = fits
            .alternatives
            .iter()
            .filter(|one| one.fit == Fit::Whole)
            .map(|one| one.precision)
            .collect();
        assert_eq!(whole, [Precision::Fp8, Precision::Q8, Precision::Q4]);
    }

    #[test]
    fn a_files_name_says_its_precision() {
        let half = asked("flux1-dev.safetensors", "default", 24);
        let quarter = asked("flux1-dev-fp8.safetensors", "default", 24);
        let difference = half.estimated_vram_gb.unwrap() - quarter.estimated_vram_gb.unwrap();
        assert!((difference - 12e9 / GIB).abs() < 0.02, "{difference}");
    }

    #[test]
    fn a_model_that_runs_with_a_cfg_of_1_needs_one_side() {
        let knowledge = Knowledge::bundled();
        let sides = |name: &str| sides(knowledge.identify(name).unwrap().model);
        assert!(sides("flux1-dev.safetensors") < 1.5);
        assert!(sides("sd_xl_base_1.0.safetensors") > 1.5);
    }

    #[test]
    fn of_an_unknown_model_nothing_is_said() {
        let error = fits(&Knowledge::bundled(), "w", "default", None, None).unwrap_err();
        assert!(matches!(error, KnowledgeError::UnknownModel { .. }));
    }

    #[test]
    fn of_an_unknown_file_that_is_there_a_range_is_told() {
        let knowledge = Knowledge::bundled();
        let found = fits(
            &knowledge,
            "mine.safetensors",
            "default",
            Some(40 << 30),
            Some(card(24)),
        )
        .unwrap();
        assert_eq!((found.fit, found.estimated_vram_gb), (Fit::Unknown, None));
        assert!(found.range_gb.unwrap()[0] > 30.0, "{found:?}");
    }

    #[test]
    fn an_installed_file_that_fits_is_named() {
        let mut inventory = Inventory::default();
        for (file, size) in [
            ("flux1-dev.safetensors", 24_000_000_000),
            ("flux1-dev-Q4_0.gguf", 6_800_000_000_u64),
        ] {
            inventory
                .sizes
                .insert(("diffusion_models".to_owned(), file.to_owned()), size);
        }
        let machine = Machine::with_card(Some(card(16)));
        let found = fits_on(
            &Knowledge::bundled(),
            "flux1-dev.safetensors",
            "default",
            &inventory,
            &machine,
        )
        .unwrap();
        assert_eq!(found.fit, Fit::Streamed);
        assert!(
            found
                .recommendation
                .contains("flux1-dev-Q4_0.gguf is installed"),
            "{}",
            found.recommendation
        );
    }
}
