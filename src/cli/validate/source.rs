//! The workflow to look at: out of a file, a picture or stdin.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

use super::facts::Facts;
use crate::assets::{EmbeddedError, embedded_prompt};
use crate::comfy::json::parse_lenient;
use crate::comfy::{BigIntegers, Workflow};
use crate::failure::{Code, Failure};

/// Longer lines were not written by hand; such a text is shown as if it had been.
const LONGEST_LINE: usize = 300;

/// What was given, in whatever format.
pub(super) struct Given {
    /// What people know it by.
    name: String,
    text: String,
    value: Value,
    is_picture: bool,
}

/// A workflow in API format with the text in which it is shown.
pub(super) struct ApiFormat {
    /// What people know it by.
    pub(super) name: String,
    /// The text that places are told in.
    pub(super) text: String,
    /// The keys that lead to the nodes.
    pub(super) wrappers: Vec<&'static str>,
    /// The nodes.
    pub(super) prompt: Value,
    pub(super) big: BigIntegers,
    /// The file's own text, if that is in API format.
    pub(super) verbatim: Option<String>,
}

impl Given {
    /// Reads a file, or stdin for `-`: JSON, or a picture with a prompt in it.
    pub(super) fn read(file: &str) -> Result<Self, Failure> {
        let (name, bytes) = if file == "-" {
            let mut bytes = vec![];
            let read = std::io::stdin().read_to_end(&mut bytes);
            read.map_err(|error| unreadable("stdin", &error))?;
            ("stdin".to_owned(), bytes)
        } else {
            let read = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
            (file.to_owned(), read)
        };
        let is_picture = bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"RIFF");
        let (name, bytes) = if is_picture {
            let prompt = prompt_in(file, &bytes)?;
            (format!("{name} (its prompt)"), prompt)
        } else {
            (name, bytes)
        };
        let value: Value = parse_lenient(&bytes).map_err(|error| {
            Failure::new(
                Code::VALIDATION_ERROR,
                format!("{name} is no JSON: {error}"),
            )
            .hint("pass a workflow as JSON, or a picture that ComfyUI saved")
        })?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self {
            name,
            text,
            value,
            is_picture,
        })
    }

    /// The workflow in API format.
    pub(super) fn in_api_format(self, _facts: &Facts) -> Result<ApiFormat, Failure> {
        let Self {
            name,
            text,
            value,
            is_picture,
        } = self;
        let big = BigIntegers::in_text(&text);
        let has_long_lines = text.lines().any(|line| line.len() > LONGEST_LINE);
        let laid_out = has_long_lines.then(|| serde_json::to_string_pretty(&big.restore(&value)));
        let verbatim = (!is_picture).then(|| text.clone());
        let (name, text) = match laid_out {
            Some(Ok(laid_out)) => (format!("{name}, laid out"), laid_out),
            _ => (name, text),
        };
        let wrappers = Workflow::wrappers(&value);
        // The one place where the editor's format is refused; the facts to convert it are at hand.
        let workflow = Workflow::from_json(value)?;
        Ok(ApiFormat {
            name,
            text,
            wrappers,
            prompt: workflow.into_json(),
            big,
            verbatim,
        })
    }
}

/// The prompt in a picture; one from stdin is put into a file to be looked through.
fn prompt_in(file: &str, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    if file != "-" {
        return Ok(embedded_prompt(Path::new(file))?);
    }
    let failed = |source| EmbeddedError::Read {
        path: "stdin".into(),
        source,
    };
    let mut kept = tempfile::NamedTempFile::new().map_err(failed)?;
    kept.write_all(bytes).map_err(failed)?;
    Ok(embedded_prompt(kept.path())?)
}

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Code::NOT_FOUND, format!("{name} can't be read: {error}"))
        .hint("pass a workflow's file, or - for stdin")
}
