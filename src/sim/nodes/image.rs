//! Nodes that compute with pictures.

use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{Rgba, RgbaImage};
use serde_json::{Map, Value as Json, json};

use super::super::folders::Folders;
use super::super::node::{Call, Outcome, Raised, SimNode};
use super::super::value::{Frame, Value, resized};
use super::Behaviours;
use super::latent::{proportional, times};

pub(super) fn register(behaviours: &mut Behaviours) {
    super::sure(behaviours, &["EmptyImage"], empty);
    let mut plain = |classes: &[&str], function| super::plain(behaviours, classes, function);
    plain(&["ImageScale"], scale);
    plain(&["ImageScaleBy"], scale_by);
    plain(&["ImageScaleToTotalPixels"], scale_to_total);
    plain(&["ImageScaleToMaxDimension"], scale_to_side);
    plain(&["ImageUpscaleWithModel"], upscale_with_model);
    plain(&["ImageInvert"], invert);
    plain(&["ImageBlend"], blend);
    plain(&["ImageBatch"], batch);
    plain(&["BatchImagesNode"], batch_all);
    plain(&["ImageCrop"], crop);
    plain(&["ImagePadForOutpaint"], pad_for_outpaint);
    plain(&["GetImageSize"], get_size);
    plain(&["RepeatImageBatch"], repeat);
    plain(&["ImageFromBatch"], from_batch);
    plain(&["ImageFlip"], flip);
    plain(&["ImageRotate"], rotate);
    plain(&["ImageStitch"], stitch);
    plain(&["ImageCompositeMasked"], composite);
    behaviours.insert("LoadImage".to_owned(), Arc::new(Load));
    behaviours.insert("LoadImageOutput".to_owned(), Arc::new(Load));
}

fn images(frames: Vec<Frame>) -> Outcome {
    Outcome::values(vec![Value::images(frames)])
}

/// Applies the same to every picture of an input.
fn each(
    call: &Call<'_>,
    name: &str,
    change: impl Fn(&RgbaImage) -> RgbaImage,
) -> Result<Outcome, Raised> {
    let frames = call.images(name)?;
    Ok(images(
        frames
            .iter()
            .map(|frame| Frame::from_pixels(change(&frame.pixels())))
            .collect(),
    ))
}

/// The size of the first picture; pictures of a batch are all alike.
fn size_of(frames: &[Frame]) -> (u32, u32) {
    frames.first().map_or((1, 1), Frame::size)
}

fn empty(call: &mut Call<'_>) -> Outcome {
    let [_, red, green, blue] = call.size("color", 0).to_be_bytes();
    let colour = Rgba([red, green, blue, 255]);
    let picture = RgbaImage::from_pixel(call.size("width", 512), call.size("height", 512), colour);
    let count = call.size("batch_size", 1).max(1) as usize;
    images(vec![Frame::from_pixels(picture); count])
}

fn filter(method: &str) -> FilterType {
    match method {
        "nearest-exact" => FilterType::Nearest,
        "bicubic" => FilterType::CatmullRom,
        "lanczos" => FilterType::Lanczos3,
        _ => FilterType::Triangle,
    }
}

/// All pictures at a size, cut to its proportions first if asked.
fn scaled(call: &Call<'_>, width: u32, height: u32, centre: bool) -> Result<Outcome, Raised> {
    let filter = filter(call.text("upscale_method"));
    each(call, "image", |picture| {
        let (old_width, old_height) = picture.dimensions();
        let cut = if centre {
            let fit_width = proportional(old_height, width, height).min(old_width);
            let fit_height = proportional(old_width, height, width).min(old_height);
            let (x, y) = ((old_width - fit_width) / 2, (old_height - fit_height) / 2);
            imageops::crop_imm(picture, x, y, fit_width, fit_height).to_image()
        } else {
            picture.clone()
        };
        imageops::resize(&cut, width, height, filter)
    })
}

