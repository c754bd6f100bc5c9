//! Settings far from what the model wants.

use serde_json::json;

use super::chain::Chain;
use crate::comfy::check::Finding;

pub(super) fn find(chains: &[Chain<'_, '_, '_>], found: &mut Vec<Finding>) {
    for chain in chains {
        found.extend(cfg(chain));
        found.extend(steps(chain));
    }
}

fn cfg(chain: &Chain<'_, '_, '_>) -> Option<Finding> {
    let node = chain.node();
    let given = node.number("cfg")?;
    let name = &chain.model.name;
    let wanted = chain.wanted("cfg")?;
    let wants_none = wanted <= 1.0;
    let (kind, message, suggestion) = if chain.is_exact && wants_none && given > 1.0 {
        let message = format!("{name} was distilled and takes a cfg of 1: {given} burns it");
        ("cfg_too_high", message, Some(1.0))
    } else if chain.is_fast && !wants_none && given > wanted.max(2.5) {
        let message = format!("for few steps, {name} takes a cfg near 1, not {given}");
        ("cfg_too_high", message, None)
    } else if !chain.is_fast && chain.is_exact && !wants_none {
        if given > (wanted * 2.5).max(10.0) {
            let message = format!("{name} takes a cfg near {wanted}: {given} oversaturates");
            ("cfg_too_high", message, Some(wanted))
        } else if given <= 1.0 && wanted >= 2.5 && !chain.has_few_steps() {
            let message = format!(
                "{name} takes a cfg near {wanted}: at {given} the prompt counts for little"
            );
            ("cfg_too_low", message, Some(wanted))
        } else {
            return None;
        }
    } else {
        return None;
    };
    let finding = Finding::warning(kind, node.id, node.class_type)
        .at("cfg", node.input("cfg")?)
        .allows(json!({ "wanted": wanted }));
    let suggestion = suggestion.filter(|_| chain.is_bare);
    Some(finding.says(message).suggests(suggestion))
}

fn steps(chain: &Chain<'_, '_, '_>) -> Option<Finding> {
    let node = chain.node();
    let given = node.number("steps")?;
    let wanted = chain.wanted("steps")?;
    if !chain.is_exact || (chain.is_fast && wanted > 12.0) {
        return None;
    }
    let name = &chain.model.name;
    // What is put on a model may be made for few steps, whatever it is called.
    let message = if given < wanted / 4.0 && chain.is_bare {
        format!("{name} takes some {wanted} steps: {given} leave noise")
    } else if given > wanted * 6.0 {
        format!("{name} takes some {wanted} steps: {given} take longer for nothing")
    } else {
        return None;
    };
    let finding = Finding::warning("steps_far_off", node.id, node.class_type)
        .at("steps", node.input("steps")?)
        .allows(json!({ "wanted": wanted }));
    #[expect(clippy::cast_possible_truncation, reason = "steps are few")]
    let wanted = wanted as i64;
    Some(
        finding
            .says(message)
            .suggests(chain.is_bare.then_some(wanted)),
    )
}
