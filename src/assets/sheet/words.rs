//! Writing on sheets.
//!
//! The letters are those of Noto Sans Mono, drawn beforehand in four sizes with soft edges: they
//! stay readable when a sheet is shrunk, which the dots of the simulator's font don't, and need no
//! drawing of curves. Latin letters are there; others show as a box.

use image::{Rgba, RgbaImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Shown for what has no letter here.
const UNKNOWN: char = '\u{fffd}';

/// A size and weight of letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    size: RasterHeight,
    weight: FontWeight,
    ink: Rgba<u8>,
}

/// The sizes, the smallest first.
pub(super) const SIZES: [RasterHeight; 4] = [
    RasterHeight::Size16,
    RasterHeight::Size20,
    RasterHeight::Size24,
    RasterHeight::Size32,
];

impl Pen {
    pub(super) fn bold(size: RasterHeight, ink: Rgba<u8>) -> Self {
        Self {
            size,
            weight: FontWeight::Bold,
            ink,
        }
    }

    pub(super) fn regular(size: RasterHeight, ink: Rgba<u8>) -> Self {
        Self {
            size,
            weight: FontWeight::Regular,
            ink,
        }
    }

    /// Writes one line with its top left corner at `(x, y)`; what does not fit is cut off.
    pub(super) fn write(self, picture: &mut RgbaImage, text: &str, x: u32, y: u32) {
        let mut left = x;
        for letter in text.chars() {
            let raster = get_raster(letter, self.weight, self.size)
                .or_else(|| get_raster(UNKNOWN, self.weight, self.size));
            let Some(raster) = raster else { continue };
            for (y, row) in (y..picture.height()).zip(raster.rows()) {
                for (x, shade) in (left..picture.width()).zip(row) {
                    blend(picture.get_pixel_mut(x, y), self.ink, *shade);
                }
            }
            left += advance(self.size);
        }
    }
}

/// Pixels from one letter to the next.
pub(super) fn advance(size: RasterHeight) -> u32 {
    u32::try_from(get_raster_width(FontWeight::Bold, size)).unwrap_or(u32::MAX)
}

/// Pixels from one line to the next.
pub(super) fn line(size: RasterHeight) -> u32 {
    u32::try_from(size.val()).unwrap_or(u32::MAX)
}

/// Pixels that a text takes across.
pub(super) fn width(text: &str, size: RasterHeight) -> u32 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    letters.saturating_mul(advance(size))
}

/// How many letters fit into so many pixels.
pub(super) fn letters(width: u32, size: RasterHeight) -> usize {
    (width / advance(size)) as usize
}

fn blend(pixel: &mut Rgba<u8>, ink: Rgba<u8>, shade: u8) {
    let (over, under) = (u16::from(shade), u16::from(u8::MAX - shade));
    for (below, above) in pixel.0.iter_mut().zip(ink.0) {
        let mixed = (u16::from(above) * over + u16::from(*below) * under) / u16::from(u8::MAX);
        *below = u8::try_from(mixed).unwrap_or(u8::MAX);
    }
}
