//! Findings on a terminal: the line, a caret, the advice.

use std::fmt::Display;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde_json::Value;

use super::places::Places;
use super::source::ApiFormat;
use crate::cli::facts::Facts;
use crate::cli::report;
use crate::comfy::check::{Finding, Severity};

/// Where something is shown.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    /// On stdout.
    Out,
    /// On stderr, where stdout has the workflow itself.
    Err,
}

impl Stream {
    pub(super) fn say(self, line: impl Display) {
        match self {
            Self::Out => report::line(line),
            Self::Err => report::note(line),
        }
    }

    pub(super) fn shows_colours(self) -> bool {
        match self {
            Self::Out => report::result_colours(),
            Self::Err => report::colours(),
        }
    }
}

/// The findings, how many there are, and by which facts.
pub(super) fn all(given: &ApiFormat, findings: &[&Finding], facts: &Facts, stream: Stream) {
    one_by_one(given, findings, stream);
    summary(given, findings, facts, stream);
}

/// In the order of their places.
fn one_by_one(given: &ApiFormat, findings: &[&Finding], stream: Stream) {
    let colours = stream.shows_colours();
    let places = Places::of(&given.text);
    let lines = Lines::of(&given.text);
    let mut ordered: Vec<(Option<Range<usize>>, &Finding)> = findings
        .iter()
        .map(|finding| (span(given, &places, finding), *finding))
        .collect();
    ordered.sort_by_key(|(span, _)| span.as_ref().map(|span| span.start));
    for (span, finding) in ordered {
        stream.say(render(given, &lines, span, finding, colours));
        stream.say("");
    }
}

fn summary(given: &ApiFormat, findings: &[&Finding], facts: &Facts, stream: Stream) {
    let found = tally(findings);
    stream.say(format_args!(
        "{}: {found}, judged by {}",
        given.name, facts.origin
    ));
}

/// How many errors and warnings there are.
pub(in crate::cli) fn tally(findings: &[&Finding]) -> String {
    let count = |severity| {
        findings
            .iter()
            .filter(|one| one.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match (errors, warnings) {
        (0, 0) => "nothing wrong".to_owned(),
        (0, warnings) => report::counted(warnings, "warning"),
        (errors, 0) => report::counted(errors, "error"),
        (errors, warnings) => {
            format!(
                "{}, {}",
                report::counted(errors, "error"),
                report::counted(warnings, "warning")
            )
        }
    }
}

/// Where the lines of a text begin. A finding is laid out within its own lines: within the whole
/// text, thousands of findings would take minutes.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The number of the line in which a place is, from 1, and where the line begins.
    fn at(&self, place: usize) -> (usize, usize) {
        let number = self.0.partition_point(|begin| *begin <= place).max(1);
        (number, self.0[number - 1])
    }

    /// Where the line of a place ends, at most at the end of the text.
    fn end(&self, place: usize, text: &str) -> usize {
        let (number, _) = self.at(place);
        self.0.get(number).copied().unwrap_or(text.len())
    }
}

fn render(
    given: &ApiFormat,
    lines: &Lines,
    span: Option<Range<usize>>,
    finding: &Finding,
    colours: bool,
) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&*finding.message).id(finding.kind);
    let mut group = match span {
        Some(span) => {
            let (number, begin) = lines.at(span.start);
            let end = lines.end(span.end, &given.text).max(span.end);
            title.element(
                Snippet::source(&given.text[begin..end])
                    .line_start(number)
                    .path(&*given.name)
                    .annotation(AnnotationKind::Primary.span(span.start - begin..span.end - begin)),
            )
        }
        None => title.element(Origin::path(&*given.name)),
    };
    if let Some(id) = &finding.node_id {
        let at = match finding.input.as_deref() {
            Some(input) if input != "class_type" => format!(", input {input}"),
            _ => String::new(),
        };
        let place = format!("node {id} ({}){at}", finding.class_type);
        group = group.element(Level::NOTE.message(place));
    }
    for advice in advice(finding) {
        group = group.element(Level::HELP.message(advice));
    }
    let renderer = if colours {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&[group])
}

/// What stands in the text and is meant: the value; for one that is missing the node's class.
fn span(given: &ApiFormat, places: &Places, finding: &Finding) -> Option<Range<usize>> {
    let id = finding.node_id.as_deref()?;
    let place = |keys: &[&str]| {
        let mut path = given.wrappers.clone();
        path.push(id);
        path.extend(keys);
        places.get(&path)
    };
    let value = match finding.input.as_deref() {
        Some("class_type") => place(&["class_type"]),
        Some("inputs") => place(&["inputs"]),
        Some(input) => place(&["inputs", input]),
        None => None,
    };
    let class = || place(&["class_type"]).map(|place| place.value.clone());
    let node = || place(&[]).map(|place| place.key.clone());
    let whole = value.map(|place| place.value.clone());
    let span = whole.or_else(class).or_else(node)?;
    // A value of several lines is shown by its first.
    let shown = &given.text[span.clone()];
    let first = shown.lines().next().unwrap_or_default().len();
    Some(span.start..span.start + first)
}

/// What can be put there instead.
pub(in crate::cli) fn advice(finding: &Finding) -> Vec<String> {
    let mut advice = vec![];
    if let Some(allowed) = allowed(&finding.allowed) {
        advice.push(allowed);
    }
    if !finding.suggestion.is_null() {
        advice.push(format!("put {} there", finding.suggestion));
    } else if !finding.nearest.is_null() {
        advice.push(format!("the nearest is {}", finding.nearest));
    }
    advice
}

fn allowed(allowed: &Value) -> Option<String> {
    if let Some(choices) = allowed["choices"].as_array() {
        let shown: Vec<String> = choices.iter().map(Value::to_string).collect();
        let more = allowed["count"].as_u64().unwrap_or_default();
        let more = more.saturating_sub(shown.len() as u64);
        return Some(match (shown.is_empty(), more) {
            (true, _) => "there is nothing to choose from".to_owned(),
            (false, 0) => format!("allowed: {}", shown.join(", ")),
            (false, more) => format!("allowed: {} and {more} more", shown.join(", ")),
        });
    }
    let bound = |name: &str| Some(&allowed[name]).filter(|bound| !bound.is_null());
    let range = match (bound("min"), bound("max")) {
        (Some(min), Some(max)) => Some(format!("allowed: {min} to {max}")),
        (Some(min), None) => Some(format!("allowed: {min} and more")),
        (None, Some(max)) => Some(format!("allowed: up to {max}")),
        (None, None) => None,
    };
    range.or_else(|| Some(format!("it takes {}", allowed["type"].as_str()?)))
}
