//! Which inputs list the files of which model folder, and how to put other files there.
//!
//! The bundled facts come from a server without models, so their lists of files are empty. The
//! simulator fills in the models that it pretends to have.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::facts::NodeFacts;

/// The key for files uploaded to the server, beside the names of the model folders.
pub const INPUT_FOLDER: &str = "input";

/// Class, input, folder and what is offered beside the files; read off `ComfyUI` 0.33.0.
const LOADERS: &[(&str, &str, &str, &[&str])] = &[
    (
        "AudioEncoderLoader",
        "audio_encoder_name",
        "audio_encoders",
        &[],
    ),
    ("CLIPLoader", "clip_name", "text_encoders", &[]),
    ("CLIPVisionLoader", "clip_name", "clip_vision", &[]),
    ("CheckpointLoader", "ckpt_name", "checkpoints", &[]),
    ("CheckpointLoader", "config_name", "configs", &[]),
    ("CheckpointLoaderSimple", "ckpt_name", "checkpoints", &[]),
    ("ControlNetLoader", "control_net_name", "controlnet", &[]),
    ("CreateHookLora", "lora_name", "loras", &[]),
    ("CreateHookLoraModelOnly", "lora_name", "loras", &[]),
    ("CreateHookModelAsLora", "ckpt_name", "checkpoints", &[]),
    (
        "CreateHookModelAsLoraModelOnly",
        "ckpt_name",
        "checkpoints",
        &[],
    ),
    (
        "DiffControlNetLoader",
        "control_net_name",
        "controlnet",
        &[],
    ),
    ("DiffusersLoader", "model_path", "diffusers", &[]),
    ("DualCLIPLoader", "clip_name1", "text_encoders", &[]),
    ("DualCLIPLoader", "clip_name2", "text_encoders", &[]),
    (
        "FrameInterpolationModelLoader",
        "model_name",
        "frame_interpolation",
        &[],
    ),
    ("GLIGENLoader", "gligen_name", "gligen", &[]),
    (
        "HypernetworkLoader",
        "hypernetwork_name",
        "hypernetworks",
        &[],
    ),
    ("ImageOnlyCheckpointLoader", "ckpt_name", "checkpoints", &[]),
    ("LTXAVTextEncoderLoader", "ckpt_name", "checkpoints", &[]),
    (
        "LTXAVTextEncoderLoader",
        "text_encoder",
        "text_encoders",
        &[],
    ),
    ("LTXVAudioVAELoader", "ckpt_name", "checkpoints", &[]),
    (
        "LatentUpscaleModelLoader",
        "model_name",
        "latent_upscale_models",
        &[],
    ),
    ("LoadAudio", "audio", INPUT_FOLDER, &[]),
    (
        "LoadBackgroundRemovalModel",
        "bg_removal_name",
        "background_removal",
        &[],
    ),
    ("LoadDA3Model", "model_name", "geometry_estimation", &[]),
    ("LoadImage", "image", INPUT_FOLDER, &[]),
    ("LoadImageMask", "image", INPUT_FOLDER, &[]),
    ("LoadLatent", "latent", INPUT_FOLDER, &[]),
    (
        "LoadMediaPipeFaceLandmarker",
        "model_name",
        "detection",
        &[],
    ),
    ("LoadMoGeModel", "model_name", "geometry_estimation", &[]),
    ("LoadVideo", "file", INPUT_FOLDER, &[]),
    ("LoraLoader", "lora_name", "loras", &[]),
    ("LoraLoaderBypass", "lora_name", "loras", &[]),
    ("LoraLoaderBypassModelOnly", "lora_name", "loras", &[]),
    ("LoraLoaderModelOnly", "lora_name", "loras", &[]),
    ("ModelPatchLoader", "name", "model_patches", &[]),
    ("OpticalFlowLoader", "model_name", "optical_flow", &[]),
    (
        "PhotoMakerLoader",
        "photomaker_model_name",
        "photomaker",
        &[],
    ),
    ("QuadrupleCLIPLoader", "clip_name1", "text_encoders", &[]),
    ("QuadrupleCLIPLoader", "clip_name2", "text_encoders", &[]),
    ("QuadrupleCLIPLoader", "clip_name3", "text_encoders", &[]),
    ("QuadrupleCLIPLoader", "clip_name4", "text_encoders", &[]),
    ("StyleModelLoader", "style_model_name", "style_models", &[]),
    ("TrainLoraNode", "existing_lora", "loras", &["[None]"]),
    ("TripleCLIPLoader", "clip_name1", "text_encoders", &[]),
    ("TripleCLIPLoader", "clip_name2", "text_encoders", &[]),
    ("TripleCLIPLoader", "clip_name3", "text_encoders", &[]),
    ("UNETLoader", "unet_name", "diffusion_models", &[]),
    ("UpscaleModelLoader", "model_name", "upscale_models", &[]),
    ("VAELoader", "vae_name", "vae", &["pixel_space"]),
    ("unCLIPCheckpointLoader", "ckpt_name", "checkpoints", &[]),
];

/// Small decoders that `VAELoader` offers by these names when both halves lie in `vae_approx`.
const TINY_VAES: [&str; 4] = ["taesd", "taesdxl", "taesd3", "taef1"];

