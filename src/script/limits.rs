//! How far a script may go before it is stopped.
//!
//! Rhai's own limits differ between debug and release builds and several are off by default, so
//! all are set here, the same in every build. Each limit is declared once, in [`Limit::rule`]: the
//! settings, the errors and the documentation take its key, its default and its meaning from there.

use super::arguments::{did_you_mean, nearest};
use crate::failure::{Code, Failure};

/// Bytes in the megabyte of these limits.
const MB: u64 = 1 << 20;

/// One of the bounds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Steps of the interpreter.
    Operations,
    /// Functions within functions.
    CallLevels,
    /// Scripts within scripts.
    Nesting,
    /// The size of one string.
    StringSize,
    /// The size of one array.
    ArraySize,
    /// The size of one map.
    MapSize,
    /// Variables at one time.
    Variables,
    /// What all values take together.
    Memory,
    /// Computing, without waiting.
    Seconds,
    /// Jobs put on the server.
    Jobs,
    /// What is written outside of the script.
    Written,
}

/// What is to be said of a limit.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name under `[scripts.limits]`.
    pub key: &'static str,
    /// What is allowed unless the settings say otherwise.
    pub default: u64,
    /// The most that can be allowed.
    pub most: u64,
    /// What it is counted in, for `of` and messages: `512 MB`.
    pub unit: &'static str,
    /// What a script has done that went past it, before "than its limit of 512 MB".
    went: &'static str,
    /// What it bounds.
    pub meaning: &'static str,
}

impl Limit {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 11] = [
        Self::Operations,
        Self::Seconds,
        Self::Memory,
        Self::StringSize,
        Self::ArraySize,
        Self::MapSize,
        Self::Variables,
        Self::CallLevels,
        Self::Nesting,
        Self::Jobs,
        Self::Written,
    ];

    /// What there is to say of it.
    #[must_use]
    pub fn rule(self) -> Rule {
        // What no machine has is no limit.
        let rule = |key, (default, unit), went, meaning| Rule {
            key,
            default,
            most: u64::MAX / MB,
            unit,
            went,
            meaning,
        };
        match self {
            // 5 million take about 6 ms in a release build.
            Self::Operations => rule(
                "operations",
                (200_000_000, "steps"),
                "took more steps",
                "steps of the interpreter, in all that a run does",
            ),
            // 64 levels of the deepest expressions need less than 16 MB of stack in a debug build,
            // with 2 MB it dies at level 32.
            Self::CallLevels => Rule {
                most: 256,
                ..rule(
                    "call_levels",
                    (64, "levels"),
                    "called functions within functions deeper",
                    "functions that call each other",
                )
            },
            Self::Nesting => Rule {
                most: 16,
                ..rule(
                    "nesting",
                    (8, "scripts"),
                    "ran scripts within scripts deeper",
                    "scripts that run each other",
                )
            },
            Self::StringSize => Rule {
                most: 1024,
                ..rule(
                    "string_mb",
                    (32, "MB"),
                    "made a longer string",
                    "one string, and all strings within one value",
                )
            },
            Self::ArraySize => rule(
                "array_items",
                (1_000_000, "items"),
                "made a longer array",
                "items of one array, those of the arrays in it included",
            ),
            Self::MapSize => rule(
                "map_entries",
                (100_000, "entries"),
                "made a larger map",
                "entries of one map, those of the maps in it included",
            ),
            Self::Variables => rule(
                "variables",
                (1_000, "variables"),
                "had more variables at a time",
                "variables at one time",
            ),
            Self::Memory => rule(
                "memory_mb",
                (512, "MB"),
                "used more memory",
                "memory, of all values and branches of a run together",
            ),
            Self::Seconds => rule(
                "seconds",
                (60, "seconds"),
                "computed longer",
                "time in which a run computes; what it waits for ComfyUI or the user does not count",
            ),
            // Ten times as many as one sweep may have.
            Self::Jobs => rule(
                "jobs",
                (10_000, "jobs"),
                "submitted more jobs",
                "jobs that a run puts on the server",
            ),
            Self::Written => rule(
                "written_mb",
                (10_240, "MB"),
                "wrote more to disk",
                "what a run publishes, saves and uploads",
            ),
        }
    }

    /// What a megabyte or a second of it is in the units that are counted.
    fn scale(self) -> u64 {
        match self {
            Self::StringSize | Self::Memory | Self::Written => MB,
            // Microseconds.
            Self::Seconds => 1_000_000,
            _ => 1,
        }
    }
}

