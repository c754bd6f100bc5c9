//! `mmf run`: any template, pipeline or tool, by name or by file.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::{Global, RunArgs};
use super::copy::{copy, copy_all};
use super::progress::Display;
use super::run_args::{
    DEFAULT_TIMEOUT, Parsed, RunOptions, TemplateOptions, at_data_dir, merged, parse,
};
use super::trace::Tracing;
use super::{Ended, Stopped, ask, handed, local_media, missing, report, show, start};
use crate::app::{App, Built, Found};
use crate::comfy::{OutputBody, Submit};
use crate::failure::{Code, Failure};
use crate::jobs::{Finished, KeptOutput};
use crate::script::runs::Here;
use crate::script::{Caller, Kind, Reply};

pub(super) async fn run(global: &Global, args: &RunArgs) -> Result<Ended, Stopped> {
    if let Some(run_id) = &args.resume {
        let ended = resume(global, args, run_id).await;
        return if args.options.json {
            ended.map_err(Stopped::told_as_json)
        } else {
            ended
        };
    }
    let prepared = prepare(global, args);
    let json = match &prepared {
        Ok((_, parsed)) => parsed.options.json,
        // As far as can be told of words that make no sense.
        Err(_) => args.options.json || args.words.iter().any(|word| word == "--json"),
    };
    let ended = match prepared {
        Ok((found, parsed)) => execute(found, parsed, &word_of(&args.words[0])).await,
        Err(stopped) => Err(stopped),
    };
    if json {
        ended.map_err(Stopped::told_as_json)
    } else {
        ended
    }
}

/// What is to be run, and how.
fn prepare(global: &Global, args: &RunArgs) -> Result<(Found, Parsed), Stopped> {
    let (name, words) = match args.words.as_slice() {
        [first, words @ ..] if !first.starts_with('-') => (first, words),
        _ => {
            return Err(Failure::new(Code::INVALID_PARAMS, "which script is to be run?")
                .hint("write mmf run NAME [--PARAMETER VALUE]...; `mmf script list` shows what there is")
                .into());
        }
    };
    let library = start::library(&at_data_dir(global, words))?;
    let found = handed::found(&library, name)?;
    let mut parsed = parse(&found.served.script, words, args)?;
    parsed.global = merged(global, &parsed.global);
    Ok((found, parsed))
}

/// By what a script is found again from anywhere.
fn word_of(word: &str) -> String {
    if !handed::is_script(word) {
        return word.to_owned();
    }
    let absolute = std::path::absolute(word);
    absolute.map_or_else(|_| word.to_owned(), |file| file.display().to_string())
}

/// Goes on with what was interrupted.
async fn resume(global: &Global, args: &RunArgs, run_id: &str) -> Result<Ended, Stopped> {
    let app = start::app(global, false).await?;
    let record = app.host().runs.interrupted_one(run_id)?;
    let word = record.word.as_deref().unwrap_or(&record.tool);
    let found = handed::found(app.library(), word)?;
    let here = app.take_here(&found, run_id, args.anew)?;
    let ended = go_through(&app, found, record.arguments, Some(here), &args.options).await;
    app.tidy().await;
    ended
}

/// Runs a tool or pipeline to its end and shows what it gave.
async fn go_through(
    app: &App,
    found: Found,
    arguments: Map<String, Value>,
    here: Option<Here>,
    options: &RunOptions,
) -> Result<Ended, Stopped> {
    let display = Display::start();
    let tracing = options.trace.start();
    let caller = Caller {
        journal: here.as_ref().map(|here| here.journal.clone()),
        ..at_the_shell(&display, tracing.as_ref())
    };
    start::cancel_on_interrupt(&caller);
    let result = app.run(found, arguments, caller).await;
    display.finish();
    if let Some(here) = here {
        app.discard_run(&here.run).await;
    }
    if let Some(tracing) = &tracing {
        tracing.tell()?;
    }
    let reply = result.map_err(Stopped::by_script)?;
    answer(app, &reply, options.output.as_deref())
}

/// Somebody at a shell, who sees how it goes and can be asked.
fn at_the_shell(display: &Display, tracing: Option<&Tracing>) -> Caller {
    Caller {
        trace: tracing.map(Tracing::trace),
        progress: display.sink(),
        conversation: ask::someone(display),
        ..Caller::default()
    }
}

async fn execute(found: Found, mut parsed: Parsed, word: &str) -> Result<Ended, Stopped> {
    let app = start::app(&parsed.global, false).await?;
    let declaration = &found.served.script.declaration;
    local_media::find(&app, declaration, &mut parsed.arguments).await;
    let ended = if found.served.script.key.kind == Kind::Template {
        execute_template(&app, found, parsed).await
    } else {
        let Parsed {
            arguments, options, ..
        } = parsed;
        let here = app.begin_here(&found, word, arguments.clone())?;
        go_through(&app, found, arguments, here, &options).await
    };
    // The answer is out by now.
    app.tidy().await;
    ended
}

async fn execute_template(app: &App, found: Found, parsed: Parsed) -> Result<Ended, Stopped> {
    let Parsed {
        options,
        template,
        arguments,
        ..
    } = parsed;
    let display = Display::start();
    let tracing = options.trace.start();
    let caller = at_the_shell(&display, tracing.as_ref());
    start::cancel_on_interrupt(&caller);
    let tell = || tracing.as_ref().map_or(Ok(()), Tracing::tell);
    let ran = run_template(app, found, arguments, &template, &caller).await;
    display.finish();
    tell()?;
    match ran? {
        Ran::Built(workflow) => {
            report::json(&workflow);
            Ok(Ended::Well)
        }
        Ran::Finished {
            finished,
            node_errors,
        } => finish(app, &finished, &node_errors, &options),
    }
}

