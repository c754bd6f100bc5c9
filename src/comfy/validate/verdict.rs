//! What the server answers to a prompt.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::python::Exception;

/// The answer to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict<'p> {
    /// What became of it.
    pub outcome: Outcome,
    /// The prompt as the server goes on with it: coerced, unwrapped, old classes replaced.
    pub prompt: Cow<'p, Value>,
    /// How many nodes the server has open at once at most while it validates.
    pub depth: usize,
}

impl Verdict<'_> {
    /// The same, independent of the prompt that was given.
    #[must_use]
    pub fn into_owned(self) -> Verdict<'static> {
        Verdict {
            outcome: self.outcome,
            prompt: Cow::Owned(self.prompt.into_owned()),
            depth: self.depth,
        }
    }
}

/// What becomes of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// At least one output can run: status 200.
    Accepted {
        /// The output nodes that will run.
        outputs: Vec<String>,
        /// What is wrong with the others.
        node_errors: Vec<NodeErrors>,
    },
    /// Nothing can run: status 400.
    Rejected {
        /// What is wrong with the prompt.
        error: ServerError,
        /// What is wrong with its nodes.
        node_errors: Vec<NodeErrors>,
    },
    /// The server stumbles over the prompt: status 500.
    Raised(Exception),
}

/// All that is wrong with one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeErrors {
    /// The node.
    pub node_id: String,
    /// Its class.
    pub class_type: String,
    /// The errors; the server's order changes from start to start, this one is the declared.
    pub errors: Vec<ServerError>,
    /// Outputs that will not run. The server also counts outputs that failed later for reasons
    /// of their own.
    pub dependent_outputs: Dependents,
}

/// The outputs that failed from the first on that brought a node up. All nodes share one list:
/// with lists of their own, a workflow with thousands of faults would take gigabytes.
#[derive(Clone, Debug, Default)]
pub struct Dependents {
    pub(super) failed: Arc<Vec<String>>,
    pub(super) from: usize,
}

impl Dependents {
    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        self.failed.get(self.from..).unwrap_or_default()
    }
}

impl PartialEq for Dependents {
    fn eq(&self, other: &Self) -> bool {
        self.ids() == other.ids()
    }
}

/// One error in the server's own words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerError {
    /// The machine-readable name, such as `"value_not_in_list"`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The same for people, without the particulars.
    pub message: String,
    /// The particulars.
    pub details: String,
    /// The particulars for programs.
    pub extra_info: Map<String, Value>,
}

impl ServerError {
    /// An error with particulars for programs, given as a JSON object.
    pub(super) fn new(
        kind: &'static str,
        message: impl Into<String>,
        details: impl Into<String>,
        extra_info: Value,
    ) -> Self {
        let extra_info = match extra_info {
            Value::Object(extra_info) => extra_info,
            _ => Map::new(),
        };
        Self {
            kind,
            message: message.into(),
            details: details.into(),
            extra_info,
        }
    }

    /// The input that the error is about, if it is about one.
    #[must_use]
    pub fn input_name(&self) -> Option<&str> {
        self.extra_info.get("input_name")?.as_str()
    }

    /// As in the server's answer.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}

impl Outcome {
    /// Whether the server would queue the prompt.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// What is wrong with the nodes; an accepted prompt may have faulty nodes too.
    #[must_use]
    pub fn node_errors(&self) -> &[NodeErrors] {
        match self {
            Self::Accepted { node_errors, .. } | Self::Rejected { node_errors, .. } => node_errors,
            Self::Raised(_) => &[],
        }
    }

    /// The HTTP status of `POST /prompt`.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted { .. } => 200,
            Self::Rejected { .. } => 400,
            Self::Raised(_) => 500,
        }
    }

    /// The body of `POST /prompt`: `{error, node_errors}` of a rejected prompt, `{node_errors}`
    /// of an accepted one (the server adds `prompt_id` and `number`), null for status 500.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Accepted { node_errors, .. } => json!({ "node_errors": by_node(node_errors) }),
            Self::Rejected { error, node_errors } => {
                json!({ "error": error, "node_errors": by_node(node_errors) })
            }
            Self::Raised(_) => Value::Null,
        }
    }
}

fn by_node(node_errors: &[NodeErrors]) -> Value {
    let entry = |node: &NodeErrors| {
        let body = json!({
            "errors": node.errors,
            "dependent_outputs": node.dependent_outputs.ids(),
            "class_type": node.class_type,
        });
        (node.node_id.clone(), body)
    };
    node_errors.iter().map(entry).collect()
}
