//! MP4 (ISO/IEC 14496-12, with `QuickTime`'s named metadata) and Matroska (RFC 9559).

use std::io::{self, Read, Seek, SeekFrom};

use super::{Embedded, block, bytes};

/// More parts than this aren't looked at: a file may be nothing but empty ones.
const MOST_PARTS: u32 = 100_000;

/// Looks for `moov`, and in it for the metadata that ffmpeg writes.
pub(super) fn in_mp4(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    let mut at = 0;
    for _ in 0..MOST_PARTS {
        file.seek(SeekFrom::Start(at))?;
        let [s0, s1, s2, s3, name @ ..] = bytes::<8>(file)?;
        let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            // To the end of the file, and so the last one.
            0 => return Ok(()),
            1 => (16, u64::from_be_bytes(bytes(file)?)),
            size => (8, u64::from(size)),
        };
        let Some(content) = size.checked_sub(header) else {
            return Ok(());
        };
        if &name == b"moov" {
            let movie = block(file, content)?.unwrap_or_default();
            in_movie(&movie, found);
            return Ok(());
        }
        at = at.saturating_add(size);
    }
    Ok(())
}

fn in_movie(movie: &[u8], found: &mut Embedded) {
    for (name, content) in boxes(movie) {
        match &name {
            b"udta" => {
                for (name, content) in boxes(content) {
                    if &name == b"meta" {
                        in_metadata(content, found);
                    }
                }
            }
            b"meta" => in_metadata(content, found),
            _ => {}
        }
    }
}

/// `keys` has the names, `ilst` the values by their number, or by a short name of their own.
fn in_metadata(content: &[u8], found: &mut Embedded) {
    // In MP4 it begins with a version and flags, in QuickTime it doesn't.
    let content = match content {
        [0, 0, 0, 0, rest @ ..] => rest,
        content => content,
    };
    let mut names = Vec::new();
    for (name, content) in boxes(content) {
        match &name {
            b"keys" => names = boxes(content.get(8..).unwrap_or_default()).collect(),
            b"ilst" => {
                for (id, item) in boxes(content) {
                    let number = usize::try_from(u32::from_be_bytes(id)).unwrap_or(0);
                    let key = number.checked_sub(1).and_then(|at| names.get(at));
                    let name = key.map_or(&id[..], |(_, name)| name);
                    let data = boxes(item).find(|(name, _)| name == b"data");
                    // Behind the type of the value and its language.
                    found.note(name, || Some(data?.1.get(8..)?.to_vec()));
                }
            }
            _ => {}
        }
    }
}

/// The boxes in a block: name and contents.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, name) = rest.get(..8)?.split_at(4);
        let size = u32::from_be_bytes(size.try_into().ok()?);
        let content = rest.get(8..usize::try_from(size).ok()?)?;
        rest = &rest[8 + content.len()..];
        Some((name.try_into().ok()?, content))
    })
}

const SEGMENT: u64 = 0x1853_8067;
const TAGS: u64 = 0x1254_c367;
const TAG: u64 = 0x7373;
const SIMPLE_TAG: u64 = 0x67c8;
const TAG_NAME: u64 = 0x45a3;
const TAG_STRING: u64 = 0x4487;

/// Goes from element to element of the segment and reads its tags.
pub(super) fn in_matroska(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    for _ in 0..MOST_PARTS {
        let id = number(file, false)?;
        let size = number(file, true)?;
        match (id, size) {
            // Into it.
            (Some(SEGMENT), _) => {}
            (Some(TAGS), Some(size)) => {
                let tags = block(file, size)?.unwrap_or_default();
                in_tags(&tags, found);
            }
            (Some(_), Some(size)) => {
                file.seek_relative(i64::try_from(size).unwrap_or(i64::MAX))?;
            }
            // Streamed, so that nobody knows where it goes on.
            (_, None) | (None, _) => return Ok(()),
        }
        if found.is_complete() {
            break;
        }
    }
    Ok(())
}

fn in_tags(tags: &[u8], found: &mut Embedded) {
    let within = |rest, wanted| elements(rest).filter(move |(id, _)| *id == wanted);
    for (_, tag) in within(tags, TAG) {
        for (_, simple) in within(tag, SIMPLE_TAG) {
            let part = |wanted| within(simple, wanted).next().map(|(_, content)| content);
            if let Some(name) = part(TAG_NAME) {
                found.note(name, || part(TAG_STRING).map(<[u8]>::to_vec));
            }
        }
    }
}

