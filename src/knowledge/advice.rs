//! Answers out of the facts.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{CATEGORIES, File, Knowledge, KnowledgeError, Model, Status};

/// Whether a model is the one to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// What was asked for.
    pub model: String,
    /// `CURRENT`, `DEPRECATED` or `UNKNOWN`.
    pub status: &'static str,
    /// The model that it was found to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identified_as: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The same as a sentence fragment.
    pub message: String,
    /// What to take instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replacement_files: Vec<File>,
    /// The day of the facts.
    pub last_updated: String,
}

/// The model for a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation<'k> {
    /// Why.
    pub reason: &'k str,
    /// The models for it, the best first.
    pub models: Vec<&'k Model>,
}

impl Knowledge {
    /// `{category, sota_models, deprecated, last_updated}`
    pub fn sota(&self, category: &str) -> Result<Value, KnowledgeError> {
        if !CATEGORIES.contains(&category) {
            return Err(KnowledgeError::NoCategory(category.to_owned()));
        }
        let of_category = |status: Status| {
            self.models
                .iter()
                .filter(move |model| model.category == category && model.status == status)
        };
        let current: Vec<Value> = of_category(Status::Current).map(summary).collect();
        let deprecated: Vec<Value> = of_category(Status::Deprecated)
            .map(|model| json!({ "name": model.name, "replaced_by": model.replaced_by }))
            .collect();
        let mut answer = json!({
            "category": category,
            "sota_models": current,
            "deprecated": deprecated,
            "last_updated": self.last_updated,
        });
        if current.is_empty() {
            answer["note"] = "nothing that ComfyUI runs without custom nodes is known".into();
        }
        Ok(answer)
    }

    /// Whether a model, by its own name or that of a file, is the one to take.
    #[must_use]
    pub fn freshness(&self, name: &str) -> Freshness {
        let found = self.identify(name).map(|found| found.model);
        let (status, message) = match found {
            None => ("UNKNOWN", format!("nothing is known of \"{name}\"")),
            Some(model) if model.status == Status::Current => {
                ("CURRENT", format!("{} is current", model.name))
            }
            Some(model) => {
                let next = model.replaced_by.as_deref().unwrap_or("a newer model");
                (
                    "DEPRECATED",
                    format!("{} has a successor: {next}", model.name),
                )
            }
        };
        let replacement = found.and_then(|model| model.replaced_by.clone());
        let successor = replacement.as_deref().and_then(|name| self.model(name));
        Freshness {
            model: name.to_owned(),
            status,
            identified_as: found.map(|model| model.name.clone()),
            category: found.map(|model| model.category.clone()),
            message,
            replacement_files: successor
                .map(|model| model.files.clone())
                .unwrap_or_default(),
            replacement,
            last_updated: self.last_updated.clone(),
        }
    }

    /// The settings of a model, with where they are from.
    pub fn settings(&self, name: &str) -> Result<Map<String, Value>, KnowledgeError> {
        let found = self
            .identify(name)
            .ok_or_else(|| KnowledgeError::UnknownModel {
                name: name.to_owned(),
                alike: self.alike(name),
            })?;
        if let Some(variant) = found.variant {
            return Err(KnowledgeError::Variant {
                name: name.to_owned(),
                model: found.model.name.clone(),
                variant,
            });
        }
        let model = found.model;
        let mut settings = Map::new();
        settings.insert("model".into(), model.name.as_str().into());
        settings.extend(model.settings.clone());
        for (name, value) in [
            ("native_size", json!(model.native_size)),
            ("template", json!(model.template)),
            ("source", json!(model.source)),
            ("last_updated", json!(self.last_updated)),
        ] {
            if !value.is_null() {
                settings.insert(name.into(), value);
            }
        }
        Ok(settings)
    }

    /// The models for a task.
    pub fn recommend(&self, task: &str) -> Result<Recommendation<'_>, KnowledgeError> {
        let wanted = task.trim().to_lowercase().replace([' ', '-'], "_");
        let found = self.tasks.iter().find(|task| task.name == wanted);
        let found = found.ok_or_else(|| KnowledgeError::NoTask {
            name: task.to_owned(),
            known: self.tasks.iter().map(|task| task.name.clone()).collect(),
        })?;
        Ok(Recommendation {
            reason: &found.reason,
            models: found
                .models
                .iter()
                .filter_map(|name| self.model(name))
                .collect(),
        })
    }
}

/// A model in short; settings and files are asked for one by one.
fn summary(model: &Model) -> Value {
    let mut summary = json!({
        "name": model.name,
        "strengths": model.strengths,
        "released": model.released,
    });
    if let Some(size) = model.native_size {
        summary["native_size"] = json!(size);
    }
    if let Some(template) = &model.template {
        summary["template"] = json!(template);
    }
    let files: Vec<&str> = model.files.iter().map(|file| file.name.as_str()).collect();
    if !files.is_empty() {
        summary["comfyui_files"] = json!(files);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flux_2_is_current_and_flux_1_is_not() {
        let knowledge = Knowledge::bundled();
        let answer = knowledge.sota("image_gen").unwrap();
        let names = |key: &str| -> Vec<String> {
            let entries = answer[key].as_array().unwrap().iter();
            entries
                .map(|entry| entry["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("sota_models")[..2], ["Qwen-Image-2512", "FLUX.2-dev"]);
        assert!(names("deprecated").contains(&"FLUX.1-dev".to_owned()));
        assert!(!names("sota_models").contains(&"FLUX.1-dev".to_owned()));
    }

    #[test]
    fn a_deprecated_model_has_its_successor_and_an_unknown_one_no_verdict() {
        let knowledge = Knowledge::bundled();
        let fresh = knowledge.freshness("flux1-dev-fp8.safetensors");
        assert_eq!(
            (fresh.status, fresh.replacement.as_deref()),
            ("DEPRECATED", Some("FLUX.2-dev"))
        );
        assert_eq!(
            fresh.replacement_files[0].name,
            "flux2_dev_fp8mixed.safetensors"
        );
        assert_eq!(
            knowledge
                .freshness("wan2.1_t2v_14B_fp8_scaled.safetensors")
                .status,
            "DEPRECATED"
        );
        assert_eq!(knowledge.freshness("w").status, "UNKNOWN");
    }

    #[test]
    fn settings_are_those_of_the_model_or_none() {
        let knowledge = Knowledge::bundled();
        let settings = knowledge
            .settings("flux2_dev_fp8mixed.safetensors")
            .unwrap();
        assert_eq!(
            (&settings["guidance"], &settings["steps"]),
            (&json!(4.0), &json!(20))
        );
        assert!(matches!(
            knowledge.settings("dreamshaper_8.safetensors"),
            Err(KnowledgeError::UnknownModel { .. })
        ));
        assert!(matches!(
            knowledge.settings("sdxl_turbo_1.0_fp16.safetensors"),
            Err(KnowledgeError::Variant { .. })
        ));
    }
}
