//! Sizes and durations, read from the headers of the bytes themselves.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use image::ImageReader;

use super::media;

/// What the bytes say about themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaFacts {
    /// The type, if the bytes show one.
    pub mime_type: Option<&'static str>,
    /// Pixels across.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Frames per second, averaged.
    pub fps: Option<f64>,
}

/// Reads what a file's headers say; nothing is decoded. Damaged or unknown bytes yield fewer
/// facts, never an error: an output is kept whatever it is.
pub fn probe<R: Read + Seek>(bytes: R) -> MediaFacts {
    let mut reader = BufReader::new(bytes);
    let head = read_head(&mut reader).unwrap_or_default();
    let mime_type = media::mime_of_bytes(&head);
    let mut facts = MediaFacts {
        mime_type,
        ..MediaFacts::default()
    };
    if let Some("image/png" | "image/jpeg" | "image/webp" | "image/gif") = mime_type
        && let Ok(reader) = ImageReader::new(&mut reader).with_guessed_format()
        && let Ok((width, height)) = reader.into_dimensions()
    {
        facts.width = Some(width);
        facts.height = Some(height);
    }
    facts
}

fn read_head<R: Read + Seek>(reader: &mut R) -> io::Result<Vec<u8>> {
    const HEAD_BYTES: u64 = 64;
    reader.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    reader.seek(SeekFrom::Start(0))?;
    Ok(head)
}
