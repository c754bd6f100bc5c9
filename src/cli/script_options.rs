//! What commands other than `mmf run` take beside a script's parameters.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args as _, Command, FromArgMatches as _};
use serde_json::{Map, Value};

use super::args::{ExportTarget, Global};
use super::run_args::{GivenOptions, ParseError, given, matches};
use crate::script::Script;

/// What `mmf export` takes beside the template's parameters.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ExportOptions {
    #[command(flatten)]
    given: GivenOptions,
    /// The format to write [default: api]
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: Option<ExportTarget>,
    /// For ui: where the graph is to run, as a server's address or a file of `mmf nodes snapshot`
    /// [default: the configured server, or ComfyUI 0.33.0 if that is away]
    #[arg(long, value_name = "URL|SNAPSHOT")]
    pub(super) nodes: Option<String>,
}

/// What `mmf dev` takes beside the script's parameters.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DevOptions {
    #[command(flatten)]
    given: GivenOptions,
    /// Run it after each good save; what still runs is cancelled
    #[arg(long)]
    pub(super) run: bool,
    /// Copy what comes out into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    #[arg(
        long,
        value_name = "URL|FILE",
        help = "What to judge by: a server, what `mmf nodes snapshot` wrote, or the answer of /object_info [default: the server at hand, else the latest snapshot in this folder]"
    )]
    pub(super) nodes: Option<String>,
}

/// The options of a command that takes a script's parameters as well.
pub(super) trait ScriptOptions: clap::Args {
    /// With what was said before the script's name; what stands behind it counts more.
    fn after(self, before: &Self) -> Self;

    /// The parameters that are given otherwise than by their names.
    fn given(&self) -> &GivenOptions;
}

impl ScriptOptions for ExportOptions {
    fn after(self, before: &Self) -> Self {
        Self {
            given: self.given.after(&before.given),
            to: self.to.or(before.to),
            nodes: self.nodes.or_else(|| before.nodes.clone()),
        }
    }

    fn given(&self) -> &GivenOptions {
        &self.given
    }
}

impl ScriptOptions for DevOptions {
    fn after(self, before: &Self) -> Self {
        Self {
            given: self.given.after(&before.given),
            run: self.run || before.run,
            output: self.output.or_else(|| before.output.clone()),
            nodes: self.nodes.or_else(|| before.nodes.clone()),
        }
    }

    fn given(&self) -> &GivenOptions {
        &self.given
    }
}

/// What was asked of a command that takes a script's parameters.
pub(super) struct ParsedFor<O> {
    pub(super) options: O,
    pub(super) global: Global,
    pub(super) arguments: Map<String, Value>,
}

/// Reads the words after a script's name for a command, by its name.
pub(super) fn parse_for<O: ScriptOptions>(
    command: &str,
    script: &Script,
    words: &[String],
    before: &O,
) -> Result<ParsedFor<O>, ParseError> {
    let own = Command::new(format!("mmf {command} {}", script.key.name));
    let matches = matches(O::augment_args(own), script, words)?;
    let usage = |error| ParseError::Usage(Box::new(error));
    let options = O::from_arg_matches(&matches).map_err(usage)?;
    let options = options.after(before);
    Ok(ParsedFor {
        global: Global::from_arg_matches(&matches).map_err(usage)?,
        arguments: given(&script.declaration, options.given(), &matches)
            .map_err(ParseError::Failed)?,
        options,
    })
}

/// What can be told of words before a script, or while it is broken: its parameters are passed over.
pub(super) fn parse_roughly<O: ScriptOptions + Clone>(words: &[String], before: &O) -> (O, Global) {
    let own = Global::augment_args(O::augment_args(Command::new("mmf")));
    let known: BTreeSet<String> = own
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    let is_known = |word: &str| {
        let name = word.strip_prefix("--").unwrap_or_default();
        known.contains(name.split('=').next().unwrap_or_default())
    };
    // A known option is followed by its value at most.
    let kept = words.iter().enumerate().filter(|(at, word)| {
        is_known(word) || *at > 0 && is_known(&words[at - 1]) && !word.starts_with("--")
    });
    let kept = kept.map(|(_, word)| word.clone());
    let matches = own
        .ignore_errors(true)
        .try_get_matches_from(std::iter::once("mmf".to_owned()).chain(kept));
    let Ok(matches) = matches else {
        return (before.clone(), Global::default());
    };
    let options = O::from_arg_matches(&matches).map(|options| options.after(before));
    (
        options.unwrap_or_else(|_| before.clone()),
        Global::from_arg_matches(&matches).unwrap_or_default(),
    )
}
