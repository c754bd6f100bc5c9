//! The kind of a script: its folder says it, and it says what the script may touch.

use std::fmt;

use serde::Serialize;

/// What a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `templates/NAME.rhai`: parameters in, workflow out, nothing else touched.
    Template,
    /// `scripts/tools/NAME.rhai`: an MCP tool.
    Tool,
    /// `scripts/pipelines/NAME.rhai`: a whole job of many runs.
    Pipeline,
    /// `scripts/prompts/NAME.rhai`: an MCP prompt, messages for a client's conversation.
    Prompt,
    /// `scripts/resources/NAME.rhai`: MCP resources, things that clients read by their address.
    Resource,
    /// `scripts/fixers/NAME.rhai`: workflow and findings in, corrections out, nothing else touched.
    Fixer,
    /// `scripts/hooks/NAME.rhai`: called for each job, before it is submitted or when it is over.
    Hook,
    /// `scripts/lib/NAME.rhai`: functions for the others to import.
    Lib,
}

impl Kind {
    /// All kinds, in the order in which listings show them.
    pub const ALL: [Self; 8] = [
        Self::Template,
        Self::Tool,
        Self::Pipeline,
        Self::Prompt,
        Self::Resource,
        Self::Fixer,
        Self::Hook,
        Self::Lib,
    ];

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The folder below a script root, with `/` between its parts.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Template => "templates",
            Self::Tool => "scripts/tools",
            Self::Pipeline => "scripts/pipelines",
            Self::Prompt => "scripts/prompts",
            Self::Resource => "scripts/resources",
            Self::Fixer => "scripts/fixers",
            Self::Hook => "scripts/hooks",
            Self::Lib => "scripts/lib",
        }
    }

    /// The function that is called when it is run, with the names of its parameters; a library is
    /// not run, nor is a hook, which is called by itself.
    #[must_use]
    pub fn entry(self) -> Option<Entry> {
        let entry = |name, params| Some(Entry { name, params });
        match self {
            Self::Template => entry("build", &["p"]),
            Self::Tool | Self::Pipeline => entry("run", &["p"]),
            Self::Prompt => entry("messages", &["p"]),
            Self::Resource => entry("read", &["p"]),
            Self::Fixer => entry("fix", &["workflow", "findings"]),
            Self::Hook | Self::Lib => None,
        }
    }

    /// Whether the script is a function of its arguments alone: no server, no files, no clock, no
    /// chance. A library is called by pure scripts too, so it is made of what they may use, and
    /// reaches further only when its caller may.
    #[must_use]
    pub fn is_pure(self) -> bool {
        matches!(self, Self::Template | Self::Fixer)
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Tool => "tool",
            Self::Pipeline => "pipeline",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Fixer => "fixer",
            Self::Hook => "hook",
            Self::Lib => "lib",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The signature of a script's one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What its parameters are called in our documentation; only their number is binding.
    pub params: &'static [&'static str],
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fn {}({})", self.name, self.params.join(", "))
    }
}
