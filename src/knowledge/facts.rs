//! The typed contents of `sota.toml`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lookup::Lookup;
use super::{File, FrameRule, Memory};

/// The facts that are part of this program.
const BUNDLED: &str = include_str!("../../sota.toml");

/// What models are for.
pub const CATEGORIES: [&str; 9] = [
    "image_gen",
    "image_edit",
    "video_gen",
    "audio_gen",
    "3d",
    "upscale",
    "controlnet",
    "ipadapter",
    "utility",
];

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {
    /// The day on which the facts were last looked through. Files of one's own need not say it.
    #[serde(default)]
    pub last_updated: String,
    /// The index of templates that they were taken from.
    #[serde(default)]
    pub templates: Templates,
    /// What is said of whole families.
    #[serde(default)]
    pub families: BTreeMap<String, FamilyFacts>,
    /// The models; of equals the first counts.
    #[serde(default, rename = "model")]
    pub models: Vec<Model>,
    /// Models that run elsewhere, by the names that the index gives them.
    #[serde(default)]
    pub partners: BTreeMap<String, Partner>,
    /// What people want to do, with the models for it.
    #[serde(default, rename = "task")]
    pub tasks: Vec<Task>,
    #[serde(skip)]
    pub(super) lookup: Lookup,
}

/// The official index of templates at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// The package that it is in.
    pub package: String,
    /// The day on which that was made.
    pub date: String,
    /// The day of the newest template in it; what is newer was not looked at.
    pub newest: String,
    /// What it calls the models that run here.
    #[serde(default)]
    pub models: Vec<String>,
}

/// What is said of a whole family.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyFacts {
    /// Width and height are multiples of so many pixels.
    #[serde(default)]
    pub size_multiple: Option<u32>,
    /// How many frames a clip may have.
    #[serde(default)]
    pub frame_rule: Option<FrameRule>,
    /// How the server reckons its memory.
    #[serde(default)]
    pub vram: Option<Memory>,
    /// Where that is from.
    pub source: String,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As its makers call it.
    pub name: String,
    /// Which models work alike: the key to the estimate of memory.
    pub family: String,
    /// One of [`CATEGORIES`].
    pub category: String,
    /// Further ones.
    #[serde(default)]
    pub also: Vec<String>,
    /// Whether it is the one to take.
    #[serde(default)]
    pub status: Status,
    /// What to take instead of a deprecated one.
    #[serde(default)]
    pub replaced_by: Option<String>,
    /// The day.
    pub released: String,
    /// Where the facts are from.
    pub source: String,
    /// The words of names by which it is known.
    #[serde(default, rename = "match")]
    pub matches: Vec<String>,
    /// The version of `ComfyUI` from which on it runs.
    #[serde(default)]
    pub comfyui: Option<String>,
    /// What its makers allow.
    #[serde(default)]
    pub licence: Option<String>,
    /// Billions of parameters of the diffusion model.
    #[serde(default)]
    pub parameters: Option<f64>,
    /// What all its files take together.
    #[serde(default)]
    pub download_gb: Option<f64>,
    /// Width and height for which it was made.
    #[serde(default)]
    pub native_size: Option<[u32; 2]>,
    /// Width and height are multiples of so many pixels, if not as for the family.
    #[serde(default)]
    pub size_multiple: Option<u32>,
    /// How many frames a clip may have, if not as for the family.
    #[serde(default)]
    pub frame_rule: Option<FrameRule>,
    /// How many it usually has.
    #[serde(default)]
    pub frames: Option<u32>,
    /// The model that it is put on.
    #[serde(default)]
    pub base: Option<String>,
    /// What it is good at.
    #[serde(default)]
    pub strengths: String,
    /// The template that runs it.
    #[serde(default)]
    pub template: Option<String>,
    /// What its sampler is to be set to.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// The files to install.
    #[serde(default)]
    pub files: Vec<File>,
    /// Other ways to run it.
    #[serde(default, rename = "variant")]
    pub variants: Vec<Variant>,
}

/// Another way to run a model: with other weights on it, for another purpose, as a further pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What is other.
    pub name: String,
    /// All its settings; without any they are the model's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// The further files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Where that is from.
    pub source: String,
}

/// Whether a model is the one to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    #[default]
    Current,
    /// There is something better for the same work.
    Deprecated,
}

/// A model that a node calls and that runs elsewhere, for credits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    /// What it is for.
    pub categories: Vec<String>,
    /// The day of its first template.
    pub released: String,
    /// What to call instead of an old one.
    #[serde(default)]
    pub replaced_by: Option<String>,
    /// Its newest template.
    pub source: String,
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The names of the models for it, the best first.
    pub models: Vec<String>,
    /// Why the first is the best.
    pub reason: String,
}

impl Knowledge {
    /// The facts that are part of this program.
    #[must_use]
    pub fn bundled() -> Arc<Self> {
        #[expect(
            clippy::expect_used,
            reason = "the bundled file is part of the program"
        )]
        static FACTS: LazyLock<Arc<Knowledge>> = LazyLock::new(|| {
            Arc::new(toml::from_str(BUNDLED).expect("the bundled facts are well-formed"))
        });
        FACTS.clone()
    }

    /// The model of that exact name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The files of all models and of their variants.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.models.iter().flat_map(|model| {
            let further = model.variants.iter().flat_map(|variant| &variant.files);
            model.files.iter().chain(further)
        })
    }

    /// What width and height of a model are multiples of.
    #[must_use]
    pub fn size_multiple(&self, model: &Model) -> Option<u32> {
        let family = || self.families.get(&model.family)?.size_multiple;
        model.size_multiple.or_else(family)
    }

    /// How many frames a clip of a model may have.
    #[must_use]
    pub fn frame_rule(&self, model: &Model) -> Option<FrameRule> {
        let family = || self.families.get(&model.family)?.frame_rule;
        model.frame_rule.or_else(family)
    }
}

