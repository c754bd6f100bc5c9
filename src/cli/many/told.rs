//! What came of many runs: each output with the run that made it, each failure in its place.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::args::ManyOptions;
use super::plan::Run;
use crate::app::App;
use crate::cli::copy::copy;
use crate::cli::run_args::RunOptions;
use crate::cli::{Ended, Stopped, report};
use crate::failure::{Code, Failure};

/// The runs that are over, to be told.
pub(super) struct Finished<'a> {
    app: &'a App,
    runs: &'a [Run],
    options: &'a ManyOptions,
}

impl<'a> Finished<'a> {
    pub(super) fn new(app: &'a App, runs: &'a [Run], options: &'a ManyOptions) -> Self {
        Self { app, runs, options }
    }

    /// Copies what is to be copied and tells it all; `answer` is that of the tool.
    pub(super) fn tell(&self, mut answer: Value) -> Result<Ended, Stopped> {
        let mut ended = Ended::with(&answer);
        let as_json = self.options.run.json;
        for (index, run) in self.runs.iter().enumerate() {
            let Some(result) = result_of(&mut answer, index, run) else {
                continue;
            };
            result["label"] = run.label.as_str().into();
            if let Some(line) = run.line {
                result["line"] = line.into();
            }
            if self.place(run, result)? == Kept::Partly && ended == Ended::Well {
                ended = Ended::Partly;
            }
            if !as_json {
                tell_result(run, result);
            }
        }
        self.place_sheets(&mut answer)?;
        if as_json {
            report::json(&answer);
        } else {
            tell_end(&answer);
        }
        match same_failure(&answer) {
            Some(failure) => Err(Stopped::Reported(Box::new(failure))),
            None => Ok(ended),
        }
    }

    /// Notes where each output of a run is, and copies it there if a folder was given.
    fn place(&self, run: &Run, result: &mut Value) -> Result<Kept, Failure> {
        let mut kept = Kept::All;
        let outputs = result["outputs"].as_array_mut();
        for (nth, output) in outputs.into_iter().flatten().enumerate() {
            let stem = match nth {
                0 => run.stem.clone(),
                nth => format!("{}-{}", run.stem, nth + 1),
            };
            match output["asset_id"].as_str() {
                Some(asset_id) => output["path"] = json!(self.path(asset_id, &stem)?),
                None if output.get("not_kept").is_some() => kept = Kept::Partly,
                None => {}
            }
        }
        Ok(kept)
    }

    fn place_sheets(&self, answer: &mut Value) -> Result<(), Failure> {
        let first = answer["contact_sheet"].as_str().map(str::to_owned);
        let further = answer["further_sheets"].as_array();
        let further = further.into_iter().flatten().filter_map(Value::as_str);
        let sheets: Vec<String> = first
            .into_iter()
            .chain(further.map(str::to_owned))
            .collect();
        if sheets.is_empty() {
            return Ok(());
        }
        let paths = sheets
            .iter()
            .map(|asset_id| self.path(asset_id, "contact-sheet"));
        answer["contact_sheet_paths"] = json!(paths.collect::<Result<Vec<_>, _>>()?);
        Ok(())
    }

    /// Where an asset is; in the folder that was given, under a name that says what it is.
    fn path(&self, asset_id: &str, stem: &str) -> Result<PathBuf, Failure> {
        let assets = &self.app.host().assets;
        let path = assets.path(asset_id)?;
        let Some(folder) = &self.options.run.output else {
            return Ok(path);
        };
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        copy(&path, folder, &format!("{stem}.{ending}"))
    }
}

/// Whether all outputs of a run could be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    All,
    Partly,
}

/// The result of a run, by its place in a list or by its key.
fn result_of<'v>(answer: &'v mut Value, index: usize, run: &Run) -> Option<&'v mut Value> {
    match &mut answer["results"] {
        Value::Array(results) => results.get_mut(index),
        Value::Object(results) => results.get_mut(&run.label),
        _ => None,
    }
}

/// The failure of all, if nothing was made and all failed for the same reason.
fn same_failure(answer: &Value) -> Option<Failure> {
    let results: Vec<&Value> = match &answer["results"] {
        Value::Array(results) => results.iter().collect(),
        Value::Object(results) => results.values().collect(),
        _ => return None,
    };
    let code = results.first()?["error"].as_str()?;
    let is_same = results.iter().all(|result| result["error"] == code);
    is_same.then(|| Failure::new(Code::custom(code), "no run completed"))
}

/// A line for each output on stdout, and for what went wrong on stderr.
fn tell_result(run: &Run, result: &Value) {
    for output in result["outputs"].as_array().into_iter().flatten() {
        match (output["text"].as_str(), output["path"].as_str()) {
            (Some(text), _) => report::line(format_args!("{text}  {}", run.label)),
            (None, Some(path)) => report::line(seen(path, output, &run.label)),
            (None, None) => report::note(format_args!(
                "error: {}: an output could not be kept: {}",
                run.label,
                output["not_kept"]["message"].as_str().unwrap_or_default()
            )),
        }
    }
    match result["status"].as_str() {
        Some("error") => {
            let place = match run.line {
                Some(line) => format!("{} (line {line})", run.label),
                None => run.label.clone(),
            };
            let message = result["message"].as_str().unwrap_or("it failed");
            report::note(format_args!("error: {place}: {message}"));
        }
        Some("timeout") => report::note(format_args!(
            "error: {}: not over in time; it goes on as {}",
            run.label,
            result["prompt_id"].as_str().unwrap_or_default()
        )),
        _ => {}
    }
}

fn seen(path: &str, output: &Value, label: &str) -> String {
    match (output["width"].as_u64(), output["height"].as_u64()) {
        (Some(width), Some(height)) => format!("{path}  {width}x{height}  {label}"),
        _ => format!("{path}  {label}"),
    }
}

/// The contact sheet, and how it went in all.
fn tell_end(answer: &Value) {
    for path in answer["contact_sheet_paths"]
        .as_array()
        .into_iter()
        .flatten()
    {
        report::line(format_args!(
            "{}  contact sheet",
            path.as_str().unwrap_or_default()
        ));
    }
    if let Some(why) = answer["no_contact_sheet"].as_str() {
        report::note(format_args!("note: no contact sheet could be made: {why}"));
    }
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    let mut words = vec![format!(
        "{} of {} runs completed",
        count("completed"),
        count("total_jobs")
    )];
    for (name, word) in [("errors", "failed"), ("unfinished", "not over")] {
        if count(name) > 0 {
            words.push(format!("{} {word}", count(name)));
        }
    }
    report::note(words.join(", "));
}

/// Tells what runs that were over before the rest was cancelled have made, and gives it as
/// `{asset_id, path}`.
pub(super) fn what_was_over(
    app: &App,
    submitted: &[String],
    options: &RunOptions,
) -> Result<Vec<Value>, Failure> {
    let mut made = vec![];
    for prompt_id in submitted {
        for asset in app.host().jobs.kept(prompt_id)? {
            let path = app.host().assets.path(&asset.asset_id)?;
            let path = match &options.output {
                Some(folder) => copy(&path, folder, &asset.filename)?,
                None => path,
            };
            if !options.json {
                if made.is_empty() {
                    report::note("made before that:");
                }
                report::line(path.display());
            }
            made.push(json!({ "asset_id": asset.asset_id, "path": path }));
        }
    }
    Ok(made)
}
