//! The estimate for a workflow.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::family::{Family, family};
use super::graph::{Loaded, Plan, Work};
use super::{Card, GIB, gigabytes};
use crate::comfy::model_name::words;
use crate::knowledge::Knowledge;

/// What the server keeps free beside all that (`minimum_inference_memory`).
pub(super) const RESERVE: f64 = 0.8 * GIB;

/// Sizes of files in bytes, by folder and name.
pub type Sizes = HashMap<(String, String), u64>;

/// What a workflow needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// At the worst moment, with all weights on the card; none if too much is unknown.
    pub estimated_vram_gb: Option<f64>,
    /// What is free on the card now.
    pub available_vram_gb: Option<f64>,
    /// What the card has.
    pub total_system_vram_gb: Option<f64>,
    /// Whether it can run; none if that can't be told.
    pub will_fit: Option<bool>,
    /// How.
    pub fit: Fit,
    /// How sure that is.
    pub confidence: Confidence,
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
    /// What to do.
    pub recommendation: String,
}

/// How a workflow runs in the memory that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Everything on the card.
    Whole,
    /// The server moves weights in and out while it works, which is slower.
    Streamed,
    /// The work alone is more than the card has.
    No,
    /// The work is done elsewhere.
    Elsewhere,
    /// Can't be told.
    Unknown,
}

/// How sure an estimate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Nothing is told.
    Unknown,
    /// Something had to be assumed.
    Low,
    /// Reckoned from the family's table.
    Medium,
    /// Reckoned from the sizes of the files on the server.
    High,
}

/// What needs how much, in gigabytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Breakdown {
    /// The largest diffusion model, with what is put on it.
    pub weights_gb: Option<f64>,
    /// The sampler's work.
    pub sampling_gb: Option<f64>,
    /// The text encoders, which are done before the sampler begins.
    pub text_encoders_gb: Option<f64>,
    /// Decoding, after the sampler.
    pub decoding_gb: Option<f64>,
    /// What the server keeps free.
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
}

/// Billions of parameters of the text encoders, by words of their names.
const ENCODERS: [(&[&str], f64); 11] = [
    (&["t5xxl"], 4.8),
    (&["umt5"], 5.7),
    (&["qwen", "2", "5", "vl", "7b"], 8.3),
    (&["qwen", "3", "4b"], 4.0),
    (&["mistral", "3", "small"], 24.0),
    (&["gemma", "3", "12b"], 12.2),
    (&["llava", "llama3"], 8.0),
    (&["clip", "l"], 0.12),
    (&["clip", "g"], 0.69),
    (&["byt5", "small"], 0.22),
    (&["clip", "vision", "h"], 0.63),
];

