//! What the nodes are called: after what they are, each once.

use std::collections::{HashMap, HashSet};

use super::idiom::{Call, Unit};
use super::literal::is_name;
use super::order::{Ordered, Stage};
use super::probe::Returns;
use super::purpose::{Medium, Purpose, medium_of_upload};
use super::read::{Graph, Part};
use crate::comfy::anatomy::{Anatomy, Role};

/// The longest name that is made of a title.
const LONGEST: usize = 30;

/// Names that scripts have for something else, or that a workflow has already.
const TAKEN: [&str; 4] = ["g", "p", "n", "workflow"];

/// Classes that are called after what they do.
const CLASSES: [(&str, &str); 37] = [
    ("CheckpointLoader", "checkpoint"),
    ("UpscaleModelLoader", "upscaler"),
    ("LoraLoader", "with_lora"),
    ("CLIPSetLastLayer", "clip"),
    ("ModelSampling", "shifted"),
    ("Empty", "canvas"),
    ("VAEEncode", "encoded"),
    ("LatentUpscale", "larger"),
    ("LTXVLatentUpsampler", "larger"),
    ("ImageUpscale", "larger"),
    ("ImageScale", "scaled"),
    ("ResizeImage", "scaled"),
    ("FluxKontextImageScale", "scaled"),
    ("GetImageSize", "size"),
    ("GetVideoComponents", "parts"),
    ("FluxGuidance", "guided"),
    ("ControlNetApply", "controlled"),
    ("SetUnionControlNet", "control_net"),
    ("ConditioningZeroOut", "emptied"),
    ("ConditioningCombine", "combined"),
    ("ReferenceLatent", "referring"),
    ("LTXVConditioning", "timed"),
    ("LTXVConcatAVLatent", "joined"),
    ("LTXVSeparateAVLatent", "parts"),
    ("LTXVCropGuides", "cropped"),
    ("LTXVAddGuide", "guided"),
    ("LTXVImgToVideo", "begun"),
    ("ImageToVideo", "begun"),
    ("CFGNorm", "steadied"),
    ("CFGZeroStar", "steadied"),
    ("Canny", "edges"),
    ("InvertMask", "inverted"),
    ("Primitive", "value"),
    ("PreviewAny", "shown"),
    ("StringConcatenate", "joined_text"),
    ("ComfySwitch", "chosen"),
    ("Video Slice", "slice"),
];

/// Outputs by their types.
const TYPES: [(&str, &str); 24] = [
    ("MODEL", "model"),
    ("CLIP", "clip"),
    ("VAE", "vae"),
    ("CONDITIONING", "conditioning"),
    ("LATENT", "latent"),
    ("IMAGE", "picture"),
    ("MASK", "mask"),
    ("VIDEO", "video"),
    ("AUDIO", "sound"),
    ("SIGMAS", "sigmas"),
    ("SAMPLER", "sampler"),
    ("NOISE", "noise"),
    ("GUIDER", "guider"),
    ("CONTROL_NET", "control_net"),
    ("CLIP_VISION", "clip_vision"),
    ("CLIP_VISION_OUTPUT", "seen"),
    ("UPSCALE_MODEL", "upscaler"),
    ("LATENT_UPSCALE_MODEL", "upscaler"),
    ("STYLE_MODEL", "style"),
    ("STRING", "text"),
    ("INT", "number"),
    ("FLOAT", "number"),
    ("MESH", "mesh"),
    ("VOXEL", "voxels"),
];

/// The name of the variable of each statement, if one is needed.
pub(super) fn names(
    graph: &Graph<'_>,
    ordered: &Ordered,
    anatomy: &Anatomy,
    purpose: &Purpose,
) -> Vec<Option<String>> {
    let sides = sides(graph, anatomy);
    let used: HashSet<usize> = graph
        .parts
        .iter()
        .flat_map(Part::links)
        .map(|(_, output)| output.part)
        .collect();
    let mut taken: HashSet<String> = TAKEN.iter().map(|name| (*name).to_owned()).collect();
    let mut names = Vec::with_capacity(ordered.units.len());
    for (at, (unit, stage)) in ordered.units.iter().enumerate() {
        let is_used = needs_name(graph, ordered, at, unit, &used);
        if !is_used {
            names.push(None);
            continue;
        }
        let wanted = wanted(graph, unit, *stage, &sides, purpose);
        let name = free(wanted, &taken);
        taken.insert(name.clone());
        names.push(Some(name));
    }
    names
}

fn needs_name(
    graph: &Graph<'_>,
    ordered: &Ordered,
    at: usize,
    unit: &Unit,
    used: &HashSet<usize>,
) -> bool {
    let mut parts = unit.parts.iter().filter(|part| used.contains(part));
    if unit.call.is_none() {
        return parts.next().is_some();
    }
    // The links within a call are its own affair.
    parts.any(|part| {
        let mut takers = graph.takers(*part);
        takers.any(|(taker, ..)| ordered.places[taker].0 != at)
    })
}

