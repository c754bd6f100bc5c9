//! MP4 files with one track of JPEG pictures, which every demuxer reads.

use super::clip::Clip;

/// Ticks from one picture to the next; so many times the rate are in a second.
const TICKS: u32 = 1000;

/// A file with the header behind the pictures.
pub(super) fn encode(clip: &Clip) -> Vec<u8> {
    let timescale = whole(clip.rate * f64::from(TICKS));
    let count = u32::try_from(clip.pictures.len()).unwrap_or(u32::MAX);
    let kind = atom(
        *b"ftyp",
        &[&b"isom"[..], &[0, 0, 2, 0], b"isomiso2mp41"].concat(),
    );
    // The pictures stand right behind the first two headers.
    let start = u32::try_from(kind.len() + 8).unwrap_or(u32::MAX);
    let size = |picture: &Vec<u8>| u32::try_from(picture.len()).unwrap_or(u32::MAX);
    let sizes: Vec<u32> = clip.pictures.iter().map(size).collect();
    let table = sample_table(clip.width, clip.height, &sizes, start);
    let movie = movie(
        clip.width,
        clip.height,
        timescale,
        TICKS.saturating_mul(count),
        &table,
    );
    [kind, atom(*b"mdat", &clip.pictures.concat()), movie].concat()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
fn whole(ticks: f64) -> u32 {
    ticks.round().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn atom(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &kind, content].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// No rotation, no scaling.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn movie(width: u32, height: u32, timescale: u32, length: u32, table: &[u8]) -> Vec<u8> {
    let header = [
        words(&[0, 0, 0, timescale, length, 0x1_0000, 0x0100_0000, 0, 0]),
        words(&MATRIX),
        words(&[0, 0, 0, 0, 0, 0, 2]),
    ];
    let track_header = [
        words(&[3, 0, 0, 1, 0, length, 0, 0, 0, 0]),
        words(&MATRIX),
        words(&[width << 16, height << 16]),
    ];
    let media_header = [words(&[0, 0, 0, timescale, length]), vec![0x55, 0xC4, 0, 0]];
    let handler = [
        words(&[0, 0]),
        b"vide".to_vec(),
        words(&[0, 0, 0]),
        b"VideoHandler\0".to_vec(),
    ];
    let reference = [words(&[0, 1]), atom(*b"url ", &words(&[1]))];
    let information = [
        atom(*b"vmhd", &words(&[1, 0, 0])),
        atom(*b"dinf", &atom(*b"dref", &reference.concat())),
        atom(*b"stbl", table),
    ];
    let media = [
        atom(*b"mdhd", &media_header.concat()),
        atom(*b"hdlr", &handler.concat()),
        atom(*b"minf", &information.concat()),
    ];
    let track = [
        atom(*b"tkhd", &track_header.concat()),
        atom(*b"mdia", &media.concat()),
    ];
    let content = [
        atom(*b"mvhd", &header.concat()),
        atom(*b"trak", &track.concat()),
    ];
    atom(*b"moov", &content.concat())
}

fn sample_table(width: u32, height: u32, sizes: &[u32], start: u32) -> Vec<u8> {
    let count = u32::try_from(sizes.len()).unwrap_or(u32::MAX);
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes();
    let mut name = [0; 32];
    name[..5].copy_from_slice(b"\x04JPEG");
    let entry = [
        words(&[0, 1]),
        vec![0; 16],
        [side(width), side(height)].concat(),
        // 72 dots an inch, one picture a sample, a name, 24 bits, no palette.
        words(&[0x48_0000, 0x48_0000, 0]),
        vec![0, 1],
        name.to_vec(),
        vec![0, 24, 0xFF, 0xFF],
    ];
    let description = [words(&[0, 1]), atom(*b"jpeg", &entry.concat())];
    [
        atom(*b"stsd", &description.concat()),
        atom(*b"stts", &words(&[0, 1, count, TICKS])),
        atom(*b"stsc", &words(&[0, 1, 1, count, 1])),
        atom(*b"stsz", &[words(&[0, 0, count]), words(sizes)].concat()),
        atom(*b"stco", &words(&[0, 1, start])),
    ]
    .concat()
}
