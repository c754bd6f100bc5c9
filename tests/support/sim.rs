//! A simulator with a client that listens: what the tests of the simulator share.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use massmediafactory::sim::{Sim, SimOptions};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client's id in the form that the editor uses.
pub(crate) const CLIENT: &str = "0123456789abcdef0123456789abcdef";

/// An HTTP client that keeps no connections, because servers restart here. Made once: reading the
/// system's certificates takes longer than most tests.
pub(crate) fn http() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        // The first to install a provider wins; all of them install the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    });
    &CLIENT
}

/// A simulator whose steps take no time.
pub(crate) async fn fast() -> Sim {
    Sim::start(SimOptions {
        step_delay: Duration::ZERO,
        ..SimOptions::default()
    })
    .await
    .unwrap()
}

/// Posts a prompt for [`CLIENT`] and gives status and body.
pub(crate) async fn post(sim: &Sim, prompt: &Value) -> (u16, Value) {
    post_json(
        sim,
        "/prompt",
        &json!({ "prompt": prompt, "client_id": CLIENT }),
    )
    .await
}

/// Posts JSON; the body is null if there is none.
pub(crate) async fn post_json(sim: &Sim, path: &str, body: &Value) -> (u16, Value) {
    let answer = http()
        .post(format!("{}{path}", sim.url()))
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default(),
    )
}

/// Gets JSON.
pub(crate) async fn get(sim: &Sim, path: &str) -> Value {
    let answer = http()
        .get(format!("{}{path}", sim.url()))
        .send()
        .await
        .unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
}

/// Gets bytes with their status and content type.
pub(crate) async fn get_bytes(sim: &Sim, path: &str) -> (u16, String, Vec<u8>) {
    let answer = http()
        .get(format!("{}{path}", sim.url()))
        .send()
        .await
        .unwrap();
    let kind = answer
        .headers()
        .get("content-type")
        .map(|kind| kind.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    (
        status,
        kind.unwrap_or_default(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

/// A connected WebSocket.
pub(crate) struct Ear(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What an [`Ear`] hears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// A message's type and data.
    Event(String, Value),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Heard {
    /// The event's data, if it is one of this type.
    pub(crate) fn data(&self, kind: &str) -> Option<&Value> {
        match self {
            Self::Event(own, data) if own == kind => Some(data),
            _ => None,
        }
    }
}

impl Ear {
    /// Connects under a client id and takes the greeting.
    pub(crate) async fn connect(sim: &Sim, client: &str) -> Self {
        let url = format!("ws://{}/ws?clientId={client}", sim.addr());
        let (socket, _) = connect_async(url).await.unwrap();
        let mut ear = Self(socket);
        let greeting = ear.next().await.unwrap();
        assert_eq!(greeting.data("status").unwrap()["sid"], client);
        ear
    }

    /// Says that previews with metadata are understood and takes the answer.
    pub(crate) async fn ask_for_metadata(&mut self) {
        let flags =
            json!({ "type": "feature_flags", "data": { "supports_preview_metadata": true } });
        self.0.send(Message::text(flags.to_string())).await.unwrap();
        let answer = self.next().await.unwrap();
        assert_eq!(
            answer.data("feature_flags").unwrap()["supports_preview_metadata"],
            true
        );
    }

    /// The next message; nothing once the connection has ended, however it ended.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            let message = timeout(PATIENCE, self.0.next())
                .await
                .expect("a message or the end in time")?;
            return Some(match message {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    Heard::Event(
                        message["type"].as_str().unwrap().to_owned(),
                        message["data"].clone(),
                    )
                }
                Ok(Message::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
                Ok(Message::Close(_))
                | Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_)) => {
                    return None;
                }
                Ok(_) => continue,
                Err(error) => panic!("{error}"),
            });
        }
    }

    /// Everything up to the end of a prompt: `executing` of no node.
    pub(crate) async fn until_end(&mut self) -> Vec<Heard> {
        self.until(|heard| {
            heard
                .data("executing")
                .is_some_and(|data| data["node"].is_null())
        })
        .await
    }

    /// Everything up to a message.
    pub(crate) async fn until(&mut self, is_last: impl Fn(&Heard) -> bool) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.next().await.expect("the connection holds"));
            if is_last(heard.last().unwrap()) {
                return heard;
            }
        }
    }
}

/// The types of events in order, previews as `preview`.
pub(crate) fn kinds(heard: &[Heard]) -> Vec<&str> {
    heard
        .iter()
        .map(|one| match one {
            Heard::Event(kind, _) => kind.as_str(),
            Heard::Binary(_) => "preview",
        })
        .collect()
}

/// An empty picture, saved.
pub(crate) fn empty_image(color: u32) -> Value {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 32, "batch_size": 1, "color": color } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "empty" } },
    })
}

/// Text to picture with a tiny SD3.
pub(crate) fn sd3(seed: u64, steps: u64) -> Value {
    json!({
        "1": { "class_type": "UNETLoader", "inputs": { "unet_name": "sd3_tiny.safetensors", "weight_dtype": "default" } },
        "2": { "class_type": "CLIPLoader", "inputs": { "clip_name": "clip_l_tiny.safetensors", "type": "sd3" } },
        "3": { "class_type": "CLIPTextEncode", "inputs": { "clip": ["2", 0], "text": "a red fox in the snow" } },
        "4": { "class_type": "CLIPTextEncode", "inputs": { "clip": ["2", 0], "text": "blurry" } },
        "5": { "class_type": "EmptySD3LatentImage", "inputs": { "width": 256, "height": 128, "batch_size": 1 } },
        "6": { "class_type": "KSampler", "inputs": {
            "model": ["1", 0], "positive": ["3", 0], "negative": ["4", 0], "latent_image": ["5", 0],
            "seed": seed, "steps": steps, "cfg": 4.5, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
        } },
        "7": { "class_type": "VAELoader", "inputs": { "vae_name": "taesd3" } },
        "8": { "class_type": "VAEDecode", "inputs": { "samples": ["6", 0], "vae": ["7", 0] } },
        "9": { "class_type": "SaveImage", "inputs": { "images": ["8", 0], "filename_prefix": "sd3" } },
    })
}
