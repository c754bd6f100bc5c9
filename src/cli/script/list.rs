//! `mmf script list`: the scripts at hand.

use serde_json::{Value, json};

use crate::cli::args::Global;
use crate::cli::{Ended, Stopped, report};
use crate::config::Config;
use crate::script::{Generation, Library};

pub(super) fn list(global: &Global, json: bool) -> Result<Ended, Stopped> {
    let config = Config::load(&global.overrides())?;
    let generation = Library::load(config.script_roots()).generation();
    let listing = generation.listing();
    if json {
        report::json(&json!({ "scripts": listing }));
    } else {
        show(&generation, &listing);
    }
    let whole = generation.problems().is_empty() && generation.facts_faults().next().is_none();
    Ok(if whole { Ended::Well } else { Ended::Partly })
}

fn show(generation: &Generation, listing: &[Value]) {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let width = listing
        .iter()
        .map(|entry| text(entry, "name").len())
        .max()
        .unwrap_or(0);
    for entry in listing {
        let broken = if entry["problem"].is_null() {
            ""
        } else {
            "  BROKEN"
        };
        report::line(format_args!(
            "{:8}  {:width$}  {:8}  {}{broken}",
            text(entry, "kind"),
            text(entry, "name"),
            text(entry, "layer"),
            text(entry, "title"),
        ));
    }
    for problem in generation.problems().values() {
        report::note(format_args!("\n{}", problem.render(report::colours())));
    }
    for fault in generation.facts_faults() {
        report::note(format_args!("\n{fault}"));
    }
    for (path, reason) in generation.unreadable() {
        report::note(format_args!("{}: {reason}", path.display()));
    }
}
