//! A workflow that a user hands over: a prompt, a saved graph, or a picture, clip or sound that
//! has either in it.

use std::io::{Cursor, Read};

use serde_json::Value;

use super::facts::Facts;
use super::report;
use crate::assets::Embedded;
use crate::clock::Clock;
use crate::comfy::Workflow;
use crate::comfy::json::{is_strict, parse_lenient};
use crate::comfy::ui::{Options, graph_in, to_api};
use crate::failure::{Code, Failure};

/// The name that stands for stdin.
const STDIN: &str = "-";

/// What was handed over.
#[derive(Debug)]
pub(super) struct WorkflowFile {
    /// How messages call it.
    pub(super) name: String,
    pub(super) format: Format,
    /// The graph, out of any wrappers; or the prompt as it was given.
    pub(super) value: Value,
    /// The JSON text that was read, without a byte order mark.
    pub(super) text: String,
    /// Whether it had one.
    pub(super) marked: bool,
    /// Whether it was in a picture, clip or sound.
    pub(super) embedded: bool,
}

/// The two formats of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A prompt, as `POST /prompt` takes it.
    Api,
    /// A graph, as the editor saves it.
    Ui,
}

impl WorkflowFile {
    /// Reads a file, or stdin where its name is `-`. Of media that have both, the prompt counts:
    /// it is what ran.
    pub(super) fn read(file: &str) -> Result<Self, Failure> {
        let (name, bytes) = if file == STDIN {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            ("stdin".to_owned(), read.map(|_| bytes))
        } else {
            (file.to_owned(), std::fs::read(file))
        };
        let bytes = bytes.map_err(|error| {
            Failure::new(Code::NOT_FOUND, format!("{name} can't be read: {error}"))
        })?;
        let media = Embedded::read(&mut Cursor::new(&bytes)).map_err(|error| {
            Failure::new(Code::NOT_FOUND, format!("{name} can't be read: {error}"))
        })?;
        let embedded = media.is_some();
        let json = match media {
            None => bytes,
            Some(found) => found.prompt.or(found.workflow).ok_or_else(|| {
                let message = format!("{name} has no workflow of ComfyUI in it");
                Failure::new(Code::NO_WORKFLOW_DATA, message)
                    .hint("it was made elsewhere, or something removed its metadata")
            })?,
        };
        let unmarked = without_mark(&json);
        let value: Value = parse_lenient(unmarked).map_err(|error| {
            Failure::new(
                Code::VALIDATION_ERROR,
                format!("{name} is not JSON: {error}"),
            )
            .hint(
                "give a workflow as JSON, in either of ComfyUI's formats, or a file that ComfyUI \
                 saved",
            )
        })?;
        let (format, value) = match graph_in(&value) {
            Some(graph) => (Format::Ui, graph.clone()),
            None => (Format::Api, value),
        };
        Ok(Self {
            name,
            format,
            value,
            text: String::from_utf8_lossy(unmarked).into_owned(),
            marked: unmarked.len() < json.len(),
            embedded,
        })
    }
}

/// What is said of a file that has more in it than JSON can say.
pub(super) fn lost(name: &str) -> String {
    format!("{name} has what JSON has no words for, such as NaN; null stands in its place")
}

/// The byte order mark of UTF-8, which some editors of Windows put before a text.
pub(super) const MARK: &str = "\u{feff}";

/// A text without a byte order mark.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK.as_bytes()).unwrap_or(text)
}

impl WorkflowFile {
    /// Tells that not all of it can be written as JSON, if so.
    pub(super) fn tell_losses(&self) {
        if !is_strict(self.text.as_bytes()) {
            report::note(format_args!("note: {}", lost(&self.name)));
        }
    }

    /// A graph as the prompt that the editor would make of it; what there is to know of that is
    /// told on stderr.
    pub(super) fn converted(&self, facts: &Facts) -> Result<Workflow, Failure> {
        let converted = to_api(&self.value, &facts.nodes, &Options::new(&Clock::default()))?;
        for note in &converted.notes {
            report::note(format_args!("note: {note}"));
        }
        Ok(converted.workflow)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> Result<WorkflowFile, Failure> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        WorkflowFile::read(file.path().to_str().unwrap())
    }

    fn png(texts: &[&[u8]]) -> Vec<u8> {
        let chunk = |text: &&[u8]| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&length, b"tEXt", *text, &[0; 4]].concat()
        };
        let chunks: Vec<u8> = texts.iter().flat_map(chunk).collect();
        [b"\x89PNG\r\n\x1a\n", &chunks[..], b"\0\0\0\0IEND\0\0\0\0"].concat()
    }

    #[test]
    fn both_formats_are_told_apart() {
        let graph = read(br#"{"nodes": [], "links": []}"#).unwrap();
        assert_eq!((graph.format, graph.embedded), (Format::Ui, false));
        let prompt = read(br#"{"1": {"class_type": "A", "inputs": {}}}"#).unwrap();
        assert_eq!((prompt.format, prompt.embedded), (Format::Api, false));
    }

    #[test]
    fn a_byte_order_mark_is_read_over() {
        let prompt = read(b"\xef\xbb\xbf{\"1\":{}}").unwrap();
        assert_eq!((&*prompt.text, prompt.marked), (r#"{"1":{}}"#, true));
    }

    #[test]
    fn of_a_picture_what_ran_goes_before_what_was_open() {
        let both = read(&png(&[b"workflow\0{\"nodes\":[]}", b"prompt\0{\"1\":{}}"])).unwrap();
        assert_eq!((both.format, both.embedded), (Format::Api, true));
        assert_eq!(both.text, r#"{"1":{}}"#);
        let graph = read(&png(&[b"workflow\0{\"nodes\":[]}"])).unwrap();
        assert_eq!(graph.format, Format::Ui);
    }

    #[test]
    fn what_has_no_workflow_is_refused_by_name() {
        assert_eq!(read(&png(&[])).unwrap_err().code, Code::NO_WORKFLOW_DATA);
        assert_eq!(read(b"hello").unwrap_err().code, Code::VALIDATION_ERROR);
        let missing = WorkflowFile::read("no/such.json").unwrap_err();
        assert!(missing.message.contains("no/such.json"), "{missing}");
    }
}
