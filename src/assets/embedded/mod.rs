//! The prompt and the graph that `ComfyUI` writes into what it saves.
//!
//! PNG files carry them in text chunks called `prompt` and `workflow` (animated ones of
//! `SaveAnimatedPNG` in chunks `comf`), WebP and JPEG files in their EXIF data, in entries that
//! begin with `prompt:` and `workflow:`, clips and sounds in the tags of those names. Only files
//! that begin as such media do are looked into, and nothing of any other is ever told.

mod clip;
mod picture;
mod sound;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// The most bytes that a prompt may have. The largest seen in the wild have 10 MB.
const LIMIT: u64 = 64 << 20;

/// Why no prompt could be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Not there, or not readable.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a kind of file that could have a prompt.
    #[error("{} is no picture, clip or sound of a kind that ComfyUI writes prompts into", .0.display())]
    NoMedia(PathBuf),
    /// Media without a prompt.
    #[error("{} has no prompt of ComfyUI in it{}", path.display(), if *editor { ", only the editor's own format" } else { "" })]
    NoPrompt {
        /// The file.
        path: PathBuf,
        /// Whether there is a workflow in the editor's format.
        editor: bool,
    },
}

impl From<EmbeddedError> for Failure {
    fn from(error: EmbeddedError) -> Self {
        let (code, hint) = match &error {
            EmbeddedError::Read { .. } => (
                Code::SOURCE_NOT_FOUND,
                "give the path of a file that ComfyUI saved",
            ),
            EmbeddedError::NoMedia(_) => (
                Code::UNSUPPORTED_TYPE,
                "ComfyUI writes prompts into PNG, WebP, MP4, WebM, FLAC and Ogg files",
            ),
            EmbeddedError::NoPrompt { editor: true, .. } => (
                Code::NO_WORKFLOW_DATA,
                "convert it with `mmf convert FILE --to api`, or open it in ComfyUI and use \
                 Workflow > Export (API)",
            ),
            EmbeddedError::NoPrompt { editor: false, .. } => (
                Code::NO_WORKFLOW_DATA,
                "it was made elsewhere, or something removed its metadata",
            ),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

/// What `ComfyUI` wrote into a file, as the JSON texts that are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedded {
    /// What ran.
    pub prompt: Option<Vec<u8>>,
    /// The graph that was open in the editor then.
    pub workflow: Option<Vec<u8>>,
}

impl Embedded {
    /// What is in a file whose bytes are at hand; `None` if it is no such media. One that was cut
    /// off has what stands before the cut.
    pub fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let mut start = Vec::with_capacity(12);
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(12).read_to_end(&mut start)?;
        let mut found = Self::default();
        let read = match start.as_slice() {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => {
                picture::in_webp(file, &mut found)
            }
            start if start.starts_with(&picture::PNG) => picture::in_png(file, &mut found),
            [0xff, 0xd8, 0xff, ..] => picture::in_jpeg(file, &mut found),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => clip::in_mp4(file, &mut found),
            [0x1a, 0x45, 0xdf, 0xa3, ..] => clip::in_matroska(file, &mut found),
            [b'f', b'L', b'a', b'C', ..] => sound::in_flac(file, &mut found),
            [b'O', b'g', b'g', b'S', ..] => sound::in_ogg(file, &mut found),
            _ => return Ok(None),
        };
        match read {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(Some(found)),
        }
    }

    /// What is in the file at a path.
    pub fn of_file(path: &Path) -> Result<Self, EmbeddedError> {
        let failed = |source| EmbeddedError::Read {
            path: path.to_owned(),
            source,
        };
        let no_media = || EmbeddedError::NoMedia(path.to_owned());
        // Looked at before it's opened: opening a pipe would wait for its other end.
        if !path.metadata().map_err(failed)?.is_file() {
            return Err(no_media());
        }
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        Self::read(&mut file).map_err(failed)?.ok_or_else(no_media)
    }

    fn is_complete(&self) -> bool {
        self.prompt.is_some() && self.workflow.is_some()
    }

    /// Takes up a text by the name it has in the file; the first of each counts.
    fn note(&mut self, name: &[u8], text: impl FnOnce() -> Option<Vec<u8>>) {
        if name.eq_ignore_ascii_case(b"comment") || name == b"\xa9cmt" {
            // VideoHelperSuite puts both into one.
            let both = text().and_then(|text| serde_json::from_slice::<Map<_, _>>(&text).ok());
            for (name, value) in both.into_iter().flatten() {
                if let Some(place) = self.place(name.as_bytes()) {
                    *place = Some(json_text(value));
                }
            }
        } else if let Some(place) = self.place(name) {
            *place = text();
        }
    }

    /// Where a text of that name goes, if there is none yet.
    fn place(&mut self, name: &[u8]) -> Option<&mut Option<Vec<u8>>> {
        let place = if name.eq_ignore_ascii_case(b"prompt") {
            &mut self.prompt
        } else if name.eq_ignore_ascii_case(b"workflow") {
            &mut self.workflow
        } else {
            return None;
        };
        place.is_none().then_some(place)
    }
}

/// A part of a JSON text; some are texts again.
fn json_text(value: Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.into_bytes(),
        value => value.to_string().into_bytes(),
    }
}

/// The prompt in a file, as the JSON text that is in it.
pub fn embedded_prompt(path: &Path) -> Result<Vec<u8>, EmbeddedError> {
    let found = Embedded::of_file(path)?;
    found.prompt.ok_or_else(|| EmbeddedError::NoPrompt {
        path: path.to_owned(),
        editor: found.workflow.is_some(),
    })
}

/// A block of that length, if it isn't longer than a prompt may be; else it is passed over.
fn block(file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<Vec<u8>>> {
    if length > LIMIT {
        file.seek_relative(i64::try_from(length).unwrap_or(i64::MAX))?;
        return Ok(None);
    }
    let mut block = Vec::new();
    file.by_ref().take(length).read_to_end(&mut block)?;
    if block.len() as u64 == length {
        Ok(Some(block))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_no_media_is_not_looked_into() {
        let secret = b"-----BEGIN OPENSSH PRIVATE KEY----- prompt\0{}";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(secret).unwrap();
        let error = embedded_prompt(file.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::NoMedia(_)));
        assert!(!error.to_string().contains("OPENSSH"));
        assert!(matches!(
            embedded_prompt(Path::new("/")),
            Err(EmbeddedError::NoMedia(_) | EmbeddedError::Read { .. })
        ));
    }

    #[test]
    fn a_comment_may_have_both() {
        let mut found = Embedded::default();
        let comment = br#"{"prompt": "{\"1\": {}}", "workflow": {"nodes": []}, "CreationTime": 5}"#;
        found.note(b"COMMENT", || Some(comment.to_vec()));
        assert_eq!(found.prompt.unwrap(), br#"{"1": {}}"#);
        assert_eq!(found.workflow.unwrap(), br#"{"nodes":[]}"#);
    }
}
