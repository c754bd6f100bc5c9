//! Which model a name means: a file's or one that people use.
//!
//! Names are compared word by word, never by parts of words: "w" is not Wan, and "sd" is nothing
//! in particular. A name that is known exactly goes before one that is like a known one.

use super::file;
use super::lookup::Meaning;
use super::{Knowledge, Model, Partner, Variant};
use crate::comfy::model_name::{self, base_name};

/// Words that say that a name is of something beside a model.
const PARTS: [&str; 15] = [
    "vae",
    "lora",
    "loras",
    "clip",
    "encoder",
    "upscaler",
    "upsampler",
    "embedding",
    "taesd",
    "controlnet",
    "ipadapter",
    "lllite",
    "adapter",
    "projector",
    "mmproj",
];

/// Words that say that a model was distilled or tuned, so that other settings are right for it.
const VARIANTS: [&str; 18] = [
    "turbo",
    "lightning",
    "distilled",
    "distill",
    "lcm",
    "hyper",
    "schnell",
    "klein",
    "kontext",
    "fill",
    "flash",
    "fast",
    "fastvideo",
    "rapid",
    "animate",
    "vace",
    "s2v",
    "fun",
];

/// Words after a number that make it a measure and no version: `14 b`, `720 p`.
const UNITS: [&str; 7] = ["b", "p", "k", "m", "px", "step", "steps"];

/// What a name was found to mean.
#[derive(Clone, Debug)]
pub struct Identified<'k> {
    /// The model.
    pub model: &'k Model,
    /// The way of running it whose file the name is of.
    pub way: Option<&'k Variant>,
    /// The word by which the name says that it is a distilled version, of which the facts do not
    /// speak.
    pub variant: Option<String>,
}

impl<'k> Identified<'k> {
    fn exactly(model: &'k Model) -> Self {
        Self {
            model,
            way: None,
            variant: None,
        }
    }
}

impl Knowledge {
    /// The model that a name means; none if nothing is known of it, or if it is not a model but
    /// something beside one, such as a VAE.
    #[must_use]
    pub fn identify(&self, name: &str) -> Option<Identified<'_>> {
        let wanted = words(name);
        let index = self.lookup.of(self);
        if let Some(place) = index.names.get(&wanted) {
            return Some(Identified::exactly(self.models.get(*place)?));
        }
        let file = base_name(name.trim()).to_lowercase();
        let meaning = index.files.get(&file);
        if let Some(meaning) = meaning.or_else(|| index.parts.get(&file::part(name))) {
            return self.meant(*meaning);
        }
        if wanted.iter().any(|word| PARTS.contains(&word.as_str())) {
            return None;
        }
        let mut patterns = index.patterns.iter();
        let means = |pattern: &[String], place: usize| {
            let model = self.models.get(place);
            contains(&wanted, pattern)
                && !model.is_some_and(|model| is_of_other_size(&wanted, pattern, model))
        };
        let (pattern, place) = patterns.find(|(pattern, place)| means(pattern, *place))?;
        // Whole words, numbers and letters together: `s2v`.
        let whole = model_name::words(name);
        let is_said = |word: &str| {
            let said = words(word);
            pattern.windows(said.len()).any(|window| window == said)
        };
        let tells = |word: &&String| VARIANTS.contains(&word.as_str()) && !is_said(word);
        Some(Identified {
            variant: whole.iter().find(tells).cloned(),
            ..Identified::exactly(self.models.get(*place)?)
        })
    }

    fn meant(&self, meaning: Meaning) -> Option<Identified<'_>> {
        match meaning {
            Meaning::Own(place) => Some(Identified::exactly(self.models.get(place)?)),
            Meaning::Way(place, way) => {
                let model = self.models.get(place)?;
                Some(Identified {
                    way: model.variants.get(way),
                    ..Identified::exactly(model)
                })
            }
            Meaning::Beside => None,
        }
    }

    /// The model of that name that runs elsewhere.
    #[must_use]
    pub fn partner(&self, name: &str) -> Option<(&str, &Partner)> {
        let wanted = words(name);
        let mut partners = self.partners.iter();
        let found = partners.find(|(name, _)| words(name) == wanted)?;
        Some((found.0, found.1))
    }

    /// The names of models that have a word with this one in common.
    #[must_use]
    pub fn alike(&self, name: &str) -> Vec<String> {
        const AT_MOST: usize = 12;
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
            .take(AT_MOST)
            .map(|model| model.name.clone())
            .collect()
    }
}

