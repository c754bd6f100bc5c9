//! Latents: empty ones of every family, encoding, decoding, and the few operations that change a
//! size.

use std::sync::Arc;

use super::super::node::{Call, Outcome, Raised};
use super::super::picture::Painting;
use super::super::value::{Audio, Content, Frame, Latent, Value};
use super::Behaviours;

pub(super) fn register(behaviours: &mut Behaviours) {
    super::sure(
        behaviours,
        &["VAEEncodeAudio", "LTXVAudioVAEEncode"],
        encode_audio,
    );
    let mut plain = |classes: &[&str], function| super::plain(behaviours, classes, function);
    plain(&["VAEDecode", "VAEDecodeTiled"], decode);
    plain(
        &["VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint"],
        encode,
    );
    plain(
        &[
            "VAEDecodeAudio",
            "VAEDecodeAudioTiled",
            "LTXVAudioVAEDecode",
        ],
        decode_audio,
    );
    plain(&["LatentUpscale"], upscale);
    plain(&["LatentUpscaleBy"], upscale_by);
    plain(&["RepeatLatentBatch"], repeat);
    plain(&["SetLatentNoiseMask"], set_mask);
    plain(&["LTXVSeparateAVLatent"], separate);
}

/// Whether the node says itself how large its latent is.
pub(super) fn declares_size(call: &Call<'_>) -> bool {
    let declares = |name| call.shape.input(name).is_some();
    declares("width") && declares("height")
}

/// An empty latent of the declared size; what an image-to-video node makes keeps its start image
/// as content.
pub(super) fn empty(call: &Call<'_>) -> Value {
    let upstream = call.inputs.values().find_map(|value| match value {
        Value::Latent(latent) => Some(latent.clone()),
        _ => None,
    });
    let length = call.shape.input("length").map(|_| call.size("length", 1));
    let count = length
        .unwrap_or(1)
        .max(1)
        .saturating_mul(call.size("batch_size", 1).max(1));
    let seconds = match call
        .json("frames_number")
        .and_then(serde_json::Value::as_f64)
    {
        Some(frames) => frames / call.number("frame_rate", 25.0).max(1.0),
        None => call.number("seconds", 0.0),
    };
    let (width, height) = upstream.map_or((512, 512), |latent| (latent.width, latent.height));
    Value::Latent(Arc::new(Latent {
        width: call.size("width", width).clamp(8, 8192),
        height: call.size("height", height).clamp(8, 8192),
        count: count.min(4096),
        content: Content::Empty,
        mask: None,
        seconds,
        is_clip: length.is_some(),
    }))
}

/// The latent in an input.
pub(super) fn latent<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a Latent, Raised> {
    match call.inputs.get(name) {
        Some(Value::Latent(latent)) => Ok(latent),
        _ => Err(Raised::new(
            "TypeError",
            "'NoneType' object is not subscriptable",
        )),
    }
}

fn decode(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = latent(call, "samples")?.decode();
    Ok(Outcome::values(vec![Value::images(frames)]))
}

fn encode(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("pixels")?;
    let (width, height) = frames.first().map_or((8, 8), Frame::size);
    let mask = match call.inputs.get("mask") {
        Some(Value::Masks(mask) | Value::Images(mask)) => Some(mask.clone()),
        _ => None,
    };
    Ok(Outcome::values(vec![Value::Latent(Arc::new(Latent {
        // The encoder cuts off what does not fill a cell of eight pixels.
        width: (width / 8 * 8).max(8),
        height: (height / 8 * 8).max(8),
        count: u32::try_from(frames.len()).unwrap_or(u32::MAX),
        content: Content::Encoded(Arc::new(frames.to_vec())),
        mask,
        seconds: 0.0,
        is_clip: false,
    }))]))
}

