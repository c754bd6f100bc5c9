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
            let known = if expanded.inputs.iter().any(|input| input.name == *name) {
                Known::Declared
            } else if class
                .input(name.split('.').next().unwrap_or(name))
                .is_some()
            {
                Known::Below
            } else {
                Known::Not
            };
            if let Some(finding) = link(view, (node, class), name, value, known) {
                found.push(finding);
            } else if known == Known::Declared {
                found.extend(literal(node, &expanded, name, value));
            }
        }
    }
}

/// Whether a class knows of an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// The server validates it.
    Declared,
    /// It bears the name of a dynamic input that does not bring it now, or not any more.
    Below,
    Not,
}

fn link(
    view: &View<'_>,
    (node, class): (&Node<'_>, &NodeClass),
    name: &str,
    value: &Value,
    known: Known,
) -> Option<Finding> {
    let link = node.link(name)?;
    let dead = || format!("there is no node \"{}\"", link.id);
    let Some(target) = link.node else {
        if known == Known::Declared {
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
    if known != Known::Not || takes_anything(class) || class.has_hidden(name) {
        return None;
    }
    let how = if refuses(class, name) {
        Finding::error
    } else {
        Finding::warning
    };
    let finding = how("undeclared_link", node.id, node.class_type).at(name, value);
    Some(finding.says(format!(
        "{} has no input \"{name}\", and the server hands it over all the same, on which the node fails",
        node.class_type
    )))
}

/// Whether a class's function is sure not to take what the class does not declare: the classes of
/// the older interface in `ComfyUI`'s own files, but those with `**kwargs` or more parameters than
/// inputs (read off 0.3.75). The newer interface's functions can't be known from here.
fn refuses(class: &NodeClass, name: &str) -> bool {
    const MORE: [&str; 10] = [
        "blend_mode",
        "composite_method",
        "denoise",
        "extra_concat",
        "filename_prefix",
        "format",
        "multiplier",
        "num_frames",
        "output_clip",
        "output_vae",
    ];
    let module = class.python_module();
    let is_own = module == "nodes" || module.starts_with("comfy_extras.");
    let takes_all = class.name().contains("3D")
        || class.name().starts_with("ModelMerge")
        || class.name() == "WebcamCapture";
    is_own && !class.is_v3() && !takes_all && !MORE.contains(&name)
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
