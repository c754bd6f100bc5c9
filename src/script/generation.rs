//! All scripts at one moment. A generation never changes; a change on disk makes a new one, and a
//! call keeps the one that it began with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::arguments::nearest;
use super::draft::Idioms;
use super::engine::SharedModule;
use super::resolver::Libraries;
use super::{Diagnostic, Key, Kind, Script, ScriptError, Source};
use crate::assets::ScriptRef;
use crate::knowledge::{FILE_NAME, Knowledge, KnowledgeError, Layers};

/// The libraries of a script that has none.
static NO_LIBRARIES: LazyLock<Arc<Libraries>> = LazyLock::new(Arc::default);

/// A script as a generation serves it, with the libraries that it was found good with. So the
/// last good version of a script keeps working however its libraries change.
#[derive(Clone, Debug)]
pub struct Served {
    /// What runs: the present text, or the last one that was good.
    pub script: Arc<Script>,
    /// A hash of the script and of every library below it (BLAKE3, hexadecimal).
    pub hash: String,
    pub(super) libraries: Arc<Libraries>,
    /// What a library is to those that import it.
    pub(super) module: Option<SharedModule>,
}

impl Served {
    /// What the provenance of an asset says of the script.
    #[must_use]
    pub fn reference(&self) -> ScriptRef {
        let script = &self.script;
        ScriptRef {
            name: script.key.name.clone(),
            kind: script.key.kind.to_string(),
            hash: self.hash.clone(),
            origin: script.layer.to_string(),
        }
    }
}

/// All scripts at one moment.
#[derive(Debug, Default)]
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    pub(super) served: BTreeMap<Key, Served>,
    pub(super) problems: BTreeMap<Key, Diagnostic>,
    /// Files of tests, which are compiled when they are run.
    pub(super) tests: BTreeMap<Key, Source>,
    pub(super) unreadable: Vec<(PathBuf, String)>,
    pub(super) facts: Layers,
    pub(super) idioms: Idioms,
}

impl Generation {
    /// The script under `kind` and `name`, or why there is none.
    pub fn get(&self, kind: Kind, name: &str) -> Result<&Served, ScriptError> {
        self.find(&[kind], name)
    }

    /// The script called `name` of the first of `kinds` that has one, or why there is none.
    pub fn find(&self, kinds: &[Kind], name: &str) -> Result<&Served, ScriptError> {
        for &kind in kinds {
            let key = Key {
                kind,
                name: name.to_owned(),
            };
            if let Some(served) = self.served.get(&key) {
                return Ok(served);
            }
            if let Some(problem) = self.problems.get(&key) {
                return Err(ScriptError::Broken(Box::new(problem.clone())));
            }
        }
        let other = Kind::ALL.into_iter().find(|kind| {
            let name = name.to_owned();
            self.served.contains_key(&Key { kind: *kind, name })
        });
        let candidates = self
            .all()
            .filter(|served| kinds.contains(&served.script.key.kind));
        Err(ScriptError::Unknown {
            kind: if let [kind] = kinds {
                kind.as_str()
            } else {
                "script"
            },
            name: name.to_owned(),
            nearest: nearest(
                name,
                candidates.map(|served| served.script.key.name.as_str()),
            ),
            other,
        })
    }

    /// The text of a script, or why there is none.
    pub fn text(&self, kind: Kind, name: &str) -> Result<&str, ScriptError> {
        self.get(kind, name)
            .map(|served| served.script.text.as_str())
    }

    /// The resource that answers for an address, with the values of its variables. Of several the
    /// one whose address says most.
    #[must_use]
    pub fn resource(&self, uri: &str) -> Option<(&Served, Map<String, Value>)> {
        let resources = self.of_kind(Kind::Resource).filter_map(|served| {
            let template = served.script.uri.as_ref()?;
            Some((template.fixed(), served, template.matches(uri)?))
        });
        let (_, served, values) = resources.max_by_key(|(fixed, ..)| *fixed)?;
        Some((served, values))
    }

    /// Every script that runs, sorted by kind and name.
    pub fn all(&self) -> impl Iterator<Item = &Served> {
        self.served.values()
    }

    /// The scripts of one kind, sorted by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Served> {
        self.all()
            .filter(move |served| served.script.key.kind == kind)
    }

    /// Every script as listings show it: name, kind, title, layer, path, and what is wrong with
    /// those that are broken at present.
    #[must_use]
    pub fn listing(&self) -> Vec<Value> {
        // A file of tests that runs is there as well, for itself.
        let scripts = self.all().filter(|it| it.script.key.tested().is_none());
        let served = scripts.map(|served| {
            let script = &served.script;
            let mut entry = json!({
                "name": script.key.name,
                "kind": script.key.kind,
                "title": script.declaration.title,
                "layer": script.layer,
                "path": script.path,
            });
            if let Some(problem) = self.problems.get(&script.key) {
                entry["problem"] = problem.one_line().into();
            }
            entry
        });
        let never_good = self
            .problems
            .iter()
            .filter(|(key, _)| !self.served.contains_key(key));
        let never_good = never_good.map(|(key, problem)| {
            json!({
                "name": key.name,
                "kind": key.kind,
                "path": problem.path,
                "problem": problem.one_line(),
            })
        });
        let facts = self.facts.faults().map(|(path, fault)| {
            json!({ "name": FILE_NAME, "kind": "facts", "path": path, "problem": fault.to_string() })
        });
        served.chain(never_good).chain(facts).collect()
    }

    /// What is known of models.
    #[must_use]
    pub fn knowledge(&self) -> &Arc<Knowledge> {
        self.facts.knowledge()
    }

    /// What is wrong at present with the user's and the project's files of facts.
    pub fn facts_faults(&self) -> impl Iterator<Item = &KnowledgeError> {
        self.facts.faults().map(|(_, fault)| fault)
    }

    /// What is wrong at present, by script.
    #[must_use]
    pub fn problems(&self) -> &BTreeMap<Key, Diagnostic> {
        &self.problems
    }

    /// The files of tests that stand beside scripts.
    pub fn tests(&self) -> impl Iterator<Item = &Source> {
        self.tests.values()
    }

    /// Files and folders that could not be read, with the reason.
    #[must_use]
    pub fn unreadable(&self) -> &[(PathBuf, String)] {
        &self.unreadable
    }

    /// Whether it would serve the same as `other`, number aside.
    #[must_use]
    pub fn serves_the_same_as(&self, other: &Self) -> bool {
        let same = |(one, two): (&Served, &Served)| {
            one.hash == two.hash && one.script.path == two.script.path
        };
        self.served.len() == other.served.len()
            && self.problems == other.problems
            && self.unreadable == other.unreadable
            && self.facts.is_as(&other.facts)
            && self.served.keys().eq(other.served.keys())
            && self.served.values().zip(other.served.values()).all(same)
    }

    /// The same scripts with one more, which was put together elsewhere.
    pub(super) fn beside(&self, served: Served) -> Self {
        let mut all = self.served.clone();
        all.insert(served.script.key.clone(), served);
        Self {
            number: self.number,
            served: all,
            problems: BTreeMap::new(),
            unreadable: vec![],
            facts: self.facts.clone(),
            tests: BTreeMap::new(),
            idioms: Idioms::default(),
        }
    }

    /// The libraries that a script of this generation may import.
    pub(super) fn libraries_of(&self, script: &Script) -> &Arc<Libraries> {
        self.served
            .get(&script.key)
            .map_or(&NO_LIBRARIES, |served| &served.libraries)
    }
}
