//! The words of all classes of a server, and the order in which a person expects the hits.
//!
//! What a name says counts more than what a title says, then come other words under which a
//! class is known, its category, its description, and the types that it takes and gives. Words
//! are compared whole, then by their beginning, then anywhere in the name; a word that fits
//! nothing at all is taken for a misspelling. All words of a query have to fit; only if no class
//! fits them all do those count that fit most.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::synonyms::alternatives;
use super::words::{compact, count, stem, tokens, words};
use crate::comfy::nodes::{Input, NodeClass, Output};

/// The searchable words of one server's classes.
#[derive(Debug)]
pub(in crate::comfy::nodes) struct Index {
    entries: Vec<Entry>,
    /// The words of names, titles and aliases, among which misspelt ones are looked for.
    vocabulary: Vec<String>,
}

/// What a search found, in the order of the index's classes by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found<T> {
    /// The best hits first.
    pub hits: Vec<T>,
    /// How many classes fit.
    pub total: usize,
    /// Words of the query that fit nothing, and what was looked for instead.
    pub corrected: Vec<(String, String)>,
    /// Whether every word of the query fits every hit.
    pub all_words: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    title: String,
    aliases: Vec<String>,
    /// Words by how much they tell, the most telling first.
    fields: [Vec<String>; 6],
    /// How many words the name has.
    length: usize,
    /// Where it stands among others that fit as well.
    prior: f64,
    /// Old and unfinished classes come behind all others.
    last: bool,
}

/// What a whole word is worth in [`Entry::fields`]: name, title, aliases, category, description,
/// types.
const WORTH: [f64; 6] = [100.0, 94.0, 90.0, 46.0, 30.0, 20.0];

/// What the beginning of a word is worth of the whole.
const BEGINNING: f64 = 0.75;

/// What a word is worth of the whole if no more than its ending is missing.
const ALMOST: f64 = 0.95;

/// What a part of the name is worth that no word begins with.
const WITHIN: f64 = 55.0;

/// How much a word counts that merely stands for the one asked for.
const SYNONYM: f64 = 0.7;

/// How much a word counts that lacks its ending.
const STEM: f64 = 0.95;

/// How much a word counts that was taken for another.
const CORRECTED: f64 = 0.5;

/// One way to read a word of the query.
struct Reading<'a> {
    /// All of these have to fit.
    words: Vec<&'a str>,
    weight: f64,
}

impl Index {
    pub(in crate::comfy::nodes) fn of<'a>(classes: impl Iterator<Item = &'a NodeClass>) -> Self {
        let entries: Vec<Entry> = classes.map(Entry::of).collect();
        let told = entries.iter().flat_map(|entry| &entry.fields[..3]);
        let vocabulary: BTreeSet<&String> = told.flatten().filter(|word| word.len() > 3).collect();
        Self {
            vocabulary: vocabulary.into_iter().cloned().collect(),
            entries,
        }
    }

    /// The places of the classes that fit best, among all those that fit.
    pub(in crate::comfy::nodes) fn search(&self, query: &str, limit: usize) -> Found<usize> {
        let tokens = tokens(query);
        let whole = compact(query);
        let mut corrected = Vec::new();
        // By place: how many words fit, and what they are worth together.
        let mut worth: HashMap<usize, (usize, f64)> = HashMap::new();
        for token in &tokens {
            let mut fits = self.fits(&readings(token));
            if fits.is_empty()
                && let Some(meant) = self.nearest(token)
            {
                let reading = Reading {
                    words: vec![meant],
                    weight: CORRECTED,
                };
                fits = self.fits(&[reading]);
                corrected.push((token.clone(), meant.to_owned()));
            }
            for (place, value) in fits {
                let known = worth.entry(place).or_default();
                known.0 += 1;
                known.1 += value;
            }
        }
        let most = worth.values().map(|(fit, _)| *fit).max().unwrap_or(0);
        let mut hits: Vec<(usize, f64)> = worth
            .into_iter()
            .filter(|(_, (fit, _))| *fit == most)
            .map(|(place, (fit, value))| (place, self.entries[place].rank(&whole, fit, value)))
            .collect();
        hits.sort_by(|(one, rank), (other, other_rank)| {
            let (one, other) = (&self.entries[*one], &self.entries[*other]);
            let back = |entry: &Entry| entry.last && !entry.is_called(&whole);
            back(one)
                .cmp(&back(other))
                .then(other_rank.total_cmp(rank))
                .then_with(|| (one.name.len(), &one.name).cmp(&(other.name.len(), &other.name)))
        });
        Found {
            total: hits.len(),
            hits: hits
                .into_iter()
                .take(limit)
                .map(|(place, _)| place)
                .collect(),
            corrected,
            all_words: most == tokens.len(),
        }
    }

    /// The classes that fit a word in one of its readings, with what the best of those is worth.
    fn fits(&self, readings: &[Reading<'_>]) -> Vec<(usize, f64)> {
        let value = |entry: &Entry| {
            let values = readings.iter().filter_map(|reading| {
                let parts: Option<Vec<f64>> =
                    reading.words.iter().map(|word| entry.value(word)).collect();
                let parts = parts?;
                #[expect(clippy::cast_precision_loss, reason = "a handful of words")]
                let mean = parts.iter().sum::<f64>() / parts.len() as f64;
                Some(mean * reading.weight)
            });
            values.max_by(f64::total_cmp)
        };
        let fitting = self.entries.iter().enumerate();
        fitting
            .filter_map(|(place, entry)| Some((place, value(entry)?)))
            .collect()
    }

    fn nearest(&self, token: &str) -> Option<&str> {
        let length = token.chars().count();
        let tolerated = match length {
            0..4 => return None,
            4..7 => 1,
            _ => 2,
        };
        let alike = |word: &&String| word.chars().count().abs_diff(length) <= tolerated;
        self.vocabulary
            .iter()
            .filter(alike)
            .map(|word| {
                (
                    strsim::damerau_levenshtein(word, token),
                    Reverse(word.len()),
                    word,
                )
            })
            .filter(|(distance, ..)| *distance <= tolerated)
            .min()
            .map(|(.., word)| word.as_str())
    }
}

