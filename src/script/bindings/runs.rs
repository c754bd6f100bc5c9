//! Runs that outlive the call that began them, where scripts name them in place of a job.

use std::time::Duration;

use rhai::plugin::{Dynamic, EvalAltResult};
use tokio::time::Instant;

use crate::script::host::{Context, answer, thrown};
use crate::script::reply::ReplyHandle;
use crate::script::runs::Waited;
use crate::script::value::to_dynamic;
use crate::script::{Reply, Runner};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

fn runner(context: &Context) -> Runner {
    Runner::new(context.host.clone())
}

/// What the run's tool answers, or the handle to go on with.
pub(super) fn wait(context: &Context, run_id: &str, limit: Duration) -> Fallible<Dynamic> {
    // A handle to wait for this one would be one too many.
    let limit = context.caller.patience.map_or(limit, |patience| {
        limit.min(patience.saturating_duration_since(Instant::now()))
    });
    let runner = runner(context);
    let runs = &context.host.runs;
    let report = |progress| context.report(progress);
    let waited = context.wait(runs.wait(&runner, run_id, limit, report));
    let session = context.caller.session.as_deref();
    if context.caller.cancel.is_cancelled() && runs.is_of(run_id, session) {
        // Whoever began it and gives up the waiting wants the run to end, as with a job.
        let cancelled = context.runtime.block_on(runs.cancel(&runner, run_id));
        if let Err(error) = cancelled {
            tracing::warn!("{run_id} could not be cancelled: {error}");
        }
    }
    match waited? {
        Waited::Over(Ok(reply)) => Ok(replied(reply)),
        Waited::Over(Err(failure)) => Err(thrown(failure)),
        Waited::Working(record) => answer(record.handle()),
    }
}

/// Where a run stands, without waiting.
pub(super) fn status(context: &Context, run_id: &str) -> Fallible<Dynamic> {
    let runner = runner(context);
    let record = context.wait(context.host.runs.record(&runner, run_id))?;
    let mut status = record.handle();
    match record.result() {
        Some(Err(failure)) => status["failure"] = failure.to_json(),
        Some(Ok(_)) => {
            let hint = format!("wait_for_completion with prompt_id \"{run_id}\" gives its result");
            status["hint"] = hint.into();
        }
        None => {}
    }
    answer(status)
}

/// Ends a run and its jobs: `interrupted`, or `already_over`.
pub(super) fn cancel(context: &Context, run_id: &str) -> Fallible<Dynamic> {
    let runner = runner(context);
    let went_on = context.wait(context.host.runs.cancel(&runner, run_id))?;
    let outcome = if went_on {
        "interrupted"
    } else {
        "already_over"
    };
    Ok(outcome.into())
}

fn replied(reply: Reply) -> Dynamic {
    if reply.content.is_empty() {
        to_dynamic(reply.value)
    } else {
        Dynamic::from(ReplyHandle::new(reply))
    }
}
