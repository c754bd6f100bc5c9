//! The header of a safetensors file: eight bytes of length, then JSON with the type and the shape
//! of every tensor. It says exactly what a file weighs, and by its tensors which family it is of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::{Map, Value};

/// A longer header is damage, or no header (the format's own limit).
const LONGEST: u64 = 100_000_000;

/// Tensors that a server keeps beside the weights, without counting them among what it loads: the
/// table of positions of Stable Diffusion 3 (one hundredth of the whole) and those of CLIP.
const BUFFERS: [&str; 2] = ["pos_embed", "position_ids"];

/// What a tensor of a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The diffusion model.
    Model,
    /// The text encoders.
    Text,
    /// The autoencoder.
    Vae,
    /// The whole file: it has no parts.
    Whole,
}

/// What a part of a file weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Weight {
    /// How many numbers of two bytes or more, which are loaded as the server likes.
    numbers: f64,
    /// Their bytes in the file.
    stored: f64,
    /// Bytes of those that stay as they are: fp8, int8, nvfp4.
    packed: f64,
}

/// What the header of a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    parts: BTreeMap<Part, Weight>,
    family: Option<&'static str>,
}

/// How a loader turns numbers into others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turned {
    /// Into numbers of so many bytes.
    Into(f64),
    /// Into numbers of so many bytes, if they are larger.
    AtMost(f64),
}

impl Header {
    /// Reads the header of a file; none if it is no safetensors file.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let mut length = [0_u8; 8];
        if file.read_exact(&mut length).is_err() {
            return Ok(None);
        }
        let length = u64::from_le_bytes(length);
        if length > LONGEST {
            return Ok(None);
        }
        let mut json = Vec::new();
        file.take(length).read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)
            .ok()
            .map(|tensors| Self::of(&tensors)))
    }

    /// What a header says that was read already.
    #[must_use]
    pub fn of(tensors: &Map<String, Value>) -> Self {
        let has_parts = tensors
            .keys()
            .any(|name| part_of(name) == Some(Part::Model));
        let mut parts: BTreeMap<Part, Weight> = BTreeMap::new();
        let counts = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            name != "__metadata__" && !BUFFERS.contains(&last)
        };
        for (name, tensor) in tensors.iter().filter(|(name, _)| counts(name)) {
            let part = part_of(name).filter(|_| has_parts).unwrap_or(Part::Whole);
            let dimensions = tensor["shape"].as_array().into_iter().flatten();
            let numbers: f64 = dimensions.filter_map(Value::as_f64).product();
            let weight = parts.entry(part).or_default();
            match bytes_of(tensor["dtype"].as_str().unwrap_or_default()) {
                Some(bytes) => {
                    weight.numbers += numbers;
                    weight.stored += numbers * bytes;
                }
                None => weight.packed += span(&tensor["data_offsets"]),
            }
        }
        Self {
            parts,
            family: Tensors(tensors).family(),
        }
    }

    /// The family of the diffusion model in the file, by its tensors.
    #[must_use]
    pub fn family(&self) -> Option<&'static str> {
        self.family
    }

    /// Bytes that a part takes once it is loaded.
    #[must_use]
    pub fn loaded(&self, part: Part, turned: Turned) -> f64 {
        // A file without parts is all of what it is asked for.
        let weight = self.parts.get(&part);
        let weight = weight.or_else(|| {
            self.parts
                .get(&Part::Whole)
                .filter(|_| self.parts.len() == 1)
        });
        let weight = weight.copied().unwrap_or_default();
        let plain = match turned {
            Turned::Into(bytes) => weight.numbers * bytes,
            Turned::AtMost(bytes) => weight.stored.min(weight.numbers * bytes),
        };
        plain + weight.packed
    }
}

