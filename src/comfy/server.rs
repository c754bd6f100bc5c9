//! Where a `ComfyUI` is and how it is greeted: address, base path, headers, account, time limits.
//!
//! Headers, the account's key and the credentials of an address are secrets. They are kept apart from the address as
//! soon as it is parsed, and neither `Debug` nor `Display` nor any error shows them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use crate::failure::{Code, Failure};

/// The address at which a locally started `ComfyUI` listens.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8188";

/// One `ComfyUI`: its address, the headers that every request and socket carries, and how long to
/// wait for it.
#[derive(Clone)]
pub struct Server {
    base: Url,
    headers: HeaderMap,
    account_key: Option<Arc<str>>,
    timeouts: Timeouts,
}

/// How long the client waits for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, of HTTP or of the socket.
    pub connect: Duration,
    /// Without any byte of an answer. A server that loads a model answers late, because its
    /// interpreter is busy.
    pub answer: Duration,
    /// For the search in queue and history after the answer to a submission was lost.
    pub recovery: Duration,
    /// How long a server may be away in the middle of a job before waiting for the job is given up.
    pub outage: Duration,
    /// Between two pings on the socket; after three without any sign of life it counts as dead.
    pub ping: Duration,
    /// For the socket to stay open without any job of ours that is watched, and for how long a job
    /// that nobody watches counts after the last that was heard of it.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(60),
            recovery: Duration::from_secs(10),
            outage: Duration::from_secs(120),
            ping: Duration::from_secs(20),
            idle: Duration::from_secs(300),
        }
    }
}

/// Why an address or a header can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Not an address at all.
    #[error("the address of ComfyUI can't be read: {reason}")]
    Address {
        /// What the parser says; never the address itself, which may hold a password.
        reason: String,
    },
    /// Neither http nor https.
    #[error("ComfyUI is reached over http or https, not over {scheme}")]
    Scheme {
        /// What the address begins with.
        scheme: String,
    },
    /// A query or fragment, which a base address can't have.
    #[error("the address of ComfyUI ends with its path, without ? and #")]
    Query,
    /// The name of a header has characters that names can't have.
    #[error("\"{name}\" is not the name of a header")]
    HeaderName {
        /// The name as given.
        name: String,
    },
    /// The value has characters that values can't have, such as line breaks.
    #[error("the value of the header \"{name}\" has characters that headers can't have")]
    HeaderValue {
        /// The header's name; its value is a secret.
        name: String,
    },
    /// `ComfyUI` refuses foreign origins with 403.
    #[error("an Origin header makes ComfyUI take the client for a web page and refuse it")]
    Origin,
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let hint = match error {
            ServerError::HeaderName { .. } | ServerError::HeaderValue { .. } => {
                "write headers as \"Name: value\", for example \"Authorization: Bearer ...\""
            }
            ServerError::Origin => "leave the Origin header out",
            _ => "write the address like http://127.0.0.1:8188 or https://gpu.example.com/comfy",
        };
        Self::new(Code::INVALID_PARAMS, error.to_string()).hint(hint)
    }
}

