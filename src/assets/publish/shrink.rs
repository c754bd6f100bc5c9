//! Pictures small enough for the web.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageResult};

use super::PublishError;
use crate::assets::encode::{encode_jpeg, encode_lossless, encode_webp};
use crate::assets::preview::{decode, is_transparent};

/// Tried in turn for each of [`SCALES`].
const QUALITIES: [u8; 6] = [85, 75, 65, 55, 45, 35];

/// The whole picture, then smaller and smaller ones.
const SCALES: [f64; 5] = [1.0, 0.9, 0.75, 0.6, 0.5];

/// Formats without loss have nothing but the scale to give: below this little of the picture is
/// left.
const SMALLEST_SCALE: f64 = 0.1;

/// Scaling leaves fewer pixels and more to say of each: a little less than the sizes suggest.
const MARGIN: f64 = 0.97;

/// How pictures are written when nothing limits their size.
const FULL_QUALITY: u8 = 90;

/// A picture as it's to be published.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) format: ImageFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// How much of the picture's width and height is left; 1 for all.
    pub(super) scale: f64,
}

/// The scales to be tried: some fixed ones where quality gives as well, else those that the last
/// size suggests.
struct Scales {
    fixed: std::slice::Iter<'static, f64>,
    by_size: bool,
    last: f64,
}

impl Scales {
    fn new(format: ImageFormat) -> Self {
        Self {
            fixed: SCALES.iter(),
            by_size: !is_lossy(format),
            last: 1.0,
        }
    }

    /// The next one, given how many bytes the last one took.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn next(&mut self, bytes: u64, max_bytes: Option<u64>) -> Option<f64> {
        let next = match max_bytes {
            Some(max_bytes) if self.by_size && bytes < u64::MAX => {
                let fitting = (max_bytes as f64 / bytes as f64).sqrt().min(1.0) * MARGIN;
                let next = (self.last * fitting).max(SMALLEST_SCALE);
                (next < self.last).then_some(next)
            }
            _ => self.fixed.next().copied(),
        }?;
        self.last = next;
        Some(next)
    }
}

/// The formats that can be written.
pub(super) fn format_of(mime: &str) -> Option<ImageFormat> {
    match mime {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// Whether the picture moves, in which case only a copy keeps it moving.
pub(super) fn is_animated(path: &Path, format: ImageFormat) -> bool {
    let Ok(file) = File::open(path).map(BufReader::new) else {
        return false;
    };
    match format {
        ImageFormat::Png => PngDecoder::new(file)
            .and_then(|png| png.is_apng())
            .unwrap_or(false),
        ImageFormat::WebP => WebPDecoder::new(file).is_ok_and(|webp| webp.has_animation()),
        _ => false,
    }
}

/// The picture in `wanted`, or in the format that serves it best, within `max_bytes`.
pub(super) fn shrink(
    path: &Path,
    source: ImageFormat,
    wanted: Option<ImageFormat>,
    max_bytes: Option<u64>,
) -> Result<Encoded, PublishError> {
    let failed = |reason: String| PublishError::Unsupported {
        from: source.to_mime_type().to_owned(),
        to: wanted.unwrap_or(source).to_mime_type().to_owned(),
        reason,
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let image = decode(file).map_err(|error| failed(error.to_string()))?;
    let format = wanted.unwrap_or_else(|| best_format(&image, source));
    let mut smallest = u64::MAX;
    let mut scales = Scales::new(format);
    while let Some(scale) = scales.next(smallest, max_bytes) {
        let smaller = scale_by(&image, scale);
        for quality in qualities(format, max_bytes) {
            let bytes = encode_as(&smaller, format, *quality, max_bytes.is_some())
                .map_err(|error| failed(error.to_string()))?;
            let len = bytes.len() as u64;
            if max_bytes.is_none_or(|max_bytes| len <= max_bytes) {
                return Ok(Encoded {
                    bytes,
                    format,
                    width: smaller.width(),
                    height: smaller.height(),
                    scale,
                });
            }
            smallest = smallest.min(len);
        }
    }
    Err(PublishError::TooLarge {
        smallest,
        scale: scales.last,
        max_bytes: max_bytes.unwrap_or(u64::MAX),
    })
}

/// What is published of a picture that is too large and may have any name: JPEG, which everything
/// shows, unless something is transparent.
fn best_format(image: &DynamicImage, source: ImageFormat) -> ImageFormat {
    match source {
        ImageFormat::Jpeg | ImageFormat::WebP => source,
        _ if is_transparent(image) => ImageFormat::WebP,
        _ => ImageFormat::Jpeg,
    }
}

/// Whether quality can be given up for size.
fn is_lossy(format: ImageFormat) -> bool {
    matches!(format, ImageFormat::Jpeg | ImageFormat::WebP)
}

/// Without a limit WebP is written without loss, which JPEG can't be.
fn qualities(format: ImageFormat, max_bytes: Option<u64>) -> &'static [u8] {
    if is_lossy(format) && max_bytes.is_some() {
        &QUALITIES
    } else {
        &[FULL_QUALITY]
    }
}

fn encode_as(
    image: &DynamicImage,
    format: ImageFormat,
    quality: u8,
    limited: bool,
) -> ImageResult<Vec<u8>> {
    match format {
        ImageFormat::Jpeg => encode_jpeg(image, quality),
        ImageFormat::WebP if limited => encode_webp(image, quality),
        _ => encode_lossless(image, format),
    }
}

fn scale_by(image: &DynamicImage, scale: f64) -> DynamicImage {
    if scale >= 1.0 {
        return image.clone();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "smaller than the side it was made from"
    )]
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    image.resize_exact(
        side(image.width()),
        side(image.height()),
        FilterType::Lanczos3,
    )
}
