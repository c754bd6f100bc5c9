//! Why a picture was not judged.

use crate::failure::{Code, Failure};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VisionError {
    /// Nobody to ask.
    #[error("there is no vision model to ask")]
    NotConfigured,
    /// It can't be reached.
    #[error("the vision model at {url} can't be reached: {reason}")]
    Away {
        /// Where.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It does not want to.
    #[error("the vision model at {url} refused with status {status}: {said}")]
    Refused {
        /// Where.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// What it said.
        said: String,
    },
    /// What it said is no answer.
    #[error("the vision model's answer can't be read: {reason}")]
    Unreadable {
        /// Why not.
        reason: String,
    },
    /// It took too long.
    #[error("the vision model at {url} did not answer within {seconds} seconds")]
    TimedOut {
        /// Where.
        url: String,
        /// The limit.
        seconds: f64,
    },
}

impl From<VisionError> for Failure {
    fn from(error: VisionError) -> Self {
        let (code, hint) = match &error {
            VisionError::NotConfigured => (
                Code::custom("VISION_NOT_CONFIGURED"),
                "set url and model under [vision] in config.toml, or MMF_VISION_URL and \
                 MMF_VISION_MODEL",
            ),
            VisionError::Away { .. } => (
                Code::CONNECTION_ERROR,
                "start it, or set another url under [vision]",
            ),
            VisionError::Refused { .. } => (
                Code::custom("VISION_REFUSED"),
                "look whether url, model and key under [vision] are right, and whether the model takes \
                 pictures",
            ),
            VisionError::Unreadable { .. } => (
                Code::custom("VISION_UNREADABLE"),
                "ask again, more simply, or set another model under [vision]",
            ),
            VisionError::TimedOut { .. } => (
                Code::TIMEOUT,
                "set more seconds under [vision], or a smaller model",
            ),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}
