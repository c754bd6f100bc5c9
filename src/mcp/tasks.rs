//! Runs as the tasks of the protocol's extension `io.modelcontextprotocol/tasks`.

use std::sync::Arc;

use rmcp::model::{
    CallToolResult, CreateTaskResult, DetailedTask, ErrorCode, JsonObject, ServerNotification,
    Task, TaskPayload, TaskStatus, TaskStatusNotification, TaskStatusNotificationParams,
};
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::{Map, Value, json};

use super::content;
use crate::app::{App, Found};
use crate::failure::Failure;
use crate::script::runs::{Record, Run, RunError, Status};
use crate::script::{Caller, ScriptError};

/// How often a client may ask where a task stands.
const POLL_MS: u64 = 1000;

/// Starts a tool as a task, written down before its client hears of it.
pub(super) async fn create(
    app: &App,
    tool: Found,
    arguments: Map<String, Value>,
    session: Option<Arc<str>>,
) -> Result<(CreateTaskResult, Run), ScriptError> {
    let caller = Caller {
        session,
        ..Caller::default()
    };
    let run = app.start_run(tool, arguments, caller)?;
    match run.keep().await {
        Ok(record) => Ok((CreateTaskResult::new(task(app, &record)), run)),
        Err(error) => {
            run.cancel();
            Err(ScriptError::Ran(error.into()))
        }
    }
}

/// Where a task stands, with what came of it.
pub(super) async fn get(app: &App, task_id: &str) -> Result<DetailedTask, ErrorData> {
    let record = app.run_record(task_id).await.map_err(refusal)?;
    detailed(app, &record)
}

/// Ends a task and its jobs.
pub(super) async fn cancel(app: &App, task_id: &str) -> Result<(), ErrorData> {
    app.cancel_run(task_id).await.map_err(refusal)?;
    Ok(())
}

/// Tells a client when a task is over.
pub(super) async fn tell_end(app: &App, run: Run, peer: Peer<RoleServer>) {
    // What came of it is in the record.
    let _ = run.ended().await;
    let Ok(detailed) = detailed(app, &run.record()) else {
        return;
    };
    let params = TaskStatusNotificationParams::new(detailed);
    let notification = TaskStatusNotification::new(params);
    // The client may have gone.
    let _ = peer
        .send_notification(ServerNotification::TaskStatusNotification(notification))
        .await;
}

fn detailed(app: &App, record: &Record) -> Result<DetailedTask, ErrorData> {
    let payload = match record.result() {
        None => TaskPayload::Working,
        Some(_) if record.status == Status::Cancelled => TaskPayload::Cancelled,
        Some(result) => TaskPayload::Completed {
            result: answer(result.map(content::answer))?,
        },
    };
    Ok(DetailedTask::new(task(app, record), payload))
}

/// The answer that the call would have had. A tool that failed has answered, too.
fn answer(result: Result<CallToolResult, Failure>) -> Result<JsonObject, ErrorData> {
    let result =
        result.unwrap_or_else(|failure| CallToolResult::structured_error(failure.to_json()));
    match serde_json::to_value(result) {
        Ok(Value::Object(answer)) => Ok(answer),
        other => Err(ErrorData::internal_error(
            format!("an answer that is no object: {other:?}"),
            None,
        )),
    }
}

fn task(app: &App, record: &Record) -> Task {
    let status = match record.status {
        Status::Working => TaskStatus::Working,
        Status::Completed | Status::Failed => TaskStatus::Completed,
        Status::Cancelled => TaskStatus::Cancelled,
    };
    let mut task = Task::new(
        record.run_id.clone(),
        status,
        record.created_at.to_string(),
        record.updated_at.to_string(),
    );
    task.status_message = record.progress.as_ref().map(|at| at.message.clone());
    let ttl = app.host().runs.ttl().as_millis();
    task.ttl_ms = Some(u64::try_from(ttl).unwrap_or(u64::MAX));
    task.poll_interval_ms = Some(POLL_MS);
    task
}

fn refusal(error: RunError) -> ErrorData {
    let code = match error {
        RunError::Unknown(_) => ErrorCode::INVALID_PARAMS,
        _ => ErrorCode::INTERNAL_ERROR,
    };
    let message = error.to_string();
    let hint = Failure::from(error)
        .hint
        .map(|hint| json!({ "hint": hint }));
    ErrorData::new(code, message, hint)
}
