//! A script that went past a limit.

use rhai::{Engine, EvalAltResult};

use super::{Known, hint, message};
use crate::failure::Failure;
use crate::script::Limit;
use crate::script::limits::Passed;

/// The limit that an error says was passed, if it says that.
pub(super) fn passed(error: &EvalAltResult, engine: &Engine) -> Option<Passed> {
    let size = |limit, size: usize| Passed::counted(limit, u64::try_from(size).unwrap_or(u64::MAX));
    Some(match error {
        EvalAltResult::ErrorTerminated(token, _) => return token.clone().try_cast(),
        EvalAltResult::ErrorTooManyOperations(_) => {
            Passed::counted(Limit::Operations, engine.max_operations())
        }
        EvalAltResult::ErrorStackOverflow(_) => size(Limit::CallLevels, engine.max_call_levels()),
        EvalAltResult::ErrorTooManyVariables(_) => size(Limit::Variables, engine.max_variables()),
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("string") => {
            size(Limit::StringSize, engine.max_string_size())
        }
        EvalAltResult::ErrorDataTooLarge(what, _) if what.contains("map") => {
            size(Limit::MapSize, engine.max_map_size())
        }
        EvalAltResult::ErrorDataTooLarge(..) => size(Limit::ArraySize, engine.max_array_size()),
        _ => return None,
    })
}

/// What it amounts to, with what to look for before the limit is raised.
pub(super) fn limit_failure(passed: Passed) -> Failure {
    let failure = passed.failure();
    let raise = failure.hint.clone().unwrap_or_default();
    match advice(passed.limit) {
        Some(advice) => failure.hint(format!("{advice}; or {raise}")),
        None => failure,
    }
}

/// What an error amounts to that a script makes while it is read, with what to do about it. The limits
/// that hold there are not the user's to raise.
pub(in crate::script) fn read(error: &EvalAltResult, known: &Known) -> (String, Option<String>) {
    if let EvalAltResult::ErrorTerminated(token, _) = error
        && let Some(passed) = token.clone().try_cast::<Passed>()
    {
        let message = format!("{} while it is read", passed.failure().message);
        return (message, advice(passed.limit).map(str::to_owned));
    }
    (message(error, Some(known)), hint(error, known))
}

fn advice(limit: Limit) -> Option<&'static str> {
    Some(match limit {
        Limit::Operations | Limit::Seconds => "see that every loop comes to its end",
        Limit::CallLevels => {
            "a function that calls itself needs a case in which it does not: if n == 0 { return 1; }"
        }
        Limit::Nesting => {
            "a script that runs itself, or one that runs it, needs a case in which it does not"
        }
        Limit::Variables => "keep many values in an array or a map",
        Limit::StringSize | Limit::ArraySize | Limit::MapSize | Limit::Memory => {
            "see whether a loop adds to a value without an end"
        }
        Limit::Jobs | Limit::Written => return None,
    })
}
