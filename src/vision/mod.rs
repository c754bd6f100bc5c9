//! A model that looks at pictures, behind an endpoint as `OpenAI` has it: `POST URL/chat/completions`. It
//! may be a service or a program on this machine.
//!
//! Whoever asks is answered, or told why not: no answer is never taken for a good one.

mod answer;
mod error;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use self::error::VisionError;
use crate::assets::Preview;
use crate::comfy::Server;
use crate::tls;

/// An answer larger than this is none.
const LARGEST_BODY: usize = 1 << 20;

/// Which model is asked, and where.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address before `/chat/completions`, with the key among its headers.
    pub server: Server,
    /// The model's name there.
    pub model: String,
    /// How long an answer is waited for.
    pub limit: Duration,
}

/// Asks one endpoint.
#[derive(Debug)]
pub struct Vision {
    endpoint: Option<Endpoint>,
    /// Made on first use, because making it reads certificates.
    client: OnceCell<Client>,
}

impl Vision {
    /// For an endpoint, if one is configured.
    #[must_use]
    pub fn new(endpoint: Option<Endpoint>) -> Self {
        Self {
            endpoint,
            client: OnceCell::new(),
        }
    }

    /// Whether there is anybody to ask.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.endpoint.is_some()
    }

    /// What the model says to a question about a picture: text, or with a JSON schema what fits that.
    pub async fn ask(
        &self,
        picture: &Preview,
        question: &str,
        schema: Option<&Value>,
    ) -> Result<Value, VisionError> {
        let endpoint = self.endpoint.as_ref().ok_or(VisionError::NotConfigured)?;
        let body = body(endpoint, picture, question, schema);
        let asking = self.send(endpoint, &body);
        let answered = tokio::time::timeout(endpoint.limit, asking).await;
        let bytes = answered.map_err(|_| VisionError::TimedOut {
            url: endpoint.server.url().to_owned(),
            seconds: endpoint.limit.as_secs_f64(),
        })??;
        answer::read(&bytes, schema)
    }

    async fn send(&self, endpoint: &Endpoint, body: &Value) -> Result<Vec<u8>, VisionError> {
        let away = |reason: String| VisionError::Away {
            url: endpoint.server.url().to_owned(),
            reason,
        };
        let client = self.client.get_or_try_init(|| async { client(endpoint) });
        let client = client.await.map_err(away)?;
        let url = endpoint.server.route(["chat", "completions"]);
        let sent = client.post(url).json(body).send().await;
        let mut response = sent.map_err(|error| away(causes(&error)))?;
        let status = response.status();
        let mut bytes = vec![];
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| away(causes(&error)))?
        {
            if bytes.len() + chunk.len() > LARGEST_BODY {
                let reason = format!("it is larger than {LARGEST_BODY} bytes");
                return Err(VisionError::Unreadable { reason });
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        Err(VisionError::Refused {
            url: endpoint.server.url().to_owned(),
            status: status.as_u16(),
            said: answer::complaint(&bytes),
        })
    }
}

fn client(endpoint: &Endpoint) -> Result<Client, String> {
    let server = &endpoint.server;
    let tls = if server.is_secure() {
        tls::config(&["h2", "http/1.1"])
    } else {
        tls::trusting_nobody()
    };
    let mut builder = Client::builder()
        .user_agent(concat!("MassMediaFactory/", env!("CARGO_PKG_VERSION")))
        .default_headers(server.headers().clone())
        .connect_timeout(server.timeouts().connect)
        // A redirect would carry the key elsewhere.
        .redirect(Policy::none())
        .tls_backend_preconfigured(tls.map_err(|error| error.to_string())?);
    if server.is_local() {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| error.to_string())
}

/// The request, as `OpenAI` has it.
fn body(endpoint: &Endpoint, picture: &Preview, question: &str, schema: Option<&Value>) -> Value {
    let bytes = STANDARD.encode(&picture.bytes);
    let url = format!("data:{};base64,{bytes}", picture.mime_type);
    let mut text = question.to_owned();
    if let Some(schema) = schema {
        // Many servers don't know response_format, or take it and leave it at that.
        text = format!("{text}\n\nAnswer with JSON alone, that fits this schema: {schema}");
    }
    let mut body = json!({
        "model": endpoint.model,
        "messages": [{ "role": "user", "content": [
            { "type": "text", "text": text },
            { "type": "image_url", "image_url": { "url": url } },
        ] }],
    });
    if let Some(schema) = schema {
        body["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema } });
    }
    body
}

/// An error with what is behind it: the first alone says only that something went wrong.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = vec![];
    let mut next = error.source();
    while let Some(cause) = next {
        said.push(cause.to_string());
        next = cause.source();
    }
    said.pop().unwrap_or_else(|| error.to_string())
}