impl Server {
    /// Reads an address: `http://host:8188`, `https://host/base/path`, or bare `host:8188`, which
    /// means http. A user name and password in it become a basic `Authorization` header.
    pub fn parse(address: &str) -> Result<Self, ServerError> {
        let address = address.trim();
        let full = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let mut base = Url::parse(&full).map_err(|error| ServerError::Address {
            reason: error.to_string(),
        })?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(ServerError::Scheme {
                scheme: base.scheme().to_owned(),
            });
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(ServerError::Query);
        }
        let mut headers = HeaderMap::new();
        if let Some(authorization) = basic_authorization(&base)? {
            headers.insert(AUTHORIZATION, authorization);
        }
        // Neither fails for http and https addresses, which always have a host.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self {
            base,
            headers,
            account_key: None,
            timeouts: Timeouts::default(),
        })
    }

    /// Adds a header to every request and to the socket; one of the same name is replaced.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, ServerError> {
        let parsed = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| {
            ServerError::HeaderName {
                name: name.to_owned(),
            }
        })?;
        if parsed == ORIGIN {
            return Err(ServerError::Origin);
        }
        let mut value =
            HeaderValue::from_str(value.trim()).map_err(|_| ServerError::HeaderValue {
                name: name.to_owned(),
            })?;
        value.set_sensitive(true);
        self.headers.insert(parsed, value);
        Ok(self)
    }

    /// With the key of an account of comfy.org, for prompts whose nodes run elsewhere. It is a secret
    /// as the headers are.
    #[must_use]
    pub fn with_account_key(mut self, key: &str) -> Self {
        self.account_key = Some(key.into());
        self
    }

    /// The key of the account that pays for partner nodes.
    #[must_use]
    pub fn account_key(&self) -> Option<&str> {
        self.account_key.as_deref()
    }

    /// The same server with other time limits.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The time limits.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The address without credentials and without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether the server runs on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.base.host_str() {
            Some("localhost") => true,
            Some(host) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host.parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
            None => false,
        }
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// What every request carries.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The address of a route below the base path, each segment escaped.
    pub(crate) fn route<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The socket's address for a client id.
    pub(super) fn socket_url(&self, client_id: &str) -> Url {
        let mut url = self.route(["ws"]);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // Changing between special schemes always succeeds.
        let _ = url.set_scheme(scheme);
        url.query_pairs_mut().append_pair("clientId", client_id);
        url
    }
}

fn basic_authorization(url: &Url) -> Result<Option<HeaderValue>, ServerError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let [user, password] = [url.username(), url.password().unwrap_or_default()].map(unescape);
    let mut login = user;
    login.push(b':');
    login.extend(password);
    let text = format!("Basic {}", BASE64.encode(login));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ServerError::HeaderValue {
        name: "Authorization".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Resolves `%41` escapes; what is no escape stays as it is.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = (first == b'%').then(|| tail.get(..2)).flatten();
        let code = escape
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Server")
            .field("url", &self.url())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_stays_before_every_route() {
        for address in [
            "https://gpu.example.com/comfy",
            "https://gpu.example.com/comfy/",
        ] {
            let server = Server::parse(address).unwrap();
            assert_eq!(server.url(), "https://gpu.example.com/comfy");
            let route = server.route(["models", "my loras"]);
            assert_eq!(
                route.as_str(),
                "https://gpu.example.com/comfy/models/my%20loras"
            );
            let socket = server.socket_url("abc");
            assert_eq!(
                socket.as_str(),
                "wss://gpu.example.com/comfy/ws?clientId=abc"
            );
        }
    }

    #[test]
    fn an_address_without_a_scheme_means_http() {
        for (address, url) in [
            ("localhost:8188", "http://localhost:8188"),
            (" 127.0.0.1:8188 ", "http://127.0.0.1:8188"),
            ("[::1]:8188", "http://[::1]:8188"),
        ] {
            let server = Server::parse(address).unwrap();
            assert_eq!(server.url(), url);
            assert!(server.is_local());
        }
    }

    #[test]
    fn secrets_are_sent_but_never_shown() {
        let server = Server::parse("http://me:p%40ss@host:8188")
            .unwrap()
            .header("X-Api-Key", "tr0ub4dor")
            .unwrap();
        let sent = server.headers()[AUTHORIZATION].to_str().unwrap();
        assert_eq!(sent, "Basic bWU6cEBzcw==");
        for shown in [
            server.to_string(),
            format!("{server:?}"),
            server.route(["ws"]).to_string(),
        ] {
            for secret in ["p%40ss", "p@ss", "bWU6", "tr0ub4dor", "me:"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        let error = server.header("X-Api-Key", "line\nbreak").unwrap_err();
        assert!(!error.to_string().contains("break"), "{error}");
    }

    #[test]
    fn what_cannot_be_an_address_is_explained() {
        for (address, error) in [
            (
                "ftp://host",
                "ComfyUI is reached over http or https, not over ftp",
            ),
            (
                "http://host/?a=b",
                "the address of ComfyUI ends with its path, without ? and #",
            ),
            (
                "http://",
                "the address of ComfyUI can't be read: empty host",
            ),
        ] {
            assert_eq!(Server::parse(address).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn an_origin_header_is_refused() {
        let server = Server::parse(DEFAULT_URL).unwrap();
        assert_eq!(
            server.header("origin", "x").unwrap_err(),
            ServerError::Origin
        );
    }
}
