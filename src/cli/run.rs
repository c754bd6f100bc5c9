//! `mmf run`: any template, pipeline or tool, by name or by file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::{Global, RunArgs};
use super::progress::Display;
use super::run_args::{ParseError, Parsed, RunOptions, at_data_dir, merged, parse};
use super::{Ended, Stopped, report, start};
use crate::app::{App, Found};
use crate::comfy::{OutputBody, Submit};
use crate::failure::{Code, Failure};
use crate::jobs::{Finished, KeptOutput};
use crate::script::{Caller, Kind, Library};

pub(super) async fn run(global: &Global, args: &RunArgs) -> Result<Ended, Stopped> {
    let (name, words) = match args.words.as_slice() {
        [first, words @ ..] if !first.starts_with('-') => (first, words),
        _ => {
            return Err(Failure::new(Code::INVALID_PARAMS, "which script is to be run?")
                .hint("write mmf run NAME [--PARAMETER VALUE]...; `mmf script list` shows what there is")
                .into());
        }
    };
    let found = find(&start::library(&at_data_dir(global, words))?, name)?;
    let parsed = parse(&found.served.script, words).map_err(|error| match error {
        ParseError::Usage(error) => Stopped::Usage(error),
        ParseError::Failed(failure) => failure.into(),
    })?;
    let app = start::app(&merged(global, &parsed.options.global), false).await?;
    let ended = execute(&app, found, parsed).await;
    // The answer is out by now.
    app.tidy().await;
    match ended {
        Err(Stopped::Failed(failure)) if words.iter().any(|word| word == "--json") => {
            report::json(&failure.to_json());
            Err(Stopped::Reported(failure))
        }
        other => other,
    }
}

fn find(library: &Library, name: &str) -> Result<Found, Failure> {
    let file = Path::new(name);
    if file
        .extension()
        .is_some_and(|extension| extension == "rhai")
    {
        return Found::in_file(library, file);
    }
    Ok(Found::named(library, name)?)
}

async fn execute(app: &App, found: Found, parsed: Parsed) -> Result<Ended, Stopped> {
    let Parsed { options, arguments } = parsed;
    let display = Display::start();
    let caller = Caller {
        progress: display.sink(),
        ..Caller::default()
    };
    start::cancel_on_interrupt(&caller);
    if found.served.script.key.kind != Kind::Template {
        let result = app.run(found, arguments, caller).await;
        display.finish();
        report::json(&result?);
        return Ok(Ended::Well);
    }
    let ran = run_template(app, found, arguments, &options, &caller).await;
    display.finish();
    match ran? {
        Ran::Built(workflow) => {
            report::json(&workflow);
            Ok(Ended::Well)
        }
        Ran::Finished {
            finished,
            node_errors,
        } => show(app, &finished, &node_errors, &options),
    }
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
    options: &RunOptions,
    caller: &Caller,
) -> Result<Ran, Failure> {
    let workflow = app.build(found, arguments, caller.clone()).await?;
    if options.workflow {
        return Ok(Ran::Built(workflow.into_json()));
    }
    let submitted = app.submit(&workflow, Submit::default()).await?;
    let limit = Duration::try_from_secs_f64(options.timeout).ok();
    let finished = app.wait(&submitted.prompt_id, limit, caller).await?;
    match finished.outcome.failure() {
        Some(failure) => Err(failure),
        None => Ok(Ran::Finished {
            finished,
            node_errors: submitted.node_errors,
        }),
    }
}

fn show(
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

/// Copies under the first name that is free: nothing is overwritten.
fn copy(from: &Path, folder: &Path, filename: &str) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Code::COPY_FAILED,
            format!("can't write to {}: {error}", folder.display()),
        )
        .hint("choose another folder with -o; the asset is kept in any case")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let name = Path::new(filename);
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    let extension = name
        .extension()
        .map(|it| format!(".{}", it.to_string_lossy()))
        .unwrap_or_default();
    let names = std::iter::once(filename.to_owned())
        .chain((1..).map(|n| format!("{stem} ({n}){extension}")));
    for name in names {
        let target = folder.join(name);
        match std::fs::File::create_new(&target) {
            Ok(mut file) => {
                let mut source = std::fs::File::open(from).map_err(failed)?;
                std::io::copy(&mut source, &mut file).map_err(failed)?;
                return Ok(target);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::new(Code::COPY_FAILED, "no free file name is left"))
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
