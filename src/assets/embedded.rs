//! The prompt that `ComfyUI` writes into the pictures it saves.
//!
//! PNG files carry it in a text chunk called `prompt` (animated ones of `SaveAnimatedPNG` in a
//! chunk `comf`), WebP files in their EXIF data, in an entry that begins with `prompt:`. Only
//! files that begin as pictures do are looked into, and nothing of any other is ever told.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;

use crate::failure::{Code, Failure};

/// The most bytes that a prompt may have. The largest seen in the wild have 10 MB.
const LIMIT: u64 = 64 << 20;

const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

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
    /// Neither a PNG nor a WebP file.
    #[error("{} is neither a PNG nor a WebP picture", .0.display())]
    NoPicture(PathBuf),
    /// A picture without a prompt.
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
                "give the path of a picture that ComfyUI saved",
            ),
            EmbeddedError::NoPicture(_) => (
                Code::UNSUPPORTED_TYPE,
                "ComfyUI writes prompts into PNG and WebP files",
            ),
            EmbeddedError::NoPrompt { editor: true, .. } => (
                Code::NO_WORKFLOW_DATA,
                "open it in ComfyUI and use Workflow > Export (API)",
            ),
            EmbeddedError::NoPrompt { editor: false, .. } => (
                Code::NO_WORKFLOW_DATA,
                "it was made elsewhere, or something removed its metadata",
            ),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

/// The prompt in a picture, as the JSON text that is in it.
pub fn embedded_prompt(path: &Path) -> Result<Vec<u8>, EmbeddedError> {
    let failed = |source| EmbeddedError::Read {
        path: path.to_owned(),
        source,
    };
    // Looked at before it's opened: opening a pipe would wait for its other end.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(EmbeddedError::NoPicture(path.to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let mut file = BufReader::new(file);
    let mut start = [0; 12];
    let found = match file.read_exact(&mut start) {
        Ok(()) if start.starts_with(&PNG) => in_png(&mut file),
        Ok(()) if start.starts_with(b"RIFF") && start.ends_with(b"WEBP") => in_webp(&mut file),
        _ => return Err(EmbeddedError::NoPicture(path.to_owned())),
    };
    let found = match found {
        Ok(found) => found,
        // A picture that was cut off has what stands before the cut.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Found::default(),
        Err(error) => return Err(failed(error)),
    };
    found.prompt.ok_or_else(|| EmbeddedError::NoPrompt {
        path: path.to_owned(),
        editor: found.editor,
    })
}

#[derive(Default)]
struct Found {
    prompt: Option<Vec<u8>>,
    editor: bool,
}

impl Found {
    fn note(&mut self, keyword: &[u8], text: impl FnOnce() -> Option<Vec<u8>>) {
        match keyword {
            b"prompt" if self.prompt.is_none() => self.prompt = text(),
            b"workflow" => self.editor = true,
            _ => {}
        }
    }
}

/// Goes from chunk to chunk without reading the picture itself.
fn in_png(file: &mut (impl Read + Seek)) -> io::Result<Found> {
    let mut found = Found::default();
    file.seek(SeekFrom::Start(PNG.len() as u64))?;
    while found.prompt.is_none() {
        let mut head = [0; 8];
        if file.read_exact(&mut head).is_err() {
            break;
        }
        let [l0, l1, l2, l3, kind @ ..] = head;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let is_text = matches!(&kind, b"tEXt" | b"zTXt" | b"iTXt" | b"comf");
        if is_text && u64::from(length) <= LIMIT {
            let mut content = vec![0; length as usize];
            file.read_exact(&mut content)?;
            png_text(kind, &content, &mut found);
            file.seek(SeekFrom::Current(4))?;
        } else if &kind == b"IEND" {
            break;
        } else {
            file.seek(SeekFrom::Current(i64::from(length) + 4))?;
        }
    }
    Ok(found)
}

fn png_text(kind: [u8; 4], content: &[u8], found: &mut Found) {
    let Some((keyword, rest)) = split(content) else {
        return;
    };
    found.note(keyword, || match &kind {
        b"zTXt" => inflate(rest.get(1..)?),
        b"iTXt" => {
            let [compressed, _method, rest @ ..] = rest else {
                return None;
            };
            let (_language, rest) = split(rest)?;
            let (_translated, text) = split(rest)?;
            if *compressed == 1 {
                inflate(text)
            } else {
                Some(text.to_vec())
            }
        }
        _ => Some(rest.to_vec()),
    });
}

/// What stands before a zero byte, and what behind it.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = content.iter().position(|byte| *byte == 0)?;
    Some((&content[..zero], &content[zero + 1..]))
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    ZlibDecoder::new(bytes)
        .take(LIMIT)
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

