//! FLAC (RFC 9639) and Ogg (RFC 3533), whose comments are alike.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Embedded, LIMIT, block, bytes};

/// The kind of block that has comments.
const COMMENTS: u8 = 4;

pub(super) fn in_flac(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    file.seek(SeekFrom::Start(4))?;
    loop {
        let [kind, length @ ..] = bytes::<4>(file)?;
        let [high, middle, low] = length.map(i64::from);
        let length = high << 16 | middle << 8 | low;
        if kind & 0x7f == COMMENTS {
            let comments = block(file, length.unsigned_abs())?.unwrap_or_default();
            note_comments(&comments, found);
            return Ok(());
        }
        // The last one before the sound.
        if kind & 0x80 != 0 {
            return Ok(());
        }
        file.seek(SeekFrom::Current(length))?;
    }
}

/// The second packet of a stream has the comments; it may go over many pages.
pub(super) fn in_ogg(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    const HEAD: usize = 27;
    file.seek(SeekFrom::Start(0))?;
    let mut packet = Vec::new();
    let mut packets = 0;
    while packet.len() as u64 <= LIMIT {
        let head = bytes::<HEAD>(file)?;
        if !head.starts_with(b"OggS") {
            return Ok(());
        }
        let mut lengths = vec![0; head[HEAD - 1].into()];
        file.read_exact(&mut lengths)?;
        for length in lengths {
            let part = block(file, u64::from(length))?.unwrap_or_default();
            packet.extend(part);
            // A full part goes on in the next one.
            if length < u8::MAX {
                packets += 1;
                let tags = [&b"OpusTags"[..], b"\x03vorbis"];
                let tags = tags.iter().find_map(|tag| packet.strip_prefix(*tag));
                if let Some(comments) = tags {
                    note_comments(comments, found);
                }
                if packets == 2 {
                    return Ok(());
                }
                packet.clear();
            }
        }
    }
    Ok(())
}

/// The program's name, then texts of the form `NAME=value`.
fn note_comments(comments: &[u8], found: &mut Embedded) {
    let Some((_, rest)) = text(comments) else {
        return;
    };
    let mut rest = rest.get(4..).unwrap_or_default();
    while let Some((text, after)) = text(rest) {
        rest = after;
        if let Some(equals) = text.iter().position(|byte| *byte == b'=') {
            found.note(&text[..equals], || Some(text[equals + 1..].to_vec()));
        }
    }
}

/// A text with its length before it, and what is behind it.
fn text(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn comments() -> Vec<u8> {
        let text = |text: &[u8]| {
            let length = u32::try_from(text.len()).unwrap().to_le_bytes();
            [&length, text].concat()
        };
        let long = [&b"workflow={\"nodes\":\""[..], &vec![b'x'; 70_000], b"\"}"].concat();
        [
            text(b"Lavf"),
            3_u32.to_le_bytes().to_vec(),
            text(b"encoder=x"),
            text(b"prompt={\"1\":{}}"),
            text(&long),
        ]
        .concat()
    }

    fn read(bytes: Vec<u8>) -> Embedded {
        Embedded::read(&mut Cursor::new(bytes)).unwrap().unwrap()
    }

    #[test]
    fn a_flac_has_them_in_its_comments() {
        let comments = comments();
        let length = u32::try_from(comments.len()).unwrap().to_be_bytes();
        let head = [b"fLaC\0\0\0\x22", &[0; 34][..], &[0x84], &length[1..]].concat();
        let found = read([head, comments, vec![7; 99]].concat());
        assert_eq!(found.prompt.unwrap(), b"{\"1\":{}}");
        assert!(found.workflow.unwrap().len() > 70_000);
    }

    #[test]
    fn an_ogg_has_them_in_its_second_packet_over_many_pages() {
        let page = |parts: &[&[u8]]| {
            let lengths: Vec<u8> = parts
                .iter()
                .map(|part| u8::try_from(part.len()).unwrap())
                .collect();
            let count = u8::try_from(lengths.len()).unwrap();
            [&b"OggS"[..], &[0; 22], &[count], &lengths, &parts.concat()].concat()
        };
        let tags = [b"OpusTags".to_vec(), comments()].concat();
        let mut parts: Vec<&[u8]> = tags.chunks(255).collect();
        if tags.len() % 255 == 0 {
            parts.push(&[]);
        }
        let pages = parts.chunks(200).map(page).collect::<Vec<_>>().concat();
        let found = read([page(&[b"OpusHead\x01\x02"]), pages].concat());
        assert_eq!(found.prompt.unwrap(), b"{\"1\":{}}");
        assert!(found.workflow.unwrap().len() > 70_000);
    }
}
