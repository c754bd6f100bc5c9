//! What is wrong with an answer, or with the lack of one.

use std::error::Error;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::http::{Http, Request, take};
use crate::comfy::json::parse_lenient;
use crate::comfy::{ComfyError, Rejection};

impl Http {
    /// Proxies answer with web pages, also with status 200.
    pub(super) fn refuse_web_page(
        &self,
        request: &Request,
        response: &Response,
    ) -> Result<(), ComfyError> {
        let route = request.route().to_owned();
        web_page(response).map_or(Ok(()), |found| {
            Err(ComfyError::NotComfy {
                url: self.url(),
                route,
                found,
            })
        })
    }

    /// The error for a status that no caller has a meaning for.
    pub(super) async fn unexpected(&self, request: &Request, response: Response) -> ComfyError {
        let status = response.status();
        let route = request.route().to_owned();
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
        let body = match self.read(request, response).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match parse_lenient::<Value>(&body) {
            Ok(mut answer) if answer.get("error").is_some() => {
                ComfyError::Rejected(Box::new(Rejection {
                    error: take(&mut answer, "/error"),
                    node_errors: take(&mut answer, "/node_errors"),
                    missing: vec![],
                }))
            }
            _ => ComfyError::Server {
                status: StatusCode::BAD_REQUEST.as_u16(),
                route: request.route().to_owned(),
                body: excerpt(&body),
            },
        }
    }

    /// Tells the answers that `ComfyUI` itself never gives, or only to everyone alike.
    pub(super) fn refused(&self, route: &str, response: &Response) -> Result<(), ComfyError> {
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

    /// Tells in which way no answer came.
    pub(super) fn failed(&self, route: &str, error: &reqwest::Error) -> ComfyError {
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
                    self.server().timeouts().connect.as_secs_f64()
                )
            } else {
                reason
            };
            return ComfyError::Unreachable { url, reason };
        }
        if error.is_timeout() {
            let after = self.server().timeouts().answer;
            return ComfyError::NoAnswer { url, route, after };
        }
        self.note_outage();
        ComfyError::Broken { url, route, reason }
    }
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
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An IO error does not count what it wraps among its sources.
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref());
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|error| is_tls(error))
        || error.source().is_some_and(is_tls)
}
