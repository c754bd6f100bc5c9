//! The colours of links and titles.

use super::shape::Shape;
use crate::comfy::nodes::NodeClass;

/// Links by their type, as the editor's dark palette has them (frontend 1.49.6), and some that it
/// leaves grey.
const LINKS: [(&str, &str); 24] = [
    ("AUDIO", "#f4a261"),
    ("BOOLEAN", "#9aa5b1"),
    ("CLIP", "#ffd500"),
    ("CLIP_VISION", "#a8dadc"),
    ("CLIP_VISION_OUTPUT", "#ad7452"),
    ("CONDITIONING", "#ffa931"),
    ("CONTROL_NET", "#6ee7b7"),
    ("FLOAT", "#9aa5b1"),
    ("GUIDER", "#66ffff"),
    ("IMAGE", "#64b5f6"),
    ("INT", "#9aa5b1"),
    ("LATENT", "#ff9cf9"),
    ("LATENT_UPSCALE_MODEL", "#b39ddb"),
    ("MASK", "#81c784"),
    ("MESH", "#c0a080"),
    ("MODEL", "#b39ddb"),
    ("NOISE", "#b0b0b0"),
    ("SAMPLER", "#ecb4b4"),
    ("SIGMAS", "#cdffcd"),
    ("STRING", "#9aa5b1"),
    ("STYLE_MODEL", "#c2ffae"),
    ("UPSCALE_MODEL", "#b39ddb"),
    ("VAE", "#ff6e6e"),
    ("VIDEO", "#4dd0e1"),
];

/// Any other link.
const LINK: &str = "#99aabb";

/// Titles by the beginning of the class's category, the first that fits.
const TITLES: [(&str, &str); 13] = [
    ("loaders", "#5b4b8a"),
    ("model/loaders", "#5b4b8a"),
    ("model/conditioning", "#8a5a1f"),
    ("conditioning", "#8a5a1f"),
    ("model/latent", "#84487f"),
    ("latent", "#84487f"),
    ("model/sampling", "#2f5d9b"),
    ("sampling", "#2f5d9b"),
    ("model", "#5b4b8a"),
    ("image", "#2a6f8f"),
    ("video", "#1f7a80"),
    ("audio", "#8f4f2e"),
    ("partner", "#7a6a1f"),
];

/// Titles of nodes that end a workflow, of all others, and of unknown classes.
const RESULT: &str = "#2e7d4f";
const OTHER: &str = "#4d5665";
const UNKNOWN: &str = "#8f3a3a";

pub(super) fn of_link(io_type: &str) -> &'static str {
    let known = LINKS.iter().find(|(name, _)| *name == io_type);
    known.map_or(LINK, |(_, colour)| colour)
}

pub(super) fn of_title(shape: &Shape<'_>) -> &'static str {
    let Some(class) = shape.known else {
        return UNKNOWN;
    };
    if shape.ends() {
        return RESULT;
    }
    of_category(class)
}

fn of_category(class: &NodeClass) -> &'static str {
    let mut titles = TITLES.iter();
    let known = titles.find(|(start, _)| class.category().starts_with(start));
    known.map_or(OTHER, |(_, colour)| colour)
}
