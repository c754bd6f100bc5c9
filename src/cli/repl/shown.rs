//! What an input came to, on stdout.

use crate::app::App;
use crate::cli::copy::assets_in;
use crate::cli::{report, show, workflow_table};
use crate::script::repl::{Made, MadeValue};

/// So many characters of a list or map stand in one line; larger ones are laid out.
const LINE: usize = 80;

/// Shows it: a workflow as a table, values as JSON, assets with their files.
pub(super) fn show(app: &App, made: &Made) {
    match &made.value {
        MadeValue::Nothing => {}
        MadeValue::Workflow(workflow) => {
            report::line(workflow_table::summary(workflow));
            for line in workflow_table::table(workflow) {
                report::line(line);
            }
        }
        MadeValue::Reply(reply) => show::reply(reply),
        MadeValue::Told(told) => report::line(told),
        MadeValue::Json(value) => {
            let short = value.to_string();
            let laid_out = serde_json::to_string_pretty(value);
            match laid_out {
                Ok(laid_out) if short.chars().count() > LINE => report::line(laid_out),
                _ => report::line(short),
            }
            for id in assets_in(&app.host().assets, value) {
                if let Ok(path) = app.host().assets.path(id) {
                    report::line(format_args!("{id}: {}", path.display()));
                }
            }
        }
    }
}
