//! Why a workflow can't be a graph of the editor, and what is not quite the same there.

use std::fmt;

use serde_json::Value;

use crate::comfy::ui::{NodeName, UiError};
use crate::failure::{Code, Failure, shown};

/// Why a workflow can't be opened in the editor without losing something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// Classes that are not known, so that neither their slots nor the order of their values are.
    #[error(
        "the server does not have the class of {}{}",
        .nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        .nearest.as_ref().map_or_else(String::new, |nearest| format!(": did you mean {nearest}?"))
    )]
    UnknownClass {
        /// The nodes.
        nodes: Vec<NodeName>,
        /// A class that is called nearly as that of the first.
        nearest: Option<String>,
    },
    /// A link from a node or output that is not there.
    #[error(
        "input \"{input}\" of {node} links to output {output} of node {from}, which is not there"
    )]
    Loose {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
        /// The node at the link's other end.
        from: Box<str>,
        /// The output there.
        output: usize,
    },
    /// An input of a custom node for which the editor has no place. That its class does not declare
    /// it need not mean that it does nothing.
    #[error(
        "the editor has no place for input \"{input}\" of {node}: its class does not declare it"
    )]
    NoPlace {
        /// The node.
        node: NodeName,
        /// The input.
        input: String,
    },
    /// A value where the editor has a slot for a link and nothing to write into.
    #[error(
        "input \"{input}\" of {node} is {value}, and the editor takes nothing but a link there"
    )]
    NoWidget {
        /// The node.
        node: NodeName,
        /// The input.
        input: String,
        /// Its value, shortened.
        value: Box<str>,
    },
    /// A value that the editor would change when it queues the graph.
    #[error("the editor would make {to} of {from} in input \"{input}\" of {node}")]
    Changed {
        /// The node.
        node: NodeName,
        /// The input.
        input: Box<str>,
        /// The value, shortened.
        from: Box<str>,
        /// What the editor would send.
        to: Box<str>,
    },
    /// A node that the editor would not send.
    #[error("the editor would not run {0}: it knows that class as something else")]
    NotRun(NodeName),
    /// The graph can't be converted back.
    #[error("the editor could not run the graph: {0}")]
    Back(#[from] UiError),
}

impl DrawError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UnknownClass { .. } => {
                "install the node packs that have them, or take the node facts of the server on \
                 which the workflow runs"
            }
            Self::Loose { .. } => "correct the link; `mmf validate` shows all that is wrong",
            Self::NoPlace { .. } => {
                "take the input out, or take the node facts of the server on which the workflow runs"
            }
            Self::NoWidget { .. } => {
                "link a node to it that gives the value, such as PrimitiveInt, PrimitiveFloat, \
                 PrimitiveBoolean or PrimitiveString: that is a node more than the workflow has, so \
                 none is added by itself"
            }
            Self::Changed { .. } => "change the value, or run the workflow as it is",
            Self::NotRun(_) => "give the node another class, or run the workflow as it is",
            Self::Back(error) => error.advice(),
        }
    }
}

impl From<DrawError> for Failure {
    fn from(error: DrawError) -> Self {
        Self::new(Code::VALIDATION_ERROR, error.to_string()).hint(error.advice())
    }
}

/// What is not quite the same in the editor.
#[derive(Clone, Debug, PartialEq)]
pub enum Remark {
    /// A node with an id that no graph has, and the id that it has there.
    Renumbered {
        /// The id of before.
        id: String,
        /// The id in the graph.
        new: u64,
    },
    /// A widget of which the workflow says nothing, and what the editor begins with.
    Filled {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
        /// The value.
        value: Value,
    },
    /// An input that its class does not declare, so that the server passes over it and the editor
    /// does not keep it.
    Dropped {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
    },
    /// A number with more digits than the editor keeps.
    Rounded {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
        /// The number.
        from: Value,
        /// What is left of it.
        to: Value,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renumbered { id, new } => {
                write!(
                    f,
                    "node {id} is {new} in the graph, whose ids are whole numbers"
                )
            }
            Self::Filled { node, input, value } => write!(
                f,
                "\"{input}\" of {node} is not given: the editor will send its default, {}",
                shown(value)
            ),
            Self::Dropped { node, input } => write!(
                f,
                "\"{input}\" of {node} is left out: its class does not declare it, and the server \
                 passes over it"
            ),
            Self::Rounded {
                node,
                input,
                from,
                to,
            } => write!(
                f,
                "\"{input}\" of {node} is {from}, of which the editor keeps {:.0}: it counts exactly \
                 up to 2^53 only",
                to.as_f64().unwrap_or_default()
            ),
        }
    }
}
