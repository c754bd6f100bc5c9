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
    /// A swept parameter that says what none can.
    #[error("\"{name}\" can't say \"{key}\"{}", offered(*.nearest))]
    UnknownSaying {
        /// The parameter.
        name: String,
        /// What it says.
        key: String,
        /// What it may mean.
        nearest: Option<&'static str>,
    },
    /// Numbers that can't be spread or drawn as it was asked.
    #[error("\"{name}\"{what}")]
    Spread {
        /// The parameter.
        name: String,
        /// What is wrong, as the end of a sentence.
        what: String,
    },
    /// Values for parameters that change together which are not one for each.
    #[error(
        "\"{key}\" are {names} parameters that change together, {value} is not a list of {names} values"
    )]
    NotInStep {
        /// The parameters.
        key: String,
        /// How many they are.
        names: usize,
        /// What stands in the place of their values.
        value: String,
    },
    /// A parameter that is swept once by itself and once with another.
    #[error("\"{0}\" is swept twice")]
    OnTwoAxes(String),
    /// Placeholders without a value.
    #[error("the workflow has placeholders without a value: {}", .0.join(", "))]
    Unfilled(Vec<String>),
    /// Parameters that the workflow has no place for, or that don't go there.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn offered(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(", did you mean \"{nearest}\"?")
    })
}

/// All ways to say what is swept.
const FORMS: &str = "a list of values, {\"from\": 2, \"to\": 6, \"count\": 5} or with a step, {\"random\": 4} for seeds, with from and to for other numbers; \"WIDTH,HEIGHT\": [[512, 768], [768, 512]] change together; an object as a value stands in a list";

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        let message = error.to_string();
        match error {
            BatchError::TooMany { .. } => Self::new(Code::LIMIT_EXCEEDED, message)
                .hint("try fewer values at a time, the coarse ones first"),
            BatchError::NoRuns | BatchError::NothingSwept => {
                Self::new(Code::INVALID_PARAMS, message)
            }
            BatchError::Twice { name, .. } => Self::new(Code::INVALID_PARAMS, message)
                .hint("give each value once; the same twice is execute_batch_workflows")
                .detail("fields", vec![name]),
            BatchError::UnknownSaying { name, .. }
            | BatchError::Spread { name, .. }
            | BatchError::NotInStep { key: name, .. } => Self::new(Code::INVALID_PARAMS, message)
                .hint(FORMS)
                .detail("fields", vec![name]),
            BatchError::NoValues(name) | BatchError::OnTwoAxes(name) => {
                Self::new(Code::INVALID_PARAMS, message).detail("fields", vec![name])
            }
            BatchError::Unfilled(names) => Self::new(Code::INVALID_PARAMS, message)
                .hint("give each placeholder a value in the parameters")
                .detail("fields", names),
            BatchError::Change(error) => error.into(),
        }
    }
}
