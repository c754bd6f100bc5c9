//! What a sampler works with: the model by its file's name, and what is put on it.

use serde_json::Value;

use super::view::{Node, View};
use crate::comfy::model_name::{is_model_file, words};
use crate::comfy::nodes::{NodeClass, model_folder};
use crate::knowledge::{Knowledge, Model};

/// Words of `LoRA`s and models that were made for few steps without guidance.
const FAST: [&str; 13] = [
    "lightning",
    "lightx2v",
    "turbo",
    "hyper",
    "lcm",
    "distill",
    "distilled",
    "schnell",
    "dmd",
    "dmd2",
    "causvid",
    "fast",
    "fusionx",
];

/// A model that takes a CFG makes nothing of so few steps, unless something is put on it for them.
const FEW_STEPS: f64 = 12.0;

/// A sampler, or a node that sets one, with its model.
pub(super) struct Chain<'v, 'a, 'k> {
    view: &'v View<'a>,
    /// The node.
    pub(super) at: usize,
    /// What the model's file is known as.
    pub(super) model: &'k Model,
    /// Whether the model or something on it was made for few steps without guidance.
    pub(super) is_fast: bool,
    /// Whether the facts about the model are about this very one and not its whole version.
    pub(super) is_exact: bool,
    /// Whether nothing is put on the model that may ask for other settings than it does itself: no
    /// `LoRA`, and no class that somebody else wrote.
    pub(super) is_bare: bool,
}

/// The nodes that run with a model that is known.
pub(super) fn chains<'v, 'a, 'k>(
    view: &'v View<'a>,
    knowledge: &'k Knowledge,
) -> Vec<Chain<'v, 'a, 'k>> {
    let nodes = view.live_nodes();
    nodes
        .filter_map(|(at, _)| chain(view, knowledge, at))
        .collect()
}

fn chain<'v, 'a, 'k>(
    view: &'v View<'a>,
    knowledge: &'k Knowledge,
    at: usize,
) -> Option<Chain<'v, 'a, 'k>> {
    let node = &view.nodes[at];
    let sets = ["cfg", "steps", "latent_image"];
    if !sets.iter().any(|name| node.input(name).is_some()) {
        return None;
    }
    // A patch, such as CFGOverride: what it says is meant beside the sampler's own settings.
    if node.class.is_some_and(gives_model) {
        return None;
    }
    let takes_model = if node.link("model").is_some() {
        at
    } else {
        node.link("guider")?.node?
    };
    let [loader] = view.origins(takes_model, "model", "MODEL")[..] else {
        return None;
    };
    let file = model_file(view, loader)?;
    let found = knowledge.identify(file)?;
    let on_it = view.upstream(takes_model, "model");
    let mut inputs = on_it
        .iter()
        .filter_map(|&at| view.nodes[at].body.get("inputs"));
    let mut on_it = [at, takes_model].into_iter().chain(on_it.iter().copied());
    Some(Chain {
        view,
        at,
        model: found.model,
        is_fast: inputs.any(tells_of_speed),
        is_exact: found.variant.is_none(),
        is_bare: on_it.all(|at| !changes_settings(&view.nodes[at])),
    })
}

fn gives_model(class: &NodeClass) -> bool {
    let mut outputs = class.outputs().iter();
    outputs.any(|output| output.io_type().is("MODEL"))
}

/// Whether a text somewhere in it is the name of something for few steps. Loaders of several `LoRA`s
/// have them in maps of their own.
fn tells_of_speed(value: &Value) -> bool {
    match value {
        Value::String(text) => words(text).iter().any(|word| is_fast(word)),
        Value::Array(items) => items.iter().any(tells_of_speed),
        Value::Object(members) => members.values().any(tells_of_speed),
        _ => false,
    }
}

/// Whether a node puts a `LoRA` on the model, or nobody knows what.
fn changes_settings(node: &Node<'_>) -> bool {
    let is_foreign = node.class.is_none_or(NodeClass::is_custom);
    is_foreign || node.class_type.to_lowercase().contains("lora")
}

/// A word of [`FAST`], or a number of steps such as `4steps` and `8step`.
fn is_fast(word: &str) -> bool {
    let steps = word.trim_end_matches('s').strip_suffix("step");
    FAST.contains(&word)
        || steps.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The file of a diffusion model or checkpoint that a node loads.
fn model_file<'a>(view: &View<'a>, at: usize) -> Option<&'a str> {
    let node = &view.nodes[at];
    let inputs = node.inputs()?;
    let texts = inputs
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?)));
    let mut files = texts.filter(|(name, file)| {
        let folder = model_folder(node.class_type, name);
        if let Some(folder) = folder {
            return ["checkpoints", "diffusion_models"].contains(&folder);
        }
        let names = ["unet_name", "ckpt_name", "model_name", "model"];
        names.contains(&name.as_str()) && is_model_file(file)
    });
    files.next().map(|(_, file)| file)
}

impl<'a> Chain<'_, 'a, '_> {
    pub(super) fn node(&self) -> &Node<'a> {
        &self.view.nodes[self.at]
    }

    /// The nodes that make the latent it begins with.
    pub(super) fn latents(&self) -> Vec<usize> {
        self.view.origins(self.at, "latent_image", "LATENT")
    }

    /// A number among the settings that the model wants.
    pub(super) fn wanted(&self, name: &str) -> Option<f64> {
        self.model.settings.get(name)?.as_f64()
    }

    /// Whether few steps are made of it: itself, or by the sampler that it guides.
    pub(super) fn has_few_steps(&self) -> bool {
        let few = |node: &Node<'_>| node.number("steps").is_some_and(|steps| steps <= FEW_STEPS);
        let guides = |node: &Node<'_>| {
            let guider = node.link("guider").and_then(|link| link.node);
            guider == Some(self.at)
        };
        let mut samplers = self.view.live_nodes().filter(|(_, node)| guides(node));
        few(self.node())
            || samplers.any(|(at, _)| {
                let mut before = self.view.upstream(at, "sigmas").into_iter();
                before.any(|at| few(&self.view.nodes[at]))
            })
    }

    pub(super) fn is_of(&self, family: &str) -> bool {
        self.model.family.starts_with(family)
    }
}
