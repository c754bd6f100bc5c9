//! `mmf export`: the workflow that a template builds, without running it.

use super::args::{ExportArgs, ExportTarget, Global};
use super::convert::graph_of;
use super::facts::Facts;
use super::run_args::{at_data_dir, merged};
use super::script_options::parse_for;
use super::{Ended, Stopped, handed, report, start};
use crate::failure::{Code, Failure};

pub(super) async fn export(global: &Global, args: &ExportArgs) -> Result<Ended, Stopped> {
    let (name, words) = match args.words.as_slice() {
        [first, words @ ..] if !first.starts_with('-') => (first, words),
        _ => {
            let failure = Failure::new(Code::INVALID_PARAMS, "which template is to be exported?");
            let hint = "write mmf export NAME [--PARAMETER VALUE]...; `mmf script list` shows what \
                        there is";
            return Err(failure.hint(hint).into());
        }
    };
    let library = start::library(&at_data_dir(global, words))?;
    let found = handed::found(&library, name)?;
    let parsed = parse_for("export", &found.served.script, words, &args.options)?;
    let built = handed::template(found, parsed.arguments).await?;
    match parsed.options.to.unwrap_or(ExportTarget::Api) {
        ExportTarget::Api => report::json(&built.workflow),
        ExportTarget::Ui => {
            let global = merged(global, &parsed.global);
            let facts = Facts::told(&global, parsed.options.nodes.as_deref()).await?;
            report::json(&graph_of(&built.workflow, &facts)?);
        }
    }
    Ok(Ended::Well)
}
