//! Values that a person would want to change, as parameters.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::idiom::{Argument, Call};
use super::literal::{Large, note_large};
use super::name::words_of;
use super::purpose::{Medium, Purpose, upload};
use super::read::{Given, Graph, Part};
use crate::comfy::anatomy::{Anatomy, Role};
use crate::comfy::nodes::{INPUT_FOLDER, Input, model_folder};

/// What the names of model files end in.
const MODEL_ENDINGS: [&str; 8] = [
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pth",
    ".bin",
    ".gguf",
    ".onnx",
];

/// The folders of models, and what the parameter of a file there is called.
const FOLDERS: [(&str, &str); 14] = [
    ("checkpoints", "CHECKPOINT"),
    ("diffusion_models", "MODEL"),
    ("text_encoders", "CLIP"),
    ("vae", "VAE"),
    ("loras", "LORA"),
    ("controlnet", "CONTROLNET"),
    ("clip_vision", "CLIP_VISION"),
    ("style_models", "STYLE_MODEL"),
    ("upscale_models", "UPSCALER"),
    ("latent_upscale_models", "UPSCALER"),
    ("audio_encoders", "AUDIO_ENCODER"),
    ("model_patches", "MODEL_PATCH"),
    ("gligen", "GLIGEN"),
    ("photomaker", "PHOTOMAKER"),
];

/// The order in which parameters are declared: what a caller sets most often comes first.
const ORDER: [&str; 26] = [
    "IMAGE_PATH",
    "MASK_PATH",
    "VIDEO_PATH",
    "AUDIO_PATH",
    "PROMPT",
    "NEGATIVE",
    "TEXT",
    "SEED",
    "WIDTH",
    "HEIGHT",
    "RESOLUTION",
    "ASPECT_RATIO",
    "BATCH",
    "FRAMES",
    "SECONDS",
    "FPS",
    "STEPS",
    "CFG",
    "GUIDANCE",
    "SHIFT",
    "DENOISE",
    "SAMPLER",
    "SCHEDULER",
    "STRENGTH",
    "CHECKPOINT",
    "MODEL",
];

/// Seeds from here on are drawn: nobody has the same one twice by accident.
const DRAWN: u64 = 1 << 20;

/// The longest name of a parameter that is made of a title.
const LONGEST_NAME: usize = 40;

/// Bounds from here on bound nothing that people set.
const BOUNDLESS: f64 = 2_147_483_648.0;

/// No longer list of choices is shown.
const MOST_CHOICES: usize = 16;

/// Called after the title of its node.
const VALUE: &str = "VALUE";

/// A parameter.
#[derive(Clone, Debug)]
pub(super) struct Lifted {
    pub(super) name: String,
    pub(super) ty: &'static str,
    pub(super) value: Value,
    pub(super) min: Option<Value>,
    pub(super) max: Option<Value>,
    pub(super) step: Option<Value>,
    pub(super) choices: Vec<Value>,
    pub(super) folder: Option<String>,
    pub(super) about: String,
    base: &'static str,
    /// The first input that it stands in.
    place: (usize, String),
}

/// All parameters, and the inputs that they stand in.
#[derive(Debug, Default)]
pub(super) struct Lifting {
    pub(super) params: Vec<Lifted>,
    places: HashMap<(usize, String), usize>,
    /// Whole numbers that Rhai can't write.
    pub(super) large: Large,
}

impl Lifting {
    /// The parameter that stands in an input.
    pub(super) fn at(&self, part: usize, input: &str) -> Option<&Lifted> {
        self.params.get(self.place(part, input)?)
    }

    fn place(&self, part: usize, input: &str) -> Option<usize> {
        self.places.get(&(part, input.to_owned())).copied()
    }

    /// Whether a call leaves every parameter its effect: an argument stands for one of them, and
    /// for all of it.
    pub(super) fn suits(&self, call: &Call) -> bool {
        call.arguments.iter().all(|argument| match argument {
            Argument::Link(_) => true,
            Argument::Value { at, whole, .. } => {
                let mut params = at.iter().map(|(part, input)| self.place(*part, input));
                let first = params.next().flatten();
                let is_one = params.all(|param| param == first);
                is_one && (*whole || first.is_none())
            }
        })
    }
}

/// What a value is to the one who sets it.
struct Meaning {
    base: &'static str,
    about: &'static str,
    /// Whether places with the same value are set together.
    shared: bool,
}