/// Estimates what a workflow needs on a card.
#[must_use]
pub fn estimate(plan: &Plan, knowledge: &Knowledge, sizes: &Sizes, card: Option<Card>) -> Estimate {
    let mut reckoning = Reckoning {
        knowledge,
        sizes,
        unknown: plan
            .unclear
            .iter()
            .map(|node| format!("what node {node} loads"))
            .collect(),
        confidence: Confidence::High,
        family: None,
        native: None,
    };
    let needs: Vec<(&Loaded, Option<f64>, ModelNeed)> =
        plan.files.iter().map(|file| reckoning.file(file)).collect();
    let of = |folders: &[&str]| -> Vec<Option<f64>> {
        needs
            .iter()
            .filter(|(file, ..)| folders.contains(&file.folder))
            .map(|(_, bytes, _)| *bytes)
            .collect()
    };
    // Two diffusion models of one workflow work one after the other; what is put on them adds up.
    let models = of(&["checkpoints", "diffusion_models"]);
    let additions = of(&["loras", "controlnet"]);
    let weights = largest(&models).and_then(|model| Some(model + sum(&additions)?));
    let encoders = of(&["text_encoders"]);
    let encoding = if encoders.is_empty() {
        Some(0.0)
    } else {
        sum(&encoders)
    };

    let work = reckoning.work(plan);
    let guidance = if plan.guided { 2.0 } else { 1.0 };
    let sampling = match (reckoning.family, work) {
        (Some(family), Some(work)) => Some(family.sampling(
            family.cells(work.width, work.height),
            family.latent_frames(work.frames),
            work.batch,
            guidance,
        )),
        _ => None,
    };
    let decoding = reckoning.family.zip(work).and_then(|(family, work)| {
        let side = |side: f64| plan.tile.map_or(side, |tile| side.min(tile));
        let cells = family.cells(side(work.width), side(work.height));
        family.decoding(cells, family.latent_frames(work.frames))
    });
    if plan.elsewhere && plan.files.is_empty() {
        return elsewhere(card);
    }
    if reckoning.family.is_none() {
        reckoning
            .unknown
            .push("the model's family, and with it the sampler's work".to_owned());
    }
    let together = weights
        .zip(sampling)
        .map(|(weights, sampling)| weights + sampling);
    let peak = together.map(|together| {
        let worst = together
            .max(encoding.unwrap_or(0.0))
            .max(decoding.unwrap_or(0.0));
        worst + RESERVE
    });
    if peak.is_none() {
        reckoning.confidence = Confidence::Unknown;
    } else if !reckoning.unknown.is_empty() {
        reckoning.confidence = Confidence::Low;
    } else if decoding.is_none() {
        reckoning.confidence = reckoning.confidence.min(Confidence::Medium);
    }
    let fit = judge(peak, sampling, card);
    Estimate {
        estimated_vram_gb: peak.map(gigabytes),
        available_vram_gb: card.map(|card| bytes(card.free)).map(gigabytes),
        total_system_vram_gb: card.map(|card| bytes(card.total)).map(gigabytes),
        will_fit: can_run(fit),
        fit,
        confidence: reckoning.confidence,
        breakdown: Breakdown {
            weights_gb: weights.map(gigabytes),
            sampling_gb: sampling.map(gigabytes),
            text_encoders_gb: encoding.map(gigabytes),
            decoding_gb: decoding.map(gigabytes),
            reserve_gb: gigabytes(RESERVE),
        },
        models: needs.into_iter().map(|(.., need)| need).collect(),
        resolution: work.map(|work| [work.width, work.height]),
        frames: work.map(|work| work.frames).filter(|frames| *frames > 1.0),
        batch_size: work.map(|work| work.batch),
        recommendation: advice(fit, peak, card),
        unknown: reckoning.unknown,
    }
}

/// Whether what is needed runs in what there is. Weights can be streamed, the work can't.
pub(super) fn judge(peak: Option<f64>, sampling: Option<f64>, card: Option<Card>) -> Fit {
    let Some(total) = card.map(|card| bytes(card.total)) else {
        return Fit::Unknown;
    };
    match (peak, sampling) {
        (_, Some(sampling)) if sampling + RESERVE > total => Fit::No,
        (Some(peak), _) if peak <= total => Fit::Whole,
        (Some(_), Some(_)) => Fit::Streamed,
        _ => Fit::Unknown,
    }
}

pub(super) fn can_run(fit: Fit) -> Option<bool> {
    match fit {
        Fit::Whole | Fit::Streamed | Fit::Elsewhere => Some(true),
        Fit::No => Some(false),
        Fit::Unknown => None,
    }
}

pub(super) fn advice(fit: Fit, peak: Option<f64>, card: Option<Card>) -> String {
    let tight = peak
        .zip(card)
        .is_some_and(|(peak, card)| peak > bytes(card.free));
    match fit {
        Fit::Whole if tight => {
            "runs; if something else holds the card's memory, free_memory(unload_models: true) first"
        }
        Fit::Whole => "runs with everything on the card",
        Fit::Streamed => {
            "runs, slower: weights are moved in and out; a smaller precision (fp8, GGUF) would fit whole"
        }
        Fit::No => "does not run: make the picture smaller, take fewer frames or a smaller batch",
        Fit::Elsewhere => "runs on the service's machines, not on this card",
        Fit::Unknown => "can't be told: see unknown",
    }
    .to_owned()
}

fn elsewhere(card: Option<Card>) -> Estimate {
    Estimate {
        estimated_vram_gb: Some(0.0),
        available_vram_gb: card.map(|card| gigabytes(bytes(card.free))),
        total_system_vram_gb: card.map(|card| gigabytes(bytes(card.total))),
        will_fit: Some(true),
        fit: Fit::Elsewhere,
        confidence: Confidence::High,
        breakdown: Breakdown::default(),
        models: vec![],
        resolution: None,
        frames: None,
        batch_size: None,
        unknown: vec![],
        recommendation: advice(Fit::Elsewhere, None, card),
    }
}

