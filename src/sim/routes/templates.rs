//! The index of templates, as the package `comfyui-workflow-templates` serves it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value as Json, json};

use super::super::world::World;
use super::reply;
use crate::knowledge::{Knowledge, Model};

/// The name of the template that it has in full, as `ComfyUI`'s first one is called.
const OWN: &str = "default";

pub(super) async fn index(State(world): State<Arc<World>>) -> Response {
    match &world.options.templates {
        None => reply::json(&known()),
        Some(Json::Null) => reply::status(StatusCode::NOT_FOUND),
        Some(index) => reply::json(index),
    }
}

/// The graph of the one template that it has in full, as an editor saves it.
pub(super) async fn graph(State(world): State<Arc<World>>, Path(file): Path<String>) -> Response {
    let offered = !matches!(world.options.templates, Some(Json::Null));
    if file == format!("{OWN}.json") && offered {
        (
            [(CONTENT_TYPE, "application/json")],
            include_str!("own_template.json"),
        )
            .into_response()
    } else {
        reply::status(StatusCode::NOT_FOUND)
    }
}

/// A template for each model that is known, in categories by what they make.
fn known() -> Json {
    let knowledge = Knowledge::bundled();
    let of_kind = |kind: &str, title: &str, categories: &[&str]| {
        let models = knowledge.models.iter();
        let models = models.filter(|model| categories.contains(&model.category.as_str()));
        let own = (kind == "image").then(own).into_iter();
        let templates: Vec<Json> = own.chain(models.map(template)).collect();
        json!({ "moduleName": "default", "title": title, "type": kind, "templates": templates })
    };
    json!([
        of_kind("image", "Image", &["image_gen", "image_edit"]),
        of_kind("video", "Video", &["video_gen"]),
        of_kind("audio", "Audio", &["audio_gen"]),
        of_kind("3d", "3D Model", &["3d"]),
    ])
}

fn own() -> Json {
    json!({
        "name": OWN,
        "title": "A first picture",
        "description": "From a text to a picture",
        "mediaType": "image",
        "mediaSubtype": "webp",
        "models": [],
        "openSource": true,
    })
}

fn template(model: &Model) -> Json {
    // "T image_z_image; parameters: the makers"
    let graph = model.source.strip_prefix("T ").unwrap_or(&model.name);
    let graph = graph.split([',', ';', ' ']).next().unwrap_or(graph);
    json!({
        "name": graph,
        "title": model.name,
        "description": model.strengths,
        "mediaType": "image",
        "mediaSubtype": "webp",
        "models": [model.name],
        "date": model.released,
        "openSource": true,
    })
}