pub(super) fn lift(graph: &Graph<'_>, anatomy: &Anatomy, purpose: &Purpose) -> Lifting {
    let mut lifting = Lifting::default();
    for role in Role::all() {
        for spot in anatomy.spots(role) {
            let Some(&part) = graph.by_id.get(spot.node_id.as_str()) else {
                continue;
            };
            if let Some(meaning) = meaning_of_role(role, purpose) {
                lifting.add(graph, part, &spot.input, &meaning);
            }
        }
    }
    for (at, part) in graph.parts.iter().enumerate() {
        for (name, value) in part.literals() {
            if let Some(meaning) = meaning_of_input(part, name, value) {
                lifting.add(graph, at, name, &meaning);
            }
        }
    }
    lifting.sort();
    lifting.name(graph);
    lifting.note_large(graph);
    lifting
}

fn meaning_of_role(role: Role, purpose: &Purpose) -> Option<Meaning> {
    let (base, about, shared) = match role {
        Role::Prompt => ("PROMPT", purpose.verb(), true),
        Role::NegativePrompt => ("NEGATIVE", "What must not be there", true),
        Role::Seed => ("SEED", "Same seed, same result", true),
        Role::Steps => ("STEPS", "Sampling steps", false),
        Role::Cfg => ("CFG", "How closely to follow the prompt", false),
        Role::Guidance => ("GUIDANCE", "How closely to follow the prompt", false),
        Role::Sampler => ("SAMPLER", "The sampling method", true),
        Role::Scheduler => ("SCHEDULER", "How the noise is spread over the steps", true),
        Role::Denoise => ("DENOISE", "How much is made anew, 0 to 1", false),
        Role::Width => ("WIDTH", "Pixels", true),
        Role::Height => ("HEIGHT", "Pixels", true),
        Role::BatchSize => ("BATCH", "How many per run", true),
        Role::Frames => ("FRAMES", "How many pictures the clip has", true),
        // These are known by their folders and uploads.
        Role::Model | Role::Lora | Role::Image => return None,
    };
    Some(Meaning {
        base,
        about,
        shared,
    })
}

fn meaning_of_input(part: &Part<'_>, input: &str, value: &Value) -> Option<Meaning> {
    let meaning = |base, about, shared| {
        Some(Meaning {
            base,
            about,
            shared,
        })
    };
    if let Some(medium) = upload(part, input) {
        return match medium {
            Medium::Clip => meaning("VIDEO_PATH", "The clip", true),
            Medium::Sound => meaning("AUDIO_PATH", "The sound", true),
            _ if part.class.contains("Mask") => meaning("MASK_PATH", "The mask", true),
            _ => meaning("IMAGE_PATH", "The picture", true),
        };
    }
    if is_model_file(part, input, value) {
        return meaning(file_base(part, input), "", true);
    }
    let declared = part.facts.and_then(|facts| facts.input(input));
    let is_long = declared.is_some_and(|declared| declared.flag("multiline"));
    let last = input.rsplit('.').next().unwrap_or(input);
    match last {
        "seed" | "noise_seed" => meaning("SEED", "Same seed, same result", true),
        "fps" | "frame_rate" => meaning("FPS", "Pictures per second", true),
        "shift" => meaning("SHIFT", "More for composition, less for detail", false),
        "strength_model" | "strength_clip" if part.class.contains("Lora") => {
            meaning("LORA_STRENGTH", "How much of the LoRA", false)
        }
        "strength" if part.class.contains("ControlNet") => {
            meaning("STRENGTH", "How closely to follow the picture", false)
        }
        "resolution" => meaning("RESOLUTION", "How large it is", true),
        "aspect_ratio" => meaning("ASPECT_RATIO", "Width to height", true),
        "duration" => meaning("SECONDS", "How long it is", true),
        "prompt" => meaning("PROMPT", "What is wanted", true),
        "negative_prompt" => meaning("NEGATIVE", "What must not be there", true),
        "text" | "value" if is_long => meaning("TEXT", "A text", false),
        // Somebody took it out to set it, and said what it is.
        "value" if part.class.starts_with("Primitive") && part.title.is_some() => {
            meaning(VALUE, "", false)
        }
        _ => None,
    }
}

/// Whether an input names a model file.
fn is_model_file(part: &Part<'_>, input: &str, value: &Value) -> bool {
    let Some(file) = value.as_str() else {
        return false;
    };
    let folder = model_folder(part.class, input).filter(|folder| *folder != INPUT_FOLDER);
    let file = file.to_lowercase();
    folder.is_some() || MODEL_ENDINGS.iter().any(|ending| file.ends_with(ending))
}

/// Whether a node names model files and needs nothing else.
pub(super) fn loads_models(part: &Part<'_>) -> bool {
    let mut literals = part.literals();
    literals.any(|(name, value)| is_model_file(part, name, value))
}

