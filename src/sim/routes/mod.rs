//! The HTTP routes. Every one exists bare and below `/api`, except where `ComfyUI` has only one.

mod files;
mod guard;
mod history;
mod jobs;
mod models;
mod nodes;
mod prompt;
mod queue;
mod reply;
pub(super) mod system;
mod upload;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};

use super::socket;
use super::world::World;

/// `--max-upload-size`, for every kind of body: 100 MB.
const BODY_LIMIT: usize = 100 << 20;

pub(super) fn router(world: Arc<World>) -> Router {
    let twice = Router::new()
        .route("/prompt", get(queue::info).post(prompt::post))
        .route("/queue", get(queue::get).post(queue::post))
        .route("/interrupt", post(queue::interrupt))
        .route("/free", post(queue::free))
        .route("/history", get(history::list).post(history::post))
        .route("/history/{id}", get(history::one))
        .route("/object_info", get(nodes::object_info))
        .route("/object_info/{class}", get(nodes::class_info))
        .route("/node_replacements", get(nodes::replacements))
        .route("/system_stats", get(system::stats))
        .route("/features", get(system::get_features))
        .route("/extensions", get(system::extensions))
        .route("/embeddings", get(models::embeddings))
        .route("/models", get(models::folders))
        .route("/models/{folder}", get(models::files))
        .route("/experiment/models", get(models::folders_with_paths))
        .route("/experiment/models/{folder}", get(models::files_with_sizes))
        .route("/view_metadata/{folder}", get(models::metadata))
        .route("/view", get(view::get))
        .route("/upload/image", post(upload::image))
        .route("/upload/mask", post(upload::mask))
        .route("/ws", get(socket::connect));
    let jobs = Router::new()
        .route("/api/jobs", get(jobs::list))
        .route("/api/jobs/cancel", post(jobs::cancel_many))
        .route("/api/jobs/{id}", get(jobs::one))
        .route("/api/jobs/{id}/cancel", post(jobs::cancel));
    Router::new()
        .merge(twice.clone())
        .nest("/api", twice)
        .merge(jobs)
        .fallback(reply::unknown)
        .method_not_allowed_fallback(reply::unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(guard::check_origin))
        .with_state(world)
}
