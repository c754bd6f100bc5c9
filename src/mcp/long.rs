//! Tools that take longer than clients wait.
//!
//! A client that knows tasks is given one at once. Any other is waited for as long as its patience
//! goes, and then given a handle with which it goes on.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::service::RequestContext;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::app::{App, Found};
use crate::failure::Failure;
use crate::script::runs::{Run, is_run};
use crate::script::{Caller, Reply, ScriptError};

/// Whether a call runs detached from its caller. One that is about such a run has a handle already.
pub(super) fn is_long(tool: &Found, arguments: Option<&Map<String, Value>>) -> bool {
    let meta = &tool.served.script.declaration.meta;
    let named = arguments.and_then(|arguments| arguments.get("prompt_id")?.as_str());
    meta.get("long") == Some(&Value::Bool(true)) && !named.is_some_and(is_run)
}

/// Whether a tool may ask whoever called it (`asks: true`). A task can't, so a client that answers
/// is given none.
pub(super) fn asks(tool: &Found) -> bool {
    tool.served.script.declaration.meta.get("asks") == Some(&Value::Bool(true))
}

/// Whether a client can be given a task instead of an answer.
pub(super) fn knows_tasks(context: &RequestContext<RoleServer>) -> bool {
    context
        .client_capabilities()
        .is_some_and(|client| client.supports_tasks())
}

/// When a caller wants to have an answer, or a handle.
pub(super) fn patience(limit: Option<Duration>) -> Option<Instant> {
    limit.map(|limit| Instant::now() + limit)
}

/// The tool's answer, or the handle to go on with.
pub(super) async fn call(
    app: &App,
    tool: Found,
    arguments: Map<String, Value>,
    caller: Caller,
) -> Result<Reply, ScriptError> {
    let patience = caller.patience;
    let progress = caller.progress.clone();
    let run = app.start_run(tool, arguments, caller)?;
    let ended = run.ended_with(&*progress);
    let ended = match patience {
        Some(patience) => tokio::time::timeout_at(patience, ended).await.ok(),
        None => Some(ended.await),
    };
    match ended {
        Some(result) => {
            app.discard_run(&run).await;
            result.map_err(ScriptError::Ran)
        }
        None => answer_or_handle(&run).await.map_err(ScriptError::Ran),
    }
}

/// It may have ended in the moment in which patience did.
async fn answer_or_handle(run: &Run) -> Result<Reply, Failure> {
    let record = run.keep().await?;
    record
        .result()
        .unwrap_or_else(|| Ok(record.handle().into()))
}
