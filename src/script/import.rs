//! Workflows from elsewhere as templates: graphs and prompts, from files, assets, and the templates
//! that the server offers.

use std::path::{Component, Path};

use serde_json::Value;

use super::arguments::nearest;
use super::draft::{DraftError, DraftOptions, draft};
use super::workflow_file::{Format, WorkflowText};
use super::{Generation, Host, Key, Kind, Layer, ScriptError, Source};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::{Editor, Options, UiError, graph_in, to_api};
use crate::comfy::{Comfy, Workflow, WorkflowError};
use crate::failure::{Code, Failure};
use crate::paths;

/// The longest name that is made of another.
const LONGEST_NAME: usize = 64;

/// No workflow is larger: the largest seen in the wild have 10 MB.
const MAX_BYTES: u64 = 64 << 20;

/// A workflow with where it is from.
#[derive(Clone, Debug)]
pub struct Foreign {
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

/// Why a workflow does not become a template.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A graph that can't be converted.
    #[error(transparent)]
    Graph(#[from] UiError),
    /// No workflow.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// A workflow that no template builds.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A template that does not hold.
    #[error(transparent)]
    Script(#[from] ScriptError),
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Graph(error) => error.into(),
            ImportError::Workflow(error) => error.into(),
            ImportError::Draft(error) => error.into(),
            ImportError::Script(error) => error.into(),
        }
    }
}

/// The editor that comes with a server; the latest if the server does not say its version.
pub async fn editor_of(comfy: &Comfy) -> Editor {
    let version = comfy.version().await.ok().flatten();
    version.map_or_else(Editor::default, |version| Editor::of(&version))
}

/// Writes a workflow as a template called `name`. A graph is converted with the same facts.
pub fn import(
    generation: &Generation,
    facts: &NodeFacts,
    options: &Options,
    foreign: &Foreign,
    name: &str,
) -> Result<Imported, ImportError> {
    let mut notes = Vec::new();
    let (workflow, shared) = match graph_in(&foreign.value) {
        Some(graph) => {
            let converted = to_api(graph, facts, options)?;
            notes.extend(converted.notes.iter().map(ToString::to_string));
            (converted.workflow, converted.shared)
        }
        None => (Workflow::from_json(foreign.value.clone())?, Vec::new()),
    };
    let options = DraftOptions {
        name,
        title: foreign.title.as_deref(),
        from: foreign.told.as_deref(),
        shared: &shared,
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

impl Foreign {
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
            return Self::in_file(&paths::resolved(name, &host.project_dir), &host.project_dir);
        }
        Self::official(&host.comfy, name).await
    }

    /// The workflow in a file that an agent names: nothing of any other file is told.
    fn in_file(path: &Path, project: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let refuse = |reason: &str| {
            Failure::new(Code::NO_WORKFLOW_DATA, format!("{shown} {reason}"))
                .hint("give a workflow as JSON, or a picture, clip or sound that ComfyUI saved")
        };
        let unreadable = |_| refuse("can't be read");
        // Where it really is: a link may lead out of sight.
        let real = path.canonicalize().map_err(unreadable)?;
        if is_hidden(&real, project) {
            return Err(refuse("is hidden, and not read"));
        }
        // Looked at before it's opened: opening a pipe would wait for its other end.
        let facts = real.metadata().map_err(unreadable)?;
        if !facts.is_file() || facts.len() > MAX_BYTES {
            return Err(refuse("is no file of a workflow's size"));
        }
        let bytes = std::fs::read(&real).map_err(unreadable)?;
        let nothing = || refuse("has no workflow in it");
        let found = WorkflowText::read(bytes).map_err(|_| nothing())?;
        if found.format == Format::Api && Workflow::from_json(found.value.clone()).is_err() {
            return Err(nothing());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            value: found.value,
            title: None,
            told: Some(name.into_owned()),
        })
    }
}

/// Whether a path has a part that begins with a dot; the project may itself lie below one.
fn is_hidden(real: &Path, project: &Path) -> bool {
    let project = project.canonicalize();
    let project = project.as_deref().unwrap_or(Path::new(""));
    let below = real.strip_prefix(project).unwrap_or(real);
    below.components().any(|part| match part {
        Component::Normal(name) => name.to_string_lossy().starts_with('.'),
        _ => false,
    })
}

/// Whether a name is that of a file: names of templates have no folders, and of endings only numbers
/// (`v2.1`) and `.app`.
#[must_use]
pub fn is_path(name: &str) -> bool {
    let ending = Path::new(name).extension().unwrap_or_default();
    let ending = ending.to_string_lossy().to_lowercase();
    let is_ending = ending.starts_with(|c: char| c.is_ascii_alphabetic()) && ending != "app";
    name.contains(['/', '\\']) || is_ending
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
    fn files_are_told_from_templates() {
        for file in ["a.json", "a.PNG", "a.jsn", "a/b", "./a", "a.mp4", "C:\\a"] {
            assert!(is_path(file), "{file}");
        }
        for template in [
            "default",
            "templates-textured_logotype-v2.1",
            "upscaler.app",
            "a.",
        ] {
            assert!(!is_path(template), "{template}");
        }
    }

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
