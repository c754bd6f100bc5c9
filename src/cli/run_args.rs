//! The arguments of `mmf run`: a command line made of a script's declaration.
//!
//! The declared parameters become options of their own (`--PROMPT "..."`), with the help, the
//! defaults and the choices that the script declares, so there is nothing to keep in step.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::args::Global;
use super::json_argument::object;
use crate::failure::{Code, Failure};
use crate::script::{Param, Script, Type};

/// What `mmf run` itself takes, beside the script's parameters.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunOptions {
    /// Set a parameter; for those whose name is an option of mmf
    #[arg(short = 'p', value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Set parameters as JSON; @FILE reads them from a file, @- from stdin
    #[arg(long, value_name = "JSON|@FILE")]
    params: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Copy the outputs into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Print the workflow that a template builds instead of running it
    #[arg(long)]
    pub(super) workflow: bool,
    /// Give up waiting after this many seconds; the job goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 3600.0)]
    pub(super) timeout: f64,
    #[command(flatten)]
    pub(super) global: Global,
}

/// What was asked for, read with the script at hand.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) options: RunOptions,
    pub(super) arguments: Map<String, Value>,
}

/// Why the words make no sense.
pub(super) enum ParseError {
    Usage(Box<clap::Error>),
    Failed(Failure),
}

/// Reads the words after a script's name.
pub(super) fn parse(script: &Script, words: &[String]) -> Result<Parsed, ParseError> {
    let command = command(script);
    let name = OsString::from(format!("mmf run {}", script.key.name));
    let words = std::iter::once(name).chain(words.iter().map(OsString::from));
    let usage = |error| ParseError::Usage(Box::new(error));
    let matches = command.try_get_matches_from(words).map_err(usage)?;
    let options = RunOptions::from_arg_matches(&matches).map_err(usage)?;
    let arguments = given(script, &options, &matches).map_err(ParseError::Failed)?;
    Ok(Parsed { options, arguments })
}

/// What is known before the script is: it explains all words, but the folder in which it may lie
/// is among them. A parameter's value that looks like that option only changes where scripts are
/// looked for.
pub(super) fn at_data_dir(global: &Global, words: &[String]) -> Global {
    let said = words.iter().enumerate().find_map(|(at, word)| {
        let rest = word.strip_prefix("--data-dir")?;
        if rest.is_empty() {
            words.get(at + 1).map(String::as_str)
        } else {
            rest.strip_prefix('=')
        }
    });
    let mut global = global.clone();
    if let Some(folder) = said {
        global.data_dir = Some(folder.into());
    }
    global
}

/// What was said before and after the script's name.
pub(super) fn merged(before: &Global, after: &Global) -> Global {
    Global {
        url: after.url.clone().or_else(|| before.url.clone()),
        sim: before.sim || after.sim,
        faults: [&before.faults[..], &after.faults].concat(),
        data_dir: after.data_dir.clone().or_else(|| before.data_dir.clone()),
        verbose: before.verbose.max(after.verbose),
    }
}

fn command(script: &Script) -> Command {
    let declaration = &script.declaration;
    let own = <RunOptions as clap::Args>::augment_args(Command::new(format!(
        "mmf run {}",
        script.key.name
    )));
    let taken: Vec<String> = own
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    let params = declaration
        .params
        .iter()
        .filter(|param| !taken.contains(&param.name));
    let params: Vec<Arg> = params.map(option).collect();
    let about = if declaration.about.is_empty() {
        &declaration.title
    } else {
        &declaration.about
    };
    own.about(about.clone()).args(params).max_term_width(100)
}

fn option(param: &Param) -> Arg {
    let mut help = param.about.clone();
    if param.required {
        help.push_str(" (required)");
    }
    if !param.ty.is_text()
        || !param.choices.is_empty()
        || param.min.is_some()
        || param.max.is_some()
    {
        help = format!("{help} [{}]", param.allowed());
    }
    if !param.default.is_null() {
        help = format!("{help} [default: {}]", param.default);
    }
    let option = Arg::new(param.name.clone())
        .long(param.name.clone())
        .value_name(param.ty.as_str())
        .help(help.trim().to_owned())
        .help_heading("Parameters")
        .allow_hyphen_values(true)
        .action(ArgAction::Set);
    let lower = param.name.to_lowercase().replace('_', "-");
    let option = if lower == param.name {
        option
    } else {
        option.alias(lower)
    };
    if param.ty == Type::Bool {
        option
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        option
    }
}

fn given(
    script: &Script,
    options: &RunOptions,
    matches: &ArgMatches,
) -> Result<Map<String, Value>, Failure> {
    let mut given = match &options.params {
        Some(written) => object(written)?,
        None => Map::new(),
    };
    for pair in &options.set {
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            Failure::new(Code::INVALID_PARAMS, format!("-p {pair} has no value"))
                .hint("write -p KEY=VALUE")
        })?;
        let value = match script.declaration.param(name) {
            Some(param) => value(param, text)?,
            None => text.into(),
        };
        given.insert(name.to_owned(), value);
    }
    for param in &script.declaration.params {
        let text = matches.try_get_one::<String>(&param.name).ok().flatten();
        if let Some(text) = text {
            given.insert(param.name.clone(), value(param, text)?);
        }
    }
    Ok(given)
}

/// A value as it is written on the command line: text as it is, all else as JSON. What does not
/// parse is passed on as text, for the declaration to refuse with a proper message.
fn value(param: &Param, text: &str) -> Result<Value, Failure> {
    if param.ty.is_text() {
        return Ok(text.into());
    }
    if matches!(param.ty, Type::Object | Type::Workflow) {
        return Ok(object(text)?.into());
    }
    Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}
