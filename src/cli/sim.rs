//! `mmf sim`: the simulator as a server of its own.

use std::sync::Arc;

use super::args::{Global, SimArgs};
use super::{Ended, Stopped, report, start};
use crate::comfy::nodes::Snapshot;
use crate::failure::{Code, Failure};
use crate::sim::{Sim, SimOptions};

pub(super) async fn sim(global: &Global, args: SimArgs) -> Result<Ended, Stopped> {
    let mut options = SimOptions {
        listen: args.listen,
        data: args.dir,
        ..start::simulator(global)
    };
    if let Some(file) = args.nodes {
        let snapshot = Snapshot::read(&file)?;
        options.version = snapshot.comfyui_version;
        options.facts = Some(Arc::new(snapshot.facts));
    }
    let simulator = Sim::start(options).await?;
    report::line(simulator.url());
    report::note("a simulated ComfyUI listens there; Ctrl-C stops it");
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::new(Code::INTERNAL_ERROR, error.to_string()))?;
    simulator.shutdown().await;
    Ok(Ended::Well)
}
