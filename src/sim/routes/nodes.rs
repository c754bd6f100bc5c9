//! What the node classes are.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use crate::comfy::nodes::REPLACEMENTS;

use super::super::world::World;
use super::reply::{self, Refusal};

pub(super) async fn object_info(State(world): State<Arc<World>>) -> Result<Response, Refusal> {
    let written = reply::blocking(move || {
        let offer = world.catalog.offer(world.folders.input_files());
        offer.written()
    });
    Ok(reply::written(written.await?.map_err(reply::raised)?))
}

/// `{class: info}`, or `{}` for an unknown class.
pub(super) async fn class_info(
    State(world): State<Arc<World>>,
    Path(class): Path<String>,
) -> Result<Response, Refusal> {
    let info = reply::blocking(move || {
        let offer = world.catalog.offer(world.folders.input_files());
        offer.facts.class_object_info(&class)
    });
    Ok(reply::json(&info.await?))
}

/// Which old classes are replaced when a prompt comes in, and how their inputs are carried over.
pub(super) async fn replacements() -> Response {
    let entries = REPLACEMENTS
        .iter()
        .map(|replacement| (replacement.old.clone(), json!([replacement.to_json()])));
    reply::json(&entries.collect::<Map<String, Json>>())
}
