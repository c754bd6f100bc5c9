//! Whether a model fits, in each precision.

use serde::Serialize;
use serde_json::Value;

use super::estimate::{Confidence, Fit, RESERVE, advice, bytes, bytes_per_weight, can_run, judge};
use super::{Card, family, gigabytes};
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
    /// Weights and work at the model's own size.
    pub estimated_vram_gb: Option<f64>,
    /// What the card has.
    pub available_vram_gb: Option<f64>,
    /// Whether it can run; none if that can't be told.
    pub will_fit: Option<bool>,
    /// How.
    pub fit: Fit,
    /// How sure that is.
    pub confidence: Confidence,
    /// What to do.
    pub recommendation: String,
    /// The other precisions.
    pub alternatives: Vec<Alternative>,
}

/// The same in another precision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// Which.
    pub precision: Precision,
    /// Weights and work.
    pub estimated_vram_gb: Option<f64>,
    /// How it fits.
    pub fit: Fit,
}

/// Frames that are taken for a clip: five seconds of most models.
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
    let found = knowledge.identify(name).map(|found| found.model);
    let model = found.ok_or_else(|| KnowledgeError::UnknownModel {
        name: name.to_owned(),
        alike: knowledge.alike(name),
    })?;
    let work = family(&model.family)
        .zip(model.native_size)
        .map(|(family, [width, height])| {
            let cells = family.cells(width.into(), height.into());
            family.sampling(cells, family.latent_frames(FRAMES), 1.0, sides(model))
        });
    let weights = |per_weight: f64| Some(model.parameters? * 1e9 * per_weight);
    let peak = |weights: Option<f64>| Some(weights? + work? + RESERVE);
    let asked = Precision::ALL
        .into_iter()
        .find(|one| format!("{one:?}").eq_ignore_ascii_case(precision));
    let official = model.files.iter().find(|file| file.precision.is_some());
    let own = match (asked, size) {
        (Some(asked), _) => weights(asked.bytes()),
        (None, Some(size)) => Some(bytes(size)),
        (None, None) if crate::comfy::model_name::is_model_file(name) => {
            weights(bytes_per_weight(name))
        }
        _ => official.and_then(|file| weights(bytes_per_weight(&file.name))),
    };
    let needed = peak(own);
    let fit = judge(needed, work, card);
    let confidence = match (needed, size) {
        (None, _) => Confidence::Unknown,
        (_, Some(_)) if asked.is_none() => Confidence::High,
        _ => Confidence::Medium,
    };
    let alternative = |precision: Precision| {
        let needed = peak(weights(precision.bytes()));
        Alternative {
            precision,
            estimated_vram_gb: needed.map(gigabytes),
            fit: judge(needed, work, card),
        }
    };
    Ok(Fits {
        model: model.name.clone(),
        precision: precision.to_owned(),
        estimated_vram_gb: needed.map(gigabytes),
        available_vram_gb: card.map(|card| gigabytes(bytes(card.total))),
        will_fit: can_run(fit),
        fit,
        confidence,
        recommendation: advice(fit, needed, card),
        alternatives: Precision::ALL
            .into_iter()
            .filter(|one| Some(*one) != asked)
            .map(alternative)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vram::GIB;

    fn asked(name: &str, precision: &str, gigabytes: u64) -> Fits {
        let card = Card {
            total: gigabytes << 30,
            free: gigabytes << 30,
        };
        fits(&Knowledge::bundled(), name, precision, None, Some(card)).unwrap()
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
}
