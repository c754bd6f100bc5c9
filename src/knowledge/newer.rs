//! What a running server's own templates know that the facts don't.
//!
//! The facts were taken from the index of templates at one time, and they say which. A server that was
//! updated since serves a newer one.

use serde::Serialize;

use super::identify::words;
use super::{Knowledge, Model};
use crate::comfy::ServedTemplate;

/// A template of the server's that is newer than the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Newer {
    /// Its name; the server has its graph as `/templates/NAME.json`.
    pub template: String,
    /// The models that it is for.
    pub models: Vec<String>,
    /// Those of them of which nothing was known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_models: Vec<String>,
    /// The day that it was made.
    pub date: String,
    /// What it is for.
    #[serde(skip)]
    pub categories: Vec<&'static str>,
}

impl Knowledge {
    /// The templates of a server that are newer than the facts or for models that those don't know,
    /// the newest first.
    #[must_use]
    pub fn newer_among(&self, served: &[ServedTemplate]) -> Vec<Newer> {
        let mut newer: Vec<Newer> = served
            .iter()
            .filter_map(|template| self.newer(template))
            .collect();
        newer.sort_by(|one, other| {
            let order = other.date.cmp(&one.date);
            order.then_with(|| one.template.cmp(&other.template))
        });
        newer
    }

    fn newer(&self, template: &ServedTemplate) -> Option<Newer> {
        let models: Vec<String> = template
            .models
            .iter()
            .filter(|name| *name != "None")
            .cloned()
            .collect();
        let unknown_models: Vec<String> = models
            .iter()
            .filter(|name| !self.knows(name))
            .cloned()
            .collect();
        let is_newer = template.date > self.templates.newest || !unknown_models.is_empty();
        is_newer.then(|| Newer {
            template: template.name.clone(),
            models,
            unknown_models,
            date: template.date.clone(),
            categories: categories(template),
        })
    }

    /// Whether a name that an index gives to models was among those looked at.
    fn knows(&self, name: &str) -> bool {
        let wanted = words(name);
        let known = self.templates.models.iter().map(String::as_str);
        let known = known.chain(self.partners.keys().map(String::as_str));
        let known = known.chain(self.models.iter().map(|model| model.name.as_str()));
        known.into_iter().any(|known| words(known) == wanted)
    }

    /// Those for models by the makers of this one, for the same work.
    #[must_use]
    pub fn newer_than<'n>(&self, model: &Model, newer: &'n [Newer]) -> Vec<&'n Newer> {
        let own = brand(&model.name);
        let concerns = |one: &&Newer| {
            let alike = |name: &String| brand(name) == own;
            one.unknown_models.iter().any(alike)
                && one.categories.iter().any(|category| model.is_for(category))
        };
        newer.iter().filter(concerns).collect()
    }
}

/// The first word of a name, which its makers keep when they make the next one.
fn brand(name: &str) -> Option<String> {
    let letters = |word: &String| word.starts_with(char::is_alphabetic);
    words(name).into_iter().find(letters)
}

/// What a template is for, by its tags, and without any that say it by what it makes.
fn categories(template: &ServedTemplate) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = vec![];
    for tag in &template.tags {
        if let Some(category) = category(tag)
            && !found.contains(&category)
        {
            found.push(category);
        }
    }
    if found.is_empty() {
        found.extend(match template.kind.as_str() {
            "image" => Some("image_gen"),
            "video" => Some("video_gen"),
            "audio" => Some("audio_gen"),
            "3d" => Some("3d"),
            "llm" => Some("utility"),
            _ => None,
        });
    }
    found
}

/// The category of a tag of the official index (of the package 0.1.123).
fn category(tag: &str) -> Option<&'static str> {
    Some(match tag {
        "Image Upscale" | "Video Upscale" => "upscale",
        "Text to Image" | "Vector" => "image_gen",
        "Image Edit" | "Inpainting" | "Outpainting" | "Relight" | "Layer Decompose" => "image_edit",
        "Style Reference" => "ipadapter",
        "ControlNet" => "controlnet",
        "FLF2V" | "Lip Sync" | "Motion Control" => "video_gen",
        "Text to Audio" | "Text to Speech" | "TTS" | "Text to Music" | "Music" | "Audio" => {
            "audio_gen"
        }
        "Remove Background" | "Text Generation" | "Pose Map" | "Element Segmentation" => "utility",
        _ if tag.contains("3D") => "3d",
        _ if tag.ends_with("to Video") || tag == "Video Edit" => "video_gen",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str, model: &str, date: &str, tag: &str) -> ServedTemplate {
        ServedTemplate {
            name: name.to_owned(),
            models: vec![model.to_owned()],
            date: date.to_owned(),
            tags: vec![tag.to_owned()],
            kind: "image".to_owned(),
            ..ServedTemplate::default()
        }
    }

    #[test]
    fn what_the_facts_were_taken_from_is_not_newer() {
        let served = [
            template("a", "Qwen Image 2.1", "2026-09-20", "Text to Image"),
            template("b", "Kling 4.0", "2026-10-27", "Text to Video"),
            template("c", "None", "2026-03-01", "Node Basics"),
        ];
        assert_eq!(Knowledge::bundled().newer_among(&served), []);
    }

    #[test]
    fn a_new_model_and_a_new_template_are_newer() {
        let served = [
            template("old", "Qwen Image 2.1", "2026-09-20", "Text to Image"),
            template("again", "Qwen Image 2.1", "2027-01-02", "Text to Image"),
            template("new", "Qwen Image 4", "2027-02-01", "Text to Image"),
        ];
        let knowledge = Knowledge::bundled();
        let newer = knowledge.newer_among(&served);
        let names: Vec<&str> = newer.iter().map(|one| one.template.as_str()).collect();
        assert_eq!(names, ["new", "again"]);
        assert_eq!(newer[0].unknown_models, ["Qwen Image 4"]);
        assert!(newer[1].unknown_models.is_empty());
    }

    #[test]
    fn a_model_is_told_of_its_makers_next_one_for_the_same_work() {
        let served = [
            template("t2i", "Qwen Image 4", "2027-02-01", "Text to Image"),
            template("llm", "Qwen 5", "2027-02-01", "Text Generation"),
            template("wan", "Wan4", "2027-02-01", "Text to Video"),
        ];
        let knowledge = Knowledge::bundled();
        let newer = knowledge.newer_among(&served);
        let concerned = |name: &str| -> Vec<&str> {
            let model = knowledge.model(name).unwrap();
            let found = knowledge.newer_than(model, &newer).into_iter();
            found.map(|one| one.template.as_str()).collect()
        };
        assert_eq!(concerned("Qwen-Image-2.1"), ["t2i"]);
        assert_eq!(concerned("Wan 2.2 T2V 14B"), ["wan"]);
        assert!(concerned("FLUX.2-dev").is_empty());
    }
}
