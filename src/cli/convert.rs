//! `mmf convert`: a workflow in another format.

use super::args::{ConvertArgs, Global, Target};
use super::facts::Facts;
use super::workflow_file::{Format, WorkflowFile};
use super::{Ended, Stopped, import, report};
use crate::comfy::{BigIntegers, Workflow};

pub(super) async fn convert(global: &Global, args: &ConvertArgs) -> Result<Ended, Stopped> {
    let file = WorkflowFile::read(&args.file)?;
    if file.embedded {
        let what = match file.format {
            Format::Api => "prompt",
            Format::Ui => "graph",
        };
        report::note(format_args!("the {what} in {}", file.name));
    }
    file.tell_losses();
    let big = BigIntegers::in_text(&file.text);
    if args.to == Target::Rhai {
        return import::to_stdout(global, args, &file).await;
    }
    let workflow = match file.format {
        Format::Api => Workflow::from_json(file.value)?,
        Format::Ui => {
            let facts = Facts::choose(global, args.nodes.as_deref()).await?;
            if args.nodes.is_none() {
                report::note(format_args!("by the nodes of {}", facts.origin));
            }
            file.converted(&facts)?
        }
    };
    report::json(&big.restore(&workflow.into_json()));
    Ok(Ended::Well)
}
