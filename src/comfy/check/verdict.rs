//! The server's verdict as tools answer it.

use semver::Version;
use serde_json::{Value, json};

use crate::comfy::nodes::NodeFacts;
use crate::comfy::validate::{Outcome, Rules, Validator};
use crate::comfy::{MissingModel, Workflow};

/// `{valid, errors, node_errors, node_count}`: what a server of that version would say, with each
/// error as a sentence.
#[must_use]
pub fn verdict(facts: &NodeFacts, version: Option<&Version>, workflow: &Workflow) -> Value {
    let mut validator = Validator::new(facts);
    if let Some(version) = version {
        validator = validator.rules(Rules::of(&version.to_string()));
    }
    let node_count = workflow.len();
    let mut errors: Vec<String> = unknown_classes(facts, workflow);
    let prompt = workflow.clone().into_json();
    let outcome = validator.receive(&prompt, None).outcome;
    let answer = outcome.to_json();
    for node in outcome.node_errors() {
        let place = format!("node {} ({})", node.node_id, node.class_type);
        let sentences = node
            .errors
            .iter()
            .map(|error| format!("{place}: {}: {}", error.message, error.details));
        errors.extend(sentences);
    }
    if errors.is_empty()
        && let Some(message) = answer["error"]["message"].as_str()
    {
        errors.push(message.to_owned());
    }
    if let Outcome::Raised(exception) = &outcome {
        errors.push(format!(
            "the server stumbles over it: {}",
            exception.message
        ));
    }
    let mut verdict = json!({
        "valid": outcome.is_accepted() && errors.is_empty(),
        "errors": errors,
        "node_errors": answer["node_errors"],
        "node_count": node_count,
    });
    let missing = MissingModel::among(&answer["node_errors"], &[facts.clone().into()]);
    if !missing.is_empty() {
        verdict["missing_models"] = json!(missing);
    }
    verdict
}

/// The server stops at the first; people want to hear of all.
fn unknown_classes(facts: &NodeFacts, workflow: &Workflow) -> Vec<String> {
    let mut named = vec![];
    for node in workflow.nodes() {
        let Some(class) = node.class_type() else {
            named.push(format!("Node {} has no class_type", node.id));
            continue;
        };
        let known =
            facts.class(class).is_some() || crate::comfy::validate::replacement(class).is_some();
        let sentence = format!("Node type '{class}' not found");
        if !known && !named.contains(&sentence) {
            named.push(sentence);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unknown_class_is_named_in_the_originals_words() {
        let workflow = Workflow::from_json(json!({
            "1": { "class_type": "NonExistentNode", "inputs": {} },
            "2": { "class_type": "AnotherOne", "inputs": {} },
        }))
        .unwrap();
        let verdict = verdict(&NodeFacts::bundled(), None, &workflow);
        assert_eq!(verdict["valid"], false);
        assert_eq!(
            verdict["errors"],
            json!([
                "Node type 'NonExistentNode' not found",
                "Node type 'AnotherOne' not found"
            ])
        );
        assert_eq!(verdict["node_count"], 2);
    }
}
