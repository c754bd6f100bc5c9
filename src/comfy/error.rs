//! Everything that can go wrong between this program and a `ComfyUI`, told apart by what a person
//! would do about it.

use std::time::Duration;

use serde_json::{Value, json};

use super::missing::MissingModel;
use crate::failure::{Code, Failure};

/// Why a request to `ComfyUI` failed.
///
/// That a job failed is no error of the client: see [`Outcome`](super::Outcome).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ComfyError {
    /// Nothing listens there, or the name can't be resolved.
    #[error("can't reach ComfyUI at {url}: {reason}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The certificate or the TLS handshake is not acceptable.
    #[error("no secure connection to {url}: {reason}")]
    Tls {
        /// The server's address.
        url: String,
        /// What the TLS library said.
        reason: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {url} broke in the middle of {route}: {reason}")]
    Broken {
        /// The server's address.
        url: String,
        /// What was asked.
        route: String,
        /// What the system said.
        reason: String,
    },
    /// No byte came for too long.
    #[error("ComfyUI at {url} did not answer {route} within {} s", .after.as_secs_f64())]
    NoAnswer {
        /// The server's address.
        url: String,
        /// What was asked.
        route: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// 401.
    #[error("{url} asks for credentials")]
    Unauthorized {
        /// The server's address.
        url: String,
    },
    /// 403: wrong credentials at a proxy, or `ComfyUI`'s own check of the origin.
    #[error("{url} refuses {route}")]
    Forbidden {
        /// The server's address.
        url: String,
        /// What was asked.
        route: String,
    },
    /// 3xx: a login page, or http where https is meant.
    #[error("{url} redirects {route} to {to}")]
    Redirected {
        /// The server's address.
        url: String,
        /// What was asked.
        route: String,
        /// The target, without its query.
        to: String,
    },
    /// 413.
    #[error("the server takes no body of that size for {route}")]
    TooLarge {
        /// What was asked.
        route: String,
    },
    /// 502, 503 or 504 from a proxy before `ComfyUI`.
    #[error("the proxy at {url} answers {status}: it can't reach ComfyUI")]
    Gateway {
        /// The server's address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Something answers, but not as `ComfyUI` does.
    #[error("what answers {route} at {url} is not ComfyUI: {found}")]
    NotComfy {
        /// The server's address.
        url: String,
        /// What was asked.
        route: String,
        /// What came instead.
        found: String,
    },
    /// `ComfyUI` itself failed while it handled the request.
    #[error("ComfyUI answers {status} to {route}: {body}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// What was asked.
        route: String,
        /// The beginning of the body.
        body: String,
    },
    /// JSON of another shape than `ComfyUI` sends.
    #[error("the answer to {route} can't be read: {reason}")]
    Malformed {
        /// What was asked.
        route: String,
        /// What is wrong with it.
        reason: String,
    },
    /// 400 to a workflow.
    #[error("ComfyUI rejects the workflow: {}", .0.summary())]
    Rejected(Box<Rejection>),
    /// The answer to a submission was lost and neither queue nor history show the job (yet).
    #[error(
        "the answer to the submission of {prompt_id} was lost, it may have been queued: {reason}"
    )]
    MaybeQueued {
        /// The id under which it would be found.
        prompt_id: String,
        /// How the answer was lost.
        reason: String,
    },
    /// The job did not end in time. It goes on.
    #[error("{prompt_id} is still {still} after {} s", .after.as_secs_f64())]
    Timeout {
        /// The job.
        prompt_id: String,
        /// The time that was allowed.
        after: Duration,
        /// `queued` or `running`; `unknown` while the server is away.
        still: &'static str,
    },
    /// The caller stopped waiting. The job goes on.
    #[error("stopped waiting for {prompt_id}")]
    Stopped {
        /// The job.
        prompt_id: String,
    },
    /// Neither queued, nor running, nor in the history.
    #[error("ComfyUI knows no job {prompt_id}")]
    UnknownJob {
        /// The id asked for.
        prompt_id: String,
    },
    /// This server could only interrupt whatever runs, which may be somebody else's job.
    #[error("this ComfyUI can't interrupt {prompt_id} alone")]
    CannotInterruptAlone {
        /// The job.
        prompt_id: String,
    },
    /// What runs was submitted by somebody else, and nobody named it.
    #[error("the job that runs, {prompt_id}, is another client's or session's")]
    NotOurs {
        /// The job.
        prompt_id: String,
    },
    /// The server is too old for what was asked.
    #[error("this ComfyUI ({version}) can't do {what}, which came with {since}")]
    Unsupported {
        /// What was asked.
        what: &'static str,
        /// The first version that can.
        since: &'static str,
        /// The server's version.
        version: String,
    },
    /// 404 to a file of an output or input folder.
    #[error("ComfyUI has no file {file}")]
    NoSuchFile {
        /// `subfolder/name [type]`.
        file: String,
    },
    /// 404 to a model folder.
    #[error("ComfyUI has no model folder \"{folder}\"")]
    NoSuchFolder {
        /// The name asked for.
        folder: String,
    },
    /// 400 to an upload.
    #[error("ComfyUI does not take the file {name}: {reason}")]
    UploadRefused {
        /// The file's name.
        name: String,
        /// What the server says.
        reason: String,
    },
}