fn file_base(part: &Part<'_>, input: &str) -> &'static str {
    let folder = model_folder(part.class, input);
    let known = folder.and_then(|folder| FOLDERS.iter().find(|(own, _)| *own == folder));
    if let Some((_, base)) = known {
        return base;
    }
    let called = format!("{} {input}", part.class).to_lowercase();
    let by_name = [
        ("lora", "LORA"),
        ("vae", "VAE"),
        ("clip_vision", "CLIP_VISION"),
        ("clip", "CLIP"),
        ("ckpt", "CHECKPOINT"),
        ("control", "CONTROLNET"),
        ("upscale", "UPSCALER"),
    ];
    let by_name = by_name.iter().find(|(word, _)| called.contains(word));
    by_name.map_or("MODEL", |(_, base)| base)
}

impl Lifting {
    fn add(&mut self, graph: &Graph<'_>, part: usize, input: &str, meaning: &Meaning) {
        let place = (part, input.to_owned());
        let node = &graph.parts[part];
        let Some(Given::Value(value)) = node.input(input) else {
            return;
        };
        if self.places.contains_key(&place) {
            return;
        }
        let declared = node.facts.and_then(|facts| facts.input(input));
        let Some(ty) = type_of(meaning.base, value, declared) else {
            return;
        };
        let folder = model_folder(node.class, input).filter(|_| ty == "model");
        let known = self.params.iter().position(|param| {
            let same = param.base == meaning.base && param.value == *value && param.ty == ty;
            same && param.folder.as_deref() == folder && self.is_one(graph, param, part, meaning)
        });
        if let Some(known) = known {
            self.places.insert(place, known);
            return;
        }
        let (min, max, step) = bounds(ty, value, declared);
        let choices = choices(meaning.base, ty, value, declared);
        self.places.insert(place.clone(), self.params.len());
        self.params.push(Lifted {
            name: String::new(),
            ty,
            value: value.clone(),
            min,
            max,
            step,
            choices,
            folder: folder.map(str::to_owned),
            about: meaning.about.to_owned(),
            base: meaning.base,
            place,
        });
    }

    /// Whether the same value in another node is meant as the same thing.
    fn is_one(&self, graph: &Graph<'_>, param: &Lifted, part: usize, meaning: &Meaning) -> bool {
        let (other, class) = (param.place.0, graph.parts[part].class);
        let is_drawn = param.value.as_u64().is_some_and(|seed| seed >= DRAWN);
        match meaning.base {
            "SEED" => is_drawn,
            _ if meaning.shared || other == part => true,
            // Two samplers share the steps between them.
            _ => class.contains("Advanced") && graph.parts[other].class == class,
        }
    }

    fn sort(&mut self) {
        let rank = |base: &str| {
            let place = ORDER.iter().position(|own| *own == base);
            place.unwrap_or(ORDER.len())
        };
        let mut order: Vec<usize> = (0..self.params.len()).collect();
        order.sort_by_key(|at| rank(self.params[*at].base));
        let mut new_places = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            new_places[*old] = new;
        }
        self.params = order.iter().map(|at| self.params[*at].clone()).collect();
        for place in self.places.values_mut() {
            *place = new_places[*place];
        }
    }

    /// By what they are; of several, by the titles of their nodes, or else by number.
    fn name(&mut self, graph: &Graph<'_>) {
        let mut taken: Vec<String> = Vec::new();
        for at in 0..self.params.len() {
            let base = self.params[at].base;
            let several = self
                .params
                .iter()
                .filter(|param| param.base == base)
                .count()
                > 1;
            let part = &graph.parts[self.params[at].place.0];
            let is_told = several || base == VALUE;
            let title = part.title.filter(|_| is_told).and_then(words_of);
            let titled = title.map(|words| titled(&words.to_uppercase(), base));
            let titled = titled.filter(|name| name.len() <= LONGEST_NAME);
            let is_taken = titled.as_ref().is_some_and(|name| taken.contains(name));
            // Two values of one title are two of a kind; two prompts of one title are two prompts.
            let stem = match titled {
                Some(titled) if base == VALUE || !is_taken => titled,
                _ => base.to_owned(),
            };
            let mut number = 1;
            let mut name = stem.clone();
            while taken.contains(&name) {
                number += 1;
                name = format!("{stem}_{number}");
            }
            if several && number > 1 && base != VALUE {
                let of = part.title.unwrap_or(part.class);
                let about = &mut self.params[at].about;
                *about = if about.is_empty() {
                    format!("For {of}")
                } else {
                    format!("{about} ({of})")
                };
            }
            taken.push(name.clone());
            self.params[at].name = name;
        }
    }

    /// Rhai's whole numbers end at 2^63: larger ones come in as parameters, which hold them.
    fn note_large(&mut self, graph: &Graph<'_>) {
        let mut found = Vec::new();
        for (at, part) in graph.parts.iter().enumerate() {
            for (name, given) in &part.inputs {
                let is_lifted = self.places.contains_key(&(at, (*name).to_owned()));
                if let Given::Value(value) | Given::Broken(value) = given
                    && !is_lifted
                {
                    note_large(value, &mut found);
                }
            }
        }
        for (at, value) in found.into_iter().enumerate() {
            let name = format!("LARGE_{}", at + 1);
            self.large.insert(value, name.clone());
            self.params.push(Lifted {
                name,
                ty: "seed",
                value: json!(value),
                min: None,
                max: None,
                step: None,
                choices: vec![],
                folder: None,
                about: "A number beyond those of scripts".to_owned(),
                base: "LARGE",
                place: (0, String::new()),
            });
        }
    }
}

