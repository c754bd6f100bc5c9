//! What two workflows have in common that need the same memory: the classes of their nodes and how
//! they are linked, the model files, sizes, frames, batches and tiles. Prompts, seeds, steps and the
//! names of nodes and of pictures make no difference.

use std::collections::HashMap;

use serde_json::Value;

use crate::comfy::Workflow;
use crate::comfy::model_name::is_model_file;

/// Parts of the names of inputs whose numbers count.
const SIZES: [&str; 17] = [
    "width",
    "height",
    "length",
    "frames",
    "batch",
    "tile",
    "overlap",
    "temporal",
    "scale",
    "megapixels",
    "resolution",
    "size",
    "layers",
    "amount",
    "seconds",
    "duration",
    "value",
];

/// Inputs whose words count.
const CHOICES: [&str; 6] = [
    "weight_dtype",
    "dtype",
    "precision",
    "quantization",
    "device",
    "attention_mode",
];

/// The shape of a workflow, as a hash.
#[must_use]
pub fn shape(workflow: &Workflow) -> String {
    let classes: HashMap<&str, &str> = workflow
        .nodes()
        .filter_map(|node| Some((node.id, node.class_type()?)))
        .collect();
    let mut nodes: Vec<String> = workflow
        .nodes()
        .filter_map(|node| {
            let mut kept: Vec<String> = node
                .inputs()?
                .iter()
                .filter_map(|(name, value)| {
                    Some(format!("{name}={}", counted(name, value, &classes)?))
                })
                .collect();
            kept.sort_unstable();
            Some(format!("{}({})", node.class_type()?, kept.join(",")))
        })
        .collect();
    nodes.sort_unstable();
    blake3::hash(nodes.join("\n").as_bytes()).to_hex()[..32].to_owned()
}

/// What counts of an input's value.
fn counted(name: &str, value: &Value, classes: &HashMap<&str, &str>) -> Option<String> {
    match value {
        Value::Array(link) => {
            let from = classes.get(link.first()?.as_str()?)?;
            Some(format!("{from}[{}]", link.get(1)?))
        }
        Value::Number(number) if name == "cfg" => Some(
            if number.as_f64() == Some(1.0) {
                "off"
            } else {
                "on"
            }
            .to_owned(),
        ),
        Value::Number(number) => SIZES
            .iter()
            .any(|size| name.contains(size))
            .then(|| number.to_string()),
        Value::String(text) if is_model_file(text) || CHOICES.contains(&name) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn workflow() -> Value {
        json!({
            "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "a.safetensors", "weight_dtype": "default" } },
            "2": { "class_type": "EmptyLatentImage", "inputs": { "width": 512, "height": 512, "batch_size": 1 } },
            "3": { "class_type": "KSampler", "inputs": {
                "model": ["1", 0], "latent_image": ["2", 0], "seed": 7, "steps": 20, "cfg": 4.0, "denoise": 1.0 } },
            "4": { "class_type": "CLIPTextEncode", "inputs": { "text": "a fox" } },
        })
    }

    fn of(value: Value) -> String {
        shape(&Workflow::from_json(value).unwrap())
    }

    #[rstest]
    #[case("/3/inputs/seed", json!(8))]
    #[case("/3/inputs/steps", json!(50))]
    #[case("/3/inputs/cfg", json!(7.5))]
    #[case("/4/inputs/text", json!("a hill"))]
    fn what_needs_no_other_memory_is_the_same_shape(#[case] pointer: &str, #[case] value: Value) {
        let mut other = workflow();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_eq!(of(other), of(workflow()));
    }

    #[rstest]
    #[case("/1/inputs/unet_name", json!("b.safetensors"))]
    #[case("/1/inputs/weight_dtype", json!("fp8_e4m3fn"))]
    #[case("/2/inputs/width", json!(1024))]
    #[case("/2/inputs/batch_size", json!(2))]
    #[case("/3/inputs/cfg", json!(1.0))]
    #[case("/3/class_type", json!("KSamplerAdvanced"))]
    fn what_needs_other_memory_is_another_shape(#[case] pointer: &str, #[case] value: Value) {
        let mut other = workflow();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_ne!(of(other), of(workflow()));
    }

    #[test]
    fn neither_ids_nor_their_order_count() {
        let other = json!({
            "x": { "class_type": "CLIPTextEncode", "inputs": { "text": "" } },
            "s": { "class_type": "KSampler", "inputs": {
                "latent_image": ["l", 0], "model": ["u", 0], "seed": 1, "steps": 1, "cfg": 4.0, "denoise": 1.0 } },
            "l": { "class_type": "EmptyLatentImage", "inputs": { "width": 512, "height": 512, "batch_size": 1 } },
            "u": { "class_type": "UNETLoader", "inputs": { "unet_name": "a.safetensors", "weight_dtype": "default" } },
        });
        assert_eq!(of(other), of(workflow()));
    }
}
