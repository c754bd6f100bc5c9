//! Masks: grey pictures, white where something may happen.

use std::sync::Arc;

use image::{Rgba, RgbaImage};
use serde_json::{Map, Value as Json};

use super::super::folders::Folders;
use super::super::node::{Call, Outcome, Raised, SimNode};
use super::super::value::{Frame, Value};
use super::Behaviours;
use super::image::{file_hash, level};

pub(super) fn register(behaviours: &mut Behaviours) {
    super::sure(behaviours, &["SolidMask"], solid);
    let mut plain = |classes: &[&str], function| super::plain(behaviours, classes, function);
    plain(&["MaskToImage"], to_image);
    plain(&["ImageToMask"], from_image);
    plain(&["InvertMask"], invert);
    plain(&["ThresholdMask"], threshold);
    behaviours.insert("LoadImageMask".to_owned(), Arc::new(Load));
}

fn masks(frames: Vec<Frame>) -> Outcome {
    Outcome::values(vec![Value::masks(frames)])
}

/// One channel as a grey picture.
pub(super) fn from_channel(picture: &RgbaImage, channel: usize, inverted: bool) -> RgbaImage {
    let mut mask = picture.clone();
    for pixel in mask.pixels_mut() {
        let shade = if inverted {
            255 - pixel[channel]
        } else {
            pixel[channel]
        };
        *pixel = Rgba([shade, shade, shade, 255]);
    }
    mask
}

fn solid(call: &mut Call<'_>) -> Outcome {
    let shade = level(call.number("value", 1.0));
    let colour = Rgba([shade, shade, shade, 255]);
    let mask = RgbaImage::from_pixel(call.size("width", 512), call.size("height", 512), colour);
    masks(vec![Frame::from_pixels(mask)])
}

fn to_image(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    Ok(Outcome::values(vec![Value::images(
        call.images("mask")?.to_vec(),
    )]))
}

fn channel(name: &str) -> usize {
    match name {
        "green" => 1,
        "blue" => 2,
        "alpha" => 3,
        _ => 0,
    }
}

fn each(frames: &[Frame], change: impl Fn(&RgbaImage) -> RgbaImage) -> Outcome {
    masks(
        frames
            .iter()
            .map(|frame| Frame::from_pixels(change(&frame.pixels())))
            .collect(),
    )
}

fn from_image(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let channel = channel(call.text("channel"));
    Ok(each(call.images("image")?, |picture| {
        from_channel(picture, channel, false)
    }))
}

fn invert(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    Ok(each(call.images("mask")?, |mask| {
        from_channel(mask, 0, true)
    }))
}

fn threshold(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let limit = level(call.number("value", 0.5));
    Ok(each(call.images("mask")?, |mask| {
        let mut hard = mask.clone();
        for pixel in hard.pixels_mut() {
            let shade = if pixel[0] > limit { 255 } else { 0 };
            *pixel = Rgba([shade, shade, shade, 255]);
        }
        hard
    }))
}

/// Reads one channel of an uploaded picture.
struct Load;

impl SimNode for Load {
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        let picture = image::open(call.input_file("image")?)?.into_rgba8();
        let channel = channel(call.text("channel"));
        let mask = from_channel(&picture, channel, channel == 3);
        Ok(masks(vec![Frame::from_pixels(mask)]))
    }

    fn changed(&self, constants: &Map<String, Json>, folders: &Folders) -> Option<String> {
        file_hash(constants, folders, "image")
    }
}
