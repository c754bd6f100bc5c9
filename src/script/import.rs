//! Workflows from elsewhere as templates: graphs and prompts, from files, assets, and the templates
//! that the server offers.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::{Component, Path};

use serde_json::Value;

use super::arguments::nearest;
use super::draft::{DraftOptions, draft};
use super::{Generation, Host, Key, Kind, Layer, Source};
use crate::assets::Embedded;
use crate::clock::Clock;
use crate::comfy::json::parse_lenient;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::{Options, graph_in, to_api};
use crate::comfy::{Comfy, Workflow};
use crate::failure::{Code, Failure};
use crate::paths;

/// The longest name that is made of another.
const LONGEST_NAME: usize = 64;

/// No workflow is larger: the largest seen in the wild have 10 MB.
const MAX_BYTES: u64 = 64 << 20;

/// A workflow with where it is from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// In either format.
    pub value: Value,
    /// What it is called there.
    pub title: Option<String>,
    /// What a person is told of where it is from.
    pub told: Option<String>,
}

/// A workflow as a template, not saved yet.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The template.
    pub source: Source,
    /// The names of its parameters.
    pub params: Vec<String>,
    /// What there is to know of the conversion.
    pub notes: Vec<String>,
}

/// Writes a workflow as a template called `name`. A graph is converted with the same facts.
pub fn import(
    generation: &Generation,
    facts: &NodeFacts,
    clock: &Clock,
    origin: &Origin,
    name: &str,
) -> Result<Imported, Failure> {
    let mut notes = Vec::new();
    let workflow = match graph_in(&origin.value) {
        Some(graph) => {
            let converted = to_api(graph, facts, &Options::new(clock))?;
            notes.extend(converted.notes.iter().map(ToString::to_string));
            converted.workflow
        }
        None => Workflow::from_json(origin.value.clone())?,
    };
    let options = DraftOptions {
        name,
        title: origin.title.as_deref(),
        from: origin.told.as_deref(),
    };
    let draft = draft(&workflow, facts, generation, &options)?;
    notes.extend(draft.notes);
    let source = Source {
        key: Key {
            kind: Kind::Template,
            name: name.to_owned(),
        },
        layer: Layer::File,
        path: format!("{name}.rhai").into(),
        text: draft.text,
    };
    let with_it = generation.with(&source);
    let served = with_it.get(Kind::Template, name)?;
    let params = served.script.declaration.params.iter();
    Ok(Imported {
        params: params.map(|param| param.name.clone()).collect(),
        source,
        notes,
    })
}

impl Origin {
    /// A workflow that was handed over as it is.
    #[must_use]
    pub fn of_value(value: Value) -> Self {
        Self {
            value,
            title: None,
            told: None,
        }
    }

    /// A template that the server offers.
    pub async fn official(comfy: &Comfy, name: &str) -> Result<Self, Failure> {
        let graph = comfy.template_graph(name).await?;
        let index = comfy.templates().await.unwrap_or_default();
        let Some(value) = graph else {
            let message = format!("the server offers no template \"{name}\"");
            let failure = Failure::new(Code::NOT_FOUND, message);
            let like = nearest(name, index.iter().map(|known| known.name.as_str()));
            return Err(failure.hint(like.map_or_else(
                || "give a file, or the name of a template as the server's index has it".to_owned(),
                |like| format!("did you mean {like}?"),
            )));
        };
        let known = index.iter().find(|known| known.name == name);
        let title = known.map(|known| known.title.clone());
        Ok(Self {
            value,
            title: title.filter(|title| !title.is_empty()),
            told: Some(format!("ComfyUI's template {name}")),
        })
    }

    /// The asset, the file or the template of the server that an agent names.
    pub(super) async fn named(host: &Host, name: &str) -> Result<Self, Failure> {
        let id = name.strip_prefix("mmf://assets/").unwrap_or(name);
        if let Ok(asset) = host.assets.get(id) {
            return Ok(Self {
                value: host.assets.workflow(&asset)?,
                title: None,
                told: Some(format!("asset {id}")),
            });
        }
        if is_path(name) {
            return Self::in_file(&paths::resolved(name, &host.project_dir));
        }
        Self::official(&host.comfy, name).await
    }

    /// The workflow in a file that an agent names: nothing of any other file is told.
    fn in_file(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let refuse = |reason: &str| {
            Failure::new(Code::NO_WORKFLOW_DATA, format!("{shown} {reason}"))
                .hint("give a workflow as JSON, or a picture, clip or sound that ComfyUI saved")
        };
        let is_hidden = |part: Component<'_>| {
            let name = part.as_os_str().to_string_lossy();
            name.starts_with('.') && name.len() > 2
        };
        if path.components().any(is_hidden) {
            return Err(refuse("is hidden, and not read"));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|_| refuse("can't be read"))?;
        let mut file = file.take(MAX_BYTES);
        file.read_to_end(&mut bytes)
            .map_err(|_| refuse("can't be read"))?;
        let embedded = Embedded::read(&mut Cursor::new(&bytes)).ok().flatten();
        let json = match embedded {
            Some(found) => found.prompt.or(found.workflow),
            None => Some(bytes),
        };
        let value = json.and_then(|json| parse_lenient::<Value>(&json).ok());
        let value = value.ok_or_else(|| refuse("has no workflow in it"))?;
        if graph_in(&value).is_none() && Workflow::from_json(value.clone()).is_err() {
            return Err(refuse("has no workflow in it"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            value,
            title: None,
            told: Some(name.into_owned()),
        })
    }
}

/// Whether a name is that of a file: names of templates have neither folders nor such endings.
#[must_use]
pub fn is_path(name: &str) -> bool {
    let endings = [
        ".json", ".png", ".webp", ".jpg", ".jpeg", ".mp4", ".webm", ".mkv", ".mov", ".flac",
        ".ogg", ".opus",
    ];
    let small = name.to_lowercase();
    name.contains(['/', '\\']) || endings.iter().any(|ending| small.ends_with(ending))
}

/// What a script made of a file or template is called: its name in letters that scripts may have.
#[must_use]
pub fn name_for(origin: &str) -> String {
    let stem = if is_path(origin) {
        Path::new(origin).file_stem().unwrap_or_default()
    } else {
        origin.as_ref()
    };
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = stem.to_string_lossy().chars().map(allowed).collect();
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    let mut name = words.join("_");
    name.truncate(LONGEST_NAME);
    if name.is_empty() {
        "imported".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_templates_lend_their_names() {
        for (origin, name) in [
            ("flux dev (1).json", "flux_dev_1"),
            ("a/b/ComfyUI_00001_.png", "ComfyUI_00001"),
            (
                "templates-textured_logotype-v2.1",
                "templates-textured_logotype-v2_1",
            ),
            ("-", "-"),
            ("\u{e9}\u{e9}.json", "imported"),
        ] {
            assert_eq!(name_for(origin), name);
        }
    }
}
