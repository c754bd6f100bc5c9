//! The arguments of `mmf run` and of whatever else takes a script: a command line made of a
//! script's declaration.
//!
//! The declared parameters become options of their own (`--PROMPT "..."`), with the help, the
//! defaults and the choices that the script declares, so there is nothing to keep in step.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches};
use serde_json::{Map, Value};

use super::args::{Global, RunArgs};
use super::json_argument::object;
use super::trace::TraceOption;
use crate::failure::{Code, Failure};
use crate::script::{Declaration, Kind, Param, Script, Type};

/// How long a job is waited for unless a time is given.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3600);

/// Parameters that are given otherwise than by their names.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct GivenOptions {
    /// Set a parameter; for those whose name is an option of mmf
    #[arg(short = 'p', value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Set parameters as JSON; @FILE reads them from a file, @- from stdin
    #[arg(long, value_name = "JSON|@FILE")]
    params: Option<String>,
}

/// What `mmf run` itself takes, beside the script's parameters.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunOptions {
    #[command(flatten)]
    pub(super) given: GivenOptions,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Copy the outputs into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) trace: TraceOption,
}

/// What `mmf run` takes for a template. To other scripts these words may be parameters.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TemplateOptions {
    /// Print the workflow that a template builds instead of running it
    #[arg(long)]
    pub(super) workflow: bool,
    /// Give up waiting after this many seconds; the job goes on [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) timeout: Option<Duration>,
}

impl GivenOptions {
    /// With what was said before the script's name; what stands behind it counts more.
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            set: [&before.set[..], &self.set].concat(),
            params: self.params.or_else(|| before.params.clone()),
        }
    }
}

impl RunOptions {
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            given: self.given.after(&before.given),
            json: self.json || before.json,
            output: self.output.or_else(|| before.output.clone()),
            trace: self.trace.after(&before.trace),
        }
    }
}

impl TemplateOptions {
    fn after(self, before: &Self) -> Self {
        Self {
            workflow: self.workflow || before.workflow,
            timeout: self.timeout.or(before.timeout),
        }
    }

    /// The first that was given.
    fn given(&self) -> Option<&'static str> {
        match self {
            Self { workflow: true, .. } => Some("--workflow"),
            Self {
                timeout: Some(_), ..
            } => Some("--timeout"),
            _ => None,
        }
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or("it takes a number of seconds, from 0")
}

/// What was asked for, read with the script at hand.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) options: RunOptions,
    pub(super) template: TemplateOptions,
    pub(super) global: Global,
    pub(super) arguments: Map<String, Value>,
}

/// Why the words make no sense.
pub(super) enum ParseError {
    Usage(Box<clap::Error>),
    Failed(Failure),
}

/// Reads the words after a script's name, and takes in what was said before it.
pub(super) fn parse(
    script: &Script,
    words: &[String],
    before: &RunArgs,
) -> Result<Parsed, ParseError> {
    let mut own = RunOptions::augment_args(Command::new(format!("mmf run {}", script.key.name)));
    if script.key.kind == Kind::Template {
        own = TemplateOptions::augment_args(own);
    }
    let matches = matches(own, script, words)?;
    let usage = |error| ParseError::Usage(Box::new(error));
    let options = RunOptions::from_arg_matches(&matches).map_err(usage)?;
    let options = options.after(&before.options);
    let mut template = TemplateOptions::default();
    if script.key.kind == Kind::Template {
        template = TemplateOptions::from_arg_matches(&matches).map_err(usage)?;
        template = template.after(&before.template);
    } else if let Some(given) = before.template.given() {
        let message = format!("{given} is for templates, {} is none", script.key);
        return Err(ParseError::Failed(Failure::new(
            Code::INVALID_PARAMS,
            message,
        )));
    }
    Ok(Parsed {
        template,
        global: Global::from_arg_matches(&matches).map_err(usage)?,
        arguments: given(&script.declaration, &options.given, &matches)
            .map_err(ParseError::Failed)?,
        options,
    })
}

/// Reads words by the options of a command and the parameters of a script.
pub(super) fn matches(
    own: Command,
    script: &Script,
    words: &[String],
) -> Result<ArgMatches, ParseError> {
    matched(command(own, &script.declaration), words)
}

/// Reads the words after a command's name.
pub(super) fn matched(command: Command, words: &[String]) -> Result<ArgMatches, ParseError> {
    let name = OsString::from(command.get_name());
    let words = std::iter::once(name).chain(words.iter().map(OsString::from));
    let matches = command.try_get_matches_from(words);
    matches.map_err(|error| ParseError::Usage(Box::new(error)))
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

/// A command with an option for each parameter, and those that every command has.
pub(super) fn command(own: Command, declaration: &Declaration) -> Command {
    let own = Global::augment_args(own);
    let mut taken: BTreeSet<String> = own
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .chain(["help".to_owned()])
        .collect();
    let free = |param: &&Param| !taken.contains(&param.name);
    let params: Vec<&Param> = declaration.params.iter().filter(free).collect();
    // Names go before the aliases of others.
    taken.extend(params.iter().map(|param| param.name.clone()));
    let options = params.into_iter().map(|param| {
        let alias = param.name.to_lowercase().replace('_', "-");
        let option = option(param);
        if taken.insert(alias.clone()) {
            option.alias(alias)
        } else {
            option
        }
    });
    let options: Vec<Arg> = options.collect();
    let about = if declaration.about.is_empty() {
        &declaration.title
    } else {
        &declaration.about
    };
    own.about(about.clone()).args(options).max_term_width(100)
}

/// What clap knows a parameter as: its name alone may be that of an option of ours.
pub(super) fn option_id(param: &Param) -> String {
    format!("param:{}", param.name)
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
    let option = Arg::new(option_id(param))
        .long(param.name.clone())
        .value_name(param.ty.as_str())
        .help(help.trim().to_owned())
        .help_heading("Parameters")
        .allow_hyphen_values(true)
        .action(ArgAction::Set);
    if param.ty == Type::Bool {
        option
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else {
        option
    }
}

/// What is given of the parameters, by whatever means.
pub(super) fn given(
    declaration: &Declaration,
    options: &GivenOptions,
    matches: &ArgMatches,
) -> Result<Map<String, Value>, Failure> {
    let mut given = written(declaration, options)?;
    for param in &declaration.params {
        let text = matches.try_get_one::<String>(&option_id(param));
        if let Some(text) = text.ok().flatten() {
            given.insert(param.name.clone(), value(param, text)?);
        }
    }
    Ok(given)
}

/// What is given otherwise than by options named after the parameters.
pub(super) fn written(
    declaration: &Declaration,
    options: &GivenOptions,
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
        let value = match declaration.param(name) {
            Some(param) => value(param, text)?,
            None => text.into(),
        };
        given.insert(name.to_owned(), value);
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
