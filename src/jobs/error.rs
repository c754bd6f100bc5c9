//! Why a job could not be submitted, waited for or kept.

use crate::assets::AssetError;
use crate::comfy::ComfyError;
use crate::failure::Failure;

/// Why a job could not be submitted, waited for or kept.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The server, or the way to it.
    #[error(transparent)]
    Comfy(#[from] ComfyError),
    /// The asset store.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The caller stopped the job.
    #[error("the job was cancelled")]
    Cancelled,
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Comfy(error) => error.into(),
            JobError::Asset(error) => error.into(),
            JobError::Cancelled => Self::new(crate::failure::Code::CANCELLED, error.to_string()),
        }
    }
}
