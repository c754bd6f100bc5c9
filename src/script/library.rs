//! The scripts at hand: the present generation, and how it is replaced.

use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::source::read_text;
use super::{Generation, Key, Kind, Layer, Limits, Root, Source, Sources, kind_of_text};

/// The present generation of scripts over a set of roots. Whoever takes a generation keeps it;
/// whoever asks again gets the newest.
#[derive(Debug)]
pub struct Library {
    roots: Vec<Root>,
    current: ArcSwap<Generation>,
    number: watch::Sender<u64>,
    reloading: Mutex<()>,
}

impl Library {
    /// Reads and compiles everything once. Broken scripts are problems of the generation, not
    /// errors.
    #[must_use]
    pub fn load(roots: Vec<Root>) -> Self {
        let generation = Generation::build(Sources::read(&roots), None);
        Self {
            number: watch::Sender::new(generation.number),
            current: ArcSwap::from_pointee(generation),
            roots,
            reloading: Mutex::default(),
        }
    }

    /// The same scripts within other limits; to be said before anybody takes a generation.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        let mut generation = self.current.into_inner();
        if let Some(generation) = Arc::get_mut(&mut generation) {
            generation.limits = limits;
        }
        Self {
            current: ArcSwap::new(generation),
            ..self
        }
    }

    /// The present generation.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// The folders that are read.
    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Tells the number of each new generation.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.number.subscribe()
    }

    /// Reads everything again and swaps the generation if anything differs. Says whether it did.
    pub fn reload(&self) -> bool {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let previous = self.generation();
        let next = Generation::build(Sources::read(&self.roots), Some(&previous));
        if next.serves_the_same_as(&previous) {
            return false;
        }
        let number = next.number;
        for problem in next.problems().values() {
            tracing::warn!("{}", problem.one_line());
        }
        for fault in next.facts_faults() {
            tracing::warn!("{fault}");
        }
        self.current.store(Arc::new(next));
        self.number.send_replace(number);
        true
    }

    /// A generation in which `file` stands beside the library's scripts, for running a script
    /// that lies anywhere. What it is follows from its folder, or else from its entry function.
    /// Where it lies as in a root, `ROOT/templates/NAME.rhai`, the others of that root are there,
    /// too: a set of scripts can be tried before it is taken over.
    pub fn with_file(&self, file: &Path) -> io::Result<(Key, Arc<Generation>)> {
        let source = Source::in_file(file)?;
        let key = source.key.clone();
        let generation = match tree_around(file, key.kind) {
            Some(path) if !self.roots.iter().any(|root| root.path == path) => {
                let layer = Layer::File;
                let roots = [self.roots.as_slice(), &[Root { layer, path }]].concat();
                Generation::build(Sources::read(&roots), Some(&self.generation())).with(&source)
            }
            _ => self.generation().with(&source),
        };
        Ok((key, Arc::new(generation)))
    }
}

impl Source {
    /// The script in a file that lies anywhere. What it is follows from its folder, or else from its
    /// entry function.
    pub fn in_file(file: &Path) -> io::Result<Self> {
        let text = read_text(file)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            key: Key {
                kind: kind_of_file(file, &text),
                name: stem.into_owned(),
            },
            layer: Layer::File,
            path: file.to_owned(),
            text,
        })
    }
}

/// The root in whose folder for scripts of its kind a file lies, if it lies in such a folder.
fn tree_around(file: &Path, kind: Kind) -> Option<PathBuf> {
    let file = path::absolute(file).ok()?;
    let folder = Path::new(kind.folder());
    let within = file.ancestors().find(|above| above.ends_with(folder))?;
    within
        .ancestors()
        .nth(folder.iter().count())
        .map(Path::to_owned)
}

