//! Why a workflow could not be changed as it was asked.

use serde_json::{Value, json};

use crate::failure::{Code, Failure};

/// One change that was asked for and can't be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Nothing of that name.
    #[error("\"{name}\" has nowhere to go{}", because(.reason.as_deref()))]
    NoPlace {
        /// What was to be set.
        name: String,
        /// What stands in the way, if anything does.
        reason: Option<String>,
    },
    /// Several that differ.
    #[error("\"{name}\" stands in several nodes with different values: {}", .places.join(", "))]
    Ambiguous {
        /// What was to be set.
        name: String,
        /// `node_id.input = value`, each.
        places: Vec<String>,
    },
    /// The value does not go there.
    #[error("\"{name}\" is {received}, {place} takes {allowed}")]
    Value {
        /// What was to be set.
        name: String,
        /// The value, shortened.
        received: String,
        /// `node_id.input (class)`
        place: String,
        /// What is possible there.
        allowed: String,
    },
    /// A random value where there is no chance.
    #[error("\"{0}\" can't be drawn here: a pure script gives the same for the same parameters")]
    NoChance(String),
}

impl Misfit {
    /// What was to be set.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NoPlace { name, .. }
            | Self::Ambiguous { name, .. }
            | Self::Value { name, .. }
            | Self::NoChance(name) => name,
        }
    }
}

fn because(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

/// All changes that can't be made; none was made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", .misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ChangeError {
    /// What is wrong, in the order in which it was asked.
    pub misfits: Vec<Misfit>,
    /// What the workflow has: `seed (3.seed)`.
    pub has: Vec<String>,
    /// What it has and is now, by name.
    pub settings: Value,
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let names: Vec<&str> = error.misfits.iter().map(Misfit::name).collect();
        let hint = if error.has.is_empty() {
            "name an input as node_id.input".to_owned()
        } else {
            format!(
                "the workflow has {}; any other input goes by node_id.input",
                error.has.join(", ")
            )
        };
        Self::new(Code::INVALID_PARAMS, error.to_string())
            .hint(hint)
            .detail("fields", json!(names))
            .detail("settings", error.settings)
    }
}
