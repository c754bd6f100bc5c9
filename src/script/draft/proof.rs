//! Whether a template gives the workflow back that it was made from.

use serde_json::{Map, Value};

use super::read::Graph;
use crate::comfy::{Node, Workflow};
use crate::script::{Generation, Source, build};

/// What is not the same, if anything: the classes, inputs and ids of all nodes, and the titles that
/// somebody gave.
pub(super) fn differs(
    graph: &Graph<'_>,
    workflow: &Workflow,
    generation: &Generation,
    source: &Source,
) -> Option<String> {
    let generation = generation.with(source);
    let built = match build(&generation, &source.key.name, Map::new()) {
        Ok(built) => built,
        Err(error) => return Some(error.to_string()),
    };
    if built.len() != workflow.len() {
        return Some(format!(
            "{} nodes instead of {}",
            built.len(),
            workflow.len()
        ));
    }
    let mut nodes = workflow.nodes().zip(&graph.parts);
    nodes.find_map(|(node, part)| {
        let same = built.node(node.id).is_some_and(|own| {
            let titled = part.title.is_none_or(|title| own.title() == Some(title));
            own.class_type() == node.class_type() && inputs(own) == inputs(node) && titled
        });
        (!same).then(|| format!("node {} ({})", part.id, part.class))
    })
}

fn inputs(node: Node<'_>) -> Option<&Map<String, Value>> {
    node.inputs().filter(|inputs| !inputs.is_empty())
}
