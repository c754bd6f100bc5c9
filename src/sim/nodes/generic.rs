//! The behaviour of every class without one of its own: it samples if its inputs say that it is a
//! sampler, makes an empty latent if it declares a size, passes on what has the type of its
//! outputs, and makes up the rest.

use std::sync::Arc;

use image::{Rgba, RgbaImage};
use serde_json::{Value as Json, json};

use super::super::node::{Call, Outcome, Raised, SimNode};
use super::super::picture::Painting;
use super::super::value::{Audio, Frame, Opaque, Value, Video};
use super::{latent, sampling};

pub(super) struct Generic;

impl SimNode for Generic {
    fn run(&self, call: &mut Call<'_>) -> Result<Outcome, Raised> {
        if sampling::is_sampler(call) {
            return sampling::sample(call);
        }
        Ok(Outcome::values(outputs(call)))
    }
}

/// A value for every output slot.
pub(super) fn outputs(call: &Call<'_>) -> Vec<Value> {
    let slots = 0..call.shape.outputs.len();
    slots.map(|slot| output(call, slot)).collect()
}

fn output(call: &Call<'_>, slot: usize) -> Value {
    let value = pass_on(call, slot).unwrap_or_else(|| make_up(call, slot));
    if call.shape.output_is_list[slot] && !matches!(value, Value::List(_)) {
        return Value::List(vec![value]);
    }
    value
}

/// The input that this output continues: the one of its name, else the first of its type.
fn pass_on(call: &Call<'_>, slot: usize) -> Option<Value> {
    let kind = call.shape.outputs[slot].as_str();
    let name = &call.shape.output_names[slot];
    let fits = |value: &&Value| type_of(value).is_some_and(|own| own == kind);
    let named = call
        .inputs
        .iter()
        .find(|(input, _)| input.eq_ignore_ascii_case(name));
    let by_name = named.map(|(_, value)| value).filter(fits);
    let declared = call
        .shape
        .inputs
        .iter()
        .filter_map(|input| call.inputs.get(&input.name));
    let by_type = || {
        declared
            .chain(call.inputs.values())
            .find(|value| unwrapped(value).is_some_and(|one| fits(&one)))
    };
    let value = by_name.or_else(by_type)?;
    match unwrapped(value)? {
        // A conditioning or schedule changes on its way; a picture that nothing is known about stays.
        Value::Opaque(_) => None,
        Value::Latent(_) if latent::declares_size(call) => None,
        _ => Some(value.clone()),
    }
}

/// The first member of a list, or the value itself.
fn unwrapped(value: &Value) -> Option<&Value> {
    match value {
        Value::List(members) => members.first(),
        other => Some(other),
    }
}

fn type_of(value: &Value) -> Option<&str> {
    Some(match value {
        Value::Images(_) => "IMAGE",
        Value::Masks(_) => "MASK",
        Value::Latent(_) => "LATENT",
        Value::Audio(_) => "AUDIO",
        Value::Video(_) => "VIDEO",
        Value::Opaque(opaque) => &opaque.kind,
        Value::Json(_) | Value::List(_) | Value::Blocked(_) => return None,
    })
}

