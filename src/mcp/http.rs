//! MCP over streamable HTTP: who may come in, and one session of the server for each client.
//!
//! The earlier lifecycle has sessions, whose streams a client may take up again after they broke
//! off; that of 2026-07-28 has none, each request stands for itself. Both are served at one path,
//! and all of them share the app, its scripts and its assets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use rmcp::transport::streamable_http_server::session::local::{LocalSessionManager, SessionConfig};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Choice;
use super::server::McpServer;
use crate::app::App;
use crate::config::{Mcp, Token};
use crate::failure::{Code, Failure};

/// Where MCP is served.
const PATH: &str = "/mcp";

/// Room for a workflow of any size, and for a picture within it.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// How long a session lives without a word from either side. A wait for a long job says nothing
/// for hours if the client didn't ask for progress.
const SESSION_IDLE: Duration = Duration::from_secs(48 * 60 * 60);

/// How many events of a stream are kept for a client that comes back to it.
const EVENTS_KEPT: usize = 64;

/// How long to wait for answers under way when the server is to end.
const GRACE: Duration = Duration::from_secs(3);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It can be reached from elsewhere, and everybody could come in.
    #[error("{0} can be reached from other machines, and no token is set")]
    Unguarded(SocketAddr),
    /// The address is taken, or not of this machine.
    #[error("can't listen at {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
    /// The connection broke.
    #[error("serving ended: {0}")]
    Serve(#[from] std::io::Error),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let message = error.to_string();
        match error {
            HttpError::Unguarded(_) => Self::new(Code::INVALID_PARAMS, message).hint(
                "set MMF_HTTP_TOKEN (or [mcp] token in your config.toml), or listen at 127.0.0.1",
            ),
            HttpError::Bind(..) => Self::new(Code::CONNECTION_ERROR, message)
                .hint("choose another port; port 0 picks a free one"),
            HttpError::Serve(_) => Self::new(Code::CONNECTION_ERROR, message),
        }
    }
}

/// A bound port, before it serves.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    config: StreamableHttpServerConfig,
}

impl HttpServer {
    /// Binds the address. Beyond this machine a token is required.
    pub async fn bind(address: SocketAddr, settings: &Mcp) -> Result<Self, HttpError> {
        if !address.ip().to_canonical().is_loopback() && settings.token.is_none() {
            return Err(HttpError::Unguarded(address));
        }
        let bind = |error| HttpError::Bind(address, error);
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self {
            listener,
            address,
            token: settings.token.clone(),
            config: config(address, settings),
        })
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Serves until `stop` is over. Calls under way are then cut off; their jobs go on.
    pub async fn serve(
        self,
        app: Arc<App>,
        choice: Choice,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Failure> {
        let ending = self.config.cancellation_token.clone();
        let server = McpServer::start(app, choice);
        let service = StreamableHttpService::new(
            move || Ok(server.session()),
            Arc::new(sessions()),
            self.config,
        );
        let guard = middleware::from_fn_with_state(self.token.map(Arc::new), admit);
        let router = Router::new().route_service(PATH, service).layer(guard);
        let stopped = ending.clone();
        let serving = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move {
                stop.await;
                ending.cancel();
            })
            .into_future();
        let overdue = async {
            stopped.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = serving => ended.map_err(|error| HttpError::Serve(error).into()),
            () = overdue => Ok(()),
        }
    }
}

fn config(address: SocketAddr, settings: &Mcp) -> StreamableHttpServerConfig {
    // A page that this very server gave would be its own; pages of other ports are others'.
    let own = ["localhost", "127.0.0.1", "[::1]"];
    let origins = own.map(|host| format!("http://{host}:{}", address.port()));
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(origins.iter().chain(&settings.allowed_origins))
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_BODY)
        .with_cancellation_token(CancellationToken::new());
    if address.ip().is_unspecified() && settings.allowed_hosts.is_empty() {
        // Nobody can tell the names of this machine, and the token guards it better.
        return config.disable_allowed_hosts();
    }
    let own = own.into_iter().map(str::to_owned);
    let hosts = own.chain([address.ip().to_string()]);
    config.with_allowed_hosts(hosts.chain(settings.allowed_hosts.iter().cloned()))
}

fn sessions() -> LocalSessionManager {
    let mut config = SessionConfig::default();
    config.keep_alive = Some(SESSION_IDLE);
    config.channel_capacity = EVENTS_KEPT;
    let mut sessions = LocalSessionManager::default();
    sessions.session_config = config;
    sessions
}

/// Lets nobody in who doesn't know the token, if there is one.
async fn admit(State(token): State<Option<Arc<Token>>>, request: Request, next: Next) -> Response {
    let admitted =
        token.is_none_or(|token| presented(request.headers()).is_some_and(|it| token.is(it)));
    if admitted {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"mmf\"")];
    (
        StatusCode::UNAUTHORIZED,
        challenge,
        "a bearer token is required",
    )
        .into_response()
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn beyond_this_machine_a_token_is_required() {
        let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let refused = HttpServer::bind(everywhere, &Mcp::default()).await;
        let failure = Failure::from(refused.unwrap_err());
        assert!(failure.hint.unwrap().contains("MMF_HTTP_TOKEN"));
        let guarded = Mcp {
            token: Some(Token::new("0123456789abcdef").unwrap()),
            ..Mcp::default()
        };
        let server = HttpServer::bind(everywhere, &guarded).await.unwrap();
        assert!(!format!("{server:?}").contains("0123456789abcdef"));
        let here = "[::ffff:127.0.0.1]:0".parse().unwrap();
        assert!(!matches!(
            HttpServer::bind(here, &Mcp::default()).await,
            Err(HttpError::Unguarded(_))
        ));
    }
}
