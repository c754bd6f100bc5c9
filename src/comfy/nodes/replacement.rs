//! Old node classes with the new ones that stand for them.
//!
//! Servers from 0.14 on tell theirs at `/node_replacements`, those that custom nodes register among
//! them. Where a server was not asked, the table of 0.33.0 stands in.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One old class and what stands for it.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The class that is gone.
    pub old: String,
    /// The class that does its work.
    pub new: String,
    /// Where each new input comes from.
    pub inputs: Vec<(String, From)>,
    /// Which new output stands for which old one, where that is another.
    pub outputs: Vec<(u64, u64)>,
}

/// Where a new input comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// An old one.
    Input(String),
    /// It is always this value.
    Value(Value),
}

/// The classes that 0.33.0 replaces.
pub static REPLACEMENTS: LazyLock<Vec<Replacement>> = LazyLock::new(|| {
    let to_scale = json!("scale by multiplier");
    vec![
        replaced("ResizeImagesByLongerEdge", "ImageScaleToMaxDimension")
            .input("image", "images")
            .input("largest_size", "longer_edge")
            .always("upscale_method", json!("lanczos")),
        replaced("ImageBatch", "BatchImagesNode")
            .input("images.image0", "image1")
            .input("images.image1", "image2"),
        replaced("ImageScaleBy", "ResizeImageMaskNode")
            .input("input", "image")
            .always("resize_type", to_scale)
            .input("resize_type.multiplier", "scale_by")
            .input("scale_method", "upscale_method"),
        replaced("T2IAdapterLoader", "ControlNetLoader")
            .input("control_net_name", "t2i_adapter_name"),
        replaced("Load3DAnimation", "Load3D"),
        replaced("Preview3DAnimation", "Preview3D"),
        replaced("SDV_img2vid_Conditioning", "SVD_img2vid_Conditioning"),
        replaced("ConditioningAverage ", "ConditioningAverage"),
    ]
});

fn replaced(old: &str, new: &str) -> Replacement {
    Replacement {
        old: old.to_owned(),
        new: new.to_owned(),
        inputs: vec![],
        outputs: vec![],
    }
}

/// One entry as the server writes it.
#[derive(Deserialize)]
struct Written {
    new_node_id: String,
    #[serde(default)]
    input_mapping: Option<Vec<Map<String, Value>>>,
    #[serde(default)]
    output_mapping: Option<Vec<WrittenOutput>>,
}

#[derive(Deserialize)]
struct WrittenOutput {
    old_idx: u64,
    new_idx: u64,
}

impl Replacement {
    fn input(mut self, new: &str, old: &str) -> Self {
        self.inputs
            .push((new.to_owned(), From::Input(old.to_owned())));
        self
    }

    fn always(mut self, new: &str, value: Value) -> Self {
        self.inputs.push((new.to_owned(), From::Value(value)));
        self
    }

    /// Reads the answer of `/node_replacements`. Of several that stand for one class, the first is
    /// what the server takes; what can't be read is left out.
    #[must_use]
    pub fn read_all(answer: &Value) -> Vec<Self> {
        let entries = answer.as_object().into_iter().flatten();
        entries
            .filter_map(|(old, entries)| {
                let first = entries.as_array()?.first()?;
                Some(Self::of(old, Written::deserialize(first).ok()?))
            })
            .collect()
    }

    fn of(old: &str, written: Written) -> Self {
        let inputs = written.input_mapping.unwrap_or_default();
        let inputs = inputs.into_iter().filter_map(|mut entry| {
            let new = entry.get("new_id")?.as_str()?.to_owned();
            let from = match entry.remove("set_value") {
                Some(value) => From::Value(value),
                None => From::Input(entry.get("old_id")?.as_str()?.to_owned()),
            };
            Some((new, from))
        });
        let outputs = written.output_mapping.unwrap_or_default();
        let outputs = outputs
            .iter()
            .map(|output| (output.old_idx, output.new_idx));
        Self {
            old: old.to_owned(),
            new: written.new_node_id,
            inputs: inputs.collect(),
            outputs: outputs.filter(|(old, new)| old != new).collect(),
        }
    }

    /// The entry as the server writes it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let inputs = self.inputs.iter().map(|(new, from)| match from {
            From::Input(old) => json!({ "new_id": new, "old_id": old }),
            From::Value(value) => json!({ "new_id": new, "set_value": value }),
        });
        let inputs: Vec<Value> = inputs.collect();
        json!({
            "new_node_id": self.new,
            "old_node_id": self.old,
            "old_widget_ids": null,
            "input_mapping": (!inputs.is_empty()).then_some(inputs),
            "output_mapping": null,
        })
    }

    /// The new node's inputs, made of those of the old one's that are there.
    #[must_use]
    pub fn carry_over(&self, old: &Map<String, Value>) -> Map<String, Value> {
        let inputs = self.inputs.iter().filter_map(|(name, from)| {
            let value = match from {
                From::Input(old_name) => old.get(old_name)?.clone(),
                From::Value(value) => value.clone(),
            };
            Some((name.clone(), value))
        });
        inputs.collect()
    }

    /// Which output of the new class stands for one of the old one.
    #[must_use]
    pub fn output(&self, old: u64) -> u64 {
        let mapped = self.outputs.iter().find(|(from, _)| *from == old);
        mapped.map_or(old, |(_, new)| *new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_tells_is_read() {
        let read = Replacement::read_all(&json!({
            "Old": [{
                "new_node_id": "New", "old_node_id": "Old", "old_widget_ids": null,
                "input_mapping": [{ "new_id": "a", "old_id": "b" }, { "new_id": "c", "set_value": 5 }],
                "output_mapping": [{ "new_idx": 1, "old_idx": 0 }, { "new_idx": 2, "old_idx": 2 }],
            }, { "new_node_id": "Newer" }],
            "Odd": [{}],
        }));
        let [one] = &read[..] else {
            panic!("{read:?}");
        };
        let old = json!({ "b": ["1", 0], "gone": 1 });
        let carried = Value::from(one.carry_over(old.as_object().unwrap()));
        assert_eq!(carried, json!({ "a": ["1", 0], "c": 5 }));
        assert_eq!(
            (one.new.as_str(), one.output(0), one.output(2)),
            ("New", 1, 2)
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for known in &*REPLACEMENTS {
            let answer = json!({ known.old.clone(): [known.to_json()] });
            assert_eq!(Replacement::read_all(&answer)[0].to_json(), known.to_json());
        }
    }
}
