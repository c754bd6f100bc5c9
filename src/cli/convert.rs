//! `mmf convert`: a workflow in another format.

use serde_json::Value;

use super::args::{ConvertArgs, Global, Target};
use super::facts::Facts;
use super::workflow_file::{Format, WorkflowFile};
use super::{Ended, Stopped, import, report};
use crate::comfy::drawing::to_ui;
use crate::comfy::{BigIntegers, Workflow};
use crate::failure::Failure;

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
    let facts = Facts::told(global, args.nodes.as_deref());
    let written = match (file.format, args.to) {
        (_, Target::Rhai) => return import::to_stdout(global, args, &file).await,
        (Format::Api, Target::Api) => Workflow::from_json(file.value)?.into_json(),
        (Format::Ui, Target::Api) => file.converted_as_is(&facts.await?, args.as_is)?.into_json(),
        (Format::Api, Target::Ui) => graph_of(&Workflow::from_json(file.value)?, &facts.await?)?,
        // It is one, with all that somebody drew.
        (Format::Ui, Target::Ui) => file.value,
    };
    report::json(&big.restore(&written));
    Ok(Ended::Well)
}

/// A prompt as a graph of the editor; what is not quite the same in it is told on stderr.
pub(super) fn graph_of(workflow: &Workflow, facts: &Facts) -> Result<Value, Failure> {
    let drawn = to_ui(workflow, &facts.nodes)?;
    for remark in &drawn.remarks {
        report::note(format_args!("note: {remark}"));
    }
    Ok(drawn.graph)
}
