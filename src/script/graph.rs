//! Graphs as the editor saves them, where a tool declares a workflow: converted before the tool
//! sees them, with the node facts of the server on which they are to run, or while that is away with
//! those of `ComfyUI` itself.

use serde_json::{Map, Value, json};

use super::{Host, Kind, Reply, Served, Type};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::{Options, graph_in, to_api};
use crate::failure::Failure;

/// What was converted, to be told in the answer.
#[derive(Debug, Default)]
pub(super) struct Conversions(Vec<String>);

impl Conversions {
    /// Puts prompts in the place of graphs among what is given to a script. Templates are told
    /// that theirs is none: they depend on no server.
    pub(super) async fn of(
        host: &Host,
        served: &Served,
        given: &mut Map<String, Value>,
    ) -> Result<Self, Failure> {
        let mut told = Vec::new();
        if !matches!(served.script.key.kind, Kind::Tool | Kind::Pipeline) {
            return Ok(Self(told));
        }
        let params = served.script.declaration.params.iter();
        for param in params.filter(|param| param.ty == Type::Workflow) {
            let Some(value) = given.get_mut(&param.name) else {
                continue;
            };
            let Some(graph) = graph_in(value) else {
                continue;
            };
            let facts = match host.comfy.node_facts().await {
                Err(error) if error.is_outage() => NodeFacts::bundled(),
                facts => facts?,
            };
            let converted = to_api(graph, &facts, &Options::new(&host.clock))
                .map_err(|error| Failure::from(error).detail("field", param.name.as_str()))?;
            *value = converted.workflow.into_json();
            let what = format!("{} was in the editor's format", param.name);
            let notes = converted.notes.iter().map(ToString::to_string);
            told.extend([what].into_iter().chain(notes));
        }
        Ok(Self(told))
    }

    /// Tells it in an answer that has names.
    pub(super) fn tell(self, reply: &mut Reply) {
        if !self.0.is_empty()
            && let Value::Object(value) = &mut reply.value
        {
            value.insert("converted".to_owned(), json!(self.0.join("; ")));
        }
    }
}
