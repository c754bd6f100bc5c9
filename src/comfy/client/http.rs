//! HTTP with one server: every answer is checked for being `ComfyUI`'s before it is believed, and
//! every failure is told apart ([`ComfyError`]).

use std::io::BufReader;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::tls;
use crate::comfy::json::LenientJson;
use crate::comfy::{ComfyError, Rejection, Server};

/// An answer larger than this is no answer of `ComfyUI` (node facts, which may be, are streamed).
const LARGEST_BODY: usize = 512 << 20;

/// Requests to one server.
pub(super) struct Http {
    server: Server,
    client: OnceCell<Client>,
    /// Counts the times that the server was found to be away; whatever is cached about it is
    /// asked anew when this has changed.
    outages: AtomicU64,
}

/// A request that knows how to name itself in errors.
pub(super) struct Request {
    method: Method,
    url: Url,
    route: String,
}

impl Http {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            client: OnceCell::new(),
            outages: AtomicU64::new(0),
        }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// How often the server was found to be away so far.
    pub(super) fn outages(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }

    /// Notes that the server was away, or may be another one now.
    pub(super) fn note_outage(&self) {
        self.outages.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Request {
        self.request(Method::GET, path)
    }

    pub(super) fn post<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Request {
        self.request(Method::POST, path)
    }

    fn request<'a>(&self, method: Method, path: impl IntoIterator<Item = &'a str>) -> Request {
        let path: Vec<&str> = path.into_iter().collect();
        let route = format!("{method} /{}", path.join("/"));
        let url = self.server.route(path);
        Request { method, url, route }
    }

    /// The client is made on first use, because making it reads certificates.
    async fn client(&self) -> Result<&Client, ComfyError> {
        let made = self.client.get_or_try_init(|| async {
            let timeouts = self.server.timeouts();
            let mut builder = Client::builder()
                .user_agent(concat!("MassMediaFactory/", env!("CARGO_PKG_VERSION")))
                .default_headers(self.server.headers().clone())
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.answer)
                // A redirect would carry the secret headers elsewhere, and turn POST into GET.
                .redirect(Policy::none())
                .tcp_nodelay(true);
            if self.server.is_local() {
                builder = builder.no_proxy();
            }
            let tls = if self.server.is_secure() {
                tls::config(&["h2", "http/1.1"])
            } else {
                tls::trusting_nobody()
            };
            let tls = tls.map_err(|error| error.to_string())?;
            let builder = builder.tls_backend_preconfigured(tls);
            builder.build().map_err(|error| error.to_string())
        });
        made.await.map_err(|reason| ComfyError::Tls {
            url: self.url(),
            reason,
        })
    }

    fn url(&self) -> String {
        self.server.url().to_owned()
    }

    /// Sends and gives back the answer whatever its status, unless it shows that a proxy or
    /// something else answers in `ComfyUI`'s place.
    pub(super) async fn send(
        &self,
        request: &Request,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ComfyError> {
        let client = self.client().await?;
        let builder = client.request(request.method.clone(), request.url.clone());
        let answer = fill(builder).send().await;
        let response = answer.map_err(|error| self.failed(&request.route, &error))?;
        self.refused(&request.route, &response)?;
        Ok(response)
    }

    /// Sends, expects success, and reads the whole body.
    pub(super) async fn bytes(
        &self,
        request: &Request,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Bytes, ComfyError> {
        let response = self.send(request, fill).await?;
        let response = self.expect_success(request, response).await?;
        self.read(request, response).await
    }

    /// Sends and reads JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, ComfyError> {
        let response = self.send(request, fill).await?;
        let response = self.expect_success(request, response).await?;
        self.read_json(request, response).await
    }

    /// GET, as JSON.
    pub(super) async fn get_json<'a, T: DeserializeOwned>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
    ) -> Result<T, ComfyError> {
        self.json(&self.get(path), |builder| builder).await
    }

    /// POST of JSON where `ComfyUI` answers with an empty body.
    pub(super) async fn post_empty<'a>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
        body: &Value,
    ) -> Result<(), ComfyError> {
        self.bytes(&self.post(path), |builder| builder.json(body))
            .await
            .map(drop)
    }

    /// The body as JSON, if it is not a web page.
    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        request: &Request,
        response: Response,
    ) -> Result<T, ComfyError> {
        self.refuse_web_page(request, &response)?;
        let body = self.read(request, response).await?;
        parse(&body).map_err(|reason| ComfyError::Malformed {
            route: request.route.clone(),
            reason,
        })
    }

    /// Proxies answer with web pages, also with status 200.
    pub(super) fn refuse_web_page(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<(), ComfyError> {
        let route = request.route.clone();
        web_page(response).map_or(Ok(()), |found| {
            Err(ComfyError::NotComfy {
                url: self.url(),
                route,
                found,
            })
        })
    }

    /// The whole body.
    pub(super) async fn read(
        &self,
        request: &Request,
        mut response: Response,
    ) -> Result<Bytes, ComfyError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(request, &mut response).await? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(ComfyError::Malformed {
                    route: request.route.clone(),
                    reason: format!("it is larger than {} MiB", LARGEST_BODY >> 20),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The next piece of a body, none at its end.
    pub(super) async fn chunk(
        &self,
        request: &Request,
        response: &mut Response,
    ) -> Result<Option<Bytes>, ComfyError> {
        response
            .chunk()
            .await
            .map_err(|error| self.failed(&request.route, &error))
    }

    /// Turns every status but 2xx into an error.
    pub(super) async fn expect_success(
        &self,
        request: &Request,
        response: Response,
    ) -> Result<Response, ComfyError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(self.unexpected(request, response).await)
    }

    /// The error for a status that no caller has a meaning for.
    pub(super) async fn unexpected(&self, request: &Request, response: Response) -> ComfyError {
        let status = response.status();
        let route = request.route.clone();
        let page = web_page(&response);
        if page.is_some()
            || matches!(
                status,
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            )
        {
            let found = page.unwrap_or_else(|| format!("it answers {status}"));
            return ComfyError::NotComfy {
                url: self.url(),
                route,
                found,
            };
        }
        match self.read(request, response).await {
            Ok(body) => ComfyError::Server {
                status: status.as_u16(),
                route,
                body: excerpt(&body),
            },
            Err(error) => error,
        }
    }

    /// What the 400 to a submission says.
    pub(super) async fn rejection(&self, request: &Request, response: Response) -> ComfyError {
        match self.read_json::<Value>(request, response).await {
            Ok(mut body) => ComfyError::Rejected(Box::new(Rejection {
                error: take(&mut body, "/error"),
                node_errors: take(&mut body, "/node_errors"),
            })),
            Err(error) => error,
        }
    }

    fn refused(&self, route: &str, response: &Response) -> Result<(), ComfyError> {
        let (url, route) = (self.url(), route.to_owned());
        Err(match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                ComfyError::Unauthorized { url }
            }
            // 403 to /view is about the file's path.
            StatusCode::FORBIDDEN if route != "GET /view" => ComfyError::Forbidden { url, route },
            StatusCode::PAYLOAD_TOO_LARGE => ComfyError::TooLarge { route },
            status @ (StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => {
                self.note_outage();
                let status = status.as_u16();
                ComfyError::Gateway { url, status }
            }
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                let to = response
                    .headers()
                    .get(LOCATION)
                    .and_then(|to| to.to_str().ok());
                let to = to.map_or("an unnamed place", |to| {
                    to.split(['?', '#']).next().unwrap_or(to)
                });
                ComfyError::Redirected {
                    url,
                    route,
                    to: to.to_owned(),
                }
            }
            _ => return Ok(()),
        })
    }

    fn failed(&self, route: &str, error: &reqwest::Error) -> ComfyError {
        let (url, route) = (self.url(), route.to_owned());
        let reason = innermost(error);
        if error.is_connect() {
            self.note_outage();
            if is_tls(error) {
                return ComfyError::Tls { url, reason };
            }
            let reason = if error.is_timeout() {
                format!(
                    "no connection within {} s",
                    self.server.timeouts().connect.as_secs_f64()
                )
            } else {
                reason
            };
            return ComfyError::Unreachable { url, reason };
        }
        if error.is_timeout() {
            let after = self.server.timeouts().answer;
            return ComfyError::NoAnswer { url, route, after };
        }
        self.note_outage();
        ComfyError::Broken { url, route, reason }
    }
}

