//! The whole answer to a prompt, output by output.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::comfy::BigIntegers;
use crate::comfy::nodes::NodeFacts;

use super::apart;
use super::node::Shared;
use super::own::{CoreValidation, OwnValidation};
use super::replace;
use super::rules::Rules;
use super::survey::{self, Nodes, Stop};
use super::verdict::{Dependents, NodeErrors, Outcome, ServerError, Verdict};
use super::walk::Walk;

/// Says what a server would say to a prompt.
#[derive(Clone)]
pub struct Validator<'a> {
    facts: &'a NodeFacts,
    rules: Rules,
    own: &'a dyn OwnValidation,
    big: Option<&'a BigIntegers>,
}

impl<'a> Validator<'a> {
    /// A validator with the rules of the bundled version, which takes every uploaded file to
    /// exist.
    #[must_use]
    pub fn new(facts: &'a NodeFacts) -> Self {
        const OFFLINE: &CoreValidation<'_> = &CoreValidation::offline();
        Self {
            facts,
            rules: Rules::default(),
            own: OFFLINE,
            big: None,
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

    /// With the whole numbers of the prompt's text that are beyond 64 bits.
    #[must_use]
    pub fn big_integers(mut self, big: &'a BigIntegers) -> Self {
        self.big = Some(big);
        self
    }

    /// What `POST /prompt` does with a prompt: old classes are replaced, then it is validated.
    #[must_use]
    pub fn receive<'p>(&self, prompt: &'p Value, targets: Option<&[String]>) -> Verdict<'p> {
        if !self.rules.replaces_nodes() {
            return self.validate(prompt, targets);
        }
        match replace::replace_old_classes(self.facts, prompt) {
            Ok(Cow::Borrowed(prompt)) => self.validate(prompt, targets),
            Ok(Cow::Owned(prompt)) => self.validate(&prompt, targets).into_owned(),
            Err(raised) => Verdict {
                outcome: Outcome::Raised(raised),
                prompt: Cow::Borrowed(prompt),
                depth: 0,
            },
        }
    }

    /// What the server's validator says. With `targets`, only these output nodes count
    /// (`partial_execution_targets`).
    #[must_use]
    pub fn validate<'p>(&self, prompt: &'p Value, targets: Option<&[String]>) -> Verdict<'p> {
        let targets = targets.filter(|_| self.rules.selects_outputs());
        match survey::survey(self.facts, &self.rules, prompt, targets) {
            Ok((nodes, outputs)) => self.judge(prompt, &nodes, &outputs),
            Err(stop) => {
                let outcome = match stop {
                    Stop::Rejected(error) => Outcome::Rejected {
                        error: *error,
                        node_errors: Vec::new(),
                    },
                    Stop::Raised(raised) => Outcome::Raised(raised),
                };
                Verdict {
                    outcome,
                    prompt: Cow::Borrowed(prompt),
                    depth: 0,
                }
            }
        }
    }

    /// What is wrong with each node of a known class by itself, also with those that the server
    /// does not come to. Where it stumbles over an input, that input is named.
    #[must_use]
    pub fn apart(&self, prompt: &Value) -> Vec<NodeErrors> {
        let nodes = Nodes::known(self.facts, prompt);
        apart::apart(self.facts, &self.shared(&nodes), prompt)
    }

    fn shared<'c, 'p>(&'c self, nodes: &'c Nodes<'p>) -> Shared<'c, 'p> {
        const NONE: &BigIntegers = &BigIntegers::none();
        Shared {
            rules: &self.rules,
            own: self.own,
            nodes,
            given: self.big.unwrap_or(NONE),
            declared: self.facts.big_integers(),
        }
    }

    fn judge<'p>(&self, prompt: &'p Value, nodes: &Nodes<'_>, outputs: &[usize]) -> Verdict<'p> {
        let shared = self.shared(nodes);
        let mut walk = Walk::new(&shared);
        let mut good = Vec::new();
        let mut details = Vec::new();
        let mut report = Report::new(nodes);
        for &output in outputs {
            if walk.validate(output) {
                good.push(nodes.at(output).id.to_owned());
                continue;
            }
            let errors = walk.errors(output).iter();
            details.extend(errors.map(|error| format!("{}: {}", error.message, error.details)));
            report.add(&walk, output);
        }
        let node_errors = report.into_node_errors();
        let outcome = if good.is_empty() {
            let error = ServerError::new(
                "prompt_outputs_failed_validation",
                "Prompt outputs failed validation",
                details.join("\n"),
                json!({}),
            );
            Outcome::Rejected { error, node_errors }
        } else {
            Outcome::Accepted {
                outputs: good,
                node_errors,
            }
        };
        let mut prompt = Cow::Borrowed(prompt);
        for (node, name, value) in std::mem::take(&mut walk.coerced) {
            prompt.to_mut()[nodes.at(node).id]["inputs"][&name] = value;
        }
        let depth = walk.depth;
        Verdict {
            outcome,
            prompt,
            depth,
        }
    }
}