impl Model {
    /// The files that the model itself is in, in every precision: those where models lie, else the
    /// first.
    pub fn own_files(&self) -> impl Iterator<Item = &File> {
        let somewhere = self.files.iter().any(File::has_model);
        let first = self.files.first().map(File::part);
        self.files.iter().filter(move |file| {
            if somewhere {
                file.has_model()
            } else {
                Some(file.part()) == first
            }
        })
    }

    /// Whether it is for that.
    #[must_use]
    pub fn is_for(&self, category: &str) -> bool {
        self.category == category || self.also.iter().any(|also| also == category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Generation, Kind, Sources};

    #[test]
    fn the_bundled_facts_agree_with_themselves_and_with_the_templates() {
        let knowledge = Knowledge::bundled();
        let templates = Generation::build(Sources::read(&[]), None);
        for model in &knowledge.models {
            let name = &model.name;
            let mut categories = std::iter::once(&model.category).chain(&model.also);
            assert!(
                categories.all(|category| CATEGORIES.contains(&category.as_str())),
                "{name}"
            );
            assert!(
                !model.source.is_empty() && model.released.len() == 10,
                "{name}"
            );
            assert_eq!(
                knowledge.identify(name).map(|found| &found.model.name),
                Some(name),
                "known by its own name"
            );
            if let Some(template) = &model.template {
                assert!(templates.get(Kind::Template, template).is_ok(), "{name}");
            }
            if let Some(base) = &model.base {
                assert!(knowledge.model(base).is_some(), "{name}: {base}");
            }
        }
        for task in &knowledge.tasks {
            for model in &task.models {
                assert!(knowledge.model(model).is_some(), "{}: {model}", task.name);
            }
        }
    }

    #[test]
    fn what_is_deprecated_has_a_successor_that_is_not() {
        let knowledge = Knowledge::bundled();
        let is_current = |name: &str| {
            let model = knowledge.model(name);
            let partner = knowledge.partners.get(name);
            model.is_some_and(|model| model.status == Status::Current)
                || partner.is_some_and(|partner| partner.replaced_by.is_none())
        };
        for model in &knowledge.models {
            match (model.status, &model.replaced_by) {
                (Status::Current, None) => {}
                (Status::Deprecated, Some(next)) => assert!(is_current(next), "{}", model.name),
                other => panic!("{}: {other:?}", model.name),
            }
        }
        for (name, partner) in &knowledge.partners {
            let next = partner.replaced_by.as_deref();
            assert!(next.is_none_or(is_current), "{name}");
        }
    }

    #[test]
    fn the_tasks_of_the_original_have_models_that_are_current() {
        const TASKS: &str = "portrait text_in_image poster_design ui_design fast_iteration \
            artistic_style talking_head music_video dialogue_scene image_to_video action_sequence \
            cinematic_video b_roll style_transfer character_consistency reference_style";
        let knowledge = Knowledge::bundled();
        for task in TASKS.split(' ') {
            let best = knowledge.recommend(task).unwrap().models[0];
            assert_eq!(best.status, Status::Current, "{task}");
        }
        for task in ["talking_head", "music_video", "dialogue_scene"] {
            let models = knowledge.recommend(task).unwrap().models;
            assert!(
                models.iter().all(|model| model.is_for("video_gen")),
                "{task}"
            );
        }
    }

    #[test]
    fn the_model_files_that_templates_load_are_known() {
        let knowledge = Knowledge::bundled();
        let templates = Generation::build(Sources::read(&[]), None);
        for served in templates.of_kind(Kind::Template) {
            let (name, declaration) = (&served.script.key.name, &served.script.declaration);
            // Packs have models of their own, and the tiny ones are those of the tests.
            if !declaration.needs().is_empty() || name == "sd3_txt2img" {
                continue;
            }
            let files = declaration
                .params
                .iter()
                .filter(|param| param.folder.is_some())
                .filter_map(|param| param.default.as_str());
            for file in files.filter(|file| !file.is_empty()) {
                let is_known = knowledge.files().any(|known| known.name == file);
                assert!(is_known, "{name}: {file}");
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_model_else_of_its_family() {
        let knowledge = Knowledge::bundled();
        let of = |name: &str| {
            let model = knowledge.model(name).unwrap();
            let rule = knowledge.frame_rule(model).map(|rule| rule.to_string());
            (knowledge.size_multiple(model), rule)
        };
        assert_eq!(of("LTX-2.5"), (Some(32), Some("8n+1".to_owned())));
        assert_eq!(of("MiniMax H3"), (Some(32), Some("17n+5".to_owned())));
        assert_eq!(of("Wan 2.2 TI2V 5B"), (Some(32), Some("4n+1".to_owned())));
        let fun = of("Wan 2.2 Fun Control 5B");
        assert_eq!(fun, (Some(16), Some("4n+1".to_owned())));
        assert_eq!(of("FLUX.2-dev"), (Some(16), None));
        for model in &knowledge.models {
            let rule = knowledge.frame_rule(model);
            let allowed = model.frames.zip(rule);
            let allowed = allowed.is_none_or(|(frames, rule)| rule.allows(frames));
            assert!(allowed, "{}", model.name);
        }
    }
}
