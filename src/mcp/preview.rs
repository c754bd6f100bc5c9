//! Pictures of an unfinished result, for clients that ask for them: `_meta: { "mmf/previews": true }`
//! beside the progress token. They come in the progress notifications' `_meta` as
//! `"mmf/preview": { mimeType, data }`.

use std::io::Cursor;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::comfy::JobEvent;
use crate::script::Progress;

/// The least time between two pictures: an agent's window shows no more.
const INTERVAL: Duration = Duration::from_millis(500);

/// The most bytes of a picture as it is sent, in base64.
const MAX_ENCODED: usize = 64 * 1024;

/// The longest side of a picture that was too large.
const SMALL_SIDE: u32 = 256;

/// Decides which pictures one client is shown.
#[derive(Default)]
pub(super) struct Previews {
    last: Option<Instant>,
}

impl Previews {
    /// The picture in a sign of life, if there is one and its time has come.
    pub(super) async fn take(&mut self, progress: &Progress, now: Instant) -> Option<Value> {
        let Progress::Job {
            event: JobEvent::Preview { mime, bytes, .. },
            ..
        } = progress
        else {
            return None;
        };
        if self.last.is_some_and(|last| now < last + INTERVAL) {
            return None;
        }
        let (mime, bytes) = fitting(mime, bytes.clone()).await?;
        self.last = Some(now);
        Some(json!({ "mimeType": mime, "data": STANDARD.encode(bytes) }))
    }
}

fn fits(bytes: &[u8]) -> bool {
    bytes.len().div_ceil(3) * 4 <= MAX_ENCODED
}

async fn fitting(mime: &'static str, bytes: Bytes) -> Option<(&'static str, Bytes)> {
    if fits(&bytes) {
        return Some((mime, bytes));
    }
    let smaller = tokio::task::spawn_blocking(move || shrink(&bytes)).await;
    smaller
        .ok()?
        .filter(|bytes| fits(bytes))
        .map(|bytes| ("image/jpeg", bytes))
}

fn shrink(bytes: &[u8]) -> Option<Bytes> {
    let picture = image::load_from_memory(bytes).ok()?;
    let small = picture.thumbnail(SMALL_SIDE, SMALL_SIDE).to_rgb8();
    let mut encoded = Cursor::new(vec![]);
    small
        .write_with_encoder(JpegEncoder::new_with_quality(&mut encoded, 80))
        .ok()?;
    Some(encoded.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(side: u32) -> Progress {
        // Noise, which no encoder makes small.
        let noise = |x: u32, y: u32| {
            let value = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40503)).to_le_bytes();
            image::Rgb([value[1], value[2], value[3]])
        };
        let picture = image::RgbImage::from_fn(side, side, noise);
        let mut bytes = Cursor::new(vec![]);
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        Progress::Job {
            prompt_id: "p".into(),
            event: JobEvent::Preview {
                node: None,
                mime: "image/png",
                bytes: bytes.into_inner().into(),
            },
        }
    }

    #[tokio::test]
    async fn two_pictures_a_second_are_shown() {
        let mut previews = Previews::default();
        let mut shown = 0;
        let mut now = Instant::now();
        for _ in 0..20 {
            shown += usize::from(previews.take(&preview(8), now).await.is_some());
            now += Duration::from_millis(100);
        }
        assert_eq!(shown, 4);
    }

    #[tokio::test]
    async fn a_picture_that_is_too_large_is_made_smaller() {
        let picture = Previews::default()
            .take(&preview(512), Instant::now())
            .await
            .unwrap();
        assert_eq!(picture["mimeType"], "image/jpeg");
        let data = picture["data"].as_str().unwrap();
        assert!(data.len() <= MAX_ENCODED, "{}", data.len());
        let bytes = STANDARD.decode(data).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().width(), SMALL_SIDE);
    }
}