/// The body of a 400 to `POST /prompt`, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// `{type, message, details, extra_info}`.
    pub error: Value,
    /// `{node id: {class_type, errors: [{type, message, details, extra_info}], dependent_outputs}}`.
    pub node_errors: Value,
    /// The model files among what it does not know.
    pub missing: Vec<MissingModel>,
}

impl Rejection {
    /// What to do about it.
    fn hint(&self) -> String {
        const UNKNOWN_FILES: [&str; 3] = ["image", "audio", "video"];
        if !self.missing.is_empty() {
            let advice: Vec<String> = self.missing.iter().map(MissingModel::advice).collect();
            return advice.join("; ");
        }
        let complaint = self.findings().collect::<Vec<_>>().join("; ");
        let is_unknown = |what: &&str| complaint.contains(&format!("Invalid {what} file"));
        if UNKNOWN_FILES.iter().any(is_unknown) {
            return "upload the file first, with upload_image, and pass the name that it gives"
                .to_owned();
        }
        if self.names("missing_node_type") {
            return "search_nodes finds classes by name and by what they do".to_owned();
        }
        "validate_workflow tells all that is wrong with it, validate_and_fix_workflow mends what it can"
            .to_owned()
    }

    /// One line: the error, or what the first faulty nodes say.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut findings: Vec<String> = self.findings().collect();
        let more = findings.len().saturating_sub(3);
        findings.truncate(3);
        if findings.is_empty() {
            return sentence(&self.error).unwrap_or_else(|| self.error.to_string());
        }
        if more > 0 {
            findings.push(format!("and {more} more"));
        }
        findings.join("; ")
    }

    fn findings(&self) -> impl Iterator<Item = String> {
        let nodes = self.node_errors.as_object().into_iter().flatten();
        nodes.flat_map(|(id, node)| {
            let class = node["class_type"].as_str().unwrap_or("?");
            let errors = node["errors"].as_array().into_iter().flatten();
            errors
                .filter_map(move |error| Some(format!("node {id} ({class}): {}", sentence(error)?)))
        })
    }

    /// Whether an error of this type is among those of the nodes, or is the error itself.
    #[must_use]
    pub fn names(&self, error_type: &str) -> bool {
        let nodes = self.node_errors.as_object().into_iter().flatten();
        let errors = nodes.flat_map(|(_, node)| node["errors"].as_array().into_iter().flatten());
        errors
            .chain([&self.error])
            .any(|error| error["type"] == error_type)
    }
}

fn sentence(error: &Value) -> Option<String> {
    let message = error["message"].as_str()?;
    Some(match error["details"].as_str() {
        Some(details) if !details.is_empty() => format!("{message}: {details}"),
        _ => message.to_owned(),
    })
}

