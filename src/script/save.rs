//! Writing a script on behalf of an agent: only where the user allows it, only what has no
//! mistakes, and whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Checked, Diagnostic, Key, Kind, Library, ScriptError, Source, broken_by, check};
use crate::comfy::nodes::NodeFacts;
use crate::failure::{Code, Failure};

/// The longest name of a script, so that its file has a name on every system.
const LONGEST_NAME: usize = 64;

/// Why a script was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The user's settings don't allow it.
    #[error("saving scripts is not allowed here")]
    NotAllowed,
    /// Not the name of a file in one folder.
    #[error("\"{0}\" is no name for a script: it takes up to 64 letters, digits, _ and -")]
    BadName(String),
    /// There is one, and it was not to be replaced.
    #[error("there is a {kind} \"{name}\" already: {}", path.display())]
    Exists {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// Other scripts need what the library no longer has.
    #[error("{} could no longer run: {}", .0.len(), first(.0))]
    Breaks(Vec<Diagnostic>),
    /// The folder or the file could not be written.
    #[error("{} could not be written: {source}", path.display())]
    Io {
        /// What was written.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl From<SaveError> for Failure {
    fn from(error: SaveError) -> Self {
        let message = error.to_string();
        match error {
            SaveError::NotAllowed => Self::new(Code::NOT_ALLOWED, message).hint(
                "run_script takes its source as it is; to save it, the user writes \
                 `allow_save = true` under [scripts] in their own config.toml",
            ),
            SaveError::BadName(_) => Self::new(Code::INVALID_FILENAME, message),
            SaveError::Exists { .. } => Self::new(Code::INVALID_PARAMS, message)
                .hint("overwrite: true, or --overwrite, puts yours in its place"),
            SaveError::Breaks(problems) => {
                let told: Vec<String> = problems.iter().map(Diagnostic::one_line).collect();
                Self::new(Code::INVALID_PARAMS, message)
                    .hint("nothing was saved; keep the functions that others call, or use another name")
                    .detail("problems", told)
            }
            SaveError::Io { .. } => Self::new(Code::COPY_FAILED, message),
        }
    }
}

fn first(problems: &[Diagnostic]) -> String {
    problems
        .first()
        .map(Diagnostic::one_line)
        .unwrap_or_default()
}

/// Writes a script that has no mistakes below `root` and takes it into use. A script of its name is
/// replaced, or put behind it, only where that is asked for.
pub fn save_checked(
    library: &Library,
    root: &Path,
    source: &Source,
    facts: &NodeFacts,
    overwrite: bool,
) -> Result<(PathBuf, Checked), Failure> {
    let checked = check(&library.generation(), source, Some(facts));
    if !checked.is_good() {
        let first = checked.problems.into_iter().next().map(Box::new);
        return Err(first
            .map_or_else(
                || Failure::new(Code::SCRIPT_ERROR, "the script has a mistake"),
                |problem| Failure::from(ScriptError::Broken(problem)),
            )
            .hint("nothing was saved; check_script shows all mistakes"));
    }
    allow_place(library, source, overwrite)?;
    let path = save(root, &source.key, &source.text, overwrite)?;
    library.reload();
    Ok((path, checked))
}

/// Refuses to put a script before another by accident, and a library where it breaks others.
fn allow_place(library: &Library, source: &Source, overwrite: bool) -> Result<(), SaveError> {
    let generation = library.generation();
    let Key { kind, name } = &source.key;
    match generation.get(*kind, name) {
        Ok(served) if !overwrite => {
            return Err(SaveError::Exists {
                kind: *kind,
                name: name.clone(),
                path: served.script.path.clone(),
            });
        }
        _ if *kind != Kind::Lib => return Ok(()),
        _ => {}
    }
    let broken = broken_by(&generation, source);
    if broken.is_empty() {
        Ok(())
    } else {
        Err(SaveError::Breaks(broken))
    }
}

/// Writes `text` below `root` and returns its file.
fn save(root: &Path, key: &Key, text: &str, overwrite: bool) -> Result<PathBuf, SaveError> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name = &key.name;
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(harmless) {
        return Err(SaveError::BadName(name.clone()));
    }
    let path = root.join(key.path());
    let failed = |source| SaveError::Io {
        path: path.clone(),
        source,
    };
    let folder = path.parent().unwrap_or(root);
    std::fs::create_dir_all(folder).map_err(failed)?;
    // The watcher takes no notice of hidden files.
    let mut file = tempfile::Builder::new()
        .prefix(".save-")
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let moved = if overwrite {
        file.persist(&path)
    } else {
        file.persist_noclobber(&path)
    };
    match moved {
        Ok(_) => Ok(path),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(SaveError::Exists {
                kind: key.kind,
                name: key.name.clone(),
                path,
            })
        }
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key {
            kind: Kind::Pipeline,
            name: name.into(),
        }
    }

    #[test]
    fn a_script_is_replaced_only_when_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let path = save(root.path(), &key("mine"), "// one", false).unwrap();
        assert!(path.ends_with("scripts/pipelines/mine.rhai"));
        let error = save(root.path(), &key("mine"), "// two", false).unwrap_err();
        assert!(matches!(error, SaveError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "// one");

        save(root.path(), &key("mine"), "// two", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "// two");
        let folder = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(folder.count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "../evil",
            "a/b",
            "a\\b",
            ".hidden",
            "",
            "c:x",
            &"x".repeat(65),
        ] {
            let error = save(root.path(), &key(name), "", true).unwrap_err();
            assert!(matches!(error, SaveError::BadName(_)), "{name}: {error}");
        }
    }
}
