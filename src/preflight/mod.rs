//! What is wrong with a workflow before it is run: what the server would say, and what it would let
//! through and then fail on or do badly.
//!
//! An error means that the server rejects the workflow or that running it is sure to fail; on a
//! workflow that the server accepts and runs there is none, ever. Whatever is only likely to go
//! wrong is a warning. Each rule has a file of its own.

mod chain;
mod cycles;
mod depth;
mod edit;
mod ends;
mod families;
mod form;
mod links;
mod media;
mod names;
mod numbers;
mod outputs;
mod partners;
mod placeholders;
mod replaced;
mod report;
mod selectors;
mod settings;
mod sizes;
mod sources;
mod stumbles;
#[cfg(test)]
mod tests;
mod uploads;
mod view;

use std::collections::HashSet;

use serde_json::Value;

pub use report::Report;
pub use uploads::{Files, Uploads};

use self::view::View;
use crate::comfy::BigIntegers;
use crate::comfy::check::{Finding, Rule, Severity, server_findings};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::{CoreValidation, Outcome, OwnValidation, Rules, Validator};
use crate::knowledge::Knowledge;

/// Looks at workflows with the facts of one server.
#[derive(Clone)]
pub struct Preflight<'a> {
    facts: &'a NodeFacts,
    knowledge: &'a Knowledge,
    rules: Rules,
    own: Option<&'a dyn OwnValidation>,
    files: &'a Files,
    has_account: bool,
}

impl<'a> Preflight<'a> {
    /// With the rules of the bundled version, and every uploaded file taken to exist.
    #[must_use]
    pub fn new(facts: &'a NodeFacts, knowledge: &'a Knowledge) -> Self {
        Self {
            facts,
            knowledge,
            rules: Rules::default(),
            own: None,
            files: &Files::Any,
            has_account: true,
        }
    }

    /// With the rules of another server version.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// With other knowledge of what classes check themselves.
    #[must_use]
    pub fn own_validation(mut self, own: &'a dyn OwnValidation) -> Self {
        self.own = Some(own);
        self
    }

    /// With what is known of the server's files.
    #[must_use]
    pub fn files(mut self, files: &'a Files) -> Self {
        self.files = files;
        self
    }

    /// With whether there is an account for nodes that run elsewhere; there is taken to be one.
    #[must_use]
    pub fn account(mut self, has_account: bool) -> Self {
        self.has_account = has_account;
        self
    }

    /// Everything that is wrong with a prompt, whatever it is.
    #[must_use]
    pub fn inspect(&self, prompt: &Value) -> Report {
        self.inspect_exactly(prompt, &BigIntegers::none())
    }

    /// The same with the prompt's whole numbers beyond 64 bits.
    #[must_use]
    pub fn inspect_exactly(&self, prompt: &Value, big: &BigIntegers) -> Report {
        let exists = |name: &str| match self.files {
            Files::Now(uploads) => uploads.may_exist(name),
            Files::Any | Files::Foreign | Files::Once(_) => true,
        };
        let core = match self.files {
            Files::Now(_) => CoreValidation::with_files(&exists),
            Files::Foreign => CoreValidation::without_files(),
            Files::Any | Files::Once(_) => CoreValidation::offline(),
        };
        let validator = Validator::new(self.facts)
            .rules(self.rules.clone())
            .own_validation(self.own.unwrap_or(&core))
            .big_integers(big);
        let verdict = validator.receive(prompt, None);
        let (outcome, depth) = (verdict.outcome, verdict.depth);
        let view = View::new(prompt, self.facts, &self.rules);
        let mut found = server_findings(self.facts, &self.rules, prompt, &outcome);
        if !is_clean(&outcome) {
            let apart = validator.apart(prompt);
            let apart = apart.iter().filter(|node| view.is_live_id(&node.node_id));
            stumbles::find(self.facts, &self.rules, prompt, apart, &mut found);
        }
        depth::find(depth, &mut found);
        self.preflight(&view, outcome.is_accepted(), &mut found);
        only_if_it_runs(&view, &mut found);
        Report::new(outcome, found, view.nodes.len())
    }

    fn preflight(&self, view: &View<'_>, is_accepted: bool, found: &mut Vec<Finding>) {
        form::find(view, found);
        replaced::find(view, self.facts, found);
        names::find(view, found);
        if !found.iter().any(|one| one.kind == "dependency_cycle") {
            cycles::find(view, is_accepted, found);
        }
        links::find(view, found);
        selectors::find(view, found);
        placeholders::find(view, found);
        media::find(view, self.files, found);
        let chains = chain::chains(view, self.knowledge);
        families::find(view, self.knowledge, &chains, found);
        sizes::find(view, self.knowledge, &chains, found);
        edit::find(view, &chains, found);
        settings::find(&chains, found);
        numbers::find(view, found);
        outputs::find(view, found);
        if !self.has_account {
            partners::find(view, found);
        }
        sources::find(view, found);
        names::not_missing(found);
        ends::find(view, self.facts, found);
        one_for_each_value(found);
    }
}

/// Whether the server has nothing at all to say.
fn is_clean(outcome: &Outcome) -> bool {
    outcome.is_accepted() && outcome.node_errors().is_empty()
}

/// What would fail is sure to fail only where the node is sure to run. The server validates behind
/// lazy inputs too, and refuses the whole; but it executes there only what is asked for.
fn only_if_it_runs(view: &View<'_>, found: &mut [Finding]) {
    // The worker dies of a node without inputs wherever it stands; a cycle has seen to it itself.
    const WHEREVER: [&str; 2] = ["no_inputs_object", "dependency_cycle"];
    for finding in found {
        let at = finding.node_id.as_deref().and_then(|id| view.at(id));
        let is_sure = at.is_none_or(|at| view.is_sure(at)) || WHEREVER.contains(&finding.kind);
        if finding.rule == Rule::Preflight && finding.is_error() && !is_sure {
            finding.severity = Severity::Warning;
            finding.message += " (if it runs at all: only a lazy input leads there)";
        }
    }
}

/// Of several complaints about one value, the first says what to do; the rest are of the same.
fn one_for_each_value(found: &mut Vec<Finding>) {
    let mut places: HashSet<(Option<String>, Option<String>)> = HashSet::new();
    found.retain(|finding| {
        let place = (finding.node_id.clone(), finding.input.clone());
        let is_whole = place.1.is_none();
        let is_said = !places.insert(place) && !is_whole;
        finding.is_error() || !is_said
    });
}
