//! A number of 64 bits that pictures which look alike nearly share.
//!
//! It is the difference hash that Neal Krawetz described ("Kind of Like That", The Hacker Factor
//! Blog, 2013): of a picture shrunk to nine by eight grey pixels, whether each is darker than its
//! neighbour to the right. Size, light and compression hardly change it; cropping and turning do.
//! By his account at most 10 different bits mean a variation of the same picture.

use image::DynamicImage;
use image::imageops::thumbnail;

const WIDE: u32 = 9;
const HIGH: u32 = 8;

pub(super) fn of(picture: &DynamicImage) -> u64 {
    let tiny = thumbnail(&picture.to_luma8(), WIDE, HIGH);
    let mut hash = 0;
    for y in 0..HIGH {
        for x in 0..WIDE - 1 {
            let darker = tiny.get_pixel(x, y).0 < tiny.get_pixel(x + 1, y).0;
            hash = hash << 1 | u64::from(darker);
        }
    }
    hash
}

/// How much alike two pictures look by their hashes: the part of the bits that is the same. 1 is
/// the same or a copy, 0.84 and more (at most 10 bits differ) nearly the same, about 0.5 unrelated.
#[must_use]
pub fn likeness(one: u64, other: u64) -> f64 {
    1.0 - f64::from((one ^ other).count_ones()) / f64::from(u64::BITS)
}
