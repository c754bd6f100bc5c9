//! `knowledge::`: which models are current, for what, with which settings. The facts answer without a
//! server; one that is there adds what it has installed, what memory it has, and what is newer in its
//! own templates.

use std::sync::Arc;

use rhai::exported_module;
use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::vram::told;
use super::{SharedModule, indexed};
use crate::comfy::{ComfyError, parse_version};
use crate::failure::Failure;
use crate::knowledge::{
    Candidate, Choice, Knowledge, KnowledgeError, Model, Newer, Room, Shelves, Stock,
};
use crate::script::estimate::PATIENCE;
use crate::script::host::{Context, answer, thrown};
use crate::vram::{Card, Fit, Fits, Inventory, Kind, Machine, fits_on};

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// The current and the deprecated models of a category.
    /// Throws `INVALID_PARAMS` for a category that there is not.
    /// Example: `knowledge::sota("image_gen")`
    #[rhai_fn(return_raw)]
    pub fn sota(call: NativeCallContext, category: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let shelves = super::shelves(&context);
        let newer = super::newer(&context);
        let knowledge = context.generation.knowledge();
        let found = knowledge.sota(category, shelves.as_ref(), &newer);
        answer(found.map_err(|error| thrown(super::refused(&context, error)))?)
    }

    /// Whether a model, by its name or a file's, is current, deprecated or unknown.
    /// Throws nothing: what is not known is UNKNOWN.
    /// Example: `knowledge::freshness("sdxl")`
    #[rhai_fn(return_raw)]
    pub fn freshness(call: NativeCallContext, name: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let newer = super::newer(&context);
        answer(context.generation.knowledge().freshness(name, &newer))
    }

    /// What the sampler of a model is to be set to; throws for one that is not known.
    /// Throws `NOT_FOUND`.
    /// Example: `knowledge::settings("Qwen-Image-2512")`
    #[rhai_fn(return_raw)]
    pub fn settings(call: NativeCallContext, name: &str) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        answer(super::settings(&context, name).map_err(thrown)?)
    }

    /// The best model for a task on a card of so many gigabytes; without a number, on the server's.
    /// Throws `NOT_FOUND` for a task that there is not.
    /// Example: `knowledge::recommend("portrait", 16.0)`
    #[rhai_fn(return_raw)]
    pub fn recommend(call: NativeCallContext, task: &str, vram_gb: Dynamic) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let number = vram_gb
            .as_float()
            .ok()
            .or_else(|| vram_gb.as_int().ok().map(super::whole));
        let found = super::recommend(&context, task, number);
        answer(found.map_err(|error| thrown(super::refused(&context, error)))?)
    }
}

/// Why there is no answer, with what is wrong with a file of facts of one's own: it may be in there.
pub(super) fn refused(context: &Context, error: KnowledgeError) -> Failure {
    let failure = Failure::from(error);
    match context.generation.facts_faults().next() {
        Some(fault) => failure.detail("facts_problem", fault.to_string()),
        None => failure,
    }
}

/// The files that the server has; none if it is not there.
fn shelves(context: &Context) -> Option<Shelves> {
    let listed = context.wait(async {
        let listed = timeout(PATIENCE, context.host.comfy.all_models());
        Ok::<_, ComfyError>(listed.await.ok().and_then(Result::ok))
    });
    listed.ok().flatten().map(Shelves::of)
}

/// What the server's templates have that the facts don't.
fn newer(context: &Context) -> Vec<Newer> {
    let templates =
        context.wait(async { Ok::<_, ComfyError>(context.host.comfy.templates().await) });
    let templates: Option<Arc<[_]>> = templates.ok().flatten();
    let knowledge = context.generation.knowledge();
    templates.map_or_else(Vec::new, |templates| knowledge.newer_among(&templates))
}

/// The settings of a model. Of one that is only among the server's templates, its template is told.
fn settings(context: &Context, name: &str) -> Result<Map<String, Value>, Failure> {
    let knowledge = context.generation.knowledge();
    knowledge.settings(name).map_err(|error| {
        let unknown = matches!(error, KnowledgeError::UnknownModel { .. });
        let failure = refused(context, error);
        let found = if unknown {
            knowledge.freshness(name, &newer(context)).newer_on_server
        } else {
            vec![]
        };
        match found.first() {
            Some(template) => failure
                .hint("the server has a template for it: its graph holds the settings")
                .detail("newer_on_server", json!(template)),
            None => failure,
        }
    })
}

