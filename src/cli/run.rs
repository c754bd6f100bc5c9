//! `mmf run`: any template, pipeline or tool, by name or by file.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::{Global, RunArgs};
use super::copy::{copy, copy_all};
use super::progress::Display;
use super::run_args::{
    DEFAULT_TIMEOUT, ParseError, Parsed, RunOptions, TemplateOptions, at_data_dir, merged, parse,
};
use super::trace::Tracing;
use super::{Ended, Stopped, ask, missing, report, show, start};
use crate::app::{App, Built, Found};
use crate::comfy::{OutputBody, Submit};
use crate::failure::{Code, Failure};
use crate::jobs::{Finished, KeptOutput};
use crate::script::{Caller, Kind, Library, Reply, ScriptError};

pub(super) async fn run(global: &Global, args: &RunArgs) -> Result<Ended, Stopped> {
    let prepared = prepare(global, args);
    let json = match &prepared {
        Ok((_, parsed)) => parsed.options.json,
        // As far as can be told of words that make no sense.
        Err(_) => args.options.json || args.words.iter().any(|word| word == "--json"),
    };
    let ended = match prepared {
        Ok((found, parsed)) => execute(found, parsed).await,
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
    let found = find(&library, name).map_err(Stopped::by_script)?;
    let mut parsed = parse(&found.served.script, words, args).map_err(|error| match error {
        ParseError::Usage(error) => Stopped::Usage(error),
        ParseError::Failed(failure) => failure.into(),
    })?;
    parsed.global = merged(global, &parsed.global);
    Ok((found, parsed))
}

fn find(library: &Library, name: &str) -> Result<Found, ScriptError> {
    let file = Path::new(name);
    if file
        .extension()
        .is_some_and(|extension| extension == "rhai")
    {
        return Found::in_file(library, file);
    }
    Found::named(library, name)
}

async fn execute(found: Found, parsed: Parsed) -> Result<Ended, Stopped> {
    let app = start::app(&parsed.global, false).await?;
    let ended = execute_in(&app, found, parsed).await;
    // The answer is out by now.
    app.tidy().await;
    ended
}

async fn execute_in(app: &App, found: Found, parsed: Parsed) -> Result<Ended, Stopped> {
    let Parsed {
        options,
        template,
        arguments,
        ..
    } = parsed;
    let display = Display::start();
    let tracing = options.trace.start();
    let caller = Caller {
        trace: tracing.as_ref().map(Tracing::trace),
        progress: display.sink(),
        conversation: ask::someone(&display),
        ..Caller::default()
    };
    start::cancel_on_interrupt(&caller);
    let tell = || tracing.as_ref().map_or(Ok(()), Tracing::tell);
    if found.served.script.key.kind != Kind::Template {
        let result = app.run(found, arguments, caller).await;
        display.finish();
        tell()?;
        return answer(app, &result.map_err(Stopped::by_script)?, &options);
    }
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
fn answer(app: &App, reply: &Reply, options: &RunOptions) -> Result<Ended, Stopped> {
    let copies = match &options.output {
        Some(folder) => copy_all(app, &reply.value, folder)?,
        None => vec![],
    };
    show::reply(reply);
    for copy in copies {
        report::note(format_args!("copied to {}", copy.display()));
    }
    Ok(Ended::with(&reply.value))
}

enum Ran {
    Built(Value),
    Finished {
        finished: std::sync::Arc<Finished>,
        /// What is wrong with those outputs that did not run.
        node_errors: Value,
    },
}

async fn run_template(
    app: &App,
    found: Found,
    arguments: Map<String, Value>,
    options: &TemplateOptions,
    caller: &Caller,
) -> Result<Ran, Stopped> {
    let trace = caller.trace.clone().unwrap_or_default();
    let building = app.build(found, arguments, caller.clone());
    let built = trace.timed("templates::build", building).await;
    let Built {
        workflow,
        exchanged,
    } = built.map_err(Stopped::by_script)?;
    for one in exchanged {
        report::note(format_args!("note: {one}"));
    }
    if options.workflow {
        missing::tell(&app.lacking(&workflow).await);
        return Ok(Ran::Built(workflow.into_json()));
    }
    let submitting = app.submit(&workflow, Submit::default());
    let submitted = trace.timed("comfy::submit", submitting).await?;
    let limit = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let waiting = app.wait(&submitted.prompt_id, Some(limit), caller);
    let finished = trace.timed("comfy::wait", waiting).await?;
    match finished.outcome.failure() {
        Some(failure) => Err(failure.into()),
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
    let mut entries = vec![];
    let mut partly = node_errors
        .as_object()
        .is_some_and(|errors| !errors.is_empty());
    for output in &finished.outputs {
        partly |= output.kept.is_err();
        entries.push(entry(app, output, options.output.as_deref())?);
    }
    if options.json {
        report::json(&json!({
            "status": "completed",
            "prompt_id": finished.outcome.prompt_id,
            "outputs": entries,
            "elapsed_seconds": finished.outcome.duration().map(|duration| duration.as_secs_f64()),
            "node_errors": node_errors,
        }));
    } else {
        for entry in &entries {
            report::line(readable(entry));
        }
    }
    if partly && !options.json {
        report::note(format_args!("not everything could be made: {node_errors}"));
    }
    Ok(if partly { Ended::Partly } else { Ended::Well })
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
