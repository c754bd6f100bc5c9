//! The workflow to look at, with the text in which its faults are shown.

use serde_json::Value;

use crate::cli::facts::Facts;
use crate::cli::workflow_file::{Format, WorkflowFile};
use crate::comfy::{BigIntegers, Workflow};
use crate::failure::Failure;

/// Longer lines were not written by hand; such a text is shown as if it had been.
const LONGEST_LINE: usize = 300;

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
    /// Whether a byte order mark stands before that.
    pub(super) marked: bool,
}

impl ApiFormat {
    /// The prompt in a file, or the one that a graph in it becomes.
    pub(super) fn of(file: WorkflowFile, facts: &Facts) -> Result<Self, Failure> {
        if file.format == Format::Ui {
            return Self::converted(&file, facts);
        }
        let WorkflowFile {
            name,
            value,
            text,
            marked,
            embedded,
            ..
        } = file;
        let big = BigIntegers::in_text(&text);
        let has_long_lines = text.lines().any(|line| line.len() > LONGEST_LINE);
        let laid_out = has_long_lines.then(|| serde_json::to_string_pretty(&big.restore(&value)));
        let verbatim = (!embedded).then(|| text.clone());
        let name = if embedded {
            format!("{name} (its prompt)")
        } else {
            name
        };
        let (name, text) = match laid_out {
            Some(Ok(laid_out)) => (format!("{name}, laid out"), laid_out),
            _ => (name, text),
        };
        let wrappers = Workflow::wrappers(&value);
        let workflow = Workflow::from_json(value)?;
        Ok(Self {
            name,
            text,
            wrappers,
            prompt: workflow.into_json(),
            big,
            verbatim,
            marked,
        })
    }

    fn converted(file: &WorkflowFile, facts: &Facts) -> Result<Self, Failure> {
        let prompt = file.converted(facts)?.into_json();
        let big = BigIntegers::in_text(&file.text);
        let text = serde_json::to_string_pretty(&big.restore(&prompt));
        Ok(Self {
            name: format!("{}, converted", file.name),
            text: text.unwrap_or_else(|_| format!("{prompt:#}")),
            wrappers: vec![],
            prompt,
            big,
            verbatim: None,
            marked: false,
        })
    }
}