fn readings(token: &str) -> Vec<Reading<'_>> {
    let mut readings = vec![Reading {
        words: vec![token],
        weight: 1.0,
    }];
    let stem = stem(token);
    readings.extend(stem.map(|stem| Reading {
        words: vec![stem],
        weight: STEM,
    }));
    let others = [Some(token), stem].into_iter().flatten();
    // `upscaling` means what `upscale` does.
    let others = others.flat_map(|word| {
        alternatives(word)
            .iter()
            .chain(alternatives(&format!("{word}e")))
    });
    readings.extend(others.map(|words| Reading {
        words: words.to_vec(),
        weight: SYNONYM,
    }));
    readings
}

impl Entry {
    fn of(class: &NodeClass) -> Self {
        let aliases: Vec<&str> = class.search_aliases().collect();
        let inputs = class.inputs().iter().map(Input::io_type);
        let outputs = class.outputs().iter().map(Output::io_type);
        let types: BTreeSet<String> = inputs
            .chain(outputs)
            .flat_map(|io_type| io_type.members().map(str::to_lowercase).collect::<Vec<_>>())
            .collect();
        let prior = match class.python_module() {
            _ if class.is_api_node() => -12.0,
            "nodes" => 6.0,
            module if module.starts_with("comfy_extras") => 3.0,
            _ => 0.0,
        };
        Self {
            name: compact(class.name()),
            title: compact(class.display_name()),
            fields: [
                words(class.name()),
                words(class.display_name()),
                aliases.iter().flat_map(|alias| words(alias)).collect(),
                words(class.category()),
                words(class.description()),
                types.into_iter().collect(),
            ],
            aliases: aliases.into_iter().map(compact).collect(),
            length: count(class.name()),
            prior,
            last: class.is_deprecated() || class.is_experimental(),
        }
    }

    /// What a word is worth where it tells most.
    fn value(&self, word: &str) -> Option<f64> {
        let mut best: Option<f64> = None;
        let mut note = |value: f64| best = Some(best.map_or(value, |best| best.max(value)));
        for (field, worth) in self.fields.iter().zip(WORTH) {
            let rests = field.iter().filter_map(|own| own.strip_prefix(word));
            match rests.map(str::len).min() {
                Some(0) => note(worth),
                Some(1..=2) if word.len() > 3 => note(worth * ALMOST),
                Some(_) if word.len() > 1 => note(worth * BEGINNING),
                _ => {}
            }
        }
        if word.len() > 2 && self.name.contains(word) {
            note(WITHIN);
        }
        best
    }

