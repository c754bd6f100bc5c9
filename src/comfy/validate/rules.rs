//! What the server's version changes about its validator.

use semver::Version;

use crate::comfy::nodes::{BUNDLED_VERSION, NodeClass, NodeFacts};

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

    /// The rules for facts of which nobody told the version: by the fields that servers came to
    /// tell of classes of the newer interface. Without such classes, the newest.
    #[must_use]
    pub fn guessed(facts: &NodeFacts) -> Self {
        // Each since the version beside it; taken for the last before the next.
        const FIELDS: [(&str, &str); 3] = [
            ("has_intermediate_output", BUNDLED_VERSION),
            ("essentials_category", "0.18.0"),
            ("search_aliases", "0.14.0"),
        ];
        let newer = || facts.classes().filter(|class| class.is_v3());
        let tells = |field: &str| newer().any(|class| class.fact(field).is_some());
        let is_dynamic = |class: &NodeClass| {
            let mut inputs = class.inputs().iter();
            inputs.any(|input| input.dynamic().is_some())
        };
        let by_field = FIELDS.iter().find(|(field, _)| tells(field));
        match by_field {
            _ if newer().next().is_none() => Self::default(),
            Some((_, version)) => Self::of(version),
            None if tells("price_badge") => Self::of("0.10.0"),
            None if facts.classes().any(is_dynamic) => Self::of("0.7.0"),
            None => Self::of("0.3.75"),
        }
    }

    /// The version that they are those of.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
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
    use serde_json::{Value, json};

    #[test]
    fn versions_are_read_in_all_the_forms_servers_tell_them() {
        assert_eq!(Rules::of("0.33.0"), Rules::default());
        assert_eq!(Rules::of("v0.3.75-4-gabcdef"), Rules::of("0.3.75"));
        assert_eq!(Rules::of("0.12"), Rules::of("0.12.0"));
        assert_eq!(Rules::of("unknown"), Rules::default());
        assert!(!Rules::of("0.11.9").names_missing_classes());
        assert!(Rules::of("0.12.0").names_missing_classes());
    }

    #[test]
    fn facts_show_about_how_old_they_are() {
        let facts = NodeFacts::bundled();
        assert_eq!(Rules::guessed(&facts), Rules::default());
        let class = |facts: Value| {
            let mut class = json!({ "input": { "required": {} }, "output": [],
                "api_node": false, "deprecated": false, "experimental": false });
            for (name, fact) in facts.as_object().unwrap() {
                class[name] = fact.clone();
            }
            let text = json!({ "A": class }).to_string();
            Rules::guessed(&NodeFacts::read(text.as_bytes()).unwrap())
        };
        assert_eq!(class(json!({})), Rules::of("0.3.75"));
        assert_eq!(class(json!({ "price_badge": null })), Rules::of("0.10.0"));
        assert_eq!(class(json!({ "search_aliases": [] })), Rules::of("0.14.0"));
        // Without classes of the newer interface nothing shows.
        let old = r#"{ "A": { "input": { "required": {} }, "output": [] } }"#;
        let old = NodeFacts::read(old.as_bytes()).unwrap();
        assert_eq!(Rules::guessed(&old), Rules::default());
    }
}
