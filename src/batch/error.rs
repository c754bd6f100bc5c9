//! What can be wrong with a batch before anything is queued.

use crate::comfy::anatomy::ChangeError;
use crate::failure::{Code, Failure};

/// Why a batch can't be run, or a workflow not be filled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// More runs than anybody means to ask for.
    #[error("these are {asked} runs, at most {most} are queued at once")]
    TooMany {
        /// How many were asked for.
        asked: usize,
        /// How many are allowed.
        most: usize,
    },
    /// Nothing to run.
    #[error("there are no sets of parameters: give at least one, {{}} for the workflow as it is")]
    NoRuns,
    /// A sweep over nothing.
    #[error("there is nothing to sweep: give at least one parameter with its values")]
    NothingSwept,
    /// A swept parameter without values.
    #[error("\"{0}\" has no values to try: give a list of at least one")]
    NoValues(String),
    /// A swept parameter with a value twice, whose results would be one.
    #[error("\"{name}\" has the value {value} twice")]
    Twice {
        /// The parameter.
        name: String,
        /// The value.
        value: String,
    },
    /// Placeholders without a value.
    #[error("the workflow has placeholders without a value: {}", .0.join(", "))]
    Unfilled(Vec<String>),
    /// Parameters that the workflow has no place for, or that don't go there.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        let message = error.to_string();
        match error {
            BatchError::TooMany { .. } => Self::new(Code::LIMIT_EXCEEDED, message)
                .hint("try fewer values at a time, the coarse ones first"),
            BatchError::NoRuns | BatchError::NothingSwept => {
                Self::new(Code::INVALID_PARAMS, message)
            }
            BatchError::NoValues(name) => {
                Self::new(Code::INVALID_PARAMS, message).detail("fields", vec![name])
            }
            BatchError::Twice { name, .. } => Self::new(Code::INVALID_PARAMS, message)
                .hint("give each value once; the same twice is execute_batch_workflows")
                .detail("fields", vec![name]),
            BatchError::Unfilled(names) => Self::new(Code::INVALID_PARAMS, message)
                .hint("give each placeholder a value in the parameters")
                .detail("fields", names),
            BatchError::Change(error) => error.into(),
        }
    }
}
