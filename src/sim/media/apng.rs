//! Animated PNG, put together from single pictures. The first is what programs show that know no
//! animation.

use image::ImageError;

use super::super::value::Frame;
use super::png::{chunk, chunks, encode};
use super::webp::milliseconds;

/// An animated PNG with text chunks.
pub(in super::super) fn animated(
    frames: &[Frame],
    fps: f64,
    texts: &[(String, String)],
) -> Result<Vec<u8>, ImageError> {
    let (width, height) = frames.first().map_or((1, 1), Frame::size);
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let delay = u16::try_from(milliseconds(fps)).unwrap_or(u16::MAX);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    // Controls and later pictures are numbered in one row.
    let mut sequence = 0..;
    let mut next = || sequence.next().unwrap_or(u32::MAX);
    for (number, frame) in frames.iter().enumerate() {
        let single = encode(&frame.pixels(), if number == 0 { texts } else { &[] })?;
        let parts = chunks(&single);
        if number == 0 {
            for (kind, content) in parts
                .iter()
                .filter(|(kind, _)| !matches!(*kind, b"IDAT" | b"IEND"))
            {
                file.extend(chunk(**kind, content));
            }
            file.extend(chunk(*b"acTL", &words(&[count, 0])));
        }
        let control = [
            words(&[next(), width, height, 0, 0]),
            [delay, 1000].map(u16::to_be_bytes).concat(),
            vec![0, 0],
        ];
        file.extend(chunk(*b"fcTL", &control.concat()));
        let data: Vec<&[u8]> = parts
            .iter()
            .filter(|(kind, _)| *kind == b"IDAT")
            .map(|(_, content)| *content)
            .collect();
        let data = data.concat();
        file.extend(match number {
            0 => chunk(*b"IDAT", &data),
            _ => chunk(*b"fdAT", &[words(&[next()]), data].concat()),
        });
    }
    file.extend(chunk(*b"IEND", &[]));
    Ok(file)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::png::PngDecoder;
    use image::{AnimationDecoder, Rgba, RgbaImage};

    use super::*;

    #[test]
    fn every_picture_is_found_again() {
        let shades = [10, 200, 90].map(|shade| Rgba([shade, shade, 7, 255]));
        let frames = shades.map(|shade| Frame::from_pixels(RgbaImage::from_pixel(5, 3, shade)));
        let file = animated(&frames, 10.0, &[("prompt".to_owned(), "{}".to_owned())]).unwrap();
        let decoder = PngDecoder::new(Cursor::new(file)).unwrap().apng().unwrap();
        let read = decoder.into_frames().collect_frames().unwrap();
        let found: Vec<Rgba<u8>> = read
            .iter()
            .map(|frame| *frame.buffer().get_pixel(4, 2))
            .collect();
        assert_eq!(found, shades);
    }
}
