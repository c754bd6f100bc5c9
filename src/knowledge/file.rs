//! The files of a model.

use serde::{Deserialize, Serialize};

use crate::comfy::model_name::{base_name, is_precision};

use super::identify::words;

/// 2^30, by which the official notes reckon.
const GIB: f64 = 1_073_741_824.0;

/// A model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The folder below `models/`.
    pub folder: String,
    /// Its official name.
    pub name: String,
    /// How its numbers are stored, for the diffusion model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Its size, where a source says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The same in GiB with two places, as notes for people say it.
    #[serde(default, skip_serializing)]
    pub gib: Option<f64>,
    /// Where it is to be had: `REPOSITORY/FOLDER` of Hugging Face or an address.
    #[serde(default, skip_serializing)]
    pub from: Option<String>,
    /// It has the encoders and the VAE within it.
    #[serde(default, skip_serializing)]
    pub whole: bool,
    /// It is no part of the model, though it lies where models do.
    #[serde(default, skip_serializing)]
    pub helper: bool,
}

impl File {
    /// Whether a name, whatever folder it stands in, means this file.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        base_name(name).eq_ignore_ascii_case(&self.name)
    }

    /// The words of its name without those of its precision: what all precisions have in common.
    #[must_use]
    pub fn part(&self) -> Vec<String> {
        part(&self.name)
    }

    /// Where it is to lie, `folder/name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    /// The address from which it is to be had, where a source says one.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let from = self.from.as_deref()?;
        if from.contains("://") {
            return Some(from.to_owned());
        }
        let mut parts = from.splitn(3, '/');
        let (owner, repository) = (parts.next()?, parts.next()?);
        let folder = parts.next().map_or_else(String::new, |it| format!("{it}/"));
        let name = &self.name;
        Some(format!(
            "https://huggingface.co/{owner}/{repository}/resolve/main/{folder}{name}"
        ))
    }

    /// Its size in GiB, as exactly as a source says it.
    #[must_use]
    pub fn size_gib(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "files are far below 2^53 bytes")]
        let exact = self.bytes.map(|bytes| bytes as f64 / GIB);
        exact.or(self.gib)
    }

    /// Whether the model itself is in it, and not what goes with it.
    pub(super) fn has_model(&self) -> bool {
        !self.helper && ["diffusion_models", "checkpoints"].contains(&self.folder.as_str())
    }
}

/// The words of a file's name without those of its precision. `Q4_K_M` is one in three words.
pub(super) fn part(name: &str) -> Vec<String> {
    const SIZES: [&str; 4] = ["k", "s", "m", "l"];
    let mut quantised = false;
    let mut kept: Vec<&str> = vec![];
    let all = crate::comfy::model_name::words(name);
    for word in &all {
        if is_precision(word) {
            quantised = word.starts_with('q') || word.starts_with("iq");
        } else if !(quantised
            && (SIZES.contains(&word.as_str()) || ["0", "1"].contains(&word.as_str())))
        {
            quantised = false;
            kept.push(word);
        }
    }
    words(&kept.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(from: &str) -> File {
        let text = format!("folder = \"vae\"\nname = \"ae.safetensors\"\nfrom = \"{from}\"");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn the_short_form_of_a_source_is_an_address_of_hugging_face() {
        for (from, url) in [
            (
                "Comfy-Org/z_image/split_files/vae",
                "https://huggingface.co/Comfy-Org/z_image/resolve/main/split_files/vae/ae.safetensors",
            ),
            (
                "Comfy-Org/z_image",
                "https://huggingface.co/Comfy-Org/z_image/resolve/main/ae.safetensors",
            ),
            ("https://example.com/vae", "https://example.com/vae"),
        ] {
            assert_eq!(file(from).url().as_deref(), Some(url));
        }
        assert_eq!(file("nobody").url(), None);
    }

    #[test]
    fn a_size_in_bytes_goes_before_one_in_words() {
        let mut file = file("Comfy-Org/z_image");
        file.gib = Some(0.31);
        assert_eq!(file.size_gib(), Some(0.31));
        file.bytes = Some(1 << 29);
        assert_eq!(file.size_gib(), Some(0.5));
    }

    #[test]
    fn precisions_of_one_file_are_the_same_part() {
        let part = |name| super::part(name).join(" ");
        for name in [
            "z_image_turbo_bf16.safetensors",
            "z_image_turbo_int8_convrot.safetensors",
            "gguf/z-image-turbo-Q4_K_M.gguf",
            "Z_Image_Turbo_Q8_0.gguf",
            "z_image_turbo_fp8_e4m3fn_scaled.safetensors",
        ] {
            assert_eq!(part(name), "z image turbo", "{name}");
        }
        assert_ne!(
            part("wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors"),
            part("wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors")
        );
    }
}