    fn is_called(&self, whole: &str) -> bool {
        self.name == whole || self.title == whole
    }

    fn rank(&self, whole: &str, words: usize, value: f64) -> f64 {
        let called = if self.name == whole {
            300.0
        } else if self.title == whole {
            200.0
        } else if self.aliases.iter().any(|alias| alias == whole) {
            150.0
        } else if self.name.starts_with(whole) {
            10.0
        } else {
            0.0
        };
        #[expect(clippy::cast_precision_loss, reason = "a handful of words")]
        let (words, length) = (words as f64, self.length as f64);
        // Among names that fit, the one that says little else is meant.
        let share = (words / length).min(1.0);
        called + value / words + 25.0 * share + self.prior
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::nodes::NodeFacts;

    fn names(query: &str) -> Vec<String> {
        let facts = NodeFacts::bundled();
        let found = facts.search(query, 8);
        found
            .hits
            .iter()
            .map(|class| class.name().to_owned())
            .collect()
    }

    #[track_caller]
    fn comes_first(query: &str, name: &str) {
        assert_eq!(names(query)[0], name, "{query}: {:?}", names(query));
    }

    #[track_caller]
    fn among(query: &str, name: &str) {
        assert!(
            names(query).iter().any(|own| own == name),
            "{query}: {:?}",
            names(query)
        );
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        for query in ["KSampler", "ksampler", "k sampler", "KSAMPLER", "k_sampler"] {
            comes_first(query, "KSampler");
        }
        comes_first("load image", "LoadImage");
        comes_first("Load Checkpoint", "CheckpointLoaderSimple");
        comes_first("clip text encode", "CLIPTextEncode");
        comes_first("vaedecode", "VAEDecode");
    }

    #[test]
    fn a_word_finds_what_a_person_thinks_of_first() {
        comes_first("sampler", "KSampler");
        comes_first("save image", "SaveImage");
        comes_first("preview", "PreviewImage");
        comes_first("controlnet loader", "ControlNetLoader");
        comes_first("lora", "LoraLoader");
        comes_first("empty latent", "EmptyLatentImage");
        among("flux guidance", "FluxGuidance");
    }

    #[test]
    fn the_words_of_the_field_lead_to_their_nodes() {
        among("i2v wan", "WanImageToVideo");
        among("upscaling", "UpscaleModelLoader");
        among("upscale image", "ImageUpscaleWithModel");
        among("resize image", "ImageScale");
        among("unet", "UNETLoader");
        among("prompt", "CLIPTextEncode");
        among("ckpt", "CheckpointLoaderSimple");
        among("seed", "SeedNode");
        among("noise", "RandomNoise");
        among("negative prompt", "CLIPTextEncode");
    }

    #[test]
    fn misspelt_words_are_found_and_named() {
        comes_first("ksampeler", "KSampler");
        let facts = NodeFacts::bundled();
        let found = facts.search("controlnte", 3);
        assert_eq!(found.corrected[0].0, "controlnte");
        assert!(found.total > 0);
    }

    #[test]
    fn all_words_have_to_fit_unless_none_fits_them_all() {
        let facts = NodeFacts::bundled();
        let found = facts.search("image scale", 50);
        assert!(found.all_words);
        let both = |name: &str| {
            let name = name.to_lowercase();
            name.contains("scale") || name.contains("resize")
        };
        assert!(found.hits.iter().take(5).all(|class| both(class.name())));
        let found = facts.search("ksampler zebra", 50);
        assert!(!found.all_words);
        assert_eq!(found.hits[0].name(), "KSampler");
    }

    #[test]
    fn what_fits_nothing_finds_nothing() {
        let facts = NodeFacts::bundled();
        assert_eq!(facts.search("qqqqqqqqqq", 5).total, 0);
        assert_eq!(facts.search("", 5).total, 0);
    }

    #[test]
    fn old_and_unfinished_classes_come_last_unless_they_are_called_by_name() {
        let facts = NodeFacts::bundled();
        let found = facts.search("image", 1000);
        let old = |class: &&NodeClass| class.is_deprecated() || class.is_experimental();
        let first = found.hits.iter().position(old).unwrap();
        assert!(found.hits[first..].iter().all(old));
        let by_name = found.hits[first].name();
        assert_eq!(facts.search(by_name, 1).hits[0].name(), by_name);
    }
}
