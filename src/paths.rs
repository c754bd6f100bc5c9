//! Paths as people write them.

use std::path::{Path, PathBuf};

/// Where `given` leads: `~/` stands for the home folder, as in a shell, and relative paths begin
/// at `base`. Without a home folder `~` is a name as any other.
#[must_use]
pub fn resolved(given: impl AsRef<Path>, base: &Path) -> PathBuf {
    base.join(from_home(given.as_ref(), std::env::home_dir()))
}

fn from_home(given: &Path, home: Option<PathBuf>) -> PathBuf {
    match (given.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
        (Ok(rest), Some(home)) => home.join(rest),
        _ => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_stands_for_the_home_folder_at_the_beginning_alone() {
        let home = || Some(PathBuf::from("/home/ada"));
        for (given, expected) in [
            ("~/a.png", "/home/ada/a.png"),
            ("~", "/home/ada"),
            ("a/~/b", "a/~/b"),
            ("~ada/a.png", "~ada/a.png"),
            ("/etc", "/etc"),
        ] {
            assert_eq!(from_home(given.as_ref(), home()), Path::new(expected));
        }
        assert_eq!(from_home("~/a".as_ref(), None), Path::new("~/a"));
    }
}
