//! What a template is given on the server at hand. Templates see parameters alone; before they are
//! built, media are handed over and model files get the names under which that server has them.
//!
//! A file is taken as it is there: under its name, else in another folder or spelling. One that nobody
//! asked for, because it is a parameter's default, may also be the same model in another precision. A
//! file that the caller named is never exchanged for that: it is missing then, and what comes near it is
//! told. Without a server all names stay as they are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{Declaration, Generation, Host, NodePack, Reply, Type, hand_over};
use crate::comfy::model_name::{Installed, installed, is_model_file};
use crate::comfy::{ACCOUNT_HELP, Comfy, ComfyError, MissingModel, Workflow};
use crate::failure::{Code, Failure};

/// How long a server that is there but slow is waited for: its word is only a further one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A model file that another one stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The parameter.
    pub param: String,
    /// The file that it names.
    pub file: String,
    /// The one that is there.
    pub taken: String,
}

impl fmt::Display for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { param, file, taken } = self;
        write!(f, "{param}: {taken} stands for {file}, which is not there")
    }
}

/// Hands media over and names model files as the server does; tells how many bytes of media that were.
/// `named` are the parameters that the caller gave a value.
pub(crate) async fn arrange(
    host: &Host,
    declaration: &Declaration,
    named: &BTreeSet<String>,
    arguments: &mut Map<String, Value>,
) -> Result<(Vec<Exchanged>, u64), Failure> {
    let bytes = hand_over(host, declaration, arguments).await?;
    let exchanged = name_models(&host.comfy, declaration, named, arguments).await;
    Ok((exchanged, bytes))
}

/// Names model files as the server does; media stay as they are.
pub(crate) async fn name_models(
    comfy: &Comfy,
    declaration: &Declaration,
    named: &BTreeSet<String>,
    arguments: &mut Map<String, Value>,
) -> Vec<Exchanged> {
    let resolving = resolve(comfy, declaration, named, arguments);
    match timeout(PATIENCE, resolving).await {
        Ok(Ok(exchanged)) => {
            for one in &exchanged {
                arguments.insert(one.param.clone(), one.taken.as_str().into());
            }
            exchanged
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "which model files are there can't be told");
            vec![]
        }
        Err(_) => vec![],
    }
}

/// The parameters that have a value.
pub(crate) fn named(given: &Map<String, Value>) -> BTreeSet<String> {
    let given = given.iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, _)| name.clone()).collect()
}

async fn resolve(
    comfy: &Comfy,
    declaration: &Declaration,
    named: &BTreeSet<String>,
    arguments: &Map<String, Value>,
) -> Result<Vec<Exchanged>, ComfyError> {
    let mut exchanged = vec![];
    let params = declaration.params.iter();
    for param in params.filter(|param| param.ty == Type::Model) {
        let file = arguments.get(&param.name).and_then(Value::as_str);
        let (Some(file), Some(folder)) = (file, param.folder.as_deref()) else {
            continue;
        };
        // What loaders offer beside files, such as `taesd3`, has no ending.
        if !is_model_file(file) || comfy.is_known_to_offer(folder, file) {
            continue;
        }
        let Some(files) = comfy.listing(folder).await? else {
            continue;
        };
        let taken = match installed(file, &files) {
            Some(Installed::As(taken)) => taken,
            Some(Installed::InOtherPrecision(taken)) if !named.contains(&param.name) => taken,
            _ => continue,
        };
        exchanged.push(Exchanged {
            param: param.name.clone(),
            file: file.to_owned(),
            taken: taken.to_owned(),
        });
    }
    Ok(exchanged)
}

/// What of the files that a run builds with were exchanged, each once, to be told in its answer.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Mutex<Vec<Exchanged>>);

impl Exchanges {
    pub(super) fn note(&self, exchanged: Vec<Exchanged>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in exchanged {
            if !noted.contains(&one) {
                noted.push(one);
            }
        }
    }

    /// Tells them in an answer that has names.
    pub(super) fn tell(&self, reply: &mut Reply) {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !noted.is_empty()
            && let Value::Object(value) = &mut reply.value
        {
            value.insert("exchanged_models".to_owned(), json!(*noted));
        }
    }
}

/// What a server lacks to run a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lacking {
    /// The model files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_models: Vec<MissingModel>,
    /// The packs of custom nodes, with the classes that are not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_packs: Vec<NodePack>,
    /// What else will go wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Lacking {
    /// That something can't be run without it; nothing if it can.
    pub(crate) fn failure(&self, of: &str) -> Option<Failure> {
        let files = self
            .missing_models
            .iter()
            .map(|missing| missing.file.clone());
        let packs = self.missing_packs.iter().map(|pack| pack.pack.clone());
        let lacks: Vec<String> = files.chain(packs).collect();
        if lacks.is_empty() {
            return None;
        }
        let files = self.missing_models.iter().map(MissingModel::advice);
        let advice: Vec<String> = files
            .chain(self.missing_packs.iter().map(NodePack::advice))
            .collect();
        let message = format!("{of} can't run: the server lacks {}", lacks.join(", "));
        let mut failure = Failure::new(Code::VALIDATION_ERROR, message).hint(advice.join("; "));
        if !self.missing_models.is_empty() {
            failure = failure.detail("missing_models", json!(self.missing_models));
        }
        if !self.missing_packs.is_empty() {
            failure = failure.detail("missing_packs", json!(self.missing_packs));
        }
        Some(failure)
    }
}

/// What the server at hand lacks for a workflow; nothing is known to be lacking where none is.
pub(crate) async fn lacking(
    comfy: &Comfy,
    generation: &Generation,
    workflow: &Workflow,
) -> Lacking {
    let asking = async {
        let mut missing_models = comfy.missing_models(workflow).await?;
        generation.knowledge().locate(&mut missing_models);
        let missing_packs = missing_packs(comfy, generation.packs(), workflow).await?;
        Ok::<_, ComfyError>(Lacking {
            missing_models,
            missing_packs,
            warnings: account(comfy, workflow).into_iter().collect(),
        })
    };
    let known = timeout(PATIENCE, asking).await;
    known.ok().and_then(Result::ok).unwrap_or_default()
}

async fn missing_packs(
    comfy: &Comfy,
    packs: Vec<NodePack>,
    workflow: &Workflow,
) -> Result<Vec<NodePack>, ComfyError> {
    let used: BTreeSet<&str> = workflow.nodes().filter_map(|it| it.class_type()).collect();
    let mut missing: Vec<NodePack> = vec![];
    for mut pack in packs {
        pack.nodes.retain(|class| used.contains(class.as_str()));
        let there = comfy.those_there(&pack.nodes).await?;
        pack.nodes.retain(|class| !there.contains(class));
        if !pack.nodes.is_empty() && !missing.contains(&pack) {
            missing.push(pack);
        }
    }
    Ok(missing)
}

/// What is to be said of a workflow that somebody has to pay for.
fn account(comfy: &Comfy, workflow: &Workflow) -> Option<String> {
    if comfy.server().account_key().is_some() {
        return None;
    }
    let class = comfy.partner_class(workflow)?;
    Some(format!(
        "{class} runs elsewhere, for credits, and needs an account: {ACCOUNT_HELP}"
    ))
}
