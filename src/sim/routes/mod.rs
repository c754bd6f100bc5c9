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
mod serve;
pub(super) mod system;
mod templates;
mod upload;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::socket;
use super::world::World;

/// `--max-upload-size`, for every kind of body: 100 MB.
const BODY_LIMIT: usize = 100 << 20;

pub(super) fn router(world: Arc<World>) -> Router {
    let release = world.release;
    let mut twice = Router::new()
        .route("/prompt", get(queue::info).post(prompt::post))
        .route("/queue", get(queue::get).post(queue::post))
        .route("/interrupt", post(queue::interrupt))
        .route("/free", post(queue::free))
        .route("/history", get(history::list).post(history::post))
        .route("/history/{id}", get(history::one))
        .route("/object_info", get(nodes::object_info))
        .route("/object_info/{class}", get(nodes::class_info))
        .route("/system_stats", get(system::stats))
        .route("/extensions", get(system::extensions))
        .route("/embeddings", get(models::embeddings))
        .route("/models", get(models::folders))
        .route("/models/{folder}", get(models::files))
        .route("/view_metadata/{folder}", get(models::metadata))
        .route("/view", get(view::get))
        .route("/upload/image", post(upload::image))
        .route("/upload/mask", post(upload::mask))
        .route("/ws", get(socket::connect));
    if release.has_experimental_models() {
        twice = twice
            .route("/experiment/models", get(models::folders_with_paths))
            .route("/experiment/models/{folder}", get(models::files_with_sizes));
    }
    if release.has_features() {
        twice = twice.route("/features", get(system::get_features));
    }
    if release.has_node_replacements() {
        twice = twice.route("/node_replacements", get(nodes::replacements));
    }
    let mut jobs = Router::new();
    if release.has_jobs() {
        jobs = jobs
            .route("/api/jobs", get(jobs::list))
            .route("/api/jobs/{id}", get(jobs::one));
    }
    if release.has_jobs_cancel() {
        jobs = jobs
            .route("/api/jobs/cancel", post(jobs::cancel_many))
            .route("/api/jobs/{id}/cancel", post(jobs::cancel));
    }
    Router::new()
        .merge(twice.clone())
        .nest("/api", twice)
        .route("/templates/index.json", get(templates::index))
        .route("/templates/{file}", get(templates::graph))
        .merge(jobs)
        .fallback(reply::unknown)
        .method_not_allowed_fallback(reply::unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::map_response(too_large))
        .layer(middleware::from_fn_with_state(
            world.clone(),
            guard::check_origin,
        ))
        .with_state(world)
}

/// A body beyond the limit is refused in aiohttp's words, whoever finds out.
async fn too_large(answer: Response) -> Response {
    if answer.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return answer;
    }
    let text = format!("Maximum request body size {BODY_LIMIT} exceeded.");
    (StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
}
