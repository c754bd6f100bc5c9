//! The natural parts of a workflow: what is loaded, what is asked for, the sampling, the result.
//!
//! A node's part follows from the types that it takes and gives. Where parts run into each other,
//! as in a picture that is sampled a second time, what lies between belongs to the later work's
//! part. Parts make sense where links lead from the earlier ones to the later ones only.

use super::Wire;
use super::shape::Shape;
use crate::comfy::nodes::{NodeClass, is_loader};

/// A part of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Load,
    Prompt,
    Sample,
    Finish,
}

/// With fewer nodes than this there is nothing to sort.
const FEW: usize = 5;

/// Types of models, and of what was made of them.
const MODELS: [&str; 14] = [
    "AUDIO_ENCODER",
    "BACKGROUND_REMOVAL",
    "CLIP",
    "CLIP_VISION",
    "CONTROL_NET",
    "GLIGEN",
    "LATENT_UPSCALE_MODEL",
    "LORA_MODEL",
    "MODEL",
    "MODEL_PATCH",
    "PHOTOMAKER",
    "STYLE_MODEL",
    "UPSCALE_MODEL",
    "VAE",
];

/// Types that only sampling has.
const SAMPLING: [&str; 5] = ["GUIDER", "LATENT", "NOISE", "SAMPLER", "SIGMAS"];

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::Load, Self::Prompt, Self::Sample, Self::Finish];

    /// As the frame around it is called.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Load => "Models and media",
            Self::Prompt => "Prompt",
            Self::Sample => "Sampling",
            Self::Finish => "Result",
        }
    }
}

/// Whether a class brings models or media into a workflow.
pub(super) fn brings_in(class: &NodeClass) -> bool {
    is_loader(class.name())
        || class.category().contains("loaders")
        || class
            .inputs()
            .iter()
            .any(crate::comfy::nodes::Input::is_upload)
}

/// The part of each node; none if the workflow has no such parts.
pub(super) fn stages(shapes: &[Shape<'_>], wires: &[Wire]) -> Option<Vec<Stage>> {
    if shapes.len() < FEW {
        return None;
    }
    let mut own: Vec<Option<Stage>> = shapes.iter().map(stage).collect();
    let mut stages;
    let mut rounds = 0;
    loop {
        stages = spread(&own, wires);
        // What leads to earlier work belongs there. Each round moves a node to an earlier part.
        let mut moved = false;
        for wire in wires {
            let (from, to) = (stages[wire.from], stages[wire.to]);
            if from > to {
                own[wire.from] = Some(to);
                moved = true;
            }
        }
        rounds += 1;
        if !moved || rounds > Stage::ALL.len() * shapes.len() {
            break;
        }
    }
    move_up(&own, wires, &mut stages);
    let in_order = wires
        .iter()
        .all(|wire| stages[wire.from] <= stages[wire.to]);
    let mut parts = Stage::ALL.map(|stage| stages.iter().filter(|own| **own == stage).count());
    parts.sort_unstable();
    let several = parts[2] > 0;
    (in_order && several).then_some(stages)
}

/// Moves nodes that could be anywhere, and to which nothing leads that could not, to the part of
/// what needs them first: numbers, texts, switches.
fn move_up(own: &[Option<Stage>], wires: &[Wire], stages: &mut [Stage]) {
    let mut free: Vec<bool> = own.iter().map(Option::is_none).collect();
    // Both end early: each round changes something that stays changed.
    for _ in 0..own.len() {
        let mut bound = false;
        for wire in wires {
            if free[wire.to] && !free[wire.from] {
                free[wire.to] = false;
                bound = true;
            }
        }
        if !bound {
            break;
        }
    }
    for _ in 0..Stage::ALL.len() * own.len() {
        let mut first: Vec<Option<Stage>> = vec![None; own.len()];
        for wire in wires {
            let to = stages[wire.to];
            first[wire.from] = Some(first[wire.from].map_or(to, |first| first.min(to)));
        }
        let mut moved = false;
        for (at, first) in first.into_iter().enumerate() {
            if let Some(first) = first
                && free[at]
                && first > stages[at]
            {
                stages[at] = first;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
}

/// Gives nodes that could be anywhere the part of what leads to them.
fn spread(own: &[Option<Stage>], wires: &[Wire]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = own.iter().map(|own| own.unwrap_or(Stage::Load)).collect();
    // Ends early: parts only grow, and there are four.
    for _ in 0..own.len() {
        let mut grown = false;
        for wire in wires.iter().filter(|wire| own[wire.to].is_none()) {
            let from = stages[wire.from];
            if from > stages[wire.to] {
                stages[wire.to] = from;
                grown = true;
            }
        }
        if !grown {
            break;
        }
    }
    stages
}

fn stage(shape: &Shape<'_>) -> Option<Stage> {
    let gives = |types: &[&str]| {
        let mut outputs = shape.outputs.iter();
        outputs.any(|output| types.contains(&output.io_type.as_str()))
    };
    let takes = |types: &[&str]| {
        let mut inputs = shape.inputs.iter();
        inputs.any(|input| types.contains(&input.io_type.as_str()))
    };
    if shape.loads {
        return Some(Stage::Load);
    }
    if shape.ends() {
        return Some(Stage::Finish);
    }
    if gives(&["CONDITIONING"]) {
        return Some(Stage::Prompt);
    }
    if gives(&SAMPLING) {
        return Some(Stage::Sample);
    }
    if takes(&["LATENT"]) && gives(&["AUDIO", "IMAGE", "MESH", "VIDEO", "VOXEL"]) {
        return Some(Stage::Finish);
    }
    gives(&MODELS).then_some(Stage::Load)
}
