//! What can be told of a picture without understanding it: whether it is sharp, whether it is
//! well exposed, and which others it is like.

mod exposure;
mod hash;
mod sharpness;

use image::DynamicImage;

use super::preview::decode;
use super::{AssetError, Assets};

pub use exposure::Exposure;
pub use hash::likeness;

/// Measures of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// How much fine detail there is: 0 for none, some tens for a soft picture, hundreds to
    /// thousands for a crisp or noisy one. Compare it between pictures of one subject only.
    pub sharpness: f64,
    /// How dark and bright it is.
    pub exposure: Exposure,
    /// A number that pictures which look alike nearly share; [`likeness`] compares two.
    pub hash: u64,
}

impl Measures {
    /// Measures a picture.
    #[must_use]
    pub fn of(picture: &DynamicImage) -> Self {
        Self {
            sharpness: sharpness::of(picture),
            exposure: Exposure::of(picture),
            hash: hash::of(picture),
        }
    }
}

impl Assets {
    /// Measures the asset `id`; of a moving picture the first frame. Clips and sounds have nothing
    /// to measure.
    pub fn measure(&self, id: &str) -> Result<Measures, AssetError> {
        let asset = self.get(id)?;
        let picture = decode(self.open_bytes(id)?).map_err(|error| AssetError::NoPreview {
            mime_type: asset.mime_type,
            reason: error.to_string(),
        })?;
        Ok(Measures::of(&picture))
    }
}

#[cfg(test)]
mod tests {
    use image::imageops::FilterType;
    use image::{Rgb, RgbImage};

    use super::*;

    /// A picture with edges at many sizes, whose place follows from a number.
    fn scene(kind: u32) -> DynamicImage {
        let picture = RgbImage::from_fn(512, 384, |x, y| {
            let mut cell = (x / 48).wrapping_mul(73_856_093)
                ^ (y / 48).wrapping_mul(19_349_663)
                ^ kind.wrapping_mul(83_492_791);
            cell = (cell ^ (cell >> 13)).wrapping_mul(0x5bd1_e995);
            cell = (cell ^ (cell >> 15)) % 251;
            let stripe = if (x / 4 + y / 4) % 2 == 0 { 24 } else { 0 };
            let shade = u8::try_from((cell / 2 + 60 + stripe) % 256).unwrap();
            Rgb([shade, shade / 2 + 40, 255 - shade])
        });
        DynamicImage::ImageRgb8(picture)
    }

    fn shaded(by: f32) -> DynamicImage {
        let mut picture = scene(1).to_rgb8();
        for pixel in picture.pixels_mut() {
            for channel in &mut pixel.0 {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let shade = (f32::from(*channel) * by).min(255.0) as u8;
                *channel = shade;
            }
        }
        DynamicImage::ImageRgb8(picture)
    }

    #[test]
    fn the_more_a_picture_is_blurred_the_less_sharp_it_is() {
        let sharp: Vec<f64> = [0.0, 0.6, 1.0, 1.5]
            .into_iter()
            .map(|sigma| {
                let picture = scene(1);
                let picture = if sigma > 0.0 {
                    picture.blur(sigma)
                } else {
                    picture
                };
                Measures::of(&picture).sharpness
            })
            .collect();
        assert!(sharp.is_sorted_by(|more, less| more > less), "{sharp:?}");
        assert!(sharp[0] > 10.0 * sharp[3], "{sharp:?}");
        let flat = DynamicImage::new_rgb8(300, 200);
        assert!(Measures::of(&flat).sharpness.abs() < 1e-9);
    }

    #[test]
    fn a_larger_copy_is_about_as_sharp() {
        let picture = scene(1).resize_exact(1024, 768, FilterType::Nearest);
        let (one, other) = (
            Measures::of(&scene(1)).sharpness,
            Measures::of(&picture).sharpness,
        );
        assert!((one / other - 1.0).abs() < 0.2, "{one} {other}");
    }

    #[test]
    fn what_is_too_dark_or_too_bright_is_told_by_how_much_of_it() {
        let (good, dark, bright) = (shaded(1.0), shaded(0.02), shaded(4.0));
        let [good, dark, bright] = [good, dark, bright].map(|it| Measures::of(&it).exposure);
        assert!(dark.mean < 0.05 && dark.dark > 0.9, "{dark:?}");
        assert!(bright.bright > 0.2, "{bright:?}");
        assert!(good.dark + good.bright < 0.01, "{good:?}");
        assert!((0.3..0.7).contains(&good.mean), "{good:?}");
    }

    #[test]
    fn copies_are_alike_whatever_their_size_and_others_are_not() {
        let hash = |picture: &DynamicImage| Measures::of(picture).hash;
        let first = hash(&scene(1));
        for copy in [
            scene(1).resize_exact(200, 150, FilterType::Triangle),
            scene(1).blur(1.5),
            shaded(0.8),
        ] {
            assert!(likeness(first, hash(&copy)) >= 0.84);
        }
        for other in 2..8 {
            let other = likeness(first, hash(&scene(other)));
            assert!(other < 0.84, "{other}");
        }
        assert!((likeness(first, first) - 1.0).abs() < f64::EPSILON);
        assert!(likeness(0, u64::MAX).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_transparent_counts_by_the_colour_beneath() {
        let clear = DynamicImage::new_rgba8(64, 64);
        let measures = Measures::of(&clear);
        assert!((measures.exposure.dark - 1.0).abs() < 1e-9);
    }
}
