//! How a command ended, other than by failing, and the exit code of that.

use std::process::ExitCode;

use serde_json::{Map, Value};

/// How a command ended, other than by failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    /// What was compared is not the same.
    Different,
    /// Tests failed.
    Failed,
    /// The result is that the time was over before the job was.
    TimedOut,
    /// The result is that something is not valid.
    Invalid,
    /// Some of it worked.
    Partly,
}

impl Ended {
    /// What the result of a tool or pipeline says: the exit codes are the same whether a thing
    /// fails or is answered.
    pub(super) fn with(result: &Value) -> Self {
        if result["status"] == "timeout" {
            return Self::TimedOut;
        }
        if result["valid"] == false {
            return Self::Invalid;
        }
        // Lists of errors, as verdicts have them, are no numbers.
        let count = |name: &str| result[name].as_u64().unwrap_or(0);
        let failed = count("errors") + count("unfinished");
        if failed > 0 {
            return Self::Partly;
        }
        let node_errors = result["node_errors"].as_object().map_or(0, Map::len);
        let mut outputs = result["outputs"].as_array().into_iter().flatten();
        if node_errors > 0 || outputs.any(|output| output.get("not_kept").is_some()) {
            return Self::Partly;
        }
        Self::Well
    }

    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Different | Self::Failed => 1,
            Self::TimedOut => 2,
            Self::Invalid => 3,
            Self::Partly => 4,
        }
    }
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        ended.exit_code().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_says_how_it_went() {
        let cases = [
            (
                json!({ "status": "completed", "outputs": [{ "asset_id": "a" }] }),
                0,
            ),
            (json!(["status", "timeout"]), 0),
            (json!({ "status": "queued", "node_errors": {} }), 0),
            (json!({ "status": "timeout" }), 2),
            (json!({ "errors": 0, "unfinished": 0, "results": [] }), 0),
            (json!({ "errors": 1, "unfinished": 0 }), 4),
            (json!({ "errors": 0, "unfinished": 1 }), 4),
            (json!({ "status": "error", "errors": 1, "stages": [] }), 4),
            // The question was how a job ended, and that is answered.
            (json!({ "status": "error", "failure": {} }), 0),
            (json!({ "valid": true, "errors": [] }), 0),
            (json!({ "valid": false, "node_errors": { "3": {} } }), 3),
            (json!({ "status": "queued", "node_errors": { "3": {} } }), 4),
            (
                json!({ "outputs": [{ "asset_id": "a" }, { "not_kept": {} }] }),
                4,
            ),
        ];
        for (result, code) in cases {
            assert_eq!(Ended::with(&result).exit_code(), code, "{result}");
        }
    }
}