/// A server as far as a recommendation depends on it.
struct Server {
    machine: Machine,
    version: Option<semver::Version>,
    shelves: Option<Shelves>,
    inventory: Inventory,
}

impl Server {
    /// The one at hand, with a card of so many gigabytes if that is asked about. A recommendation can
    /// be had without it.
    fn of(context: &Context, gigabytes: Option<f64>) -> Self {
        let comfy = &context.host.comfy;
        let stats = told(context, async { comfy.system_stats().await.ok() });
        let stats = stats.ok().flatten().flatten();
        let version = stats.as_ref().map(|stats| stats.comfyui_version.as_str());
        let inventory = stats.as_ref().and_then(|_| {
            let inventory = told(context, Inventory::of_model(comfy, ""));
            inventory.ok().flatten()
        });
        Self {
            machine: on(stats.as_ref().map(Machine::of), gigabytes),
            version: version.and_then(parse_version),
            shelves: stats.as_ref().and_then(|_| shelves(context)),
            inventory: inventory.unwrap_or_default(),
        }
    }

    /// What it can have of its card.
    fn available_gb(&self) -> Option<f64> {
        let card = self.machine.card?;
        Some(crate::vram::gigabytes(bytes(card.free)))
    }

    fn judge<'k>(&self, knowledge: &Knowledge, model: &'k Model) -> (Candidate<'k>, Option<Fits>) {
        let heavy = model.base.as_deref().unwrap_or(&model.name);
        let fits = fits_on(knowledge, heavy, "default", &self.inventory, &self.machine).ok();
        let needed = model.comfyui.as_deref().filter(|needed| {
            let needed = parse_version(needed);
            needed
                .zip(self.version.clone())
                .is_some_and(|(needed, has)| has < needed)
        });
        let shelves = self.shelves.as_ref();
        let known = fits.as_ref();
        let candidate = Candidate {
            model,
            room: room(model, known, self.available_gb()),
            needs_gb: known.and_then(|fits| fits.estimated_vram_gb),
            by_turns_gb: known.and_then(|fits| fits.by_turns_gb),
            moved_gb: known.map_or(0.0, |fits| fits.moved_gb),
            stock: shelves.map(|shelves| knowledge.stock(model, shelves)),
            too_new: needed.map(str::to_owned),
        };
        (candidate, fits)
    }
}

/// What a server works on, with another card in place of its own. Without a card of its own, it's one
/// of NVIDIA's.
fn on(machine: Option<Machine>, gigabytes: Option<f64>) -> Machine {
    let Some(card) = gigabytes.map(card_of) else {
        return machine.unwrap_or_default();
    };
    let with_card = machine.filter(|machine| machine.kind != Kind::Cpu);
    Machine {
        card: Some(card),
        device: None,
        idle: None,
        ..with_card.unwrap_or_default()
    }
}

fn room(model: &Model, fits: Option<&Fits>, card: Option<f64>) -> Room {
    match fits.map_or(Fit::Unknown, |fits| fits.fit) {
        Fit::Whole => Room::Whole,
        Fit::Streamed => Room::Streamed,
        Fit::Elsewhere => Room::Elsewhere,
        Fit::No => Room::TooLarge,
        Fit::Unknown => {
            let small = model.download_gb.zip(card);
            if small.is_some_and(|(files, card)| files <= card) {
                Room::Likely
            } else {
                Room::Unknown
            }
        }
    }
}

