//! The typed contents of `sota.toml`.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::KnowledgeError;

/// The facts that are part of this program.
const BUNDLED: &str = include_str!("../../sota.toml");

/// What models are for.
pub const CATEGORIES: [&str; 5] = [
    "image_gen",
    "image_edit",
    "video_gen",
    "controlnet",
    "ipadapter",
];

/// All that is known.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {
    /// The day on which the facts were last looked through.
    pub last_updated: String,
    /// The models; of equals the first counts.
    #[serde(default, rename = "model")]
    pub models: Vec<Model>,
    /// What people want to do, with the models for it.
    #[serde(default, rename = "task")]
    pub tasks: Vec<Task>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As its makers call it.
    pub name: String,
    /// Which models work alike: the key to the estimate of memory.
    pub family: String,
    /// One of [`CATEGORIES`].
    pub category: String,
    /// Whether it is the one to take.
    pub status: Status,
    /// The successor of a deprecated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// The day.
    pub released: String,
    /// Where the facts are from.
    pub source: String,
    /// The words of names by which it is known.
    #[serde(default, rename = "match", skip_serializing)]
    pub matches: Vec<String>,
    /// Billions of parameters of the diffusion model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<f64>,
    /// Width and height for which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_size: Option<[u32; 2]>,
    /// What it is good at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub strengths: String,
    /// The template that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What its sampler is to be set to.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// The files to install.
    #[serde(default)]
    pub files: Vec<File>,
}

/// Whether a model is the one to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    Current,
    /// Its makers have a successor.
    Deprecated,
}

/// A model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The folder below `models/`.
    pub folder: String,
    /// Its official name.
    pub name: String,
    /// How its numbers are stored, for the diffusion model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
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

    /// The same with a user's `sota.toml` before them, if there is one in that folder.
    pub fn with_file_in(folder: &Path) -> Result<Arc<Self>, KnowledgeError> {
        let path = folder.join("sota.toml");
        let fault = |reason: String| KnowledgeError::File {
            path: path.clone(),
            reason,
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::bundled()),
            Err(error) => return Err(fault(error.to_string())),
        };
        let mut own: Self =
            toml::from_str(&text).map_err(|error| fault(error.message().to_owned()))?;
        let bundled = Self::bundled();
        let has_model = |name: &str| own.models.iter().any(|model| model.name == name);
        let models: Vec<Model> = bundled
            .models
            .iter()
            .filter(|model| !has_model(&model.name))
            .cloned()
            .collect();
        let has_task = |name: &str| own.tasks.iter().any(|task| task.name == name);
        let tasks: Vec<Task> = bundled
            .tasks
            .iter()
            .filter(|task| !has_task(&task.name))
            .cloned()
            .collect();
        own.models.extend(models);
        own.tasks.extend(tasks);
        Ok(Arc::new(own))
    }

    /// The model of that exact name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The files of all models.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.models.iter().flat_map(|model| &model.files)
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
            assert!(CATEGORIES.contains(&model.category.as_str()), "{name}");
            let successor = model
                .replaced_by
                .as_deref()
                .map(|name| knowledge.model(name));
            match (model.status, successor) {
                (Status::Current, None) => {}
                (Status::Deprecated, Some(Some(successor))) => {
                    assert_eq!(successor.status, Status::Current, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
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
        }
        for task in &knowledge.tasks {
            for model in &task.models {
                assert!(knowledge.model(model).is_some(), "{}: {model}", task.name);
            }
        }
    }

    #[test]
    fn the_models_that_templates_load_are_known() {
        let knowledge = Knowledge::bundled();
        let templates = Generation::build(Sources::read(&[]), None);
        for served in templates.of_kind(Kind::Template) {
            let name = &served.script.key.name;
            let Some(model) = knowledge
                .models
                .iter()
                .find(|model| model.template.as_ref() == Some(name))
            else {
                panic!("{name} is the template of no model")
            };
            for param in &served.script.declaration.params {
                let file = param.default.as_str().filter(|_| param.folder.is_some());
                let official = |file: &str| model.files.iter().any(|own| own.name == file);
                if let Some(file) = file.filter(|file| !file.is_empty() && name != "sd3_txt2img") {
                    assert!(official(file), "{name}: {file}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_ones_own_goes_before() {
        let folder = tempfile::tempdir().unwrap();
        let own = "last_updated = \"2027-01-01\"\n[[model]]\nname = \"FLUX.2-dev\"\nfamily = \"flux2\"\n\
            category = \"image_gen\"\nstatus = \"deprecated\"\nreplaced_by = \"Mine\"\n\
            released = \"2025-11-26\"\nsource = \"me\"\n";
        fs::write(folder.path().join("sota.toml"), own).unwrap();
        let knowledge = Knowledge::with_file_in(folder.path()).unwrap();
        assert_eq!(knowledge.model("FLUX.2-dev").unwrap().source, "me");
        assert!(knowledge.model("Qwen-Image-2512").is_some());
        assert_eq!(knowledge.last_updated, "2027-01-01");

        fs::write(folder.path().join("sota.toml"), "models = 5").unwrap();
        let error = Knowledge::with_file_in(folder.path()).unwrap_err();
        assert!(error.to_string().contains("sota.toml"), "{error}");
    }
}
