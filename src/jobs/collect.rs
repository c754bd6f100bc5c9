//! Fetching what a job made and keeping it with its provenance.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::prompt_text::prompt_text;
use super::{JobError, KeptOutput, Origin};
use crate::assets::{Asset, Assets, FolderType, Kind, NewAsset, ServerRef};
use crate::comfy::{Comfy, Folder, Outcome, Output, OutputBody, OutputFile, OutputKind, Workflow};
use crate::failure::Failure;

/// How many outputs of one job are fetched at a time.
const AT_A_TIME: usize = 4;

/// Keeps every output of a job. An output that can't be fetched is reported as such and sinks
/// none of the others.
pub(super) async fn collect(
    comfy: &Comfy,
    assets: &Arc<Assets>,
    outcome: &Outcome,
) -> Vec<KeptOutput> {
    if outcome.outputs.is_empty() {
        return vec![];
    }
    let template = description(comfy, outcome).await;
    stream::iter(outcome.outputs.clone())
        .map(|output| async {
            let kept = keep(comfy, assets, &template, &output).await;
            KeptOutput {
                output,
                kept: kept.map_err(Failure::from),
            }
        })
        .buffered(AT_A_TIME)
        .collect()
        .await
}

/// What all outputs of a job have in common.
async fn description(comfy: &Comfy, outcome: &Outcome) -> NewAsset {
    let origin = Origin::read(&outcome.extra_data);
    let workflow = Workflow::from_json(outcome.prompt.clone()).ok();
    let declared = ["PROMPT", "prompt"]
        .iter()
        .find_map(|name| origin.parameters.get(*name)?.as_str());
    let found = declared.or_else(|| prompt_text(workflow.as_ref()?));
    let version = comfy.version().await.ok().flatten();
    NewAsset {
        prompt_id: Some(outcome.prompt_id.clone()),
        prompt: found.unwrap_or_default().to_owned(),
        session_id: origin.session,
        workflow: workflow.map(|workflow| Arc::new(workflow.into_json())),
        script: origin.script,
        parameters: origin.parameters,
        server: Some(ServerRef {
            url: comfy.server().to_string(),
            version: version.map(|version| version.to_string()),
        }),
        regenerated_from: origin.regenerated_from,
        ..NewAsset::default()
    }
}

async fn keep(
    comfy: &Comfy,
    assets: &Arc<Assets>,
    template: &NewAsset,
    output: &Output,
) -> Result<Asset, JobError> {
    let new = NewAsset {
        node_id: Some(output.node_id.clone()),
        kind: Some(kind(output.kind)),
        ..template.clone()
    };
    match &output.body {
        OutputBody::Text(text) => keep_text(assets, new, text).await,
        OutputBody::File(file) => keep_file(comfy, assets, new, file).await,
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
    let bytes = download.bytes().await?;
    blocking(assets, move |assets| assets.keep(new, &bytes)).await
}

async fn blocking<T: Send + 'static>(
    assets: &Arc<Assets>,
    work: impl FnOnce(&Assets) -> Result<T, crate::assets::AssetError> + Send + 'static,
) -> Result<T, JobError> {
    let assets = assets.clone();
    let done = tokio::task::spawn_blocking(move || work(&assets)).await;
    match done {
        Ok(result) => Ok(result?),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
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
