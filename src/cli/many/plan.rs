//! The runs of a batch or a sweep, each held against what the template takes before any is queued.

use serde_json::{Map, Value, json};

use super::rows::Row;
use super::subject::Subject;
use crate::batch::{BatchError, Combination, check_size, order};
use crate::cli::{Stopped, report};
use crate::comfy::Workflow;
use crate::failure::{Code, Failure};

/// So many places of the same mistake are told one by one.
const PLACES: usize = 5;

/// A file's name with the values in it gets no longer than this, in characters.
const LONGEST_STEM: usize = 120;

/// The parameters of a run, or why it has none.
type Said = Result<Map<String, Value>, String>;

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    /// What people call it: `row 3`, a picture's name, `CFG=3.0,STEPS=20`.
    pub(super) label: String,
    /// The line of the file that says so, from 1.
    pub(super) line: Option<u64>,
    /// What its outputs are called in a folder, without an ending.
    pub(super) stem: String,
    pub(super) parameters: Map<String, Value>,
    /// What a template builds for it; where that is not known, the server has to say.
    pub(super) workflow: Option<Workflow>,
}

/// The runs of rows, over the parameters that are the same for all.
pub(super) async fn of_rows(
    subject: &Subject,
    fixed: &Map<String, Value>,
    rows: Vec<Row>,
) -> Result<Vec<Run>, Stopped> {
    let candidates = rows.into_iter().map(|row| {
        let values = row.values.map(|values| {
            let mut all = fixed.clone();
            all.extend(values);
            all
        });
        (
            Run {
                label: row.label,
                line: row.line,
                stem: tame(&row.stem),
                parameters: Map::new(),
                workflow: None,
            },
            values,
        )
    });
    checked(subject, candidates.collect(), "rows").await
}

/// The runs of a sweep.
pub(super) async fn of_combinations(
    subject: &Subject,
    combinations: Vec<Combination>,
) -> Result<Vec<Run>, Stopped> {
    let candidates = combinations
        .into_iter()
        .map(|Combination { key, parameters }| {
            let run = Run {
                stem: tame(&key),
                label: key,
                line: None,
                parameters: Map::new(),
                workflow: None,
            };
            (run, Ok(parameters))
        });
    checked(subject, candidates.collect(), "combinations").await
}

/// Those that can be run; all that can't are told at once.
async fn checked(
    subject: &Subject,
    candidates: Vec<(Run, Said)>,
    what: &str,
) -> Result<Vec<Run>, Stopped> {
    if candidates.is_empty() {
        return Err(BatchError::NoRuns.into());
    }
    check_size(candidates.len())?;
    let sets = candidates
        .iter()
        .filter_map(|(_, values)| values.clone().ok());
    let mut built = subject.built(sets.collect()).await?.into_iter();
    let total = candidates.len();
    let mut runs = Vec::with_capacity(total);
    let mut mistakes = Mistakes::default();
    for (mut run, values) in candidates {
        match values {
            Err(message) => mistakes.note(&run, Failure::new(Code::INVALID_PARAMS, message)),
            Ok(parameters) => match built.next() {
                Some(Ok(workflow)) => {
                    run.parameters = parameters;
                    run.workflow = workflow;
                    runs.push(run);
                }
                Some(Err(failure)) => mistakes.note(&run, failure),
                None => {}
            },
        }
    }
    if mistakes.count == 0 {
        return Ok(runs);
    }
    Err(mistakes.failure(&subject.name, total, what).into())
}

/// What can't be run: each mistake with the places in which it is made.
#[derive(Default)]
struct Mistakes {
    count: usize,
    told: Vec<(Failure, Vec<String>)>,
    listed: Vec<Value>,
}

impl Mistakes {
    fn note(&mut self, run: &Run, failure: Failure) {
        self.count += 1;
        let place = match run.line {
            Some(line) => format!("line {line}"),
            None => run.label.clone(),
        };
        self.listed
            .push(json!({ "label": run.label, "line": run.line, "message": failure.message }));
        match self
            .told
            .iter_mut()
            .find(|(known, _)| known.message == failure.message)
        {
            Some((_, places)) => places.push(place),
            None => self.told.push((failure, vec![place])),
        }
    }

