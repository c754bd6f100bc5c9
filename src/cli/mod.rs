//! The command line. Results go to stdout, everything else to stderr.

mod args;
mod call;
mod demo;
mod doctor;
mod json_argument;
mod nodes;
mod progress;
mod report;
mod run;
mod run_args;
mod script;
mod serve;
mod sim;
mod start;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, Command};
use crate::failure::Failure;

/// How a command ended, other than by failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Well,
    /// Some of it worked: exit code 4.
    Partly,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report::usage(&error),
    };
    start::logging(args.global.verbose);
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return report::failed(&failure),
    };
    let ended = runtime.block_on(dispatch(args));
    // A script's thread may still be in the middle of something when the user interrupts.
    runtime.shutdown_background();
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Partly) => ExitCode::from(4),
        Err(Stopped::Usage(error)) => report::usage(&error),
        Err(Stopped::Failed(failure)) => report::failed(&failure),
        Err(Stopped::Reported(failure)) => ExitCode::from(failure.exit_code()),
    }
}

/// Why a command stopped.
enum Stopped {
    /// The arguments make no sense; also a request for help.
    Usage(Box<clap::Error>),
    /// To be told to the user.
    Failed(Box<Failure>),
    /// Told to the user already, as the command's result.
    Reported(Box<Failure>),
}

impl<T: Into<Failure>> From<T> for Stopped {
    fn from(error: T) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

async fn dispatch(args: Args) -> Result<Ended, Stopped> {
    let global = &args.global;
    match args.command {
        Command::Demo(demo) => demo::demo(global, &demo).await,
        Command::Run(run) => run::run(global, &run).await,
        Command::Call(call) => call::call(global, &call).await,
        Command::Serve => serve::serve(global).await,
        Command::Sim(sim) => sim::sim(global, sim).await,
        Command::Nodes(nodes) => nodes::nodes(global, nodes).await,
        Command::Script(script) => script::script(global, &script),
        Command::Doctor(doctor) => doctor::doctor(global, &doctor).await,
    }
}
