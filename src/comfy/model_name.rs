//! Names of model files: which two mean the same file, and which are most alike.
//!
//! A workflow from elsewhere rarely names files as they lie here: in another subfolder, in other
//! letters, as `.ckpt` instead of `.safetensors`, in another precision.

use std::collections::BTreeSet;

/// The endings of model files: `ComfyUI`'s own (`supported_pt_extensions` of 0.33) and GGUF.
const EXTENSIONS: [&str; 9] = [
    "ckpt",
    "pt",
    "pt2",
    "bin",
    "pth",
    "safetensors",
    "pkl",
    "sft",
    "gguf",
];

/// Whether a text ends as model files do.
#[must_use]
pub fn is_model_file(name: &str) -> bool {
    extension(name).is_some()
}

/// The name without its folders, in either way of writing them.
#[must_use]
pub fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// The name without folders and ending.
#[must_use]
pub fn stem(name: &str) -> &str {
    let base = base_name(name);
    match extension(base) {
        Some(extension) => &base[..base.len() - extension.len() - 1],
        None => base,
    }
}

/// The words of a name in small letters: `FLUX.1-dev_fp8` is `flux`, `1`, `dev`, `fp8`.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    stem(name)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Names that so many files have that only the folder tells which one it is.
const COMMON: [&str; 9] = [
    "adapter_model",
    "checkpoint",
    "diffusion_pytorch_model",
    "lora",
    "model",
    "pytorch_lora_weights",
    "pytorch_model",
    "unet",
    "vae",
];

/// Whether two names mean one file that lies in another folder, or is written in other letters,
/// with other separators or another ending.
#[must_use]
pub fn same_file(one: &str, other: &str) -> bool {
    words(one) == words(other) && (!is_common(one) || same_folder(one, other))
}

fn is_common(name: &str) -> bool {
    COMMON.contains(&&*without_precision(name).join("_"))
}

fn same_folder(one: &str, other: &str) -> bool {
    let folders = |name: &str| {
        let folders = &name[..name.len() - base_name(name).len()];
        folders.to_lowercase().replace('\\', "/")
    };
    folders(one) == folders(other)
}

/// The words of a name that tell which model it is, without how its numbers are stored.
#[must_use]
pub fn without_precision(name: &str) -> Vec<String> {
    // `Q4_K_M` is three words.
    const OF_GGUF: [&str; 9] = ["0", "1", "k", "s", "m", "l", "xl", "xs", "nl"];
    let mut kept = vec![];
    let mut in_gguf = false;
    for word in words(name) {
        if is_precision(&word) {
            in_gguf = is_quantised(&word);
        } else if !(in_gguf && OF_GGUF.contains(&&*word)) {
            in_gguf = false;
            kept.push(word);
        }
    }
    kept
}

/// How the numbers in a file are stored, as far as its name says: `fp8_e4m3fn`.
#[must_use]
pub fn precision_of(name: &str) -> Option<String> {
    let mut told = words(name);
    told.retain(|word| is_precision(word));
    (!told.is_empty()).then(|| told.join("_"))
}

/// The one choice that means the same file, or else the same model in another precision: of several
/// the one that has most of the name.
#[must_use]
pub fn same_model_among<'a>(
    name: &str,
    choices: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    if choices.clone().any(|choice| same_file(name, choice)) {
        return same_among(name, choices);
    }
    let model = without_precision(name);
    let is_same = |choice: &&str| {
        without_precision(choice) == model && (!is_common(name) || same_folder(name, choice))
    };
    let own = words(name);
    let shared = |choice: &str| {
        words(choice)
            .iter()
            .filter(|word| own.contains(word))
            .count()
    };
    let same = choices.filter(|choice| !model.is_empty() && is_same(choice));
    same.max_by(|one, other| shared(one).cmp(&shared(other)).then(other.cmp(one)))
}

/// The one choice that means the same file; none if there are several.
#[must_use]
pub fn same_among<'a>(name: &str, choices: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut same = choices.filter(|choice| same_file(name, choice));
    let first = same.next()?;
    same.next().is_none().then_some(first)
}

/// How a file that is named is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed<'a> {
    /// Under that very name.
    Exactly,
    /// In another folder or spelling.
    As(&'a str),
    /// As the same model with its numbers stored in another way.
    InOtherPrecision(&'a str),
}

/// How a file that is named is among those that are there. Of several that could be meant, the first
/// with all of the file's own name, then the first; of other precisions, the one that has most of the
/// name. GGUF files have loaders of their own, so they never stand for others.
#[must_use]
pub fn installed<'a>(name: &str, files: &'a [String]) -> Option<Installed<'a>> {
    let loads_alike = |file: &&str| is_gguf(file) == is_gguf(name);
    let files = files.iter().map(String::as_str).filter(loads_alike);
    if files.clone().any(|file| file == name) {
        return Some(Installed::Exactly);
    }
    let same = files.clone().filter(|file| same_file(name, file));
    let as_written = |file: &&str| base_name(file) == base_name(name);
    if let Some(same) = same
        .clone()
        .find(as_written)
        .or_else(|| same.clone().next())
    {
        return Some(Installed::As(same));
    }
    same_model_among(name, files).map(Installed::InOtherPrecision)
}

fn is_gguf(name: &str) -> bool {
    extension(name).is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Names less alike than this have some letters in common and nothing else.
const ALIKE: f64 = 0.25;

/// The choices that are most like a name, the likest first; none that has nothing of it.
#[must_use]
pub fn nearest_files<'a>(
    name: &str,
    choices: impl Iterator<Item = &'a str>,
    at_most: usize,
) -> Vec<&'a str> {
    let mut ranked: Vec<(f64, &str)> = choices
        .map(|choice| (likeness(name, choice), choice))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    ranked
        .into_iter()
        .take(at_most)
        .map(|(_, choice)| choice)
        .collect()
}

