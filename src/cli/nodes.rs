//! `mmf nodes`: facts about a server's node classes.

use std::path::PathBuf;

use super::args::{Global, NodesCommand};
use super::{Ended, Stopped, report, start};
use crate::comfy::nodes::{NodeFacts, Snapshot};

pub(super) async fn nodes(global: &Global, command: NodesCommand) -> Result<Ended, Stopped> {
    let NodesCommand::Snapshot { file } = command;
    let app = start::app(global, false).await?;
    let host = app.host();
    let version = host
        .comfy
        .version()
        .await?
        .map_or_else(|| "unknown".to_owned(), |version| version.to_string());
    let facts = host.comfy.refresh_node_facts().await?;
    let file = file.unwrap_or_else(|| PathBuf::from(format!("nodes-{version}.json.gz")));
    let classes = facts.len();
    let snapshot = Snapshot {
        comfyui_version: version,
        taken_at: host.clock.now(),
        url: Some(host.comfy.server().to_string()),
        facts: NodeFacts::clone(&facts),
    };
    snapshot.write(&file)?;
    report::line(file.display());
    report::note(format_args!("{classes} node classes recorded"));
    Ok(Ended::Well)
}
