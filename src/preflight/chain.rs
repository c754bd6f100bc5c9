//! What a sampler works with: the model by its file's name, and what is put on it.

use super::view::View;
use crate::comfy::model_name::{is_model_file, words};
use crate::comfy::nodes::model_folder;
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
    let on_it = view.upstream(takes_model, "model").into_iter();
    let loras = on_it.filter_map(|at| view.nodes[at].text("lora_name"));
    let is_fast = loras
        .chain([file])
        .any(|name| words(name).iter().any(|word| is_fast(word)));
    Some(Chain {
        view,
        at,
        model: found.model,
        is_fast,
        is_exact: found.variant.is_none(),
    })
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
    pub(super) fn node(&self) -> &super::view::Node<'a> {
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

    pub(super) fn is_of(&self, family: &str) -> bool {
        self.model.family.starts_with(family)
    }
}
