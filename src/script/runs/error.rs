use std::path::PathBuf;

use crate::failure::{Code, Failure};
use crate::store::StoreError;

/// Why a run can't be told of.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is none, or its time is over.
    #[error("no run \"{0}\", or its result's time is over")]
    Unknown(String),
    /// Its file can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its file says what can't be.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Its files were left in the middle of the work: the process ends.
    #[error("the files of the run were left: {0}")]
    Disk(std::io::Error),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let message = error.to_string();
        match error {
            RunError::Unknown(_) => {
                Self::new(Code::NOT_FOUND, message).hint("call list_assets to see what was made")
            }
            RunError::Store(error) => error.into(),
            RunError::Damaged { .. } => Self::new(Code::INTERNAL_ERROR, message).hint(
                "call it anew: what it has done so far is not known, and nothing is done twice; \
                 list_assets shows what it made",
            ),
            RunError::Disk(_) => Self::new(Code::INTERNAL_ERROR, message),
        }
    }
}
