//! What is known of files by their names alone: how their numbers are stored, and what text encoders
//! and autoencoders weigh.

use super::vae::Vae;
use super::weights::Span;
use crate::comfy::model_name::{is_precision, words};

/// Billions of parameters of the text encoders, by words of their names.
pub(super) const ENCODERS: [(&[&str], f64); 14] = [
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
pub(super) const PARTS: [(&str, f64, f64); 6] = [
    ("sd15", 0.123, 0.084),
    ("sd20", 0.354, 0.084),
    ("sdxl", 0.817, 0.084),
    ("sdxl-refiner", 0.695, 0.084),
    ("sd3", 5.6, 0.084),
    ("flux1", 4.9, 0.084),
];

/// Billions of parameters of autoencoders (the sizes of the official files).
pub(super) const AUTOENCODERS: [(Vae, f64); 5] = [
    (Vae::Kl, 0.084),
    (Vae::Flux2, 0.084),
    (Vae::Wan21, 0.127),
    (Vae::Wan22, 0.705),
    (Vae::Hunyuan, 0.246),
];

/// Most `LoRAs` and `ControlNets` of the market weigh between these.
pub(super) const ADDITION: Span = Span {
    low: 0.02e9,
    likely: 0.3e9,
    high: 5e9,
};

/// Autoencoders weigh between these: from TAESD to Wan 2.2's.
pub(super) const AUTOENCODER: Span = Span {
    low: 0.005e9,
    likely: 0.25e9,
    high: 1.5e9,
};

pub(super) fn encoder(file: &str) -> Option<f64> {
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
pub(super) fn bytes_per_weight(file: &str, size: f64, billions: Option<f64>) -> f64 {
    let says = is_gguf(file) || words(file).iter().any(|word| is_precision(word));
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

/// Whether a file is of the format whose name says how its numbers are packed.
pub(super) fn is_gguf(file: &str) -> bool {
    file.to_lowercase().ends_with(".gguf")
}

/// Bytes of one weight by what the file's name says; two without a word.
pub(crate) fn named_bytes(file: &str) -> f64 {
    let gguf = is_gguf(file);
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
#[expect(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;
    use rstest::rstest;

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
