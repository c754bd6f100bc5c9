//! What can't be said of a model.

use std::path::PathBuf;

use crate::failure::{Code, Failure};

/// Why there is no answer about models.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnowledgeError {
    /// A file of facts is there and makes no sense.
    #[error("{}{}: {reason}", .path.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
    File {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// Not one of the categories.
    #[error("no category \"{0}\"")]
    NoCategory(String),
    /// Nothing is known of a task of that name.
    #[error("no task \"{name}\"")]
    NoTask {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing is known of that model.
    #[error("nothing is known of a model \"{name}\"")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// Models with words in common.
        alike: Vec<String>,
    },
    /// A distilled version, to which the settings of the whole model do not apply.
    #[error("\"{name}\" is a {variant} version of {model}, whose settings do not apply to it")]
    Variant {
        /// What was asked for.
        name: String,
        /// The model.
        model: String,
        /// The word that says so.
        variant: String,
    },
    /// A model that runs elsewhere.
    #[error("{name} runs elsewhere: it has no sampler of its own here")]
    Elsewhere {
        /// The model.
        name: String,
        /// Where that is from.
        known_from: String,
    },
}

impl From<KnowledgeError> for Failure {
    fn from(error: KnowledgeError) -> Self {
        let message = error.to_string();
        match error {
            KnowledgeError::File { .. } => Self::new(Code::INVALID_PARAMS, message)
                .hint("correct the file, or move it away to go on with the built-in facts"),
            KnowledgeError::NoCategory(_) => Self::new(Code::NOT_FOUND, message)
                .detail("available_categories", super::CATEGORIES.to_vec()),
            KnowledgeError::NoTask { known, .. } => Self::new(Code::NOT_FOUND, message)
                .hint("take the nearest of available_tasks")
                .detail("available_tasks", known),
            KnowledgeError::UnknownModel { alike, .. } => Self::new(Code::NOT_FOUND, message)
                .hint("get_sota_models names the models that are known; settings of others are on their model card")
                .detail("alike", alike),
            KnowledgeError::Variant { variant, .. } => Self::new(Code::NOT_FOUND, message)
                .hint(format!("look on its model card; {variant} versions usually take few steps and cfg 1")),
            KnowledgeError::Elsewhere { known_from, .. } => Self::new(Code::NOT_FOUND, message)
                .hint("search_nodes finds its node, whose inputs are all its settings")
                .detail("source", known_from),
        }
    }
}
