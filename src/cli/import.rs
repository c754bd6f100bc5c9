//! `mmf import`: a workflow from elsewhere as a template of one's own; and the same on stdout for
//! `mmf convert --to rhai`.

use serde_json::json;

use super::args::{ConvertArgs, Global, ImportArgs};
use super::facts::Facts;
use super::workflow_file::{Format, WorkflowFile};
use super::{Ended, Stopped, report, start};
use crate::clock::Clock;
use crate::comfy::BigIntegers;
use crate::config::Config;
use crate::failure::Failure;
use crate::script::import::{Imported, Origin, import, is_path, name_for};
use crate::script::{Library, save_checked};

/// The name of what comes in on stdin.
const STDIN: &str = "-";

/// Writes a file's workflow as a template to stdout.
pub(super) async fn to_stdout(
    global: &Global,
    args: &ConvertArgs,
    file: &WorkflowFile,
) -> Result<Ended, Stopped> {
    let facts = Facts::choose(global, args.nodes.as_deref()).await?;
    let library = start::library(global)?;
    let imported = drafted(&library, &facts, file, args.name.as_deref())?;
    for note in &imported.notes {
        report::note(format_args!("note: {note}"));
    }
    report::line(imported.source.text.trim_end());
    Ok(Ended::Well)
}

fn drafted(
    library: &Library,
    facts: &Facts,
    file: &WorkflowFile,
    name: Option<&str>,
) -> Result<Imported, Failure> {
    let is_stdin = file.name == "stdin";
    let origin = Origin {
        value: file.value.clone(),
        title: None,
        told: (!is_stdin).then(|| file_name(&file.name)),
    };
    let own = || {
        if is_stdin {
            "imported".to_owned()
        } else {
            name_for(&file_name(&file.name))
        }
    };
    let name = name.map_or_else(own, str::to_owned);
    let clock = Clock::default();
    import(&library.generation(), &facts.nodes, &clock, &origin, &name)
}

fn file_name(path: &str) -> String {
    let name = std::path::Path::new(path).file_name();
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Saves a workflow as a template.
pub(super) async fn import_as_template(
    global: &Global,
    args: &ImportArgs,
) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let from = &args.from;
    let is_file = from == STDIN || is_path(from) || std::path::Path::new(from).is_file();
    let (library, imported, nodes) = if is_file {
        let file = WorkflowFile::read(from)?;
        file.tell_losses();
        if file.format == Format::Api && !BigIntegers::in_text(&file.text).is_empty() {
            report::note("note: whole numbers beyond 64 bits become floating point numbers");
        }
        let facts = Facts::choose(global, args.nodes.as_deref()).await?;
        let library = start::library(global)?;
        let imported = drafted(&library, &facts, &file, args.name.as_deref())?;
        (std::sync::Arc::new(library), imported, facts.nodes)
    } else {
        let app = start::app(global, false).await?;
        let host = app.host();
        let origin = Origin::official(&host.comfy, from).await?;
        let nodes = host.comfy.node_facts().await.map_err(Failure::from)?;
        let name = args.name.clone().unwrap_or_else(|| name_for(from));
        let generation = app.library().generation();
        let imported = import(&generation, &nodes, &host.clock, &origin, &name)?;
        (app.library().clone(), imported, nodes)
    };
    let folder = config.own_scripts();
    let saved = save_checked(&library, &folder, &imported.source, &nodes, args.overwrite);
    let (path, checked) = saved.map_err(|failure| {
        if failure
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("overwrite: true"))
        {
            failure.hint("--overwrite puts yours in its place, --name saves it under another name")
        } else {
            failure
        }
    })?;
    let name = &imported.source.key.name;
    let warnings = checked
        .problems
        .iter()
        .map(crate::script::Diagnostic::one_line);
    let notes: Vec<String> = imported.notes.iter().cloned().chain(warnings).collect();
    let next = format!("mmf run {name} --help");
    if args.json {
        report::json(&json!({
            "name": name,
            "path": path,
            "params": imported.params,
            "notes": notes,
            "next": next,
        }));
        return Ok(Ended::Well);
    }
    report::line(format_args!("{}", path.display()));
    let params = match imported.params.as_slice() {
        [] => "none".to_owned(),
        params => params.join(", "),
    };
    report::line(format_args!("parameters: {params}"));
    report::line(format_args!("next: {next}"));
    for note in notes {
        report::note(format_args!("note: {note}"));
    }
    Ok(Ended::Well)
}