fn scale(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (old_width, old_height) = size_of(call.images("image")?);
    let (width, height) = match (call.size("width", 512), call.size("height", 512)) {
        (0, 0) => (old_width, old_height),
        // A side of zero keeps the proportions.
        (0, height) => (proportional(old_width, height, old_height), height),
        (width, 0) => (width, proportional(old_height, width, old_width)),
        sides => sides,
    };
    scaled(call, width, height, call.text("crop") == "center")
}

fn scale_by(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (width, height) = size_of(call.images("image")?);
    let factor = call.number("scale_by", 1.0);
    scaled(call, times(width, factor), times(height, factor), false)
}

fn scale_to_total(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (width, height) = size_of(call.images("image")?);
    let pixels = call.number("megapixels", 1.0) * 1024.0 * 1024.0;
    let factor = (pixels / (f64::from(width) * f64::from(height))).sqrt();
    scaled(call, times(width, factor), times(height, factor), false)
}

fn scale_to_side(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (width, height) = size_of(call.images("image")?);
    let factor = call.number("largest_size", 512.0) / f64::from(width.max(height));
    scaled(call, times(width, factor), times(height, factor), false)
}

/// Enlarges by what the upscaler's name says (`RealESRGAN_x4plus`), else by four.
fn upscale_with_model(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let name = call
        .inputs
        .get("upscale_model")
        .map(Value::words)
        .unwrap_or_default()
        .concat();
    let factor = ["1", "2", "3", "8"]
        .into_iter()
        .find(|digit| name.contains(&format!("{digit}x")) || name.contains(&format!("x{digit}")));
    let factor = factor.and_then(|digit| digit.parse().ok()).unwrap_or(4.0);
    let (width, height) = size_of(call.images("image")?);
    call.server.step(1, 1, None)?;
    scaled(call, times(width, factor), times(height, factor), false)
}

fn invert(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    each(call, "image", |picture| {
        let mut inverted = picture.clone();
        imageops::invert(&mut inverted);
        inverted
    })
}

fn blend(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let factor = call.number("blend_factor", 0.5).clamp(0.0, 1.0);
    let mode: fn(f64, f64) -> f64 = match call.text("blend_mode") {
        "multiply" => |a, b| a * b,
        "screen" => |a, b| 1.0 - (1.0 - a) * (1.0 - b),
        "overlay" => |a, b| {
            if a <= 0.5 {
                2.0 * a * b
            } else {
                1.0 - 2.0 * (1.0 - a) * (1.0 - b)
            }
        },
        "soft_light" => |a, b| {
            let lifted = if a <= 0.25 {
                ((16.0 * a - 12.0) * a + 4.0) * a
            } else {
                a.sqrt()
            };
            if b <= 0.5 {
                a - (1.0 - 2.0 * b) * a * (1.0 - a)
            } else {
                a + (2.0 * b - 1.0) * (lifted - a)
            }
        },
        "difference" => |a, b| a - b,
        _ => |_, b| b,
    };
    let (below, above) = (call.images("image1")?, call.images("image2")?);
    let (width, height) = size_of(below);
    let pairs = below.iter().zip(above.iter().cycle());
    let blended = pairs.map(|(one, other)| {
        let other = resized(other, width, height).pixels();
        let mut picture = (*one.pixels()).clone();
        for (pixel, over) in picture.pixels_mut().zip(other.pixels()) {
            for channel in 0..3 {
                let (a, b) = (
                    f64::from(pixel[channel]) / 255.0,
                    f64::from(over[channel]) / 255.0,
                );
                pixel[channel] = level(a * (1.0 - factor) + mode(a, b) * factor);
            }
        }
        Frame::from_pixels(picture)
    });
    Ok(images(blended.collect()))
}

/// 0 to 1 as a byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte first"
)]
pub(super) fn level(part: f64) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// All pictures behind one another, at the size of the first.
fn joined<'a>(batches: impl IntoIterator<Item = &'a [Frame]>) -> Outcome {
    let mut all: Vec<Frame> = Vec::new();
    for frame in batches.into_iter().flatten() {
        let (width, height) = all.first().map_or_else(|| frame.size(), Frame::size);
        all.push(resized(frame, width, height));
    }
    images(all)
}

