//! The command line. Results go to stdout, everything else to stderr.

mod args;
mod ask;
mod call;
mod convert;
mod copy;
mod demo;
mod dev;
mod diff;
mod doctor;
mod ended;
mod export;
mod facts;
mod graph;
mod handed;
mod import;
mod jobs;
mod json_argument;
mod local_media;
mod many;
mod missing;
mod node_words;
mod nodes;
mod progress;
mod repl;
mod report;
mod run;
mod run_args;
mod script;
mod script_args;
mod script_options;
mod serve;
mod show;
mod sim;
mod start;
mod terminal;
mod trace;
mod validate;
mod workflow_file;
mod workflow_table;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, Command};
use self::ended::Ended;
use self::run_args::ParseError;
use crate::failure::Failure;
use crate::script::{Diagnostic, ScriptError};
use crate::sim::remove_own_folders;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return report::usage(&error),
    };
    start::logging(args.global.verbose, &args.command);
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return report::failed(&failure, None),
    };
    let ended = runtime.block_on(dispatch(args));
    // A script's thread may still be in the middle of something when the user interrupts.
    runtime.shutdown_background();
    remove_own_folders();
    if let Some(code) = report::lost() {
        return code;
    }
    match ended {
        Ok(ended) => ended.into(),
        Err(Stopped::Usage(error)) => report::usage(&error),
        Err(Stopped::Failed(failure, at)) => report::failed(&failure, at.as_deref()),
        Err(Stopped::Reported(failure)) => ExitCode::from(failure.exit_code()),
    }
}

/// Why a command stopped.
enum Stopped {
    /// The arguments make no sense; also a request for help.
    Usage(Box<clap::Error>),
    /// To be told to the user, with the place in a script if there is one.
    Failed(Box<Failure>, Option<Box<Diagnostic>>),
    /// Told to the user already, as the command's result.
    Reported(Box<Failure>),
}

impl<T: Into<Failure>> From<T> for Stopped {
    fn from(error: T) -> Self {
        Self::Failed(Box::new(error.into()), None)
    }
}

impl From<ParseError> for Stopped {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Usage(error) => Self::Usage(error),
            ParseError::Failed(failure) => failure.into(),
        }
    }
}

impl Stopped {
    /// Because of a script, whose mistake can be pointed at.
    fn by_script(error: ScriptError) -> Self {
        let at = error.diagnostic().cloned().map(Box::new);
        let failure = Failure::from(error);
        // What a shipped script throws on purpose speaks for itself.
        let at = at.filter(|_| failure.details.contains_key("at"));
        Self::Failed(Box::new(failure), at)
    }

    /// Tells it as JSON on stdout, for a command that was asked for that.
    fn told_as_json(self) -> Self {
        let failure = match self {
            Self::Failed(failure, _) => failure,
            Self::Usage(error) if error.use_stderr() => Box::new(report::usage_failure(&error)),
            other => return other,
        };
        report::json(&failure.to_json());
        Self::Reported(failure)
    }
}

async fn dispatch(args: Args) -> Result<Ended, Stopped> {
    let global = &args.global;
    match args.command {
        Command::Demo(demo) => demo::demo(global, &demo).await,
        Command::Run(run) => run::run(global, &run).await,
        Command::Batch(args) => many::batch(global, &args).await,
        Command::Sweep(args) => many::sweep(global, &args).await,
        Command::Repl => repl::repl(global).await,
        Command::Call(call) => call::call(global, &call).await,
        Command::Serve(serve) => serve::serve(global, &serve).await,
        Command::Sim(sim) => sim::sim(global, sim).await,
        Command::Convert(convert) => convert::convert(global, &convert).await,
        Command::Export(args) => export::export(global, &args).await,
        Command::Dev(args) => dev::dev(global, &args).await,
        Command::Diff(args) => diff::diff(global, &args).await,
        Command::Graph(args) => graph::graph(global, &args).await,
        Command::Import(args) => {
            let imported = import::import_as_template(global, &args).await;
            if args.json {
                imported.map_err(Stopped::told_as_json)
            } else {
                imported
            }
        }
        Command::Jobs(jobs) => jobs::jobs(global, &jobs).await,
        Command::Nodes(nodes) => nodes::nodes(global, nodes).await,
        Command::Script(command) => script::script(global, command).await,
        Command::Validate(args) => validate::validate(global, &args).await,
        Command::Doctor(doctor) => doctor::doctor(global, &doctor).await,
    }
}