struct Reckoning<'a> {
    knowledge: &'a Knowledge,
    sizes: &'a Sizes,
    unknown: Vec<String>,
    confidence: Confidence,
    family: Option<Family>,
    native: Option<[u32; 2]>,
}

impl Reckoning<'_> {
    fn file<'f>(&mut self, file: &'f Loaded) -> (&'f Loaded, Option<f64>, ModelNeed) {
        let is_model = ["checkpoints", "diffusion_models"].contains(&file.folder);
        let found = self.knowledge.identify(&file.file).filter(|_| is_model);
        let model = found.map(|found| found.model);
        if let Some(model) = model {
            self.family = family(&model.family).or(self.family);
            self.native = model.native_size.or(self.native);
        }
        let key = (file.folder.to_owned(), file.file.clone());
        let weights = if let Some(size) = self.sizes.get(&key) {
            let shrinks = file.shrunk && bytes_per_weight(&file.file) >= 2.0;
            Some(bytes(*size) * if shrinks { 0.5 } else { 1.0 })
        } else {
            self.confidence = self.confidence.min(Confidence::Medium);
            let billions = match file.folder {
                "text_encoders" => encoder(&file.file),
                _ => model.and_then(|model| model.parameters),
            };
            let per_weight = if file.shrunk {
                1.0
            } else {
                bytes_per_weight(&file.file)
            };
            billions.map(|billions| billions * 1e9 * per_weight)
        };
        let counts = is_model || ["text_encoders", "loras", "controlnet"].contains(&file.folder);
        if weights.is_none() && counts {
            self.unknown.push(format!("the size of {}", file.file));
        }
        let need = ModelNeed {
            file: file.file.clone(),
            model: model.map(|model| model.name.clone()),
            weights_gb: weights.map(gigabytes),
        };
        (file, weights, need)
    }

    /// The size that is sampled; a workflow that takes it from a picture gets the model's own.
    fn work(&mut self, plan: &Plan) -> Option<Work> {
        if plan.work.is_some() {
            return plan.work;
        }
        let [width, height] = self.native?;
        self.unknown.push(format!(
            "the size, which depends on a picture: {width} x {height} is assumed"
        ));
        Some(Work {
            width: width.into(),
            height: height.into(),
            frames: 1.0,
            batch: 1.0,
        })
    }
}

/// The greatest, if all are known and there is one.
fn largest(all: &[Option<f64>]) -> Option<f64> {
    let known: Option<Vec<f64>> = all.iter().copied().collect();
    known?.into_iter().reduce(f64::max)
}

fn sum(all: &[Option<f64>]) -> Option<f64> {
    all.iter().copied().sum()
}

fn encoder(file: &str) -> Option<f64> {
    let words = words(file);
    let has = |parts: &[&str]| {
        words
            .windows(parts.len())
            .any(|window| window.iter().zip(parts).all(|(word, part)| word == part))
    };
    let found = ENCODERS.iter().find(|(parts, _)| has(parts));
    found.map(|(_, billions)| *billions)
}

