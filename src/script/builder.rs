//! Making a generation: what changed is compiled, what is broken keeps its last good version, and
//! every script gets the libraries that it imports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rhai::{Module, Position, Scope};

use super::arguments::{did_you_mean, nearest};
use super::budget::Budget;
use super::check::lacking;
use super::draft::Idioms;
use super::engine::SharedModule;
use super::resolver::{Libraries, library_at};
use super::{
    Diagnostic, Generation, Key, Kind, Mistake, Script, Served, Source, Sources, engine, explain,
};
use crate::knowledge::{Knowledge, Layers};

impl Generation {
    /// Compiles what changed since `previous` and takes over the rest. What is broken keeps its
    /// last good version, if it had one, and is listed among the [`Generation::problems`].
    #[must_use]
    pub fn build(sources: Sources, previous: Option<&Self>) -> Self {
        let facts = Layers::of(&sources.facts, previous.map(|previous| &previous.facts));
        let knows_more = previous.is_some_and(|previous| previous.knowledge() != facts.knowledge());
        let mut builder = Builder {
            sources: &sources.found,
            previous,
            knowledge: facts.knowledge(),
            knows_more,
            under_way: vec![],
            settled: BTreeMap::new(),
            problems: BTreeMap::new(),
        };
        for (path, reason) in &sources.unreadable {
            builder.keep_below(path, reason);
        }
        builder.refuse_unread(&sources.unread_hooks);
        for source in sources.found.values() {
            builder.settle(source);
        }
        let Builder {
            settled, problems, ..
        } = builder;
        Self {
            number: previous.map_or(0, |previous| previous.number) + 1,
            served: kept(settled),
            problems,
            tests: sources.tests,
            unreadable: sources.unreadable,
            facts,
            limits: previous.map(|previous| previous.limits).unwrap_or_default(),
            idioms: Idioms::default(),
        }
    }

    /// The same scripts with one more, or with another text of one. It does not fall back on the
    /// last good version of a namesake.
    #[must_use]
    pub fn with(&self, source: &Source) -> Self {
        let others = self.served.iter().filter(|(key, _)| **key != source.key);
        let mut builder = Builder {
            sources: &BTreeMap::from([(source.key.clone(), source.clone())]),
            previous: None,
            knowledge: self.knowledge(),
            knows_more: false,
            under_way: vec![],
            settled: others
                .map(|(key, served)| (key.clone(), Some(served.clone())))
                .collect(),
            problems: BTreeMap::new(),
        };
        builder.settle(source);
        let Builder {
            settled, problems, ..
        } = builder;
        Self {
            number: self.number,
            served: kept(settled),
            problems,
            tests: self.tests.clone(),
            unreadable: vec![],
            facts: self.facts.clone(),
            limits: self.limits,
            idioms: Idioms::default(),
        }
    }
}

/// What is served of what was settled.
fn kept(settled: BTreeMap<Key, Option<Served>>) -> BTreeMap<Key, Served> {
    let served = settled.into_iter();
    served
        .filter_map(|(key, served)| Some((key, served?)))
        .collect()
}

struct Builder<'a> {
    sources: &'a BTreeMap<Key, Source>,
    previous: Option<&'a Generation>,
    knowledge: &'a Arc<Knowledge>,
    /// Whether the previous generation knew other facts.
    knows_more: bool,
    /// What is being put together, each for the import of the one before it.
    under_way: Vec<Key>,
    /// What will be served; nothing of what never was good.
    settled: BTreeMap<Key, Option<Served>>,
    problems: BTreeMap<Key, Diagnostic>,
}