/// 0 to 1: how many words are the same, and how alike the letters are.
fn likeness(one: &str, other: &str) -> f64 {
    let (own, others): (BTreeSet<String>, BTreeSet<String>) = (
        words(one).into_iter().collect(),
        words(other).into_iter().collect(),
    );
    let weight = |words: &mut dyn Iterator<Item = &String>| -> f64 {
        words
            .map(|word| if is_precision(word) { 0.25 } else { 1.0 })
            .sum()
    };
    let shared = weight(&mut own.intersection(&others));
    let all = weight(&mut own.union(&others)).max(0.25);
    let letters = strsim::jaro_winkler(&stem(one).to_lowercase(), &stem(other).to_lowercase());
    0.75 * shared / all + 0.25 * letters
}

/// Whether a word of a name (see [`words`]) says how the numbers are stored, not which model it is.
#[must_use]
pub fn is_precision(word: &str) -> bool {
    const WORDS: [&str; 16] = [
        "fp4", "fp8", "fp16", "fp32", "bf16", "int4", "int8", "nvfp4", "mxfp8", "e4m3fn", "e5m2",
        "scaled", "mixed", "fp8mixed", "convrot", "w4a8",
    ];
    WORDS.contains(&word) || is_quantised(word)
}

/// `q8` or `iq4`, as GGUF files are named.
fn is_quantised(word: &str) -> bool {
    let digits = word.strip_prefix("iq").or_else(|| word.strip_prefix('q'));
    digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
}

fn extension(name: &str) -> Option<&str> {
    let (_, extension) = base_name(name).rsplit_once('.')?;
    EXTENSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
        .then_some(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_in_another_folder_case_or_format() {
        for other in [
            "sd_xl_base_1.0.safetensors",
            "SDXL\\sd_xl_base_1.0.safetensors",
            "models/SD_XL_base_1.0.ckpt",
            "sd-xl-base-1.0.sft",
        ] {
            assert!(same_file("sd_xl_base_1.0.safetensors", other), "{other}");
        }
        assert!(!same_file(
            "sd_xl_base_1.0.safetensors",
            "sd_xl_refiner_1.0.safetensors"
        ));
    }

    #[test]
    fn what_is_there_twice_is_not_decided_upon() {
        let choices = ["a/flux1-dev.safetensors", "b/flux1-dev.safetensors"];
        assert_eq!(same_among("flux1-dev.sft", choices.into_iter()), None);
        assert_eq!(
            same_among("flux1-dev.sft", choices[..1].iter().copied()),
            Some(choices[0])
        );
    }

    #[test]
    fn the_same_model_may_be_there_in_another_precision_but_no_other_model() {
        let installed = [
            "flux1-dev.safetensors",
            "FLUX/flux1-schnell_fp8_e4m3fn.safetensors",
            "qwen_image_2512_fp8_e4m3fn.safetensors",
            "qwen_image_2512_bf16.safetensors",
            "flux1-krea-dev-Q8_0.gguf",
            "a/model.safetensors",
        ];
        let meant = |name| same_model_among(name, installed.into_iter());
        assert_eq!(meant("flux1-dev-fp8.safetensors"), Some(installed[0]));
        assert_eq!(meant("flux1-schnell.safetensors"), Some(installed[1]));
        assert_eq!(meant("qwen_image_2512_fp8_scaled.sft"), Some(installed[2]));
        assert_eq!(meant("x/flux1-krea-dev-Q4_K_M.gguf"), Some(installed[4]));
        assert_eq!(meant("A\\model.safetensors"), Some(installed[5]));
        for other in [
            "flux1-dev-kontext_fp8.safetensors",
            "qwen_image_fp8_e4m3fn.safetensors",
            "b/model.safetensors",
            "fp8.safetensors",
        ] {
            assert_eq!(meant(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_is_taken_as_it_is_there_and_no_gguf_for_what_another_loader_reads() {
        let files = [
            "A/Flux1-Dev.sft",
            "b/flux1-dev.safetensors",
            "qwen_image_bf16.safetensors",
            "z_image_turbo-Q8_0.gguf",
        ]
        .map(str::to_owned);
        let found = |name| installed(name, &files);
        assert_eq!(
            found("flux1-dev.safetensors"),
            Some(Installed::As("b/flux1-dev.safetensors"))
        );
        assert_eq!(
            found("flux1_dev.ckpt"),
            Some(Installed::As("A/Flux1-Dev.sft"))
        );
        assert_eq!(found("A/Flux1-Dev.sft"), Some(Installed::Exactly));
        assert_eq!(
            found("qwen_image_fp8_e4m3fn.safetensors"),
            Some(Installed::InOtherPrecision("qwen_image_bf16.safetensors"))
        );
        assert_eq!(found("z_image_turbo_bf16.safetensors"), None);
        assert_eq!(
            found("z_image_turbo-Q4_0.gguf"),
            Some(Installed::InOtherPrecision("z_image_turbo-Q8_0.gguf"))
        );
    }

    #[test]
    fn another_precision_of_the_same_model_is_the_nearest() {
        let installed = [
            "flux1-dev.safetensors",
            "qwen_image_fp8_e4m3fn.safetensors",
            "qwen_image_2512_bf16.safetensors",
            "wan2.1_t2v_1.3B_fp16.safetensors",
        ];
        let nearest = nearest_files(
            "qwen_image_2512_fp8_e4m3fn.safetensors",
            installed.into_iter(),
            2,
        );
        assert_eq!(
            nearest,
            [
                "qwen_image_2512_bf16.safetensors",
                "qwen_image_fp8_e4m3fn.safetensors"
            ]
        );
    }
}