/// Shows what a tool or pipeline gave.
pub(super) fn answer(app: &App, reply: &Reply, output: Option<&Path>) -> Result<Ended, Stopped> {
    let copies = match output {
        Some(folder) => copy_all(app, &reply.value, folder)?,
        None => vec![],
    };
    show::reply(reply);
    for copy in copies {
        report::note(format_args!("copied to {}", copy.display()));
    }
    Ok(Ended::with(&reply.value))
}

/// What came of a template.
pub(super) enum Ran {
    /// Its workflow, which was not run.
    Built(Value),
    /// What it made.
    Finished {
        finished: std::sync::Arc<Finished>,
        /// What is wrong with those outputs that did not run.
        node_errors: Value,
    },
}

/// Builds a template's workflow and runs it to its end.
pub(super) async fn run_template(
    app: &App,
    found: Found,
    arguments: Map<String, Value>,
    options: &TemplateOptions,
    caller: &Caller,
) -> Result<Ran, Stopped> {
    let trace = caller.trace.clone().unwrap_or_default();
    let generation = found.generation.clone();
    let building = app.build(found, arguments, caller.clone());
    let built = trace.timed("templates::build", building).await;
    let Built {
        workflow,
        exchanged,
        nodes,
    } = built.map_err(Stopped::by_script)?;
    for one in exchanged {
        report::note(format_args!("note: {one}"));
    }
    if options.workflow {
        missing::tell(&app.lacking(&workflow).await);
        return Ok(Ran::Built(workflow.into_json()));
    }
    let submitting = app.submit(&workflow, Submit::default());
    let submitted = trace.timed("comfy::submit", submitting).await;
    let submitted = submitted.map_err(|failure| nodes.blame(failure, &generation))?;
    let limit = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let waiting = app.wait(&submitted.prompt_id, Some(limit), caller);
    let finished = trace.timed("comfy::wait", waiting).await?;
    match finished.outcome.failure() {
        Some(failure) => Err(nodes.blame(failure, &generation).into()),
        None => Ok(Ran::Finished {
            finished,
            node_errors: submitted.node_errors,
        }),
    }
}

fn finish(
    app: &App,
    finished: &Finished,
    node_errors: &Value,
    options: &RunOptions,
) -> Result<Ended, Stopped> {
    if !options.json {
        return finish_readably(app, finished, node_errors, options.output.as_deref());
    }
    let (entries, ended) = entries(app, finished, node_errors, options.output.as_deref())?;
    report::json(&json!({
        "status": "completed",
        "prompt_id": finished.outcome.prompt_id,
        "outputs": entries,
        "elapsed_seconds": finished.outcome.duration().map(|duration| duration.as_secs_f64()),
        "node_errors": node_errors,
    }));
    Ok(ended)
}

/// Shows what a template made.
pub(super) fn finish_readably(
    app: &App,
    finished: &Finished,
    node_errors: &Value,
    output: Option<&Path>,
) -> Result<Ended, Stopped> {
    let (entries, ended) = entries(app, finished, node_errors, output)?;
    for entry in &entries {
        report::line(readable(entry));
    }
    if ended == Ended::Partly {
        report::note(format_args!("not everything could be made: {node_errors}"));
    }
    Ok(ended)
}

/// The outputs for the result, and whether they are all that there should be.
fn entries(
    app: &App,
    finished: &Finished,
    node_errors: &Value,
    output: Option<&Path>,
) -> Result<(Vec<Value>, Ended), Failure> {
    let mut entries = vec![];
    let mut partly = node_errors
        .as_object()
        .is_some_and(|errors| !errors.is_empty());
    for one in &finished.outputs {
        partly |= one.kept.is_err();
        entries.push(entry(app, one, output)?);
    }
    Ok((entries, if partly { Ended::Partly } else { Ended::Well }))
}

/// One output for the result; its file is copied if a folder is given.
fn entry(app: &App, output: &KeptOutput, folder: Option<&Path>) -> Result<Value, Failure> {
    let asset = match &output.kept {
        Ok(asset) => asset,
        Err(failure) => {
            return Ok(json!({ "node_id": output.output.node_id, "not_kept": failure.to_json() }));
        }
    };
    let mut path = app.host().assets.path(&asset.asset_id)?;
    if let Some(folder) = folder {
        path = copy(&path, folder, &asset.filename)?;
    }
    let mut entry = json!({
        "asset_id": asset.asset_id,
        "type": asset.kind,
        "node_id": output.output.node_id,
        "filename": asset.filename,
        "path": path,
        "bytes": asset.bytes,
    });
    if let (Some(width), Some(height)) = (asset.width, asset.height) {
        entry["width"] = width.into();
        entry["height"] = height.into();
    }
    if let OutputBody::Text(text) = &output.output.body {
        entry["text"] = text.as_str().into();
    }
    Ok(entry)
}

fn readable(entry: &Value) -> String {
    if let Some(text) = entry["text"].as_str() {
        return text.to_owned();
    }
    let path = entry["path"].as_str().unwrap_or("not kept");
    match (entry["width"].as_u64(), entry["height"].as_u64()) {
        (Some(width), Some(height)) => format!("{path}  {width}x{height}"),
        _ => path.to_owned(),
    }
}