fn make_up(call: &Call<'_>, slot: usize) -> Value {
    let kind = call.shape.outputs[slot].as_str();
    match kind {
        "LATENT" => latent::empty(call),
        "IMAGE" => Value::images(painted(call, 1)),
        "MASK" => {
            let (width, height) = size(call);
            let white = RgbaImage::from_pixel(width, height, Rgba([255; 4]));
            Value::masks(vec![Frame::from_pixels(white)])
        }
        "AUDIO" => Value::Audio(Arc::new(Audio {
            seconds: call
                .number("seconds", call.number("duration", 2.0))
                .clamp(0.1, 600.0),
            sample_rate: 44_100,
            digest: call.signature,
            silent: false,
        })),
        "VIDEO" => Value::Video(Arc::new(Video {
            frames: Arc::new(painted(call, 16)),
            fps: 8.0,
            audio: None,
            file: None,
        })),
        "INT" => Value::Json(json!(
            first_of(call, "INT")
                .and_then(|value| value.as_i64())
                .unwrap_or(1)
        )),
        "FLOAT" => Value::Json(json!(
            first_of(call, "FLOAT")
                .and_then(|value| value.as_f64())
                .unwrap_or(1.0)
        )),
        "BOOLEAN" => Value::Json(json!(
            first_of(call, "BOOLEAN")
                .and_then(|value| value.as_bool())
                .unwrap_or(true)
        )),
        "STRING" => Value::Json(
            first_of(call, "STRING").unwrap_or_else(|| json!(words(call, slot).join(" "))),
        ),
        "COMBO" => Value::Json(first_of(call, "COMBO").unwrap_or(Json::Null)),
        // A type that follows an input: whatever comes in first.
        "COMFY_MATCHTYPE_V3" | "*" => {
            let declared = call
                .shape
                .inputs
                .iter()
                .filter_map(|input| call.inputs.get(&input.name));
            let first = declared
                .chain(call.inputs.values())
                .find(|value| type_of(value).is_some());
            first
                .or_else(|| call.inputs.values().next())
                .cloned()
                .unwrap_or(Value::Json(Json::Null))
        }
        _ => Value::Opaque(Arc::new(opaque(call, slot))),
    }
}

/// The first constant of a declared type.
fn first_of(call: &Call<'_>, kind: &str) -> Option<Json> {
    let input = call.shape.inputs.iter().find(|input| input.kind == kind)?;
    call.json(&input.name).cloned()
}

fn opaque(call: &Call<'_>, slot: usize) -> Opaque {
    let upstream = call.inputs.values().find_map(|value| match value {
        Value::Opaque(opaque) if opaque.kind == call.shape.outputs[slot] => Some(opaque.clone()),
        _ => None,
    });
    let declared = |name: &str| call.inputs.get(name).and_then(Value::as_json);
    Opaque {
        kind: call.shape.outputs[slot].clone(),
        words: words(call, slot),
        steps: declared("steps")
            .and_then(Json::as_u64)
            .or(upstream.as_ref().and_then(|one| one.steps)),
        denoise: declared("denoise")
            .and_then(Json::as_f64)
            .or(upstream.and_then(|one| one.denoise)),
    }
}

/// The words behind an output: those of the input of its name, or those of all inputs but the
/// negative ones, and what is written in the node itself.
fn words(call: &Call<'_>, slot: usize) -> Vec<String> {
    let name = &call.shape.output_names[slot];
    let mut words: Vec<String> = Vec::new();
    let mut add = |more: Vec<String>| {
        for word in more {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    };
    if let Some((_, named)) = call
        .inputs
        .iter()
        .find(|(input, _)| input.eq_ignore_ascii_case(name))
    {
        add(named.words());
    } else {
        for (input, value) in &call.inputs {
            if !input.to_lowercase().contains("negative") {
                add(value.words());
            }
        }
    }
    for input in call
        .shape
        .inputs
        .iter()
        .filter(|input| input.kind == "STRING")
    {
        let text = call
            .inputs
            .get(&input.name)
            .and_then(|value| value.as_json()?.as_str());
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            add(vec![text.trim().to_owned()]);
        }
    }
    words
}

/// The size that the node declares, or that of what comes in.
fn size(call: &Call<'_>) -> (u32, u32) {
    let upstream = call.inputs.values().find_map(|value| match value {
        Value::Images(frames) | Value::Masks(frames) => frames.first().map(Frame::size),
        Value::Latent(latent) => Some((latent.width, latent.height)),
        Value::Video(video) => video.frames.first().map(Frame::size),
        _ => None,
    });
    let (width, height) = upstream.unwrap_or((512, 512));
    let bounded = |side: u32| side.clamp(16, 4096);
    (
        bounded(call.size("width", width)),
        bounded(call.size("height", height)),
    )
}

fn painted(call: &Call<'_>, count: u32) -> Vec<Frame> {
    let (width, height) = size(call);
    let painting = Arc::new(Painting {
        digest: call.signature,
        words: words(call, 0),
        base: None,
        mask: None,
        is_clip: count > 1,
        done: 1.0,
    });
    (0..count)
        .map(|index| Frame::Painted {
            painting: painting.clone(),
            index,
            width,
            height,
        })
        .collect()
}
