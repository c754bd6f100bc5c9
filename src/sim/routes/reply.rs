//! Answers in the form in which aiohttp gives them.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value as Json;

use super::super::python_json;

/// JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    json_with(StatusCode::OK, value)
}

/// JSON that is written already.
pub(super) fn written(body: impl Into<Body>) -> Response {
    let kind = "application/json; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// JSON with a status.
pub(super) fn json_with(status: StatusCode, value: &impl Serialize) -> Response {
    match python_json::to_vec(value) {
        Ok(body) => (status, written(body)).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            trouble()
        }
    }
}

/// An empty 200, as `/interrupt`, `/free` and the POSTs on queue and history give.
pub(super) fn empty() -> Response {
    status(StatusCode::OK)
}

/// A status without a body.
pub(super) fn status(status: StatusCode) -> Response {
    let kind = "application/octet-stream";
    (status, [(header::CONTENT_TYPE, kind)], Body::empty()).into_response()
}

/// What an exception in a handler becomes.
pub(super) fn trouble() -> Response {
    let text = "500 Internal Server Error\n\nServer got itself in trouble";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

/// A path or method that nobody handles: the static files behind everything only know GET.
pub(super) async fn unknown(method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD => (StatusCode::NOT_FOUND, "404: Not Found").into_response(),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response(),
    }
}

/// An answer that ends a handler early.
pub(super) struct Refusal(Box<Response>);

impl From<Response> for Refusal {
    fn from(answer: Response) -> Self {
        Self(Box::new(answer))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// An exception in a handler.
pub(super) fn raised<E>(_: E) -> Refusal {
    trouble().into()
}

/// Runs what reads files, paints or validates apart from the tasks that must answer others.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(raised)
}

/// The body as JSON; what is none is an exception in the handler, not a 400.
pub(super) fn body(bytes: &[u8]) -> Result<Json, Refusal> {
    crate::comfy::json::parse_lenient(bytes).map_err(raised)
}
