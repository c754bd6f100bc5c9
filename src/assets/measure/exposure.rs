//! Exposure: how bright a picture is, and how much of it is lost in black or white.

use image::DynamicImage;

/// Brightness from 0 to 255 up to which nothing is told apart: what video calls black (ITU-R BT.709
/// counts from 16), with room for dark scenes.
const BLACK: u8 = 8;

/// Brightness from which nothing is told apart.
const WHITE: u8 = 247;

/// How dark and bright a picture is; all from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposure {
    /// The mean brightness. Most good pictures lie between 0.2 and 0.8.
    pub mean: f64,
    /// The part that is black. More than about a third is a lost picture, or a night.
    pub dark: f64,
    /// The part that is white.
    pub bright: f64,
}

impl Exposure {
    /// By the brightness (BT.709) of all pixels.
    pub(super) fn of(picture: &DynamicImage) -> Self {
        let grey = picture.to_luma8();
        let (mut sum, mut dark, mut bright, mut count) = (0.0, 0.0, 0.0, 0.0);
        for pixel in grey.pixels() {
            let [shade] = pixel.0;
            sum += f64::from(shade);
            dark += f64::from(u8::from(shade <= BLACK));
            bright += f64::from(u8::from(shade >= WHITE));
            count += 1.0;
        }
        let count = f64::max(count, 1.0);
        Self {
            mean: sum / count / f64::from(u8::MAX),
            dark: dark / count,
            bright: bright / count,
        }
    }
}
