//! `mmf validate --fix`: a workflow as the fixers leave it, shown as a diff.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::show::Stream;
use super::source::ApiFormat;
use super::splice::{edited, line_end, unit_of};
use crate::cli::args::Global;
use crate::cli::facts::Facts;
use crate::cli::workflow_file::MARK;
use crate::comfy::Workflow;
use crate::comfy::json::{is_strict, parse_lenient};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::script::{Correction, Library, Repaired, repair_apart};

/// So many lines are shown around a change.
const AROUND: usize = 2;

/// A workflow before and after.
pub(super) struct Fixed {
    before: ApiFormat,
    /// As it is now, with the file's own text as it has to be.
    pub(super) given: ApiFormat,
    /// What was done, and what is left.
    pub(super) repaired: Repaired,
    /// Whether the text still says all else that the file's own said.
    pub(super) loses_nothing: bool,
}

/// Refuses what could not be written back, before any work on it.
pub(super) fn can_be_written(given: &ApiFormat, file: &str) -> Result<(), Failure> {
    if given.verbatim.is_some() && file != "-" {
        return Ok(());
    }
    let message = format!("{} can't be written back to", given.name);
    Err(Failure::new(Code::INVALID_PARAMS, message)
        .hint("`mmf validate - --fix < FILE` writes the mended workflow to stdout"))
}

/// Lets the fixers at hand mend a workflow.
pub(super) fn fix(global: &Global, given: ApiFormat, facts: &Facts) -> Result<Fixed, Failure> {
    let config = Config::load(&global.overrides())?;
    let scripts = Library::load(config.script_roots())
        .within(config.limits)
        .generation();
    let workflow = Workflow::from_json(given.prompt.clone())?;
    let inspect = |nodes: &Value| facts.judge(nodes, &given.big);
    let repaired = repair_apart(&scripts, &inspect, workflow)?;
    let prompt = repaired.workflow.clone().into_json();
    let mended = |text: &String| written(text, &given, &prompt, &repaired.corrections);
    let text = mended(&given.text).unwrap_or_else(|| laid_out(&given.text, &given, &prompt));
    let verbatim = given.verbatim.as_ref().map(|text| mended(text).ok_or(text));
    let loses_nothing = !matches!(verbatim, Some(Err(text)) if !is_strict(text.as_bytes()));
    let verbatim =
        verbatim.map(|text| text.unwrap_or_else(|before| laid_out(before, &given, &prompt)));
    let after = ApiFormat {
        text,
        prompt: prompt.clone(),
        name: given.name.clone(),
        wrappers: given.wrappers.clone(),
        big: given.big.clone(),
        verbatim,
        marked: given.marked,
    };
    Ok(Fixed {
        before: given,
        given: after,
        repaired,
        loses_nothing,
    })
}

/// The text with the corrections in it; none if they can't be put into it.
fn written(
    old: &str,
    given: &ApiFormat,
    prompt: &Value,
    corrections: &[Correction],
) -> Option<String> {
    let wrappers = &given.wrappers;
    let nodes_in = |text: &str| -> Option<Value> {
        let mut value = parse_lenient::<Value>(text.as_bytes()).ok()?;
        for key in wrappers {
            value = value.get_mut(*key)?.take();
        }
        Some(value)
    };
    let text = edited(old, wrappers, corrections)?;
    (nodes_in(&text).as_ref() == Some(prompt)).then_some(text)
}

/// The text laid out anew, with these nodes in it.
fn laid_out(old: &str, given: &ApiFormat, prompt: &Value) -> String {
    let mut whole = parse_lenient::<Value>(old.as_bytes()).unwrap_or_default();
    let mut place = &mut whole;
    for key in &given.wrappers {
        place = &mut place[*key];
    }
    *place = prompt.clone();
    let unit = unit_of(old).unwrap_or("  ");
    let mut text = vec![];
    let layout = serde_json::ser::PrettyFormatter::with_indent(unit.as_bytes());
    let mut writer = serde_json::Serializer::with_formatter(&mut text, layout);
    match serde::Serialize::serialize(&given.big.restore(&whole), &mut writer) {
        Ok(()) => format!("{}\n", String::from_utf8_lossy(&text)),
        Err(_) => format!("{whole:#}\n"),
    }
    .replace('\n', line_end(old))
}

