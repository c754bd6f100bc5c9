//! HTTP with one server: every answer is checked for being `ComfyUI`'s before it is believed, and
//! every failure is told apart ([`ComfyError`]).

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::pieces;
use crate::comfy::json::{LenientJson, parse_lenient};
use crate::comfy::{ComfyError, Server};
use crate::tls;

/// An answer larger than this is no answer of `ComfyUI` (node facts, which may be, are streamed).
const LARGEST_BODY: usize = 512 << 20;

/// An answer of at least this length is not held whole, where it need not be.
const LARGE: u64 = 1 << 20;

/// Connections without use are kept for this long, well below the server's own 75 s.
const KEEP: Duration = Duration::from_secs(30);

/// Requests to one server.
pub(super) struct Http {
    server: Server,
    client: OnceCell<Client>,
    /// Opens a connection for every request; see [`Http::send_fresh`].
    fresh: OnceCell<Client>,
    /// Counts the times that the server was found to be away; whatever is cached about it is
    /// asked anew when this has changed.
    outages: AtomicU64,
    /// It has answered as `ComfyUI` does.
    has_answered: AtomicBool,
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
            fresh: OnceCell::new(),
            outages: AtomicU64::new(0),
            has_answered: AtomicBool::new(false),
        }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// How often the server was found to be away so far.
    pub(super) fn outages(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }

    /// Whether the server has ever been there. What it then fails to do may pass.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
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

    /// A client is made on first use, because making it reads certificates.
    async fn client<'a>(
        &self,
        cell: &'a OnceCell<Client>,
        kept: usize,
    ) -> Result<&'a Client, ComfyError> {
        let made = cell.get_or_try_init(|| async {
            let timeouts = self.server.timeouts();
            let mut builder = Client::builder()
                .user_agent(concat!("MassMediaFactory/", env!("CARGO_PKG_VERSION")))
                .default_headers(self.server.headers().clone())
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.answer)
                .pool_idle_timeout(KEEP)
                .pool_max_idle_per_host(kept)
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

    pub(super) fn url(&self) -> String {
        self.server.url().to_owned()
    }

    /// Sends and gives back the answer whatever its status, unless it shows that a proxy or
    /// something else answers in `ComfyUI`'s place.
    pub(super) async fn send(
        &self,
        request: &Request,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ComfyError> {
        let client = self.client(&self.client, 8).await?;
        self.send_by(client, request, fill).await
    }

    /// The same on a connection of its own. A connection that has been idle may be dead without
    /// our knowing, and a request that is lost on it is one that may have arrived.
    pub(super) async fn send_fresh(
        &self,
        request: &Request,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ComfyError> {
        let client = self.client(&self.fresh, 0).await?;
        self.send_by(client, request, fill).await
    }

    async fn send_by(
        &self,
        client: &Client,
        request: &Request,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ComfyError> {
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
        let value = parse_lenient(&body).map_err(|error| ComfyError::Malformed {
            route: request.route.clone(),
            reason: error.to_string(),
        })?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(value)
    }

    /// The same for what may be tens of megabytes: such a body is taken in as it arrives, and never
    /// whole in memory.
    pub(super) async fn get_large_json<'a, T: DeserializeOwned + Send + 'static>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
    ) -> Result<T, ComfyError> {
        let request = self.get(path);
        let response = self.send(&request, |builder| builder).await?;
        let response = self.expect_success(&request, response).await?;
        if response.content_length().is_some_and(|bytes| bytes < LARGE) {
            return self.read_json(&request, response).await;
        }
        self.refuse_web_page(&request, &response)?;
        let parse = |reader| -> serde_json::Result<T> {
            serde_json::from_reader(io::BufReader::new(LenientJson::new(reader)))
        };
        let value = self.parse_while_reading(&request, response, parse).await?;
        self.has_answered.store(true, Ordering::Relaxed);
        Ok(value)
    }

    /// Reads a body as it arrives, on a thread that may block.
    pub(super) async fn parse_while_reading<T: Send + 'static, E: Display + Send + 'static>(
        &self,
        request: &Request,
        mut response: Response,
        parse: impl FnOnce(pieces::Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ComfyError> {
        let (pieces, reader) = pieces::channel();
        let parsing = spawn_blocking(|| parse(reader));
        while let Some(piece) = self.chunk(request, &mut response).await? {
            if pieces.send(Ok(piece)).await.is_err() {
                // The parser has stopped at a mistake.
                break;
            }
        }
        drop(pieces);
        let malformed = |reason| ComfyError::Malformed {
            route: request.route().to_owned(),
            reason,
        };
        let parsed = parsing.await;
        let parsed = parsed.map_err(|error| malformed(error.to_string()))?;
        parsed.map_err(|error| malformed(error.to_string()))
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
}

impl Request {
    /// Adds a query parameter.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Method and path, such as `GET /queue`, for errors.
    pub(super) fn route(&self) -> &str {
        &self.route
    }
}

/// Takes a part out of a document; null if it is not there. Indexing would panic on a document of
/// another shape.
pub(super) fn take(document: &mut Value, pointer: &str) -> Value {
    document
        .pointer_mut(pointer)
        .map(Value::take)
        .unwrap_or_default()
}
