//! What a person is shown: results on stdout, failures on stderr. The only place that prints.
//!
//! A reader that has gone away (`| head`, `2>&1 | true`) is no failure.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

use super::missing;
use crate::failure::{Code, Failure};
use crate::script::Diagnostic;

/// Exit code of a command line that makes no sense, as for any other invalid input.
const USAGE: u8 = 3;

/// Shows what clap has to say: help on stdout, mistakes on stderr.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() || printed.is_err() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// What clap has to say, for a program: its first line without the label.
pub(super) fn usage_failure(error: &clap::Error) -> Failure {
    let said = error.to_string();
    let first = said.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    Failure::new(Code::INVALID_PARAMS, message).hint("`mmf run NAME --help` lists what it takes")
}

/// Shows a failure, at its place in a script if there is one, and gives its exit code.
pub(super) fn failed(failure: &Failure, at: Option<&Diagnostic>) -> ExitCode {
    for line in told(failure, at, colours()) {
        note(line);
    }
    ExitCode::from(failure.exit_code())
}

/// What is said of a failure.
pub(super) fn told(failure: &Failure, at: Option<&Diagnostic>, colours: bool) -> Vec<String> {
    let red = if colours {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    // Where a run went on by itself, or in a script that another one called, the failure knows.
    let of_failure = || Diagnostic::of(failure);
    let frame = at.cloned().or_else(of_failure);
    let frame = frame.map(|mut at| {
        at.hint = at.hint.as_deref().map(for_the_shell);
        at
    });
    let frame = frame.map(|at| at.render(colours));
    let mut lines = vec![match &frame {
        Some(frame) => frame.clone(),
        None => format!("{}error{}: {failure}", red.0, red.1),
    }];
    if let Some(errors) = failure
        .details
        .get("node_errors")
        .and_then(Value::as_object)
    {
        for (node, errors) in errors {
            for error in errors["errors"].as_array().into_iter().flatten() {
                let line = format!(
                    "node {node} ({}): {}: {}",
                    text(&errors["class_type"]),
                    text(&error["message"]),
                    text(&error["details"])
                );
                // The message names the first of them.
                if !failure.message.contains(&line) {
                    lines.push(format!("  {line}"));
                }
            }
        }
    }
    let missing = failure.details.get("missing_models");
    lines.extend(missing.map(missing::table).unwrap_or_default());
    // A frame has its own help.
    let hint = failure.hint.as_ref().filter(|_| frame.is_none());
    lines.extend(hint.map(|hint| format!("hint: {}", for_the_shell(hint))));
    lines
}

/// What stands on the shell for a tool that a hint names.
const COMMANDS: [(&str, &str); 10] = [
    ("check_script", "`mmf script check`"),
    ("list_scripts", "`mmf script list`"),
    ("list_workflow_templates", "`mmf script list`"),
    ("get_template", "`mmf run NAME --help`"),
    ("validate_workflow", "`mmf validate`"),
    ("validate_and_fix_workflow", "`mmf validate --fix`"),
    ("search_nodes", "`mmf call search_nodes`"),
    ("list_assets", "`mmf call list_assets`"),
    ("get_all_models", "`mmf call get_all_models`"),
    ("upload_image", "`mmf call upload_image`"),
];

/// A hint in the words of the shell: others are told the names of tools.
fn for_the_shell(hint: &str) -> String {
    let words = hint.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_');
    let words = words.map(|word| {
        let name = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let command = COMMANDS.iter().find(|(tool, _)| *tool == name);
        command.map_or_else(
            || word.to_owned(),
            |(_, command)| word.replacen(name, command, 1),
        )
    });
    words.collect()
}

/// Why a part of the result could not be written, if it couldn't.
static LOST: OnceLock<String> = OnceLock::new();

/// A line of the result. A reader that has gone away (`| head`) is no failure; a full disk is.
pub(super) fn line(line: impl Display) {
    is_written(&writeln!(io::stdout(), "{line}"));
}

/// A part of the result as it is, for what is no line: a picture, a prompt.
pub(super) fn raw(text: &str) {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes());
    is_written(&written.and_then(|()| stdout.flush()));
}

/// Whether a part of the result arrived; notes why not.
pub(super) fn is_written(written: &io::Result<()>) -> bool {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error.to_string());
    }
    written.is_ok()
}

/// The exit code of a command whose result could not be written, after saying so.
pub(super) fn lost() -> Option<ExitCode> {
    let error = LOST.get()?;
    note(format_args!(
        "error: the result could not be written: {error}"
    ));
    Some(ExitCode::FAILURE)
}

/// A result as JSON: indented for a person, one line for a program.
pub(super) fn json(value: &impl Serialize) {
    let write = if io::stdout().is_terminal() {
        serde_json::to_string_pretty
    } else {
        serde_json::to_string
    };
    // Whatever is shown so far was JSON before.
    if let Ok(text) = write(value) {
        line(text);
    }
}

/// Something that is said beside the result.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether stdout shows colours.
pub(super) fn coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Whether stderr shows colours.
pub(super) fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Whether stdout shows colours.
pub(super) fn result_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// `1 error`, `2 errors`.
pub(super) fn counted(count: usize, word: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {word}{end}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
