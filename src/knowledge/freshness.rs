//! Whether a model is the one to take.

use serde::Serialize;

use super::advice::NEWER_AT_MOST;
use super::identify::words;
use super::{File, Knowledge, Model, Newer, Status};

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
    /// The day that it came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// The same as a sentence fragment.
    pub message: String,
    /// What to take instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replacement_files: Vec<File>,
    /// What the server has of its makers that the facts don't know yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub newer_on_server: Vec<Newer>,
    /// Where that is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The day of the facts.
    pub last_updated: String,
}

impl Knowledge {
    /// Whether a model, by its own name or that of a file, is the one to take.
    #[must_use]
    pub fn freshness(&self, name: &str, newer: &[Newer]) -> Freshness {
        if let Some(found) = self.identify(name) {
            return self.freshness_of(name, found.model, newer);
        }
        let mut fresh = Freshness {
            model: name.to_owned(),
            status: "UNKNOWN",
            identified_as: None,
            category: None,
            released: None,
            message: format!("nothing is known of \"{name}\""),
            replacement: None,
            replacement_files: vec![],
            newer_on_server: vec![],
            source: None,
            last_updated: self.last_updated.clone(),
        };
        if let Some((name, partner)) = self.partner(name) {
            fresh.identified_as = Some(name.to_owned());
            fresh.category = partner.categories.first().cloned();
            fresh.released = Some(partner.released.clone());
            fresh.source = Some(partner.source.clone());
            let elsewhere = format!("{name} runs elsewhere, for credits");
            (fresh.status, fresh.message) = match &partner.replaced_by {
                None => ("CURRENT", elsewhere),
                Some(next) => (
                    "DEPRECATED",
                    format!("{elsewhere}, and has a successor: {next}"),
                ),
            };
            fresh.replacement.clone_from(&partner.replaced_by);
        } else if let Some(found) = named(name, newer) {
            fresh.status = "CURRENT";
            fresh.category = found.categories.first().map(|one| (*one).to_owned());
            fresh.message = format!(
                "the server has a template for it of {}, newer than these facts",
                found.date
            );
            fresh.newer_on_server = vec![found.clone()];
        }
        fresh
    }

    fn freshness_of(&self, name: &str, model: &Model, newer: &[Newer]) -> Freshness {
        let replacement = model.replaced_by.clone();
        let (status, mut message) = match (model.status, &replacement) {
            (Status::Current, _) => ("CURRENT", format!("{} is current", model.name)),
            (Status::Deprecated, next) => {
                let next = next.as_deref().unwrap_or("a newer model");
                (
                    "DEPRECATED",
                    format!("{} has a successor: {next}", model.name),
                )
            }
        };
        let concerned = self.newer_than(model, newer).into_iter();
        let newer: Vec<Newer> = concerned.take(NEWER_AT_MOST).cloned().collect();
        if let Some(first) = newer.first() {
            let models = first.unknown_models.join(", ");
            message = format!("{message}; the server has something newer: {models}");
        }
        let successor = replacement.as_deref().and_then(|name| self.model(name));
        let replacement_files = successor.map(|model| model.files.clone());
        Freshness {
            model: name.to_owned(),
            status,
            identified_as: Some(model.name.clone()),
            category: Some(model.category.clone()),
            released: Some(model.released.clone()),
            message,
            replacement_files: replacement_files.unwrap_or_default(),
            replacement,
            newer_on_server: newer,
            source: Some(model.source.clone()),
            last_updated: self.last_updated.clone(),
        }
    }
}

/// The newer template that is for a model of that name, or has it.
fn named<'n>(name: &str, newer: &'n [Newer]) -> Option<&'n Newer> {
    let wanted = words(name);
    newer.iter().find(|one| {
        let mut names = one.unknown_models.iter();
        one.template == name || names.any(|known| words(known) == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecated_model_has_its_successor_and_an_unknown_one_no_verdict() {
        let knowledge = Knowledge::bundled();
        let fresh = knowledge.freshness("flux1-dev-fp8.safetensors", &[]);
        assert_eq!(
            (fresh.status, fresh.replacement.as_deref()),
            ("DEPRECATED", Some("FLUX.2-dev"))
        );
        let file = &fresh.replacement_files[0].name;
        assert_eq!(file, "flux2_dev_fp8mixed.safetensors");
        let old = "wan2.1_t2v_14B_fp8_scaled.safetensors";
        assert_eq!(knowledge.freshness(old, &[]).status, "DEPRECATED");
        for name in ["w", "sd", "my_merge_v3.safetensors"] {
            assert_eq!(knowledge.freshness(name, &[]).status, "UNKNOWN", "{name}");
        }
        let partner = knowledge.freshness("Kling 3.0", &[]);
        assert_eq!(partner.replacement.as_deref(), Some("Kling 4.0"));
    }
}
