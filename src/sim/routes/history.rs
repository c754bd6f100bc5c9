//! What became of the prompts.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde_json::{Map, Value as Json};

use super::super::world::World;
use super::queue::{ids, truthy};
use super::reply::{self, Refusal};

pub(super) async fn list(
    State(world): State<Arc<World>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let number = |name: &str| {
        query
            .get(name)
            .map(|text| text.trim().parse::<i64>())
            .transpose()
    };
    // int() of what is no number is an exception.
    let (Ok(max_items), Ok(offset)) = (number("max_items"), number("offset")) else {
        return reply::trouble();
    };
    let offset = offset.filter(|_| world.release.has_history_offset());
    let entries = world.queue.history(max_items, offset.unwrap_or(-1));
    let entries: Map<String, Json> = entries
        .into_iter()
        .map(|(id, entry)| (id, (*entry).clone()))
        .collect();
    reply::json(&entries)
}

/// `{id: entry}`, or `{}` for a prompt that is not done or not known.
pub(super) async fn one(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let entry = world.queue.history_entry(&id);
    let entries: Map<String, Json> = entry
        .into_iter()
        .map(|entry| (id.clone(), (*entry).clone()))
        .collect();
    reply::json(&entries)
}

/// `{"clear": true}` or `{"delete": [ids]}`.
pub(super) async fn post(
    State(world): State<Arc<World>>,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let body = reply::body(&bytes)?;
    if truthy(&body["clear"]) {
        world.queue.clear_history();
    }
    for id in ids(&body["delete"]) {
        world.queue.delete_history(id);
    }
    Ok(reply::empty())
}
