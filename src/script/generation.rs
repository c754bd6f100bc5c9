//! All scripts at one moment. A generation never changes; a change on disk makes a new one, and a
//! call keeps the one that it began with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rhai::{Module, Position, Scope};
use serde_json::{Value, json};

use super::arguments::{did_you_mean, nearest};
use super::resolver::Modules;
use super::{Diagnostic, Key, Kind, Limits, Script, ScriptError, Source, Sources, engine, explain};
use crate::assets::ScriptRef;

/// A script as a generation serves it.
#[derive(Clone, Debug)]
pub struct Served {
    /// What runs: the present text, or the last one that was good.
    pub script: Arc<Script>,
    /// A hash of the script and of every library below it (BLAKE3, hexadecimal).
    pub hash: String,
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
    served: BTreeMap<Key, Served>,
    problems: BTreeMap<Key, Diagnostic>,
    unreadable: Vec<(PathBuf, String)>,
    pub(super) modules: Arc<Modules>,
}

impl Generation {
    /// Compiles what changed since `previous` and takes over the rest. What is broken keeps its
    /// last good version, if it had one, and is listed among the [`Generation::problems`].
    #[must_use]
    pub fn build(sources: Sources, previous: Option<&Self>) -> Self {
        let mut builder = Builder {
            scripts: BTreeMap::new(),
            problems: BTreeMap::new(),
            modules: Modules::new(),
            previous,
        };
        for source in sources.found.values() {
            builder.compile(source);
        }
        builder.evaluate_libraries();
        builder.check_imports();
        Self {
            number: previous.map_or(0, |previous| previous.number) + 1,
            served: builder.hash(),
            problems: builder.problems,
            unreadable: sources.unreadable,
            modules: Arc::new(builder.modules),
        }
    }

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
        let served = self.all().map(|served| {
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
        served.chain(never_good).collect()
    }

    /// What is wrong at present, by script.
    #[must_use]
    pub fn problems(&self) -> &BTreeMap<Key, Diagnostic> {
        &self.problems
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
            && self.served.keys().eq(other.served.keys())
            && self.served.values().zip(other.served.values()).all(same)
    }

    /// The text of a script by its path `templates/NAME.rhai`, for showing a line of it.
    pub(super) fn script_at(&self, path: &str) -> Option<&Arc<Script>> {
        let mut all = self.served.values().map(|served| &served.script);
        all.find(|script| script.key.path() == path)
    }
}

struct Builder<'a> {
    scripts: BTreeMap<Key, Arc<Script>>,
    problems: BTreeMap<Key, Diagnostic>,
    modules: Modules,
    previous: Option<&'a Generation>,
}

impl Builder<'_> {
    fn previous(&self, key: &Key) -> Option<&Arc<Script>> {
        Some(&self.previous?.served.get(key)?.script)
    }

    fn compile(&mut self, source: &Source) {
        let unchanged = |script: &&Arc<Script>| {
            script.text == source.text && script.path == source.path && script.layer == source.layer
        };
        if let Some(script) = self.previous(&source.key).filter(unchanged) {
            self.scripts.insert(source.key.clone(), script.clone());
            return;
        }
        match Script::compile(source) {
            Ok(script) => {
                self.scripts.insert(source.key.clone(), script);
            }
            Err(problem) => self.fall_back(&source.key, *problem),
        }
    }

    /// Notes the problem and keeps serving the last good version.
    fn fall_back(&mut self, key: &Key, problem: Diagnostic) {
        self.problems.insert(key.clone(), problem);
        match self.previous(key).cloned() {
            Some(last_good) => self.scripts.insert(key.clone(), last_good),
            None => self.scripts.remove(key),
        };
    }

    fn library(&self, name: &str) -> Option<&Arc<Script>> {
        self.scripts.get(&library_key(name))
    }

    /// Makes a module of each library, those it imports first.
    fn evaluate_libraries(&mut self) {
        let names: Vec<String> = self
            .scripts
            .keys()
            .filter(|key| key.kind == Kind::Lib)
            .map(|key| key.name.clone())
            .collect();
        for name in &names {
            self.evaluate_library(name, &mut vec![]);
        }
    }

    fn evaluate_library(&mut self, name: &str, importers: &mut Vec<String>) {
        if self.modules.contains_key(name) {
            return;
        }
        let Some(script) = self.library(name).cloned() else {
            return;
        };
        importers.push(name.to_owned());
        for (import, position) in &script.imports {
            if importers.contains(import) {
                let circle = format!("{} -> {import}", importers.join(" -> "));
                let message = format!("libraries import each other in a circle: {circle}");
                self.refuse(&script, message, *position);
            } else {
                self.evaluate_library(import, importers);
            }
        }
        importers.pop();
        self.evaluate_module(name, &script);
    }

    fn evaluate_module(&mut self, name: &str, script: &Arc<Script>) {
        let so_far = Arc::new(self.modules.clone());
        let engine = engine::running(&Limits::default(), &so_far, true);
        match Module::eval_ast_as_new(Scope::new(), &script.ast, &engine) {
            Ok(module) => {
                self.modules.insert(name.to_owned(), module.into());
            }
            // A missing import is told of by the check of imports, with what it could have meant.
            Err(error) if matches!(*error, rhai::EvalAltResult::ErrorModuleNotFound(..)) => {}
            Err(error) => {
                let innermost = explain::innermost(&error);
                let message = explain::message(innermost.error);
                self.refuse(script, message, innermost.position);
            }
        }
    }

    fn refuse(&mut self, script: &Script, message: String, position: Position) {
        let problem = Diagnostic::new(message, script.path.clone(), &script.text, position);
        self.problems.entry(script.key.clone()).or_insert(problem);
    }

    /// Every import must find a library that works.
    fn check_imports(&mut self) {
        let scripts: Vec<Arc<Script>> = self.scripts.values().cloned().collect();
        for script in scripts {
            for (import, position) in &script.imports {
                if self.modules.contains_key(import) {
                    continue;
                }
                let message = if self.problems.contains_key(&library_key(import)) {
                    format!("the library \"{import}\" is broken")
                } else {
                    let like = nearest(import, self.modules.keys().map(String::as_str));
                    format!("no library \"{import}\"{}", did_you_mean(like.as_deref()))
                };
                self.refuse(&script, message, *position);
            }
        }
    }

    fn hash(&self) -> BTreeMap<Key, Served> {
        let hashed = self.scripts.iter().map(|(key, script)| {
            let hash = self.hash_with_libraries(script);
            (
                key.clone(),
                Served {
                    script: script.clone(),
                    hash,
                },
            )
        });
        hashed.collect()
    }

    fn hash_with_libraries(&self, script: &Arc<Script>) -> String {
        let mut below = BTreeSet::new();
        self.collect_libraries(script, &mut below);
        let mut hasher = blake3::Hasher::new();
        hasher.update(script.text.as_bytes());
        for name in below {
            if let Some(library) = self.library(&name) {
                hasher.update(name.as_bytes());
                hasher.update(library.text.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    fn collect_libraries(&self, script: &Script, below: &mut BTreeSet<String>) {
        for (import, _) in &script.imports {
            if below.insert(import.clone())
                && let Some(library) = self.library(import)
            {
                self.collect_libraries(library, below);
            }
        }
    }
}

fn library_key(name: &str) -> Key {
    Key {
        kind: Kind::Lib,
        name: name.to_owned(),
    }
}
