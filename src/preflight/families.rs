//! Parts of one family on a model of another.
//!
//! A file's name is no proof, so these are warnings. Which autoencoder and which text encoders
//! belong to a family is known from the files of its models.

use std::collections::HashSet;

use serde_json::json;

use super::chain::Chain;
use super::view::View;
use crate::comfy::check::Finding;
use crate::comfy::model_name::{is_precision, words};
use crate::comfy::nodes::model_folder;
use crate::knowledge::{Knowledge, Model};

pub(super) fn find(
    view: &View<'_>,
    knowledge: &Knowledge,
    chains: &[Chain<'_, '_, '_>],
    found: &mut Vec<Finding>,
) {
    let mut seen = HashSet::new();
    // What stands above several samplers is looked at for the first of them.
    let mut walked = vec![false; view.nodes.len()];
    for chain in chains {
        let encoders = ["positive", "negative", "conditioning", "guider"]
            .into_iter()
            .flat_map(|side| view.upstream_past(chain.at, side, &mut walked));
        for encoder in encoders.collect::<Vec<_>>() {
            if view.nodes[encoder].link("clip").is_none() {
                continue;
            }
            for loader in view.origins(encoder, "clip", "CLIP") {
                if seen.insert(loader) {
                    found.extend(foreign(
                        view,
                        knowledge,
                        chain.model,
                        loader,
                        "text_encoders",
                    ));
                }
            }
        }
    }
    for (at, node) in view.live_nodes() {
        if node.link("vae").is_none() || node.link("samples").is_none() {
            continue;
        }
        let upstream: HashSet<usize> = view.upstream(at, "samples").into_iter().collect();
        let mut models = chains.iter().filter(|chain| upstream.contains(&chain.at));
        let Some(chain) = models.next() else { continue };
        // A latent that went through models of several families is nobody's in particular.
        if models.any(|other| other.model.family != chain.model.family) {
            continue;
        }
        for loader in view.origins(at, "vae", "VAE") {
            if seen.insert(loader) {
                found.extend(foreign(view, knowledge, chain.model, loader, "vae"));
            }
        }
    }
}

/// What a loader loads into a folder's place although it belongs to other families only.
fn foreign(
    view: &View<'_>,
    knowledge: &Knowledge,
    model: &Model,
    loader: usize,
    folder: &str,
) -> Option<Finding> {
    let node = &view.nodes[loader];
    let own = files(knowledge, |other| other.family == model.family, folder);
    if own.is_empty() {
        return None;
    }
    let inputs = node.inputs()?.iter();
    let (name, value) = inputs
        .filter(|(name, _)| model_folder(node.class_type, name) == Some(folder))
        .find(|(_, value)| {
            let file = value.as_str().unwrap_or_default();
            let is_own = own.iter().any(|own| key(own) == key(file));
            let known = files(knowledge, |_| true, folder);
            !is_own && known.iter().any(|known| key(known) == key(file))
        })?;
    let part = if folder == "vae" {
        "autoencoder"
    } else {
        "text encoder"
    };
    let listed = node.class.and_then(|class| class.input(name)?.choices());
    let installed = own
        .iter()
        .find(|own| listed.is_some_and(|listed| listed.iter().any(|file| file == **own)));
    let finding = Finding::warning("mixed_families", node.id, node.class_type)
        .at(name, value)
        .allows(json!({ "choices": own, "count": own.len() }))
        .says(format!(
            "{} belongs to another family than {}, whose {part} is {}",
            value.as_str().unwrap_or_default(),
            model.name,
            own.join(" or ")
        ));
    // Several encoders have places of their own.
    let installed = installed.filter(|_| folder == "vae").copied();
    let given = value.as_str().unwrap_or_default();
    Some(finding.suggests(installed.filter(|own| !read_the_same(given, own))))
}

/// Whether one autoencoder reads the latents of the other well enough: Qwen-Image's was trained on
/// from Wan 2.1's, with the same shape of latents, and people use either for both.
fn read_the_same(one: &str, other: &str) -> bool {
    const ALIKE: [&str; 2] = ["wan_2.1_vae.safetensors", "qwen_image_vae.safetensors"];
    let is_alike = |file: &str| ALIKE.iter().any(|name| key(name) == key(file));
    is_alike(one) && is_alike(other)
}

/// The files in a folder that belong to models.
fn files<'k>(knowledge: &'k Knowledge, of: impl Fn(&Model) -> bool, folder: &str) -> Vec<&'k str> {
    let mut names: Vec<&str> = vec![];
    let models = knowledge.models.iter().filter(|model| of(model));
    for file in models.flat_map(|model| &model.files) {
        if file.folder == folder && !names.contains(&&*file.name) {
            names.push(&file.name);
        }
    }
    names
}

/// The words of a name that do not merely tell how its numbers are stored.
fn key(name: &str) -> Vec<String> {
    let words = words(name).into_iter();
    words.filter(|word| !is_precision(word)).collect()
}
