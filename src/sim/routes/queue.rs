//! What waits and runs, and how it is stopped.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::super::queue::Item;
use super::super::world::World;
use super::reply::{self, Refusal};

pub(super) async fn info(State(world): State<Arc<World>>) -> Response {
    reply::json(&world.queue.info())
}

pub(super) async fn get(State(world): State<Arc<World>>) -> Response {
    let (running, pending) = world.queue.items();
    let items = |items: Vec<Arc<Item>>| items.iter().map(|item| item.to_json()).collect::<Json>();
    reply::json(&json!({ "queue_running": items(running), "queue_pending": items(pending) }))
}

/// `{"clear": true}` or `{"delete": [ids]}`; touches only what waits.
pub(super) async fn post(
    State(world): State<Arc<World>>,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let body = reply::body(&bytes)?;
    if truthy(&body["clear"]) {
        world.queue.clear();
    }
    for id in ids(&body["delete"]) {
        world.queue.delete(id);
    }
    Ok(reply::empty())
}

/// With a `prompt_id` (0.3.57) only if that prompt runs; a body that says nothing interrupts what runs.
pub(super) async fn interrupt(State(world): State<Arc<World>>, bytes: Bytes) -> Response {
    let body = reply::body(&bytes).unwrap_or_default();
    let id = body["prompt_id"].as_str().filter(|id| !id.is_empty());
    match id.filter(|_| world.release.has_targeted_interrupt()) {
        Some(id) => {
            world.queue.interrupt_if_running(id, &world.interrupt);
        }
        None => world.interrupt.raise(),
    }
    reply::empty()
}

/// Answers at once; the worker frees when it has nothing to execute.
pub(super) async fn free(
    State(world): State<Arc<World>>,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let body = reply::body(&bytes)?;
    if truthy(&body["free_memory"]) {
        world.queue.ask_free();
    }
    Ok(reply::empty())
}

/// What Python takes for true.
pub(super) fn truthy(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(flag) => *flag,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(entries) => !entries.is_empty(),
        Json::Object(entries) => !entries.is_empty(),
    }
}

pub(super) fn ids(value: &Json) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}
