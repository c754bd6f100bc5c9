//! Samplers: they take their steps, show a picture emerging from noise, and leave a latent whose
//! picture depends on everything that went in.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::node::{Call, Outcome, Raised};
use super::super::picture::Painting;
use super::super::value::{Content, Frame, Latent, Value};
use super::{Behaviours, latent};

/// Previews are at most this large (`--preview-size` is 512; ours are smaller to stay fast).
const PREVIEW_SIDE: u32 = 256;

pub(super) fn register(behaviours: &mut Behaviours) {
    let classes = [
        "KSampler",
        "KSamplerAdvanced",
        "SamplerCustom",
        "SamplerCustomAdvanced",
    ];
    super::plain(behaviours, &classes, sample);
}

/// Whether a class samples: it takes a latent and a model or guider with something that counts
/// steps, and gives a latent.
pub(super) fn is_sampler(call: &Call<'_>) -> bool {
    let shape = call.shape;
    let counts = shape.takes("SIGMAS") || shape.input("steps").is_some();
    let thinks = shape.takes("MODEL") || shape.takes("GUIDER");
    counts && thinks && shape.takes("LATENT") && shape.outputs.iter().any(|kind| kind == "LATENT")
}

/// Which steps are taken of how many.
struct Plan {
    steps: u64,
    from: u64,
    to: u64,
    /// How much of what is there gives way, 0 to 1.
    strength: f32,
}

impl Plan {
    fn of(call: &Call<'_>) -> Self {
        let schedule = call.inputs.values().find_map(|value| match value {
            Value::Opaque(opaque) if opaque.kind == "SIGMAS" => Some(opaque.clone()),
            _ => None,
        });
        let number = |name: &str| {
            call.inputs
                .get(name)
                .and_then(|value| value.as_json()?.as_u64())
        };
        let scheduled = schedule.as_ref().and_then(|one| one.steps);
        let steps = number("steps").or(scheduled).unwrap_or(20).clamp(1, 10_000);
        let from = number("start_at_step").unwrap_or(0).min(steps);
        let to = number("end_at_step").unwrap_or(steps).clamp(from, steps);
        let denoise = call
            .inputs
            .get("denoise")
            .and_then(|value| value.as_json()?.as_f64());
        let denoise = denoise
            .or(schedule.and_then(|one| one.denoise))
            .unwrap_or(1.0);
        let strength = share(steps - from, steps) * clamped(denoise);
        Self {
            steps,
            from,
            to,
            strength,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of steps are small")]
fn share(part: u64, whole: u64) -> f32 {
    part as f32 / whole.max(1) as f32
}

#[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
fn clamped(part: f64) -> f32 {
    part.clamp(0.0, 1.0) as f32
}

pub(super) fn sample(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let start = call.inputs.values().find_map(|value| match value {
        Value::Latent(latent) => Some(latent.clone()),
        _ => None,
    });
    let start =
        start.ok_or_else(|| Raised::new("TypeError", "'NoneType' object is not subscriptable"))?;
    let plan = Plan::of(call);
    let painting = Painting {
        digest: call.signature,
        words: words(call),
        base: latent::base(&start).map(|frames| (frames, plan.strength)),
        mask: start.mask.clone(),
        is_clip: start.is_clip,
        done: 1.0,
    };
    let (width, height) = preview_size(&start);
    for step in plan.from..plan.to {
        let emerging = Painting {
            done: share(step + 1, plan.steps),
            words: Vec::new(),
            ..painting.clone()
        };
        let preview = || Frame::Painted {
            painting: Arc::new(emerging.clone()),
            index: 0,
            width,
            height,
        };
        call.server
            .step(step + 1 - plan.from, plan.to - plan.from, Some(&preview))?;
    }
    let leftover = call
        .json("return_with_leftover_noise")
        .and_then(Json::as_str)
        == Some("enable");
    let done = if leftover {
        share(plan.to, plan.steps)
    } else {
        1.0
    };
    let sampled = Latent {
        content: Content::Sampled(Arc::new(Painting { done, ..painting })),
        ..(*start).clone()
    };
    let value = Value::Latent(Arc::new(sampled));
    Ok(Outcome::values(vec![value; call.shape.outputs.len()]))
}

/// What was asked for: the positive prompt, or what the guider was given.
fn words(call: &Call<'_>) -> Vec<String> {
    let from = ["positive", "guider", "conditioning"]
        .into_iter()
        .find_map(|name| call.inputs.get(name));
    from.map(Value::words).unwrap_or_default()
}

fn preview_size(latent: &Latent) -> (u32, u32) {
    let longer = latent.width.max(latent.height).max(PREVIEW_SIDE);
    let fit = |side| latent::proportional(side, PREVIEW_SIDE, longer);
    (fit(latent.width), fit(latent.height))
}
