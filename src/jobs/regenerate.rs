//! Making an asset again: by the parameters of the script that built its workflow, and what is
//! noted as the parameters of a variation.

use serde_json::{Map, Value};

use crate::assets::{Asset, AssetError, Assets, ScriptRef};
use crate::comfy::Workflow;
use crate::comfy::anatomy::{Anatomy, Role};
use crate::comfy::nodes::NodeFacts;

/// How many variations of variations are followed back to a script.
const DEPTH: usize = 256;

/// What templates call their parameters beside the names of the roles.
const PARAMETERS: [(Role, &[&str]); 7] = [
    (Role::Prompt, &["TEXT"]),
    (Role::Cfg, &["GUIDANCE"]),
    (Role::Guidance, &["CFG"]),
    (Role::Denoise, &["STRENGTH"]),
    (Role::Model, &["UNET", "DIFFUSION_MODEL"]),
    (Role::Sampler, &["SAMPLER"]),
    (Role::Image, &["INPUT_IMAGE"]),
];

/// The script behind an asset, with what it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// The script.
    pub script: ScriptRef,
    /// What it was given, with what later variations changed of it.
    pub parameters: Map<String, Value>,
}

/// Finds the script that built the workflow of an asset, or of the asset that it varies.
pub fn script_behind(assets: &Assets, asset: &Asset) -> Result<Option<Behind>, AssetError> {
    let parameters = asset.provenance.parameters.clone();
    let mut at = asset.clone();
    for _ in 0..DEPTH {
        if let Some(script) = at.provenance.script {
            return Ok(Some(Behind { script, parameters }));
        }
        let Some(before) = at.provenance.regenerated_from else {
            return Ok(None);
        };
        at = match assets.get_even_expired(&before) {
            Ok(asset) => asset,
            Err(AssetError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
    }
    Ok(None)
}

/// The parameter that a caller means by a name, among those that there are.
#[must_use]
pub fn parameter<'a>(
    name: &str,
    known: &(impl Iterator<Item = &'a str> + Clone),
) -> Option<&'a str> {
    let called = |wanted: &str| known.clone().find(|own| own.eq_ignore_ascii_case(wanted));
    called(name).or_else(|| {
        let role = Role::named(name)?;
        let more = PARAMETERS.iter().filter(|(of, _)| *of == role);
        role.names()
            .chain(more.flat_map(|(_, names)| names.iter().copied()))
            .find_map(called)
    })
}

/// What was wanted of a workflow as it runs now: with the seed that was drawn, and with values as
/// their nodes take them. What means that something stays as it was is left out.
#[must_use]
pub fn as_run(
    workflow: &Workflow,
    facts: &NodeFacts,
    wanted: &Map<String, Value>,
) -> Map<String, Value> {
    let anatomy = Anatomy::of(workflow, facts);
    let changes = wanted.iter().filter(|(name, value)| {
        let is_seed = Role::named(name) == Some(Role::Seed);
        !is_seed && !value.is_null() || is_seed && value.as_i64() != Some(-1)
    });
    let ran = |name: &str| {
        exactly(workflow, name)
            .or_else(|| anatomy.value(Role::named(name)?))
            .or_else(|| anywhere(workflow, name))
    };
    changes
        .map(|(name, value)| (name.clone(), ran(name).unwrap_or(value).clone()))
        .collect()
}

/// The value at `node_id.input`; both may have dots.
fn exactly<'a>(workflow: &'a Workflow, path: &str) -> Option<&'a Value> {
    let mut dots = path.match_indices('.');
    dots.find_map(|(at, _)| workflow.node(&path[..at])?.inputs()?.get(&path[at + 1..]))
}

/// The value of the first input of this name that isn't a link.
fn anywhere<'a>(workflow: &'a Workflow, input: &str) -> Option<&'a Value> {
    let values = workflow
        .nodes()
        .filter_map(|node| node.inputs()?.get(input));
    values.into_iter().find(|value| !value.is_array())
}

/// The parameters of a variation: those of what is varied, with what was changed. A name that is
/// new among them is noted in capitals if it means something in any workflow, else as it is.
#[must_use]
pub fn varied(before: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let mut after = before.clone();
    for (name, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
        let known = parameter(name, &before.keys().map(String::as_str));
        let name = match (known, Role::named(name)) {
            (Some(known), _) => known.to_owned(),
            (None, Some(_)) => name.to_uppercase(),
            (None, None) => name.clone(),
        };
        after.insert(name, value.clone());
    }
    after
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::assets::{AssetOptions, NewAsset};
    use crate::clock::Clock;
    use crate::ids::Ids;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn what_a_caller_says_finds_the_parameter_of_a_template() {
        let known = ["PROMPT", "NEGATIVE", "SEED", "GUIDANCE", "IMAGE_PATH"];
        let found = |name| parameter(name, &known.iter().copied());
        assert_eq!(found("prompt"), Some("PROMPT"));
        assert_eq!(found("negative_prompt"), Some("NEGATIVE"));
        assert_eq!(found("cfg"), Some("GUIDANCE"));
        assert_eq!(found("image"), Some("IMAGE_PATH"));
        assert_eq!(found("width"), None);
    }

    #[test]
    fn the_script_is_found_behind_an_asset_whose_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed("2026-11-22T10:00:00Z".parse().unwrap());
        let options = AssetOptions {
            ttl: Some(Duration::from_secs(60)),
            ..AssetOptions::default()
        };
        let assets = Assets::open(dir.path(), options, clock.clone(), Ids::default()).unwrap();
        let script = ScriptRef {
            name: "flux".to_owned(),
            kind: "template".to_owned(),
            hash: "h".to_owned(),
            origin: "builtin".to_owned(),
        };
        let first = NewAsset {
            script: Some(script.clone()),
            ..NewAsset::default()
        };
        let first = assets.keep(first, b"first").unwrap();
        let varied = NewAsset {
            regenerated_from: Some(first.asset_id),
            pinned: true,
            ..NewAsset::default()
        };
        let varied = assets.keep(varied, b"varied").unwrap();
        clock.advance(Duration::from_secs(61));

        let behind = script_behind(&assets, &varied).unwrap();

        assert_eq!(behind.unwrap().script, script);
    }

    #[test]
    fn a_variation_notes_what_changed_under_the_names_it_had() {
        let before = map(json!({ "PROMPT": "a fox", "NEGATIVE": "", "SEED": 1 }));
        let wanted =
            map(json!({ "negative_prompt": "blur", "cfg": 4.5, "9.strength": 1, "width": null }));
        assert_eq!(
            Value::from(varied(&before, &wanted)),
            json!({ "PROMPT": "a fox", "NEGATIVE": "blur", "SEED": 1, "CFG": 4.5, "9.strength": 1 })
        );
    }
}
