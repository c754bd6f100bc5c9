//! What the server's own validator says to a prompt, without asking the server.
//!
//! Followed to the letter, down to Python's conversions and the words of the messages, because
//! a check that is stricter or milder than the server is worth little: what passes here is
//! queued there, and what is refused here is refused there with the same words.

mod apart;
mod expand;
mod inputs;
mod node;
mod own;
mod prompt;
mod python;
mod replace;
mod rules;
mod survey;
mod types;
mod verdict;
mod walk;

pub use expand::{Declared, Expanded, expand};
pub use own::{Answer, Arguments, CoreValidation, INPUT_TYPES, OwnValidation, Parameters};
pub use prompt::Validator;
pub use python::{Exception, equal};
pub use replace::replace_old_classes;
pub use rules::Rules;
pub use types::fits;
pub use verdict::{Dependents, NodeErrors, Outcome, ServerError, Verdict};
pub use walk::DEEPEST;
