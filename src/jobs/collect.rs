//! Fetching what a job made and keeping it with its provenance.
//!
//! That begins as soon as a node reports something, while the job goes on: at its end the server
//! may be busy for long, and a file that is gone by then (a wiped temp folder, a server that died
//! halfway) is safe already. Keeping is idempotent, so nothing is lost by coming twice.
//!
//! The workflow that an asset remembers is the one that was submitted, because no other is known
//! while the job runs. Only for jobs that another process submitted it is the one in the history,
//! where the server has made its small corrections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::prompt_text::prompt_text;
use super::{JobError, KeptOutput, Origin};
use crate::assets::{Asset, Assets, FolderType, Kind, NewAsset, ServerRef};
use crate::comfy::{
    Comfy, ComfyError, End, Folder, Outcome, Output, OutputBody, OutputFile, OutputKind,
    Submission, Workflow,
};
use crate::failure::{Code, Failure};

/// How many outputs of one job are fetched at a time.
const AT_A_TIME: usize = 4;

/// How long the outputs of a job that ended well wait for a server that is away: it may be
/// restarted, and has the files when it is back.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Between two looks whether it is back.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keeps the outputs of one job.
pub(super) struct Collector {
    keeper: Keeper,
    under_way: Vec<(Output, JoinHandle<Result<Asset, JobError>>)>,
}

/// What it takes to keep one of them.
#[derive(Clone)]
struct Keeper {
    comfy: Comfy,
    assets: Arc<Assets>,
    /// What all outputs of the job have in common.
    template: Arc<NewAsset>,
    places: Arc<Semaphore>,
}

impl Collector {
    /// Keeps the outputs of the job that was submitted as this.
    pub(super) async fn new(
        comfy: &Comfy,
        assets: &Arc<Assets>,
        prompt_id: &str,
        submission: Submission,
    ) -> Self {
        // Large workflows take time to read.
        let id = prompt_id.to_owned();
        let read = tokio::task::spawn_blocking(move || template(&id, submission)).await;
        let template = read.unwrap_or_else(|error| {
            tracing::warn!("what {prompt_id} was can't be told: {error}");
            NewAsset {
                prompt_id: Some(prompt_id.to_owned()),
                ..NewAsset::default()
            }
        });
        let keeper = Keeper {
            comfy: comfy.clone(),
            assets: assets.clone(),
            template: Arc::new(template),
            places: Arc::new(Semaphore::new(AT_A_TIME)),
        };
        Self {
            keeper,
            under_way: Vec::new(),
        }
    }

    /// Begins to keep those of these outputs that are not being kept yet.
    pub(super) fn begin(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            if !self.under_way.iter().any(|(known, _)| *known == output) {
                let (keeper, wanted) = (self.keeper.clone(), output.clone());
                let task = tokio::spawn(async move { keeper.keep(&wanted).await });
                self.under_way.push((output, task));
            }
        }
    }

    /// Waits for every output to be kept: those of the outcome in its order, then those that nodes
    /// reported and the outcome does not list, because the server died or forgot. An output that
    /// can't be fetched is reported as such and sinks none of the others. The error is the one with
    /// which the server stayed away.
    pub(super) async fn finish(mut self, outcome: &Outcome) -> Result<Collected, ComfyError> {
        let early = self.under_way.len();
        self.begin(outcome.outputs.iter().cloned());
        let mut all = Vec::new();
        let mut went_away = false;
        for (index, (output, task)) in self.under_way.into_iter().enumerate() {
            let mut kept = joined(task).await;
            let is_away = outage(&kept).is_some() && outcome.end == End::Success;
            if is_away {
                went_away = true;
                kept = self.keeper.keep_when_back(&output).await;
                if let Some(error) = outage(&kept) {
                    return Err(error.clone());
                }
            } else if kept.is_err() && index < early {
                // The server may have been busy.
                kept = self.keeper.keep(&output).await;
            }
            let kept = kept.map_err(Failure::from);
            all.push(KeptOutput { output, kept });
        }
        let listed = |kept: &KeptOutput| {
            let mut outputs = outcome.outputs.iter();
            outputs.position(|output| *output == kept.output)
        };
        all.retain(|kept| kept.kept.is_ok() || listed(kept).is_some());
        all.sort_by_key(|kept| listed(kept).unwrap_or(usize::MAX));
        Ok(Collected {
            outputs: all,
            went_away,
        })
    }
}

/// What was kept of a job.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) outputs: Vec<KeptOutput>,
    /// Whether the server was away meanwhile.
    pub(super) went_away: bool,
}

impl Collected {
    /// Whether something is not there any more: a server that is restarted wipes its temp folder.
    pub(super) fn misses_something(&self) -> bool {
        let mut kept = self.outputs.iter().map(|output| &output.kept);
        kept.any(|kept| matches!(kept, Err(failure) if failure.code == Code::NOT_FOUND))
    }
}

