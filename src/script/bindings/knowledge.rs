//! `knowledge::`: which models are current, for what, with which settings.

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::{Value, json};

use super::{SharedModule, indexed};
use crate::knowledge::Model;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Card, Fit, Fits, fits};

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// The current and the deprecated models of a category.
    #[rhai_fn(return_raw)]
    pub fn sota(call: NativeCallContext, category: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(context.host.knowledge.sota(category).map_err(thrown)?)
    }

    /// Whether a model, by its name or a file's, is current, deprecated or unknown.
    #[rhai_fn(return_raw)]
    pub fn freshness(call: NativeCallContext, name: &str) -> Fallible<Dynamic> {
        answer(Context::of(&call).host.knowledge.freshness(name))
    }

    /// What the sampler of a model is to be set to; throws for one that is not known.
    #[rhai_fn(return_raw)]
    pub fn settings(call: NativeCallContext, name: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(context.host.knowledge.settings(name).map_err(thrown)?)
    }

    /// The best model for a task on a card of so many gigabytes; without a number, on the server's.
    #[rhai_fn(return_raw)]
    pub fn recommend(call: NativeCallContext, task: &str, vram_gb: Dynamic) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let number = vram_gb
            .as_float()
            .ok()
            .or_else(|| vram_gb.as_int().ok().map(super::whole));
        let card = match number {
            Some(gigabytes) => Some(super::card_of(gigabytes)),
            // A recommendation can be had without a server.
            None => context
                .wait(context.host.comfy.system_stats())
                .ok()
                .as_ref()
                .and_then(Card::of),
        };
        answer(super::recommend(&context, task, card).map_err(thrown)?)
    }
}

fn recommend(
    context: &Context,
    task: &str,
    card: Option<Card>,
) -> Result<Value, crate::knowledge::KnowledgeError> {
    let knowledge = &context.host.knowledge;
    let recommendation = knowledge.recommend(task)?;
    let judged: Vec<(&Model, Option<Fits>)> = recommendation
        .models
        .iter()
        .map(|model| {
            (
                *model,
                fits(knowledge, &model.name, "default", None, card).ok(),
            )
        })
        .collect();
    let fit = |judged: &Option<Fits>| judged.as_ref().map_or(Fit::Unknown, |fits| fits.fit);
    // The best that runs whole, else the best that runs at all.
    let whole = judged.iter().find(|(_, fits)| fit(fits) == Fit::Whole);
    let runs = || judged.iter().find(|(_, fits)| fit(fits) != Fit::No);
    let Some((model, judgement)) = whole.or_else(runs).or(judged.first()) else {
        return Ok(json!({ "task": task, "recommended": null }));
    };
    let others: Vec<Value> = judged
        .iter()
        .filter(|(other, _)| other.name != model.name)
        .map(|(other, fits)| json!({ "name": other.name, "fit": fit(fits) }))
        .collect();
    let files: Vec<String> = model
        .files
        .iter()
        .map(|file| format!("{}/{}", file.folder, file.name))
        .collect();
    let precision = model
        .files
        .iter()
        .find_map(|file| file.precision.as_deref());
    Ok(json!({
        "task": task,
        "recommended": model.name,
        "reason": recommendation.reason,
        "template": model.template,
        "settings": model.settings,
        "comfyui_files": files,
        "suggested_precision": precision,
        "estimated_vram_gb": judgement.as_ref().and_then(|fits| fits.estimated_vram_gb),
        "available_vram_gb": card.map(|card| crate::vram::gigabytes(bytes(card.total))),
        "will_fit": judgement.as_ref().and_then(|fits| fits.will_fit),
        "fit": fit(judgement),
        "alternatives": others,
    }))
}

fn card_of(gigabytes: f64) -> Card {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "memory is far below 2^64 bytes, and the cast saturates"
    )]
    let total = (gigabytes * crate::vram::GIB) as u64;
    Card { total, free: total }
}

#[expect(clippy::cast_precision_loss, reason = "gigabytes are few")]
fn whole(gigabytes: rhai::INT) -> f64 {
    gigabytes as f64
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}
