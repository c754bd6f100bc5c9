//! Rhai's errors in our words: where the innermost one is, what it says, what to do about it.
//!
//! Rhai speaks of its own types and tokens, to programmers. Whoever writes a script is told what was
//! found, what would be right, and what to write.

mod chain;
mod culprit;
mod failed;
mod hints;
mod known;
mod limit;
mod parsing;
mod words;

pub(super) use chain::innermost;
pub(super) use failed::{explained, failure_of, wrong_result, wrong_result_of};
pub(super) use hints::{effect_hint, hint};
pub(super) use known::Known;
pub(super) use limit::read;
pub(super) use parsing::{is_effect, parse_hint, parse_message};
pub(super) use words::{lower_first, message, type_word};