fn batch(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    Ok(joined([call.images("image1")?, call.images("image2")?]))
}

fn batch_all(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let mut names: Vec<&String> = call.inputs.keys().collect();
    // image2 comes before image10.
    names.sort_by_key(|name| (name.len(), name.as_str()));
    let batches: Result<Vec<&[Frame]>, Raised> =
        names.iter().map(|name| call.images(name)).collect();
    Ok(joined(batches?))
}

fn crop(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (width, height) = (call.size("width", 512), call.size("height", 512));
    let (x, y) = (call.size("x", 0), call.size("y", 0));
    each(call, "image", |picture| {
        let (x, y) = (x.min(picture.width() - 1), y.min(picture.height() - 1));
        let (width, height) = (
            width.min(picture.width() - x),
            height.min(picture.height() - y),
        );
        imageops::crop_imm(picture, x, y, width, height).to_image()
    })
}

fn pad_for_outpaint(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let side = |name| call.size(name, 0).min(16_384);
    let (left, top, right, bottom) = (side("left"), side("top"), side("right"), side("bottom"));
    let (width, height) = size_of(call.images("image")?);
    let padded = each(call, "image", |picture| {
        let grey = Rgba([128, 128, 128, 255]);
        let mut canvas = RgbaImage::from_pixel(left + width + right, top + height + bottom, grey);
        imageops::replace(&mut canvas, picture, i64::from(left), i64::from(top));
        canvas
    })?;
    let mask = RgbaImage::from_fn(left + width + right, top + height + bottom, |x, y| {
        let old = (left..left + width).contains(&x) && (top..top + height).contains(&y);
        let shade = if old { 0 } else { 255 };
        Rgba([shade, shade, shade, 255])
    });
    let mut outputs = padded.outputs;
    outputs.push(Value::masks(vec![Frame::from_pixels(mask)]));
    Ok(Outcome::values(outputs))
}

fn get_size(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("image")?;
    let ((width, height), count) = (size_of(frames), frames.len());
    call.server.text(&format!(
        "width: {width}, height: {height}\n batch size: {count}"
    ));
    let number = |number: Json| Value::Json(number);
    Ok(Outcome::values(vec![
        number(json!(width)),
        number(json!(height)),
        number(json!(count)),
    ]))
}

fn repeat(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let amount = call.size("amount", 1).clamp(1, 4096) as usize;
    let frames = call.images("image")?;
    Ok(images(
        frames
            .iter()
            .cycle()
            .take(frames.len() * amount)
            .cloned()
            .collect(),
    ))
}

fn from_batch(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let frames = call.images("image")?;
    let first = (call.size("batch_index", 0) as usize).min(frames.len().saturating_sub(1));
    let count = (call.size("length", 1) as usize).max(1);
    Ok(images(
        frames.iter().skip(first).take(count).cloned().collect(),
    ))
}

fn flip(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let vertical = call.text("flip_method").starts_with('x');
    each(call, "image", |picture| {
        if vertical {
            imageops::flip_vertical(picture)
        } else {
            imageops::flip_horizontal(picture)
        }
    })
}

fn rotate(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let rotation = call.text("rotation").to_owned();
    each(call, "image", |picture| match rotation.as_str() {
        turn if turn.starts_with("90") => imageops::rotate90(picture),
        turn if turn.starts_with("180") => imageops::rotate180(picture),
        turn if turn.starts_with("270") => imageops::rotate270(picture),
        _ => picture.clone(),
    })
}

