//! What names mean, made ready once: models are asked for with every node of a workflow.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::file::File;
use super::identify::words;
use super::{Knowledge, Model};

/// The lookup of some facts, made when it is first needed. It follows from them, so it is no part of
/// whether two are the same, and a copy, which may be changed, makes its own.
#[derive(Debug, Default)]
pub(super) struct Lookup(OnceLock<Index>);

impl Clone for Lookup {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Lookup {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Lookup {
    pub(super) fn of(&self, knowledge: &Knowledge) -> &Index {
        self.0.get_or_init(|| Index::of(knowledge))
    }
}

/// Places of models by what they are called.
#[derive(Debug)]
pub(super) struct Index {
    /// By the words of their names.
    pub(super) names: HashMap<Vec<String>, usize>,
    /// By names of files in small letters.
    pub(super) files: HashMap<String, Meaning>,
    /// By what all precisions of a file have in common.
    pub(super) parts: HashMap<Vec<String>, Meaning>,
    /// By words within a name, the most first.
    pub(super) patterns: Vec<(Vec<String>, usize)>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The model at that place.
    Own(usize),
    /// Its variant at that place.
    Way(usize, usize),
    /// Something beside models.
    Beside,
}

impl Index {
    fn of(knowledge: &Knowledge) -> Self {
        let mut index = Self {
            names: HashMap::new(),
            files: HashMap::new(),
            parts: HashMap::new(),
            patterns: vec![],
        };
        // What a file is in its own right goes before what others use it for.
        for (place, model) in knowledge.models.iter().enumerate() {
            index.names.entry(words(&model.name)).or_insert(place);
            for file in model.own_files() {
                index.add(file, Meaning::Own(place));
            }
            let patterns = patterns(model).map(|pattern| (pattern, place));
            index.patterns.extend(patterns);
        }
        for (place, model) in knowledge.models.iter().enumerate() {
            for (way, variant) in model.variants.iter().enumerate() {
                for file in &variant.files {
                    index.add(file, Meaning::Way(place, way));
                }
            }
        }
        for file in knowledge.files() {
            index.add(file, Meaning::Beside);
        }
        // The sort is stable: of equally long patterns the first model's is met first.
        index
            .patterns
            .sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        index
    }

    fn add(&mut self, file: &File, meaning: Meaning) {
        let name = file.name.to_lowercase();
        self.files.entry(name).or_insert(meaning);
        self.parts.entry(file.part()).or_insert(meaning);
    }
}

/// The words by which a model is found in a name: those that were written down, and of its own name
/// and its files those that can't be there by chance.
fn patterns(model: &Model) -> impl Iterator<Item = Vec<String>> {
    let written = model.matches.iter().map(|pattern| words(pattern));
    let name = std::iter::once(words(&model.name));
    let files = model.own_files().map(File::part);
    let own = name.chain(files).filter(|words| words.len() > 1);
    written.chain(own).filter(|words| !words.is_empty())
}
