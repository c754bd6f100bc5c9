//! Sharpness as the variance of the Laplacian.
//!
//! The measure is that of Pech-Pacheco, Cristóbal, Chamorro-Martínez and Fernández-Valdivia,
//! "Diatom autofocusing in brightfield microscopy: a comparative study" (ICPR 2000): edges and
//! texture answer strongly to a second derivative, blur hardly. Noise answers, too. Because the
//! answer depends on the number of pixels, pictures are brought to one size first.

use std::cmp::Ordering;

use image::DynamicImage;
use image::imageops::{FilterType, resize, thumbnail};

/// Pixels along the longer side at which pictures are measured: detail that a preview shows.
const SIDE: u32 = 512;

/// The variance of the Laplacian of the brightness, which goes from 0 to 255. With the neighbours
/// above, below, left and right, a single answer is at most 4 * 255.
pub(super) fn of(picture: &DynamicImage) -> f64 {
    let grey = picture.to_luma8();
    let longer = u64::from(grey.width().max(grey.height()).max(1));
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(SIDE) / longer;
        u32::try_from(side).unwrap_or(SIDE).max(1)
    };
    let (wide, high) = (scaled(grey.width()), scaled(grey.height()));
    // The mean of what falls together keeps edges better than a filter that reaches further.
    let grey = match longer.cmp(&u64::from(SIDE)) {
        Ordering::Equal => grey,
        Ordering::Greater => thumbnail(&grey, wide, high),
        Ordering::Less => resize(&grey, wide, high, FilterType::Triangle),
    };
    let at = |x: u32, y: u32| f64::from(grey.get_pixel(x, y).0[0]);
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for y in 1..high.saturating_sub(1) {
        for x in 1..wide.saturating_sub(1) {
            let around = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
            let answer = around - 4.0 * at(x, y);
            sum += answer;
            squares += answer * answer;
            count += 1.0;
        }
    }
    if count == 0.0 {
        return 0.0;
    }
    let mean: f64 = sum / count;
    (squares / count - mean * mean).max(0.0)
}
