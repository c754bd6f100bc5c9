//! The HTTP routes. Every one exists bare and below `/api`, except where `ComfyUI` has only one.

mod guard;
mod history;
mod nodes;
mod prompt;
mod queue;
mod reply;
pub(super) mod system;

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
        .route("/ws", get(socket::connect));
    Router::new()
        .merge(twice.clone())
        .nest("/api", twice)
        .fallback(reply::unknown)
        .method_not_allowed_fallback(reply::unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(guard::check_origin))
        .with_state(world)
}
