//! The folders `input`, `output`, `temp` and `models`, and the rules for names in them: prefixes
//! with tokens and counters when saving, annotations such as `a.png [output]` when loading, and no
//! way out in either direction.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Zoned;
use serde_json::{Value as Json, json};

/// The three kinds of folder that files are addressed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderType {
    /// Uploads.
    Input,
    /// Results that stay.
    Output,
    /// Previews, wiped at every start.
    Temp,
}

impl FolderType {
    /// As it stands in requests and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Temp => "temp",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Input, Self::Output, Self::Temp]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// A server's data folder.
#[derive(Clone, Debug)]
pub struct Folders {
    root: PathBuf,
    /// Keeps a folder of the simulator's own until nobody uses it any more.
    _guard: Option<Arc<tempfile::TempDir>>,
}

/// Where the next file of a save node goes.
#[derive(Clone, Debug)]
pub struct SaveSlot {
    folder: PathBuf,
    kind: FolderType,
    subfolder: String,
    stem: String,
    counter: u32,
}

/// The folders that were made for simulators of this process.
static OWN: Mutex<Vec<PathBuf>> = Mutex::new(vec![]);

fn own_folders() -> MutexGuard<'static, Vec<PathBuf>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what simulators of this process have made for themselves: a process that ends doesn't
/// wait until everything that uses it was dropped.
pub fn remove_own_folders() {
    for folder in own_folders().drain(..) {
        // Most were removed with their last user.
        let _ = fs::remove_dir_all(folder);
    }
}

impl Folders {
    /// Opens a data folder, or makes one that is removed with its last user.
    pub(super) fn open(data: Option<&Path>) -> io::Result<Self> {
        let (root, guard) = if let Some(path) = data {
            (path.to_path_buf(), None)
        } else {
            let dir = tempfile::Builder::new().prefix("mmf-sim-").tempdir()?;
            own_folders().push(dir.path().to_owned());
            (dir.path().to_path_buf(), Some(Arc::new(dir)))
        };
        fs::create_dir_all(&root)?;
        let folders = Self {
            root: root.canonicalize()?,
            _guard: guard,
        };
        for kind in [FolderType::Input, FolderType::Output, FolderType::Temp] {
            fs::create_dir_all(folders.dir(kind))?;
        }
        Ok(folders)
    }

    /// The folder of one kind.
    #[must_use]
    pub fn dir(&self, kind: FolderType) -> PathBuf {
        self.root.join(kind.name())
    }

    /// Where model files would lie.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Empties the temp folder, as a start of the server does.
    pub(super) fn wipe_temp(&self) -> io::Result<()> {
        let temp = self.dir(FolderType::Temp);
        if temp.exists() {
            fs::remove_dir_all(&temp)?;
        }
        fs::create_dir_all(temp)
    }

    /// The existing file that an annotated name means; the input folder if it has no annotation.
    #[must_use]
    pub fn annotated(&self, name: &str) -> Option<PathBuf> {
        let (name, kind) = split_annotation(name);
        let path = within(&self.dir(kind.unwrap_or(FolderType::Input)), name)?;
        path.is_file().then_some(path)
    }

    /// Files of the input folder, relative, sorted; what the upload combos list.
    #[must_use]
    pub fn input_files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir(FolderType::Input)) else {
            return Vec::new();
        };
        let files = entries.flatten().filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = files
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Finds the name for a prefix such as `shots/%date:yyyy-MM-dd%/a`: `a_00001_` if nothing is
    /// there yet, else one more than the highest number. Tokens are those of the save nodes:
    /// `%width%`, `%height%`, `%year%`, `%month%`, `%day%`, `%hour%`, `%minute%`, `%second%`.
    pub fn save_slot(
        &self,
        kind: FolderType,
        prefix: &str,
        (width, height): (u32, u32),
        now: &Zoned,
    ) -> io::Result<SaveSlot> {
        let prefix = fill_tokens(prefix, width, height, now);
        let prefix = Path::new(&prefix);
        let stem = prefix
            .file_name()
            .map(|stem| stem.to_string_lossy().into_owned());
        let stem = stem.unwrap_or_default();
        let subfolder = prefix
            .parent()
            .map(|parent| parent.to_string_lossy().into_owned());
        let subfolder = subfolder.unwrap_or_default();
        let base = self.dir(kind);
        let folder = within(&base, &subfolder).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "**** ERROR: Saving image outside the output folder is not allowed.\n \
                     full_output_folder: {}\n         output_dir: {}",
                    base.join(&subfolder).display(),
                    base.display()
                ),
            )
        })?;
        fs::create_dir_all(&folder)?;
        let counter = highest_counter(&folder, &stem)? + 1;
        Ok(SaveSlot {
            folder,
            kind,
            subfolder,
            stem,
            counter,
        })
    }
}

