//! Who may ask: browsers on other sites may not.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::super::release::Release;
use super::super::world::World;
use super::reply;

pub(super) async fn check_origin(
    State(world): State<Arc<World>>,
    request: Request,
    next: Next,
) -> Response {
    if is_foreign(request.headers(), world.release) {
        return reply::status(StatusCode::FORBIDDEN);
    }
    if request.method() == Method::OPTIONS {
        return reply::empty();
    }
    next.run(request).await
}

/// A page of another site, or an origin that is not the host while the host is this machine.
fn is_foreign(headers: &HeaderMap, release: Release) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if release.checks_fetch_site() && text("sec-fetch-site") == Some("cross-site") {
        return true;
    }
    let (Some(host), Some(origin)) = (text(header::HOST.as_str()), text(header::ORIGIN.as_str()))
    else {
        return false;
    };
    let bare = |address: &str| {
        let address = address.split_once("://").map_or(address, |(_, rest)| rest);
        address.trim_end_matches('/').to_lowercase()
    };
    let (host, origin) = (bare(host), bare(origin));
    let name = host
        .rsplit_once(':')
        .map_or(host.as_str(), |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") && host != origin
}
