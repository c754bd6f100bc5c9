//! What files weigh once they are loaded: by their header, by their size on the server, by the number
//! of their parameters, or not known at all.

use serde::Serialize;

use super::family::{Family, family};
use super::header::{Header, Part, Turned};
use super::inventory::Inventory;
use super::machine::{Machine, bytes};
use super::names::{
    ADDITION, AUTOENCODER, AUTOENCODERS, ENCODERS, PARTS, bytes_per_weight, encoder, named_bytes,
};
use super::plan::Loaded;
use super::vae::Vae;
use crate::knowledge::{Knowledge, Model};

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

/// Families whose tensors are named and shaped as those of another: that other one, and its own name.
const BUILT_ALIKE: [(&str, &str); 2] = [("flux1", "longcat"), ("wan", "wan-dancer")];

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

    /// The family of the model in a file: by its tensors, else by its name. Some families are built
    /// alike, so that only the name tells them apart.
    pub(super) fn family(&self, file: &Loaded) -> Option<Family> {
        let is_model = ["checkpoints", "diffusion_models"].contains(&file.folder);
        let named = self.model(file).map(|model| model.family.as_str());
        let header = self.header(file).filter(|_| is_model);
        let built = header.and_then(Header::family);
        let alike = |pair: &(&str, &str)| (built, named) == (Some(pair.0), Some(pair.1));
        let narrower = named.filter(|_| BUILT_ALIKE.iter().any(alike));
        narrower
            .or(built)
            .and_then(|name| family(self.knowledge, name))
            .or_else(|| family(self.knowledge, named?))
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

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;
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
    fn of_families_that_are_built_alike_the_name_tells_which() {
        let knowledge = Knowledge::bundled();
        let tensors = json!({
            "double_blocks.0.img_attn.norm.key_norm.scale": { "dtype": "BF16", "shape": [1], "data_offsets": [0, 2] },
            "img_in.weight": { "dtype": "BF16", "shape": [1], "data_offsets": [2, 4] },
        });
        let of = |name: &str| {
            let file = loaded("diffusion_models", name, Part::Model);
            let mut inventory = Inventory::default();
            let header = Header::of(tensors.as_object().unwrap());
            inventory.headers.insert(key(file.folder, name), header);
            let scales = Scales {
                knowledge: &knowledge,
                inventory: &inventory,
                machine: &Machine::default(),
            };
            scales.family(&file)
        };
        assert_eq!(
            of("longcat_image_bf16.safetensors"),
            family(&knowledge, "longcat")
        );
        assert_eq!(
            of("qwen_image_bf16.safetensors"),
            family(&knowledge, "flux1"),
            "tensors go before a name"
        );
        assert_eq!(of("mine.safetensors"), family(&knowledge, "flux1"));
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
}
