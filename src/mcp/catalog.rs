//! What `tools/list`, `prompts/list` and `resources/templates/list` answer, made of the scripts'
//! declarations.

use std::sync::Arc;

use rmcp::model::{Prompt, PromptArgument, Resource, ResourceTemplate, Tool, ToolAnnotations};
use serde_json::Value;

use super::Choice;
use crate::script::{Declaration, Generation, Key, Kind, Script, Served, UriTemplate};

/// What one generation offers, each list sorted by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Catalog {
    pub(super) tools: Vec<Tool>,
    pub(super) prompts: Vec<Prompt>,
    pub(super) templates: Vec<ResourceTemplate>,
    /// All scripts as resources list them, which are resources themselves.
    scripts: Vec<(Key, String)>,
}

impl Catalog {
    pub(super) fn of(generation: &Generation, choice: &Choice) -> Self {
        let prompts = generation
            .of_kind(Kind::Prompt)
            .filter(|served| is_callable(served));
        let tools = generation.of_kind(Kind::Tool);
        let tools = tools.filter(|served| is_callable(served) && choice.includes(served));
        let resources = generation.of_kind(Kind::Resource);
        let scripts = generation.all().map(|served| &served.script);
        Self {
            tools: tools.map(|served| tool(&served.script)).collect(),
            prompts: prompts.map(|served| prompt(&served.script)).collect(),
            templates: resources
                .filter_map(|served| template(&served.script))
                .collect(),
            scripts: scripts
                .map(|script| (script.key.clone(), script.declaration.title.clone()))
                .collect(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// What the prompt of this name says of itself.
    pub(super) fn description_of(&self, prompt: &str) -> Option<String> {
        let prompt = self.prompts.iter().find(|it| it.name == prompt)?;
        prompt.description.clone()
    }

    /// Whether both would list the same resources, as far as scripts tell.
    pub(super) fn lists_resources_as(&self, other: &Self) -> bool {
        self.templates == other.templates && self.scripts == other.scripts
    }
}

/// Clients accept letters, digits, `_`, `-` and `.` in the name of a tool, so a script in a
/// folder below `tools/` is none.
fn is_callable(served: &Served) -> bool {
    let name = &served.script.key.name;
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn tool(script: &Script) -> Tool {
    let declaration = &script.declaration;
    let mut tool = Tool::new(
        script.key.name.clone(),
        declaration.about.clone(),
        Arc::new(declaration.schema()),
    );
    tool.title = Some(declaration.title.clone());
    tool.annotations = annotations(declaration);
    tool
}

fn annotations(declaration: &Declaration) -> Option<ToolAnnotations> {
    let says = |name: &str| declaration.meta.get(name).and_then(Value::as_bool);
    let mut annotations = ToolAnnotations::default();
    annotations.read_only_hint = says("read_only");
    annotations.destructive_hint = says("destructive");
    annotations.idempotent_hint = says("idempotent");
    (annotations != ToolAnnotations::default()).then_some(annotations)
}

fn prompt(script: &Script) -> Prompt {
    let declaration = &script.declaration;
    let arguments = declaration.params.iter().map(|param| {
        let mut argument = PromptArgument::new(&param.name).with_required(param.required);
        argument.description = Some(param.about.clone()).filter(|about| !about.is_empty());
        argument
    });
    let arguments: Vec<PromptArgument> = arguments.collect();
    Prompt::new(
        &script.key.name,
        Some(&declaration.about),
        Some(arguments).filter(|arguments| !arguments.is_empty()),
    )
    .with_title(&declaration.title)
}

fn mime_type(declaration: &Declaration) -> Option<String> {
    let declared = declaration.meta.get("mime_type")?;
    declared.as_str().map(str::to_owned)
}

/// A script whose address has variables.
fn template(script: &Script) -> Option<ResourceTemplate> {
    let uri = script.uri.as_ref().filter(|uri| !is_single(uri))?;
    let declaration = &script.declaration;
    let mut template = ResourceTemplate::new(uri.as_str(), &script.key.name)
        .with_title(&declaration.title)
        .with_description(&declaration.about);
    template.mime_type = mime_type(declaration);
    Some(template)
}

/// A script whose address is that of a single resource.
pub(super) fn resource(script: &Script) -> Option<Resource> {
    let uri = script.uri.as_ref().filter(|uri| is_single(uri))?;
    let declaration = &script.declaration;
    let mut resource = Resource::new(uri.as_str(), &script.key.name)
        .with_title(&declaration.title)
        .with_description(&declaration.about);
    resource.mime_type = mime_type(declaration);
    Some(resource)
}

fn is_single(uri: &UriTemplate) -> bool {
    uri.variables().next().is_none()
}
