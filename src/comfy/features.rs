//! What a `ComfyUI` can do, by its version. The numbers are the first releases that have a thing.

use std::fmt;

use semver::Version;
use serde::Serialize;

/// Abilities that the client makes use of or must do without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of independent abilities"
)]
pub struct Features {
    /// The server's version, if it says one that can be read.
    pub version: Option<Version>,
    /// It demands canonical UUIDs as prompt ids and takes ours (0.25). Versions since 0.3.44 or
    /// so take any string.
    pub own_prompt_ids: bool,
    /// `POST /interrupt {prompt_id}` stops only that job (0.3.57).
    pub targeted_interrupt: bool,
    /// `GET /api/jobs` (0.6.0).
    pub jobs_api: bool,
    /// `POST /api/jobs/{id}/cancel` (0.26.0).
    pub jobs_cancel: bool,
    /// Previews say to which job and node they belong (0.3.45).
    pub preview_metadata: bool,
    /// `extra_data.preview_method` chooses previews per job (0.5.0).
    pub preview_method: bool,
    /// `partial_execution_targets` limits a job to some outputs (0.3.48).
    pub partial_targets: bool,
    /// The server renames classes by `GET /node_replacements` (0.14.0).
    pub node_replacements: bool,
    /// `GET /experiment/models/{folder}` tells sizes (0.3.8).
    pub model_sizes: bool,
    /// The largest body that the server takes, in bytes, if it says (`GET /features`, 0.3.45).
    pub max_upload_size: Option<u64>,
}

impl Features {
    /// What a version can do. Of an unknown one only what does no harm is assumed: what a
    /// request itself finds out (an answer of 404 or 405) is then left to that.
    #[must_use]
    pub fn of(version: Option<&Version>) -> Self {
        let since = |major, minor, patch| {
            // Pre-release tags such as 0.26.0-dirty have the release's abilities.
            version.is_some_and(|version| {
                (version.major, version.minor, version.patch) >= (major, minor, patch)
            })
        };
        Self {
            version: version.cloned(),
            own_prompt_ids: since(0, 25, 0),
            targeted_interrupt: since(0, 3, 57),
            jobs_api: since(0, 6, 0),
            jobs_cancel: since(0, 26, 0),
            preview_metadata: since(0, 3, 45),
            preview_method: since(0, 5, 0),
            partial_targets: since(0, 3, 48),
            node_replacements: since(0, 14, 0),
            model_sizes: since(0, 3, 8),
            max_upload_size: None,
        }
    }
}

impl fmt::Display for Features {
    /// The version and the names of what it can do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{version}")?,
            None => f.write_str("unknown version")?,
        }
        let abilities = [
            (self.own_prompt_ids, "own prompt ids"),
            (self.targeted_interrupt, "targeted interrupt"),
            (self.jobs_api, "jobs"),
            (self.jobs_cancel, "cancel by job"),
            (self.preview_metadata, "named previews"),
            (self.preview_method, "previews per job"),
            (self.partial_targets, "partial targets"),
            (self.node_replacements, "node replacements"),
            (self.model_sizes, "model sizes"),
        ];
        let able: Vec<&str> = abilities
            .iter()
            .filter(|(able, _)| *able)
            .map(|(_, name)| *name)
            .collect();
        if able.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", able.join(", "))
        }
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
        let of = |text: &str| Features::of(parse_version(text).as_ref());
        assert!(!of("0.3.56").targeted_interrupt);
        assert!(of("0.3.57").targeted_interrupt);
        assert!(of("v0.26").jobs_cancel);
        assert!(of("0.26.0-rc1").jobs_cancel);
        assert!(!of("0.25.9").jobs_cancel);
        assert!(!of("unknown").jobs_api);
    }

    #[test]
    fn features_are_shown_with_what_they_allow() {
        let features = Features::of(parse_version("0.3.50").as_ref());
        assert_eq!(
            features.to_string(),
            "0.3.50 (named previews, partial targets, model sizes)"
        );
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
