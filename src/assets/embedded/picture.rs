//! PNG, WebP and JPEG.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::ZlibDecoder;

use super::{Embedded, LIMIT, block, bytes};

pub(super) const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Goes from chunk to chunk without reading the picture itself.
pub(super) fn in_png(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    file.seek(SeekFrom::Start(PNG.len() as u64))?;
    while !found.is_complete() {
        let [l0, l1, l2, l3, kind @ ..] = bytes::<8>(file)?;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if &kind == b"IEND" {
            break;
        }
        if matches!(&kind, b"tEXt" | b"zTXt" | b"iTXt" | b"comf") {
            if let Some(content) = block(file, length.into())? {
                png_text(kind, &content, found);
            }
            file.seek(SeekFrom::Current(4))?;
        } else {
            file.seek(SeekFrom::Current(i64::from(length) + 4))?;
        }
    }
    Ok(())
}

fn png_text(kind: [u8; 4], content: &[u8], found: &mut Embedded) {
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

pub(super) fn in_webp(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    file.seek(SeekFrom::Start(12))?;
    loop {
        let [k0, k1, k2, k3, length @ ..] = bytes::<8>(file)?;
        let length = u32::from_le_bytes(length);
        if [k0, k1, k2, k3] == *b"EXIF" {
            if let Some(exif) = block(file, length.into())? {
                note_exif(&exif, found);
            }
            return Ok(());
        }
        // Chunks begin at even places.
        file.seek(SeekFrom::Current(i64::from(length) + i64::from(length % 2)))?;
    }
}

/// Segments stand before the picture; EXIF data may be in several of them.
pub(super) fn in_jpeg(file: &mut (impl Read + Seek), found: &mut Embedded) -> io::Result<()> {
    const SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    const APP1: u8 = 0xe1;
    file.seek(SeekFrom::Start(2))?;
    loop {
        let [0xff, marker] = bytes::<2>(file)? else {
            return Ok(());
        };
        if matches!(marker, SCAN | END) {
            return Ok(());
        }
        let length = u16::from_be_bytes(bytes(file)?).saturating_sub(2);
        if marker == APP1 {
            let segment = block(file, length.into())?.unwrap_or_default();
            if segment.starts_with(b"Exif\0\0") {
                note_exif(&segment, found);
            }
        } else {
            file.seek(SeekFrom::Current(length.into()))?;
        }
    }
}

fn note_exif(exif: &[u8], found: &mut Embedded) {
    for text in exif_texts(exif) {
        if let Some(colon) = text.iter().position(|byte| *byte == b':') {
            let (keyword, text) = (&text[..colon], &text[colon + 1..]);
            found.note(keyword, || Some(text.to_vec()));
        }
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
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const PROMPT: &[u8] = br#"{"1":{"class_type":"A","inputs":{}}}"#;
    const GRAPH: &[u8] = br#"{"nodes":[]}"#;

    fn read(bytes: &[u8]) -> Embedded {
        Embedded::read(&mut Cursor::new(bytes)).unwrap().unwrap()
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

    fn exif(big: bool) -> Vec<u8> {
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
        let texts = [
            [b"prompt:", PROMPT, b"\0"].concat(),
            [b"workflow:", GRAPH, b"\0"].concat(),
        ];
        let order: &[u8] = if big { b"MM\0\x2a" } else { b"II\x2a\0" };
        let mut tiff = [order, &long(8), &short(2)].concat();
        let mut place = 8 + 2 + 2 * 12 + 4;
        for (tag, text) in [0x0110, 0x010f].into_iter().zip(&texts) {
            tiff.extend([short(tag), short(2)].concat());
            tiff.extend([long(text.len()), long(place)].concat());
            place += text.len();
        }
        [tiff, long(0).to_vec(), texts.concat()].concat()
    }

    #[test]
    fn a_prompt_is_read_from_every_kind_of_text_in_a_png() {
        let plain = [b"prompt\0", PROMPT].concat();
        let mut packed = ZlibEncoder::new(b"prompt\0\0".to_vec(), Compression::best());
        packed.write_all(PROMPT).unwrap();
        let packed = packed.finish().unwrap();
        let international = [b"prompt\0\0\0\0\0", PROMPT].concat();
        let graph = [b"workflow\0", GRAPH].concat();
        for (kind, content) in [
            (b"tEXt", &plain),
            (b"comf", &plain),
            (b"zTXt", &packed),
            (b"iTXt", &international),
        ] {
            let bytes = png(&[
                (b"IHDR", &[0; 13]),
                (b"IDAT", &[1; 99]),
                (kind, content),
                (b"tEXt", &graph),
            ]);
            let found = read(&bytes);
            assert_eq!(found.prompt.unwrap(), PROMPT);
            assert_eq!(found.workflow.unwrap(), GRAPH);
        }
    }

    #[test]
    fn both_are_read_from_the_exif_data_of_webp_and_jpeg() {
        for big in [false, true] {
            let tiff = exif(big);
            let mut webp = b"RIFF\0\0\0\0WEBPVP8 \x03\0\0\0abc\0EXIF".to_vec();
            webp.extend(u32::try_from(tiff.len()).unwrap().to_le_bytes());
            webp.extend(&tiff);
            let segment = [b"Exif\0\0", &tiff[..]].concat();
            let mut jpeg = Cursor::new(Vec::new());
            image::RgbImage::new(3, 3)
                .write_to(&mut jpeg, image::ImageFormat::Jpeg)
                .unwrap();
            let mut jpeg = jpeg.into_inner();
            let length = u16::try_from(segment.len() + 2).unwrap().to_be_bytes();
            jpeg.splice(2..2, [&[0xff, 0xe1][..], &length, &segment].concat());
            for bytes in [webp, jpeg] {
                let found = read(&bytes);
                assert_eq!(found.prompt.unwrap(), PROMPT);
                assert_eq!(found.workflow.unwrap(), GRAPH);
            }
        }
    }

    #[test]
    fn a_picture_that_was_cut_off_has_what_stands_before_the_cut() {
        let bytes = png(&[
            (b"IHDR", &[0; 13]),
            (b"tEXt", b"workflow\0{}"),
            (b"tEXt", b"prompt\0{}"),
        ]);
        let found = read(&bytes[..60]);
        assert_eq!((found.prompt, found.workflow), (None, Some(b"{}".to_vec())));
    }
}
