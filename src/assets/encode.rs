//! Writing pictures: with loss in the two formats that the web reads, and without.

use std::io::{Cursor, Error};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, ImageFormat, ImageResult};

/// Encodes a picture with a quality of 1 to 100.
pub(super) type Lossy = fn(&DynamicImage, u8) -> ImageResult<Vec<u8>>;

pub(super) fn encode_jpeg(image: &DynamicImage, quality: u8) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    image
        .to_rgb8()
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))?;
    Ok(bytes)
}

/// The encoder of libwebp: `image` has none with loss.
pub(super) fn encode_webp(image: &DynamicImage, quality: u8) -> ImageResult<Vec<u8>> {
    let (width, height) = (image.width(), image.height());
    let encode = |encoder: webp::Encoder<'_>| encoder.encode_simple(false, f32::from(quality));
    let encoded = if image.color().has_alpha() {
        encode(webp::Encoder::from_rgba(&image.to_rgba8(), width, height))
    } else {
        encode(webp::Encoder::from_rgb(&image.to_rgb8(), width, height))
    };
    // Such as sides of more than 16,383 pixels.
    let failed = |error| ImageError::IoError(Error::other(format!("WebP: {error:?}")));
    Ok(encoded.map_err(failed)?.to_vec())
}

/// Eight bits a channel are what the WebP encoder takes and what the web shows.
pub(super) fn encode_lossless(image: &DynamicImage, format: ImageFormat) -> ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    if image.color().has_alpha() {
        image.to_rgba8().write_to(&mut bytes, format)?;
    } else {
        image.to_rgb8().write_to(&mut bytes, format)?;
    }
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    #[test]
    fn webp_with_loss_keeps_what_is_transparent_and_shrinks_with_the_quality() {
        let noise = RgbaImage::from_fn(64, 64, |x, y| {
            let shade = u8::try_from((x * 31 + y * 17) % 256).unwrap();
            Rgba([shade, shade / 2, 255 - shade, if x < 32 { 0 } else { 255 }])
        });
        let noise = DynamicImage::ImageRgba8(noise);
        let fine = encode_webp(&noise, 85).unwrap();
        let coarse = encode_webp(&noise, 35).unwrap();
        assert!(coarse.len() < fine.len());

        let read = image::load_from_memory_with_format(&fine, ImageFormat::WebP).unwrap();
        let read = read.to_rgba8();
        assert_eq!(
            (read.get_pixel(0, 9)[3], read.get_pixel(63, 9)[3]),
            (0, 255)
        );
    }

    #[test]
    fn a_picture_too_wide_for_webp_is_an_error() {
        let wide = DynamicImage::new_rgb8(16_384, 1);
        assert!(encode_webp(&wide, 85).is_err());
    }
}
