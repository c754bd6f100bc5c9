//! Small pictures of pictures, for those who pay by the byte.

use std::fs::File;
use std::io::BufReader;

use image::{DynamicImage, ImageReader, Limits};

use super::encode::{Lossy, encode_jpeg, encode_webp};
use super::{AssetError, Assets};

/// Bytes of a preview such that it stays below 100,000 characters of base64.
pub const PREVIEW_BYTES: usize = 75_000;

/// Pixels along the longer side of a preview.
pub const PREVIEW_SIDE: u32 = 512;

/// Tried in turn until the bytes suffice.
const QUALITIES: [u8; 3] = [70, 55, 40];

/// When no quality suffices, the picture shrinks to this, down to [`SMALLEST_SIDE`].
const SHRINK: f64 = 0.75;

const SMALLEST_SIDE: u32 = 64;

/// Decoding takes no more memory than this: 16,384 x 8,192 pixels with four bytes each.
const DECODE_BYTES: u64 = 512 << 20;

/// A small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// `image/jpeg`, or `image/webp` where parts are transparent.
    pub mime_type: &'static str,
    /// The encoded picture.
    pub bytes: Vec<u8>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Assets {
    /// A picture of the asset `id`, no larger than `max_side` pixels along its longer side and
    /// `max_bytes` bytes. Of a moving picture it's the first frame. Clips and sounds have none.
    pub fn preview(
        &self,
        id: &str,
        max_side: u32,
        max_bytes: usize,
    ) -> Result<Preview, AssetError> {
        let asset = self.get(id)?;
        let no_preview = |reason: String| AssetError::NoPreview {
            mime_type: asset.mime_type.clone(),
            reason,
        };
        let image = decode(self.open_bytes(id)?).map_err(|error| no_preview(error.to_string()))?;
        shrink_to(&image, max_side, max_bytes)
            .map_err(|error| no_preview(error.to_string()))?
            .ok_or_else(|| no_preview(format!("it does not fit into {max_bytes} bytes")))
    }
}

/// Decodes a picture of bounded size.
pub(super) fn decode(file: File) -> image::ImageResult<DynamicImage> {
    let mut reader = ImageReader::new(BufReader::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_BYTES);
    reader.limits(limits);
    reader.decode()
}

/// Whether anything of the picture can be seen through.
pub(super) fn is_transparent(image: &DynamicImage) -> bool {
    image.color().has_alpha() && image.to_rgba8().pixels().any(|pixel| pixel.0[3] < u8::MAX)
}

fn shrink_to(
    image: &DynamicImage,
    max_side: u32,
    max_bytes: usize,
) -> image::ImageResult<Option<Preview>> {
    let mut side = max_side.clamp(1, image.width().max(image.height()).max(1));
    // JPEG is what every client shows, and knows no transparency.
    let (encode_lossy, mime_type): (Lossy, _) = if is_transparent(image) {
        (encode_webp, "image/webp")
    } else {
        (encode_jpeg, "image/jpeg")
    };
    loop {
        let small = scaled(image, side);
        for quality in QUALITIES {
            let bytes = encode_lossy(&small, quality)?;
            if bytes.len() <= max_bytes {
                return Ok(Some(Preview {
                    mime_type,
                    bytes,
                    width: small.width(),
                    height: small.height(),
                }));
            }
        }
        if side <= SMALLEST_SIDE {
            return Ok(None);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "smaller than the side it was made from"
        )]
        let smaller = (f64::from(side) * SHRINK) as u32;
        side = smaller.max(SMALLEST_SIDE);
    }
}

fn scaled(image: &DynamicImage, side: u32) -> DynamicImage {
    if side < image.width().max(image.height()) {
        image.thumbnail(side, side)
    } else {
        image.clone()
    }
}
