//! Doing things beside each other, and doing them again:
//!
//! ```rhai
//! let [hills, sea] = parallel([|| paint("hills"), || paint("the sea")]);
//! let clip = retry(#{ times: 2, codes: ["OUT_OF_MEMORY"] }, || comfy::run(workflow));
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{Array, FnPtr, GlobalRuntimeState, Position, exported_module};
use serde_json::{Map, Value};

use super::{SharedModule, indexed};
use crate::failure::{Code, Failure};
use crate::script::arguments::{did_you_mean, nearest};
use crate::script::budget::Budget;
use crate::script::explain::{self, failure_of, type_word};
use crate::script::host::{Context, caught, thrown};
use crate::script::run::engine_beside;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// How deep `parallel` may stand within `parallel`: each of those above waits on a thread.
const DEEP: usize = 4;

/// What `retry` takes as its policy.
const POLICY: [&str; 3] = ["times", "wait", "codes"];

/// The failures after which trying again may help by itself.
const PASSING: [Code; 3] = [Code::CONNECTION_ERROR, Code::JOB_LOST, Code::TIMEOUT];

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    use crate::script::value::from_map;

    /// Calls functions without parameters beside each other and gives what they return, in their
    /// order. All go on to their end; then the first failure, if there is one, is thrown. A run does
    /// 16 things beside each other at most, those of `parallel` within `parallel` included, which may
    /// be four deep; further ones wait for their turn.
    /// Throws the first failure of the functions, when all are over; `INVALID_PARAMS` for what is
    /// no function.
    /// Example: `parallel([|| comfy::run(g), || comfy::run(other)])`
    #[rhai_fn(return_raw)]
    pub fn parallel(call: NativeCallContext, functions: Array) -> Fallible<Array> {
        super::parallel(&call, functions)
    }

    /// Calls a function without parameters, and again when it fails: `#{ times: 3, wait: 2.0, codes:
    /// ["OUT_OF_MEMORY"] }`. Without codes it is what may pass by itself: `CONNECTION_ERROR`,
    /// `JOB_LOST`, `TIMEOUT`.
    /// Throws what the function threw last; `INVALID_PARAMS` for a policy that is not understood.
    /// Example: `retry(#{ times: 3, wait: 2.0, codes: ["OUT_OF_MEMORY"] }, || comfy::run(g))`
    #[rhai_fn(return_raw)]
    pub fn retry(
        call: NativeCallContext,
        policy: rhai::Map,
        function: rhai::FnPtr,
    ) -> Fallible<Dynamic> {
        let policy = from_map(&policy).map_err(|error| error.to_string())?;
        let policy = super::Policy::read(&policy).map_err(thrown)?;
        super::retry(&call, &policy, &function)
    }
}

fn parallel(call: &NativeCallContext, functions: Array) -> Fallible<Array> {
    let context = Context::of(call);
    let functions = functions
        .into_iter()
        .map(|function| {
            let is = function.type_name();
            function.try_cast::<FnPtr>().ok_or_else(|| {
                let is = type_word(is);
                let message = format!("parallel takes an array of functions, and one item is {is}");
                let failure = Failure::new(Code::INVALID_PARAMS, message);
                thrown(failure.hint("write || before what is to be done"))
            })
        })
        .collect::<Fallible<Vec<FnPtr>>>()?;
    if context.beside >= DEEP {
        let message = format!("parallel stands within parallel more than {DEEP} deep");
        return Err(thrown(Failure::new(Code::LIMIT_EXCEEDED, message)));
    }
    let mut work: VecDeque<_> = functions
        .iter()
        .zip(context.branches(functions.len()))
        .collect();
    let mut results = Vec::with_capacity(functions.len());
    while !work.is_empty() {
        let taken = context.places.take(work.len());
        // Who waits here makes room for one.
        let group = work.drain(..taken.count.max(1)).collect();
        results.extend(beside(call.global_runtime_state(), group, &context.budget));
    }
    results.into_iter().collect()
}

