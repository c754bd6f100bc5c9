//! What came of looking at a workflow.

use serde_json::{Value, json};

use crate::comfy::MissingModel;
use crate::comfy::check::{Finding, Rule};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::Outcome;
use crate::knowledge::Knowledge;

/// What the server would answer, and everything that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What the server would answer.
    pub outcome: Outcome,
    /// What is wrong: the server's complaints first.
    pub findings: Vec<Finding>,
    node_count: usize,
}

impl Report {
    pub(super) fn new(outcome: Outcome, findings: Vec<Finding>, node_count: usize) -> Self {
        Self {
            outcome,
            findings,
            node_count,
        }
    }

    /// Whether the server would queue it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome.is_accepted()
    }

    /// Whether it would be queued and there is no error; warnings are no hindrance. Where all that
    /// the server is taken to refuse is in doubt, it is taken not to.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_doubted = || self.findings.iter().any(|one| one.rule == Rule::Server);
        (self.is_accepted() || is_doubted()) && !self.findings.iter().any(Finding::is_error)
    }

    /// The findings without those that merely repeat, at another node, what a better one says: the
    /// server reports an exception where it noticed it and not where it comes from.
    pub fn told(&self) -> impl Iterator<Item = &Finding> {
        let is_exception = |one: &Finding| one.kind.starts_with("exception_during");
        let explained = |one: &Finding| {
            let causes = [
                "broken_link",
                "link_form",
                "no_inputs_object",
                "value_not_comparable",
            ];
            causes.contains(&one.kind)
        };
        let has_cause = self.findings.iter().any(explained);
        self.findings
            .iter()
            .filter(move |one| !(has_cause && is_exception(one)))
    }

    /// The errors as sentences; unknown classes in the original's words, each once.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let mut sentences: Vec<String> = vec![];
        for finding in self.told().filter(|one| one.is_error()) {
            let sentence = match finding.input.as_deref() {
                Some("class_type") if !finding.class_type.is_empty() => finding.message.clone(),
                _ => finding.sentence(),
            };
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        if sentences.is_empty()
            && !self.is_valid()
            && let Outcome::Rejected { error, .. } = &self.outcome
        {
            sentences.push(error.message.clone());
        }
        sentences
    }

    /// `{valid, errors, findings, node_errors, node_count}`, as tools answer it.
    #[must_use]
    pub fn to_json(&self, facts: &NodeFacts, knowledge: &Knowledge) -> Value {
        let answer = self.outcome.to_json();
        let findings: Vec<Value> = self.told().map(Finding::to_short_json).collect();
        let mut told = json!({
            "valid": self.is_valid(),
            "errors": self.errors(),
            "findings": findings,
            "node_errors": answer["node_errors"],
            "node_count": self.node_count,
        });
        if self
            .findings
            .iter()
            .any(|one| one.kind == "value_not_in_list")
        {
            let mut missing = MissingModel::among(&answer["node_errors"], &[facts.clone().into()]);
            knowledge.locate(&mut missing);
            if !missing.is_empty() {
                told["missing_models"] = json!(missing);
            }
        }
        told
    }

    /// `{accepted, valid, errors, node_errors, findings}`, with `error` of a rejected prompt: one
    /// line of a bulk check.
    #[must_use]
    pub fn to_verdict(&self) -> Value {
        let mut answer = self.outcome.to_json();
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_short_json).collect();
        let node_errors = match answer.get_mut("node_errors") {
            Some(errors) => errors.take(),
            None => json!({}),
        };
        let mut verdict = json!({
            "accepted": self.is_accepted(),
            "valid": self.is_valid(),
            "errors": self.errors(),
        });
        if let Some(error) = answer.get_mut("error") {
            verdict["error"] = error.take();
        }
        verdict["node_errors"] = node_errors;
        verdict["findings"] = findings.into();
        verdict
    }
}
