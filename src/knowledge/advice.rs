//! Answers out of the facts.

use serde_json::{Map, Value, json};

use super::{
    CATEGORIES, File, Knowledge, KnowledgeError, Model, Newer, Shelves, Status, Stock, Variant,
};

/// Newer templates that one answer names; the rest are counted.
pub(super) const NEWER_AT_MOST: usize = 8;

impl Knowledge {
    /// `{category, sota_models, deprecated, last_updated}`, and with a server which are installed
    /// and what is newer there.
    pub fn sota(
        &self,
        category: &str,
        shelves: Option<&Shelves>,
        newer: &[Newer],
    ) -> Result<Value, KnowledgeError> {
        if !CATEGORIES.contains(&category) {
            return Err(KnowledgeError::NoCategory(category.to_owned()));
        }
        let of_category = |status: Status| {
            self.models
                .iter()
                .filter(move |model| model.is_for(category) && model.status == status)
        };
        let current = of_category(Status::Current).map(|model| {
            let stock = shelves.map(|shelves| self.stock(model, shelves));
            summary(model, stock.as_ref())
        });
        let current: Vec<Value> = current.collect();
        let deprecated: Vec<Value> = of_category(Status::Deprecated)
            .map(|model| json!({ "name": model.name, "replaced_by": model.replaced_by }))
            .collect();
        let mut answer = json!({
            "category": category,
            "sota_models": current,
            "deprecated": deprecated,
            "last_updated": self.last_updated,
        });
        let elsewhere = self.elsewhere(category);
        if !elsewhere.is_empty() {
            answer["partners_elsewhere"] = json!(elsewhere);
        }
        let newer: Vec<&Newer> = newer
            .iter()
            .filter(|one| one.categories.contains(&category))
            .collect();
        if !newer.is_empty() {
            let named: Vec<&&Newer> = newer.iter().take(NEWER_AT_MOST).collect();
            answer["newer_on_server"] = json!(named);
            if newer.len() > named.len() {
                answer["newer_on_server_total"] = newer.len().into();
            }
        }
        Ok(answer)
    }

    /// The models of a category that run elsewhere, the newest first, without the old ones.
    #[must_use]
    pub fn elsewhere(&self, category: &str) -> Vec<&str> {
        let is_for = |categories: &[String]| categories.iter().any(|one| one == category);
        let mut found: Vec<_> = self
            .partners
            .iter()
            .filter(|(_, partner)| partner.replaced_by.is_none() && is_for(&partner.categories))
            .collect();
        found.sort_by(|one, other| other.1.released.cmp(&one.1.released));
        found.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The settings of a model, with where they are from.
    pub fn settings(&self, name: &str) -> Result<Map<String, Value>, KnowledgeError> {
        let Some(found) = self.identify(name) else {
            return Err(self.not_identified(name));
        };
        if let Some(variant) = found.variant {
            return Err(KnowledgeError::Variant {
                name: name.to_owned(),
                model: found.model.name.clone(),
                variant,
            });
        }
        let model = found.model;
        let way = found.way;
        let own = way.map(|way| &way.settings);
        let own = own.filter(|own| !own.is_empty());
        let mut settings = Map::new();
        settings.insert("model".into(), model.name.as_str().into());
        settings.extend(own.unwrap_or(&model.settings).clone());
        let ways = way.is_none().then_some(&model.variants);
        let note = settings.len() == 1;
        for (name, value) in [
            ("variant", json!(way.map(|way| &way.name))),
            (
                "note",
                json!(note.then_some("it has no sampler, so there is nothing to set")),
            ),
            ("base", json!(model.base)),
            ("native_size", json!(model.native_size)),
            ("size_multiple", json!(self.size_multiple(model))),
            ("frames", json!(model.frames)),
            ("frame_rule", json!(self.frame_rule(model))),
            ("comfyui", json!(model.comfyui)),
            ("template", json!(model.template)),
            (
                "source",
                json!(way.map_or(&model.source, |way| &way.source)),
            ),
            ("last_updated", json!(self.last_updated)),
            (
                "variants",
                json!(ways.filter(|ways| !ways.is_empty()).map(|ways| short(ways))),
            ),
        ] {
            if !value.is_null() {
                settings.insert(name.into(), value);
            }
        }
        Ok(settings)
    }

    fn not_identified(&self, name: &str) -> KnowledgeError {
        match self.partner(name) {
            Some((name, partner)) => KnowledgeError::Elsewhere {
                name: name.to_owned(),
                known_from: partner.source.clone(),
            },
            None => KnowledgeError::UnknownModel {
                name: name.to_owned(),
                alike: self.alike(name),
            },
        }
    }
}

/// Variants with the names of their files alone.
fn short(ways: &[Variant]) -> Vec<Value> {
    let short = |way: &Variant| {
        let files: Vec<String> = way.files.iter().map(File::path).collect();
        let mut short = json!({ "name": way.name, "settings": way.settings, "source": way.source });
        if !files.is_empty() {
            short["files"] = json!(files);
        }
        short
    };
    ways.iter().map(short).collect()
}

/// A model in short; settings and further files are asked for one by one.
fn summary(model: &Model, stock: Option<&Stock>) -> Value {
    let mut summary = json!({
        "name": model.name,
        "strengths": model.strengths,
        "released": model.released,
    });
    if let Some(template) = &model.template {
        summary["template"] = json!(template);
    }
    if stock.is_some_and(|stock| !model.files.is_empty() && stock.is_complete()) {
        summary["installed"] = true.into();
    }
    let files: Vec<&str> = model.own_files().map(|file| file.name.as_str()).collect();
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
        let answer = knowledge.sota("image_gen", None, &[]).unwrap();
        let names = |key: &str| -> Vec<&str> {
            let entries = answer[key].as_array().unwrap().iter();
            entries
                .map(|entry| entry["name"].as_str().unwrap())
                .collect()
        };
        assert!(names("sota_models").contains(&"FLUX.2-dev"));
        assert!(names("deprecated").contains(&"FLUX.1-dev"));
        assert!(!names("sota_models").contains(&"FLUX.1-dev"));
    }

