//! What files weigh once they are loaded: by their header, by their size on the server, by the number
//! of their parameters, or not known at all.

use std::collections::HashMap;

use serde::Serialize;

use super::family::{Family, family};
use super::header::{Header, Part, Turned};
use super::machine::{Machine, bytes};
use super::plan::Loaded;
use super::vae::Vae;
use crate::comfy::model_name::{is_precision, words};
use crate::knowledge::{Knowledge, Model};

/// Sizes of files in bytes, by folder and name.
pub type Sizes = HashMap<(String, String), u64>;

/// What is known of the files on the server.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Their sizes.
    pub sizes: Sizes,
    /// The headers of those that could be read.
    pub headers: HashMap<(String, String), Header>,
}

/// From where a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Source {
    /// From earlier runs.
    #[serde(rename = "observed")]
    Observed,
    /// From the header of the file.
    #[serde(rename = "safetensors header")]
    Header,
    /// From the size of the file.
    #[serde(rename = "file size on server")]
    FileSize,
    /// From the number of parameters that is known of the model.
    #[serde(rename = "parameter table")]
    Table,
    /// From nowhere.
    #[serde(rename = "unknown")]
    Unknown,
}

/// Bytes, and between which they lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span {
    /// At least.
    pub low: f64,
    /// Most likely.
    pub likely: f64,
    /// At most.
    pub high: f64,
}

impl Span {
    /// A figure that may be off by a share of it in either direction.
    pub(super) fn about(likely: f64, share: f64) -> Self {
        Self {
            low: likely * (1.0 - share),
            likely,
            high: likely * (1.0 + share),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            likely: self.likely + other.likely,
            high: self.high + other.high,
        }
    }
}

/// What a file weighs.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// Bytes; when nothing is known, anything that any known model weighs.
    pub bytes: Span,
    /// From where that is.
    pub source: Source,
}

/// Billions of parameters of the text encoders, by words of their names.
const ENCODERS: [(&[&str], f64); 14] = [
    (&["t5xxl"], 4.8),
    (&["umt5"], 5.7),
    (&["qwen", "2", "5", "vl", "7b"], 8.3),
    (&["qwen3vl", "8b"], 8.8),
    (&["qwen3vl", "4b"], 4.4),
    (&["qwen", "3", "8b"], 8.2),
    (&["qwen", "3", "4b"], 4.0),
    (&["mistral", "3", "small"], 24.0),
    (&["gemma", "3", "12b"], 12.2),
    (&["llava", "llama3"], 8.0),
    (&["clip", "l"], 0.12),
    (&["clip", "g"], 0.69),
    (&["byt5", "small"], 0.22),
    (&["clip", "vision", "h"], 0.63),
];

/// Billions of parameters of the parts of a checkpoint beside its diffusion model: text encoders and
/// autoencoder (the makers' figures).
const PARTS: [(&str, f64, f64); 6] = [
    ("sd15", 0.123, 0.084),
    ("sd20", 0.354, 0.084),
    ("sdxl", 0.817, 0.084),
    ("sdxl-refiner", 0.695, 0.084),
    ("sd3", 5.6, 0.084),
    ("flux1", 4.9, 0.084),
];

/// Billions of parameters of autoencoders (the sizes of the official files).
const AUTOENCODERS: [(Vae, f64); 5] = [
    (Vae::Kl, 0.084),
    (Vae::Flux2, 0.084),
    (Vae::Wan21, 0.127),
    (Vae::Wan22, 0.705),
    (Vae::Hunyuan, 0.246),
];

/// Most LoRAs and ControlNets of the market weigh between these.
const ADDITION: Span = Span {
    low: 0.02e9,
    likely: 0.3e9,
    high: 5e9,
};

/// Autoencoders weigh between these: from TAESD to Wan 2.2's.
const AUTOENCODER: Span = Span {
    low: 0.005e9,
    likely: 0.25e9,
    high: 1.5e9,
};

/// Weighs files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales<'a> {
    pub(super) knowledge: &'a Knowledge,
    pub(super) inventory: &'a Inventory,
    pub(super) machine: &'a Machine,
}

