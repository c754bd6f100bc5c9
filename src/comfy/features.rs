//! What a `ComfyUI` can do, by its version.

use semver::Version;

/// Something that only newer servers can do and the client has to do without otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `POST /interrupt {prompt_id}` stops only that job.
    TargetedInterrupt,
    /// `POST /api/jobs/{id}/cancel`.
    JobsCancel,
    /// `partial_execution_targets` limits a job to some outputs.
    PartialTargets,
}

impl Feature {
    /// All of them with their names and the first releases that have them, oldest first.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::PartialTargets, "partial targets", "0.3.48"),
        (Self::TargetedInterrupt, "targeted interrupt", "0.3.57"),
        (Self::JobsCancel, "cancel by job", "0.26.0"),
    ];

    /// The first release that has it.
    #[must_use]
    pub fn since(self) -> &'static str {
        let entry = Self::ALL.iter().find(|(feature, ..)| *feature == self);
        entry.map_or("", |(_, _, since)| since)
    }
}

/// What one server can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The server's version, if it says one that can be read.
    pub version: Option<Version>,
}

impl Features {
    /// What a version can do.
    #[must_use]
    pub fn of(version: Option<&Version>) -> Self {
        Self {
            version: version.cloned(),
        }
    }

    /// Whether the server has it. Of an unknown version only what does no harm is assumed: what a
    /// request itself finds out (an answer of 404 or 405) is then left to that.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        // Pre-release tags such as 0.26.0-dirty have the release's abilities.
        let release = |version: &Version| (version.major, version.minor, version.patch);
        let since = parse_version(feature.since());
        match (&self.version, since) {
            (Some(version), Some(since)) => release(version) >= release(&since),
            _ => false,
        }
    }

    /// The names of all that the server has.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let has = Feature::ALL
            .into_iter()
            .filter(|(feature, ..)| self.has(*feature));
        has.map(|(_, name, _)| name)
    }
}

/// Reads a version as servers and forks write it: `0.3.75`, `v0.3.75`, `0.26`, `0.3.75-3-gabc`.
#[must_use]
pub fn parse_version(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let numbers = text
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?;
    let mut parts = numbers.split('.').map(str::parse);
    let major = parts.next()?.ok()?;
    let mut next = || parts.next().and_then(Result::ok).unwrap_or(0);
    Some(Version::new(major, next(), next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_follow_the_version() {
        use Feature::{JobsCancel, TargetedInterrupt};
        for (version, feature, has) in [
            ("0.3.56", TargetedInterrupt, false),
            ("0.3.57", TargetedInterrupt, true),
            ("v0.26", JobsCancel, true),
            ("0.26.0-rc1", JobsCancel, true),
            ("0.25.9", JobsCancel, false),
            ("unknown", TargetedInterrupt, false),
        ] {
            let features = Features::of(parse_version(version).as_ref());
            assert_eq!(features.has(feature), has, "{version}: {feature:?}");
        }
    }

    #[test]
    fn features_are_named_by_what_the_version_has() {
        let features = Features::of(parse_version("0.3.57").as_ref());
        let names: Vec<_> = features.names().collect();
        assert_eq!(names, ["partial targets", "targeted interrupt"]);
    }

    #[test]
    fn the_releases_of_the_table_can_be_read() {
        for (feature, _, since) in Feature::ALL {
            assert!(parse_version(since).is_some());
            assert_eq!(feature.since(), since);
        }
    }

    #[test]
    fn versions_are_read_as_forks_write_them() {
        for (text, version) in [
            ("0.3.75", Some((0, 3, 75))),
            ("v0.33.0", Some((0, 33, 0))),
            ("0.26", Some((0, 26, 0))),
            ("0.3.75+horde", Some((0, 3, 75))),
            ("0.3.75 (custom)", Some((0, 3, 75))),
            ("nightly", None),
        ] {
            let read = parse_version(text).map(|v| (v.major, v.minor, v.patch));
            assert_eq!(read, version, "{text}");
        }
    }
}
