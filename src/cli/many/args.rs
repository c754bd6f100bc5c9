//! The words of `mmf batch` and `mmf sweep`, read with the template at hand.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::axes::{self, Said};
use super::subject::Subject;
use crate::cli::Stopped;
use crate::cli::args::Global;
use crate::cli::json_argument::object;
use crate::cli::run_args::{RunOptions, command, given, matched, option_id, seconds, written};
use crate::script::{Declaration, Param};

/// What both commands take beside the parameters.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct ManyOptions {
    #[command(flatten)]
    pub(super) run: RunOptions,
    /// Give up waiting for a run after this many seconds; it goes on [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) timeout: Option<Duration>,
    /// Tell what would be queued, in which order, and queue nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl ManyOptions {
    fn after(self, before: &Self) -> Self {
        Self {
            run: self.run.after(&before.run),
            timeout: self.timeout.or(before.timeout),
            dry_run: self.dry_run || before.dry_run,
        }
    }
}

/// What `mmf batch` takes.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct BatchOptions {
    /// What to run: a table (CSV whose first line has the parameters' names), JSON Lines (an object
    /// a line), or a folder of pictures; - reads a table or JSON Lines from stdin
    #[arg(long, value_name = "FILE|FOLDER|-")]
    pub(super) from: Option<String>,
    /// The parameter that takes the pictures of a folder [default: the only one that does]
    #[arg(long, value_name = "NAME")]
    pub(super) param: Option<String>,
    #[command(flatten)]
    pub(super) many: ManyOptions,
}

/// What `mmf sweep` takes.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct SweepOptions {
    /// What to sweep as JSON, as `execute_parameter_sweep` takes it; @FILE reads it from a file
    #[arg(long, value_name = "JSON|@FILE")]
    pub(super) sweep: Option<String>,
    #[command(flatten)]
    pub(super) many: ManyOptions,
}

/// What was asked of `mmf batch`.
pub(super) struct ParsedBatch {
    pub(super) options: BatchOptions,
    pub(super) global: Global,
    /// The same for all runs.
    pub(super) fixed: Map<String, Value>,
}

pub(super) fn batch(
    subject: &Subject,
    words: &[String],
    before: &BatchOptions,
) -> Result<ParsedBatch, Stopped> {
    let own = Command::new(format!("mmf batch {}", subject.name));
    let command = command(BatchOptions::augment_args(own), &subject.declaration);
    let matches = matched(command, words)?;
    let BatchOptions { from, param, many } =
        BatchOptions::from_arg_matches(&matches).map_err(usage)?;
    let options = BatchOptions {
        from: from.or_else(|| before.from.clone()),
        param: param.or_else(|| before.param.clone()),
        many: many.after(&before.many),
    };
    Ok(ParsedBatch {
        global: Global::from_arg_matches(&matches).map_err(usage)?,
        fixed: given(&subject.declaration, &options.many.run.given, &matches)?,
        options,
    })
}

/// What was asked of `mmf sweep`.
pub(super) struct ParsedSweep {
    pub(super) options: SweepOptions,
    pub(super) global: Global,
    /// The same for all runs.
    pub(super) fixed: Map<String, Value>,
    /// The axes, as `execute_parameter_sweep` takes them.
    pub(super) swept: Map<String, Value>,
}

pub(super) fn sweep(
    subject: &Subject,
    words: &[String],
    before: &SweepOptions,
) -> Result<ParsedSweep, Stopped> {
    let declaration = &subject.declaration;
    let own = Command::new(format!("mmf sweep {}", subject.name));
    let mut command = command(SweepOptions::augment_args(own), declaration).mut_args(|arg| {
        let is_param = declaration
            .params
            .iter()
            .any(|param| arg.get_id() == &*option_id(param));
        if is_param {
            arg.action(ArgAction::Append)
        } else {
            arg
        }
    });
    let together = together(declaration, words);
    for word in together.iter().map(|(word, _)| word) {
        let option = Arg::new(word.clone()).long(word.clone());
        let option = option.action(ArgAction::Append).allow_hyphen_values(true);
        command = command.arg(option.hide(true));
    }
    let matches = matched(command, words)?;
    let SweepOptions { sweep, many } = SweepOptions::from_arg_matches(&matches).map_err(usage)?;
    let options = SweepOptions {
        sweep: sweep.or_else(|| before.sweep.clone()),
        many: many.after(&before.many),
    };
    let mut fixed = written(declaration, &options.many.run.given)?;
    let mut swept = match &options.sweep {
        Some(written) => object(written)?,
        None => Map::new(),
    };
    for (name, said) in said(declaration, &together, &matches)? {
        match said {
            Said::Fixed(value) => drop(fixed.insert(name, value)),
            Said::Swept(values) => drop(swept.insert(name, values)),
        }
    }
    Ok(ParsedSweep {
        global: Global::from_arg_matches(&matches).map_err(usage)?,
        options,
        fixed,
        swept,
    })
}

/// What was said of parameters, in the order in which it was.
fn said(
    declaration: &Declaration,
    together: &[(String, Vec<&Param>)],
    matches: &ArgMatches,
) -> Result<Vec<(String, Said)>, Stopped> {
    let mut said = vec![];
    for param in &declaration.params {
        let id = option_id(param);
        if let Some((at, texts)) = occurrences(matches, &id) {
            said.push((at, param.name.clone(), axes::of(param, &texts)?));
        }
    }
    for (word, params) in together {
        if let Some((at, texts)) = occurrences(matches, word) {
            let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
            let points = Said::Swept(axes::together(params, &texts)?);
            said.push((at, names.join(","), points));
        }
    }
    said.sort_by_key(|(at, ..)| *at);
    Ok(said
        .into_iter()
        .map(|(_, name, said)| (name, said))
        .collect())
}

/// Where an option stands first, and all that is given for it.
fn occurrences(matches: &ArgMatches, id: &str) -> Option<(usize, Vec<String>)> {
    let texts = matches.try_get_many::<String>(id).ok()??;
    let at = matches.indices_of(id)?.next()?;
    Some((at, texts.cloned().collect()))
}

/// The options that name several parameters, as `--WIDTH,HEIGHT` does.
fn together<'d>(declaration: &'d Declaration, words: &[String]) -> Vec<(String, Vec<&'d Param>)> {
    let mut found: Vec<(String, Vec<&Param>)> = vec![];
    for word in words {
        let Some(rest) = word.strip_prefix("--") else {
            continue;
        };
        let names = rest.split_once('=').map_or(rest, |(names, _)| names);
        if !names.contains(',') || found.iter().any(|(known, _)| known == names) {
            continue;
        }
        let params = names.split(',').map(|name| {
            let name = name.replace('-', "_");
            let mut params = declaration.params.iter();
            params.find(|param| param.name.eq_ignore_ascii_case(&name))
        });
        if let Some(params) = params.collect() {
            found.push((names.to_owned(), params));
        }
    }
    found
}

fn usage(error: clap::Error) -> Stopped {
    Stopped::Usage(Box::new(error))
}
