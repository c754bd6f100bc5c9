//! How far scripts may go.
//!
//! A project comes with its scripts, so it is not the one to trust them with more: it may lower
//! what the user's own file or the program allows, and not raise it.

use std::collections::BTreeMap;

use super::file::Settings;
use crate::script::{Limit, LimitError, Limits};

/// The limits in force, and what a project asked for in vain.
pub(super) fn choose(
    project: &Settings,
    user: &Settings,
) -> Result<(Limits, Vec<String>), LimitError> {
    let mut limits = Limits::default();
    for (limit, value) in read(&user.scripts.limits)? {
        limits = limits.with(limit, value);
    }
    let mut ignored = vec![];
    let file = project.file.as_ref();
    let file = file.map_or_else(String::new, |file| file.display().to_string());
    for (limit, value) in read(&project.scripts.limits)? {
        let allowed = limits.of(limit);
        if value > allowed {
            let key = limit.rule().key;
            ignored.push(format!(
                "[scripts.limits] {key} of {file} is not in force: a project can only lower what your own config.toml allows, which is {allowed}"
            ));
        }
        limits = limits.with(limit, value.min(allowed));
    }
    Ok((limits, ignored))
}

fn read(settings: &BTreeMap<String, i64>) -> Result<Vec<(Limit, u64)>, LimitError> {
    let read = settings.iter().map(|(key, value)| Limit::read(key, *value));
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(limits: &[(&str, i64)]) -> Settings {
        let mut settings = Settings::default();
        let limits = limits
            .iter()
            .map(|(key, value)| ((*key).to_owned(), *value));
        settings.scripts.limits = limits.collect();
        settings
    }

    #[test]
    fn a_project_lowers_what_the_user_allows_and_never_raises_it() {
        let user = settings(&[("seconds", 100), ("jobs", 5)]);
        let project = settings(&[("seconds", 10), ("jobs", 50), ("memory_mb", 4096)]);
        let (limits, ignored) = choose(&project, &user).unwrap();
        assert_eq!(limits.of(Limit::Seconds), 10);
        assert_eq!(limits.of(Limit::Jobs), 5);
        assert_eq!(limits.of(Limit::Memory), Limit::Memory.rule().default);
        assert!(ignored[0].contains("jobs") && ignored[1].contains("memory_mb"));
    }

    #[test]
    fn a_misspelt_limit_is_no_limit() {
        let refused = choose(&Settings::default(), &settings(&[("memory", 1)])).unwrap_err();
        assert!(refused.to_string().contains("memory_mb"), "{refused}");
    }
}