fn decode_audio(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let latent = latent(call, "samples")?;
    let silent = !matches!(latent.content, Content::Sampled(_));
    let seconds = if latent.seconds > 0.0 {
        latent.seconds
    } else {
        f64::from(latent.count) / 24.0
    };
    let audio = Audio {
        seconds,
        sample_rate: 44_100,
        digest: call.signature,
        silent,
    };
    Ok(Outcome::values(vec![Value::Audio(Arc::new(audio))]))
}

fn encode_audio(call: &mut Call<'_>) -> Outcome {
    let seconds = match call.inputs.get("audio") {
        Some(Value::Audio(audio)) => audio.seconds,
        _ => 0.0,
    };
    let latent = Latent {
        width: 8,
        height: 8,
        count: 1,
        content: Content::Empty,
        mask: None,
        seconds,
        is_clip: false,
    };
    Outcome::values(vec![Value::Latent(Arc::new(latent))])
}

/// The same content at another size: an enlarged latent is one that a sampler can start from.
fn resized(latent: &Latent, width: u32, height: u32) -> Latent {
    let content = match &latent.content {
        Content::Sampled(_) => Content::Encoded(Arc::new(latent.decode())),
        other => other.clone(),
    };
    let fit = |side: u32| (side / 8 * 8).clamp(8, 16_384);
    Latent {
        width: fit(width),
        height: fit(height),
        content,
        ..latent.clone()
    }
}

fn upscale(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let latent = latent(call, "samples")?;
    let (width, height) = match (call.size("width", 512), call.size("height", 512)) {
        (0, 0) => (latent.width, latent.height),
        // A side of zero keeps the proportions.
        (0, height) => (proportional(latent.width, height, latent.height), height),
        (width, 0) => (width, proportional(latent.height, width, latent.width)),
        sides => sides,
    };
    Ok(Outcome::values(vec![Value::Latent(Arc::new(resized(
        latent, width, height,
    )))]))
}

/// `side` scaled as `to` is to `from`.
pub(super) fn proportional(side: u32, to: u32, from: u32) -> u32 {
    let scaled = u64::from(side) * u64::from(to) / u64::from(from.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// A side in pixels times a factor, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to sizes of pictures"
)]
pub(super) fn times(side: u32, factor: f64) -> u32 {
    (f64::from(side) * factor).round().clamp(1.0, 65_536.0) as u32
}

fn upscale_by(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let latent = latent(call, "samples")?;
    let factor = call.number("scale_by", 1.5);
    let larger = resized(
        latent,
        times(latent.width, factor),
        times(latent.height, factor),
    );
    Ok(Outcome::values(vec![Value::Latent(Arc::new(larger))]))
}

fn repeat(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let latent = latent(call, "samples")?;
    let count = latent
        .count
        .saturating_mul(call.size("amount", 1).max(1))
        .min(4096);
    Ok(Outcome::values(vec![Value::Latent(Arc::new(Latent {
        count,
        ..latent.clone()
    }))]))
}

fn set_mask(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let mask = Arc::new(call.images("mask")?.to_vec());
    let latent = Latent {
        mask: Some(mask),
        ..latent(call, "samples")?.clone()
    };
    Ok(Outcome::values(vec![Value::Latent(Arc::new(latent))]))
}

fn separate(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let latent = Arc::new(latent(call, "av_latent")?.clone());
    Ok(Outcome::values(vec![
        Value::Latent(latent.clone()),
        Value::Latent(latent),
    ]))
}

/// What a sampler starts from, as pictures: nothing for an empty latent.
pub(super) fn base(latent: &Latent) -> Option<Arc<Vec<Frame>>> {
    match &latent.content {
        Content::Empty => None,
        Content::Encoded(frames) => Some(frames.clone()),
        Content::Sampled(painting) => {
            // The rest of the noise goes away with the next sampler.
            let finished = Painting {
                done: 1.0,
                ..(**painting).clone()
            };
            let content = Content::Sampled(Arc::new(finished));
            Some(Arc::new(
                Latent {
                    content,
                    ..latent.clone()
                }
                .decode(),
            ))
        }
    }
}
