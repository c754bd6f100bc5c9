//! `mmf import`: a workflow from elsewhere as a template of one's own; and the same on stdout for
//! `mmf convert --to rhai`.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{ConvertArgs, Global, ImportArgs};
use super::facts::Facts;
use super::workflow_file::{WorkflowFile, with_as_is};
use super::{Ended, Stopped, report, start};
use crate::clock::Clock;
use crate::comfy::BigIntegers;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::{Editor, Options};
use crate::config::Config;
use crate::failure::Failure;
use crate::script::import::{Foreign, ImportError, Imported, editor_of, import, is_path, name_for};
use crate::script::{Diagnostic, Library, save_checked};

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
    let imported = drafted(&library, &facts, file, args.name.as_deref(), args.as_is)?;
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
    as_is: bool,
) -> Result<Imported, Failure> {
    let is_stdin = file.name == "stdin";
    let foreign = Foreign {
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
    let options = options(&Clock::default(), facts.editor(), as_is);
    let imported = import(
        &library.generation(),
        &facts.nodes,
        &options,
        &foreign,
        &name,
    );
    imported.map_err(failed)
}

fn options(clock: &Clock, editor: Editor, as_is: bool) -> Options {
    Options {
        as_is,
        editor,
        ..Options::new(clock)
    }
}

fn failed(error: ImportError) -> Failure {
    match error {
        ImportError::Graph(error) => with_as_is(error),
        other => other.into(),
    }
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// A template on its way to its place.
struct Prepared {
    library: Arc<Library>,
    imported: Imported,
    facts: Arc<NodeFacts>,
}

/// Saves a workflow as a template, and tells where it is and what to do with it.
pub(super) async fn import_as_template(
    global: &Global,
    args: &ImportArgs,
) -> Result<Ended, Stopped> {
    let folder = Config::load(&global.overrides())?.own_scripts();
    let from = &args.from;
    let is_file = from == STDIN || is_path(from) || Path::new(from).is_file();
    let prepared = if is_file {
        of_file(global, args).await?
    } else {
        of_template(global, args).await?
    };
    let Prepared {
        library,
        imported,
        facts,
    } = prepared;
    let source = &imported.source;
    let (path, checked) = save_checked(&library, &folder, source, &facts, args.overwrite)?;
    let mut remarks = imported.notes.clone();
    remarks.extend(checked.problems.iter().map(Diagnostic::one_line));
    let told = json!({
        "name": source.key.name,
        "path": path,
        "params": imported.params,
        "notes": remarks,
        "next": format!("mmf run {} --help", source.key.name),
    });
    if args.json {
        report::json(&told);
    } else {
        tell(&told, &imported.params);
        for remark in remarks {
            report::note(format_args!("note: {remark}"));
        }
    }
    Ok(Ended::Well)
}

fn tell(told: &Value, params: &[String]) {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let params = if params.is_empty() {
        "none".to_owned()
    } else {
        params.join(", ")
    };
    report::line(text("path"));
    report::line(format_args!("parameters: {params}"));
    report::line(format_args!("next: {}", text("next")));
}

async fn of_file(global: &Global, args: &ImportArgs) -> Result<Prepared, Failure> {
    let file = WorkflowFile::read(&args.from)?;
    file.tell_losses();
    if !BigIntegers::in_text(&file.text).is_empty() {
        report::note("note: whole numbers beyond 64 bits become floating point numbers");
    }
    let facts = Facts::choose(global, args.nodes.as_deref()).await?;
    let library = start::library(global)?;
    let imported = drafted(&library, &facts, &file, args.name.as_deref(), args.as_is)?;
    Ok(Prepared {
        library: Arc::new(library),
        imported,
        facts: facts.nodes,
    })
}

async fn of_template(global: &Global, args: &ImportArgs) -> Result<Prepared, Failure> {
    let app = start::app(global, false).await?;
    let host = app.host();
    let foreign = Foreign::official(&host.comfy, &args.from).await?;
    let facts = host.comfy.node_facts().await?;
    let name = args.name.clone();
    let name = name.unwrap_or_else(|| name_for(&args.from));
    let library = app.library().clone();
    let generation = library.generation();
    let options = options(&host.clock, editor_of(&host.comfy).await, args.as_is);
    let imported = import(&generation, &facts, &options, &foreign, &name).map_err(failed)?;
    Ok(Prepared {
        library,
        imported,
        facts,
    })
}