impl SaveSlot {
    /// Writes the next file and gives its entry for `ui`: `{filename, subfolder, type}`.
    pub fn write(
        &mut self,
        batch_number: usize,
        extension: &str,
        bytes: &[u8],
    ) -> io::Result<Json> {
        let stem = self.stem.replace("%batch_num%", &batch_number.to_string());
        let filename = format!("{stem}_{:05}_.{extension}", self.counter);
        self.counter += 1;
        fs::write(self.folder.join(&filename), bytes)?;
        Ok(json!({ "filename": filename, "subfolder": self.subfolder, "type": self.kind.name() }))
    }
}

/// Splits `name [output]` into name and folder.
#[must_use]
pub fn split_annotation(name: &str) -> (&str, Option<FolderType>) {
    for kind in [FolderType::Output, FolderType::Input, FolderType::Temp] {
        let annotation = format!("[{}]", kind.name());
        if let Some(bare) = name.strip_suffix(&annotation) {
            return (bare.strip_suffix(' ').unwrap_or(bare), Some(kind));
        }
    }
    (name, None)
}

/// `base/relative` with `.` and `..` worked out, if that is still inside of `base`.
#[must_use]
pub fn within(base: &Path, relative: &str) -> Option<PathBuf> {
    let mut path = base.to_path_buf();
    for component in Path::new(relative).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop();
            }
            Component::RootDir | Component::Prefix(_) => {
                path = PathBuf::from(component.as_os_str());
            }
        }
    }
    path.starts_with(base).then_some(path)
}

fn fill_tokens(prefix: &str, width: u32, height: u32, now: &Zoned) -> String {
    if !prefix.contains('%') {
        return prefix.to_owned();
    }
    let mut filled = prefix
        .replace("%width%", &width.to_string())
        .replace("%height%", &height.to_string())
        .replace("%year%", &now.year().to_string());
    for (token, number) in [
        ("%month%", now.month()),
        ("%day%", now.day()),
        ("%hour%", now.hour()),
        ("%minute%", now.minute()),
        ("%second%", now.second()),
    ] {
        filled = filled.replace(token, &format!("{number:02}"));
    }
    filled
}

/// The highest number among files `STEM_00001_...`.
fn highest_counter(folder: &Path, stem: &str) -> io::Result<u32> {
    let mut highest = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let Some(rest) = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('_'))
        else {
            continue;
        };
        let digits = rest.split('_').next().unwrap_or_default();
        highest = highest.max(digits.parse().unwrap_or(0));
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-03-04T05:06:07[UTC]".parse().unwrap()
    }

    #[test]
    fn files_are_numbered_after_the_highest_that_is_there() {
        let folders = Folders::open(None).unwrap();
        let slot = || {
            folders
                .save_slot(FolderType::Output, "shots/%year%/a", (8, 8), &now())
                .unwrap()
        };
        let entry = slot().write(0, "png", b"x").unwrap();
        assert_eq!(
            entry,
            json!({ "filename": "a_00001_.png", "subfolder": "shots/2026", "type": "output" })
        );
        let mut again = slot();
        assert_eq!(
            again.write(0, "png", b"x").unwrap()["filename"],
            "a_00002_.png"
        );
        assert_eq!(
            again.write(1, "png", b"x").unwrap()["filename"],
            "a_00003_.png"
        );
    }

    #[test]
    fn no_prefix_leads_out_of_the_output_folder() {
        let folders = Folders::open(None).unwrap();
        for prefix in ["../a", "x/../../a", "/etc/a"] {
            let error = folders
                .save_slot(FolderType::Output, prefix, (8, 8), &now())
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{prefix}");
        }
    }

    #[test]
    fn an_annotation_names_the_folder() {
        assert_eq!(
            split_annotation("a.png [output]"),
            ("a.png", Some(FolderType::Output))
        );
        assert_eq!(split_annotation("a.png"), ("a.png", None));
    }
}
