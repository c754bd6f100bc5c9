//! Numbers of frames and sizes that a family does not have.
//!
//! The server's nodes round most of them down without a word, so that the clip comes out shorter or
//! smaller than was asked for.

use serde_json::json;

use super::chain::Chain;
use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::knowledge::{FrameRule, Knowledge, Model};

pub(super) fn find(
    view: &View<'_>,
    knowledge: &Knowledge,
    chains: &[Chain<'_, '_, '_>],
    found: &mut Vec<Finding>,
) {
    let mut seen = vec![];
    for chain in chains {
        for latent in chain.latents() {
            if seen.contains(&latent) {
                continue;
            }
            seen.push(latent);
            let node = &view.nodes[latent];
            if let Some(rule) = knowledge.frame_rule(chain.model) {
                for name in ["length", "frames_number", "num_frames", "frames"] {
                    found.extend(frames(node, name, rule, chain.model));
                }
            }
            let step = knowledge.size_multiple(chain.model).map_or(8, i64::from);
            for name in ["width", "height"] {
                found.extend(pixels(node, name, step, chain.model));
            }
        }
    }
}

fn frames(node: &Node<'_>, name: &str, rule: FrameRule, model: &Model) -> Option<Finding> {
    let value = node.input(name)?.as_u64().filter(|value| *value > 0)?;
    let value = u32::try_from(value).ok()?;
    if rule.allows(value) || rule.step < 2 {
        return None;
    }
    let nearest = rule.nearest(value);
    let finding = Finding::warning("frame_count", node.id, node.class_type)
        .at(name, &json!(value))
        .allows(json!({ "step": rule.step, "offset": rule.first }));
    let message = format!(
        "{} makes clips of {rule} frames; {nearest} is the nearest to {value}",
        model.name
    );
    Some(finding.says(message).suggests(json!(nearest)))
}

fn pixels(node: &Node<'_>, name: &str, step: i64, model: &Model) -> Option<Finding> {
    let value = node.input(name)?.as_i64().filter(|value| *value > 0)?;
    let over = value % step;
    if over == 0 {
        return None;
    }
    let below = (value - over).max(step);
    let nearest = if over * 2 > step {
        value - over + step
    } else {
        below
    };
    let finding = Finding::warning("size_multiple", node.id, node.class_type)
        .at(name, &json!(value))
        .allows(json!({ "step": step }));
    let message = format!(
        "{} takes sides that are multiples of {step}; {nearest} is the nearest to {value}",
        model.name
    );
    Some(finding.says(message).suggests(json!(nearest)))
}
