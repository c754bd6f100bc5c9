//! What the node classes are.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::super::world::World;
use super::reply;

pub(super) async fn object_info(State(world): State<Arc<World>>) -> Response {
    let facts = world.catalog.facts_with_inputs(world.folders.input_files());
    reply::json(&facts)
}

/// `{class: info}`, or `{}` for an unknown class.
pub(super) async fn class_info(
    State(world): State<Arc<World>>,
    Path(class): Path<String>,
) -> Response {
    let facts = world.catalog.facts_with_inputs(world.folders.input_files());
    reply::json(&facts.class_object_info(&class))
}

/// Which old classes are renamed when a prompt comes in; the ones of 0.33 are applied before
/// validation and need no help from a client.
pub(super) async fn replacements() -> Response {
    reply::json(&json!({}))
}