fn in_webp(file: &mut (impl Read + Seek)) -> io::Result<Found> {
    let mut found = Found::default();
    loop {
        let mut head = [0; 8];
        if file.read_exact(&mut head).is_err() {
            return Ok(found);
        }
        let [k0, k1, k2, k3, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if [k0, k1, k2, k3] == *b"EXIF" && u64::from(length) <= LIMIT {
            let mut exif = vec![0; length as usize];
            file.read_exact(&mut exif)?;
            for text in exif_texts(&exif) {
                if let Some(colon) = text.iter().position(|byte| *byte == b':') {
                    let (keyword, text) = (&text[..colon], &text[colon + 1..]);
                    found.note(keyword, || Some(text.to_vec()));
                }
            }
            return Ok(found);
        }
        // Chunks begin at even places.
        file.seek(SeekFrom::Current(i64::from(length) + i64::from(length % 2)))?;
    }
}

/// The texts of the first directory of EXIF data.
fn exif_texts(exif: &[u8]) -> Vec<&[u8]> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = tiff.starts_with(b"MM");
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at + 2)?.try_into().ok()?;
        Some(if big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let long = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let value = if big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        };
        usize::try_from(value).ok()
    };
    let text = |entry: usize| {
        const ASCII: u16 = 2;
        if short(entry + 2)? != ASCII {
            return None;
        }
        let length = long(entry + 4)?;
        let start = if length <= 4 {
            entry + 8
        } else {
            long(entry + 8)?
        };
        let text = tiff.get(start..start.checked_add(length)?)?;
        Some(text.strip_suffix(b"\0").unwrap_or(text))
    };
    let Some((directory, entries)) = long(4).and_then(|at| Some((at, short(at)?))) else {
        return Vec::new();
    };
    (0..usize::from(entries))
        .filter_map(|entry| text(directory + 2 + entry * 12))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const PROMPT: &[u8] = br#"{"1":{"class_type":"A","inputs":{}}}"#;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, EmbeddedError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        embedded_prompt(file.path())
    }

    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = PNG.to_vec();
        for (kind, content) in chunks.iter().chain(&[(b"IEND", &b""[..])]) {
            bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            bytes.extend(*kind);
            bytes.extend(*content);
            bytes.extend([0; 4]);
        }
        bytes
    }

    #[test]
    fn a_prompt_is_read_from_every_kind_of_text_in_a_png() {
        let plain = [b"prompt\0", PROMPT].concat();
        let mut packed = ZlibEncoder::new(b"prompt\0\0".to_vec(), Compression::best());
        packed.write_all(PROMPT).unwrap();
        let packed = packed.finish().unwrap();
        let international = [b"prompt\0\0\0\0\0", PROMPT].concat();
        for (kind, content) in [
            (b"tEXt", &plain),
            (b"comf", &plain),
            (b"zTXt", &packed),
            (b"iTXt", &international),
        ] {
            let bytes = png(&[(b"IHDR", &[0; 13]), (b"IDAT", &[1; 99]), (kind, content)]);
            assert_eq!(read(&bytes).unwrap(), PROMPT);
        }
    }

    #[test]
    fn a_prompt_is_read_from_the_exif_data_of_a_webp() {
        for big in [false, true] {
            let short = |n: u16| {
                if big {
                    n.to_be_bytes()
                } else {
                    n.to_le_bytes()
                }
            };
            let long = |n: usize| {
                let n = u32::try_from(n).unwrap();
                if big {
                    n.to_be_bytes()
                } else {
                    n.to_le_bytes()
                }
            };
            let text = [b"prompt:", PROMPT, b"\0"].concat();
            let mut tiff = if big {
                b"MM\0\x2a".to_vec()
            } else {
                b"II\x2a\0".to_vec()
            };
            tiff.extend(long(8));
            tiff.extend(short(1));
            tiff.extend(short(0x0110));
            tiff.extend(short(2));
            tiff.extend(long(text.len()));
            tiff.extend(long(26));
            tiff.extend(long(0));
            tiff.extend(&text);
            let mut bytes = b"RIFF\0\0\0\0WEBPVP8 \x03\0\0\0abc\0EXIF".to_vec();
            bytes.extend(u32::try_from(tiff.len()).unwrap().to_le_bytes());
            bytes.extend(tiff);
            assert_eq!(read(&bytes).unwrap(), PROMPT);
        }
    }

    #[test]
    fn what_is_no_picture_is_not_looked_into() {
        let secret = b"-----BEGIN OPENSSH PRIVATE KEY----- prompt\0{}";
        let error = read(secret).unwrap_err();
        assert!(matches!(error, EmbeddedError::NoPicture(_)));
        assert!(!error.to_string().contains("OPENSSH"));
        assert!(matches!(
            embedded_prompt(Path::new("/")),
            Err(EmbeddedError::NoPicture(_) | EmbeddedError::Read { .. })
        ));
    }

    #[test]
    fn a_picture_with_the_editors_format_alone_is_told_apart() {
        let bytes = png(&[(b"tEXt", b"workflow\0{}")]);
        assert!(matches!(
            read(&bytes),
            Err(EmbeddedError::NoPrompt { editor: true, .. })
        ));
        let cut = &png(&[(b"IHDR", &[0; 13])])[..20];
        assert!(matches!(
            read(cut),
            Err(EmbeddedError::NoPrompt { editor: false, .. })
        ));
    }
}
