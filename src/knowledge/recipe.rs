//! One way to run one model, as templates ask for it: what its sampler is set to, its sizes, the
//! files that it loads.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::facts::{Knowledge, Model, Variant};
use super::file::File;
use crate::comfy::model_name::words;

/// What is known of a way to run a model.
#[derive(Clone, Debug)]
pub struct Recipe {
    knowledge: Arc<Knowledge>,
    model: usize,
    variant: Option<usize>,
}

/// What a recipe can't say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// Nobody knows that model.
    #[error("no model \"{name}\" is known{}", did_you_mean(nearest.as_deref()))]
    Model {
        /// What was asked for.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
    },
    /// The model has no such variant.
    #[error("{model} has no variant \"{name}\"; it has {}", listed(known))]
    Variant {
        /// The model.
        model: String,
        /// What was asked for.
        name: String,
        /// The variants that there are.
        known: Vec<String>,
    },
    /// Nothing of that name is known.
    #[error(
        "of {recipe} no \"{name}\" is known; what is known is {}",
        listed(known)
    )]
    Fact {
        /// The model, and the variant.
        recipe: String,
        /// What was asked for.
        name: String,
        /// What is known.
        known: Vec<String>,
    },
    /// No file of a folder is meant.
    #[error(
        "{recipe} has no file in {folder} that {asked}; it has {}",
        listed(there)
    )]
    NoFile {
        /// The model, and the variant.
        recipe: String,
        /// The folder.
        folder: String,
        /// What it was to be.
        asked: String,
        /// All files of the folder.
        there: Vec<String>,
    },
    /// Several files are meant.
    #[error(
        "{recipe} has several files in {folder}: {}; give words that only one has in its name",
        listed(found)
    )]
    Files {
        /// The model, and the variant.
        recipe: String,
        /// The folder.
        folder: String,
        /// The files.
        found: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean \"{nearest}\"?")
    })
}

impl Recipe {
    /// The way to run the model of that exact name: as it is, or by one of its variants.
    pub fn of(
        knowledge: &Arc<Knowledge>,
        name: &str,
        variant: Option<&str>,
    ) -> Result<Self, RecipeError> {
        let models = &knowledge.models;
        let model = models.iter().position(|model| model.name == name);
        let model = model.ok_or_else(|| RecipeError::Model {
            name: name.to_owned(),
            nearest: knowledge
                .identify(name)
                .map(|found| found.model.name.clone()),
        })?;
        let variants = &models[model].variants;
        let variant = variant.map(|wanted| {
            let found = variants.iter().position(|variant| variant.name == wanted);
            found.ok_or_else(|| RecipeError::Variant {
                model: name.to_owned(),
                name: wanted.to_owned(),
                known: variants
                    .iter()
                    .map(|variant| variant.name.clone())
                    .collect(),
            })
        });
        Ok(Self {
            knowledge: knowledge.clone(),
            model,
            variant: variant.transpose()?,
        })
    }

    fn model(&self) -> &Model {
        &self.knowledge.models[self.model]
    }

    fn variant(&self) -> Option<&Variant> {
        self.variant.map(|index| &self.model().variants[index])
    }

    /// The model, and the variant in parentheses.
    #[must_use]
    pub fn name(&self) -> String {
        let model = &self.model().name;
        match self.variant() {
            Some(variant) => format!("{model} ({})", variant.name),
            None => model.clone(),
        }
    }

    /// One fact: a setting of the sampler such as `steps`, or `name`, `family`, `width`, `height`,
    /// `size_multiple`, `frames`.
    pub fn fact(&self, name: &str) -> Result<Value, RecipeError> {
        let model = self.model();
        if let Some(setting) = self.settings().get(name) {
            return Ok(setting.clone());
        }
        self.common(model)
            .into_iter()
            .find_map(|(known, value)| (known == name).then_some(value))
            .flatten()
            .ok_or_else(|| RecipeError::Fact {
                recipe: self.name(),
                name: name.to_owned(),
                known: self.known(model),
            })
    }

    /// The variant's settings are all its own, if it has any.
    fn settings(&self) -> &Map<String, Value> {
        let own = self.variant().map(|variant| &variant.settings);
        own.filter(|settings| !settings.is_empty())
            .unwrap_or(&self.model().settings)
    }