impl Builder<'_> {
    fn previous(&self, key: &Key) -> Option<&Served> {
        self.previous?.served.get(key)
    }

    /// Keeps what came from a file or folder that can't be read at the moment, such as a save
    /// that has got half-way through a letter.
    fn keep_below(&mut self, path: &Path, reason: &str) {
        let Some(previous) = self.previous else {
            return;
        };
        let message = format!("can't be read: {reason}");
        for (key, served) in &previous.served {
            let script = &served.script;
            if script.path.starts_with(path) {
                let problem = diagnose(script, message.clone(), Position::NONE);
                self.problems.insert(key.clone(), *problem);
                self.settled.insert(key.clone(), Some(served.clone()));
            }
        }
    }

    /// A rule that can't be read is not taken for none.
    fn refuse_unread(&mut self, hooks: &BTreeMap<Key, (PathBuf, String)>) {
        for (key, (path, reason)) in hooks {
            if !self.settled.contains_key(key) {
                let message = format!("can't be read: {reason}");
                let problem = Diagnostic::of_file(message, path.clone());
                self.problems.insert(key.clone(), problem);
                self.settled.insert(key.clone(), None);
            }
        }
    }

    /// Settles what is served for a source: the present text if it is good, or else the last good
    /// version with the libraries that it had.
    fn settle(&mut self, source: &Source) {
        let key = &source.key;
        if self.settled.contains_key(key) {
            return;
        }
        self.under_way.push(key.clone());
        let made = self.make(source);
        self.under_way.pop();
        let served = match made {
            Ok(served) => Some(served),
            Err(problem) => {
                self.problems.insert(key.clone(), *problem);
                self.previous(key).cloned()
            }
        };
        self.settled.insert(key.clone(), served);
    }

    fn make(&mut self, source: &Source) -> Result<Served, Box<Diagnostic>> {
        let unchanged = |served: &&Served| {
            let script = &served.script;
            script.text == source.text
                && script.path == source.path
                && script.layer == source.layer
                && !(script.quoted.is_some() && self.knows_more)
        };
        // What was found broken is served in a last good version that may look unchanged.
        let was_good = |previous: &&Generation| !previous.problems.contains_key(&source.key);
        let before = self.previous.filter(was_good);
        let before = before.and_then(|previous| previous.served.get(&source.key));
        let before = before.filter(unchanged).cloned();
        let script = match &before {
            Some(before) => before.script.clone(),
            None => Script::compile(source, self.knowledge)?,
        };
        let libraries = self.libraries_of(&script)?;
        let hash = hash(&script, &libraries);
        self.check_kept(source, &script, &libraries)?;
        match before.filter(|before| before.hash == hash) {
            Some(before) => Ok(before),
            None => Served::new(script, hash, libraries),
        }
    }

    /// A library that is saved by halves may be good by itself. What stays as it was and calls
    /// what is not there any more keeps the library that it had.
    fn check_kept(
        &self,
        source: &Source,
        script: &Script,
        libraries: &Libraries,
    ) -> Result<(), Box<Diagnostic>> {
        let previous = self.previous(&source.key);
        let kept = previous.filter(|previous| previous.script.text == source.text);
        let Some(kept) = kept.filter(|kept| lacking(&kept.script, &kept.libraries).is_none())
        else {
            return Ok(());
        };
        match lacking(&kept.script, libraries) {
            Some((function, position)) => {
                let message = format!("no function {function}, which was there before");
                Err(diagnose(script, message, position))
            }
            None => Ok(()),
        }
    }

    /// The libraries below a script. Every import must find one that works.
    fn libraries_of(&mut self, script: &Script) -> Result<Libraries, Box<Diagnostic>> {
        let mut imported = Libraries::new();
        for (name, position) in &script.imports {
            let library = self.library(name).map_err(|message| {
                let problem = diagnose(script, message, *position);
                problem.code(Mistake::MissingImport)
            })?;
            imported.insert(name.clone(), library);
        }
        let below = imported
            .values()
            .flat_map(|library| library.libraries.iter());
        let mut libraries: Libraries = below
            .map(|(name, library)| (name.clone(), library.clone()))
            .collect();
        libraries.extend(imported);
        Ok(libraries)
    }

    fn library(&mut self, name: &str) -> Result<Served, String> {
        let key = library_key(name);
        if let Some(first) = self.under_way.iter().position(|above| *above == key) {
            let circle = self.under_way[first..].iter().chain([&key]);
            let circle: Vec<&str> = circle.map(|key| key.name.as_str()).collect();
            let circle = circle.join(" -> ");
            return Err(format!("libraries import each other in a circle: {circle}"));
        }
        let sources = self.sources;
        match sources.get(&key) {
            Some(source) => self.settle(source),
            None if self.settled.contains_key(&key) => {}
            None => {
                let known = sources.keys().chain(self.settled.keys());
                let libraries = known.filter(|key| key.kind == Kind::Lib);
                let like = nearest(name, libraries.map(|key| key.name.as_str()));
                let like = did_you_mean(like.as_deref());
                return Err(format!("no library \"{name}\"{like}"));
            }
        }
        let settled = self.settled.get(&key).cloned().flatten();
        settled.ok_or_else(|| {
            let problem = self.problems.get(&key);
            let problem = problem.map_or_else(String::new, |it| format!(": {}", it.one_line()));
            format!("the library \"{name}\" is broken{problem}")
        })
    }
}

impl Served {
    fn new(
        script: Arc<Script>,
        hash: String,
        libraries: Libraries,
    ) -> Result<Self, Box<Diagnostic>> {
        let libraries = Arc::new(libraries);
        let is_library = script.key.kind == Kind::Lib;
        Ok(Self {
            module: if is_library {
                Some(evaluate(&script, &libraries)?)
            } else {
                None
            },
            script,
            hash,
            libraries,
        })
    }
}

