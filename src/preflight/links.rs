//! Links that the server's validator does not look at, or sees otherwise than people do.

use serde_json::{Value, json};

use super::names::takes_anything;
use super::view::{Node, View};
use crate::comfy::check::Finding;
use crate::comfy::nodes::{Dynamic, NodeClass};
use crate::comfy::validate::{Expanded, expand};

pub(super) fn find(view: &View<'_>, found: &mut Vec<Finding>) {
    for (node, class) in view.known() {
        let Some(inputs) = node.inputs() else {
            continue;
        };
        let given = node.body.get("inputs").unwrap_or(&Value::Null);
        let Ok(expanded) = expand(class, given, view.rules) else {
            continue;
        };
        for (name, value) in inputs {
            let declared = is_declared(class, &expanded, name);
            if let Some(finding) = link(view, node, name, value, declared) {
                found.push(finding);
            } else if declared {
                found.extend(literal(node, &expanded, name, value));
            }
        }
    }
}

/// Whether the class knows of an input of that name, or of one that brings it.
fn is_declared(class: &NodeClass, expanded: &Expanded<'_>, name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    expanded.inputs.iter().any(|input| input.name == name) || class.input(stem).is_some()
}

fn link(
    view: &View<'_>,
    node: &Node<'_>,
    name: &str,
    value: &Value,
    declared: bool,
) -> Option<Finding> {
    let link = node.link(name)?;
    let dead = || format!("there is no node \"{}\"", link.id);
    let Some(target) = link.node else {
        if declared {
            // The server says so itself, at another place.
            return None;
        }
        // Undeclared inputs are not validated, but the executor follows them and dies.
        let finding = Finding::error("dangling_link", node.id, node.class_type);
        return Some(
            finding
                .at(name, value)
                .says(format!("{}, and the server's worker ends over it", dead())),
        );
    };
    let negative = value[1].as_i64().is_some_and(|slot| slot < 0);
    if negative {
        let slots = view.nodes[target].class.map(|class| class.outputs().len());
        let meant = slots.and_then(|slots| {
            let back = usize::try_from(value[1].as_i64()?.unsigned_abs()).ok()?;
            slots.checked_sub(back)
        });
        let finding = Finding::warning("negative_slot", node.id, node.class_type)
            .at(name, value)
            .says("the slot is counted from the end, which only happens to work");
        return Some(finding.suggests(meant.map_or(Value::Null, |slot| json!([link.id, slot]))));
    }
    if !declared && !node.class.is_some_and(takes_anything) {
        let finding = Finding::warning("undeclared_link", node.id, node.class_type);
        return Some(finding.at(name, value).says(format!(
            "{} has no input \"{name}\": what is linked there runs for nothing",
            node.class_type
        )));
    }
    None
}

/// A value where only a link makes sense. The server lets it through.
fn literal(node: &Node<'_>, expanded: &Expanded<'_>, name: &str, value: &Value) -> Option<Finding> {
    const LINKED: [&str; 14] = [
        "MODEL",
        "CLIP",
        "VAE",
        "CONDITIONING",
        "LATENT",
        "IMAGE",
        "MASK",
        "AUDIO",
        "VIDEO",
        "CONTROL_NET",
        "NOISE",
        "GUIDER",
        "SAMPLER",
        "SIGMAS",
    ];
    let declared = expanded.inputs.iter().find(|input| input.name == name)?;
    let io_type = declared.input.io_type();
    let wants_link = LINKED.iter().any(|ty| io_type.is(ty));
    let dynamic = matches!(declared.input.dynamic(), Some(Dynamic::Combo(_)));
    let is_empty = value.is_null() && !declared.required;
    if !wants_link || dynamic || value.is_array() || is_empty {
        return None;
    }
    let finding = Finding::warning("value_for_link", node.id, node.class_type)
        .at(name, value)
        .allows(json!({ "type": io_type.name() }));
    Some(finding.says(format!(
        "a value stands where a {} has to be linked",
        io_type.name()
    )))
}
