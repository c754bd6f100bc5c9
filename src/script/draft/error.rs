//! Why a workflow can't be written as a template.

use crate::failure::{Code, Failure};

/// Why there is no draft. Nothing is left out or guessed instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// No nodes at all.
    #[error("the workflow has no nodes")]
    Empty,
    /// A node without the name of a class.
    #[error("node {0} has no class_type")]
    NoClass(String),
    /// A node whose inputs are no inputs.
    #[error("the inputs of node {0} are no object")]
    NoInputs(String),
    /// Nodes that need each other, in the order of their links.
    #[error("the nodes {} need each other in a circle", .0.join(", "))]
    Cycle(Vec<String>),
    /// The template would build something else.
    #[error("the template would not give the workflow back: {0}")]
    Differs(String),
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Self {
        let hint = match &error {
            DraftError::Differs(_) => "this is a defect of the program, and nothing was written",
            _ => "mmf validate shows where in the file, and what else is wrong",
        };
        Self::new(Code::VALIDATION_ERROR, error.to_string()).hint(hint)
    }
}
