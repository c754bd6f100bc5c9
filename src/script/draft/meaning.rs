//! What a value is to the one who sets it, by role, by name, and by the files that it names.

use serde_json::Value;

use super::purpose::{Medium, Purpose, upload};
use super::read::Part;
use crate::comfy::anatomy::Role;
use crate::comfy::nodes::{INPUT_FOLDER, model_folder};

/// What the names of model files end in.
const MODEL_ENDINGS: [&str; 8] = [
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pth",
    ".bin",
    ".gguf",
    ".onnx",
];

/// The folders of models, and what the parameter of a file there is called.
pub(super) const FOLDERS: [(&str, &str); 14] = [
    ("checkpoints", "CHECKPOINT"),
    ("diffusion_models", "MODEL"),
    ("text_encoders", "CLIP"),
    ("vae", "VAE"),
    ("loras", "LORA"),
    ("controlnet", "CONTROLNET"),
    ("clip_vision", "CLIP_VISION"),
    ("style_models", "STYLE_MODEL"),
    ("upscale_models", "UPSCALER"),
    ("latent_upscale_models", "UPSCALER"),
    ("audio_encoders", "AUDIO_ENCODER"),
    ("model_patches", "MODEL_PATCH"),
    ("gligen", "GLIGEN"),
    ("photomaker", "PHOTOMAKER"),
];

/// Called after the title of its node.
pub(super) const VALUE: &str = "VALUE";

/// What a value is to the one who sets it.
pub(super) struct Meaning {
    pub(super) base: &'static str,
    pub(super) about: &'static str,
    /// Whether places with the same value are set together.
    pub(super) shared: bool,
}

/// What a role is called; none where another trait of the input says more.
pub(super) fn of_role(role: Role, purpose: &Purpose) -> Option<Meaning> {
    let (base, about, shared) = match role {
        Role::Prompt => ("PROMPT", purpose.verb(), true),
        Role::NegativePrompt => ("NEGATIVE", "What must not be there", true),
        Role::Seed => ("SEED", "Same seed, same result", true),
        Role::Steps => ("STEPS", "Sampling steps", false),
        Role::Cfg => ("CFG", "How closely to follow the prompt", false),
        Role::Guidance => ("GUIDANCE", "How closely to follow the prompt", false),
        Role::Sampler => ("SAMPLER", "The sampling method", true),
        Role::Scheduler => ("SCHEDULER", "How the noise is spread over the steps", true),
        Role::Denoise => ("DENOISE", "How much is made anew, 0 to 1", false),
        Role::Width => ("WIDTH", "Pixels", true),
        Role::Height => ("HEIGHT", "Pixels", true),
        Role::BatchSize => ("BATCH", "How many per run", true),
        Role::Frames => ("FRAMES", "How many pictures the clip has", true),
        // These are known by their folders and uploads.
        Role::Model | Role::Lora | Role::Image => return None,
    };
    Some(Meaning {
        base,
        about,
        shared,
    })
}

/// What an input is by its name and class, if it is anything that people set.
pub(super) fn of_input(part: &Part<'_>, input: &str, value: &Value) -> Option<Meaning> {
    let meaning = |base, about, shared| {
        Some(Meaning {
            base,
            about,
            shared,
        })
    };
    if let Some(medium) = upload(part, input) {
        return match medium {
            Medium::Clip => meaning("VIDEO_PATH", "The clip", true),
            Medium::Sound => meaning("AUDIO_PATH", "The sound", true),
            _ if part.class.contains("Mask") => meaning("MASK_PATH", "The mask", true),
            _ => meaning("IMAGE_PATH", "The picture", true),
        };
    }
    if is_model_file(part, input, value) {
        return meaning(file_base(part, input), "", true);
    }
    let declared = part.facts.and_then(|facts| facts.input(input));
    let is_long = declared.is_some_and(|declared| declared.flag("multiline"));
    let last = input.rsplit('.').next().unwrap_or(input);
    match last {
        "seed" | "noise_seed" => meaning("SEED", "Same seed, same result", true),
        "fps" | "frame_rate" => meaning("FPS", "Pictures per second", true),
        "shift" => meaning("SHIFT", "More for composition, less for detail", false),
        "strength_model" | "strength_clip" if part.class.contains("Lora") => {
            meaning("LORA_STRENGTH", "How much of the LoRA", false)
        }
        "strength" if part.class.contains("ControlNet") => {
            meaning("STRENGTH", "How closely to follow the picture", false)
        }
        "resolution" => meaning("RESOLUTION", "How large it is", true),
        "aspect_ratio" => meaning("ASPECT_RATIO", "Width to height", true),
        "duration" => meaning("SECONDS", "How long it is", true),
        "prompt" => meaning("PROMPT", "What is wanted", true),
        "negative_prompt" => meaning("NEGATIVE", "What must not be there", true),
        "text" | "value" if is_long => meaning("TEXT", "A text", false),
        // Somebody took it out to set it, and said what it is.
        "value" if part.class.starts_with("Primitive") && part.title.is_some() => {
            meaning(VALUE, "", false)
        }
        _ => None,
    }
}

/// Whether an input names a model file.
fn is_model_file(part: &Part<'_>, input: &str, value: &Value) -> bool {
    let Some(file) = value.as_str() else {
        return false;
    };
    let folder = model_folder(part.class, input).filter(|folder| *folder != INPUT_FOLDER);
    let file = file.to_lowercase();
    folder.is_some() || MODEL_ENDINGS.iter().any(|ending| file.ends_with(ending))
}

/// Whether a node names model files and needs nothing else.
pub(super) fn loads_models(part: &Part<'_>) -> bool {
    let mut literals = part.literals();
    literals.any(|(name, value)| is_model_file(part, name, value))
}

fn file_base(part: &Part<'_>, input: &str) -> &'static str {
    let folder = model_folder(part.class, input);
    let known = folder.and_then(|folder| FOLDERS.iter().find(|(own, _)| *own == folder));
    if let Some((_, base)) = known {
        return base;
    }
    let called = format!("{} {input}", part.class).to_lowercase();
    let by_name = [
        ("lora", "LORA"),
        ("vae", "VAE"),
        ("clip_vision", "CLIP_VISION"),
        ("clip", "CLIP"),
        ("ckpt", "CHECKPOINT"),
        ("control", "CONTROLNET"),
        ("upscale", "UPSCALER"),
    ];
    let by_name = by_name.iter().find(|(word, _)| called.contains(word));
    by_name.map_or("MODEL", |(_, base)| base)
}
