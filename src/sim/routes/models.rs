//! The model files that the server pretends to have.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value as Json, json};

use super::super::options::FOLDERS;
use super::super::world::World;
use super::reply;
use crate::vram::named_bytes;

/// The endings of model files (`supported_pt_extensions`).
const EXTENSIONS: [&str; 8] = [
    ".ckpt",
    ".pt",
    ".pt2",
    ".bin",
    ".pth",
    ".safetensors",
    ".pkl",
    ".sft",
];

/// Names without their endings.
pub(super) async fn embeddings(State(world): State<Arc<World>>) -> Response {
    let files = world
        .options
        .models
        .get("embeddings")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let stem = |file: &String| {
        file.rsplit_once('.')
            .map_or(file.as_str(), |(stem, _)| stem)
            .to_owned()
    };
    reply::json(&files.iter().map(stem).collect::<Vec<_>>())
}

/// The known folders in the server's order, then any others.
fn folder_names(world: &World) -> Vec<&str> {
    let others = world
        .options
        .models
        .keys()
        .map(String::as_str)
        .filter(|name| !FOLDERS.contains(name));
    FOLDERS.into_iter().chain(others).collect()
}

pub(super) async fn folders(State(world): State<Arc<World>>) -> Response {
    reply::json(&folder_names(&world))
}

/// 404 for unknown folders and for the old names `unet` and `clip`.
pub(super) async fn files(State(world): State<Arc<World>>, Path(folder): Path<String>) -> Response {
    match listed(&world, &folder) {
        Some(files) => reply::json(&files),
        None => reply::status(StatusCode::NOT_FOUND),
    }
}

fn listed<'w>(world: &'w World, folder: &str) -> Option<&'w [String]> {
    match world.options.models.get(folder) {
        Some(files) => Some(files),
        None => FOLDERS.contains(&folder).then_some(&[]),
    }
}

pub(super) async fn folders_with_paths(State(world): State<Arc<World>>) -> Response {
    let names = folder_names(&world)
        .into_iter()
        .filter(|name| *name != "configs");
    let entry = |name: &str| {
        let mut entry = json!({ "name": name, "folders": [world.folders.models().join(name)] });
        if world.release.guards_views() {
            entry["extensions"] = json!(EXTENSIONS);
        }
        entry
    };
    reply::json(&names.map(entry).collect::<Json>())
}

pub(super) async fn files_with_sizes(
    State(world): State<Arc<World>>,
    Path(folder): Path<String>,
) -> Response {
    let Some(files) = listed(&world, &folder) else {
        return reply::status(StatusCode::NOT_FOUND);
    };
    let entry = |file: &String| json!({ "name": file, "pathIndex": 0, "modified": 0.0, "created": 0.0, "size": size(file) });
    reply::json(&files.iter().map(entry).collect::<Json>())
}

/// A size in bytes that fits what the name says: billions of parameters, and bytes for each.
fn size(name: &str) -> u64 {
    let bytes = named_bytes(name);
    let name = name.to_lowercase();
    let billions = billions(&name).unwrap_or_else(|| {
        let known = [
            ("tiny", 0.001),
            ("lora", 0.2),
            ("vae", 0.1),
            ("ae.", 0.1),
            ("taes", 0.005),
            ("clip_l", 0.12),
            ("clip_g", 0.7),
            ("t5xxl", 4.7),
            ("umt5", 5.7),
            ("flux2", 32.0),
            ("flux", 12.0),
            ("qwen_image", 20.0),
            ("z_image", 6.0),
            ("sd3.5_large", 8.0),
            ("sd3.5_medium", 2.5),
            ("sd_xl", 3.5),
            ("v1-5", 1.0),
            ("mistral", 24.0),
            ("hunyuan", 13.0),
        ];
        known
            .into_iter()
            .find(|(part, _)| name.contains(part))
            .map_or(1.0, |(_, billions)| billions)
    });
    rounded(billions * bytes * 1e9)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes of files are far below"
)]
fn rounded(bytes: f64) -> u64 {
    bytes as u64
}

/// The size of the largest diffusion model that a prompt loads.
pub(super) fn largest(prompt: &Map<String, Json>) -> u64 {
    let nodes = prompt.values();
    let files = nodes.filter_map(|node| {
        let inputs = &node["inputs"];
        ["unet_name", "ckpt_name"]
            .iter()
            .find_map(|name| inputs[name].as_str())
    });
    files.map(size).max().unwrap_or(0)
}

/// The number before a `b` that stands alone, as in `wan2.2_ti2v_5B_fp16`.
fn billions(name: &str) -> Option<f64> {
    let mut parts = name.split(['_', '-']);
    parts.find_map(|part| part.strip_suffix('b')?.parse().ok())
}

/// Metadata are in the files, and there are no files here.
pub(super) async fn metadata(
    State(world): State<Arc<World>>,
    Path(folder): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let folder = match folder.as_str() {
        "unet" => "diffusion_models",
        "clip" => "text_encoders",
        other => other,
    };
    let name = query
        .get("filename")
        .filter(|name| name.ends_with(".safetensors"));
    let known = |name: &String| listed(&world, folder).is_some_and(|files| files.contains(name));
    match name {
        Some(name) if known(name) => {
            reply::json(&json!({ "format": "pt", "modelspec.title": name }))
        }
        _ => reply::status(StatusCode::NOT_FOUND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_follows_from_the_name() {
        assert_eq!(size("wan2.2_ti2v_5B_fp16.safetensors"), 10_000_000_000);
        assert_eq!(size("flux1-dev-fp8.safetensors"), 12_000_000_000);
        assert!(size("sd3_tiny.safetensors") < 10_000_000);
    }
}