impl ComfyError {
    /// Whether the server could not be talked to at all, so that the same request may work later.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Broken { .. }
                | Self::NoAnswer { .. }
                | Self::Gateway { .. }
        )
    }

    fn code(&self) -> Code {
        match self {
            Self::Rejected(_) | Self::UploadRefused { .. } => Code::VALIDATION_ERROR,
            Self::Timeout { .. } => Code::TIMEOUT,
            Self::Stopped { .. } => Code::CANCELLED,
            Self::UnknownJob { .. } | Self::NoSuchFile { .. } | Self::NoSuchFolder { .. } => {
                Code::NOT_FOUND
            }
            Self::NotOurs { .. } => Code::NOT_ALLOWED,
            Self::TooLarge { .. }
            | Self::Server { .. }
            | Self::CannotInterruptAlone { .. }
            | Self::Unsupported { .. } => Code::TOOL_ERROR,
            _ => Code::CONNECTION_ERROR,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } => {
                "start ComfyUI, or set COMFYUI_URL to where it listens (a ComfyUI on another \
                 machine must be started with --listen)"
            }
            Self::Tls { .. } => {
                "check the certificate, SSL_CERT_FILE for a private authority, or use http:// if \
                 the server has no TLS"
            }
            Self::Broken { .. } => "see ComfyUI's log, it may have crashed",
            Self::NoAnswer { .. } => "ComfyUI may be loading a model; try again in a moment",
            Self::Unauthorized { .. } => {
                "set COMFYUI_HEADERS, for example \"Authorization: Bearer ...\""
            }
            Self::Forbidden { .. } => {
                "check the credentials in COMFYUI_HEADERS and what the proxy before ComfyUI allows"
            }
            Self::Redirected { .. } => {
                "set COMFYUI_URL to the final address; if that is a login page, set COMFYUI_HEADERS"
            }
            Self::TooLarge { .. } => {
                "start ComfyUI with a larger --max-upload-size (MB, 100 by default), or raise the \
                 proxy's limit"
            }
            Self::Gateway { .. } => "start ComfyUI behind the proxy, or correct the proxy's target",
            Self::NotComfy { .. } => "set COMFYUI_URL to ComfyUI itself, with its base path if any",
            Self::Server { .. } => "see ComfyUI's log for the traceback",
            Self::MaybeQueued { .. } => {
                "look for the prompt_id in queue and history before submitting again"
            }
            Self::Timeout { .. } => "the job goes on; wait again with its prompt_id, or cancel it",
            Self::CannotInterruptAlone { .. } => {
                "update ComfyUI to 0.3.57 or later, or interrupt whatever runs"
            }
            Self::NotOurs { .. } => "to stop it all the same, name its prompt_id",
            Self::Unsupported { .. } => "update ComfyUI",
            Self::NoSuchFile { .. } => {
                "it was deleted, or was a temporary file that a restart of ComfyUI removed"
            }
            Self::NoSuchFolder { .. } => {
                "get_all_models without a folder lists them; unet is diffusion_models and clip is text_encoders there"
            }
            Self::UnknownJob { .. } => "ComfyUI forgets its jobs when it is restarted",
            Self::Rejected(_)
            | Self::Malformed { .. }
            | Self::Stopped { .. }
            | Self::UploadRefused { .. } => return None,
        })
    }
}

impl From<ComfyError> for Failure {
    fn from(error: ComfyError) -> Self {
        let mut failure = Self::new(error.code(), error.to_string());
        failure.hint = error.hint().map(str::to_owned);
        match error {
            ComfyError::Rejected(rejection) => {
                failure.hint = Some(rejection.hint());
                if !rejection.missing.is_empty() {
                    failure = failure.detail("missing_models", json!(rejection.missing));
                }
                failure
                    .detail("server_error", rejection.error)
                    .detail("node_errors", rejection.node_errors)
            }
            ComfyError::Timeout {
                prompt_id, still, ..
            } => failure
                .detail("prompt_id", prompt_id)
                .detail("status", still),
            ComfyError::MaybeQueued { prompt_id, .. } => failure
                .detail("prompt_id", prompt_id)
                .detail("maybe_queued", true),
            ComfyError::Stopped { prompt_id }
            | ComfyError::UnknownJob { prompt_id }
            | ComfyError::NotOurs { prompt_id }
            | ComfyError::CannotInterruptAlone { prompt_id } => {
                failure.detail("prompt_id", prompt_id)
            }
            ComfyError::Unreachable { url, .. }
            | ComfyError::Tls { url, .. }
            | ComfyError::Broken { url, .. }
            | ComfyError::NoAnswer { url, .. }
            | ComfyError::Unauthorized { url }
            | ComfyError::Forbidden { url, .. }
            | ComfyError::Redirected { url, .. }
            | ComfyError::Gateway { url, .. }
            | ComfyError::NotComfy { url, .. } => failure.detail("url", url),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_names_the_faulty_inputs_and_keeps_the_whole_body() {
        let node_errors = json!({ "3": {
            "class_type": "KSampler",
            "errors": [{
                "type": "value_smaller_than_min",
                "message": "Value 0 smaller than min of 1",
                "details": "steps",
                "extra_info": {},
            }],
            "dependent_outputs": ["9"],
        }});
        let error = ComfyError::Rejected(Box::new(Rejection {
            error: json!({ "type": "prompt_outputs_failed_validation", "message": "m", "details": "" }),
            node_errors: node_errors.clone(),
            missing: vec![],
        }));
        assert_eq!(
            error.to_string(),
            "ComfyUI rejects the workflow: node 3 (KSampler): Value 0 smaller than min of 1: steps"
        );
        let failure = Failure::from(error);
        assert_eq!(failure.code, Code::VALIDATION_ERROR);
        assert_eq!(failure.details["node_errors"], node_errors);
        assert_eq!(
            failure.details["server_error"]["type"],
            "prompt_outputs_failed_validation"
        );
    }

    #[test]
    fn a_lost_answer_tells_under_which_id_to_look() {
        let failure = Failure::from(ComfyError::MaybeQueued {
            prompt_id: "p".to_owned(),
            reason: "reset".to_owned(),
        });
        assert_eq!(failure.details["prompt_id"], "p");
        assert_eq!(failure.details["maybe_queued"], true);
    }
}
