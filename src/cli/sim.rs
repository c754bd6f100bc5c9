//! `mmf sim`: the simulator as a server of its own.

use super::args::{Global, SimArgs};
use super::{Ended, Stopped, report};
use crate::failure::{Code, Failure};
use crate::sim::{Faults, Sim, SimOptions};

pub(super) async fn sim(_global: &Global, args: SimArgs) -> Result<Ended, Stopped> {
    let simulator = Sim::start(SimOptions {
        listen: args.listen,
        data: args.dir,
        faults: Faults::new(args.faults),
        ..SimOptions::default()
    })
    .await?;
    report::line(simulator.url());
    report::note("a simulated ComfyUI listens there; Ctrl-C stops it");
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::new(Code::INTERNAL_ERROR, error.to_string()))?;
    simulator.shutdown().await;
    Ok(Ended::Well)
}
