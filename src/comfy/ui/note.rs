//! What a person should know of a converted graph.

use std::fmt;

use super::error::NodeName;
use super::fit::Shifted;

/// Something that the prompt can't show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `{a|b}` in a text, of which the editor draws one for each prompt: here it is the first.
    FirstOfAlternatives {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
    },
    /// A value that the editor captures when a prompt is queued: a camera, a recording, a view.
    NotCaptured {
        /// The node.
        node: NodeName,
        /// Its input.
        input: String,
    },
    /// Values that were saved for other widgets, and that are in wrong places therefore.
    OtherVersion(Shifted),
    /// A link from an output that the class does not have.
    NoOutput(MissingOutput),
    /// A link to a widget that the class no longer has, which the editor leaves out.
    InputGone {
        /// The node.
        node: NodeName,
        /// The input.
        input: String,
    },
    /// More values than the class has widgets. They may have been for widgets of a node pack that
    /// no server declares, or for those of another version of the class.
    Surplus {
        /// The node.
        node: NodeName,
        /// How many values were left.
        values: usize,
    },
}

/// A link from an output that its node does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingOutput {
    /// The node that the link leads to.
    pub node: NodeName,
    /// Its input.
    pub input: String,
    /// The node that it begins at.
    pub from: NodeName,
    /// The output, counted from 0.
    pub slot: usize,
    /// How many outputs that node has.
    pub outputs: usize,
}

impl fmt::Display for MissingOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            input,
            from,
            slot,
            outputs,
        } = self;
        let has = match outputs {
            0 => "no outputs".to_owned(),
            1 => "output 0 only".to_owned(),
            more => format!("outputs 0 to {}", more - 1),
        };
        write!(
            f,
            "\"{input}\" of {node} hangs on output {slot} of {from}, whose class has {has}"
        )
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstOfAlternatives { node, input } => write!(
                f,
                "\"{input}\" of {node} has alternatives in braces, of which ComfyUI draws one for \
                 each run: this is the first"
            ),
            Self::NotCaptured { node, input } => write!(
                f,
                "\"{input}\" of {node} is captured by the browser when it is queued: this is what \
                 was saved"
            ),
            Self::OtherVersion(shifted) => {
                write!(
                    f,
                    "values stand where ComfyUI's editor puts them, though they were saved for other \
                     widgets, at {shifted}"
                )
            }
            Self::NoOutput(missing) => write!(
                f,
                "{missing}: ComfyUI refuses that unless a node pack adds outputs of its own"
            ),
            Self::InputGone { node, input } => write!(
                f,
                "the link to \"{input}\" of {node} is left out: the class has no such input"
            ),
            Self::Surplus { node, values } => write!(
                f,
                "{node} has {values} more {} than its class has widgets: compare with Workflow > \
                 Export (API)",
                if *values == 1 { "value" } else { "values" }
            ),
        }
    }
}
