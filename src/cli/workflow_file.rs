//! A workflow that a user hands over: a prompt, a saved graph, or a picture, clip or sound that
//! has either in it.

use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::facts::Facts;
use super::report;
use crate::clock::Clock;
use crate::comfy::Workflow;
use crate::comfy::json::is_strict;
use crate::comfy::ui::{Options, UiError, to_api};
use crate::failure::{Code, Failure};
use crate::script::arguments::nearest;
pub(super) use crate::script::workflow_file::{
    BYTE_ORDER_MARK as MARK, Format, WorkflowText, without_mark,
};

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

impl WorkflowFile {
    /// Reads a file, or stdin where its name is `-`.
    pub(super) fn read(file: &str) -> Result<Self, Failure> {
        let (name, bytes) = if file == STDIN {
            let mut bytes = Vec::new();
            let read = std::io::stdin().read_to_end(&mut bytes);
            ("stdin".to_owned(), read.map(|_| bytes))
        } else {
            (file.to_owned(), std::fs::read(file))
        };
        let bytes = bytes.map_err(|error| unreadable(&name, &error))?;
        let WorkflowText {
            format,
            value,
            text,
            marked,
            embedded,
        } = WorkflowText::read(bytes).map_err(|error| error.of(&name))?;
        Ok(Self {
            name,
            format,
            value,
            text,
            marked,
            embedded,
        })
    }
}

/// A file that can't be read; of one that is not there, the one of its folder that is called most like
/// it.
fn unreadable(name: &str, error: &io::Error) -> Failure {
    if error.kind() != io::ErrorKind::NotFound {
        return Failure::new(Code::NOT_FOUND, format!("{name} can't be read: {error}"));
    }
    let failure = Failure::new(Code::NOT_FOUND, format!("there is no file {name}"));
    let path = Path::new(name);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        let folder = folder.unwrap_or(path).display();
        return failure.hint(format!("there is no folder {folder}, either"));
    };
    let names = entries.flatten().filter(|entry| entry.path().is_file());
    let names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(like) => {
            let like = path.with_file_name(like);
            failure.hint(format!("did you mean {}?", like.display()))
        }
        None => failure.hint("relative paths begin at the folder that mmf is started in"),
    }
}

/// What is said of a file that has more in it than JSON can say.
pub(super) fn lost(name: &str) -> String {
    format!("{name} has what JSON has no words for, such as NaN; null stands in its place")
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
        Ok(self.converted_by(facts, &options(facts))?)
    }

    /// The same for `--as-is`: where that is given, also what is wrong because the graph was saved
    /// with other versions of its classes.
    pub(super) fn converted_as_is(&self, facts: &Facts, as_is: bool) -> Result<Workflow, Failure> {
        let options = Options {
            as_is,
            ..options(facts)
        };
        self.converted_by(facts, &options).map_err(with_as_is)
    }

    fn converted_by(&self, facts: &Facts, options: &Options) -> Result<Workflow, UiError> {
        let converted = to_api(&self.value, &facts.nodes, options)?;
        for note in &converted.notes {
            report::note(format_args!("note: {note}"));
        }
        Ok(converted.workflow)
    }
}

fn options(facts: &Facts) -> Options {
    Options {
        editor: facts.editor(),
        ..Options::new(&Clock::default())
    }
}

/// The failure of a command that takes `--as-is`, with that among what to do.
pub(super) fn with_as_is(error: UiError) -> Failure {
    let is_avoidable = error.is_avoidable();
    let failure = Failure::from(error);
    if !is_avoidable {
        return failure;
    }
    failure.or_hint("add --as-is for what ComfyUI's editor would send")
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
