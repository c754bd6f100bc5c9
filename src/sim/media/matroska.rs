//! Matroska and `WebM` files with one track of JPEG pictures.

use super::clip::Clip;

/// A file of the given document type, `matroska` or `webm`.
pub(super) fn encode(clip: &Clip, doc_type: &str) -> Vec<u8> {
    let header = [
        number(&[0x42, 0x86], 1),
        number(&[0x42, 0xF7], 1),
        number(&[0x42, 0xF2], 4),
        number(&[0x42, 0xF3], 8),
        element(&[0x42, 0x82], doc_type.as_bytes()),
        number(&[0x42, 0x87], 4),
        number(&[0x42, 0x85], 2),
    ];
    let length =
        f64::from(u32::try_from(clip.pictures.len()).unwrap_or(u32::MAX)) * 1000.0 / clip.rate;
    let information = [
        number(&[0x2A, 0xD7, 0xB1], 1_000_000),
        element(&[0x44, 0x89], &length.to_be_bytes()),
        element(&[0x4D, 0x80], b"simulator"),
        element(&[0x57, 0x41], b"simulator"),
    ];
    let picture = [
        number(&[0xB0], clip.width.into()),
        number(&[0xBA], clip.height.into()),
    ];
    let track = [
        number(&[0xD7], 1),
        number(&[0x73, 0xC5], 1),
        number(&[0x83], 1),
        element(&[0x86], b"V_MJPEG"),
        element(&[0xE0], &picture.concat()),
    ];
    let tracks = element(&[0xAE], &track.concat());
    let clusters = (0u32..).zip(&clip.pictures).map(|(place, picture)| {
        let time = milliseconds(f64::from(place) * 1000.0 / clip.rate);
        // Track 1, at the cluster's own time, a key frame.
        let block = element(&[0xA3], &[&[0x81, 0, 0, 0x80][..], picture].concat());
        element(
            &[0x1F, 0x43, 0xB6, 0x75],
            &[number(&[0xE7], time), block].concat(),
        )
    });
    let segment = [
        element(&[0x15, 0x49, 0xA9, 0x66], &information.concat()),
        element(&[0x16, 0x54, 0xAE, 0x6B], &tracks),
        clusters.collect::<Vec<_>>().concat(),
    ];
    [
        element(&[0x1A, 0x45, 0xDF, 0xA3], &header.concat()),
        element(&[0x18, 0x53, 0x80, 0x67], &segment.concat()),
    ]
    .concat()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place within a clip"
)]
fn milliseconds(time: f64) -> u64 {
    time.round() as u64
}

/// An element with its length in eight bytes.
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let length = content.len() as u64 | 1 << 56;
    [id, &length.to_be_bytes(), content].concat()
}

fn number(id: &[u8], number: u64) -> Vec<u8> {
    element(id, &number.to_be_bytes())
}