fn stitch(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let first = call.images("image1")?;
    let Ok(second) = call.images("image2") else {
        return Ok(images(first.to_vec()));
    };
    let direction = call.text("direction").to_owned();
    let sideways = matches!(direction.as_str(), "right" | "left");
    let ((width, height), (other_width, other_height)) = (size_of(first), size_of(second));
    let (other_width, other_height) = match (call.flag("match_image_size"), sideways) {
        (false, _) => (other_width, other_height),
        (true, true) => (proportional(other_width, height, other_height), height),
        (true, false) => (width, proportional(other_height, width, other_width)),
    };
    let (total_width, total_height) = if sideways {
        (width + other_width, height.max(other_height))
    } else {
        (width.max(other_width), height + other_height)
    };
    let pairs = first.iter().zip(second.iter().cycle());
    let stitched = pairs.map(|(one, other)| {
        let other = resized(other, other_width, other_height);
        let mut canvas = RgbaImage::from_pixel(total_width, total_height, Rgba([0, 0, 0, 255]));
        let (before, after) = match direction.as_str() {
            "left" | "up" => (&other, one),
            _ => (one, &other),
        };
        let (shift_x, shift_y) = if sideways {
            (before.size().0, 0)
        } else {
            (0, before.size().1)
        };
        imageops::replace(&mut canvas, &*before.pixels(), 0, 0);
        imageops::replace(
            &mut canvas,
            &*after.pixels(),
            i64::from(shift_x),
            i64::from(shift_y),
        );
        Frame::from_pixels(canvas)
    });
    Ok(images(stitched.collect()))
}

fn composite(call: &mut Call<'_>) -> Result<Outcome, Raised> {
    let (below, source) = (call.images("destination")?, call.images("source")?);
    let mask = call.images("mask").ok();
    let (width, height) = size_of(below);
    let (left, top) = (call.size("x", 0), call.size("y", 0));
    let (source_width, source_height) = if call.flag("resize_source") {
        (width, height)
    } else {
        size_of(source)
    };
    let pairs = below.iter().zip(source.iter().cycle()).enumerate();
    let composed = pairs.map(|(index, (one, source))| {
        let source = resized(source, source_width, source_height).pixels();
        let mask = mask.and_then(|mask| mask.get(index % mask.len().max(1)));
        let mask = mask.map(|mask| resized(mask, source_width, source_height).pixels());
        let mut picture = (*one.pixels()).clone();
        for (x, y, pixel) in source.enumerate_pixels() {
            let (x_below, y_below) = (left + x, top + y);
            if x_below >= width || y_below >= height {
                continue;
            }
            let part = mask
                .as_ref()
                .map_or(1.0, |mask| f64::from(mask.get_pixel(x, y)[0]) / 255.0);
            let under = picture.get_pixel_mut(x_below, y_below);
            for channel in 0..3 {
                let (from, to) = (f64::from(under[channel]), f64::from(pixel[channel]));
                under[channel] = level((from + (to - from) * part) / 255.0);
            }
        }
        Frame::from_pixels(picture)
    });
    Ok(images(composed.collect()))
}

/// Reads an uploaded picture: its colours, and how transparent it is as a mask.
struct Load;

impl SimNode for Load {
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        let picture = image::open(call.input_file("image")?)?;
        let has_alpha = picture.color().has_alpha();
        let pixels = picture.into_rgba8();
        let mask = if has_alpha {
            super::mask::from_channel(&pixels, 3, true)
        } else {
            // Without transparency there is a small empty mask.
            RgbaImage::from_pixel(64, 64, Rgba([0, 0, 0, 255]))
        };
        let mut opaque = pixels;
        for pixel in opaque.pixels_mut() {
            pixel[3] = 255;
        }
        Ok(Outcome::values(vec![
            Value::images(vec![Frame::from_pixels(opaque)]),
            Value::masks(vec![Frame::from_pixels(mask)]),
        ]))
    }

    fn changed(&self, constants: &Map<String, Json>, folders: &Folders) -> Option<String> {
        file_hash(constants, folders, "image")
    }
}

/// The hash of the file that an input names; whatever is not there has none.
pub(super) fn file_hash(
    constants: &Map<String, Json>,
    folders: &Folders,
    name: &str,
) -> Option<String> {
    let path = folders.annotated(constants.get(name)?.as_str()?)?;
    let bytes = std::fs::read(path).ok()?;
    Some(blake3::hash(&bytes).to_hex().to_string())
}
