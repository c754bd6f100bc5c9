//! `nodes::`: what node classes there are, and what each takes and gives.
//!
//! The connected server tells. While it can't be reached, the classes of `ComfyUI` itself are
//! known all the same, and the answer names them as its source.

use std::sync::Arc;

use rhai::plugin::{Dynamic, EvalAltResult, NativeCallContext, export_module};
use rhai::{INT, exported_module};
use serde_json::{Map, Value, json};

use super::{SharedModule, indexed};
use crate::comfy::nodes::{BUNDLED_VERSION, Found, NodeClass, NodeFacts};
use crate::failure::{Code, Failure};
use crate::script::host::{Context, answer, thrown};

/// How many classes are named instead of one that does not exist.
const NEAREST: usize = 5;

pub(super) fn module() -> SharedModule {
    indexed(exported_module!(functions))
}

#[export_module]
mod functions {
    type Fallible<T> = Result<T, Box<EvalAltResult>>;

    /// The node classes that some words mean, the likeliest first: `#{ query, matches, total }`;
    /// with `source` if the server could not be asked.
    /// Throws nothing: without a server the node classes of this program count.
    /// Example: `nodes::search("upscale image", 5).matches`
    #[rhai_fn(return_raw)]
    pub fn search(call: NativeCallContext, query: &str, limit: INT) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let known = super::Known::of(&context)?;
        let limit = usize::try_from(limit).unwrap_or(0);
        let found = known.facts.search(query, limit);
        answer(known.sourced(super::describe(query, &found)))
    }

    /// What a node class takes and gives. Long lists of choices are cut unless it is to be `full`.
    /// Throws `NOT_FOUND`, with what is like it.
    /// Example: `nodes::info("KSampler", false).inputs`
    #[rhai_fn(return_raw)]
    pub fn info(call: NativeCallContext, name: &str, full: bool) -> Fallible<Dynamic> {
        let context = Context::of(&call);
        let known = super::Known::of(&context)?;
        match known.facts.class(name).map(|class| class.details(full)) {
            Some(Value::Object(details)) => answer(known.sourced(details)),
            _ => Err(thrown(super::unknown(&known.facts, name))),
        }
    }
}

/// The facts at hand, and where they are from unless the server told them.
pub(super) struct Known {
    pub(super) facts: Arc<NodeFacts>,
    pub(super) source: Option<String>,
}

impl Known {
    /// Asks the server, and falls back on what is part of this program if it is away.
    pub(super) fn of(context: &Context) -> Result<Self, Box<EvalAltResult>> {
        let comfy = &context.host.comfy;
        let asked = async {
            Ok::<_, Failure>(match comfy.node_facts().await {
                Err(error) if error.is_outage() => Err(error),
                other => Ok(other?),
            })
        };
        Ok(match context.wait(asked)? {
            Ok(facts) => Self {
                facts,
                source: None,
            },
            Err(away) => Self {
                facts: NodeFacts::bundled(),
                source: Some(format!(
                    "ComfyUI {BUNDLED_VERSION} without custom nodes and models, because {away}"
                )),
            },
        })
    }

    fn sourced(&self, mut answer: Map<String, Value>) -> Map<String, Value> {
        if let Some(source) = &self.source {
            answer.insert("source".to_owned(), source.as_str().into());
        }
        answer
    }
}

fn describe(query: &str, found: &Found<&NodeClass>) -> Map<String, Value> {
    let matches: Vec<Value> = found.hits.iter().map(|class| class.brief()).collect();
    let mut told = Map::new();
    told.insert("query".to_owned(), query.into());
    told.insert("matches".to_owned(), matches.into());
    told.insert("total".to_owned(), found.total.into());
    if !found.corrected.is_empty() {
        let corrected: Map<String, Value> = found
            .corrected
            .iter()
            .map(|(word, meant)| (word.clone(), meant.as_str().into()))
            .collect();
        told.insert("corrected".to_owned(), corrected.into());
    }
    if found.total == 0 {
        told.insert(
            "hint".to_owned(),
            "nothing fits: use fewer or other words, such as \"upscale\" or \"save video\"".into(),
        );
    } else if !found.all_words {
        told.insert("hint".to_owned(), "no node fits all words".into());
    }
    told
}

fn unknown(facts: &NodeFacts, name: &str) -> Failure {
    let found = facts.search(name, NEAREST);
    let mut nearest: Vec<&str> = facts.nearest(name).into_iter().collect();
    let others = found.hits.iter().map(|class| class.name());
    nearest.extend(others.filter(|other| facts.nearest(name) != Some(*other)));
    nearest.truncate(NEAREST);
    let hint = match nearest.first() {
        Some(first) => format!("did you mean {first}? search_nodes finds more"),
        None => "search_nodes finds nodes by what they do".to_owned(),
    };
    Failure::new(Code::NOT_FOUND, format!("no node type \"{name}\""))
        .hint(hint)
        .detail("nearest", json!(nearest))
}
