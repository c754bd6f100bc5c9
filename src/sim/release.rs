//! What the claimed version of `ComfyUI` has and has not, as far as a client notices. The numbers
//! are the first releases with a thing. What the validator makes of a version is its own business
//! (`comfy::validate::Rules`).

use semver::Version;

use crate::comfy::nodes::BUNDLED_VERSION;
use crate::comfy::parse_version;

/// A release, by its number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(u64, u64, u64);

impl Release {
    /// The release of a version as a server tells it; what can't be read as a version is taken for
    /// the newest one known.
    pub(super) fn of(version: &str) -> Self {
        let known = || parse_version(BUNDLED_VERSION);
        let version = parse_version(version).or_else(known);
        let Version {
            major,
            minor,
            patch,
            ..
        } = version.unwrap_or(Version::new(0, 33, 0));
        Self(major, minor, patch)
    }

    /// `GET /experiment/models`.
    pub(super) fn has_experimental_models(self) -> bool {
        self >= Self(0, 3, 8)
    }

    /// `GET /features`, `feature_flags` and with them previews with metadata; `progress_state`.
    pub(super) fn has_features(self) -> bool {
        self >= Self(0, 3, 45)
    }

    /// `POST /interrupt` looks at its `prompt_id`.
    pub(super) fn has_targeted_interrupt(self) -> bool {
        self >= Self(0, 3, 57)
    }

    /// `GET /history` looks at its `offset`.
    pub(super) fn has_history_offset(self) -> bool {
        self >= Self(0, 3, 60)
    }

    /// `extra_data` has a `create_time`.
    pub(super) fn notes_create_time(self) -> bool {
        self >= Self(0, 3, 69)
    }

    /// The system is told as Python's `sys.platform` and no longer as `os.name`; the features tell
    /// of the manager.
    pub(super) fn has_manager(self) -> bool {
        self >= Self(0, 4, 0)
    }

    /// `extra_data.preview_method`.
    pub(super) fn has_preview_method(self) -> bool {
        self >= Self(0, 5, 0)
    }

    /// `GET /api/jobs`.
    pub(super) fn has_jobs(self) -> bool {
        self >= Self(0, 6, 0)
    }

    /// Interrupted jobs are `cancelled`; before they were `failed`.
    pub(super) fn has_cancelled_jobs(self) -> bool {
        self >= Self(0, 9, 0)
    }

    /// `GET /node_replacements`.
    pub(super) fn has_node_replacements(self) -> bool {
        self >= Self(0, 14, 0)
    }

    /// Assets can be switched off, and are.
    pub(super) fn has_assets_switch(self) -> bool {
        self >= Self(0, 17, 0)
    }

    /// Requests that a browser marks as another site's are refused.
    pub(super) fn checks_fetch_site(self) -> bool {
        self >= Self(0, 19, 0)
    }

    /// `/system_stats` lists `comfy_package_versions`.
    pub(super) fn lists_packages(self) -> bool {
        self >= Self(0, 22, 0)
    }

    /// Prompt ids are canonical UUIDs; before they were any text. `deploy_environment` and
    /// `Comfy-Usage-Source` came with it.
    pub(super) fn demands_uuids(self) -> bool {
        self >= Self(0, 25, 0)
    }

    /// `POST /api/jobs/{id}/cancel` and `/api/jobs/cancel`.
    pub(super) fn has_jobs_cancel(self) -> bool {
        self >= Self(0, 26, 0)
    }

    /// `/view` hands out SVG and XML as downloads and forbids guessing the type; model folders
    /// tell their `extensions`.
    pub(super) fn guards_views(self) -> bool {
        self >= Self(0, 28, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_servers_tell_it() {
        assert_eq!(Release::of("v0.3.75-4-gabcdef"), Release(0, 3, 75));
        assert_eq!(Release::of("0.26.0-rc1"), Release(0, 26, 0));
        assert_eq!(Release::of("nightly"), Release::of(BUNDLED_VERSION));
    }
}
