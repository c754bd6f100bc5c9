//! Why a job could not be submitted, waited for or kept.

use crate::assets::AssetError;
use crate::comfy::ComfyError;
use crate::failure::{Code, Failure};
use crate::store::StoreError;

/// Why a job could not be submitted, waited for or kept.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The server, or the way to it.
    #[error(transparent)]
    Comfy(#[from] ComfyError),
    /// The asset store.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The ledger: a job that can't be written down is not submitted.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// The user's own hook does not want it; it was not submitted.
    #[error("{0}")]
    Refused(Box<Failure>),
    /// The caller stopped the job.
    #[error("the job was cancelled")]
    Cancelled,
    /// The caller wanted the job to stop, and the server could not be told.
    #[error("{prompt_id} could not be cancelled and may still run: {reason}")]
    NotCancelled {
        /// The job.
        prompt_id: String,
        /// Why not.
        reason: String,
    },
    /// A defect of this program.
    #[error("an output could not be kept: {0}")]
    Broken(String),
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Comfy(error) => error.into(),
            JobError::Asset(error) => error.into(),
            JobError::Ledger(error) => error.into(),
            JobError::Refused(failure) => *failure,
            JobError::Cancelled => Self::new(Code::CANCELLED, error.to_string()),
            JobError::NotCancelled { ref prompt_id, .. } => {
                Self::new(Code::CONNECTION_ERROR, error.to_string())
                    .hint("cancel it again with cancel_job once ComfyUI answers")
                    .detail("prompt_id", prompt_id.as_str())
            }
            JobError::Broken(_) => Self::new(Code::INTERNAL_ERROR, error.to_string()),
        }
    }
}
