//! What is wrong with a workflow: the one form in which checks say it and fixers hear it.
//!
//! # For fixers
//!
//! `fix(workflow, findings)` gets a list of maps. These keys are always there, `()` where there is
//! nothing to say:
//!
//! | key | what |
//! |---|---|
//! | `rule` | `"server"`: `ComfyUI` says so itself. `"preflight"`: it would let it through |
//! | `severity` | `"error"`: rejected, or fails when it runs. `"warning"`: runs, badly |
//! | `type` | what kind of thing; the server's own name for it where it has one |
//! | `node_id`, `class_type` | the node; `()` and `""` for the workflow as a whole |
//! | `input` | the input; `"class_type"` for the class; `()` for the node as a whole |
//! | `message` | the same for people |
//! | `received` | what stands there |
//! | `allowed` | `#{ min, max, step }`, `#{ choices, count }` or `#{ type }`, and what else helps |
//! | `nearest` | an allowed value that is like it, which need not be what is meant |
//! | `suggestion` | what can be put there |
//! | `fixable`, `fixer` | whether a built-in fixer mends it, and which |
//!
//! What `allowed` may tell besides: `folder`, of model files; `links`, the outputs in the workflow that
//! fit; `optional: true`, of a broken link that may be left out; `brings`, the inputs that a selector's
//! suggested choice brings along. A suggestion for a node as a whole is `#{ class_type, inputs }`, for
//! one that was replaced with the `links` to it that change.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::fixable::fixer_of;

/// One thing that is wrong. What its fields mean stands at the top of this file.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Who says so.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing, such as `"value_not_in_list"`.
    pub kind: &'static str,
    /// The node.
    pub node_id: Option<String>,
    /// Its class; empty if it has none.
    pub class_type: String,
    /// The input, or `class_type`.
    pub input: Option<String>,
    /// The same for people.
    pub message: String,
    /// What stands there.
    pub received: Value,
    /// What may stand there.
    pub allowed: Value,
    /// What may stand there and is like it.
    pub nearest: Value,
    /// What can be put there.
    pub suggestion: Value,
}

/// Who says that something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The server's own validator.
    Server,
    /// A rule about what it lets through.
    Preflight,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It runs, badly.
    Warning,
    /// The server rejects it, or it fails when it runs.
    Error,
}

impl Finding {
    /// A finding of the server's, about a node.
    #[must_use]
    pub fn server(kind: &'static str, node_id: &str, class_type: &str) -> Self {
        Self::new(Rule::Server, Severity::Error, kind, node_id, class_type)
    }

    /// Something that the server lets through and that is sure to fail.
    #[must_use]
    pub fn error(kind: &'static str, node_id: &str, class_type: &str) -> Self {
        Self::new(Rule::Preflight, Severity::Error, kind, node_id, class_type)
    }

    /// Something that the server lets through and that runs badly.
    #[must_use]
    pub fn warning(kind: &'static str, node_id: &str, class_type: &str) -> Self {
        Self::new(
            Rule::Preflight,
            Severity::Warning,
            kind,
            node_id,
            class_type,
        )
    }

    fn new(
        rule: Rule,
        severity: Severity,
        kind: &'static str,
        node_id: &str,
        class_type: &str,
    ) -> Self {
        Self {
            rule,
            severity,
            kind,
            node_id: Some(node_id.to_owned()),
            class_type: class_type.to_owned(),
            input: None,
            message: String::new(),
            received: Value::Null,
            allowed: Value::Null,
            nearest: Value::Null,
            suggestion: Value::Null,
        }
    }

    /// About the workflow as a whole.
    #[must_use]
    pub fn of_the_whole(mut self) -> Self {
        self.node_id = None;
        self
    }

    /// With the input that it is about and what stands there.
    #[must_use]
    pub fn at(mut self, input: &str, received: &Value) -> Self {
        self.input = Some(input.to_owned());
        self.received = received.clone();
        self
    }

    /// With what is said to people.
    #[must_use]
    pub fn says(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// With what may stand there.
    #[must_use]
    pub fn allows(mut self, allowed: Value) -> Self {
        self.allowed = allowed;
        self
    }

    /// With what can be put there; nothing, if that is null.
    #[must_use]
    pub fn suggests(mut self, suggestion: impl Into<Value>) -> Self {
        self.suggestion = suggestion.into();
        if self.nearest.is_null() {
            self.nearest = self.suggestion.clone();
        }
        self
    }

    /// With what is like it, whether or not it is meant.
    #[must_use]
    pub fn resembles(mut self, nearest: impl Into<Value>) -> Self {
        self.nearest = nearest.into();
        self
    }

    /// Whether the workflow can't run because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The built-in fixer that mends it.
    #[must_use]
    pub fn fixer(&self) -> Option<&'static str> {
        fixer_of(self)
    }

    /// Whether nothing else can be said of its node as long as it stands.
    #[must_use]
    pub fn hides_others(&self) -> bool {
        let hiding = ["missing_node_type", "invalid_prompt", "no_inputs_object"];
        hiding.contains(&self.kind)
    }

    /// How bad it is for a fixer.
    #[must_use]
    pub fn weight(&self) -> u64 {
        match self.severity {
            _ if self.hides_others() => 1000,
            Severity::Error => 10,
            Severity::Warning => 1,
        }
    }

    /// All fields, null where there is nothing to say: what fixers get.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let fixer = self.fixer();
        json!({
            "rule": self.rule,
            "severity": self.severity,
            "type": self.kind,
            "node_id": self.node_id,
            "class_type": self.class_type,
            "input": self.input,
            "message": self.message,
            "received": self.received,
            "allowed": self.allowed,
            "nearest": self.nearest,
            "suggestion": self.suggestion,
            "fixable": fixer.is_some(),
            "fixer": fixer,
        })
    }

    /// The fields that say something, and always those that answers are filtered by.
    #[must_use]
    pub fn to_short_json(&self) -> Value {
        const ALWAYS: [&str; 2] = ["node_id", "input"];
        let Value::Object(fields) = self.to_json() else {
            return Value::Null;
        };
        let says = |(name, value): &(String, Value)| {
            let repeats = name == "nearest" && *value == self.suggestion;
            ALWAYS.contains(&&**name) || !(value.is_null() || repeats)
        };
        fields
            .into_iter()
            .filter(says)
            .collect::<Map<_, _>>()
            .into()
    }

    /// `node 3 (KSampler): message`
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.node_id {
            Some(id) => format!("node {id} ({}): {}", self.class_type, self.message),
            None => self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_and_leaves_out_what_there_is_not() {
        let finding = Finding::warning("off_step", "3", "EmptyImage")
            .at("width", &json!(511))
            .says("between two steps")
            .suggests(504);
        assert_eq!(
            finding.to_short_json(),
            json!({
                "rule": "preflight", "severity": "warning", "type": "off_step", "node_id": "3",
                "class_type": "EmptyImage", "input": "width", "message": "between two steps",
                "received": 511, "suggestion": 504, "fixable": true, "fixer": "numbers",
            })
        );
        let whole = Finding::server("prompt_no_outputs", "", "").of_the_whole();
        assert_eq!(whole.to_short_json()["node_id"], Value::Null);
        assert_eq!(whole.to_json()["suggestion"], Value::Null);
    }
}
