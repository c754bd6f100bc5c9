use std::path::PathBuf;

use crate::failure::{Code, Failure};
use crate::store::StoreError;

/// Why a run can't be told of.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is none, or its time is over.
    #[error("no run \"{0}\", or its result's time is over")]
    Unknown(String),
    /// It goes on in a process that lives, or is over.
    #[error("{0} was not interrupted: it goes on in another process, or is over")]
    GoesOn(String),
    /// It belongs to another server or project.
    #[error("{run_id} was begun for ComfyUI at {server} in {}", project.display())]
    Elsewhere {
        /// The run.
        run_id: String,
        /// The address of the server.
        server: String,
        /// The project's folder.
        project: PathBuf,
    },
    /// Its script is another by now.
    #[error("{run_id} was interrupted, and {script} is another script by now")]
    Changed {
        /// The run.
        run_id: String,
        /// The script.
        script: String,
    },
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
            RunError::GoesOn(_) => Self::new(Code::NOT_ALLOWED, message)
                .hint("mmf jobs lists the runs that were interrupted"),
            RunError::Elsewhere { .. } => Self::new(Code::NOT_ALLOWED, message)
                .hint("go on with it in that folder and with that COMFYUI_URL"),
            RunError::Changed { ref run_id, .. } => {
                Self::new(Code::JOB_LOST, message).hint(format!(
                    "mmf run --resume {run_id} --anew begins it again from nothing, with the same \
                 parameters"
                ))
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
