//! What sorts of mistakes there are, as editors tell them apart.

use std::fmt;

use serde::Serialize;

/// A sort of mistake; its name never changes, so that editors and scripts can go by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// The script failed while it ran.
    #[default]
    Failed,
    /// The text does not parse.
    Syntax,
    /// What the script says about itself, or the lack of its entry function.
    Declaration,
    /// An import that finds no library that works.
    MissingImport,
    /// A call of a function that there is not.
    UnknownFunction,
    /// A call with another number of arguments than the function takes.
    ArgumentCount,
    /// A script that has to be pure reaches the server, the clock or chance.
    EffectInPure,
    /// A script is run by a name that none has.
    UnknownScript,
    /// A parameter is read or given that is not declared.
    UnknownParameter,
    /// A parameter is declared that nothing reads.
    UnusedParameter,
    /// A library is imported that nothing uses.
    UnusedImport,
    /// A node class that the server does not have.
    UnknownNode,
    /// An input that the node class does not have.
    UnknownInput,
    /// A value that the input does not take.
    BadValue,
    /// A model file that the server does not list.
    MissingModel,
}

impl Mistake {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Syntax => "syntax",
            Self::Declaration => "declaration",
            Self::MissingImport => "missing-import",
            Self::UnknownFunction => "unknown-function",
            Self::ArgumentCount => "argument-count",
            Self::EffectInPure => "effect-in-pure",
            Self::UnknownScript => "unknown-script",
            Self::UnknownParameter => "unknown-parameter",
            Self::UnusedParameter => "unused-parameter",
            Self::UnusedImport => "unused-import",
            Self::UnknownNode => "unknown-node",
            Self::UnknownInput => "unknown-input",
            Self::BadValue => "bad-value",
            Self::MissingModel => "missing-model",
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
