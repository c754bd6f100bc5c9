//! What a caller calls the things that can be set in a workflow.

use serde::Serialize;

/// Something that can be set in a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What is to be seen or heard.
    Prompt,
    /// What is not.
    NegativePrompt,
    /// Where the noise comes from.
    Seed,
    /// Sampling steps.
    Steps,
    /// How closely the prompt is followed, by comparison with the negative one.
    Cfg,
    /// The same for models that are told it as a number.
    Guidance,
    /// The sampling method.
    Sampler,
    /// How the noise levels are spread over the steps.
    Scheduler,
    /// How much of what is there is made anew, 0 to 1.
    Denoise,
    /// Pixels across.
    Width,
    /// Pixels down.
    Height,
    /// How many at once.
    BatchSize,
    /// How many pictures a clip has.
    Frames,
    /// The file of the diffusion model or checkpoint.
    Model,
    /// The file of a `LoRA`.
    Lora,
    /// A picture, clip or sound that goes in.
    Image,
}

/// Each role under its own name and what else callers say.
const NAMES: [(Role, &[&str]); 16] = [
    (Role::Prompt, &["prompt", "positive_prompt", "edit_prompt"]),
    (Role::NegativePrompt, &["negative_prompt", "negative"]),
    (Role::Seed, &["seed", "noise_seed"]),
    (Role::Steps, &["steps"]),
    (Role::Cfg, &["cfg", "cfg_scale"]),
    (Role::Guidance, &["guidance"]),
    (Role::Sampler, &["sampler", "sampler_name"]),
    (Role::Scheduler, &["scheduler"]),
    (Role::Denoise, &["denoise"]),
    (Role::Width, &["width"]),
    (Role::Height, &["height"]),
    (Role::BatchSize, &["batch_size", "batch"]),
    (Role::Frames, &["frames", "length", "num_frames"]),
    (
        Role::Model,
        &["model", "checkpoint", "ckpt_name", "unet_name"],
    ),
    (Role::Lora, &["lora", "lora_name"]),
    (Role::Image, &["image", "image_path"]),
];

impl Role {
    /// All roles in the order in which they are told.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(role, _)| *role)
    }

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let own = NAMES.iter().find(|(role, _)| *role == self);
        own.map_or("", |(_, names)| names[0])
    }

    /// The role that a caller means; templates write the names in capitals.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let found = NAMES
            .iter()
            .find(|(_, names)| names.contains(&name.as_str()));
        found.map(|(role, _)| *role)
    }

    /// What else callers say for it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let own = NAMES.iter().filter(move |(role, _)| *role == self);
        own.flat_map(|(_, names)| names.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_name_as_json_writes_it() {
        for role in Role::all() {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(Role::named(&role.as_str().to_uppercase()), Some(role));
        }
        assert_eq!(Role::named("strength"), None);
    }
}
