//! A file that may have a workflow in it: a prompt, a saved graph, or a picture, clip or sound that has
//! either.

use std::io::Cursor;

use serde_json::Value;

use crate::assets::Embedded;
use crate::comfy::json::parse_lenient;
use crate::comfy::ui::graph_in;
use crate::failure::{Code, Failure};

/// The byte order mark of UTF-8, which some editors of Windows put before a text.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The two formats of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A prompt, as `POST /prompt` takes it.
    Api,
    /// A graph, as the editor saves it.
    Ui,
}

/// What a file has in it.
#[derive(Clone, Debug)]
pub struct WorkflowText {
    /// Which it is; anything that is no graph is taken for a prompt.
    pub format: Format,
    /// The graph, out of any wrappers; or the prompt as it was given.
    pub value: Value,
    /// The JSON text that was read, without a byte order mark.
    pub text: String,
    /// Whether it had one.
    pub marked: bool,
    /// Whether it was in a picture, clip or sound.
    pub embedded: bool,
}

/// Why a file has no workflow, to be read behind the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowTextError {
    /// A picture, clip or sound that ends too early.
    #[error("can't be read: {0}")]
    Media(#[from] std::io::Error),
    /// A picture, clip or sound without one.
    #[error("has no workflow of ComfyUI in it")]
    NoWorkflow,
    /// Something else than JSON.
    #[error("is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl WorkflowTextError {
    /// The failure of a file that is called so.
    #[must_use]
    pub fn of(self, name: &str) -> Failure {
        let message = format!("{name} {self}");
        match self {
            Self::Media(_) => Failure::new(Code::NOT_FOUND, message),
            Self::NoWorkflow => Failure::new(Code::NO_WORKFLOW_DATA, message)
                .hint("it was made elsewhere, or something removed its metadata"),
            Self::NotJson(_) => Failure::new(Code::VALIDATION_ERROR, message).hint(
                "give a workflow as JSON, in either of ComfyUI's formats, or a file that ComfyUI \
                 saved",
            ),
        }
    }
}

impl WorkflowText {
    /// Reads the bytes of a file. Of media that have both, the prompt counts: it is what ran.
    pub fn read(bytes: Vec<u8>) -> Result<Self, WorkflowTextError> {
        let media = Embedded::read(&mut Cursor::new(&bytes))?;
        let embedded = media.is_some();
        let json = match media {
            None => bytes,
            Some(found) => {
                let found = found.prompt.or(found.workflow);
                found.ok_or(WorkflowTextError::NoWorkflow)?
            }
        };
        let unmarked = without_mark(&json);
        let value: Value = parse_lenient(unmarked)?;
        let (format, value) = match graph_in(&value) {
            Some(graph) => (Format::Ui, graph.clone()),
            None => (Format::Api, value),
        };
        Ok(Self {
            format,
            value,
            text: String::from_utf8_lossy(unmarked).into_owned(),
            marked: unmarked.len() < json.len(),
            embedded,
        })
    }
}

/// A text without a byte order mark.
#[must_use]
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK.as_bytes())
        .unwrap_or(text)
}
