//! What the server's version changes about its validator.

use semver::Version;

use crate::comfy::nodes::BUNDLED_VERSION;

/// The behaviour of one server version. The default is that of the bundled facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    version: Version,
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(BUNDLED_VERSION)
    }
}

impl Rules {
    /// The rules of a version as a server tells it: `"0.33.0"`, `"v0.3.75"`, also with something
    /// behind it. What can't be read as a version is taken for the newest one known.
    #[must_use]
    pub fn of(version: &str) -> Self {
        let numbers = version.trim_start_matches('v');
        let end = numbers
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(numbers.len());
        let mut parts = numbers[..end].split('.').map(str::parse);
        let mut part = || parts.next().and_then(Result::ok);
        let version = match (part(), part(), part()) {
            (Some(major), Some(minor), patch) => Version::new(major, minor, patch.unwrap_or(0)),
            _ => Version::new(0, 33, 0),
        };
        Self { version }
    }

    fn since(&self, major: u64, minor: u64, patch: u64) -> bool {
        self.version >= Version::new(major, minor, patch)
    }

    /// `partial_execution_targets` is looked at.
    pub(super) fn selects_outputs(&self) -> bool {
        self.since(0, 3, 48)
    }

    /// Dynamic combos and autogrow rows become real inputs.
    #[must_use]
    pub fn expands_dynamic_inputs(&self) -> bool {
        self.since(0, 4, 0)
    }

    /// The value of a `COMBO` is compared with its choices.
    pub(super) fn checks_combos(&self) -> bool {
        self.since(0, 8, 0)
    }

    /// An output that is a list of choices may go into a `COMBO`.
    pub(super) fn lists_fit_combos(&self) -> bool {
        self.since(0, 8, 0)
    }

    /// Missing and unknown classes are called `missing_node_type`.
    pub(super) fn names_missing_classes(&self) -> bool {
        self.since(0, 12, 0)
    }

    /// `POST /prompt` puts new classes in place of old ones before it validates.
    #[must_use]
    pub fn replaces_nodes(&self) -> bool {
        self.since(0, 14, 0)
    }

    /// Cycles are an error of their own.
    pub(super) fn reports_cycles(&self) -> bool {
        self.since(0, 20, 0)
    }

    /// Several choices at once are checked one by one, and messages show them as Python would.
    pub(super) fn checks_multiselect(&self) -> bool {
        self.since(0, 21, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_all_the_forms_servers_tell_them() {
        assert_eq!(Rules::of("0.33.0"), Rules::default());
        assert_eq!(Rules::of("v0.3.75-4-gabcdef"), Rules::of("0.3.75"));
        assert_eq!(Rules::of("0.12"), Rules::of("0.12.0"));
        assert_eq!(Rules::of("unknown"), Rules::default());
        assert!(!Rules::of("0.11.9").names_missing_classes());
        assert!(Rules::of("0.12.0").names_missing_classes());
    }
}