/// Each on a thread and an engine of its own, with what stands around the call: the functions,
/// constants and imports of its script.
fn beside(
    around: &GlobalRuntimeState,
    work: Vec<(&FnPtr, Arc<Context>)>,
    budget: &Budget,
) -> Vec<Fallible<Dynamic>> {
    thread::scope(|scope| {
        let begun: Vec<_> = work
            .into_iter()
            .map(|(function, context)| {
                let mut around = around.clone();
                around.tag = Dynamic::from(context.clone());
                let work = move || {
                    let budget = context.budget.clone();
                    budget.begin();
                    let engine = engine_beside(&context);
                    let name = function.fn_name();
                    let call = (&engine, name, None, &around, Position::NONE).into();
                    let result = function.call_raw(&call, None, []);
                    // What was made for the branch is given back on the account, too.
                    drop((engine, around, context));
                    budget.settle();
                    result
                };
                let builder = thread::Builder::new().stack_size(budget.limits().stack());
                builder.spawn_scoped(scope, work)
            })
            .collect();
        let joining = begun.into_iter().map(|begun| match begun {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| Err("an internal error stopped a branch".into())),
            Err(error) => Err(format!("no thread for a branch: {error}").into()),
        });
        // The time of those that wait for others is not counted twice.
        budget.pause(|| joining.collect())
    })
}

/// When something is done again.
struct Policy {
    times: u64,
    wait: Duration,
    codes: Vec<String>,
    /// The script says which failures it means.
    says_which: bool,
}

impl Policy {
    fn read(policy: &Map<String, Value>) -> Result<Self, Failure> {
        let refuse = |message: String| Failure::new(Code::INVALID_PARAMS, message);
        if let Some(unknown) = policy.keys().find(|key| !POLICY.contains(&key.as_str())) {
            let suggestion = did_you_mean(nearest(unknown, POLICY.into_iter()).as_deref());
            let message = format!("retry has no option \"{unknown}\"{suggestion}");
            return Err(refuse(message).hint(format!("it may have {}", POLICY.join(", "))));
        }
        let times = policy.get("times").map_or(Some(2), Value::as_u64);
        let times = times.filter(|times| (1..=100).contains(times));
        let wait = policy.get("wait").map_or(Some(0.0), Value::as_f64);
        let wait = wait.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let codes = match policy.get("codes") {
            None => Some(PASSING.map(|code| code.as_str().to_owned()).to_vec()),
            Some(codes) => serde_json::from_value(codes.clone()).ok(),
        };
        Ok(Self {
            times: times.ok_or_else(|| refuse("times is a whole number from 1 to 100".into()))?,
            wait: wait.ok_or_else(|| refuse("wait is a number of seconds".into()))?,
            codes: codes.ok_or_else(|| refuse("codes is a list of error codes".into()))?,
            says_which: policy.contains_key("codes"),
        })
    }

    fn covers(&self, error: &EvalAltResult) -> bool {
        let EvalAltResult::ErrorRuntime(value, _) = innermost(error) else {
            return false;
        };
        caught(value).is_some_and(|failure| {
            // What somebody pays for is not done twice unless that is said.
            let is_free = !failure.details.contains_key("partner_node");
            let mut codes = self.codes.iter();
            (self.says_which || is_free) && codes.any(|code| *failure.code.as_str() == **code)
        })
    }
}

/// What went wrong within the functions that were called.
fn innermost(error: &EvalAltResult) -> &EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => innermost(inner),
        other => other,
    }
}

fn retry(call: &NativeCallContext, policy: &Policy, function: &FnPtr) -> Fallible<Dynamic> {
    let context = Context::of(call);
    let mut left = policy.times;
    loop {
        left -= 1;
        match function.call_within_context::<Dynamic>(call, ()) {
            Err(error) if left > 0 && policy.covers(&error) => {
                let failure = failure_of(explain::innermost(&error).error);
                tracing::warn!(target: "script", "tried again: {failure}");
                context.wait(async {
                    tokio::time::sleep(policy.wait).await;
                    Ok::<(), Failure>(())
                })?;
            }
            result => return result,
        }
    }
}
