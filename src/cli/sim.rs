//! `mmf sim`: the simulator as a server of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::args::{Global, SimArgs};
use super::{Ended, Stopped, report, start};
use crate::comfy::nodes::Snapshot;
use crate::failure::{Code, Failure};
use crate::sim::{Sim, SimOptions};

pub(super) async fn sim(global: &Global, args: SimArgs) -> Result<Ended, Stopped> {
    let simulator = Sim::start(options(global, args)?).await?;
    report::line(simulator.url());
    report::note("a simulated ComfyUI listens there; Ctrl-C stops it");
    if !start::asked_to_end().await {
        let message = "signals can't be heard, and nothing else would stop it";
        return Err(Failure::new(Code::INTERNAL_ERROR, message).into());
    }
    simulator.shutdown().await;
    Ok(Ended::Well)
}

fn options(global: &Global, args: SimArgs) -> Result<SimOptions, Stopped> {
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
    if let Some(file) = args.templates {
        options.templates = Some(index_in(&file)?);
    }
    if let Some(version) = args.version {
        options.version = version;
    }
    Ok(options)
}

fn index_in(file: &Path) -> Result<Value, Failure> {
    let fault = |reason: String| {
        let message = format!("{}: {reason}", file.display());
        Failure::new(Code::INVALID_PARAMS, message)
    };
    let text = fs::read(file).map_err(|error| fault(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| fault(error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Args, Command};
    use super::*;

    fn parsed(words: &[&str]) -> Result<SimOptions, clap::Error> {
        let args = Args::try_parse_from(["mmf", "sim"].iter().chain(words))?;
        let Command::Sim(sim) = args.command else {
            panic!("another command");
        };
        let Ok(options) = options(&args.global, sim) else {
            panic!("options that can't be used");
        };
        Ok(options)
    }

    #[test]
    fn the_simulated_version_can_be_chosen() {
        let default = parsed(&[]).unwrap().version;
        assert_eq!(default, crate::comfy::nodes::BUNDLED_VERSION);
        let chosen = parsed(&["--version", "0.3.75"]).unwrap().version;
        assert_eq!(chosen, "0.3.75");
        let refused = parsed(&["--version", "latest"]).unwrap_err();
        assert!(refused.to_string().contains("0.3.75"), "{refused}");
    }
}