/// Bytes of one weight by what the file's name says; two without a word.
pub(super) fn bytes_per_weight(file: &str) -> f64 {
    const SAID: [(&str, f64); 14] = [
        ("fp32", 4.0),
        ("fp8", 1.0),
        ("fp8mixed", 1.1),
        ("mxfp8", 1.03),
        ("int8", 1.0),
        ("e4m3fn", 1.0),
        ("e5m2", 1.0),
        ("fp4", 0.56),
        ("nvfp4", 0.56),
        ("q8", 1.06),
        ("q6", 0.82),
        ("q5", 0.69),
        ("q4", 0.57),
        ("q3", 0.43),
    ];
    let words = words(file);
    let said = SAID
        .iter()
        .find(|(word, _)| words.iter().any(|own| own == word));
    said.map_or(2.0, |(_, bytes)| *bytes)
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
pub(super) fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

impl Estimate {
    /// As tools answer it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::Workflow;
    use crate::comfy::nodes::NodeFacts;
    use crate::script::{Generation, Sources, build};

    fn plan(template: &str, parameters: Value) -> Plan {
        let Value::Object(parameters) = parameters else {
            panic!("not an object")
        };
        let generation = Generation::build(Sources::read(&[]), None);
        let workflow = build(&generation, template, parameters).unwrap();
        Plan::of(&workflow, &NodeFacts::bundled())
    }

    fn card(gigabytes: u64) -> Card {
        Card {
            total: gigabytes << 30,
            free: gigabytes << 30,
        }
    }

    fn estimated(plan: &Plan, card: Card) -> Estimate {
        estimate(plan, &Knowledge::bundled(), &Sizes::new(), Some(card))
    }

    #[test]
    fn a_picture_is_reckoned_from_its_weights_and_its_size() {
        let small = estimated(&plan("qwen_txt2img", json!({ "PROMPT": "x" })), card(24));
        // 20 billion weights of a byte each; 166 x 166 cells on both sides of the guidance.
        assert_eq!(small.breakdown.weights_gb, Some(18.63));
        assert_eq!(small.breakdown.sampling_gb, Some(1.94));
        assert_eq!((small.fit, small.will_fit), (Fit::Whole, Some(true)));
        assert_eq!(small.confidence, Confidence::Medium);

        let large = json!({ "PROMPT": "x", "WIDTH": 2656, "HEIGHT": 2656 });
        let large = estimated(&plan("qwen_txt2img", large), card(24));
        assert_eq!(
            large.breakdown.sampling_gb,
            Some(7.75),
            "four times the area"
        );
        assert_eq!(large.fit, Fit::Streamed);
    }

    #[test]
    fn frames_count() {
        let of = |frames: u32| {
            let parameters = json!({ "PROMPT": "x", "FRAMES": frames });
            estimated(&plan("ltx2_txt2vid", parameters), card(24))
        };
        let (short, long) = (of(121), of(481));
        assert_eq!(
            short.resolution,
            Some([1280.0, 704.0]),
            "after the second pass"
        );
        let ratio = long.breakdown.sampling_gb.unwrap() / short.breakdown.sampling_gb.unwrap();
        assert!((ratio - 61.0 / 16.0).abs() < 0.01, "{ratio}");
    }

    #[test]
    fn work_that_is_larger_than_the_card_does_not_fit() {
        let huge = json!({ "PROMPT": "x", "WIDTH": 4096, "HEIGHT": 4096, "BATCH": 16 });
        let huge = estimated(&plan("flux2_txt2img", huge), card(24));
        assert_eq!((huge.fit, huge.will_fit), (Fit::No, Some(false)));
    }

    #[test]
    fn what_is_unknown_is_not_taken_for_nothing() {
        let workflow = Workflow::from_json(json!({
            "1": { "class_type": "SomeVideoModelLoader", "inputs": { "model": "thing" } },
            "2": { "class_type": "EmptyHunyuanLatentVideo",
                "inputs": { "width": 1280, "height": 720, "length": 121, "batch_size": 1 } },
        }))
        .unwrap();
        let plan = Plan::of(&workflow, &NodeFacts::bundled());
        let unknown = estimated(&plan, card(24));
        assert_eq!(
            (
                unknown.estimated_vram_gb,
                unknown.will_fit,
                unknown.confidence
            ),
            (None, None, Confidence::Unknown)
        );
        assert!(!unknown.unknown.is_empty());
    }

    #[test]
    fn the_size_of_the_file_on_the_server_goes_before_the_table() {
        let plan = plan("qwen_txt2img", json!({ "PROMPT": "x" }));
        let sizes: Sizes = plan
            .files
            .iter()
            .map(|file| ((file.folder.to_owned(), file.file.clone()), 10 << 30))
            .collect();
        let exact = estimate(&plan, &Knowledge::bundled(), &sizes, Some(card(24)));
        assert_eq!(exact.breakdown.weights_gb, Some(10.0));
        assert_eq!(exact.confidence, Confidence::High);
    }

    #[test]
    fn a_partner_node_needs_nothing_here() {
        let parameters = json!({ "PROMPT": "x", "IMAGE_PATH": "a.png" });
        let elsewhere = estimated(&plan("wan26_img2vid", parameters), card(8));
        assert_eq!(elsewhere.fit, Fit::Elsewhere);
    }
}