    #[test]
    fn every_category_has_something_to_take() {
        let knowledge = Knowledge::bundled();
        for category in CATEGORIES {
            let answer = knowledge.sota(category, None, &[]).unwrap();
            let current = answer["sota_models"].as_array().unwrap();
            assert!(!current.is_empty(), "{category}");
        }
        let edits = knowledge.sota("image_edit", None, &[]).unwrap();
        assert_eq!(edits["sota_models"][0]["name"], "Qwen-Image-2.1");
    }

    /// Those of a model are told whatever it is called; no model is given another's.
    #[test]
    fn every_model_and_each_of_its_own_files_has_that_models_settings_and_source() {
        let knowledge = Knowledge::bundled();
        for model in &knowledge.models {
            let files = model.own_files().map(|file| file.name.as_str());
            for name in std::iter::once(model.name.as_str()).chain(files) {
                let told = knowledge.settings(name).unwrap();
                assert_eq!(told["model"], model.name, "{name}");
                assert_eq!(told["source"], model.source, "{name}");
                for (key, value) in &model.settings {
                    assert_eq!(&told[key], value, "{name}: {key}");
                }
                for key in ["cfg", "steps", "sampler", "scheduler", "shift", "guidance"] {
                    let own = model.settings.contains_key(key);
                    assert_eq!(told.contains_key(key), own, "{name}: {key}");
                }
            }
        }
    }

    #[test]
    fn the_files_of_a_variant_have_its_settings_alone() {
        let knowledge = Knowledge::bundled();
        let mut seen = 0;
        for model in &knowledge.models {
            for way in model.variants.iter().filter(|way| !way.settings.is_empty()) {
                let loras = way.files.iter().filter(|file| file.folder == "loras");
                for lora in loras {
                    let told = knowledge.settings(&lora.name).unwrap();
                    assert_eq!(told["source"], way.source, "{}", lora.name);
                    assert_eq!(told["cfg"], way.settings["cfg"], "{}", lora.name);
                    seen += 1;
                }
            }
        }
        assert!(seen > 10, "{seen}");
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
            knowledge.settings("sdxl_lightning_4step.safetensors"),
            Err(KnowledgeError::Variant { .. })
        ));
        assert!(matches!(
            knowledge.settings("Kling 4.0"),
            Err(KnowledgeError::Elsewhere { .. })
        ));
    }
}