/// The bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Limits {
    /// The stack of a thread that reads scripts, and the least of one that runs them, in bytes; only what
    /// is used of it takes memory. It bears all call levels of a script in each of the scripts that run
    /// each other.
    pub const STACK: usize = 256 * 1024 * 1024;

    /// Nesting of expressions, in functions and outside.
    pub(super) const EXPRESSION_DEPTH: usize = 64;

    /// How much is allowed, in the unit of its [`Rule`].
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// The same with another bound.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u64) -> Self {
        self.0[limit as usize] = value;
        self
    }

    /// How much is allowed as it is counted: bytes, microseconds, pieces.
    pub(super) fn counted(&self, limit: Limit) -> u64 {
        self.of(limit).saturating_mul(limit.scale())
    }

    /// The stack of a thread that runs scripts, in bytes. Values within values take some of it for each
    /// level when they are let go: closures that hold closures 170 to 320 bytes (measured with Rhai 1.27),
    /// where each level is charged with more than that as memory.
    #[must_use]
    pub fn stack(&self) -> usize {
        self.size(Limit::Memory).max(Self::STACK)
    }

    /// The same where an engine wants to know.
    pub(super) fn size(&self, limit: Limit) -> usize {
        usize::try_from(self.counted(limit)).unwrap_or(usize::MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        let mut limits = Self([0; Limit::ALL.len()]);
        for limit in Limit::ALL {
            limits = limits.with(limit, limit.rule().default);
        }
        limits
    }
}

/// A setting under `[scripts.limits]` that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No limit has that name.
    #[error("[scripts.limits] has no {key}{}; there are {}", did_you_mean(.nearest.as_deref()), keys())]
    Unknown {
        /// What is written there.
        key: String,
        /// The name that is most like it.
        nearest: Option<String>,
    },
    /// It can't be that much.
    #[error("[scripts.limits] {key} can't be {value}: it takes a whole number from 1 to {most}")]
    Value {
        /// Which limit.
        key: &'static str,
        /// What is written there.
        value: i64,
        /// The most that can be allowed.
        most: u64,
    },
}

fn keys() -> String {
    Limit::ALL.map(|limit| limit.rule().key).join(", ")
}

impl Limit {
    /// The limit that the settings call `key`, and the value that they give it.
    pub fn read(key: &str, value: i64) -> Result<(Self, u64), LimitError> {
        let found = Self::ALL.into_iter().find(|limit| limit.rule().key == key);
        let limit = found.ok_or_else(|| LimitError::Unknown {
            key: key.to_owned(),
            nearest: nearest(key, Self::ALL.iter().map(|limit| limit.rule().key)),
        })?;
        let Rule { key, most, .. } = limit.rule();
        let allowed = u64::try_from(value).ok();
        let allowed = allowed.filter(|allowed| (1..=most).contains(allowed));
        allowed
            .map(|allowed| (limit, allowed))
            .ok_or(LimitError::Value { key, value, most })
    }
}

/// A limit that a run went past, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) limit: Limit,
    pub(super) allowed: u64,
}

impl Passed {
    /// A limit as it is counted: bytes, microseconds, pieces.
    pub(super) fn counted(limit: Limit, counted: u64) -> Self {
        let allowed = counted / limit.scale();
        Self { limit, allowed }
    }

    /// As scripts, agents and the command line are told of it.
    pub(super) fn failure(self) -> Failure {
        let Rule {
            key, unit, went, ..
        } = self.limit.rule();
        let allowed = self.allowed;
        let message = format!("the script {went} than its limit of {allowed} {unit}");
        Failure::new(Code::LIMIT_EXCEEDED, message)
            .hint(format!(
                "raise {key} under [scripts.limits] of config.toml if it has to"
            ))
            .detail("limit", key)
            .detail("allowed", allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_stands_in_its_own_place() {
        for (nth, limit) in Limit::ALL.into_iter().enumerate() {
            let limits = Limits::default().with(limit, 7);
            assert_eq!(limits.of(limit), 7);
            let others = Limit::ALL.into_iter().enumerate();
            for (_, other) in others.filter(|(other, _)| *other != nth) {
                assert_eq!(limits.of(other), other.rule().default, "{other:?}");
            }
        }
    }

    #[test]
    fn the_page_on_the_sandbox_tells_each_limit_as_it_is() {
        let page = include_str!("../../docs/sandbox.md");
        for limit in Limit::ALL {
            let rule = limit.rule();
            let Rule { key, default, .. } = rule;
            let row = format!("| `{key}` | {default} {} | {} |", rule.unit, rule.meaning);
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_there_is() {
        assert_eq!(Limit::read("memory_mb", 1), Ok((Limit::Memory, 1)));
        let unknown = Limit::read("memory", 1).unwrap_err().to_string();
        assert!(unknown.contains("memory_mb"), "{unknown}");
        for value in [0, -1, 100_000] {
            let refused = Limit::read("call_levels", value).unwrap_err().to_string();
            assert!(refused.contains("from 1 to 256"), "{refused}");
        }
    }

    #[test]
    fn a_passed_limit_is_named_with_its_value_and_the_setting_that_raises_it() {
        let passed = Passed {
            limit: Limit::Memory,
            allowed: 512,
        };
        let failure = passed.failure();
        assert_eq!(
            failure.message,
            "the script used more memory than its limit of 512 MB"
        );
        assert!(failure.hint.unwrap().contains("memory_mb"));
        assert_eq!(failure.details["limit"], "memory_mb");
    }
}
