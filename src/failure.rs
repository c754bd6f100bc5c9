//! What went wrong, in the one form that scripts, MCP answers and the command line share.
//!
//! Every module has an error type of its own; each turns into a [`Failure`] beside its
//! definition. A script catches it as a map, an agent reads it as `{error, message, hint, ...}`,
//! and the command line prints it and exits with [`Failure::exit_code`].

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value, json};

/// The machine-readable name of a failure, in `SCREAMING_SNAKE_CASE`.
///
/// Scripts may throw codes of their own, so this is open; the constants are those the program
/// itself uses (the first eight are the original server's).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code(Cow<'static, str>);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed(stringify!($name)));)*
    };
}

impl Code {
    codes! {
        /// A tool could not do its work.
        TOOL_ERROR
        /// The thing named does not exist.
        NOT_FOUND
        /// A workflow or value is not valid.
        VALIDATION_ERROR
        /// It took longer than allowed.
        TIMEOUT
        /// `ComfyUI` could not be reached.
        CONNECTION_ERROR
        /// Too many calls.
        RATE_LIMITED
        /// The arguments do not fit the declaration.
        INVALID_PARAMS
        /// A defect of this program.
        INTERNAL_ERROR
        /// The asset is unknown or past its time.
        ASSET_NOT_FOUND_OR_EXPIRED
        /// A file name for publishing is not allowed.
        INVALID_FILENAME
        /// The workflow that made something is not known.
        NO_WORKFLOW_DATA
        /// No folder to publish to.
        NO_PUBLISH_DIR
        /// The asset's bytes are gone.
        SOURCE_NOT_FOUND
        /// A path leads out of its folder.
        PATH_TRAVERSAL
        /// The copy to the publish folder failed.
        COPY_FAILED
        /// A folder that may not be written to.
        FORBIDDEN_PATH
        /// Something else than a folder stands there.
        NOT_A_DIRECTORY
        /// A folder could not be made.
        CANNOT_CREATE_DIR
        /// A path makes no sense.
        INVALID_PATH
        /// A file is there that is not to be replaced.
        FILE_EXISTS
        /// Not possible with things of this type.
        UNSUPPORTED_TYPE
        /// `ComfyUI` ran the workflow and a node failed.
        EXECUTION_ERROR
        /// The graphics card ran out of memory.
        OUT_OF_MEMORY
        /// The run was cancelled.
        CANCELLED
        /// The server forgot the job, most likely because it was restarted.
        JOB_LOST
        /// A script has a mistake.
        SCRIPT_ERROR
        /// A script went past one of its limits.
        LIMIT_EXCEEDED
        /// A script asked for what its kind may not touch.
        NOT_ALLOWED
    }

    /// A code that a script made up.
    #[must_use]
    pub fn custom(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Messages and hints repeat what they were given, and whoever reads them pays for every byte.
const LONGEST_TEXT: usize = 2_000;

/// The same for a detail that is text, such as the frame of a script's mistake.
const LONGEST_DETAIL: usize = 8_000;

/// What happened, under which code, what to do next, and the facts for a program to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The machine-readable name.
    pub code: Code,
    /// What happened, as a sentence fragment without a full stop.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Facts by name, such as `node_errors` or `field`; merged into the rendered object. Boxed,
    /// because failures travel in results whose other side is small.
    pub details: Box<Map<String, Value>>,
}

impl Failure {
    /// A failure with neither hint nor details.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: shorten(message.into(), LONGEST_TEXT),
            hint: None,
            details: Box::default(),
        }
    }

    /// The same with advice on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(shorten(hint.into(), LONGEST_TEXT));
        self
    }

    /// The same with one more thing that may be done instead.
    #[must_use]
    pub fn or_hint(self, instead: &str) -> Self {
        let hint = match &self.hint {
            Some(hint) => format!("{hint}; or {instead}"),
            None => instead.to_owned(),
        };
        self.hint(hint)
    }

    /// The same with one more fact.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// `{error, message, hint?, ...details}`, as agents and `--json` readers get it. A detail, which
    /// a script may name as it likes, never takes the place of one of the first three.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({ "error": self.code.as_str(), "message": self.message });
        if let Some(hint) = &self.hint {
            object["hint"] = json!(hint);
        }
        for (name, value) in &*self.details {
            if object.get(name).is_some() {
                continue;
            }
            object[name] = match value {
                Value::String(text) => shorten(text.clone(), LONGEST_DETAIL).into(),
                other => other.clone(),
            };
        }
        object
    }

    /// The process's exit code: 1 error, 2 timeout, 3 validation, 5 connection, 6 not found,
    /// 7 graphics memory, 130 cancelled. (4, a partial success, is no failure.)
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.code.as_str() {
            "TIMEOUT" => 2,
            "VALIDATION_ERROR" | "INVALID_PARAMS" | "SCRIPT_ERROR" => 3,
            "CONNECTION_ERROR" => 5,
            "NOT_FOUND"
            | "ASSET_NOT_FOUND_OR_EXPIRED"
            | "SOURCE_NOT_FOUND"
            | "NO_WORKFLOW_DATA" => 6,
            "OUT_OF_MEMORY" => 7,
            "CANCELLED" => 130,
            _ => 1,
        }
    }
}

/// A value as a message repeats it: its JSON, or the beginning of that.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    shorten(value.to_string(), LONGEST)
}

/// The beginning of a text that is longer than `limit` characters.
fn shorten(mut text: String, limit: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(limit) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_stand_beside_code_message_and_hint() {
        let failure = Failure::new(Code::NOT_FOUND, "no template \"sdx\"")
            .hint("call list_workflow_templates")
            .detail("nearest", "sd3_txt2img");
        assert_eq!(
            failure.to_json(),
            json!({
                "error": "NOT_FOUND",
                "message": "no template \"sdx\"",
                "hint": "call list_workflow_templates",
                "nearest": "sd3_txt2img",
            })
        );
        assert_eq!(failure.exit_code(), 6);
    }

    #[test]
    fn what_was_given_is_not_repeated_at_any_length() {
        let long = "ü".repeat(1_000_000);
        let failure = Failure::new(Code::NOT_FOUND, format!("no asset \"{long}\""))
            .hint(format!("is \"{long}\" right?"))
            .detail("asset_id", long);
        assert!(failure.to_json().to_string().len() < 30_000);
    }

    #[test]
    fn a_detail_never_takes_the_place_of_the_code_or_the_message() {
        let failure = Failure::new(Code::NOT_FOUND, "no such thing")
            .detail("error", "another code")
            .detail("message", 5)
            .detail("field", "name");
        assert_eq!(
            failure.to_json(),
            json!({ "error": "NOT_FOUND", "message": "no such thing", "field": "name" })
        );
    }
}