/// The elements in a block: id and contents.
fn elements(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let id = number(&mut rest, false).ok()??;
        let size = number(&mut rest, true).ok()??;
        let content = rest.get(..usize::try_from(size).ok()?)?;
        rest = &rest[content.len()..];
        Some((id, content))
    })
}

/// A number whose first byte says by its leading zeros how many follow; with or without the bit
/// that ends these. All ones, with that bit taken away, stand for what nobody knew.
fn number(file: &mut impl Read, is_size: bool) -> io::Result<Option<u64>> {
    let [first] = bytes(file)?;
    let more = first.leading_zeros();
    if more > 7 {
        return Ok(None);
    }
    let marker = if is_size { 0x80 >> more } else { 0 };
    let mut number = u64::from(first & !marker);
    for _ in 0..more {
        let [next] = bytes(file)?;
        number = number << 8 | u64::from(next);
    }
    let unknown = is_size && number == (1 << (7 * (more + 1))) - 1;
    Ok((!unknown).then_some(number))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(name: [u8; 4], contents: &[u8]) -> Vec<u8> {
        let size = u32::try_from(contents.len() + 8).unwrap();
        [&size.to_be_bytes(), name.as_slice(), contents].concat()
    }

    fn element(id: &[u8], contents: &[u8]) -> Vec<u8> {
        let size = (u32::try_from(contents.len()).unwrap() | 0x1000_0000).to_be_bytes();
        [id, size.as_slice(), contents].concat()
    }

    fn read(bytes: Vec<u8>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let found = Embedded::read(&mut Cursor::new(bytes)).unwrap().unwrap();
        (found.prompt, found.workflow)
    }

    fn both() -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (
            Some(b"{\"1\":{}}".to_vec()),
            Some(b"{\"nodes\":[]}".to_vec()),
        )
    }

    #[test]
    fn an_mp4_has_them_under_their_names() {
        let data = |text: &[u8]| boxed(*b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text].concat());
        let names = [boxed(*b"mdta", b"prompt"), boxed(*b"mdta", b"workflow")].concat();
        let keys = boxed(*b"keys", &[&[0, 0, 0, 0, 0, 0, 0, 2], &names[..]].concat());
        let values = [
            boxed([0, 0, 0, 1], &data(b"{\"1\":{}}")),
            boxed([0, 0, 0, 2], &data(b"{\"nodes\":[]}")),
        ];
        let handler = boxed(*b"hdlr", &[0; 25]);
        let parts = [handler, keys, boxed(*b"ilst", &values.concat())].concat();
        for version in [&[0; 4][..], &[]] {
            let meta = boxed(*b"meta", &[version, &parts].concat());
            for holder in [boxed(*b"udta", &meta), meta] {
                let header = boxed(*b"mvhd", &[0; 100]);
                let clip = [
                    boxed(*b"ftyp", b"isom\0\0\x02\0isom"),
                    boxed(*b"mdat", &[7; 5000]),
                    boxed(*b"moov", &[header, holder].concat()),
                ];
                assert_eq!(read(clip.concat()), both());
            }
        }
    }

    #[test]
    fn a_webm_has_them_in_capitals_even_behind_the_pictures() {
        let simple = |name: &[u8], text: &[u8]| {
            let parts = [element(b"\x45\xa3", name), element(b"\x44\x87", text)];
            element(b"\x67\xc8", &parts.concat())
        };
        let tag = [
            simple(b"PROMPT", b"{\"1\":{}}"),
            simple(b"WORKFLOW", b"{\"nodes\":[]}"),
        ];
        let tags = element(b"\x12\x54\xc3\x67", &element(b"\x73\x73", &tag.concat()));
        let pictures = element(b"\x1f\x43\xb6\x75", &[7; 3000]);
        let head = element(b"\x1a\x45\xdf\xa3", &element(b"\x42\x82", b"webm"));
        for parts in [[tags.clone(), pictures.clone()], [pictures, tags]] {
            let clip = [head.clone(), element(b"\x18\x53\x80\x67", &parts.concat())];
            assert_eq!(read(clip.concat()), both());
        }
    }

    #[test]
    fn damaged_clips_have_nothing_and_hold_nobody_up() {
        let endless = boxed(*b"ftyp", b"isom").repeat(3);
        assert_eq!(read(endless), (None, None));
        let lies = [&boxed(*b"ftyp", b"isom")[..], b"\0\0\0\x04moov"].concat();
        assert_eq!(read(lies), (None, None));
        let wide = [
            &b"\x1a\x45\xdf\xa3\x80"[..],
            &[0x12, 0x54, 0xc3, 0x67, 0x08],
            &[0xff; 4],
        ];
        assert_eq!(read(wide.concat()), (None, None));
    }
}
