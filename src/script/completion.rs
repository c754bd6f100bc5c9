//! Completing what is typed for an argument of a prompt or of a resource's address.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{CompletionSource, Generation, Host, Kind, Param, Script, Type};
use crate::comfy::nodes::NodeFacts;

/// How many values a client is shown at once, as MCP has it.
const MAX_VALUES: usize = 100;

/// How many of the newest assets are offered.
const NEWEST_ASSETS: usize = 500;

/// How like to what was typed a value has to be that neither begins with it nor contains it
/// (Jaro-Winkler; 1 is equal).
const LIKE: f64 = 0.8;

/// The values that fit what was typed, the best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// At most 100 of them.
    pub values: Vec<String>,
    /// How many there are.
    pub total: usize,
}

/// What completes `typed` as the parameter `name` of a script, given what the others are.
/// A server that does not answer offers nothing: nobody who types wants to read of an error.
pub async fn complete(
    host: &Host,
    generation: &Generation,
    script: &Script,
    name: &str,
    typed: &str,
    others: &Map<String, Value>,
) -> Completion {
    let Some(param) = script.declaration.param(name) else {
        return Completion::default();
    };
    if !param.choices.is_empty() {
        return best(typed, param.choices.iter().map(shown));
    }
    let source = param.complete.or(match param.ty {
        Type::Model => Some(CompletionSource::Models),
        _ => None,
    });
    match source {
        None if param.ty == Type::Bool => best(typed, ["true", "false"].map(str::to_owned)),
        None => Completion::default(),
        Some(source) => offered(host, generation, source, param, typed, others).await,
    }
}

async fn offered(
    host: &Host,
    generation: &Generation,
    source: CompletionSource,
    param: &Param,
    typed: &str,
    others: &Map<String, Value>,
) -> Completion {
    let names = |wanted: &dyn Fn(Kind) -> bool| {
        let scripts = generation.all().map(|served| &served.script.key);
        let names = scripts.filter(|key| wanted(key.kind));
        best(typed, names.map(|key| key.name.clone()))
    };
    let other = |name: &str| others.get(name).and_then(Value::as_str);
    match source {
        CompletionSource::Templates => names(&|kind| kind == Kind::Template),
        CompletionSource::Scripts => {
            let wanted = other("kind");
            names(&|kind| wanted.is_none_or(|wanted| wanted == kind.as_str()))
        }
        CompletionSource::Nodes => {
            let facts = host.comfy.node_facts().await;
            let facts = facts.unwrap_or_else(|_| NodeFacts::bundled());
            best(typed, facts.names().map(str::to_owned))
        }
        CompletionSource::ModelFolders => {
            let folders = host.comfy.model_folders().await;
            best(typed, folders.unwrap_or_default())
        }
        CompletionSource::Models => {
            let folder = param.folder.as_deref().or_else(|| other("folder"));
            let files = match folder {
                Some(folder) => host.comfy.models(folder).await.unwrap_or_default(),
                None => vec![],
            };
            best(typed, files)
        }
        CompletionSource::Assets => assets(host, typed).await,
    }
}

/// Ids of assets, told apart by what made them as well: nobody knows an id by heart.
async fn assets(host: &Host, typed: &str) -> Completion {
    let (assets, typed) = (Arc::clone(&host.assets), typed.to_owned());
    // The index waits for the disk, as nothing may that others wait for.
    let like = tokio::task::spawn_blocking(move || assets.ids_like(&typed, NEWEST_ASSETS));
    let ids = like.await.ok().and_then(Result::ok);
    shortened(ids.unwrap_or_default())
}

/// First what begins with what was typed, then what contains it, then what is like it; each in
/// the order in which it came.
fn best(typed: &str, candidates: impl IntoIterator<Item = String>) -> Completion {
    let sought = typed.to_lowercase();
    let rank = |candidate: &String| {
        let candidate = candidate.to_lowercase();
        if candidate.starts_with(&sought) {
            Some(0)
        } else if candidate.contains(&sought) {
            Some(1)
        } else {
            (strsim::jaro_winkler(&sought, &candidate) >= LIKE).then_some(2)
        }
    };
    let ranked = candidates.into_iter();
    let mut ranked: Vec<(i32, String)> = ranked
        .filter_map(|candidate| Some((rank(&candidate)?, candidate)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    shortened(ranked.into_iter().map(|(_, value)| value).collect())
}

fn shortened(mut values: Vec<String>) -> Completion {
    let total = values.len();
    values.truncate(MAX_VALUES);
    Completion { values, total }
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(typed: &str, candidates: &[&str]) -> Vec<String> {
        best(typed, candidates.iter().map(|it| (*it).to_owned())).values
    }

    #[test]
    fn what_begins_with_what_was_typed_comes_first() {
        let classes = [
            "SetLatentNoiseMask",
            "LatentUpscale",
            "KSampler",
            "latentBlend",
        ];
        assert_eq!(
            values("latent", &classes),
            ["LatentUpscale", "latentBlend", "SetLatentNoiseMask"]
        );
    }

    #[test]
    fn a_slip_of_the_finger_still_finds_it() {
        assert_eq!(values("KSmapler", &["KSampler", "VAEDecode"]), ["KSampler"]);
    }

    #[test]
    fn nothing_typed_offers_everything_up_to_the_limit() {
        let many: Vec<String> = (0..150).map(|n| format!("n{n}")).collect();
        let completion = best("", many);
        assert_eq!((completion.values.len(), completion.total), (100, 150));
    }
}
