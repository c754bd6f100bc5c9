//! What the node classes are.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use crate::comfy::validate::replacement;

use super::super::world::World;
use super::reply::{self, Refusal};

/// The classes that 0.33.0 replaces.
const OLD_CLASSES: [&str; 8] = [
    "ResizeImagesByLongerEdge",
    "ImageBatch",
    "ImageScaleBy",
    "T2IAdapterLoader",
    "Load3DAnimation",
    "Preview3DAnimation",
    "SDV_img2vid_Conditioning",
    "ConditioningAverage ",
];

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

/// Which old classes are replaced when a prompt comes in. How their inputs are carried over is the
/// server's own business and left out.
pub(super) async fn replacements() -> Response {
    let entries = OLD_CLASSES
        .into_iter()
        .filter_map(replacement)
        .map(|replacement| {
            let entry = json!([{
                "new_node_id": replacement.new,
                "old_node_id": replacement.old,
                "old_widget_ids": null,
                "input_mapping": null,
                "output_mapping": null,
            }]);
            (replacement.old.to_owned(), entry)
        });
    reply::json(&entries.collect::<Map<String, Json>>())
}
