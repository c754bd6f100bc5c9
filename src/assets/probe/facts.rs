//! Which reader for which bytes.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use image::ImageReader;

use super::{matroska, mp4, sound};
use crate::assets::media;

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
    let Ok(head) = read_head(&mut reader) else {
        return MediaFacts::default();
    };
    let mut facts = MediaFacts {
        mime_type: media::mime_of_bytes(&head),
        ..MediaFacts::default()
    };
    // A reader stops at the first thing it can't make sense of; what it found by then is kept.
    let read = match facts.mime_type {
        Some("image/png" | "image/jpeg" | "image/webp" | "image/gif") => {
            read_picture(&mut reader, &mut facts);
            Ok(())
        }
        Some("video/mp4" | "video/quicktime" | "audio/mp4") => mp4::read(&mut reader, &mut facts),
        Some("video/webm" | "video/x-matroska") => matroska::read(&mut reader, &mut facts),
        Some("audio/wav") => sound::read_wav(&mut reader, &mut facts),
        Some("audio/flac") => sound::read_flac(&mut reader, &mut facts),
        Some("audio/ogg") => sound::read_ogg(&mut reader, &mut facts),
        Some("audio/mpeg") => sound::read_mp3(&mut reader, &mut facts),
        _ => Ok(()),
    };
    if let Err(error) = read {
        tracing::debug!(%error, mime_type = facts.mime_type, "headers end early");
    }
    let sensible = |value: &f64| value.is_finite() && *value > 0.0;
    facts.duration = facts.duration.filter(sensible);
    facts.fps = facts.fps.filter(sensible);
    facts
}

fn read_picture<R: Read + Seek>(reader: &mut BufReader<R>, facts: &mut MediaFacts) {
    if let Ok(reader) = ImageReader::new(reader).with_guessed_format()
        && let Ok((width, height)) = reader.into_dimensions()
    {
        facts.width = Some(width);
        facts.height = Some(height);
    }
}

fn read_head<R: Read + Seek>(reader: &mut R) -> io::Result<Vec<u8>> {
    const HEAD_BYTES: u64 = 64;
    reader.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    reader.seek(SeekFrom::Start(0))?;
    Ok(head)
}

/// The next `N` bytes.
pub(super) fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A count as a number to divide by; exact below 2^53, and nothing here lasts longer.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const MAGICS: [&[u8]; 8] = [
        b"\0\0\0\x10ftypisom\0\0\0\0",
        b"\x1a\x45\xdf\xa3\x84webm",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"fLaC\0\0\0\x22",
        b"OggS\0\x02",
        b"ID3\x04\0\0\0\0\0\x01",
        b"\xff\xfb\x90\x64",
        b"\x89PNG\r\n\x1a\n",
    ];

    proptest! {
        #[test]
        fn no_bytes_at_all_make_it_fall_over(
            magic in 0..MAGICS.len(),
            mut rest in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut bytes = MAGICS[magic].to_vec();
            bytes.append(&mut rest);
            let facts = probe(Cursor::new(bytes));
            prop_assert!(facts.duration.is_none_or(f64::is_finite));
        }
    }
}
