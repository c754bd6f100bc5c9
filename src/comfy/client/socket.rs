//! The one WebSocket to a server: opened when the first job needs it, reopened when it breaks,
//! closed when nothing has needed it for long.
//!
//! Two traits of `ComfyUI` shape this. It never sends pings, so a connection that died without a
//! word is only noticed by pinging it. And when a client reconnects under its id while the server
//! still holds the old connection, the end of the old one makes the server forget the new one,
//! which then stays open and silent (all versions up to 0.38). So a broken connection is closed
//! and its end awaited before the next is opened, and whoever depends on messages must poll too.
//!
//! The socket goes to the server directly, also where the environment (`HTTPS_PROXY`, ...) sends
//! HTTP through a proxy.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame, handshake::client::Request};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::follow::Follower;
use super::http::Http;
use super::message::{self, Message};
use super::tracker::Tracker;
use crate::comfy::Server;
use crate::tls;

/// Between two attempts to connect; doubles from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// For how long a server that gave no socket is not asked for one again.
const REFUSAL: Duration = Duration::from_secs(60);
/// How long a closing server may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// Sent first on every connection; the flags hold for that connection only.
const HELLO: &str = r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Keeps the connection.
pub(super) struct Socket {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
    _stop: DropGuard,
}

struct Shared {
    http: Arc<Http>,
    tracker: Arc<Tracker>,
    follower: Arc<Follower>,
    client_id: String,
    link: watch::Sender<Link>,
    /// Cuts the pause between two attempts short.
    connect_now: Notify,
    stop: CancellationToken,
    /// The log says already that the socket uses no proxy.
    warned: AtomicBool,
}

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    Connecting,
    Open,
    /// Closed, broken, or the server can't be reached.
    Down,
    /// The server is there and gives no socket: a proxy in between does not pass them on.
    Refused(Instant),
}

impl Socket {
    pub(super) fn new(
        http: Arc<Http>,
        tracker: Arc<Tracker>,
        follower: Arc<Follower>,
        client_id: String,
    ) -> Self {
        let stop = CancellationToken::new();
        let shared = Shared {
            http,
            tracker,
            follower,
            client_id,
            link: watch::Sender::new(Link::Connecting),
            connect_now: Notify::new(),
            stop: stop.clone(),
            warned: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            task: Mutex::new(None),
            _stop: stop.drop_guard(),
        }
    }

    /// Opens the connection if it is not open, and waits until it is or an attempt has failed.
    /// Without it everything works, later: what was missed is polled for.
    pub(super) async fn open(&self) {
        self.begin_to_open();
        let mut link = self.shared.link.subscribe();
        let patience = self.shared.http.server().timeouts().connect * 2;
        let settled = link.wait_for(|link| *link != Link::Connecting);
        let _ = timeout(patience, settled).await;
    }

    /// The same without waiting.
    pub(super) fn begin_to_open(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            self.shared.link.send_replace(Link::Connecting);
            *task = Some(tokio::spawn(Arc::clone(&self.shared).run()));
            return;
        }
        let state = self.shared.link.borrow().clone();
        match state {
            // Not every submission should wait for the same refusal.
            Link::Refused(when) if when.elapsed() < REFUSAL => {}
            Link::Refused(_) | Link::Down => {
                self.shared.link.send_replace(Link::Connecting);
                self.shared.connect_now.notify_one();
            }
            Link::Connecting | Link::Open => {}
        }
    }
}

