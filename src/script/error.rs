//! Why a script could not run, or did not come to its end.

use crate::failure::{Code, Failure};

use super::arguments::did_you_mean;
use super::{Diagnostic, Kind};

/// Why a script could not run, or did not come to its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScriptError {
    /// There is no such script.
    #[error("no {kind} \"{name}\"{}{}", did_you_mean(.nearest.as_deref()), but_there_is(*.other))]
    Unknown {
        /// What was looked for: a kind of script, or "script" for any.
        kind: &'static str,
        /// The name.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// The kind of which there is a script of that name.
        other: Option<Kind>,
    },
    /// The script does not compile, and no earlier version of it did.
    #[error("{}", .0.one_line())]
    Broken(Box<Diagnostic>),
    /// What came of a run that was begun by this call or another.
    #[error("{0}")]
    Ran(Failure),
    /// The arguments do not fit the declaration.
    #[error("{0}")]
    Arguments(Failure),
    /// The script failed while it ran.
    #[error("{failure}")]
    Failed {
        /// What it threw, or what its mistake amounts to, with its place where that matters to who
        /// called it.
        failure: Failure,
        /// Where.
        at: Box<Diagnostic>,
    },
    /// The run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// A binding panicked: a defect of this program.
    #[error("an internal error stopped the script: {0}")]
    Panicked(String),
}

fn but_there_is(other: Option<Kind>) -> String {
    other.map_or_else(String::new, |kind| {
        format!(", but there is a {kind} of that name")
    })
}

impl ScriptError {
    /// The place in the script, where there is one.
    #[must_use]
    pub fn diagnostic(&self) -> Option<&Diagnostic> {
        match self {
            Self::Broken(diagnostic) => Some(diagnostic),
            Self::Failed { at, .. } => Some(at),
            _ => None,
        }
    }
}

impl From<ScriptError> for Failure {
    fn from(error: ScriptError) -> Self {
        let message = error.to_string();
        match error {
            ScriptError::Unknown { .. } => {
                Self::new(Code::NOT_FOUND, message).hint("list_scripts shows what there is")
            }
            ScriptError::Broken(diagnostic) => {
                let failure = Self::new(Code::SCRIPT_ERROR, diagnostic.message.as_str());
                let hint = diagnostic.hint.as_deref();
                let hint = hint.unwrap_or("mend the script; the change is taken up at once");
                diagnostic.tell(failure).hint(hint)
            }
            ScriptError::Arguments(failure)
            | ScriptError::Ran(failure)
            | ScriptError::Failed { failure, .. } => failure,
            ScriptError::Cancelled => Self::new(Code::CANCELLED, message),
            ScriptError::Panicked(_) => {
                Self::new(Code::INTERNAL_ERROR, message).hint("please report this")
            }
        }
    }
}
