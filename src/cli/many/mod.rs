//! `mmf batch` and `mmf sweep`: a template or a workflow run many times, through the tools that
//! agents use for it, `execute_batch_workflows` and `execute_parameter_sweep`.
//!
//! All that can be known to go wrong is told before anything is queued.

mod args;
mod axes;
mod pictures;
mod plan;
mod rows;
mod subject;
mod told;

use std::time::Duration;

use serde_json::{Map, Value, json};

pub(super) use self::args::{BatchOptions, SweepOptions};
use self::args::{ManyOptions, ParsedBatch, ParsedSweep};
use self::plan::Run;
use self::subject::Subject;
use self::told::Finished;
use super::args::{BatchArgs, Global, SweepArgs};
use super::progress::Display;
use super::run_args::{DEFAULT_TIMEOUT, at_data_dir, merged};
use super::{Ended, Stopped, ask, start};
use crate::app::App;
use crate::batch::{self, Axis, Known, Wholeness};
use crate::failure::{Code, Failure};
use crate::ids::Ids;
use crate::script::{Caller, Declaration, ScriptError};

pub(super) async fn batch(global: &Global, args: &BatchArgs) -> Result<Ended, Stopped> {
    let ended = batch_of(global, args).await;
    told_as(ended, args.options.many.run.json, &args.words)
}

pub(super) async fn sweep(global: &Global, args: &SweepArgs) -> Result<Ended, Stopped> {
    let ended = sweep_of(global, args).await;
    told_as(ended, args.options.many.run.json, &args.words)
}

/// Failures are JSON where that was asked for, as far as can be told of words that may make no
/// sense.
fn told_as(ended: Result<Ended, Stopped>, json: bool, words: &[String]) -> Result<Ended, Stopped> {
    if json || words.iter().any(|word| word == "--json") {
        ended.map_err(Stopped::told_as_json)
    } else {
        ended
    }
}

async fn batch_of(global: &Global, args: &BatchArgs) -> Result<Ended, Stopped> {
    let (name, words) = named(&args.words, "batch")?;
    let subject = Subject::named(&at_data_dir(global, words), name).await?;
    let ParsedBatch {
        options,
        global: after,
        fixed,
    } = args::batch(&subject, words, &args.options)?;
    let from = options.from.as_deref().ok_or_else(|| {
        Failure::new(Code::INVALID_PARAMS, "where are the rows?").hint(format!(
            "write mmf batch {name} --from rows.csv, rows.jsonl or a folder; a single run is mmf run"
        ))
    })?;
    let rows = rows::read(from, options.param.as_deref(), &subject)?;
    let runs = plan::of_rows(&subject, &fixed, rows).await?;
    let sets: Vec<&Map<String, Value>> = runs.iter().map(|run| &run.parameters).collect();
    let arguments = json!({ "param_sets": sets });
    let work = Work {
        tool: "execute_batch_workflows",
        arguments,
        runs,
    };
    work.done(&merged(global, &after), &subject, &options.many)
        .await
}

async fn sweep_of(global: &Global, args: &SweepArgs) -> Result<Ended, Stopped> {
    let (name, words) = named(&args.words, "sweep")?;
    let subject = Subject::named(&at_data_dir(global, words), name).await?;
    let ParsedSweep {
        options,
        global: after,
        fixed,
        swept,
    } = args::sweep(&subject, words, &args.options)?;
    check_names(&subject, &swept)?;
    // Drawn here and once, so that what is checked and told is what is run.
    let axes = batch::axes(
        &swept,
        &Declared {
            declaration: &subject.declaration,
            ids: Ids::default(),
        },
    )?;
    let runs = plan::of_combinations(&subject, batch::combinations(&axes, &fixed)).await?;
    let spelt_out: Map<String, Value> = axes.iter().map(spelt_out).collect();
    let arguments = json!({ "sweep_params": spelt_out, "fixed_params": fixed });
    let work = Work {
        tool: "execute_parameter_sweep",
        arguments,
        runs,
    };
    work.done(&merged(global, &after), &subject, &options.many)
        .await
}

/// The name of what is run, and the words after it.
fn named<'w>(words: &'w [String], command: &str) -> Result<(&'w str, &'w [String]), Failure> {
    match words {
        [first, words @ ..] if !first.starts_with('-') => Ok((first, words)),
        _ => Err(
            Failure::new(Code::INVALID_PARAMS, "what is to be run?").hint(format!(
                "write mmf {command} NAME|FILE ...; `mmf script list` shows the templates"
            )),
        ),
    }
}

/// A name that is wrong is so in every combination: that is told once.
fn check_names(subject: &Subject, swept: &Map<String, Value>) -> Result<(), Failure> {
    let names = swept.keys().flat_map(|key| key.split(','));
    let mut unknown = names.filter_map(|name| subject.unknown(name.trim()));
    unknown.next().map_or(Ok(()), |unknown| {
        let message = format!("{} has {unknown}", subject.name);
        Err(Failure::new(Code::INVALID_PARAMS, message).hint(subject.names()))
    })
}

/// An axis with its values one by one.
fn spelt_out(axis: &Axis) -> (String, Value) {
    let points = axis.points.iter();
    let values: Value = if axis.names.len() == 1 {
        points.flatten().cloned().collect()
    } else {
        points.map(|point| Value::from(point.clone())).collect()
    };
    (axis.names.join(","), values)
}

/// What a declaration and chance say to a sweep.
struct Declared<'s> {
    declaration: &'s Declaration,
    ids: Ids,
}

impl Known for Declared<'_> {
    fn wholeness(&self, name: &str) -> Option<Wholeness> {
        self.declaration.wholeness(name)
    }

    fn draw(&self) -> u64 {
        self.ids.seed()
    }
}

/// Runs for a tool.
struct Work {
    tool: &'static str,
    /// Its arguments, apart from those that all tools of its kind take.
    arguments: Value,
    runs: Vec<Run>,
}

impl Work {
    async fn done(
        mut self,
        global: &Global,
        subject: &Subject,
        options: &ManyOptions,
    ) -> Result<Ended, Stopped> {
        if options.dry_run {
            plan::tell(&self.runs, options.run.json);
            return Ok(Ended::Well);
        }
        let limit: Duration = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
        self.arguments["workflow"] = subject.workflow.clone();
        self.arguments["timeout_seconds"] = json!(limit.as_secs_f64());
        let app = start::app(global, false).await?;
        let ended = self.run_in(&app, subject, options).await;
        // The answer is out by now.
        app.tidy().await;
        ended
    }

    async fn run_in(
        self,
        app: &App,
        subject: &Subject,
        options: &ManyOptions,
    ) -> Result<Ended, Stopped> {
        let display = Display::telling();
        let caller = Caller {
            progress: display.sink(),
            conversation: ask::someone(&display),
            ..Caller::default()
        };
        start::cancel_on_interrupt(&caller);
        let tool = subject.tool(self.tool).map_err(Stopped::by_script)?;
        let Value::Object(arguments) = self.arguments else {
            return Ok(Ended::Well);
        };
        let result = app.run(tool, arguments, caller).await;
        let submitted = display.submitted();
        display.finish();
        match result {
            Ok(reply) => Finished::new(app, &self.runs, options).tell(reply.value),
            Err(ScriptError::Cancelled) => {
                let made = told::what_was_over(app, &submitted, &options.run)?;
                Err(Failure::from(ScriptError::Cancelled)
                    .detail("made", made)
                    .into())
            }
            Err(error) => Err(Stopped::by_script(error)),
        }
    }
}
