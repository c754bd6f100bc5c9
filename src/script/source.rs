//! Where scripts come from: the binary, the user's data folder, the project. The nearer one wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use rust_embed::RustEmbed;
use serde::Serialize;

use super::Kind;
use crate::jobs::Moment;
use crate::knowledge::FILE_NAME;

/// The extension of a script.
const EXTENSION: &str = "rhai";

/// How the names of files of tests end.
const TESTS: &str = "_test";

/// How deep below a kind's folder scripts are looked for; a link that leads back up ends here.
const MAX_DEPTH: usize = 8;

#[derive(RustEmbed)]
#[folder = "templates"]
struct BuiltInTemplates;

#[derive(RustEmbed)]
#[folder = "scripts"]
struct BuiltInScripts;

/// The layer that a script comes from, the farthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Embedded in the binary.
    BuiltIn,
    /// The user's data folder.
    User,
    /// `.mmf` of the project at hand.
    Project,
    /// A file named on the command line.
    File,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn => "built-in",
            Self::User => "user",
            Self::Project => "project",
            Self::File => "file",
        })
    }
}

/// A folder on disk that holds `templates/` and `scripts/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Which layer it is.
    pub layer: Layer,
    /// The folder. It need not exist yet.
    pub path: PathBuf,
}

/// What names a script: its kind and its path below the kind's folder, without extension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// The name; folders below the kind's own are part of it (`pony/txt2img`).
    pub name: String,
}

/// The text of one script and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which script it is.
    pub key: Key,
    /// The layer that it came from.
    pub layer: Layer,
    /// The file; for a built-in script its path within the binary (`templates/NAME.rhai`).
    pub path: PathBuf,
    /// The text.
    pub text: String,
}

/// All scripts of all layers, the nearest of each name, and the files that could not be read.
#[derive(Debug, Default)]
pub struct Sources {
    /// The scripts.
    pub found: BTreeMap<Key, Source>,
    /// The files of tests that stand beside them, `NAME_test.rhai`.
    pub tests: BTreeMap<Key, Source>,
    /// The texts of files of facts, the farthest first.
    pub facts: Vec<(PathBuf, String)>,
    /// Files and folders that could not be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
    /// The hooks that there are or may be in these, with the place and the reason.
    pub unread_hooks: BTreeMap<Key, (PathBuf, String)>,
}

impl Sources {
    /// Reads the built-in scripts and then each root in order, the later over the earlier.
    #[must_use]
    pub fn read(roots: &[Root]) -> Self {
        let mut sources = Self::default();
        sources.read_built_in();
        for root in roots {
            for kind in Kind::ALL {
                let folder = root.path.join(kind.folder());
                sources.read_folder(root.layer, kind, &folder, &folder, 0);
            }
            sources.read_facts(root.path.join(FILE_NAME));
        }
        sources
    }

