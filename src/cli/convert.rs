//! `mmf convert`: a workflow in another format.

use super::args::{ConvertArgs, Global, Target};
use super::workflow_file::{Format, WorkflowFile};
use super::{Ended, Stopped, node_facts, report};
use crate::clock::Clock;
use crate::comfy::Workflow;
use crate::comfy::ui::{Options, to_api};

pub(super) async fn convert(global: &Global, args: &ConvertArgs) -> Result<Ended, Stopped> {
    // The one that there is so far.
    let Target::Api = args.to;
    let file = WorkflowFile::read(&args.file)?;
    if file.embedded {
        let what = match file.format {
            Format::Api => "prompt",
            Format::Ui => "graph",
        };
        report::note(format_args!("the {what} in {}", file.name));
    }
    let workflow = match file.format {
        Format::Api => Workflow::from_json(file.value)?,
        Format::Ui => {
            let facts = node_facts::read(global, args.nodes.as_deref()).await?;
            let converted = to_api(&file.value, &facts, &Options::new(&Clock::default()))?;
            for note in &converted.notes {
                report::note(format_args!("note: {note}"));
            }
            converted.workflow
        }
    };
    report::json(&workflow.into_json());
    Ok(Ended::Well)
}