    fn common(&self, model: &Model) -> [(&'static str, Option<Value>); 6] {
        let size = model.native_size;
        [
            ("name", Some(json!(model.name))),
            ("family", Some(json!(model.family))),
            ("width", size.map(|[width, _]| json!(width))),
            ("height", size.map(|[_, height]| json!(height))),
            (
                "size_multiple",
                self.knowledge.size_multiple(model).map(|it| json!(it)),
            ),
            ("frames", model.frames.map(|frames| json!(frames))),
        ]
    }

    fn known(&self, model: &Model) -> Vec<String> {
        let common = self.common(model).into_iter();
        let common = common.filter_map(|(name, value)| value.map(|_| name.to_owned()));
        self.settings().keys().cloned().chain(common).collect()
    }

    /// The file of a folder that has all words of `of` in its name, and none of those that begin with
    /// a minus; of several precisions the first. A variant's own files go before the model's.
    pub fn file(&self, folder: &str, of: &str) -> Result<&str, RecipeError> {
        let (unwanted, wanted): (Vec<&str>, Vec<&str>) = of
            .split_whitespace()
            .partition(|word| word.starts_with('-'));
        let (unwanted, wanted) = (words(&unwanted.join(" ")), words(&wanted.join(" ")));
        let is_wanted = |file: &&File| {
            let own = words(&file.name);
            wanted.iter().all(|word| own.contains(word))
                && !unwanted.iter().any(|word| own.contains(word))
        };
        let own: &[File] = self.variant().map_or(&[], |variant| &variant.files);
        let mut found: Vec<&File> = vec![];
        for files in [own, &self.model().files] {
            if found.is_empty() {
                let here = files.iter().filter(|file| file.folder == folder);
                found = here.filter(is_wanted).collect();
            }
        }
        match &found[..] {
            [first, others @ ..] if others.iter().all(|other| other.part() == first.part()) => {
                Ok(&first.name)
            }
            _ => Err(self.not_one(folder, of, &found)),
        }
    }

    fn not_one(&self, folder: &str, of: &str, found: &[&File]) -> RecipeError {
        let names = |files: &mut dyn Iterator<Item = &File>| -> Vec<String> {
            files.map(|file| file.name.clone()).collect()
        };
        let (recipe, folder) = (self.name(), folder.to_owned());
        if !found.is_empty() {
            let found = names(&mut found.iter().copied());
            return RecipeError::Files {
                recipe,
                folder,
                found,
            };
        }
        let own = self.variant().map_or(&[][..], |variant| &variant.files);
        let all = own.iter().chain(&self.model().files);
        RecipeError::NoFile {
            asked: if of.is_empty() {
                "it loads".to_owned()
            } else {
                format!("has \"{of}\" in its name")
            },
            there: names(&mut all.filter(|file| file.folder == folder)),
            recipe,
            folder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = r#"
        last_updated = "2027-01-01"
        [families]
        wan = { size_multiple = 16, source = "us" }
        [[model]]
        name = "Wan 2.2"
        family = "wan"
        category = "video_gen"
        released = "2026-01-01"
        source = "us"
        native_size = [1280, 720]
        settings = { steps = 20, cfg = 3.5 }
        files = [
            { folder = "diffusion_models", name = "wan_high_noise_fp8.safetensors" },
            { folder = "diffusion_models", name = "wan_high_noise_fp16.safetensors" },
            { folder = "diffusion_models", name = "wan_low_noise_fp8.safetensors" },
        ]
        [[model.variant]]
        name = "4 steps"
        settings = { steps = 4, cfg = 1.0 }
        files = [{ folder = "loras", name = "wan_lightning_high_noise.safetensors" }]
        source = "us"
    "#;

    fn recipe(variant: Option<&str>) -> Recipe {
        let knowledge = Arc::new(toml::from_str(FACTS).unwrap());
        Recipe::of(&knowledge, "Wan 2.2", variant).unwrap()
    }

    #[test]
    fn a_variant_has_its_own_settings_and_the_models_sizes() {
        assert_eq!(recipe(None).fact("steps"), Ok(json!(20)));
        let quick = recipe(Some("4 steps"));
        assert_eq!(quick.fact("steps"), Ok(json!(4)));
        assert_eq!(quick.fact("height"), Ok(json!(720)));
        assert_eq!(quick.fact("size_multiple"), Ok(json!(16)));
    }

    #[test]
    fn a_fact_that_is_not_known_is_answered_with_those_that_are() {
        let error = recipe(None).fact("stepz").unwrap_err().to_string();
        assert_eq!(
            error,
            "of Wan 2.2 no \"stepz\" is known; what is known is steps, cfg, name, family, width, \
             height, size_multiple"
        );
    }

    #[test]
    fn a_file_is_found_by_the_words_of_its_name_whatever_its_precision() {
        let recipe = recipe(Some("4 steps"));
        let high = recipe.file("diffusion_models", "high_noise");
        assert_eq!(high, Ok("wan_high_noise_fp8.safetensors"));
        let not_low = recipe.file("diffusion_models", "noise -low");
        assert_eq!(not_low, high);
        assert_eq!(
            recipe.file("loras", ""),
            Ok("wan_lightning_high_noise.safetensors")
        );
        let several = recipe.file("diffusion_models", "").unwrap_err();
        assert!(
            several
                .to_string()
                .contains("has several files in diffusion_models: wan_high"),
            "{several}"
        );
        let none = recipe.file("vae", "wan").unwrap_err();
        assert_eq!(
            none.to_string(),
            "Wan 2.2 (4 steps) has no file in vae that has \"wan\" in its name; it has none"
        );
    }
}
