//! A workflow that a user names: a file, or a template.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::args::Global;
use super::facts::Facts;
use super::workflow_file::{Format, WorkflowFile};
use super::{Stopped, report, start};
use crate::app::Found;
use crate::comfy::Workflow;
use crate::failure::{Code, Failure};
use crate::script::{Declaration, Kind, Library, ScriptError, build_apart};

/// A workflow, and how messages call it.
pub(super) struct Handed {
    pub(super) name: String,
    pub(super) workflow: Workflow,
}

/// The facts by which graphs are converted, asked for once and only if they are needed.
pub(super) struct Asked<'a> {
    global: &'a Global,
    nodes: Option<&'a str>,
    facts: Option<Facts>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(global: &'a Global, nodes: Option<&'a str>) -> Self {
        Self {
            global,
            nodes,
            facts: None,
        }
    }

    pub(super) async fn facts(&mut self) -> Result<&Facts, Failure> {
        let facts = match self.facts.take() {
            Some(facts) => facts,
            None => Facts::told(self.global, self.nodes).await?,
        };
        Ok(self.facts.insert(facts))
    }
}

/// Reads a file, or builds the template of that name, whose required parameters stay open.
pub(super) async fn workflow(
    global: &Global,
    named: &str,
    asked: &mut Asked<'_>,
) -> Result<Handed, Stopped> {
    if named != "-" && !Path::new(named).exists() {
        let library = start::library(global)?;
        return match Found::named(&library, named) {
            Ok(found) => template(found, Map::new()).await,
            Err(ScriptError::Unknown { .. }) => {
                let message = format!("{named} is neither a file nor a template");
                let failure = Failure::new(Code::NOT_FOUND, message);
                Err(failure.hint("`mmf script list` shows the templates").into())
            }
            Err(error) => Err(Stopped::by_script(error)),
        };
    }
    if is_script(named) {
        let library = start::library(global)?;
        return template(found(&library, named)?, Map::new()).await;
    }
    let file = WorkflowFile::read(named)?;
    file.tell_losses();
    let workflow = match file.format {
        Format::Api => Workflow::from_json(file.value)?,
        Format::Ui => file.converted(asked.facts().await?)?,
    };
    Ok(Handed {
        name: file.name,
        workflow,
    })
}

/// Whether what a user names is the file of a script.
pub(super) fn is_script(named: &str) -> bool {
    let ending = Path::new(named).extension();
    ending.is_some_and(|ending| ending == "rhai")
}

/// The script of a name or in a file.
pub(super) fn found(library: &Library, named: &str) -> Result<Found, Stopped> {
    let found = if is_script(named) {
        Found::in_file(library, Path::new(named))
    } else {
        Found::named(library, named)
    };
    found.map_err(Stopped::by_script)
}

/// The workflow that a template builds. Nothing is uploaded: media keep the names that were given.
pub(super) async fn template(found: Found, given: Map<String, Value>) -> Result<Handed, Stopped> {
    let script = found.served.script.clone();
    if script.key.kind != Kind::Template {
        let message = format!("{} is no template", script.key);
        let failure = Failure::new(Code::INVALID_PARAMS, message);
        return Err(failure.hint("`mmf script list` shows the templates").into());
    }
    let (given, open) = with_placeholders(&script.declaration, given);
    if !open.is_empty() {
        let open: Vec<String> = open.iter().map(|name| format!("{{{{{name}}}}}")).collect();
        report::note(format_args!(
            "note: not given, and left open: {}",
            open.join(", ")
        ));
    }
    let name = script.key.name.clone();
    let workflow = build_apart(found.generation, name.clone(), given).await;
    Ok(Handed {
        name,
        workflow: workflow.map_err(Stopped::by_script)?,
    })
}

/// The arguments with `{{NAME}}` for each required text that was not given, which other tools
/// fill in, and the names of those.
pub(super) fn with_placeholders(
    declaration: &Declaration,
    mut given: Map<String, Value>,
) -> (Map<String, Value>, BTreeSet<String>) {
    let mut open = BTreeSet::new();
    for param in &declaration.params {
        let takes_any_text = param.ty.is_text() && param.choices.is_empty();
        if param.required && takes_any_text && !given.contains_key(&param.name) {
            given.insert(param.name.clone(), format!("{{{{{}}}}}", param.name).into());
            open.insert(param.name.clone());
        }
    }
    (given, open)
}
