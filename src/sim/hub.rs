//! The sockets: who is connected under which id, and what is sent to whom. Nothing is kept for
//! those who are away.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::faults::Faults;
use super::python_json;
use super::sync::lock;

/// What a socket's task is told to do.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    /// Send a text message.
    Text(Utf8Bytes),
    /// Send a binary message.
    Binary(Bytes),
    /// Cut the connection without a word.
    Cut,
}

/// All connected sockets by the client id they gave.
#[derive(Debug)]
pub(super) struct Hub {
    sockets: Mutex<Sockets>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Sockets {
    by_sid: HashMap<String, Client>,
    /// Sockets that lost their place to a later one with the same id; they get nothing, but a cut
    /// reaches them too.
    displaced: Vec<mpsc::UnboundedSender<Delivery>>,
    closed: bool,
}

#[derive(Clone, Debug)]
struct Client {
    tx: mpsc::UnboundedSender<Delivery>,
    wants_metadata: bool,
}

/// The picture formats of a preview, as the wire numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreviewFormat {
    Jpeg = 1,
}

impl Hub {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            sockets: Mutex::default(),
            faults,
        }
    }

    /// Takes a socket in under `sid`, replacing whoever had that id.
    pub(super) fn connect(&self, sid: &str, tx: mpsc::UnboundedSender<Delivery>) {
        let mut sockets = lock(&self.sockets);
        sockets.displaced.retain(|tx| !tx.is_closed());
        let client = Client {
            tx,
            wants_metadata: false,
        };
        if let Some(old) = sockets.by_sid.insert(sid.to_owned(), client) {
            sockets.displaced.push(old.tx);
        }
    }

    /// The end of a socket's handler takes the id out of the table, even if a later socket has
    /// taken it over: the real server does that too, and so the later socket hears nothing more.
    pub(super) fn disconnect(&self, sid: &str) {
        let mut sockets = lock(&self.sockets);
        if let Some(client) = sockets.by_sid.remove(sid) {
            sockets.displaced.push(client.tx);
        }
        sockets.displaced.retain(|tx| !tx.is_closed());
    }

    /// Notes what the client says it understands.
    pub(super) fn set_flags(&self, sid: &str, flags: &Json) {
        if let Some(client) = lock(&self.sockets).by_sid.get_mut(sid) {
            client.wants_metadata = flags["supports_preview_metadata"] == true;
        }
    }

    /// Whether the client wants previews with metadata.
    pub(super) fn wants_metadata(&self, sid: Option<&str>) -> bool {
        let sockets = lock(&self.sockets);
        sid.and_then(|sid| sockets.by_sid.get(sid))
            .is_some_and(|client| client.wants_metadata)
    }

    /// Sends a message to one client, or to everybody.
    pub(super) fn send(&self, event: &str, data: &Json, to: Option<&str>) {
        if self.faults.loses(event) {
            return;
        }
        let text = python_json::to_string(&json!({ "type": event, "data": data }));
        self.deliver(&Delivery::Text(text.into()), to);
    }

    /// Sends a preview picture without metadata (binary type 1).
    pub(super) fn send_preview(&self, format: PreviewFormat, picture: &[u8], to: Option<&str>) {
        let head = [1, format as u32].map(u32::to_be_bytes).concat();
        self.send_binary("preview", &[&head, picture], to);
    }

    /// Sends a preview picture with metadata (binary type 4).
    pub(super) fn send_preview_with_metadata(
        &self,
        metadata: &Json,
        picture: &[u8],
        to: Option<&str>,
    ) {
        let metadata = python_json::to_string(metadata);
        let head = [4u32.to_be_bytes(), length(metadata.len())].concat();
        self.send_binary("preview", &[&head, metadata.as_bytes(), picture], to);
    }

    /// Sends a line of text about a node (binary type 3).
    pub(super) fn send_text(&self, node: &str, text: &str, to: Option<&str>) {
        let head = [3u32.to_be_bytes(), length(node.len())].concat();
        self.send_binary("text", &[&head, node.as_bytes(), text.as_bytes()], to);
    }

    fn send_binary(&self, event: &str, parts: &[&[u8]], to: Option<&str>) {
        if !self.faults.loses(event) {
            self.deliver(&Delivery::Binary(parts.concat().into()), to);
        }
    }

    fn deliver(&self, delivery: &Delivery, to: Option<&str>) {
        let sockets = lock(&self.sockets);
        if sockets.closed {
            return;
        }
        let clients: Vec<&Client> = match to {
            Some(sid) => sockets.by_sid.get(sid).into_iter().collect(),
            None => sockets.by_sid.values().collect(),
        };
        for client in clients {
            // A receiver that is gone is a socket that has just closed.
            let _ = client.tx.send(delivery.clone());
        }
    }

    /// Cuts every connection without a closing frame.
    pub(super) fn cut_all(&self) {
        let sockets = lock(&self.sockets);
        let all = sockets
            .by_sid
            .values()
            .map(|client| &client.tx)
            .chain(&sockets.displaced);
        for tx in all {
            let _ = tx.send(Delivery::Cut);
        }
    }

    /// Cuts every connection and sends nothing ever after.
    pub(super) fn close(&self) {
        self.cut_all();
        lock(&self.sockets).closed = true;
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}