fn kind_of_file(file: &Path, text: &str) -> Kind {
    let folder = file
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy());
    let by_folder = folder.and_then(|folder| {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.folder().rsplit('/').next() == Some(&*folder))
    });
    by_folder.unwrap_or_else(|| match kind_of_text(text) {
        Kind::Lib => Kind::Pipeline,
        kind => kind,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn project() -> (tempfile::TempDir, Library) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("templates")).unwrap();
        fs::create_dir_all(folder.path().join("scripts/lib")).unwrap();
        let root = Root {
            layer: Layer::Project,
            path: folder.path().into(),
        };
        let library = Library::load(vec![root]);
        (folder, library)
    }

    const GOOD: &str = "title(\"One\");\nfn build(p) { workflow() }\n";

    #[test]
    fn a_broken_script_keeps_its_last_good_version_and_says_what_is_wrong() {
        let (folder, library) = project();
        let file = folder.path().join("templates/one.rhai");
        fs::write(&file, GOOD).unwrap();
        assert!(library.reload());

        fs::write(&file, "title(\"Two\")\nfn build(p) { workflow() }\n").unwrap();
        assert!(library.reload());

        let generation = library.generation();
        let served = generation.get(Kind::Template, "one").unwrap();
        assert_eq!(served.script.declaration.title, "One");
        let problem = generation.problems().values().next().unwrap();
        assert_eq!(
            (problem.line, problem.column),
            (Some(2), Some(1)),
            "{problem}"
        );
    }

    #[test]
    fn facts_are_read_again_and_a_broken_save_keeps_those_of_before() {
        let (folder, library) = project();
        let file = folder.path().join("sota.toml");
        let own = "last_updated = \"2027-01-01\"\n[[task]]\nname = \"mine\"\nmodels = []\nreason = \"so\"\n";
        fs::write(&file, own).unwrap();
        assert!(library.reload());
        let generation = library.generation();
        assert_eq!(generation.knowledge().tasks[0].name, "mine");

        fs::write(&file, own.replace("reason", "raisin")).unwrap();
        assert!(library.reload());
        let broken = library.generation();
        assert_eq!(broken.knowledge(), generation.knowledge());
        let fault = broken.facts_faults().next().unwrap().to_string();
        assert!(fault.contains("raisin"), "{fault}");
        let listed = broken.listing();
        assert_eq!(listed.last().unwrap()["problem"], fault);

        fs::remove_file(&file).unwrap();
        assert!(library.reload());
        let bundled = crate::knowledge::Knowledge::bundled();
        assert_eq!(library.generation().knowledge(), &bundled);
    }

    #[test]
    fn a_mark_before_the_text_is_none_of_it() {
        let (folder, library) = project();
        let file = folder.path().join("templates/one.rhai");
        fs::write(&file, format!("\u{feff}{GOOD}")).unwrap();
        library.reload();
        let generation = library.generation();
        assert!(generation.get(Kind::Template, "one").is_ok());
        assert!(
            library
                .with_file(&file)
                .is_ok_and(|(key, _)| key.kind == Kind::Template)
        );
    }

    #[test]
    fn reading_the_same_again_changes_nothing() {
        let (folder, library) = project();
        fs::write(folder.path().join("templates/one.rhai"), GOOD).unwrap();
        assert!(library.reload());
        assert!(!library.reload());
    }

    #[test]
    fn a_changed_library_changes_the_hash_of_the_scripts_above_it() {
        let (folder, library) = project();
        let lib = folder.path().join("scripts/lib/sizes.rhai");
        fs::write(&lib, "fn wide() { 64 }").unwrap();
        let script = "import \"sizes\" as sizes;\n\
            fn build(p) { let g = workflow(); g.node(\"EmptyImage\", #{ width: sizes::wide() }); g }";
        fs::write(folder.path().join("templates/one.rhai"), script).unwrap();
        library.reload();
        let before = library
            .generation()
            .get(Kind::Template, "one")
            .unwrap()
            .hash
            .clone();

        fs::write(&lib, "fn wide() { 128 }").unwrap();
        library.reload();

        let generation = library.generation();
        assert_ne!(generation.get(Kind::Template, "one").unwrap().hash, before);
        let built = super::super::build(&generation, "one", serde_json::Map::new()).unwrap();
        assert_eq!(built.node("1").unwrap().inputs().unwrap()["width"], 128);
    }

    #[test]
    fn a_file_in_a_tree_of_scripts_sees_those_beside_it() {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        write("scripts/lib/sizes.rhai", "fn wide() { 64 }");
        write("templates/one.rhai", GOOD);
        let pipeline = "import \"sizes\" as sizes;\nfn run(p) { sizes::wide() }";
        let file = write("scripts/pipelines/mine.rhai", pipeline);
        let library = Library::load(vec![]);

        let (key, generation) = library.with_file(&file).unwrap();
        assert!(generation.get(key.kind, "mine").is_ok());
        assert!(generation.get(Kind::Template, "one").is_ok());
        assert!(library.generation().get(Kind::Template, "one").is_err());
        let loose = write("mine.rhai", pipeline);
        let (key, generation) = library.with_file(&loose).unwrap();
        let error = generation.get(key.kind, "mine").unwrap_err().to_string();
        assert!(error.contains("no library \"sizes\""), "{error}");
    }

    #[test]
    fn libraries_that_import_each_other_are_told_so() {
        let (folder, library) = project();
        for (name, other) in [("a", "b"), ("b", "a")] {
            let text = format!("import \"{other}\" as other;\nfn f() {{ 1 }}");
            fs::write(folder.path().join(format!("scripts/lib/{name}.rhai")), text).unwrap();
        }
        library.reload();
        let generation = library.generation();
        let messages: Vec<&str> = generation
            .problems()
            .values()
            .map(|problem| problem.message.as_str())
            .collect();
        assert!(
            messages
                .iter()
                .any(|message| message.contains("a -> b -> a")),
            "{messages:?}"
        );
    }

    #[test]
    fn a_missing_import_is_a_problem_with_a_suggestion() {
        let (folder, library) = project();
        fs::write(folder.path().join("scripts/lib/foxes.rhai"), "fn f() { 1 }").unwrap();
        fs::write(
            folder.path().join("templates/one.rhai"),
            "import \"foxs\" as foxes;\nfn build(p) { workflow() }",
        )
        .unwrap();
        library.reload();
        let generation = library.generation();
        let problem = generation.problems().values().next().unwrap();
        assert_eq!(
            problem.message,
            "no library \"foxs\", did you mean \"foxes\"?"
        );
    }
}
