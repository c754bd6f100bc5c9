//! Values that a person would want to change, as parameters.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::idiom::{Argument, Call};
use super::literal::{Large, note_large};
use super::meaning::{Meaning, VALUE, of_input, of_role};
use super::name::words_of;
use super::order::Ordered;
use super::purpose::Purpose;
use super::range::{bounds, choices, type_of};
use super::read::{Given, Graph};
use crate::comfy::anatomy::{Anatomy, Role};
use crate::comfy::nodes::model_folder;

/// The order in which parameters are declared: what a caller sets most often comes first.
const ORDER: [&str; 34] = [
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
    VALUE,
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
    "CLIP",
    "VAE",
    "CLIP_VISION",
    "LORA",
    "LORA_STRENGTH",
    "CONTROLNET",
    "UPSCALER",
];

/// Seeds from here on are drawn: nobody has the same one twice by accident.
const DRAWN: u64 = 1 << 20;

/// The longest name of a parameter that is made of a title.
const LONGEST_NAME: usize = 40;

/// What Rhai has no numbers for.
const LARGE: &str = "LARGE";

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
    /// Whether it is the seed that matters most.
    is_main: bool,
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

pub(super) fn lift(
    graph: &Graph<'_>,
    anatomy: &Anatomy,
    purpose: &Purpose,
    shared: &[Vec<(String, String)>],
) -> Lifting {
    let mut lifting = Lifting::default();
    for role in Role::all() {
        for spot in anatomy.spots(role) {
            let Some(&part) = graph.by_id.get(spot.node_id.as_str()) else {
                continue;
            };
            if let Some(meaning) = of_role(role, purpose) {
                lifting.add(graph, part, &spot.input, &meaning);
            }
        }
    }
    for (at, part) in graph.parts.iter().enumerate() {
        for (name, value) in part.literals() {
            if let Some(meaning) = of_input(part, name, value) {
                lifting.add(graph, at, name, &meaning);
            }
        }
    }
    for inputs in shared {
        lifting.join(graph, inputs);
    }
    lifting.drop_unused();
    lifting.note_large(graph);
    lifting
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
            same && param.folder.as_deref() == folder && Self::is_one(graph, param, part, meaning)
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
            is_main: meaning.base == "SEED" && self.params.iter().all(|own| own.base != "SEED"),
        });
    }

    /// Inputs that somebody set in one place are set by one parameter, if by any.
    fn join(&mut self, graph: &Graph<'_>, inputs: &[(String, String)]) {
        let places = inputs.iter().filter_map(|(id, input)| {
            let part = *graph.by_id.get(id.as_str())?;
            match graph.parts[part].input(input)? {
                Given::Value(value) => Some(((part, input.clone()), value)),
                _ => None,
            }
        });
        let places: Vec<((usize, String), &Value)> = places.collect();
        let known = places
            .iter()
            .filter_map(|(place, _)| self.places.get(place));
        let Some(first) = known.min().copied() else {
            return;
        };
        let merged: Vec<usize> = places
            .iter()
            .filter_map(|(place, _)| self.places.get(place).copied())
            .collect();
        for param in self.places.values_mut() {
            if merged.contains(param) {
                *param = first;
            }
        }
        for (place, value) in places {
            if *value == self.params[first].value {
                self.places.insert(place, first);
            }
        }
    }

    fn drop_unused(&mut self) {
        let mut new_places = vec![None; self.params.len()];
        let mut kept = Vec::with_capacity(self.params.len());
        for (at, param) in self.params.drain(..).enumerate() {
            if self.places.values().any(|place| *place == at) {
                new_places[at] = Some(kept.len());
                kept.push(param);
            }
        }
        self.params = kept;
        for place in self.places.values_mut() {
            *place = new_places[*place].unwrap_or_default();
        }
    }

    /// Whether the same value in another node is meant as the same thing.
    fn is_one(graph: &Graph<'_>, param: &Lifted, part: usize, meaning: &Meaning) -> bool {
        let (other, class) = (param.place.0, graph.parts[part].class);
        let is_drawn = param.value.as_u64().is_some_and(|seed| seed >= DRAWN);
        match meaning.base {
            "SEED" => is_drawn,
            _ if meaning.shared || other == part => true,
            // Two samplers share the steps between them.
            _ => class.contains("Advanced") && graph.parts[other].class == class,
        }
    }

    /// Puts the parameters in their order, those of one kind as the script comes upon them, and gives
    /// them their names.
    pub(super) fn settle(&mut self, graph: &Graph<'_>, ordered: &Ordered) {
        self.sort(ordered);
        self.name(graph);
    }

    fn sort(&mut self, ordered: &Ordered) {
        let rank = |base: &str| {
            let place = ORDER.iter().position(|own| *own == base);
            place.unwrap_or(ORDER.len())
        };
        let mut order: Vec<usize> = (0..self.params.len()).collect();
        let place = |at: usize| ordered.places[self.params[at].place.0];
        order.sort_by_key(|at| {
            let param = &self.params[*at];
            (rank(param.base), !param.is_main, place(*at))
        });
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
            if base == LARGE {
                continue;
            }
            let several = self
                .params
                .iter()
                .filter(|param| param.base == base)
                .count()
                > 1;
            let part = &graph.parts[self.params[at].place.0];
            let by_title = [VALUE, "TEXT"].contains(&base);
            let is_told = several || by_title;
            let title = part.title.filter(|_| is_told).and_then(words_of);
            let titled = title.map(|words| titled(&words.to_uppercase(), base));
            let titled = titled.filter(|name| name.len() <= LONGEST_NAME);
            let is_taken = titled.as_ref().is_some_and(|name| taken.contains(name));
            // Two values of one title are two of a kind; two prompts of one title are two prompts.
            let stem = match titled {
                Some(titled) if by_title || !is_taken => titled,
                _ => base.to_owned(),
            };
            let mut number = 1;
            let mut name = stem.clone();
            while taken.contains(&name) {
                number += 1;
                name = format!("{stem}_{number}");
            }
            if several && number > 1 && !by_title {
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
                base: LARGE,
                place: (0, String::new()),
                is_main: false,
            });
        }
    }
}

/// The name by the title of a node: `SECOND_PASS_SEED`.
fn titled(words: &str, base: &str) -> String {
    if base.ends_with("_PATH") {
        words.strip_prefix("LOAD_").unwrap_or(words).to_owned()
    } else if [VALUE, "TEXT"].contains(&base) || words.contains(base) {
        words.to_owned()
    } else {
        format!("{words}_{base}")
    }
}