/// The names that loaders' inputs for files have.
pub const FILE_INPUTS: &[&str] = &[
    "audio_encoder_name",
    "clip_name",
    "ckpt_name",
    "config_name",
    "control_net_name",
    "lora_name",
    "model_path",
    "clip_name1",
    "clip_name2",
    "model_name",
    "gligen_name",
    "hypernetwork_name",
    "text_encoder",
    "audio",
    "bg_removal_name",
    "image",
    "latent",
    "file",
    "name",
    "photomaker_model_name",
    "clip_name3",
    "clip_name4",
    "style_model_name",
    "existing_lora",
    "unet_name",
    "vae_name",
];

/// Whether a class loads files of some model folder.
#[must_use]
pub fn is_loader(class: &str) -> bool {
    LOADERS.iter().any(|loader| loader.0 == class)
}

/// The folder whose files an input lists, if it is a known loader's.
#[must_use]
pub fn model_folder(class: &str, input: &str) -> Option<&'static str> {
    let mut loaders = LOADERS.iter();
    loaders
        .find(|loader| (loader.0, loader.1) == (class, input))
        .map(|loader| loader.2)
}

impl NodeFacts {
    /// What the loaders of a folder offer: its files, and what some offer beside them.
    pub fn offered(&self, folder: &str) -> impl Iterator<Item = &str> {
        let loaders = LOADERS.iter().filter(move |loader| loader.2 == folder);
        let choices =
            loaders.filter_map(|(class, input, ..)| self.class(class)?.input(input)?.choices());
        choices.flatten().filter_map(Value::as_str)
    }

    /// The same facts with other choices for one input; unchanged if there is no such input.
    #[must_use]
    pub fn with_choices<T>(mut self, class: &str, input: &str, choices: &[T]) -> Self
    where
        T: Clone + Into<Value>,
    {
        let choices = choices.iter().cloned().map(Into::into).collect();
        self.set_choices(class, input, &choices);
        self
    }

    /// The same facts with the loaders' choices replaced by the files of these folders. Loaders
    /// of folders that are not named stay as they are.
    #[must_use]
    pub fn with_model_files(mut self, folders: &BTreeMap<String, Vec<String>>) -> Self {
        for (class, input, folder, extras) in LOADERS {
            let Some(files) = folders.get(*folder) else {
                continue;
            };
            let tiny = if *folder == "vae" {
                tiny_vaes(folders)
            } else {
                Vec::new()
            };
            let names = files
                .iter()
                .map(String::as_str)
                .chain(tiny)
                .chain(extras.iter().copied());
            self.set_choices(class, input, &names.map(Value::from).collect());
        }
        self
    }

    fn set_choices(&mut self, class: &str, input: &str, choices: &Arc<[Value]>) {
        let Some(mut class) = self.class(class).cloned() else {
            return;
        };
        if let Some(input) = class.inputs.iter_mut().find(|own| own.name() == input) {
            *input = input.with_choices(choices.clone());
            self.insert(class);
        }
    }
}

fn tiny_vaes(folders: &BTreeMap<String, Vec<String>>) -> Vec<&'static str> {
    let files = folders
        .get("vae_approx")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let has = |start: String| files.iter().any(|file| file.starts_with(&start));
    let whole = |name: &&str| has(format!("{name}_encoder")) && has(format!("{name}_decoder"));
    TINY_VAES.into_iter().filter(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folders(files: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        files
            .iter()
            .map(|(folder, names)| ((*folder).to_owned(), own(names)))
            .collect()
    }

    #[test]
    fn every_known_loader_is_a_list_of_the_bundled_facts() {
        let facts = NodeFacts::bundled();
        for (class, input, folder, _) in LOADERS {
            let found = facts.class(class).and_then(|class| class.input(input));
            assert!(
                found.is_some_and(|input| input.choices().is_some()),
                "{class}.{input}"
            );
            assert_eq!(model_folder(class, input), Some(*folder));
            assert!(FILE_INPUTS.contains(input), "{input}");
        }
    }

    #[test]
    fn loaders_offer_the_files_they_are_given_and_what_they_always_offer() {
        let facts = (*NodeFacts::bundled()).clone().with_model_files(&folders(&[
            ("diffusion_models", &["flux.safetensors"]),
            ("vae", &["ae.safetensors"]),
            (
                "vae_approx",
                &[
                    "taef1_encoder.pth",
                    "taef1_decoder.pth",
                    "taesd_decoder.pth",
                ],
            ),
        ]));
        let choices = |class: &str, input: &str| {
            let input = facts.class(class).unwrap().input(input).unwrap();
            json!(input.choices().unwrap())
        };
        assert_eq!(
            choices("UNETLoader", "unet_name"),
            json!(["flux.safetensors"])
        );
        assert_eq!(
            choices("VAELoader", "vae_name"),
            json!(["ae.safetensors", "taef1", "pixel_space"])
        );
        assert_eq!(choices("LoraLoader", "lora_name"), json!([]));
        let offered: Vec<&str> = facts.offered("vae").collect();
        assert_eq!(offered, ["ae.safetensors", "taef1", "pixel_space"]);
        assert_eq!(
            facts.class_object_info("UNETLoader")["UNETLoader"]["input"]["required"]["unet_name"],
            json!([["flux.safetensors"], {}])
        );
    }

    #[test]
    fn new_choices_do_not_touch_the_facts_they_were_made_from() {
        let bundled = NodeFacts::bundled();
        let other =
            (*bundled)
                .clone()
                .with_choices("UpscaleModelLoader", "model_name", &["4x.pth"]);
        let choices = |facts: &NodeFacts| {
            let class = facts.class("UpscaleModelLoader").unwrap();
            class.input("model_name").unwrap().choices().unwrap().len()
        };
        assert_eq!((choices(&bundled), choices(&other)), (0, 1));
    }
}
