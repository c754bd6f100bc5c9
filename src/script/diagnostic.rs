//! Where a script is wrong, shown the way a good compiler shows it.

use std::fmt;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use rhai::Position;
use serde::Serialize;
use serde_json::{Value, json};

use super::{FailedNode, MadeAt, Mistake};
use crate::failure::{Code, Failure};

/// Lines beyond this are not shown: nobody wrote them by hand, and they would bury the message.
const LONGEST_LINE: usize = 1_000;

/// How bad a mistake is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The script can't do what it says there.
    #[default]
    Error,
    /// It may well be wrong.
    Warning,
}

/// One mistake in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Of which sort it is.
    pub code: Mistake,
    /// What is wrong, as a sentence fragment.
    pub message: String,
    /// The script's file; `templates/NAME.rhai` for a built-in one.
    pub path: PathBuf,
    /// The line, from 1; absent when the mistake is about the script as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The text of that line, unless it's far too long to be shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_line: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The calls that led here, the innermost first: `in prompt_pair (scripts/lib/text.rhai:12)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
    /// The node of a workflow that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<FailedNode>,
}

/// A line of a text, from 1, unless it is far too long to be shown.
pub(super) fn shown_line(text: &str, line: usize) -> String {
    let line = text.lines().nth(line.saturating_sub(1));
    let line = line.filter(|line| line.len() <= LONGEST_LINE);
    line.unwrap_or_default().to_owned()
}

impl Diagnostic {
    /// A mistake at `position` of `text`.
    #[must_use]
    pub fn new(message: String, path: PathBuf, text: &str, position: Position) -> Self {
        let line = position.line();
        Self {
            severity: Severity::Error,
            code: Mistake::default(),
            message,
            path,
            line,
            column: line.and(position.position()),
            source_line: line.map(|line| shown_line(text, line)).unwrap_or_default(),
            hint: None,
            trace: vec![],
            node: None,
        }
    }

    /// A mistake of a file as a whole.
    #[must_use]
    pub fn of_file(message: String, path: PathBuf) -> Self {
        Self::new(message, path, "", Position::NONE)
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same as a mistake of this sort.
    #[must_use]
    pub fn code(mut self, code: Mistake) -> Self {
        self.code = code;
        self
    }

    /// The same as something that may well be wrong.
    #[must_use]
    pub fn doubt(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What an editor underlines and says: `{path, line, column, end, severity, code, message,
    /// hint}`. Lines and columns count from 1, columns in characters; `end` is the column behind
    /// the last one underlined. They are null for a mistake of the script as a whole.
    #[must_use]
    pub fn for_editors(&self) -> Value {
        let underlined = self.source_line[span(&self.source_line, self.column)]
            .chars()
            .count();
        json!({
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "end": self.column.map(|column| column + underlined.max(1)),
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        })
    }

    /// A failure with its place, for programs: `at: {path, line, column, source}`, `trace`, and for a
    /// mistake of the script the `frame` that people are shown.
    #[must_use]
    pub fn tell(&self, failure: Failure) -> Failure {
        let mut at = json!({ "path": self.path });
        if let Some(line) = self.line {
            at["line"] = line.into();
            at["column"] = json!(self.column);
            at["source"] = self.source_line.as_str().into();
        }
        let is_mistake = failure.code == Code::SCRIPT_ERROR;
        let mut failure = failure.detail("at", at);
        if !self.trace.is_empty() {
            failure = failure.detail("trace", self.trace.as_slice());
        }
        if is_mistake {
            failure = failure.detail("frame", self.render(false));
        }
        failure
    }

    /// The place that [`Diagnostic::tell`] gave a failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Option<Self> {
        let at = failure.details.get("at")?;
        let number = |name: &str| usize::try_from(at[name].as_u64()?).ok();
        let trace = failure.details.get("trace").and_then(Value::as_array);
        let trace = trace.into_iter().flatten().filter_map(Value::as_str);
        Some(Self {
            line: number("line"),
            column: number("column"),
            source_line: at["source"].as_str().unwrap_or_default().to_owned(),
            hint: failure.hint.clone(),
            trace: trace.map(str::to_owned).collect(),
            node: FailedNode::of(failure),
            ..Self::of_file(failure.message.clone(), at["path"].as_str()?.into())
        })
    }

    /// `path:line:column: message`, for logs and one-line answers.
    #[must_use]
    pub fn one_line(&self) -> String {
        let path = self.path.display();
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{path}:{line}:{column}: {}", self.message),
            (Some(line), None) => format!("{path}:{line}: {}", self.message),
            _ => format!("{path}: {}", self.message),
        }
    }

