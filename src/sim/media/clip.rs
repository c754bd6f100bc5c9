//! Clips as files: JPEG pictures in a container, because that needs no video encoder and still
//! plays. They are kept small, as nobody looks for detail in them.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, imageops};

use super::super::value::Frame;
use super::{matroska, mp4};

/// Longer sides are scaled down.
const LONGEST_SIDE: u32 = 512;

/// Of more pictures some are left out evenly, at a lower rate.
const MOST_FRAMES: usize = 48;

/// What a container needs to know of a clip, and its pictures.
pub(super) struct Clip {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Pictures a second.
    pub(super) rate: f64,
    /// JPEG files.
    pub(super) pictures: Vec<Vec<u8>>,
}

/// Encodes pictures for a file of this extension.
pub(in super::super) fn encode(
    frames: &[Frame],
    fps: f64,
    extension: &str,
) -> Result<Vec<u8>, ImageError> {
    let every = frames.len().div_ceil(MOST_FRAMES).max(1);
    let (width, height) = frames.first().map_or((2, 2), |frame| fitted(frame.size()));
    let clip = Clip {
        width,
        height,
        rate: fps.max(0.1) / f64::from(u32::try_from(every).unwrap_or(1)),
        pictures: frames
            .iter()
            .step_by(every)
            .map(jpeg)
            .collect::<Result<_, _>>()?,
    };
    Ok(match extension {
        "webm" => matroska::encode(&clip, "webm"),
        "mkv" => matroska::encode(&clip, "matroska"),
        _ => mp4::encode(&clip),
    })
}

/// Even sides of at most the longest.
fn fitted((width, height): (u32, u32)) -> (u32, u32) {
    let longer = u64::from(width.max(height).max(LONGEST_SIDE));
    let fit = |side: u32| {
        let side = u64::from(side) * u64::from(LONGEST_SIDE) / longer / 2 * 2;
        u32::try_from(side).unwrap_or(LONGEST_SIDE).max(2)
    };
    (fit(width), fit(height))
}

fn jpeg(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let (width, height) = fitted(frame.size());
    let pixels = match frame {
        Frame::Pixels(pixels) if pixels.dimensions() == (width, height) => pixels.clone(),
        Frame::Pixels(pixels) => imageops::thumbnail(&**pixels, width, height).into(),
        // Painted pictures are painted at the size in which they are needed.
        Frame::Painted {
            painting, index, ..
        } => painting.paint(*index, width, height).into(),
    };
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
    DynamicImage::ImageRgba8((*pixels).clone())
        .into_rgb8()
        .write_with_encoder(encoder)?;
    Ok(bytes.into_inner())
}
