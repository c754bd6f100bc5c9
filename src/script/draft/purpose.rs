//! What a workflow makes of what.

use super::read::{Graph, Part};
use crate::comfy::nodes::{NodeClass, model_folder};
use crate::knowledge::Knowledge;

/// What goes in or comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Medium {
    Picture,
    Clip,
    Sound,
    Shape,
    Text,
}

impl Medium {
    pub(super) fn article(self) -> &'static str {
        match self {
            Self::Picture => "a picture",
            Self::Clip => "a clip",
            Self::Sound => "a sound",
            Self::Shape => "a shape in three dimensions",
            Self::Text => "a text",
        }
    }

    /// The word in a template's type, such as `txt2img`.
    fn word(self) -> &'static str {
        match self {
            Self::Picture => "img",
            Self::Clip => "vid",
            Self::Sound => "audio",
            Self::Shape => "3d",
            Self::Text => "txt",
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::Picture => "image",
            Self::Clip => "video",
            Self::Sound => "audio",
            Self::Shape => "3d",
            Self::Text => "text",
        }
    }
}

/// What a workflow is for.
#[derive(Clone, Debug)]
pub(super) struct Purpose {
    pub(super) makes: Medium,
    /// What is uploaded; without anything, a text is what it begins with.
    pub(super) from: Option<Medium>,
    /// The model that does the work, if its file is known.
    pub(super) model: Option<String>,
    /// Whether running it costs something.
    pub(super) is_paid: bool,
}

impl Purpose {
    /// `txt2img`
    pub(super) fn kind(&self) -> String {
        let from = self.from.unwrap_or(Medium::Text).word();
        format!("{from}2{}", self.makes.word())
    }

    pub(super) fn tags(&self) -> [&'static str; 2] {
        [self.makes.tag(), "imported"]
    }

    /// What it shows, sounds like or says.
    pub(super) fn verb(&self) -> &'static str {
        match self.makes {
            Medium::Picture => "What the picture shows",
            Medium::Clip => "What happens in the clip",
            Medium::Sound => "What is heard",
            Medium::Shape => "What it shows",
            Medium::Text => "What is asked",
        }
    }
}

pub(super) fn of(graph: &Graph<'_>, knowledge: &Knowledge) -> Purpose {
    let ends = graph.parts.iter().filter(|part| is_end(part));
    let makes = ends.map(medium_of_end).reduce(|one, other| {
        // A clip is what matters where the pictures of it are saved, too.
        let weight = |medium| match medium {
            Medium::Text => 0,
            Medium::Picture => 1,
            Medium::Sound => 2,
            Medium::Shape => 3,
            Medium::Clip => 4,
        };
        if weight(other) > weight(one) {
            other
        } else {
            one
        }
    });
    let uploads = graph.parts.iter().filter_map(medium_of_upload);
    let mut files = graph.parts.iter().flat_map(|part| {
        let files = part.literals().filter(|(name, _)| {
            let folder = model_folder(part.class, name);
            matches!(folder, Some("checkpoints" | "diffusion_models"))
        });
        files.filter_map(|(_, value)| value.as_str())
    });
    let model = files.find_map(|file| knowledge.identify(file));
    Purpose {
        makes: makes.unwrap_or(Medium::Picture),
        from: uploads.max_by_key(|medium| *medium == Medium::Clip),
        model: model.map(|known| known.model.name.clone()),
        is_paid: graph
            .parts
            .iter()
            .any(|part| part.facts.is_some_and(NodeClass::is_api_node)),
    }
}

/// Whether a node is there for what it writes or shows.
pub(super) fn is_end(part: &Part<'_>) -> bool {
    match part.facts {
        Some(facts) => facts.is_output_node(),
        None => part.class.starts_with("Save") || part.class.starts_with("Preview"),
    }
}

fn medium_of_end(part: &Part<'_>) -> Medium {
    let types = part.facts.into_iter().flat_map(NodeClass::inputs);
    let takes = |name: &str| types.clone().any(|input| input.io_type().is(name));
    let class = part.class.to_lowercase();
    let is_called = |words: &[&str]| words.iter().any(|word| class.contains(word));
    if takes("VIDEO") || is_called(&["video", "webm", "webp", "animat"]) {
        Medium::Clip
    } else if takes("AUDIO") || is_called(&["audio"]) {
        Medium::Sound
    } else if is_called(&["3d", "glb", "mesh", "splat"]) {
        Medium::Shape
    } else if takes("STRING") && !takes("IMAGE") || is_called(&["previewany", "text"]) {
        Medium::Text
    } else {
        Medium::Picture
    }
}

/// What is uploaded for a node, if it takes an upload.
pub(super) fn medium_of_upload(part: &Part<'_>) -> Option<Medium> {
    part.literals().find_map(|(name, _)| upload(part, name))
}

/// What is uploaded for an input, if it takes an upload.
pub(super) fn upload(part: &Part<'_>, input: &str) -> Option<Medium> {
    let Some(declared) = part.facts.and_then(|facts| facts.input(input)) else {
        let loads = part.facts.is_none() && part.class.starts_with("Load");
        return match input {
            "image" if loads => Some(Medium::Picture),
            "video" if loads => Some(Medium::Clip),
            "audio" if loads => Some(Medium::Sound),
            _ => None,
        };
    };
    if declared.flag("image_upload") {
        Some(Medium::Picture)
    } else if declared.flag("video_upload") {
        Some(Medium::Clip)
    } else if declared.flag("audio_upload") {
        Some(Medium::Sound)
    } else {
        None
    }
}