    /// The mistake with its source line and a caret below it, as plain text or in colours.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let path = self.path.display().to_string();
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(&*self.message)
            .elements(self.line.map(|line| {
                Snippet::source(&*self.source_line)
                    .line_start(line)
                    .path(&*path)
                    .annotation(AnnotationKind::Primary.span(span(&self.source_line, self.column)))
            }));
        if self.line.is_none() {
            group = group.element(annotate_snippets::Origin::path(&*path));
        }
        for call in &self.trace {
            group = group.element(Level::NOTE.message(&**call));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(&**hint));
        }
        let mut groups = vec![];
        let node_at = self
            .node
            .as_ref()
            .and_then(|node| Some((node, node.at.as_ref()?)));
        let node_at = node_at.filter(|(_, at)| !self.is_at(at));
        match (&self.node, node_at) {
            (_, Some((node, at))) => groups.push(made_here(node, at)),
            (Some(node), None) if node.title.is_some() => {
                group = group.element(Level::NOTE.message(format!("it is {}", node.words())));
            }
            _ => {}
        }
        groups.insert(0, group);
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&groups)
    }

    fn is_at(&self, at: &MadeAt) -> bool {
        self.path == at.path && self.line == Some(at.line)
    }
}

/// The line that made a node.
fn made_here(node: &FailedNode, at: &MadeAt) -> Group<'static> {
    let title = format!("{} is made here", node.words());
    let snippet = Snippet::source(at.source.clone())
        .line_start(at.line)
        .path(at.path.display().to_string())
        .annotation(AnnotationKind::Primary.span(span(&at.source, Some(at.column))));
    Level::NOTE.secondary_title(title).element(snippet)
}

/// The bytes of `source_line` that the caret underlines: the word or the quoted text at the
/// column, or one character.
fn span(source_line: &str, column: Option<usize>) -> std::ops::Range<usize> {
    let offset = column.map_or(0, |column| column.saturating_sub(1));
    let start = source_line
        .char_indices()
        .nth(offset)
        .map_or(source_line.len(), |(start, _)| start);
    let rest = &source_line[start..];
    let word: usize = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .map(char::len_utf8)
        .sum();
    let one = rest.chars().next().map_or(0, char::len_utf8);
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.find('"'));
    let quoted = quoted.map_or(0, |length| length + 2);
    start..start + word.max(one).max(quoted)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_word_that_is_wrong() {
        let text = "title(\"x\");\nfn build(p) {\n    let é = p.PROMT;\n}\n";
        let mut diagnostic = Diagnostic::new(
            "no property \"PROMT\"".into(),
            "templates/mine.rhai".into(),
            text,
            Position::new(3, 15),
        )
        .hint(Some("did you mean \"PROMPT\"?".into()));
        diagnostic
            .trace
            .push("in build (templates/mine.rhai)".into());
        insta::assert_snapshot!(diagnostic, @r#"
        error: no property "PROMT"
         --> templates/mine.rhai:3:15
          |
        3 |     let é = p.PROMT;
          |               ^^^^^
          |
          = note: in build (templates/mine.rhai)
          = help: did you mean "PROMPT"?
        "#);
    }

    #[test]
    fn a_position_past_the_end_is_still_shown() {
        let diagnostic =
            Diagnostic::new("no end".into(), "a.rhai".into(), "fn", Position::new(1, 9));
        assert!(diagnostic.to_string().contains("a.rhai:1"), "{diagnostic}");
    }
}