impl Shared {
    /// Connects, listens, and connects again while there are jobs.
    async fn run(self: Arc<Self>) {
        let mut pause = BACKOFF.0;
        loop {
            match self.connect().await {
                Ok(mut stream) => {
                    let connection = self.tracker.note_open();
                    self.link.send_replace(Link::Open);
                    pause = BACKOFF.0;
                    let stopped = self.listen(&mut stream, connection).await;
                    self.tracker.note_gap();
                    close(&mut stream).await;
                    if let Stopped::Broken(reason) = stopped {
                        tracing::debug!(reason, "the socket to ComfyUI broke");
                        self.follower.poll_now();
                    }
                    self.link.send_replace(Link::Down);
                }
                Err(error) => {
                    tracing::debug!(%error, "no socket to ComfyUI");
                    self.mention_proxy();
                    if is_refusal(&error) {
                        pause = REFUSAL;
                        self.link.send_replace(Link::Refused(Instant::now()));
                    } else {
                        self.http.note_outage();
                        self.link.send_replace(Link::Down);
                    }
                }
            }
            let needed = self.tracker.is_busy(self.http.server().timeouts().idle);
            tokio::select! {
                () = sleep(pause), if needed => pause = (pause * 2).min(BACKOFF.1),
                () = self.connect_now.notified() => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn connect(&self) -> Result<Stream, Error> {
        let server = self.http.server();
        let url = server.socket_url(&self.client_id);
        let mut request: Request = url.as_str().into_client_request()?;
        request.headers_mut().extend(server.headers().clone());
        let connector = if server.is_secure() {
            // Only HTTP/1.1 can be upgraded to a socket here.
            Connector::Rustls(Arc::new(
                tls::config(&["http/1.1"]).map_err(io::Error::other)?,
            ))
        } else {
            Connector::Plain
        };
        let attempt = async {
            let host = url.host_str().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = url.port_or_known_default().unwrap_or(80);
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            // Nodes may send full-size pictures as previews.
            let limits = WebSocketConfig::default()
                .max_frame_size(None)
                .max_message_size(Some(256 << 20));
            let upgrade =
                client_async_tls_with_config(request, stream, Some(limits), Some(connector));
            let (mut stream, _) = upgrade.await?;
            stream.send(Frame::text(HELLO)).await?;
            Ok::<_, Error>(stream)
        };
        match timeout(server.timeouts().connect, attempt).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    /// Says once why there may be no socket although HTTP works.
    fn mention_proxy(&self) {
        let name = proxy_variable(self.http.server(), |name| std::env::var_os(name).is_some());
        if let Some(name) = name
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "{name} is used for HTTP only: without a direct way to ComfyUI there are no \
                 previews and no progress, and the ends of jobs are polled for"
            );
        }
    }

    /// Takes in messages until there is a reason to close this connection.
    async fn listen(&self, stream: &mut Stream, connection: u64) -> Stopped {
        let timeouts = *self.http.server().timeouts();
        let mut ping = interval(timeouts.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unheard = self.follower.unheard();
        let (mut heard, mut needed) = (Instant::now(), Instant::now());
        loop {
            let broken = tokio::select! {
                frame = stream.next() => match frame {
                    Some(Ok(frame)) => {
                        heard = Instant::now();
                        if self.hear(frame) {
                            continue;
                        }
                        "the server closed it".to_owned()
                    }
                    Some(Err(error)) => error.to_string(),
                    None => "the server closed it".to_owned(),
                },
                _ = ping.tick() => {
                    if self.tracker.is_busy(timeouts.idle) {
                        needed = Instant::now();
                    }
                    if needed.elapsed() > timeouts.idle {
                        return Stopped::Unneeded;
                    }
                    if heard.elapsed() > timeouts.ping * 3 {
                        "the server gives no sign of life".to_owned()
                    } else if let Err(error) = stream.send(Frame::Ping(bytes::Bytes::new())).await {
                        error.to_string()
                    } else {
                        continue;
                    }
                }
                Ok(()) = unheard.changed() => {
                    if *unheard.borrow_and_update() != connection {
                        continue;
                    }
                    "the server has forgotten it".to_owned()
                }
                () = self.stop.cancelled() => return Stopped::Unneeded,
            };
            return Stopped::Broken(broken);
        }
    }

    /// Passes a frame on; false if it ends the connection.
    fn hear(&self, frame: Frame) -> bool {
        let message: Option<Message> = match frame {
            Frame::Text(text) => message::text(text.as_str()),
            Frame::Binary(bytes) => message::binary(bytes),
            Frame::Close(_) => return false,
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => None,
        };
        if let Some(job) = message.and_then(|message| self.tracker.hear(message)) {
            self.follower.settle(job);
        }
        true
    }
}

/// Whether somebody answered that there is no socket: a proxy that does none. A server that did
/// not answer at all may be busy, or away for a moment.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Http(response) if !response.status().is_server_error())
}

/// The variable of the environment that has HTTP to this server go through a proxy, unless
/// `NO_PROXY` excepts it.
fn proxy_variable(server: &Server, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    if server.is_local() {
        return None;
    }
    let names = if server.is_secure() {
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    };
    names.into_iter().find(|name| is_set(name))
}

enum Stopped {
    Unneeded,
    Broken(String),
}

/// Closes and waits for the server to have closed too.
async fn close(stream: &mut Stream) {
    let goodbye = async {
        if stream.close(None).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_the_socket_does_not_use_is_named() {
        for (url, set, expected) in [
            (
                "https://comfy.example.com",
                "HTTPS_PROXY",
                Some("HTTPS_PROXY"),
            ),
            ("https://comfy.example.com", "HTTP_PROXY", None),
            ("http://comfy.example.com", "all_proxy", Some("all_proxy")),
            ("http://127.0.0.1:8188", "HTTP_PROXY", None),
        ] {
            let server = Server::parse(url).unwrap();
            let found = proxy_variable(&server, |name| name == set);
            assert_eq!(found, expected, "{url} with {set}");
        }
    }
}