impl Fixed {
    /// `{corrections, workflow, failed_fixers}`, beside what is left.
    pub(super) fn add_to(&self, told: &mut Value) {
        told["corrections"] = json!(self.repaired.corrections);
        told["workflow"] = self.given.prompt.clone();
        if !self.repaired.failed.is_empty() {
            told["failed_fixers"] = json!(self.repaired.failed);
        }
    }

    /// The changed lines, and what was done why.
    pub(super) fn show(&self, stream: Stream) {
        let say = |line: &str| stream.say(line);
        self.show_diff(stream);
        // What was done together is told together.
        let is_one = |one: &Correction, next: &Correction| {
            (&one.fixer, &one.node_id, &one.reason) == (&next.fixer, &next.node_id, &next.reason)
        };
        for together in self.repaired.corrections.chunk_by(is_one) {
            say(&self.sentence(together));
        }
        for failed in &self.repaired.failed {
            say(&format!("the fixer {failed}"));
        }
        if !self.repaired.corrections.is_empty() {
            say("");
        }
    }

    fn sentence(&self, together: &[Correction]) -> String {
        let Some(Correction {
            node_id,
            fixer,
            reason,
            ..
        }) = together.first()
        else {
            return String::new();
        };
        let class = self.given.prompt[node_id]["class_type"].as_str();
        let class = class.unwrap_or_default();
        let changes = together.iter().map(|one| {
            let field = &one.field;
            match (one.removed, one.from.is_null()) {
                (true, _) => format!("{field}: {} taken out", one.from),
                (_, true) => format!("{field}: {}", one.to),
                _ => format!("{field}: {} -> {}", one.from, one.to),
            }
        });
        let changes: Vec<String> = changes.collect();
        format!(
            "{fixer}: node {node_id} ({class}), {} ({reason})",
            changes.join(", ")
        )
    }

    fn show_diff(&self, stream: Stream) {
        let (before, after) = (&self.before.text, &self.given.text);
        if before == after {
            return;
        }
        let colours = stream.shows_colours();
        let paint = |line: &str, colour: &str| {
            if colours {
                format!("\x1b[{colour}m{line}\x1b[0m")
            } else {
                line.to_owned()
            }
        };
        let say = |line: &str| stream.say(line);
        let name = &self.before.name;
        say(&paint(&format!("--- {name}"), "1"));
        say(&paint(&format!("+++ {name}, mended"), "1"));
        let diff = TextDiff::from_lines(before, after);
        for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
            say(&paint(&hunk.header().to_string(), "36"));
            for change in hunk.iter_changes() {
                let line = change.value().trim_end_matches(['\n', '\r']);
                say(&match change.tag() {
                    ChangeTag::Delete => paint(&format!("-{line}"), "31"),
                    ChangeTag::Insert => paint(&format!("+{line}"), "32"),
                    ChangeTag::Equal => format!(" {line}"),
                });
            }
        }
        say("");
    }

    /// Writes it back into the file that it came from, whole or not at all; false if nothing was
    /// mended.
    pub(super) fn write(&self, file: &str) -> Result<bool, Failure> {
        can_be_written(&self.before, file)?;
        let text = self.given.verbatim.as_ref();
        let Some(text) = text.filter(|_| !self.repaired.corrections.is_empty()) else {
            return Ok(false);
        };
        if !self.loses_nothing {
            let message = format!("{file} would lose what JSON has no words for, such as NaN");
            return Err(Failure::new(Code::VALIDATION_ERROR, message)
                .hint("nothing was changed; write null or a number there, and no key twice"));
        }
        let failed = |error: std::io::Error| {
            let message = format!("{file} can't be written: {error}");
            Failure::new(Code::INTERNAL_ERROR, message).hint("nothing was changed")
        };
        // A link stays a link.
        let target = Path::new(file).canonicalize().map_err(failed)?;
        let folder = target.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let mark = if self.given.marked { MARK } else { "" };
        new.write_all(mark.as_bytes()).map_err(failed)?;
        new.write_all(text.as_bytes()).map_err(failed)?;
        new.as_file().sync_all().map_err(failed)?;
        let permissions = target.metadata().map_err(failed)?.permissions();
        new.as_file().set_permissions(permissions).map_err(failed)?;
        new.persist(&target).map_err(|error| failed(error.error))?;
        Ok(true)
    }
}
