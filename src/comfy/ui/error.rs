//! Why a graph of the editor can't be converted.

use std::fmt;

use super::fit::Shifted;
use super::note::MissingOutput;
use crate::failure::{Code, Failure};

/// The most unknown nodes that a message names.
const NAMED: usize = 8;

/// A node as a person finds it again: by id, title and class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName {
    /// `"12:34"` inside of a subgraph.
    pub id: Box<str>,
    /// The title that the user gave it.
    pub title: Option<Box<str>>,
    /// Its class.
    pub class: Box<str>,
    /// The subgraphs that it is in, the outermost first.
    pub within: Box<[Box<str>]>,
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.id)?;
        if let Some(title) = &self.title {
            write!(f, " \"{title}\"")?;
        }
        write!(f, " ({})", self.class)?;
        for (at, subgraph) in self.within.iter().enumerate() {
            write!(f, "{}\"{subgraph}\"", if at == 0 { " in " } else { " > " })?;
        }
        Ok(())
    }
}

/// Why a graph can't be converted. Nothing is left out or guessed instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UiError {
    /// Something else than a saved graph.
    #[error("this is no graph of the editor: that is an object with a \"nodes\" array")]
    NotUi,
    /// A part of the file that is not what it has to be.
    #[error("{place} is {found}, it has to be {expected}")]
    Malformed {
        /// Where in the file.
        place: String,
        /// What stands there in every graph.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// Classes that the server does not have.
    #[error(
        "the server does not have the class of {}{}",
        named(.nodes),
        .nearest.as_ref().map_or_else(String::new, |nearest| format!(": did you mean {nearest}?"))
    )]
    UnknownClass {
        /// The nodes.
        nodes: Vec<NodeName>,
        /// A class that is called nearly as that of the first.
        nearest: Option<String>,
    },
    /// A class that was replaced by another with other inputs.
    #[error("{node} is of a class that is gone; {new} does its work")]
    Gone {
        /// The node.
        node: NodeName,
        /// What stands for its class today.
        new: String,
    },
    /// A node that stands for several, from before there were subgraphs.
    #[error("{0} is a group node, which can't be converted")]
    GroupNode(NodeName),
    /// An instance of a subgraph that the file does not define.
    #[error("{0} stands for a subgraph that is not in the file")]
    NoDefinition(NodeName),
    /// A subgraph that contains itself.
    #[error("the subgraph \"{0}\" contains itself")]
    EndlessSubgraph(String),
    /// Subgraphs in subgraphs that make up more nodes than anybody draws.
    #[error("the subgraphs make up more than {0} nodes")]
    TooManyNodes(usize),
    /// An input names a link that is not there, or that begins nowhere.
    #[error("input \"{input}\" of {node} hangs on link {link}, which {missing}")]
    BrokenLink {
        /// The node.
        node: NodeName,
        /// Its input.
        input: Box<str>,
        /// The link's id.
        link: Box<str>,
        /// What is missing.
        missing: &'static str,
    },
    /// Links that lead round in a circle of nodes that don't run.
    #[error("the links behind input \"{input}\" of {node} lead round in a circle")]
    EndlessLink {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
    },
    /// A `GetNode` without the `SetNode` of its name.
    #[error("{node} gets \"{name}\", which no SetNode sets")]
    NothingSet {
        /// The node.
        node: NodeName,
        /// What it asks for.
        name: String,
    },
    /// Values that were saved for other widgets than the classes have.
    #[error("values were saved for other widgets than there are, at {}", shifted(.0))]
    OtherWidgets(Vec<Shifted>),
    /// A link from an output that the class does not have.
    #[error("{0}")]
    NoOutput(Box<MissingOutput>),
    /// A file name that is no text.
    #[error("filename_prefix of {node} is {found}, it has to be a text")]
    Prefix {
        /// The node.
        node: NodeName,
        /// What stands there.
        found: &'static str,
    },
}

fn shifted(nodes: &[Shifted]) -> String {
    let (first, rest) = nodes.split_at(nodes.len().min(1));
    let first = first.first().map_or_else(String::new, Shifted::to_string);
    if rest.is_empty() {
        return first;
    }
    let rest: Vec<NodeName> = rest.iter().map(|shifted| shifted.node.clone()).collect();
    format!("{first}; and so it is with {}", named(&rest))
}

fn named(nodes: &[NodeName]) -> String {
    let shown: Vec<String> = nodes.iter().take(NAMED).map(ToString::to_string).collect();
    let more = nodes.len().saturating_sub(NAMED);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{rest}", shown.join(", "))
}

impl UiError {
    /// Whether [`Options::as_is`](super::Options::as_is) gives a prompt nevertheless.
    #[must_use]
    pub fn is_avoidable(&self) -> bool {
        matches!(self, Self::OtherWidgets(_) | Self::NoOutput(_))
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotUi => "pass a file that ComfyUI's Workflow > Save wrote",
            Self::Malformed { .. } => "the file is damaged: save it in ComfyUI again",
            Self::UnknownClass { .. } => {
                "install the node packs that have them, or convert with the node facts of the \
                 server on which the graph runs"
            }
            Self::Gone { .. } => "replace the node in ComfyUI and save the graph again",
            Self::GroupNode(_) => {
                "in ComfyUI, convert it to nodes or to a subgraph and save the graph again"
            }
            Self::NoDefinition(_) | Self::EndlessSubgraph(_) => {
                "open the graph in ComfyUI, remove that node and save the graph again"
            }
            Self::TooManyNodes(_) => "take the graph apart into several",
            Self::BrokenLink { .. } => {
                "open the graph in ComfyUI, connect the input anew and save the graph again"
            }
            Self::EndlessLink { .. } => "in ComfyUI, take one of the nodes out of the circle",
            Self::NothingSet { .. } => "add the SetNode in the same graph or one around it",
            Self::OtherWidgets(_) => {
                "convert with the node facts of the server that it was saved on, or enter the values \
                 of these nodes anew in ComfyUI and save the graph again"
            }
            Self::NoOutput(_) => {
                "the class was changed or the graph damaged: open the graph in ComfyUI, connect the \
                 input anew and save the graph again"
            }
            Self::Prefix { .. } => "write a file name into it in ComfyUI",
        }
    }
}

impl From<UiError> for Failure {
    fn from(error: UiError) -> Self {
        Self::new(Code::VALIDATION_ERROR, error.to_string()).hint(error.advice())
    }
}