/// Which part of a checkpoint a tensor belongs to.
fn part_of(name: &str) -> Option<Part> {
    const PREFIXES: [(&str, Part); 6] = [
        ("model.diffusion_model.", Part::Model),
        ("cond_stage_model.", Part::Text),
        ("conditioner.", Part::Text),
        ("text_encoders.", Part::Text),
        ("first_stage_model.", Part::Vae),
        ("vae.", Part::Vae),
    ];
    let found = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
    found.map(|(_, part)| *part)
}

/// Bytes of a number that is loaded as the server likes.
fn bytes_of(dtype: &str) -> Option<f64> {
    match dtype {
        "F64" => Some(8.0),
        "F32" => Some(4.0),
        "F16" | "BF16" => Some(2.0),
        _ => None,
    }
}

fn span(offsets: &Value) -> f64 {
    let at = |index: usize| offsets[index].as_f64().unwrap_or(0.0);
    at(1) - at(0)
}

/// The tensors of a file, by which `ComfyUI` tells families apart (`model_detection.py` of 0.3.75).
struct Tensors<'t>(&'t Map<String, Value>);

impl Tensors<'_> {
    fn family(&self) -> Option<&'static str> {
        let has = |name: &str| self.find(name).is_some();
        let rows = |name: &str| self.dimension(name, 0);
        Some(if has("joint_blocks.0.context_block.attn.qkv.weight") {
            "sd3"
        } else if has("txt_in.individual_token_refiner.blocks.0.norm1.weight") {
            if has("vision_in.proj.0.weight") {
                "hunyuan-video-15"
            } else {
                "hunyuan-video"
            }
        } else if has("nerf_blocks.0.norm.scale") {
            "chroma-radiance"
        } else if has("distilled_guidance_layer.norms.0.scale")
            || has("distilled_guidance_layer.0.norms.0.scale")
        {
            "chroma"
        } else if has("double_stream_modulation_img.lin.weight") {
            match rows("img_in.weight") {
                Some(3072) => "flux2-klein",
                Some(4096) => "flux2-klein-9b",
                _ => "flux2",
            }
        } else if has("double_blocks.0.img_attn.norm.key_norm.scale") && has("img_in.weight") {
            "flux1"
        } else if has("t5_yproj.weight") {
            "mochi"
        } else if has("audio_adaln_single.linear.weight") {
            "ltx2"
        } else if has("adaln_single.emb.timestep_embedder.linear_1.bias")
            && !has("pos_embed.proj.bias")
        {
            "ltxv"
        } else if has("genre_embedder.weight") {
            "ace-step"
        } else if has("t_block.1.weight") {
            "pixart"
        } else if has("cap_embedder.1.weight") {
            if rows("cap_embedder.1.weight") == Some(3840) {
                "z-image"
            } else {
                "lumina2"
            }
        } else if has("head.modulation") {
            self.wan()
        } else if has("latent_in.weight") {
            "hunyuan3d-v2"
        } else if has("time_caption_embed.timestep_embedder.linear_1.bias") {
            "omnigen2"
        } else if has("txt_norm.weight") {
            "qwen-image"
        } else {
            return self.with_unet();
        })
    }

    fn wan(&self) -> &'static str {
        let vace = self.find("vace_patch_embedding.weight").is_some();
        let last = self
            .find("head.modulation")
            .and_then(|tensor| tensor["shape"].as_array()?.last()?.as_u64());
        match (last, vace) {
            (Some(1536), true) => "wan-vace-1.3b",
            (_, true) => "wan-vace",
            (Some(1536), false) => "wan-1.3b",
            (Some(3072), false) => "wan22-5b",
            _ => "wan",
        }
    }

    /// Those with a U-Net are told apart by the width of their text.
    fn with_unet(&self) -> Option<&'static str> {
        let first = self.dimension("input_blocks.0.0.weight", 0)?;
        let to_text = ["input_blocks.1.1", "input_blocks.4.1"]
            .iter()
            .find_map(|block| {
                self.dimension(
                    &format!("{block}.transformer_blocks.0.attn2.to_k.weight"),
                    1,
                )
            });
        match (first, to_text) {
            (384, _) => Some("sdxl-refiner"),
            (_, Some(768)) => Some("sd15"),
            (_, Some(1024))
                if self
                    .find("input_blocks.1.1.time_stack.0.attn1.to_q.weight")
                    .is_some() =>
            {
                Some("svd")
            }
            (_, Some(1024)) => Some("sd20"),
            (_, Some(2048)) => Some("sdxl"),
            _ => None,
        }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let within = || self.0.get(&format!("model.diffusion_model.{name}"));
        self.0.get(name).or_else(within)
    }

    fn dimension(&self, name: &str, index: usize) -> Option<u64> {
        self.find(name)?["shape"][index].as_u64()
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    fn header(tensors: &Value) -> Header {
        Header::of(tensors.as_object().unwrap())
    }

    fn checkpoint() -> Value {
        json!({
            "__metadata__": { "format": "pt" },
            "model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight":
                { "dtype": "F16", "shape": [100, 10], "data_offsets": [0, 2000] },
            "text_encoders.clip_l.weight": { "dtype": "F32", "shape": [50], "data_offsets": [2000, 2200] },
            "first_stage_model.weight": { "dtype": "BF16", "shape": [30], "data_offsets": [2200, 2260] },
        })
    }

    #[test]
    fn each_part_of_a_checkpoint_weighs_what_it_is_loaded_as() {
        let header = header(&checkpoint());
        assert_eq!(header.loaded(Part::Model, Turned::Into(2.0)), 2000.0);
        assert_eq!(header.loaded(Part::Model, Turned::Into(1.0)), 1000.0);
        assert_eq!(header.loaded(Part::Text, Turned::AtMost(2.0)), 100.0);
        assert_eq!(header.loaded(Part::Vae, Turned::Into(4.0)), 120.0);
        assert_eq!(header.family(), Some("sd3"));
    }

    #[test]
    fn numbers_of_a_byte_stay_as_they_are() {
        let header = header(&json!({
            "txt_norm.weight": { "dtype": "BF16", "shape": [10], "data_offsets": [0, 20] },
            "a.weight": { "dtype": "F8_E4M3", "shape": [10, 10], "data_offsets": [20, 120] },
            "b.weight": { "dtype": "U8", "shape": [10, 5], "data_offsets": [120, 170] },
        }));
        assert_eq!(header.loaded(Part::Model, Turned::Into(2.0)), 170.0);
        assert_eq!(header.family(), Some("qwen-image"));
    }

    #[test]
    fn merges_are_known_by_their_tensors() {
        let to_k = |width: u64| {
            header(&json!({
                "model.diffusion_model.input_blocks.0.0.weight": { "dtype": "F16", "shape": [320, 4, 3, 3] },
                "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight":
                    { "dtype": "F16", "shape": [640, width] },
            }))
            .family()
        };
        assert_eq!(
            [to_k(768), to_k(2048), to_k(5)],
            [Some("sd15"), Some("sdxl"), None]
        );
        let wan = |dim: u64| {
            header(&json!({ "head.modulation": { "dtype": "F32", "shape": [1, 2, dim] } })).family()
        };
        assert_eq!(
            [wan(1536), wan(3072), wan(5120)],
            [Some("wan-1.3b"), Some("wan22-5b"), Some("wan")]
        );
    }

    #[test]
    fn a_header_is_read_off_a_file_and_other_files_have_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let json = checkpoint().to_string();
        let mut file = File::create(&path).unwrap();
        file.write_all(&(json.len() as u64).to_le_bytes()).unwrap();
        file.write_all(json.as_bytes()).unwrap();
        file.write_all(&[0; 2260]).unwrap();
        assert_eq!(Header::read(&path).unwrap(), Some(header(&checkpoint())));

        std::fs::write(&path, b"PK\x03\x04 and so on, a file of another kind").unwrap();
        assert_eq!(Header::read(&path).unwrap(), None);
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Header::read(&path).unwrap(), None);
        assert!(Header::read(&folder.path().join("b.safetensors")).is_err());
    }
}