/// Makes a library's functions and constants.
fn evaluate(script: &Script, libraries: &Arc<Libraries>) -> Result<SharedModule, Box<Diagnostic>> {
    let budget = Budget::of_checks();
    let engine = engine::running(&budget, libraries, true);
    let module = budget.alone(|| Module::eval_ast_as_new(Scope::new(), &script.ast, &engine));
    module.map(SharedModule::from).map_err(|error| {
        let innermost = explain::innermost(&error);
        let at = library_at(libraries, &innermost.source);
        let at = at.map_or(script, |library| &library.script);
        let known = explain::Known::of(&engine, at, libraries);
        let (message, hint) = explain::read(innermost.error, &known);
        diagnose(at, message, innermost.position).hint(hint).into()
    })
}

fn diagnose(script: &Script, message: String, position: Position) -> Box<Diagnostic> {
    Diagnostic::new(message, script.path.clone(), &script.text, position).into()
}

/// A hash of a script and, by their own hashes, of the libraries below it.
fn hash(script: &Script, libraries: &Libraries) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(script.text.as_bytes());
    for (name, library) in libraries {
        hasher.update(name.as_bytes());
        hasher.update(library.hash.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn library_key(name: &str) -> Key {
    Key {
        kind: Kind::Lib,
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::script::{Layer, Library, Root, build};

    /// A project whose template builds one node as wide as its library says.
    struct Project {
        folder: tempfile::TempDir,
        library: Library,
    }

    const TEMPLATE: &str = "import \"sizes\" as sizes;\n\
        fn build(p) { let g = workflow(); g.node(\"EmptyImage\", #{ width: sizes::wide() }); g }";

    impl Project {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = Root {
                layer: Layer::Project,
                path: folder.path().into(),
            };
            let project = Self {
                folder,
                library: Library::load(vec![root]),
            };
            project.lib("sizes", "fn wide() { 64 }");
            project.template(TEMPLATE);
            assert_eq!(project.problems(), Vec::<String>::new());
            assert_eq!(project.width(), 64);
            project
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self.library.reload();
        }

        fn template(&self, text: &str) {
            self.write("templates/one.rhai", text);
        }

        fn lib(&self, name: &str, text: &str) {
            self.write(&format!("scripts/lib/{name}.rhai"), text);
        }

        fn problems(&self) -> Vec<String> {
            let generation = self.library.generation();
            let problems = generation.problems().values();
            problems.map(|problem| problem.message.clone()).collect()
        }

        fn width(&self) -> i64 {
            let generation = self.library.generation();
            let built = build(&generation, "one", serde_json::Map::new()).unwrap();
            let inputs = built.node("1").unwrap().inputs().unwrap().clone();
            inputs["width"].as_i64().unwrap()
        }

        fn hash(&self) -> String {
            let generation = self.library.generation();
            generation.get(Kind::Template, "one").unwrap().hash.clone()
        }
    }

    #[test]
    fn a_misspelt_import_leaves_the_last_good_version_at_work() {
        let project = Project::new();
        let before = project.hash();

        project.template(&TEMPLATE.replace("\"sizes\"", "\"sizess\""));

        assert_eq!(
            project.problems(),
            ["no library \"sizess\", did you mean \"sizes\"?"]
        );
        assert_eq!(project.width(), 64);
        assert_eq!(project.hash(), before);

        project.template(&TEMPLATE.replace("sizes::wide()", "2 * sizes::wide()"));
        assert_eq!(project.problems(), Vec::<String>::new());
        assert_eq!(project.width(), 128);
    }

    #[test]
    fn a_library_that_fails_when_it_is_evaluated_leaves_its_last_good_version_at_work() {
        let project = Project::new();

        project.lib(
            "sizes",
            "const ZERO = 0;\nconst WIDE = 64 / ZERO;\nfn wide() { 32 }",
        );

        let problems = project.problems();
        assert!(
            matches!(&problems[..], [one] if one.contains("zero")),
            "{problems:?}"
        );
        assert_eq!(project.width(), 64);
    }

    #[test]
    fn a_library_that_is_deleted_goes_on_in_the_scripts_above_it() {
        let project = Project::new();
        fs::remove_file(project.folder.path().join("scripts/lib/sizes.rhai")).unwrap();
        project.library.reload();
        assert_eq!(project.problems(), ["no library \"sizes\""]);
        assert_eq!(project.width(), 64);
    }

    #[test]
    fn a_last_good_script_keeps_the_libraries_that_it_was_good_with() {
        let project = Project::new();
        project.template(&TEMPLATE.replace("let g", "let let g"));
        assert_eq!(project.problems().len(), 1);

        project.lib("sizes", "fn wide(factor) { 64 * factor }");

        assert_eq!(project.width(), 64);
        project.template(&TEMPLATE.replace("wide()", "wide(3)"));
        assert_eq!(project.problems(), Vec::<String>::new());
        assert_eq!(project.width(), 192);
    }

    #[test]
    fn an_import_within_a_function_of_a_last_good_library_finds_what_it_was_good_with() {
        let project = Project::new();
        project.lib("base", "fn unit() { 16 }");
        let sizes = "fn wide() { import \"base\" as base; 4 * base::unit() }";
        project.lib("sizes", sizes);
        project.lib("sizes", &sizes.replace("4 *", "4 * *"));
        let both = "import \"sizes\" as sizes;\nimport \"base\" as base;\n\
            fn build(p) { let g = workflow(); \
            g.node(\"EmptyImage\", #{ width: sizes::wide() + base::unit(1) }); g }";

        project.lib("base", "fn unit(extra) { 32 + extra }");
        project.template(both);

        assert_eq!(project.problems().len(), 1, "{:?}", project.problems());
        assert_eq!(project.width(), 64 + 33);
    }

    #[test]
    fn a_circle_leaves_what_worked_before_it_at_work() {
        let project = Project::new();
        project.lib("base", "fn unit() { 16 }");
        project.lib(
            "sizes",
            "import \"base\" as base;\nfn wide() { 4 * base::unit() }",
        );
        assert_eq!(project.width(), 64);

        project.lib("base", "import \"sizes\" as sizes;\nfn unit() { 32 }");

        assert_eq!(
            project.problems(),
            ["libraries import each other in a circle: sizes -> base -> sizes"]
        );
        assert_eq!(project.width(), 64);
    }

    #[test]
    fn facts_of_ones_own_change_the_templates_that_quote_them() {
        let project = Project::new();
        project.write(
            "templates/one.rhai",
            "const FACTS = facts(\"Qwen-Image-2512\");\n\
             param(\"WIDE\", \"int\", #{ value: FACTS.steps });\n\
             fn build(p) { let g = workflow(); \
             g.node(\"EmptyImage\", #{ width: p.WIDE + global::FACTS.steps }); g }",
        );
        assert_eq!(project.problems(), Vec::<String>::new());
        let before = project.width();

        let own = |steps: &str| {
            format!(
                "last_updated = \"2027-01-01\"\n[[model]]\nname = \"Qwen-Image-2512\"\n\
                 family = \"qwen-image\"\ncategory = \"image_gen\"\nreleased = \"2026-01-01\"\n\
                 source = \"us\"\nsettings = {{ {steps} }}\n"
            )
        };
        project.write("sota.toml", &own("steps = 7"));
        assert_eq!((project.width(), before != 14), (14, true));

        project.write("sota.toml", &own("cfg = 7"));
        let told = project.problems().join("");
        assert!(
            told.contains("no \"steps\" is known; what is known is cfg"),
            "{told}"
        );
        project.library.reload();
        assert_eq!(project.problems().join(""), told, "told until it is mended");
        assert_eq!(project.width(), 14);
    }

    #[test]
    fn a_declaration_that_reaches_into_a_library_is_told_so() {
        let project = Project::new();
        project.lib("sizes", "const WIDE = 64;\nfn wide() { 64 }");
        project.template(&format!(
            "{TEMPLATE}\nparam(\"WIDE\", \"int\", #{{ value: sizes::WIDE }});"
        ));
        assert_eq!(
            project.problems(),
            ["a declaration can't use WIDE, which a library has"]
        );
        project.template(&format!(
            "{TEMPLATE}\nparam(\"WIDE\", \"int\", #{{ value: sizes::wide() }});"
        ));
        assert_eq!(project.problems().len(), 1, "a function neither");
    }

    #[test]
    fn a_file_that_cannot_be_read_for_a_while_is_served_as_it_was() {
        let project = Project::new();
        let file = project.folder.path().join("scripts/lib/sizes.rhai");
        fs::write(&file, b"fn wide() { 32 } // half of \xc3").unwrap();
        assert!(project.library.reload());
        let problems = project.problems();
        assert!(
            matches!(&problems[..], [one] if one.starts_with("can't be read: ")),
            "{problems:?}"
        );
        assert_eq!(project.width(), 64);

        project.lib("sizes", "fn wide() { 32 } // half of \u{e9}");
        assert_eq!(project.problems(), Vec::<String>::new());
        assert_eq!(project.width(), 32);
    }

    #[test]
    fn a_fallback_is_the_same_however_often_it_is_read() {
        let project = Project::new();
        project.template(&TEMPLATE.replace("\"sizes\"", "\"sizess\""));
        assert!(!project.library.reload());
    }
}