fn outage(kept: &Result<Asset, JobError>) -> Option<&ComfyError> {
    match kept {
        Err(JobError::Comfy(error)) if error.is_outage() => Some(error),
        _ => None,
    }
}

/// What all outputs of a job have in common.
fn template(prompt_id: &str, submission: Submission) -> NewAsset {
    let origin = Origin::read(&submission.extra_data);
    let workflow = Workflow::from_json(submission.prompt).ok();
    let declared = ["PROMPT", "prompt"]
        .iter()
        .find_map(|name| origin.parameters.get(*name)?.as_str());
    // A script knows best what it was asked to show, a workflow that was changed shows what it says.
    let declared = declared.filter(|_| origin.script.is_some());
    let found = declared
        .map(str::to_owned)
        .or_else(|| prompt_text(workflow.as_ref()?));
    NewAsset {
        prompt_id: Some(prompt_id.to_owned()),
        prompt: found.unwrap_or_default(),
        session_id: origin.session,
        workflow: workflow.map(|workflow| Arc::new(workflow.into_json())),
        script: origin.script,
        parameters: origin.parameters,
        regenerated_from: origin.regenerated_from,
        made_from: origin.made_from,
        ..NewAsset::default()
    }
}

/// How long an output waits for the server to say its version: it is kept without one rather than
/// late.
const VERSION_LIMIT: Duration = Duration::from_secs(2);

impl Keeper {
    /// The same once the server is there, for as long as its outputs wait for it.
    async fn keep_when_back(&self, output: &Output) -> Result<Asset, JobError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let kept = self.keep(output).await;
            if outage(&kept).is_none() || Instant::now() >= deadline {
                return kept;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn keep(&self, output: &Output) -> Result<Asset, JobError> {
        // The semaphore is never closed; without a place there is only more haste.
        let _place = self.places.acquire().await.ok();
        let Self { comfy, assets, .. } = self;
        let version = timeout(VERSION_LIMIT, comfy.version()).await;
        let version = version.ok().and_then(Result::ok).flatten();
        let new = NewAsset {
            node_id: Some(output.node_id.clone()),
            kind: Some(kind(output.kind)),
            server: Some(ServerRef {
                url: comfy.server().to_string(),
                version: version.map(|version| version.to_string()),
            }),
            ..(*self.template).clone()
        };
        match &output.body {
            OutputBody::Text(text) => keep_text(assets, new, text).await,
            OutputBody::File(file) => keep_file(comfy, assets, new, file).await,
        }
    }
}

async fn joined<T>(task: JoinHandle<Result<T, JobError>>) -> Result<T, JobError> {
    match task.await {
        Ok(result) => result,
        Err(failed) if failed.is_panic() => Err(JobError::Broken(failed.to_string())),
        // The runtime shuts down.
        Err(_) => Err(JobError::Cancelled),
    }
}

async fn keep_text(assets: &Arc<Assets>, new: NewAsset, text: &str) -> Result<Asset, JobError> {
    let node = new.node_id.clone().unwrap_or_default();
    let new = NewAsset {
        // Several texts of one node are told apart by their contents.
        filename: format!(
            "text-{}-{}.txt",
            node.replace([':', '.'], "_"),
            &blake3::hash(text.as_bytes()).to_hex()[..8]
        ),
        folder_type: FolderType::Temp,
        mime_type: Some("text/plain".to_owned()),
        ..new
    };
    let text = text.to_owned();
    blocking(assets, move |assets| assets.keep(new, text.as_bytes())).await
}

async fn keep_file(
    comfy: &Comfy,
    assets: &Arc<Assets>,
    new: NewAsset,
    file: &OutputFile,
) -> Result<Asset, JobError> {
    let download = comfy.view(file).await?;
    let new = NewAsset {
        filename: file.filename.clone(),
        subfolder: file.subfolder.clone(),
        folder_type: folder(file.folder),
        ..new
    };
    let assets = assets.clone();
    let kept = download.read_with(move |reader| assets.keep_reader(new, reader));
    Ok(kept.await??)
}

async fn blocking<T: Send + 'static>(
    assets: &Arc<Assets>,
    work: impl FnOnce(&Assets) -> Result<T, crate::assets::AssetError> + Send + 'static,
) -> Result<T, JobError> {
    let assets = assets.clone();
    joined(tokio::task::spawn_blocking(move || Ok(work(&assets)?))).await
}

fn kind(kind: OutputKind) -> Kind {
    match kind {
        OutputKind::Image => Kind::Images,
        OutputKind::Video => Kind::Video,
        OutputKind::Audio => Kind::Audio,
        OutputKind::ThreeD => Kind::ThreeD,
        OutputKind::Text => Kind::Text,
        OutputKind::File => Kind::File,
    }
}

fn folder(folder: Folder) -> FolderType {
    match folder {
        Folder::Output => FolderType::Output,
        Folder::Input => FolderType::Input,
        Folder::Temp => FolderType::Temp,
    }
}
