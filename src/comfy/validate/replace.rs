//! Old node classes that the server replaces by new ones before it validates a prompt.
//!
//! Servers from 0.14 on do so at `POST /prompt`. The table is that of 0.33.0.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::comfy::nodes::NodeFacts;

use super::python::{self, Exception};

/// One old class and what stands for it.
#[derive(Clone, Copy, Debug)]
pub struct Replacement {
    /// The class that is gone.
    pub old: &'static str,
    /// The class that does its work.
    pub new: &'static str,
    inputs: &'static [(&'static str, From)],
}

/// Where a new input comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    Input(&'static str),
    Text(&'static str),
}

const REPLACEMENTS: [Replacement; 8] = [
    Replacement {
        old: "ResizeImagesByLongerEdge",
        new: "ImageScaleToMaxDimension",
        inputs: &[
            ("image", From::Input("images")),
            ("largest_size", From::Input("longer_edge")),
            ("upscale_method", From::Text("lanczos")),
        ],
    },
    Replacement {
        old: "ImageBatch",
        new: "BatchImagesNode",
        inputs: &[
            ("images.image0", From::Input("image1")),
            ("images.image1", From::Input("image2")),
        ],
    },
    Replacement {
        old: "ImageScaleBy",
        new: "ResizeImageMaskNode",
        inputs: &[
            ("input", From::Input("image")),
            ("resize_type", From::Text("scale by multiplier")),
            ("resize_type.multiplier", From::Input("scale_by")),
            ("scale_method", From::Input("upscale_method")),
        ],
    },
    Replacement {
        old: "T2IAdapterLoader",
        new: "ControlNetLoader",
        inputs: &[("control_net_name", From::Input("t2i_adapter_name"))],
    },
    Replacement {
        old: "Load3DAnimation",
        new: "Load3D",
        inputs: &[],
    },
    Replacement {
        old: "Preview3DAnimation",
        new: "Preview3D",
        inputs: &[],
    },
    Replacement {
        old: "SDV_img2vid_Conditioning",
        new: "SVD_img2vid_Conditioning",
        inputs: &[],
    },
    Replacement {
        old: "ConditioningAverage ",
        new: "ConditioningAverage",
        inputs: &[],
    },
];

/// The class that the server puts in place of this one.
#[must_use]
pub fn replacement(class: &str) -> Option<&'static Replacement> {
    REPLACEMENTS
        .iter()
        .find(|replacement| replacement.old == class)
}

/// Replaces old classes that the server does not have by new ones that it has. Inputs that the
/// table does not name are dropped, as the server drops them.
pub fn replace_old_classes<'p>(
    facts: &NodeFacts,
    prompt: &'p Value,
) -> Result<Cow<'p, Value>, Exception> {
    let Value::Object(nodes) = prompt else {
        return Err(no_items(prompt));
    };
    let mut replaced = Cow::Borrowed(prompt);
    let mut old_nodes = Vec::new();
    for (id, node) in nodes {
        let class = python::get(node, "class_type")?;
        let (Some(class), Some(inputs)) = (class, python::get(node, "inputs")?) else {
            continue;
        };
        if class.is_array() || class.is_object() {
            return Err(Exception::unhashable(class));
        }
        if !inputs.is_object() {
            return Err(no_items(inputs));
        }
        let class = class.as_str().unwrap_or_default();
        if facts.class(class).is_none()
            && let Some(replacement) = replacement(class)
            && facts.class(replacement.new).is_some()
        {
            old_nodes.push((id, inputs, replacement));
        }
    }
    for (id, inputs, replacement) in old_nodes {
        let inputs = replacement.inputs(inputs)?;
        let node = &mut replaced.to_mut()[id];
        node["class_type"] = json!(replacement.new);
        node["inputs"] = inputs;
    }
    Ok(replaced)
}

fn no_items(value: &Value) -> Exception {
    let given = python::type_name(value);
    Exception::new(
        "AttributeError",
        format!("'{given}' object has no attribute 'items'"),
    )
}

impl Replacement {
    /// The new node's inputs, made of those of the old one's that are there.
    #[must_use]
    pub fn carry_over(&self, old: &Map<String, Value>) -> Map<String, Value> {
        let inputs = self.inputs.iter().filter_map(|(name, from)| {
            let value = match from {
                From::Input(old_name) => old.get(*old_name)?.clone(),
                From::Text(text) => json!(text),
            };
            Some(((*name).to_owned(), value))
        });
        inputs.collect()
    }

    /// The new node's inputs, made of the old one's.
    fn inputs(&self, old: &Value) -> Result<Value, Exception> {
        let mut inputs = Map::new();
        for (name, from) in self.inputs {
            let value = match from {
                From::Input(old_name) => python::item(old, old_name)?.clone(),
                From::Text(text) => json!(text),
            };
            inputs.insert((*name).to_owned(), value);
        }
        Ok(inputs.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_class_that_is_gone_is_replaced_with_its_inputs() {
        let facts = NodeFacts::bundled();
        let prompt = json!({ "1": {
            "class_type": "T2IAdapterLoader",
            "inputs": { "t2i_adapter_name": "a.pth" },
            "_meta": { "title": "t" },
        } });
        assert_eq!(
            *replace_old_classes(&facts, &prompt).unwrap(),
            json!({ "1": {
                "class_type": "ControlNetLoader",
                "inputs": { "control_net_name": "a.pth" },
                "_meta": { "title": "t" },
            } })
        );
    }

    #[test]
    fn a_class_that_the_server_has_stays() {
        let facts = NodeFacts::bundled();
        assert!(facts.class("ImageBatch").is_some());
        let prompt = json!({ "1": { "class_type": "ImageBatch", "inputs": {} } });
        assert_eq!(*replace_old_classes(&facts, &prompt).unwrap(), prompt);
    }

    #[test]
    fn an_old_class_without_its_old_input_raises() {
        let facts = NodeFacts::bundled();
        let prompt = json!({ "1": { "class_type": "T2IAdapterLoader", "inputs": {} } });
        let raised = replace_old_classes(&facts, &prompt).unwrap_err();
        assert_eq!(raised, Exception::new("KeyError", "'t2i_adapter_name'"));
    }
}