/// The words of a name in small letters, numbers apart: `flux1-dev` is `flux`, `1`, `dev`.
pub(super) fn words(name: &str) -> Vec<String> {
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

/// Whether the words of a pattern stand in a name one after the other, and no number follows: `ltx 2`
/// is not in `ltx-2.3`, and `qwen image` is not in `qwen_image_3`.
fn contains(words: &[String], pattern: &[String]) -> bool {
    let is_number = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
    let goes_on = |next: usize| {
        let unit = words.get(next + 1).map(String::as_str);
        let measure = unit.is_some_and(|unit| UNITS.contains(&unit));
        words.get(next).is_some_and(is_number) && !measure
    };
    let mut windows = words.windows(pattern.len()).enumerate();
    windows.any(|(at, window)| window == pattern && !goes_on(at + pattern.len()))
}

/// Whether a name speaks of another number of parameters than the model has, as `13b` does. What the
/// facts say of the name goes before.
fn is_of_other_size(words: &[String], pattern: &[String], model: &Model) -> bool {
    const NEAR: f64 = 0.25;
    let Some(own) = model.parameters else {
        return false;
    };
    let is_own = |text: &str| {
        let billions: Result<f64, _> = text.parse();
        billions.is_ok_and(|billions| (billions / own - 1.0).abs() < NEAR)
    };
    let differs = |at: usize| {
        let Some([number, unit]) = words.get(at..at + 2) else {
            return false;
        };
        let is_size = unit == "b" && number.parse::<f64>().is_ok();
        // `1.3 b` stands there as two numbers.
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let with = before.map(|before| format!("{before}.{number}"));
        let told = pattern
            .windows(2)
            .any(|pair| pair == [number.clone(), unit.clone()]);
        is_size && !told && !is_own(number) && !with.is_some_and(|with| is_own(&with))
    };
    (0..words.len()).any(differs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("flux1-dev.safetensors", "FLUX.1-dev")]
    #[case("FLUX.1 [dev]", "FLUX.1-dev")]
    #[case("some/folder/flux1-dev-fp8.safetensors", "FLUX.1-dev")]
    #[case("unet\\FLUX1-DEV-Q5_K_S.gguf", "FLUX.1-dev")]
    #[case("flux2_dev_fp8mixed.safetensors", "FLUX.2-dev")]
    #[case("flux 2 dev", "FLUX.2-dev")]
    #[case("qwen_image_2512_fp8_e4m3fn.safetensors", "Qwen-Image-2512")]
    #[case("qwen/qwen-image-2512-Q4_K_M.gguf", "Qwen-Image-2512")]
    #[case("qwen_image_fp8_e4m3fn.safetensors", "Qwen-Image")]
    #[case("qwen_image_2.1_int8_convrot.safetensors", "Qwen-Image-2.1")]
    #[case(
        "qwen_image_2.1_turbo_int8_convrot.safetensors",
        "Qwen-Image-2.1-Turbo"
    )]
    #[case("qwen_image_edit_fp8_e4m3fn.safetensors", "Qwen-Image-Edit")]
    #[case("qwen_image_edit_2509_fp8_e4m3fn.safetensors", "Qwen-Image-Edit-2509")]
    #[case("qwen_image_edit_2511_fp8mixed.safetensors", "Qwen-Image-Edit-2511")]
    #[case("flux3-image-klein-int8-convrot.safetensors", "FLUX.3-klein")]
    #[case("flux-2-klein-9b-kv-fp8.safetensors", "FLUX.2-klein-9B-KV")]
    #[case("wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors", "Wan 2.2 I2V 14B")]
    #[case("wan2.1_t2v_1.3B_fp16.safetensors", "Wan 2.1 T2V 1.3B")]
    #[case("wan2.1_t2v_14B_fp8_scaled.safetensors", "Wan 2.1 T2V 14B")]
    #[case("Wan2.2-T2V-A14B-HighNoise-Q4_K_M.gguf", "Wan 2.2 T2V 14B")]
    #[case("hunyuanvideo1.5_720p_t2v_fp16.safetensors", "HunyuanVideo 1.5")]
    #[case("hunyuanvideo1.5_720p_i2v_fp16.safetensors", "HunyuanVideo 1.5 I2V")]
    #[case("ltx-2-19b-dev-fp8.safetensors", "LTX-2 19B")]
    #[case("ltx-2-19b-distilled.safetensors", "LTX-2 19B distilled")]
    #[case("ltx-2.3-22b-dev-fp8.safetensors", "LTX-2.3")]
    #[case("sd_xl_base_1.0.safetensors", "Stable Diffusion XL")]
    #[case("sd_xl_turbo_1.0_fp16.safetensors", "SDXL Turbo")]
    #[case(
        "sd3.5_large_controlnet_canny.safetensors",
        "SD3.5 Large ControlNet Canny"
    )]
    #[case("v1-5-pruned-emaonly-fp16.safetensors", "Stable Diffusion 1.5")]
    #[case("sd15", "Stable Diffusion 1.5")]
    #[case("ltx-2.3-22b-distilled-1.1.safetensors", "LTX-2.3 distilled")]
    #[case("Wan2.1-T2V-1.3B-Q8_0.gguf", "Wan 2.1 T2V 1.3B")]
    #[case("ltxv-2b-0.9.6-dev.safetensors", "LTX-Video 0.9.5")]
    #[case("flux1-depth-dev-lora.safetensors", "FLUX.1-Depth-dev LoRA")]
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
    #[case("ltx-3-30b-dev-fp8.safetensors")]
    #[case("qwen_image_3_bf16.safetensors")]
    #[case("wan2.3_t2v_14B.safetensors")]
    #[case("qwen_image_vae.safetensors")]
    #[case("ltx-2-19b-distilled-lora-384.safetensors")]
    #[case("sd3.5_large_controlnet_tile.safetensors")]
    #[case("mistral_3_small_flux2_fp8.safetensors")]
    #[case("qwen3vl_32b_minimax_h3_nvfp4_awq.safetensors")]
    #[case("dreamshaper_8.safetensors")]
    #[case("ltxv-13b-0.9.8-dev-fp8.safetensors")]
    #[case("flux1-depth-dev.safetensors")]
    #[case("Wan2_2-Animate-14B_fp8_e4m3fn_scaled_KJ.safetensors")]
    fn what_is_no_known_model_is_not_taken_for_one(#[case] name: &str) {
        let knowledge = Knowledge::bundled();
        let found = knowledge.identify(name);
        let found = found.map(|found| found.model.name.clone());
        assert_eq!(found, None);
    }

    #[rstest]
    #[case("Qwen-Image-Edit-Rapid-AIO-v9.safetensors", "Qwen-Image-Edit", "rapid")]
    #[case("Chroma1-HD-Flash.safetensors", "Chroma1-HD", "flash")]
    #[case(
        "hunyuan_video_FastVideo_720_fp8_e4m3fn.safetensors",
        "HunyuanVideo",
        "fastvideo"
    )]
    #[case("wan2.1_t2v_14B_vace_mix.safetensors", "Wan 2.1 T2V 14B", "vace")]
    fn what_was_tuned_is_told_apart(#[case] name: &str, #[case] model: &str, #[case] word: &str) {
        let knowledge = Knowledge::bundled();
        let found = knowledge.identify(name).unwrap();
        assert_eq!(found.model.name, model);
        assert_eq!(found.variant.as_deref(), Some(word));
    }

    #[test]
    fn a_version_after_the_word_that_tells_makes_no_other_variant_of_it() {
        let knowledge = Knowledge::bundled();
        let found = knowledge.identify("ltx-2.3-22b-distilled-1.1.safetensors");
        let found = found.unwrap();
        assert_eq!(found.model.name, "LTX-2.3 distilled");
        assert_eq!(found.variant, None);
    }

    #[test]
    fn a_distilled_version_is_told_apart() {
        let knowledge = Knowledge::bundled();
        let found = knowledge
            .identify("sdxl_lightning_4step.safetensors")
            .unwrap();
        assert_eq!(found.model.name, "Stable Diffusion XL");
        assert_eq!(found.variant.as_deref(), Some("lightning"));
        let found = knowledge
            .identify("z_image_turbo_bf16.safetensors")
            .unwrap();
        assert_eq!(found.variant, None);
    }

    #[test]
    fn the_file_of_a_way_to_run_a_model_means_that_way() {
        let knowledge = Knowledge::bundled();
        let lora = "Qwen-Image-2512-Lightning-4steps-V1.0-fp32.safetensors";
        let found = knowledge.identify(lora).unwrap();
        assert_eq!(found.model.name, "Qwen-Image-2512");
        assert_eq!(found.way.unwrap().name, "Lightning LoRA, 4 steps");
    }

    #[test]
    fn partners_are_known_by_their_names_alone() {
        let knowledge = Knowledge::bundled();
        assert_eq!(knowledge.partner("kling 4.0").unwrap().0, "Kling 4.0");
        assert!(knowledge.partner("kling 4").is_none());
        assert!(knowledge.partner("k").is_none());
    }
}
