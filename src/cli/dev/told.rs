//! What is shown of a save, on stdout.

use std::collections::BTreeSet;

use crate::cli::facts::Facts;
use crate::cli::validate::{advice, tally};
use crate::cli::{Stopped, diff, report, workflow_table};
use crate::comfy::check::Finding;
use crate::comfy::compare::compare;
use crate::comfy::{BigIntegers, Workflow};
use crate::script::{Diagnostic, Key};
use crate::vram::Estimate;

/// What the script stops at.
pub(super) fn stopped(stopped: Stopped) {
    match stopped {
        Stopped::Usage(error) => report::line(error.to_string().trim_end()),
        Stopped::Failed(failure, at) => {
            let lines = report::told(&failure, at.as_deref(), report::coloured());
            lines.into_iter().for_each(report::line);
        }
        Stopped::Reported(_) => {}
    }
}

/// What is wrong with the script.
pub(super) fn mistakes(problems: &[Diagnostic]) {
    for problem in problems {
        report::line(problem.render(report::coloured()));
    }
}

/// Which parameters were left open, if any were.
pub(super) fn open(names: &BTreeSet<String>) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Some(format!(
        "not given, and needed to run it: {}",
        names.join(", ")
    ))
}

/// What a workflow is that was not there before.
pub(super) fn summary(key: &Key, workflow: &Workflow) {
    report::line(format_args!("{key}: {}", workflow_table::summary(workflow)));
}

/// What is different from the workflow before.
pub(super) fn difference(before: &Workflow, workflow: &Workflow) {
    let found = compare(before, workflow);
    if found.identical && found.nodes_retitled.is_empty() {
        report::line("the workflow is the same");
    } else {
        diff::show(before, workflow, &found);
    }
}

/// The workflow, a node a line.
pub(super) fn table(workflow: &Workflow) {
    workflow_table::table(workflow)
        .into_iter()
        .for_each(report::line);
}

/// What is wrong with the workflow.
pub(super) fn findings(workflow: &Workflow, facts: &Facts) {
    let prompt = workflow.clone().into_json();
    let judged = facts.judge(&prompt, &BigIntegers::none());
    let findings: Vec<&Finding> = judged.told().collect();
    for finding in &findings {
        let word = if finding.is_error() {
            "error"
        } else {
            "warning"
        };
        let input = finding.input.as_deref().filter(|it| *it != "class_type");
        let input = input.map_or_else(String::new, |input| format!(" [{input}]"));
        let kind = finding.kind;
        report::line(format_args!(
            "{word}[{kind}]: {}{input}",
            finding.sentence()
        ));
        for advice in advice(finding) {
            report::line(format_args!("  = help: {advice}"));
        }
    }
    let tally = tally(&findings);
    report::line(format_args!("{tally}, judged by {}", facts.origin));
}

/// What memory it needs.
pub(super) fn memory(estimate: &Estimate) {
    let needs = match (estimate.estimated_vram_gb, estimate.available_vram_gb) {
        (Some(needs), Some(free)) => format!("{needs:.1} GB of {free:.1} GB that are free"),
        (Some(needs), None) => format!("{needs:.1} GB"),
        (None, _) => "can't be told".to_owned(),
    };
    report::line(format_args!("memory: {needs}; {}", estimate.recommendation));
}