    fn failure(self, subject: &str, total: usize, what: &str) -> Failure {
        let lines = self.told.iter().map(|(failure, places)| {
            let (said, more) = places.split_at(places.len().min(PLACES));
            let more = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("  {}{more}: {}", said.join(", "), failure.message)
        });
        let lines: Vec<String> = lines.collect();
        let message = format!(
            "{} of {total} {what} can't be run, so nothing was queued:\n{}",
            self.count,
            lines.join("\n")
        );
        Failure::new(Code::INVALID_PARAMS, message)
            .hint(format!(
                "mend them, or leave them out; `mmf run {subject} --help` tells what it takes"
            ))
            .detail("mistakes", self.listed)
    }
}

/// The order in which they are queued, by their places; as it is asked where workflows aren't
/// known.
pub(super) fn queued(runs: &[Run]) -> Vec<usize> {
    let workflows = runs.iter().map(|run| run.workflow.as_ref());
    match workflows.collect::<Option<Vec<&Workflow>>>() {
        Some(workflows) => order(&workflows),
        None => (0..runs.len()).collect(),
    }
}

/// Tells what would be queued, and in which order.
pub(super) fn tell(runs: &[Run], as_json: bool) {
    let order = queued(runs);
    if as_json {
        let told: Vec<Value> = order.iter().map(|at| described(&runs[*at], *at)).collect();
        report::json(&json!({ "total_jobs": runs.len(), "queued": told }));
        return;
    }
    let digits = runs.len().to_string().len();
    for (nth, at) in order.iter().enumerate() {
        let run = &runs[*at];
        let values = run.parameters.iter();
        let values: Vec<String> = values
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        report::line(format_args!(
            "{:digits$}  {}  {}",
            nth + 1,
            run.label,
            values.join("  ")
        ));
    }
    report::note(format_args!(
        "{} runs would be queued in this order; nothing was",
        runs.len()
    ));
}

fn described(run: &Run, index: usize) -> Value {
    let mut told = json!({ "index": index, "label": run.label, "parameters": run.parameters });
    if let Some(line) = run.line {
        told["line"] = line.into();
    }
    if let Some(workflow) = &run.workflow {
        told["workflow"] = json!(workflow);
    }
    told
}

/// A name that every file system takes.
fn tame(text: &str) -> String {
    let tame = |c: char| {
        if c.is_control() || "/\\:*?\"<>|".contains(c) {
            '_'
        } else {
            c
        }
    };
    let name: String = text.chars().map(tame).take(LONGEST_STEM).collect();
    // Windows takes neither at an end.
    name.trim_matches(['.', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_its_values_wherever_it_lies() {
        assert_eq!(tame("CFG=3.0,STEPS=20"), "CFG=3.0,STEPS=20");
        assert_eq!(tame("MODEL=sd/a:b.safetensors"), "MODEL=sd_a_b.safetensors");
        assert_eq!(tame("PROMPT=what?\nnow ..."), "PROMPT=what__now");
        assert_eq!(tame(&"ü".repeat(500)).chars().count(), LONGEST_STEM);
    }

    #[test]
    fn the_same_mistake_is_told_once_with_its_places() {
        let mut mistakes = Mistakes::default();
        for line in 2..10 {
            let run = Run {
                label: format!("row {line}"),
                line: Some(line),
                stem: String::new(),
                parameters: Map::new(),
                workflow: None,
            };
            let message = if line == 4 { "one" } else { "other" };
            mistakes.note(&run, Failure::new(Code::INVALID_PARAMS, message));
        }
        insta::assert_snapshot!(mistakes.failure("fox", 20, "rows").message, @r"
        8 of 20 rows can't be run, so nothing was queued:
          line 2, line 3, line 5, line 6, line 7 and 2 more: other
          line 4: one
        ");
    }
}