impl<'a> Scales<'a> {
    /// The model in a file, if it is known.
    pub(super) fn model(&self, file: &Loaded) -> Option<&'a Model> {
        let is_model = ["checkpoints", "diffusion_models"].contains(&file.folder);
        let found = self.knowledge.identify(&file.file).filter(|_| is_model);
        found.map(|found| found.model)
    }

    /// The family of the model in a file: by its tensors, else by its name.
    pub(super) fn family(&self, file: &Loaded) -> Option<Family> {
        let is_model = ["checkpoints", "diffusion_models"].contains(&file.folder);
        let named = || family(&self.model(file)?.family);
        let header = self.header(file).filter(|_| is_model);
        header
            .and_then(Header::family)
            .and_then(family)
            .or_else(named)
    }

    fn header(&self, file: &Loaded) -> Option<&'a Header> {
        self.inventory.headers.get(&key(file.folder, &file.file))
    }

    /// What a file weighs on the card.
    pub(super) fn weigh(&self, file: &Loaded) -> Weighed {
        if let Some(both) = self.tiny(file) {
            return both;
        }
        let turned = self.turned(file);
        if let Some(header) = self.header(file) {
            return Weighed {
                bytes: Span::about(header.loaded(file.part, turned), 0.02),
                source: Source::Header,
            };
        }
        let size = self
            .inventory
            .sizes
            .get(&key(file.folder, &file.file))
            .copied();
        self.by_size(file, size.map(bytes), turned)
            .or_else(|| self.by_table(file, turned))
            .unwrap_or_else(|| Weighed {
                bytes: self.anything(file),
                source: Source::Unknown,
            })
    }

    /// A small decoder and its encoder, which go by one name.
    fn tiny(&self, file: &Loaded) -> Option<Weighed> {
        if file.folder != "vae" || !file.file.starts_with("tae") || file.file.contains('.') {
            return None;
        }
        let half = |half: &str| {
            let start = format!("{}_{half}", file.file);
            let mut names = self.inventory.sizes.keys();
            let found =
                names.find(|(folder, name)| folder == "vae_approx" && name.starts_with(&start))?;
            let file = Loaded {
                folder: "vae_approx",
                file: found.1.clone(),
                ..file.clone()
            };
            Some(self.weigh(&file))
        };
        let (encoder, decoder) = (half("encoder")?, half("decoder")?);
        Some(Weighed {
            bytes: encoder.bytes.plus(decoder.bytes),
            source: encoder.source.max(decoder.source),
        })
    }

    /// How the server turns the numbers of a file into those that it works with.
    fn turned(&self, file: &Loaded) -> Turned {
        let numbers = &self.machine.numbers;
        match (file.folder, file.part) {
            _ if file.shrunk => Turned::Into(1.0),
            ("text_encoders", _) | (_, Part::Text) => Turned::AtMost(numbers.text),
            ("vae" | "vae_approx", _) | (_, Part::Vae) => Turned::Into(numbers.vae),
            ("loras", _) => Turned::AtMost(4.0),
            _ => Turned::Into(numbers.model),
        }
    }

    fn by_size(&self, file: &Loaded, size: Option<f64>, turned: Turned) -> Option<Weighed> {
        let size = size?;
        let (share, off) = self.share(file, size);
        let stored = bytes_per_weight(&file.file, size, self.parameters(file));
        let target = match turned {
            // What is packed stays as it is, and so does what is as small as asked for.
            _ if stored < 2.0 => stored,
            Turned::Into(bytes) => bytes,
            Turned::AtMost(bytes) => bytes.min(stored),
        };
        Some(Weighed {
            bytes: Span::about(size * share * target / stored, off),
            source: Source::FileSize,
        })
    }

    /// All parameters in a file, in billions.
    fn parameters(&self, file: &Loaded) -> Option<f64> {
        let own = match file.folder {
            "text_encoders" => return encoder(&file.file),
            _ => self.model(file)?,
        };
        let beside = PARTS.iter().find(|(name, ..)| *name == own.family);
        let beside = beside
            .filter(|_| file.folder == "checkpoints")
            .map_or(0.0, |(_, text, vae)| text + vae);
        Some(own.parameters? + beside)
    }

    /// The share of a file that a part of it has, and by how much that may be off.
    fn share(&self, file: &Loaded, size: f64) -> (f64, f64) {
        const SURE: f64 = 0.03;
        const SPLIT: f64 = 0.15;
        if file.folder != "checkpoints" || file.part == Part::Whole {
            return (1.0, SURE);
        }
        let model = self.model(file);
        let own = model.and_then(|model| model.parameters);
        let beside = model.and_then(|model| PARTS.iter().find(|(name, ..)| *name == model.family));
        match (own, beside, file.part) {
            (Some(own), Some((_, text, vae)), part) => {
                // Files without some of the encoders are smaller than all parts together.
                let per_weight = bytes_per_weight(&file.file, size, None);
                let present = (size / per_weight / 1e9 - own - vae).clamp(0.0, *text);
                let all = own + present + vae;
                let part = match part {
                    Part::Text => present,
                    Part::Vae => *vae,
                    _ => own,
                };
                (part / all, SPLIT)
            }
            (Some(own), None, Part::Model) => {
                let per_weight = bytes_per_weight(&file.file, size, None);
                ((own * 1e9 * per_weight / size).min(1.0), SPLIT)
            }
            // Most of what is in a checkpoint is the model.
            (_, _, Part::Model) => (0.9, 0.3),
            _ => (0.1, 0.9),
        }
    }

    fn by_table(&self, file: &Loaded, turned: Turned) -> Option<Weighed> {
        let own = self.model(file);
        let beside = own.and_then(|model| PARTS.iter().find(|(name, ..)| *name == model.family));
        let billions = match (file.folder, file.part) {
            ("text_encoders", _) => encoder(&file.file)?,
            ("vae", _) => {
                let vae = Vae::in_file(&file.file)?;
                AUTOENCODERS.iter().find(|(own, _)| *own == vae)?.1
            }
            (_, Part::Text) => beside?.1,
            (_, Part::Vae) => beside?.2,
            _ => own?.parameters?,
        };
        let stored = named_bytes(&file.file);
        let target = match turned {
            _ if stored < 2.0 => stored,
            Turned::Into(bytes) | Turned::AtMost(bytes) => bytes,
        };
        Some(Weighed {
            bytes: Span::about(billions * 1e9 * target, 0.1),
            source: Source::Table,
        })
    }

    /// From the smallest to the largest that is known of its kind.
    fn anything(&self, file: &Loaded) -> Span {
        let all: Vec<f64> = match (file.folder, file.part) {
            ("vae" | "vae_approx", _) | (_, Part::Vae) => return AUTOENCODER,
            ("loras" | "controlnet" | "model_patches" | "upscale_models", _) => return ADDITION,
            ("text_encoders" | "clip_vision", _) | (_, Part::Text) => {
                ENCODERS.iter().map(|(_, billions)| *billions).collect()
            }
            _ => self
                .knowledge
                .models
                .iter()
                .filter_map(|model| model.parameters)
                .collect(),
        };
        let fold =
            |with: fn(f64, f64) -> f64| all.iter().copied().reduce(with).unwrap_or(1.0) * 1e9;
        let (low, high) = (fold(f64::min), fold(f64::max));
        Span {
            low: low * 0.57,
            likely: (low * high).sqrt() * 2.0,
            high: high * 2.0,
        }
    }
}

