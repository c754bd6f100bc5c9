//! Which folders may be published to.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::PublishError;

/// Looked for below the working folder, in this order; the original server's list.
pub(super) const CANDIDATES: [&str; 5] = [
    "public/gen",
    "static/gen",
    "assets/gen",
    "public/images",
    "static/images",
];

/// First parts of paths that belong to the system, in lower case.
const SYSTEM: [&str; 23] = [
    "applications",
    "bin",
    "boot",
    "dev",
    "etc",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "library",
    "private",
    "proc",
    "program files",
    "program files (x86)",
    "programdata",
    "run",
    "sbin",
    "sys",
    "system",
    "system32",
    "usr",
    "var",
    "windows",
];

/// What lies below [`SYSTEM`] and is people's all the same: web roots, temporary folders, drives.
const EXCEPT: [&[&str]; 8] = [
    &["private", "tmp"],
    &["private", "var", "folders"],
    &["private", "var", "tmp"],
    &["run", "media"],
    &["var", "folders"],
    &["var", "tmp"],
    &["var", "www"],
    &["usr", "local", "www"],
];

/// The first of the usual folders that is there and stays within `cwd`.
pub(super) fn detect(cwd: &Path) -> Option<PathBuf> {
    CANDIDATES
        .iter()
        .filter(|candidate| cwd.join(candidate).is_dir())
        .find_map(|candidate| resolve(cwd, Path::new(candidate)).ok())
}

/// Where `given` really leads, with all links followed, if it may be published to. The folder
/// needn't exist yet. Relative paths, and all paths below `cwd`, have to stay below `cwd`.
pub(super) fn resolve(cwd: &Path, given: &Path) -> Result<PathBuf, PublishError> {
    let invalid = |reason: &str| PublishError::InvalidPath {
        path: given.to_owned(),
        reason: reason.to_owned(),
    };
    if given.as_os_str().is_empty() {
        return Err(invalid("it is empty"));
    }
    if given.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(invalid("it contains a zero byte"));
    }
    let traversal = |root: &Path| PublishError::Traversal {
        path: given.to_owned(),
        root: root.to_owned(),
    };
    if given.components().any(|part| part == Component::ParentDir) {
        return Err(traversal(cwd));
    }
    let root = fs::canonicalize(cwd).map_err(|error| PublishError::InvalidPath {
        path: cwd.to_owned(),
        reason: error.to_string(),
    })?;
    let lexical = cwd.join(given);
    let real = canonical(&lexical)
        .ok_or_else(|| invalid("a part of it is not a folder, or a link that leads nowhere"))?;
    let asked_inside = lexical.starts_with(cwd) || lexical.starts_with(&root);
    if asked_inside && !real.starts_with(&root) {
        return Err(traversal(&root));
    }
    check_place(&real, real.strip_prefix(&root).unwrap_or(&real))?;
    Ok(real)
}

/// `hidden_in` is the part of the path in which no folder may begin with a dot: a project may well
/// lie below one, but not publish into one of its own.
fn check_place(real: &Path, hidden_in: &Path) -> Result<(), PublishError> {
    let forbidden = |reason| {
        Err(PublishError::Forbidden {
            path: real.to_owned(),
            reason,
        })
    };
    let parts = normal_parts(real);
    let Some(first) = parts.first() else {
        return forbidden("it is the root of a file system");
    };
    let excepted = EXCEPT.iter().any(|except| {
        parts.len() >= except.len() && parts.iter().zip(*except).all(|(part, name)| part == name)
    });
    if SYSTEM.contains(&first.as_str()) && !excepted {
        return forbidden("it belongs to the system");
    }
    if normal_parts(hidden_in)
        .iter()
        .any(|part| part.starts_with('.'))
    {
        return forbidden("it is hidden, its path has a part that begins with a dot");
    }
    Ok(())
}

fn normal_parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
            _ => None,
        })
        .collect()
}

/// The path with all links followed, also if its last parts don't exist.
fn canonical(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        // A link that leads nowhere exists, as something that can't be followed.
        if fs::symlink_metadata(existing).is_ok() {
            let mut real = fs::canonicalize(existing).ok()?;
            if !missing.is_empty() && !real.is_dir() {
                return None;
            }
            real.extend(missing.into_iter().rev());
            return Some(real);
        }
        missing.push(existing.file_name()?);
        existing = existing.parent()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::Builder::new().prefix("mmf").tempdir().unwrap();
        let cwd = fs::canonicalize(dir.path()).unwrap();
        (dir, cwd)
    }

    #[test]
    fn the_usual_folders_are_found_in_their_order() {
        let (_dir, cwd) = project();
        assert_eq!(detect(&cwd), None);
        for candidate in CANDIDATES.iter().rev() {
            fs::create_dir_all(cwd.join(candidate)).unwrap();
            assert_eq!(detect(&cwd), Some(cwd.join(candidate)));
        }
    }

    #[test]
    fn parts_that_lead_upwards_are_refused() {
        let (_dir, cwd) = project();
        for path in ["..", "public/../..", "../x", "public/../public"] {
            let refused = resolve(&cwd, Path::new(path));
            assert!(
                matches!(refused, Err(PublishError::Traversal { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn hidden_folders_are_refused_below_the_project_and_elsewhere() {
        let (_dir, cwd) = project();
        let (_other, other) = project();
        for path in [
            cwd.join(".git"),
            cwd.join("a/.b/c"),
            other.join(".ssh"),
            ".config".into(),
        ] {
            let refused = resolve(&cwd, &path);
            assert!(
                matches!(refused, Err(PublishError::Forbidden { .. })),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn a_project_may_itself_lie_in_a_hidden_folder() {
        let (_dir, parent) = project();
        let cwd = parent.join(".worktrees/site");
        fs::create_dir_all(&cwd).unwrap();
        assert_eq!(
            resolve(&cwd, Path::new("public")).unwrap(),
            cwd.join("public")
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_systems_folders_are_refused_whatever_the_working_folder_is() {
        for cwd in ["/", "/tmp"] {
            for path in [
                "/",
                "/etc",
                "/etc/x",
                "/usr/share/nginx",
                "/var/lib/x",
                "/proc/self",
                "/dev",
            ] {
                let refused = resolve(Path::new(cwd), Path::new(path));
                assert!(
                    matches!(refused, Err(PublishError::Forbidden { .. })),
                    "{path}"
                );
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_out_of_the_project() {
        use std::os::unix::fs::symlink;

        let (_dir, cwd) = project();
        let (_other, other) = project();
        fs::create_dir_all(cwd.join("public")).unwrap();
        symlink(&other, cwd.join("public/gen")).unwrap();
        symlink("/etc", cwd.join("etc")).unwrap();
        symlink(cwd.join("nowhere"), cwd.join("dangling")).unwrap();

        for path in [
            PathBuf::from("public/gen"),
            cwd.join("public/gen"),
            "public/gen/x".into(),
            "etc".into(),
        ] {
            let refused = resolve(&cwd, &path);
            assert!(
                matches!(refused, Err(PublishError::Traversal { .. })),
                "{}",
                path.display()
            );
        }
        assert!(matches!(
            resolve(&cwd, Path::new("dangling/x")),
            Err(PublishError::InvalidPath { .. })
        ));
        assert_eq!(detect(&cwd), None);
    }
}
