//! What `tools/list` answers, made of the tool scripts' declarations.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};

use super::Choice;
use crate::script::{Declaration, Generation, Kind, Served};

/// The tools of one generation, sorted by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Catalog {
    pub(super) tools: Vec<Tool>,
}

impl Catalog {
    pub(super) fn of(generation: &Generation, choice: &Choice) -> Self {
        let tools = generation
            .of_kind(Kind::Tool)
            .filter(|served| is_callable(served) && choice.includes(served));
        Self {
            tools: tools.map(tool).collect(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// Clients accept letters, digits, `_`, `-` and `.` in the name of a tool, so a script in a
/// folder below `tools/` is none.
fn is_callable(served: &Served) -> bool {
    let name = &served.script.key.name;
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn tool(served: &Served) -> Tool {
    let script = &served.script;
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
    let says = |name: &str| {
        declaration
            .meta
            .get(name)
            .and_then(serde_json::Value::as_bool)
    };
    let mut annotations = ToolAnnotations::default();
    annotations.read_only_hint = says("read_only");
    annotations.destructive_hint = says("destructive");
    annotations.idempotent_hint = says("idempotent");
    (annotations != ToolAnnotations::default()).then_some(annotations)
}