pub(super) fn key(folder: &str, file: &str) -> (String, String) {
    (folder.to_owned(), file.to_owned())
}

fn encoder(file: &str) -> Option<f64> {
    let words = words(file);
    let has = |parts: &[&str]| {
        words
            .windows(parts.len())
            .any(|window| window.iter().zip(parts).all(|(word, part)| word == part))
    };
    let found = ENCODERS.iter().find(|(parts, _)| has(parts));
    found.map(|(_, billions)| *billions)
}

/// Bytes of one weight of a file: by its name, else by its size and the number of its weights, else
/// two.
fn bytes_per_weight(file: &str, size: f64, billions: Option<f64>) -> f64 {
    let says = file.ends_with(".gguf") || words(file).iter().any(|word| is_precision(word));
    let Some(billions) = billions.filter(|_| !says) else {
        return named_bytes(file);
    };
    let ratio = size / (billions * 1e9);
    let near = |bytes: f64| (ratio / bytes - 1.0).abs() < 0.2;
    [4.0, 2.0, 1.0, 0.5]
        .into_iter()
        .find(|bytes| near(*bytes))
        .unwrap_or(2.0)
}

/// Bytes of one weight by what the file's name says; two without a word.
pub(super) fn named_bytes(file: &str) -> f64 {
    let gguf = file.to_lowercase().ends_with(".gguf");
    let words = words(file);
    let says = |parts: &[&str]| {
        words
            .iter()
            .any(|word| parts.iter().any(|part| word.starts_with(part)))
    };
    if says(&["fp4", "nvfp4", "int4", "w4a8"]) || gguf && says(&["q4", "iq4"]) {
        0.57
    } else if gguf && says(&["q2", "iq2"]) {
        0.35
    } else if gguf && says(&["q3", "iq3"]) {
        0.46
    } else if gguf && says(&["q5", "iq5"]) {
        0.69
    } else if gguf && says(&["q6", "iq6"]) {
        0.82
    } else if says(&["fp8", "int8", "mxfp8", "e4m3fn", "e5m2"]) {
        1.0
    } else if gguf && says(&["q8"]) {
        1.06
    } else if says(&["fp32"]) {
        4.0
    } else {
        2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn loaded(folder: &'static str, file: &str, part: Part) -> Loaded {
        Loaded {
            folder,
            file: file.to_owned(),
            shrunk: false,
            part,
            aside: false,
            merged: false,
        }
    }

    fn weighed(file: &Loaded, size: Option<u64>, machine: &Machine) -> Weighed {
        let mut inventory = Inventory::default();
        if let Some(size) = size {
            inventory.sizes.insert(key(file.folder, &file.file), size);
        }
        let scales = Scales {
            knowledge: &Knowledge::bundled(),
            inventory: &inventory,
            machine,
        };
        scales.weigh(file)
    }

    #[test]
    fn the_best_source_counts() {
        let machine = Machine::default();
        let file = loaded("diffusion_models", "flux1-dev.safetensors", Part::Model);
        let table = weighed(&file, None, &machine);
        assert_eq!((table.source, table.bytes.likely), (Source::Table, 24e9));
        let size = weighed(&file, Some(23_802_932_552), &machine);
        assert_eq!(
            (size.source, size.bytes.likely),
            (Source::FileSize, 23_802_932_552.0)
        );

        let mut inventory = Inventory::default();
        let tensors = json!({ "a": { "dtype": "BF16", "shape": [1000, 1000], "data_offsets": [0, 2_000_000] } });
        inventory
            .sizes
            .insert(key("diffusion_models", &file.file), 2_000_100);
        inventory.headers.insert(
            key("diffusion_models", &file.file),
            Header::of(tensors.as_object().unwrap()),
        );
        let knowledge = Knowledge::bundled();
        let scales = Scales {
            knowledge: &knowledge,
            inventory: &inventory,
            machine: &machine,
        };
        let header = scales.weigh(&file);
        assert_eq!((header.source, header.bytes.likely), (Source::Header, 2e6));
        let shrunk = Loaded {
            shrunk: true,
            ..file
        };
        assert_eq!(scales.weigh(&shrunk).bytes.likely, 1e6);
    }

    #[test]
    fn what_nothing_is_known_of_weighs_something_between_all_that_is_known() {
        let file = loaded("diffusion_models", "my_merge.safetensors", Part::Model);
        let found = weighed(&file, None, &Machine::default());
        assert_eq!(found.source, Source::Unknown);
        assert!(
            found.bytes.low > 0.3e9 && found.bytes.high > 40e9,
            "{found:?}"
        );
    }

    #[test]
    fn weights_are_loaded_as_the_server_likes() {
        let card = Machine::default();
        // 4.27 GB in numbers of four bytes, of which the model is 0.86 billion.
        let old = loaded("checkpoints", "v1-5-pruned.safetensors", Part::Model);
        let found = weighed(&old, Some(4_265_146_304), &card).bytes.likely / 1e9;
        assert!((1.6..1.9).contains(&found), "{found}");
        let shrunk = Loaded {
            shrunk: true,
            ..loaded("diffusion_models", "flux1-dev.safetensors", Part::Model)
        };
        assert_eq!(
            weighed(&shrunk, Some(24_000_000_000), &card).bytes.likely,
            12e9
        );
        let packed = loaded("diffusion_models", "flux1-dev-Q4_K_S.gguf", Part::Model);
        assert_eq!(
            weighed(&packed, Some(6_806_000_000), &card).bytes.likely,
            6_806_000_000.0
        );
    }

    #[rstest]
    #[case("flux1-dev.safetensors", 2.0)]
    #[case("qwen_image_fp8_e4m3fn.safetensors", 1.0)]
    #[case("gemma_3_12B_it_fp4_mixed.safetensors", 0.57)]
    #[case("Wan2.2-T2V-A14B-HighNoise-Q4_K_M.gguf", 0.57)]
    #[case("flux1-dev-Q8_0.gguf", 1.06)]
    #[case("model_fp32.safetensors", 4.0)]
    fn names_say_how_numbers_are_stored(#[case] file: &str, #[case] expected: f64) {
        assert_eq!(named_bytes(file), expected);
    }
}
