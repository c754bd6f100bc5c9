//! Which model a name means: a file's or one that people use.
//!
//! Names are compared word by word, never by parts of words: "w" is not Wan, and "sd" is nothing
//! in particular.

use super::{Knowledge, Model};
use crate::comfy::model_name;

/// Words that say that a name is of something beside a model.
const PARTS: [&str; 9] = [
    "vae",
    "lora",
    "loras",
    "clip",
    "encoder",
    "upscaler",
    "upsampler",
    "embedding",
    "taesd",
];

/// Words that say that a model was distilled, so that other settings are right for it.
const VARIANTS: [&str; 8] = [
    "turbo",
    "lightning",
    "distilled",
    "lcm",
    "hyper",
    "schnell",
    "klein",
    "kontext",
];

/// What a name was found to mean.
#[derive(Clone, Debug)]
pub struct Identified<'k> {
    /// The model.
    pub model: &'k Model,
    /// The word by which the name says that it is a distilled version, of which the facts do not
    /// speak.
    pub variant: Option<String>,
}

impl Knowledge {
    /// The model that a name means; none if nothing is known of it, or if it is not a model but
    /// something beside one, such as a VAE.
    #[must_use]
    pub fn identify(&self, name: &str) -> Option<Identified<'_>> {
        if let Some(model) = self
            .models
            .iter()
            .find(|model| model.name.eq_ignore_ascii_case(name.trim()))
        {
            return Some(Identified {
                model,
                variant: None,
            });
        }
        let words = words(name);
        if words.iter().any(|word| PARTS.contains(&word.as_str())) {
            return None;
        }
        let mut best: Option<(usize, &Model, Vec<String>)> = None;
        for model in &self.models {
            for pattern in &model.matches {
                let pattern = self::words(pattern);
                let longer = best.as_ref().is_none_or(|best| pattern.len() > best.0);
                if longer && contains(&words, &pattern) {
                    best = Some((pattern.len(), model, pattern));
                }
            }
        }
        let (_, model, pattern) = best?;
        let variant = words
            .iter()
            .find(|word| VARIANTS.contains(&word.as_str()) && !pattern.contains(word))
            .cloned();
        Some(Identified { model, variant })
    }

    /// The names of models that have a word with this one in common.
    #[must_use]
    pub fn alike(&self, name: &str) -> Vec<String> {
        let wanted = words(name);
        let shares = |model: &&Model| {
            let own = words(&model.name);
            let has_letters =
                |word: &&String| word.len() > 1 && !word.starts_with(char::is_numeric);
            wanted
                .iter()
                .filter(has_letters)
                .any(|word| own.contains(word))
        };
        self.models
            .iter()
            .filter(shares)
            .map(|model| model.name.clone())
            .collect()
    }
}

/// The words of a name in small letters, numbers apart: `flux1-dev` is `flux`, `1`, `dev`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    for word in model_name::words(name) {
        let mut numeric = None;
        for letter in word.chars() {
            let is_digit = letter.is_ascii_digit();
            if numeric == Some(is_digit) {
                if let Some(last) = words.last_mut() {
                    last.push(letter);
                }
            } else {
                words.push(letter.to_string());
                numeric = Some(is_digit);
            }
        }
    }
    words
}

/// Whether the words of a pattern stand in a name one after the other. A number at its end must not
/// go on: `ltx 2` is not in `ltx-2.3`.
fn contains(words: &[String], pattern: &[String]) -> bool {
    let is_number = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
    !pattern.is_empty()
        && words
            .windows(pattern.len())
            .enumerate()
            .any(|(at, window)| {
                let goes_on = pattern.last().is_some_and(is_number)
                    && words.get(at + pattern.len()).is_some_and(is_number);
                window == pattern && !goes_on
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("flux1-dev.safetensors", "FLUX.1-dev")]
    #[case("FLUX.1 [dev]", "FLUX.1-dev")]
    #[case("some/folder/flux1-dev-fp8.safetensors", "FLUX.1-dev")]
    #[case("flux2_dev_fp8mixed.safetensors", "FLUX.2-dev")]
    #[case("qwen_image_2512_fp8_e4m3fn.safetensors", "Qwen-Image-2512")]
    #[case("qwen_image_fp8_e4m3fn.safetensors", "Qwen-Image")]
    #[case("qwen_image_edit_2509_fp8_e4m3fn.safetensors", "Qwen-Image-Edit")]
    #[case("qwen_image_edit_2511_fp8mixed.safetensors", "Qwen-Image-Edit-2511")]
    #[case("wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors", "Wan 2.2 I2V 14B")]
    #[case("wan2.1_t2v_1.3B_fp16.safetensors", "Wan 2.1 1.3B")]
    #[case("wan2.1_t2v_14B_fp8_scaled.safetensors", "Wan 2.1 14B")]
    #[case("Wan2.2-T2V-A14B-HighNoise-Q4_K_M.gguf", "Wan 2.2 T2V 14B")]
    #[case("hunyuanvideo1.5_720p_t2v_fp16.safetensors", "HunyuanVideo 1.5")]
    #[case("ltx-2-19b-dev-fp8.safetensors", "LTX-2 19B")]
    #[case("sd_xl_base_1.0.safetensors", "Stable Diffusion XL")]
    #[case("v1-5-pruned-emaonly-fp16.safetensors", "Stable Diffusion 1.5")]
    fn a_model_is_known_by_the_words_of_its_name(#[case] name: &str, #[case] model: &str) {
        let knowledge = Knowledge::bundled();
        let found = knowledge
            .identify(name)
            .map(|found| found.model.name.clone());
        assert_eq!(found.as_deref(), Some(model));
    }

    #[rstest]
    #[case("w")]
    #[case("sd")]
    #[case("")]
    #[case("flux")]
    #[case("swan")]
    #[case("ltx-2.3-22b-dev-fp8.safetensors")]
    #[case("qwen_image_vae.safetensors")]
    #[case("ltx-2-19b-distilled-lora-384.safetensors")]
    #[case("mistral_3_small_flux2_fp8.safetensors")]
    #[case("dreamshaper_8.safetensors")]
    fn what_is_no_known_model_is_not_taken_for_one(#[case] name: &str) {
        let found = Knowledge::bundled()
            .identify(name)
            .map(|found| found.model.name.clone());
        assert_eq!(found, None);
    }

    #[test]
    fn a_distilled_version_is_told_apart() {
        let knowledge = Knowledge::bundled();
        let found = knowledge
            .identify("sdxl_turbo_1.0_fp16.safetensors")
            .unwrap();
        assert_eq!(found.model.name, "Stable Diffusion XL");
        assert_eq!(found.variant.as_deref(), Some("turbo"));
        let found = knowledge
            .identify("z_image_turbo_bf16.safetensors")
            .unwrap();
        assert_eq!(found.variant, None);
    }
}
