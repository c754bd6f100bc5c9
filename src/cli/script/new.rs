//! `mmf script new`: a script to start from.

use serde_json::json;

use crate::cli::args::Global;
use crate::cli::script_args::ScriptNewArgs;
use crate::cli::{Ended, Stopped, report, start};
use crate::comfy::nodes::NodeFacts;
use crate::config::Config;
use crate::script::{Kind, save_checked, skeleton};

pub(super) fn new(global: &Global, args: &ScriptNewArgs) -> Result<Ended, Stopped> {
    let folder = Config::load(&global.overrides())?.own_scripts();
    let library = start::library(global)?;
    let source = skeleton(args.kind, &args.name);
    let facts = NodeFacts::bundled();
    let (path, _) = save_checked(&library, &folder, &source, &facts, false)?;
    let next = next(args.kind, &args.name);
    if args.json {
        report::json(&json!({
            "name": args.name, "kind": args.kind, "path": path, "next": next,
        }));
        return Ok(Ended::Well);
    }
    report::line(path.display());
    for (command, what) in next {
        report::line(format_args!("  {command:44}  {what}"));
    }
    Ok(Ended::Well)
}

/// What an author does next, and what for.
fn next(kind: Kind, name: &str) -> Vec<(String, &'static str)> {
    let mut next = vec![(format!("mmf script check {name}"), "is it right?")];
    next.push((
        format!("mmf script test {name}"),
        "does it do what it says?",
    ));
    next.push(match kind {
        Kind::Template | Kind::Pipeline => (format!("mmf run {name} --sim"), "on the simulator"),
        Kind::Tool => (
            format!("mmf call {name} --sim '{{\"words\": \"sampler\"}}'"),
            "as an agent calls it",
        ),
        Kind::Prompt | Kind::Resource => ("mmf serve".to_owned(), "offers it to clients"),
        Kind::Fixer => (
            "mmf validate WORKFLOW.json --fix".to_owned(),
            "mends with it, too",
        ),
        Kind::Hook => (
            "mmf run sd3_txt2img --sim".to_owned(),
            "calls it for each job",
        ),
        Kind::Lib => (
            format!("import \"{name}\" as {name};"),
            "in a script that uses it",
        ),
    });
    next
}
