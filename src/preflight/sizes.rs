//! Numbers of frames and sizes that a family does not have.
//!
//! The server's nodes round them down without a word, so that the clip comes out shorter or smaller
//! than was asked for.

use serde_json::{Value, json};

use super::chain::Chain;
use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::knowledge::Model;

/// Frames per step of a family's latent: a clip has a multiple of it plus one. From the
/// `temporal` strides of the autoencoders in `ComfyUI` 0.33 (`comfy/sd.py`).
const FRAMES: [(&str, i64); 6] = [
    ("ltx", 8),
    ("wan", 4),
    ("hunyuan-video", 4),
    ("cosmos", 8),
    ("mochi", 6),
    ("kandinsky5", 4),
];

/// Pixels per cell of a family's latent, where that is not 8 (`comfy/latent_formats.py` of 0.33).
const PIXELS: [(&str, i64); 5] = [
    ("ltx", 32),
    ("flux2", 16),
    ("wan22-5b", 16),
    ("hunyuan-video-15", 16),
    ("hunyuan-image", 32),
];

pub(super) fn find(view: &View<'_>, chains: &[Chain<'_, '_, '_>], found: &mut Vec<Finding>) {
    let mut seen = vec![];
    for chain in chains {
        for latent in chain.latents() {
            if seen.contains(&latent) {
                continue;
            }
            seen.push(latent);
            let node = &view.nodes[latent];
            if let Some(step) = frame_step(chain.model) {
                for name in ["length", "frames_number", "num_frames", "frames"] {
                    found.extend(frames(node, name, step, chain.model));
                }
            }
            for name in ["width", "height"] {
                found.extend(pixels(node, name, chain.model));
            }
        }
    }
}

/// What the facts say ("8 n + 1"), or else the family.
fn frame_step(model: &Model) -> Option<i64> {
    let said = model.settings.get("frames").and_then(Value::as_str);
    let said = said.and_then(|rule| {
        let rule: String = rule.chars().filter(|c| !c.is_whitespace()).collect();
        rule.strip_suffix("n+1")?.parse().ok()
    });
    said.or_else(|| by_family(&FRAMES, model))
}

fn by_family(table: &[(&str, i64)], model: &Model) -> Option<i64> {
    let of_family = table
        .iter()
        .filter(|(family, _)| model.family.starts_with(family));
    of_family
        .max_by_key(|(family, _)| family.len())
        .map(|(_, number)| *number)
}

fn frames(node: &Node<'_>, name: &str, step: i64, model: &Model) -> Option<Finding> {
    let value = node.input(name)?.as_i64().filter(|value| *value > 0)?;
    let over = (value - 1) % step;
    if over == 0 || step < 2 {
        return None;
    }
    let (below, above) = (value - over, value - over + step);
    let finding = Finding::warning("frame_count", node.id, node.class_type)
        .at(name, &json!(value))
        .allows(json!({ "step": step, "offset": 1 }));
    let message = format!(
        "{} makes clips of {step} n + 1 frames: {value} become {below}, the next are {above}",
        model.name
    );
    let nearest = if over * 2 > step { above } else { below };
    Some(finding.says(message).suggests(json!(nearest)))
}

fn pixels(node: &Node<'_>, name: &str, model: &Model) -> Option<Finding> {
    let step = by_family(&PIXELS, model).unwrap_or(8);
    let value = node.input(name)?.as_i64().filter(|value| *value > 0)?;
    let over = value % step;
    if over == 0 {
        return None;
    }
    let below = (value - over).max(step);
    let finding = Finding::warning("size_multiple", node.id, node.class_type)
        .at(name, &json!(value))
        .allows(json!({ "step": step }));
    let message = format!(
        "{} works in steps of {step} pixels: {value} become {below}",
        model.name
    );
    let nearest = if over * 2 > step {
        value - over + step
    } else {
        below
    };
    Some(finding.says(message).suggests(json!(nearest)))
}
