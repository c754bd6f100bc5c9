//! What is wrong with a workflow before it is run: what the server would say, and what it would let
//! through and then fail on or do badly.
//!
//! An error means that the server rejects the workflow or that running it is sure to fail; on a
//! workflow that the server accepts and runs there is none, ever. Whatever is only likely to go
//! wrong is a warning. Each rule has a file of its own.

mod chain;
mod cycles;
mod edit;
mod ends;
mod families;
mod form;
mod links;
mod media;
mod names;
mod numbers;
mod outputs;
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
mod view;

use serde_json::Value;

pub use report::Report;

use self::view::View;
use crate::comfy::BigIntegers;
use crate::comfy::check::{Finding, server_findings};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::{CoreValidation, Outcome, OwnValidation, Rules, Validator};
use crate::knowledge::Knowledge;

/// Looks at workflows with the facts of one server.
#[derive(Clone)]
pub struct Preflight<'a> {
    facts: &'a NodeFacts,
    knowledge: &'a Knowledge,
    rules: Rules,
    own: &'a dyn OwnValidation,
}

impl<'a> Preflight<'a> {
    /// With the rules of the bundled version, and every uploaded file taken to exist.
    #[must_use]
    pub fn new(facts: &'a NodeFacts, knowledge: &'a Knowledge) -> Self {
        const OFFLINE: &CoreValidation<'_> = &CoreValidation::offline();
        Self {
            facts,
            knowledge,
            rules: Rules::default(),
            own: OFFLINE,
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
        self.own = own;
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
        let validator = Validator::new(self.facts)
            .rules(self.rules.clone())
            .own_validation(self.own)
            .big_integers(big);
        let outcome = validator.receive(prompt, None).outcome;
        let view = View::new(prompt, self.facts, &self.rules);
        let mut found = server_findings(self.facts, &self.rules, prompt, &outcome);
        if !is_clean(&outcome) {
            let apart = validator.apart(prompt);
            let apart = apart.iter().filter(|node| view.is_live_id(&node.node_id));
            stumbles::find(self.facts, &self.rules, prompt, apart, &mut found);
        }
        self.preflight(&view, &mut found);
        Report::new(outcome, found, view.nodes.len())
    }

    fn preflight(&self, view: &View<'_>, found: &mut Vec<Finding>) {
        form::find(view, found);
        replaced::find(view, self.facts, found);
        names::find(view, found);
        if !found.iter().any(|one| one.kind == "dependency_cycle") {
            cycles::find(view, found);
        }
        links::find(view, found);
        selectors::find(view, found);
        placeholders::find(view, found);
        media::find(view, found);
        let chains = chain::chains(view, self.knowledge);
        families::find(view, self.knowledge, &chains, found);
        sizes::find(view, self.knowledge, &chains, found);
        edit::find(view, &chains, found);
        settings::find(&chains, found);
        numbers::find(view, found);
        outputs::find(view, found);
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

/// Of several complaints about one value, the first says what to do; the rest are of the same.
fn one_for_each_value(found: &mut Vec<Finding>) {
    let mut places: Vec<(Option<String>, Option<String>)> = vec![];
    found.retain(|finding| {
        let place = (finding.node_id.clone(), finding.input.clone());
        let is_said = place.1.is_some() && places.contains(&place);
        if !is_said {
            places.push(place);
        }
        finding.is_error() || !is_said
    });
}