/// The name by the title of a node: `SECOND_PASS_SEED`.
fn titled(words: &str, base: &str) -> String {
    if base == VALUE || base.ends_with("_PATH") || words.contains(base) {
        words.to_owned()
    } else {
        format!("{words}_{base}")
    }
}

/// The type of the parameter for a value; none if it is not what is usual there.
fn type_of(base: &str, value: &Value, declared: Option<&Input>) -> Option<&'static str> {
    let is_media = base.ends_with("_PATH");
    let is_file = FOLDERS.iter().any(|(_, own)| *own == base);
    match value {
        Value::String(_) if is_media => Some(match base {
            "VIDEO_PATH" => "video",
            "AUDIO_PATH" => "audio",
            _ => "image",
        }),
        Value::String(_) if is_file => Some("model"),
        Value::String(_) => {
            let is_text = ["PROMPT", "NEGATIVE", "TEXT", "SAMPLER", "SCHEDULER"].contains(&base)
                || ["RESOLUTION", "ASPECT_RATIO", "SECONDS", VALUE].contains(&base);
            is_text.then_some("string")
        }
        Value::Number(number) if !is_media && !is_file => {
            if ["PROMPT", "NEGATIVE", "TEXT", "SAMPLER", "SCHEDULER"].contains(&base) {
                return None;
            }
            let is_seed = base == "SEED" && number.is_u64();
            // Interfaces to other machines take seeds that end earlier.
            let ends_early = declared
                .and_then(|input| input.max()?.as_f64())
                .is_some_and(|max| max < 9e18);
            if is_seed && (!ends_early || number.as_i64().is_none()) {
                return Some("seed");
            }
            let takes_fractions =
                declared.is_some_and(|input| input.io_type().members().any(|ty| ty == "FLOAT"));
            if number.is_f64() {
                let takes_whole = declared.is_some_and(|input| input.io_type().is("INT"));
                return Some(if takes_whole { "number" } else { "float" });
            }
            number.as_i64()?;
            Some(if takes_fractions { "number" } else { "int" })
        }
        Value::Bool(_) => (base == VALUE).then_some("bool"),
        _ => None,
    }
}

/// The bounds of a number that say something and hold for its value.
fn bounds(
    ty: &str,
    value: &Value,
    declared: Option<&Input>,
) -> (Option<Value>, Option<Value>, Option<Value>) {
    let (Some(value), Some(declared)) = (value.as_f64(), declared) else {
        return (None, None, None);
    };
    if ty == "seed" {
        return (None, None, None);
    }
    let sensible = |bound: Option<&Value>, holds: &dyn Fn(f64) -> bool| {
        let bound = bound?;
        let number = bound.as_f64()?;
        (number.abs() < BOUNDLESS && holds(number)).then(|| bound.clone())
    };
    let min = sensible(declared.min(), &|min| min <= value);
    let max = sensible(declared.max(), &|max| max >= value);
    let from = min.as_ref().and_then(Value::as_f64).unwrap_or(0.0);
    let step = sensible(declared.step(), &|step| {
        let steps = (value - from) / step;
        step > 1.0 && (steps - steps.round()).abs() < 1e-6
    });
    (min, max, step.filter(|_| ty == "int"))
}

/// The choices of a short list, where a server has the same ones as any other.
fn choices(base: &str, ty: &str, value: &Value, declared: Option<&Input>) -> Vec<Value> {
    let differ = ["SAMPLER", "SCHEDULER"].contains(&base) || ty != "string";
    let choices = declared.and_then(Input::choices).unwrap_or_default();
    let fits = !differ && choices.len() <= MOST_CHOICES && choices.contains(value);
    if fits { choices.to_vec() } else { Vec::new() }
}
