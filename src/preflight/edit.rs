//! Editing pictures with Qwen-Image.
//!
//! It starts from noise and sees the picture beside it. So `denoise` stays 1, a CFG above 4
//! oversaturates, and a background is only replaced where the latent does not hold the old one.

use serde_json::json;

use super::chain::Chain;
use super::view::View;
use crate::comfy::check::Finding;

/// Beyond this it oversaturates.
const MOST_CFG: f64 = 4.0;

pub(super) fn find(view: &View<'_>, chains: &[Chain<'_, '_, '_>], found: &mut Vec<Finding>) {
    for chain in chains {
        let edits = chain.model.name.to_lowercase().contains("edit");
        if chain.is_of("qwen-image") && edits {
            found.extend(cfg(chain));
            found.extend(denoise(view, chain));
            found.extend(latent(view, chain));
        }
    }
}

fn cfg(chain: &Chain<'_, '_, '_>) -> Option<Finding> {
    let node = chain.node();
    let given = node.number("cfg").filter(|cfg| *cfg > MOST_CFG)?;
    let wanted = chain.wanted("cfg").unwrap_or(MOST_CFG).min(MOST_CFG);
    let message = format!("{} oversaturates at a cfg of {given}", chain.model.name);
    let finding = Finding::warning("cfg_too_high", node.id, node.class_type)
        .at("cfg", node.input("cfg")?)
        .allows(json!({ "max": MOST_CFG, "wanted": wanted }));
    Some(
        finding
            .says(message)
            .suggests(chain.is_bare.then_some(wanted)),
    )
}

fn denoise(view: &View<'_>, chain: &Chain<'_, '_, '_>) -> Option<Finding> {
    let node = chain.node();
    let given = node.number("denoise").filter(|denoise| *denoise < 1.0)?;
    if !begins_there(view, chain) {
        return None;
    }
    let message = format!(
        "{} sees the picture beside the noise: denoise stays 1, not {given}",
        chain.model.name
    );
    let finding = Finding::warning("denoise_below_one", node.id, node.class_type)
        .at("denoise", node.input("denoise")?)
        .allows(json!({ "wanted": 1.0 }));
    Some(finding.says(message).suggests(1.0))
}

/// Whether the picture is begun there, and not one that another sampler made is gone over once more,
/// where a low denoise is the point of it. What classes of other authors do, nobody knows.
fn begins_there(view: &View<'_>, chain: &Chain<'_, '_, '_>) -> bool {
    let is_known = |at: usize| view.nodes[at].class.is_some_and(|class| !class.is_custom());
    let before = view.upstream(chain.at, "latent_image");
    let goes_on = |&at: &usize| !is_known(at) || view.nodes[at].link("latent_image").is_some();
    let is_first = |at: usize| {
        let class = view.nodes[at].class_type;
        class == "VAEEncode" || class.starts_with("Empty")
    };
    let latents = chain.latents();
    is_known(chain.at)
        && !before.iter().any(goes_on)
        && !latents.is_empty()
        && latents.into_iter().all(is_first)
}

fn latent(view: &View<'_>, chain: &Chain<'_, '_, '_>) -> Option<Finding> {
    let node = chain.node();
    let holds_picture = chain
        .latents()
        .iter()
        .any(|&at| view.nodes[at].class_type == "VAEEncode");
    let about_background = ["positive", "guider"].iter().any(|side| {
        let mut texts = view.upstream(chain.at, side).into_iter().flat_map(|at| {
            let node = &view.nodes[at];
            ["prompt", "text"].map(|name| node.text(name).unwrap_or_default())
        });
        texts.any(|text| text.to_lowercase().contains("background"))
    });
    if !holds_picture || !about_background {
        return None;
    }
    let finding = Finding::warning("latent_holds_picture", node.id, node.class_type)
        .at("latent_image", node.input("latent_image")?)
        .allows(json!({ "class": "EmptyQwenImageLayeredLatentImage" }));
    Some(finding.says(
        "to replace a background, start from EmptyQwenImageLayeredLatentImage: VAEEncode keeps the \
         old one",
    ))
}