    fn read_facts(&mut self, path: PathBuf) {
        match read_text(&path) {
            Ok(text) => self.facts.push((path, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable.push((path, error.to_string())),
        }
    }

    fn read_built_in(&mut self) {
        let templates = BuiltInTemplates::iter().map(|name| {
            let text = BuiltInTemplates::get(&name).map(|file| file.data);
            (format!("templates/{name}"), text)
        });
        let scripts = BuiltInScripts::iter().map(|name| {
            let text = BuiltInScripts::get(&name).map(|file| file.data);
            (format!("scripts/{name}"), text)
        });
        for (path, text) in templates.chain(scripts) {
            let text = text.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
            if let (Some(key), Some(text)) = (Key::from_path(&path), text) {
                self.add(Source {
                    key,
                    layer: Layer::BuiltIn,
                    path: path.into(),
                    text,
                });
            }
        }
    }

    fn read_folder(&mut self, layer: Layer, kind: Kind, base: &Path, folder: &Path, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                let hooks = Moment::ALL.map(Moment::as_str);
                return self.pass_over(kind, &hooks, folder.into(), &error);
            }
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let hidden = path
                .file_name()
                .is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    self.read_folder(layer, kind, base, &path, depth + 1);
                }
            } else if path
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                self.read_file(layer, kind, base, path);
            }
        }
    }

    fn read_file(&mut self, layer: Layer, kind: Kind, base: &Path, path: PathBuf) {
        let Some(name) = name_below(base, &path) else {
            return;
        };
        match read_text(&path) {
            Ok(text) => self.add(Source {
                key: Key { kind, name },
                layer,
                path,
                text,
            }),
            // It was there a moment ago: the change that took it away brings the next reading.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.pass_over(kind, &[&name], path, &error),
        }
    }

    fn pass_over(&mut self, kind: Kind, names: &[&str], path: PathBuf, error: &io::Error) {
        if kind == Kind::Hook {
            for name in names {
                let name = (*name).to_owned();
                let unread = self.unread_hooks.entry(Key { kind, name });
                unread.or_insert_with(|| (path.clone(), error.to_string()));
            }
        }
        self.unreadable.push((path, error.to_string()));
    }

    fn add(&mut self, source: Source) {
        let to = if source.key.tested().is_some() {
            &mut self.tests
        } else {
            &mut self.found
        };
        // A project can't put its own hook in the place of the user's.
        let is_taken = to.contains_key(&source.key) || self.unread_hooks.contains_key(&source.key);
        if source.key.kind == Kind::Hook && is_taken {
            return;
        }
        to.insert(source.key.clone(), source);
    }
}

impl Key {
    /// The key of a path such as `scripts/tools/list_assets.rhai`.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        let stem = path.strip_suffix(".rhai")?;
        Kind::ALL.into_iter().find_map(|kind| {
            let name = stem.strip_prefix(kind.folder())?.strip_prefix('/')?;
            let name = name.to_owned();
            Some(Self { kind, name })
        })
    }

    /// The name of the script whose tests it names, which are no script of their own.
    #[must_use]
    pub fn tested(&self) -> Option<&str> {
        self.name.strip_suffix(TESTS)
    }

    /// The path below a root at which the script stands, `templates/NAME.rhai`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}.{EXTENSION}", self.kind.folder(), self.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind, self.name)
    }
}

fn name_below(base: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(base).ok()?.with_extension("");
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

/// A file's text, without the mark that some editors put before it.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_script_wins_and_says_where_it_is_from() {
        let user = tempfile::tempdir().unwrap();
        let project = tempfile::tempdir().unwrap();
        for (root, text) in [(&user, "// user"), (&project, "// project")] {
            let folder = root.path().join("templates");
            fs::create_dir_all(folder.join("pony")).unwrap();
            fs::write(folder.join("mine.rhai"), text).unwrap();
        }
        fs::write(user.path().join("templates/pony/deep.rhai"), "// deep").unwrap();

        let sources = Sources::read(&[
            Root {
                layer: Layer::User,
                path: user.path().into(),
            },
            Root {
                layer: Layer::Project,
                path: project.path().into(),
            },
        ]);

        let mine = &sources.found[&Key {
            kind: Kind::Template,
            name: "mine".into(),
        }];
        assert_eq!(
            (mine.layer, mine.text.as_str()),
            (Layer::Project, "// project")
        );
        let deep = &sources.found[&Key {
            kind: Kind::Template,
            name: "pony/deep".into(),
        }];
        assert_eq!(deep.layer, Layer::User);
    }

    #[test]
    fn a_root_that_is_not_there_yet_is_no_error() {
        let root = Root {
            layer: Layer::Project,
            path: "/nowhere/.mmf".into(),
        };
        assert!(Sources::read(&[root]).unreadable.is_empty());
    }

    #[test]
    fn built_in_scripts_are_in_the_binary() {
        let sources = Sources::read(&[]);
        let key = Key {
            kind: Kind::Template,
            name: "sd3_txt2img".into(),
        };
        assert_eq!(sources.found[&key].layer, Layer::BuiltIn);
    }
}
