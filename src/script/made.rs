//! Where the nodes of a workflow were made, so that whoever is told which of them failed finds it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::diagnostic::shown_line;
use super::spot::Spot;
use super::{Generation, Key};
use crate::comfy::Workflow;
use crate::failure::Failure;

/// The nodes of a workflow by their ids: what each is called, and which line of which script made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeNodes(BTreeMap<String, MadeNode>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MadeNode {
    title: Option<String>,
    spot: Option<Spot>,
}

/// The node that a failure is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedNode {
    /// Its id in the prompt.
    pub id: String,
    /// Its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What it is called, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where it was made, if a script made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MadeAt>,
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeAt {
    /// The script's file; `templates/NAME.rhai` for a built-in one.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The text of that line.
    pub source: String,
}

impl MadeNodes {
    /// The nodes of a workflow, of which some have a place. There may be thousands of workflows that
    /// wait: those of which nothing is known but their ids are left out.
    pub(super) fn of(workflow: &Workflow, spots: &BTreeMap<String, Spot>) -> Self {
        let nodes = workflow.nodes().filter_map(|node| {
            let made = MadeNode {
                // The editor calls a node by its class until somebody names it.
                title: node
                    .title()
                    .filter(|title| Some(*title) != node.class_type())
                    .map(str::to_owned),
                spot: spots.get(node.id).cloned(),
            };
            let is_known = made.title.is_some() || made.spot.is_some();
            is_known.then(|| (node.id.to_owned(), made))
        });
        Self(nodes.collect())
    }

    /// A failure with the `node` that it is about, if it is about one: `{id, class, title, at}`.
    #[must_use]
    pub fn tell(&self, failure: Failure, generation: &Generation) -> Failure {
        let Some((id, class)) = named(&failure) else {
            return failure;
        };
        let made = self.0.get(&id).cloned().unwrap_or_default();
        let node = FailedNode {
            id,
            class,
            title: made.title,
            at: made.spot.and_then(|spot| at(&spot, generation)),
        };
        failure.detail("node", json!(node))
    }

    /// The same for a workflow that no script handed to the server: the place of the node is that of
    /// the failure.
    #[must_use]
    pub fn blame(&self, failure: Failure, generation: &Generation) -> Failure {
        let failure = self.tell(failure, generation);
        match FailedNode::of(&failure).and_then(|node| node.at) {
            Some(at) => failure.detail("at", json!(at)),
            None => failure,
        }
    }
}

impl FailedNode {
    /// The node that [`MadeNodes::tell`] noted.
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        let node = failure.details.get("node")?;
        serde_json::from_value(node.clone()).ok()
    }

    /// It in words: `node 7, KSampler "Base"`.
    pub(super) fn words(&self) -> String {
        let class = self.class.as_ref();
        let class = class.map_or_else(String::new, |class| format!(", {class}"));
        let title = self.title.as_ref();
        let title = title.map_or_else(String::new, |title| format!(" \"{title}\""));
        format!("node {}{class}{title}", self.id)
    }
}

/// The node that failed while it ran, or the first that the server refuses.
fn named(failure: &Failure) -> Option<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let details = &failure.details;
    if let Some(id) = details.get("node_id").and_then(text) {
        return Some((id, details.get("node_type").and_then(text)));
    }
    let errors = details.get("node_errors").and_then(Value::as_object);
    if let Some((id, node)) = errors.and_then(|errors| errors.iter().next()) {
        return Some((id.clone(), text(&node["class_type"])));
    }
    let of_server = &details.get("server_error")?["extra_info"];
    let id = text(&of_server["node_id"])?;
    Some((
        id.trim_start_matches('#').to_owned(),
        text(&of_server["class_type"]),
    ))
}

fn at(spot: &Spot, generation: &Generation) -> Option<MadeAt> {
    let (line, column) = (spot.position.line()?, spot.position.position()?);
    let key = Key::from_path(&spot.script);
    let script = key.and_then(|key| generation.get(key.kind, &key.name).ok());
    let script = script.map(|served| &served.script);
    let source = script.map(|script| shown_line(&script.text, line));
    Some(MadeAt {
        path: script.map_or_else(|| spot.script.clone().into(), |script| script.path.clone()),
        line,
        column,
        source: source.unwrap_or_default(),
    })
}