/// The first of some names that is free, or else the last one with a number.
fn free(wanted: Vec<String>, taken: &HashSet<String>) -> String {
    let is_free = |name: &&String| is_name(name) && !taken.contains(*name);
    if let Some(name) = wanted.iter().find(is_free) {
        return name.clone();
    }
    let base = wanted.into_iter().find(|name| is_name(name));
    let base = base.unwrap_or_else(|| "node".to_owned());
    let mut number = 2;
    loop {
        let name = format!("{base}_{number}");
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

fn wanted(
    graph: &Graph<'_>,
    unit: &Unit,
    stage: Stage,
    sides: &HashMap<usize, &'static str>,
    purpose: &Purpose,
) -> Vec<String> {
    if let Some(call) = &unit.call
        && let Some(name) = name_of_call(call)
    {
        return vec![name];
    }
    // What a call returns is what its last node gives.
    let last = unit.parts.last().copied().unwrap_or_default();
    let part = &graph.parts[last];
    let title = part.title.and_then(words_of);
    let title = title.map(|title| match title.strip_prefix("load_") {
        Some(what) if stage == Stage::Given => what.to_owned(),
        _ => title,
    });
    let own = own_name(part, stage, sides.get(&last).copied(), purpose);
    let title = title.filter(|title| title.len() <= LONGEST);
    let is_value = part.class.starts_with("Primitive");
    match (own, title) {
        // Of several values, all are called after their titles.
        (_, Some(title)) if is_value => vec![title],
        (Some(own), Some(title)) if stage == Stage::Given => vec![title, own],
        (Some(own), Some(title)) => vec![own, title],
        (Some(own), None) => vec![own],
        (None, title) => title.into_iter().chain(words_of(part.class)).collect(),
    }
}

/// What is returned under several keys, as the shipped templates call it.
fn name_of_call(call: &Call) -> Option<String> {
    let Returns::Outputs(outputs) = &call.pattern.returns else {
        return None;
    };
    let has = |key: &str| outputs.iter().any(|(own, _)| own == key);
    let name = if has("model") || has("clip") {
        "loaded"
    } else if has("positive") {
        "prompt"
    } else {
        &call.pattern.function
    };
    Some(name.to_owned())
}

/// Which nodes are the positive and which the negative side.
fn sides(graph: &Graph<'_>, anatomy: &Anatomy) -> HashMap<usize, &'static str> {
    let has_negative = !anatomy.spots(Role::NegativePrompt).is_empty();
    let positive = if has_negative { "positive" } else { "prompt" };
    let mut sides = HashMap::new();
    for (role, encoder, text) in [
        (Role::Prompt, positive, "prompt_text"),
        (Role::NegativePrompt, "negative", "negative_text"),
    ] {
        for spot in anatomy.spots(role) {
            let feeds = spot.feeds.as_ref().map(|(id, _)| id.as_str());
            let at = feeds.unwrap_or(&spot.node_id);
            if let Some(&part) = graph.by_id.get(at) {
                sides.entry(part).or_insert(encoder);
            }
            if feeds.is_some()
                && let Some(&part) = graph.by_id.get(spot.node_id.as_str())
            {
                sides.entry(part).or_insert(text);
            }
        }
    }
    sides
}

/// What a node is called by its kind, if that says something.
fn own_name(
    part: &Part<'_>,
    stage: Stage,
    side: Option<&'static str>,
    purpose: &Purpose,
) -> Option<String> {
    let first = part.outputs().next();
    let encodes = first.is_none_or(|ty| ty == "CONDITIONING" || ty == "STRING");
    if let Some(side) = side.filter(|_| encodes) {
        return Some(side.to_owned());
    }
    if let Some(medium) = medium_of_upload(part) {
        let name = match (medium, first) {
            (_, Some("MASK")) => "mask",
            (Medium::Clip, _) => "video",
            (Medium::Sound, _) => "sound",
            _ => "given",
        };
        return Some(name.to_owned());
    }
    let many = purpose.makes == Medium::Clip && stage == Stage::Finish;
    if first == Some("IMAGE") && part.class.starts_with("VAEDecode") {
        return Some(if many { "pictures" } else { "picture" }.to_owned());
    }
    let class = CLASSES.iter().find(|(class, _)| part.class.contains(class));
    if let Some((_, name)) = class {
        return Some((*name).to_owned());
    }
    let by_type = first.and_then(|first| TYPES.iter().find(|(ty, _)| *ty == first));
    by_type.map(|(_, name)| (*name).to_owned())
}

/// What stands in the brackets of `Int (Steps)`.
fn without_type(title: &str) -> &str {
    let types = ["Int (", "Float (", "String (", "Text (", "Boolean ("];
    let inner = types.iter().find_map(|ty| title.strip_prefix(ty));
    inner
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(title)
}

/// A title or the name of a class as a name: `First frame` and `FirstFrame` are `first_frame`.
pub(super) fn words_of(title: &str) -> Option<String> {
    let mut name = String::new();
    let mut before = ' ';
    // The one word that everybody writes like this.
    let title = without_type(title).replace("LoRA", "Lora");
    let mut letters = title.chars().peekable();
    while let Some(c) = letters.next() {
        let next_is_small = letters.peek().is_some_and(char::is_ascii_lowercase);
        let begins = c.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || before.is_ascii_uppercase() && next_is_small);
        if !c.is_ascii_alphanumeric() || begins {
            name.push('_');
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !c.is_ascii() && c.is_alphanumeric() {
            // Half a word in another script says less than none.
            return None;
        }
        before = c;
    }
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_classes_become_names() {
        for (title, name) in [
            ("First frame", Some("first_frame")),
            ("CLIPTextEncode", Some("clip_text_encode")),
            ("LTXVConcatAVLatent", Some("ltxv_concat_av_latent")),
            ("Step 2 - (refine)!", Some("step_2_refine")),
            ("Enable LoRA?", Some("enable_lora")),
            ("Int (Steps)", Some("steps")),
            ("2nd pass", None),
            ("caf\u{e9}", None),
            ("", None),
        ] {
            assert_eq!(words_of(title).as_deref(), name, "{title}");
        }
    }
}