fn recommend(
    context: &Context,
    task: &str,
    gigabytes: Option<f64>,
) -> Result<Value, KnowledgeError> {
    let knowledge = context.generation.knowledge();
    let recommendation = knowledge.recommend(task)?;
    let server = Server::of(context, gigabytes);
    let judged: Vec<(Candidate<'_>, Option<Fits>)> = recommendation
        .models
        .iter()
        .map(|model| server.judge(knowledge, model))
        .collect();
    let (candidates, fits): (Vec<_>, Vec<_>) = judged.into_iter().unzip();
    let card = server.available_gb();
    let choice = Choice::among(&candidates, recommendation.reason, card);
    let mut told = json!({
        "task": task,
        "recommended": null,
        "reason": choice.reason,
        "available_vram_gb": card,
        "will_fit": false,
        "alternatives": choice.others,
    });
    let chosen = choice.chosen.and_then(|place| candidates.get(place));
    match (chosen, told.as_object_mut()) {
        (Some(candidate), Some(told)) => told.extend(chosen_one(candidate)),
        (None, Some(told)) => {
            let way_out = way_out(knowledge, &recommendation.models, &fits);
            told.insert("way_out".to_owned(), way_out.into());
        }
        (_, None) => {}
    }
    Ok(told)
}

/// What there is to say of the model that was chosen.
fn chosen_one(candidate: &Candidate<'_>) -> Map<String, Value> {
    let model = candidate.model;
    let files: Vec<String> = model
        .files
        .iter()
        .map(crate::knowledge::File::path)
        .collect();
    let precision = model
        .files
        .iter()
        .find_map(|file| file.precision.as_deref());
    let will_fit = match candidate.room {
        Room::Whole | Room::Streamed => Some(true),
        Room::TooLarge => Some(false),
        Room::Likely | Room::Unknown | Room::Elsewhere => None,
    };
    let mut told = Map::new();
    for (name, value) in [
        ("recommended", json!(model.name)),
        ("template", json!(model.template)),
        ("settings", json!(model.settings)),
        ("comfyui_files", json!(files)),
        ("suggested_precision", json!(precision)),
        ("estimated_vram_gb", json!(candidate.needs_gb)),
        ("will_fit", json!(will_fit)),
        ("fit", json!(candidate.room)),
        ("status", json!(model.status)),
    ] {
        told.insert(name.to_owned(), value);
    }
    for (name, value) in [
        ("base", json!(model.base)),
        ("replaced_by", json!(model.replaced_by)),
        ("by_turns_gb", json!(candidate.by_turns_gb)),
    ] {
        if !value.is_null() {
            told.insert(name.to_owned(), value);
        }
    }
    if let Some(Stock { installed, missing }) = &candidate.stock {
        told.insert("installed".to_owned(), json!(installed));
        told.insert("missing".to_owned(), json!(missing));
    }
    told
}

/// The nearest way to do it all the same.
fn way_out(knowledge: &Knowledge, models: &[&Model], fits: &[Option<Fits>]) -> String {
    let smaller = fits.iter().flatten().find_map(|fits| {
        let mut others = fits.alternatives.iter();
        let runs = |fit: Fit| matches!(fit, Fit::Whole | Fit::Streamed);
        let other = others.find(|other| runs(other.fit))?;
        let needs = other.estimated_vram_gb?;
        let precision = json!(other.precision);
        let precision = precision.as_str().unwrap_or_default().to_owned();
        Some(format!(
            "{} in {precision} needs {needs} GB and would run",
            fits.model
        ))
    });
    smaller.unwrap_or_else(|| {
        let category = models.first().map_or("", |model| model.category.as_str());
        let elsewhere = knowledge.elsewhere(category);
        match elsewhere.get(..elsewhere.len().min(3)) {
            Some(some @ [_, ..]) => format!(
                "take a model that runs elsewhere, for credits: {}; or a larger card",
                some.join(", ")
            ),
            _ => "take a larger card".to_owned(),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_card_changes_the_card_alone() {
        let own = Machine {
            kind: Kind::Mps,
            reserved: 7.0,
            idle: Some(1.0),
            ..Machine::with_card(Some(card_of(16.0)))
        };
        let other = on(Some(own.clone()), Some(24.0));
        assert_eq!((other.kind, other.card), (Kind::Mps, Some(card_of(24.0))));
        assert_eq!(
            (other.reserved.to_bits(), other.idle),
            (7.0_f64.to_bits(), None)
        );
        assert_eq!(on(Some(own.clone()), None), own);
        let none = Machine {
            kind: Kind::Cpu,
            ..own
        };
        assert_eq!(on(Some(none), Some(24.0)).kind, Kind::Cuda);
    }
}
