//! What is to be seen of a picture or a moving picture, small.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::imageops::{overlay, thumbnail};
use image::{AnimationDecoder, Frames, ImageFormat, ImageReader, ImageResult, RgbaImage};

use crate::assets::preview::decode;

/// Pixels along the longer side of a picture: as large as one can be on a sheet.
const SIDE: u32 = 512;

/// The same of a frame, of which three stand side by side.
const FRAME_SIDE: u32 = 256;

/// Pixels between frames.
const GAP: u32 = 4;

/// So many frames at most are kept while looking for the middle one; then every other goes.
const KEPT: usize = 32;

/// A still picture, or the first, middle and last frame of a moving one.
pub(super) fn strip(path: &Path) -> ImageResult<RgbaImage> {
    if let Some(frames) = moving(path)? {
        let three = three(frames)?;
        if three.len() > 1 {
            return Ok(side_by_side(&three));
        }
    }
    let picture = decode(File::open(path)?)?.to_rgba8();
    Ok(small(picture, SIDE))
}

fn moving(path: &Path) -> ImageResult<Option<Frames<'static>>> {
    let file = || File::open(path).map(BufReader::new);
    Ok(
        match ImageReader::open(path)?.with_guessed_format()?.format() {
            Some(ImageFormat::Gif) => Some(GifDecoder::new(file()?)?.into_frames()),
            Some(ImageFormat::WebP) => {
                let webp = WebPDecoder::new(file()?)?;
                webp.has_animation().then(|| webp.into_frames())
            }
            Some(ImageFormat::Png) => {
                let png = PngDecoder::new(file()?)?;
                if png.is_apng()? {
                    Some(png.apng()?.into_frames())
                } else {
                    None
                }
            }
            _ => None,
        },
    )
}

/// The first, the middle and the last, as near as [`KEPT`] frames tell the middle. One that breaks
/// off ends where it does.
fn three(frames: Frames<'_>) -> ImageResult<Vec<RgbaImage>> {
    let mut kept: Vec<RgbaImage> = Vec::with_capacity(KEPT);
    let mut last = None;
    let mut every = 1;
    for (index, frame) in frames.enumerate() {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if kept.is_empty() => return Err(error),
            Err(_) => break,
        };
        let frame = small(frame.into_buffer(), FRAME_SIDE);
        if index % every == 0 {
            if kept.len() == KEPT {
                let mut at = 0;
                kept.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                every *= 2;
            }
            if index % every == 0 {
                kept.push(frame.clone());
            }
        }
        last = Some(frame);
    }
    let middle = (kept.len() > 2).then(|| kept[kept.len() / 2].clone());
    let is_moving = kept.len() > 1;
    kept.truncate(1);
    kept.extend(middle);
    kept.extend(last.filter(|_| is_moving));
    Ok(kept)
}

fn side_by_side(frames: &[RgbaImage]) -> RgbaImage {
    let height = frames.iter().map(RgbaImage::height).max().unwrap_or(1);
    let width: u32 = frames.iter().map(|frame| frame.width() + GAP).sum();
    let mut strip = RgbaImage::new(width.saturating_sub(GAP).max(1), height);
    let mut left = 0;
    for frame in frames {
        overlay(&mut strip, frame, left.into(), 0);
        left += frame.width() + GAP;
    }
    strip
}

fn small(picture: RgbaImage, side: u32) -> RgbaImage {
    let longer = picture.width().max(picture.height());
    if longer <= side {
        return picture;
    }
    let scaled = |length: u32| (length * side / longer).max(1);
    thumbnail(&picture, scaled(picture.width()), scaled(picture.height()))
}
