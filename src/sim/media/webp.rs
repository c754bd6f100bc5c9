//! Animated WebP, put together from single pictures.

use std::io::Cursor;

use image::{DynamicImage, ImageError, ImageFormat};

use super::super::value::Frame;

/// An animated WebP with lossless pictures.
pub(in super::super) fn animated_webp(frames: &[Frame], fps: f64) -> Result<Vec<u8>, ImageError> {
    let (width, height) = frames.first().map_or((1, 1), Frame::size);
    let size = [&three(width - 1)[..], &three(height - 1)].concat();
    // A file with animation: flags, then the canvas.
    let mut chunks = chunk(*b"VP8X", &[&[0x02, 0, 0, 0], &size[..]].concat());
    // Background colour, endless repetition.
    chunks.extend(chunk(*b"ANIM", &[0, 0, 0, 0, 0, 0]));
    for frame in frames {
        let mut single = Cursor::new(Vec::new());
        rgb(frame).write_to(&mut single, ImageFormat::WebP)?;
        // Position, size, how long, no blending; then the picture's own chunks.
        let head = [&[0; 6][..], &size, &three(milliseconds(fps)), &[0x02]].concat();
        let picture = picture_chunks(&single.into_inner());
        chunks.extend(chunk(*b"ANMF", &[head, picture].concat()));
    }
    let length = u32::try_from(chunks.len() + 4).unwrap_or(u32::MAX);
    Ok([b"RIFF", &length.to_le_bytes()[..], b"WEBP", &chunks].concat())
}

fn rgb(frame: &Frame) -> DynamicImage {
    DynamicImage::ImageRgb8(DynamicImage::ImageRgba8((*frame.pixels()).clone()).into_rgb8())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
pub(super) fn milliseconds(fps: f64) -> u32 {
    (1000.0 / fps.max(0.01)).round().clamp(1.0, 60_000.0) as u32
}

/// The low three bytes, lowest first.
fn three(number: u32) -> [u8; 3] {
    let [first, second, third, _] = number.to_le_bytes();
    [first, second, third]
}

fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut chunk = [&kind[..], &length.to_le_bytes(), content].concat();
    if content.len() % 2 == 1 {
        chunk.push(0);
    }
    chunk
}

/// The chunks of a still WebP that hold the picture.
fn picture_chunks(file: &[u8]) -> Vec<u8> {
    let mut at = 12;
    let mut kept = Vec::new();
    while let Some(head) = file.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let end = (at + 8 + length + length % 2).min(file.len());
        if matches!(&head[..4], b"VP8L" | b"VP8 " | b"ALPH") {
            kept.extend(&file[at..end]);
        }
        at = end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use image::codecs::webp::WebPDecoder;
    use image::{AnimationDecoder, Rgba, RgbaImage};

    use super::*;

    #[test]
    fn every_picture_is_found_again() {
        let shades = [10, 200, 90].map(|shade| Rgba([shade, shade, 7, 255]));
        let frames = shades.map(|shade| Frame::from_pixels(RgbaImage::from_pixel(5, 3, shade)));
        let file = animated_webp(&frames, 10.0).unwrap();
        let decoder = WebPDecoder::new(Cursor::new(file)).unwrap();
        let read = decoder.into_frames().collect_frames().unwrap();
        let found: Vec<Rgba<u8>> = read
            .iter()
            .map(|frame| *frame.buffer().get_pixel(4, 2))
            .collect();
        assert_eq!(found, shades);
    }
}