/// The answer's `node_errors`, gathered output by output.
struct Report<'r, 'p> {
    nodes: &'r Nodes<'p>,
    /// The outputs that have failed.
    failed: Vec<String>,
    /// How many of the walk's results were looked at.
    seen: usize,
    node_errors: Vec<NodeErrors>,
}

impl<'r, 'p> Report<'r, 'p> {
    fn new(nodes: &'r Nodes<'p>) -> Self {
        Self {
            nodes,
            failed: Vec::new(),
            seen: 0,
            node_errors: Vec::new(),
        }
    }

    /// Takes over what is known when an output has failed. The server lists the output under
    /// every faulty node that it has seen so far, also where it does not depend on it.
    fn add(&mut self, walk: &Walk<'_, '_>, output: usize) {
        for (node, errors) in walk.faulty_from(self.seen) {
            let node = self.nodes.at(node);
            self.node_errors.push(NodeErrors {
                node_id: node.id.to_owned(),
                class_type: node.class.name().to_owned(),
                errors: errors.to_vec(),
                dependent_outputs: Dependents {
                    from: self.failed.len(),
                    ..Dependents::default()
                },
            });
        }
        self.seen = walk.results();
        self.failed.push(self.nodes.at(output).id.to_owned());
    }

    fn into_node_errors(self) -> Vec<NodeErrors> {
        let failed = Arc::new(self.failed);
        let mut node_errors = self.node_errors;
        for node in &mut node_errors {
            node.dependent_outputs.failed = failed.clone();
        }
        node_errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use rstest::rstest;

    fn picture(inputs: &Value) -> Value {
        json!({
            "1": { "class_type": "EmptyImage", "inputs": inputs },
            "2": { "class_type": "SaveImage",
                "inputs": { "images": ["1", 0], "filename_prefix": "x" } },
        })
    }

    fn sized(width: &Value) -> Value {
        picture(&json!({ "width": width, "height": 64, "batch_size": 1, "color": 0 }))
    }

    #[test]
    fn a_good_prompt_is_accepted_as_it_is() {
        let facts = NodeFacts::bundled();
        let prompt = sized(&json!(64));
        let verdict = Validator::new(&facts).receive(&prompt, None);
        let outcome = Outcome::Accepted {
            outputs: vec!["2".to_owned()],
            node_errors: vec![],
        };
        assert_eq!(
            verdict,
            Verdict {
                outcome,
                prompt: Cow::Borrowed(&prompt),
                depth: 2,
            }
        );
        assert!(matches!(verdict.prompt, Cow::Borrowed(_)));
    }

    #[test]
    fn what_the_server_rewrites_is_rewritten() {
        let facts = NodeFacts::bundled();
        let prompt = sized(&json!(" 6_4 "));
        let verdict = Validator::new(&facts).validate(&prompt, None);
        assert!(verdict.outcome.is_accepted());
        assert_eq!(*verdict.prompt, sized(&json!(64)));
    }

    #[test]
    fn a_fault_is_told_at_its_node_in_the_servers_words() {
        let facts = NodeFacts::bundled();
        let prompt = sized(&json!(0));
        let verdict = Validator::new(&facts).validate(&prompt, None);
        assert_eq!(verdict.outcome.status(), 400);
        let [node] = verdict.outcome.node_errors() else {
            panic!("{verdict:?}")
        };
        assert_eq!((&*node.node_id, &*node.class_type), ("1", "EmptyImage"));
        assert_eq!(node.dependent_outputs.ids(), ["2"]);
        assert_eq!(node.errors[0].message, "Value 0 smaller than min of 1");
        assert_eq!(node.errors[0].input_name(), Some("width"));
    }

    #[test]
    fn only_targeted_outputs_count_where_the_server_knows_targets() {
        let facts = NodeFacts::bundled();
        let prompt = sized(&json!(64));
        let targets = ["9".to_owned()];
        let status = |version: &str| {
            let validator = Validator::new(&facts).rules(Rules::of(version));
            validator.validate(&prompt, Some(&targets)).outcome.status()
        };
        assert_eq!((status("0.3.47"), status("0.3.48")), (200, 400));
    }

    #[rstest]
    #[case("0.11.0", "invalid_prompt")]
    #[case("0.12.0", "missing_node_type")]
    fn an_unknown_class_anywhere_fails_the_prompt(#[case] version: &str, #[case] kind: &str) {
        let facts = NodeFacts::bundled();
        let mut prompt = sized(&json!(64));
        prompt["3"] = json!({ "class_type": "Nope", "inputs": {} });
        let validator = Validator::new(&facts).rules(Rules::of(version));
        match validator.validate(&prompt, None).outcome {
            Outcome::Rejected { error, node_errors } => {
                assert_eq!(error.kind, kind);
                assert!(error.message.contains("Nope"), "{}", error.message);
                assert!(node_errors.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn old_servers_reject_a_cycle_without_saying_so() {
        let facts = NodeFacts::bundled();
        let prompt = json!({
            "1": { "class_type": "ImageInvert", "inputs": { "image": ["2", 0] } },
            "2": { "class_type": "ImageInvert", "inputs": { "image": ["1", 0] } },
            "3": { "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } },
        });
        let named = |version: &str| {
            let validator = Validator::new(&facts).rules(Rules::of(version));
            let outcome = validator.validate(&prompt, None).outcome;
            assert_eq!(outcome.status(), 400);
            outcome
                .node_errors()
                .iter()
                .map(|node| node.errors[0].kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(named("0.20.0"), ["dependency_cycle"; 2]);
        assert!(named("0.19.0").is_empty());
    }

    #[test]
    fn a_chain_of_ten_thousand_nodes_is_walked_to_its_end() {
        let facts = NodeFacts::bundled();
        let mut prompt = picture(&json!({}));
        for i in 10..10_010 {
            let behind = if i == 10 {
                "1".to_owned()
            } else {
                (i - 1).to_string()
            };
            prompt[i.to_string()] =
                json!({ "class_type": "ImageInvert", "inputs": { "image": [behind, 0] } });
        }
        prompt["2"]["inputs"]["images"] = json!(["10009", 0]);
        let outcome = Validator::new(&facts).validate(&prompt, None).outcome;
        let [node] = outcome.node_errors() else {
            panic!("{:?}", outcome.node_errors())
        };
        assert_eq!((&*node.node_id, node.errors.len()), ("1", 4));
    }

    /// Any JSON, links to the nodes of [`odd_prompt`] among it.
    fn odd_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
            ("[0-5]", -2_i64..4).prop_map(|(id, slot)| json!([id, slot])),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                inner
                    .clone()
                    .prop_map(|inner| json!({ "__value__": inner })),
                inner.prop_map(|inner| json!({ "class_type": inner })),
            ]
        })
    }

    /// Nodes of a few classes of all sorts, with values of all sorts in their inputs.
    fn odd_prompt() -> impl Strategy<Value = Value> {
        const CLASSES: [&str; 8] = [
            "KSampler",
            "LoadImage",
            "SaveImage",
            "BatchImagesNode",
            "ResizeImageMaskNode",
            "CustomCombo",
            "T2IAdapterLoader",
            "PreviewAny",
        ];
        const INPUTS: [&str; 10] = [
            "image",
            "images",
            "seed",
            "steps",
            "model",
            "resize_type",
            "input",
            "source",
            "images.image0",
            "choice",
        ];
        let inputs = vec((select(&INPUTS), odd_value()), 0..6)
            .prop_map(|inputs| {
                inputs
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
            })
            .prop_map(|inputs| Value::Object(inputs.collect()));
        let node = (select(&CLASSES), inputs)
            .prop_map(|(class, inputs)| json!({ "class_type": class, "inputs": inputs }));
        let node = prop_oneof![9 => node, 1 => odd_value()];
        vec(node, 1..6).prop_map(|nodes| {
            let numbered = nodes
                .into_iter()
                .enumerate()
                .map(|(i, node)| (i.to_string(), node));
            Value::Object(numbered.collect())
        })
    }

    proptest! {
        #[test]
        fn whatever_is_posted_gets_an_answer(prompt in odd_prompt()) {
            let facts = NodeFacts::bundled();
            let validator = Validator::new(&facts);
            let verdict = validator.receive(&prompt, None);
            prop_assert!([200, 400, 500].contains(&verdict.outcome.status()));
        }

        #[test]
        fn what_the_server_goes_on_with_is_accepted_as_it_is(prompt in odd_prompt()) {
            let facts = NodeFacts::bundled();
            let validator = Validator::new(&facts);
            let first = validator.validate(&prompt, None);
            if first.outcome.is_accepted() && !prompt.to_string().contains("__value__") {
                let second = validator.validate(&first.prompt, None);
                prop_assert_eq!(&second.outcome, &first.outcome);
                prop_assert_eq!(&second.prompt, &first.prompt);
            }
        }
    }
}