impl Request {
    /// Adds a query parameter.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// `GET /queue`, for errors.
    pub(super) fn route(&self) -> &str {
        &self.route
    }
}

/// Reads JSON as Python writes it: bare `NaN`, `Infinity` and `-Infinity` are null.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(_) => serde_json::from_reader(BufReader::new(LenientJson::new(body)))
            .map_err(|error| error.to_string()),
    }
}

/// Takes a part out of a document; null if it is not there. Indexing would panic on a document of
/// another shape.
pub(super) fn take(document: &mut Value, pointer: &str) -> Value {
    document.pointer_mut(pointer).map(Value::take).unwrap_or_default()
}

/// What is said to be there instead of an API, if the answer is a web page.
fn web_page(response: &Response) -> Option<String> {
    let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let is_page = kind.starts_with("text/html") || kind.starts_with("application/xhtml");
    is_page.then(|| format!("a web page with status {}", response.status().as_u16()))
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The cause at the bottom: `reqwest`'s own messages repeat the address, which is said already.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || inside.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nan_outside_of_strings_is_read_as_null() {
        let body = br#"{"a": NaN, "b": [-Infinity, Infinity, 1], "c": "NaN \" Infinity"}"#;
        let value: Value = parse(body).unwrap();
        assert_eq!(
            value,
            json!({ "a": null, "b": [null, null, 1], "c": "NaN \" Infinity" })
        );
    }

    #[test]
    fn seeds_are_read_exactly() {
        let value: Value = parse(br#"{"seed": 18446744073709551615, "x": NaN}"#).unwrap();
        assert_eq!(value["seed"].as_u64(), Some(u64::MAX));
    }
}
