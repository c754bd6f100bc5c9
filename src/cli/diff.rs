//! `mmf diff`: how two workflows differ.

use std::io::{self, IsTerminal};

use serde_json::Value;

use super::args::{DiffArgs, Global};
use super::handed::{Asked, Handed, workflow};
use super::{Ended, Stopped, report};
use crate::comfy::compare::{Change, Comparison, compare};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::{Workflow, link};
use crate::failure::{Code, Failure};

/// The most letters that are shown of a value.
const LETTERS: usize = 64;

/// So many letters are shown before the first that is different.
const BEFORE: usize = 16;

pub(super) async fn diff(global: &Global, args: &DiffArgs) -> Result<Ended, Stopped> {
    let found = run(global, args).await;
    if args.json {
        found.map_err(Stopped::told_as_json)
    } else {
        found
    }
}

async fn run(global: &Global, args: &DiffArgs) -> Result<Ended, Stopped> {
    if args.before == "-" && args.after == "-" {
        let message = "only one of the workflows can come from stdin";
        return Err(Failure::new(Code::INVALID_PARAMS, message).into());
    }
    let mut asked = Asked::new(global, args.nodes.as_deref());
    let before = workflow(global, &args.before, &mut asked).await?;
    let after = workflow(global, &args.after, &mut asked).await?;
    let found = compare(&before.workflow, &after.workflow);
    if args.json {
        report::json(&found);
    } else {
        Shown::new(&before, &after).all(&found);
    }
    Ok(if found.identical {
        Ended::Well
    } else {
        Ended::Different
    })
}

/// The two workflows, and how their differences are shown.
struct Shown<'a> {
    before: &'a Workflow,
    after: &'a Workflow,
    names: (&'a str, &'a str),
    /// For the names of outputs only, which are the same everywhere.
    facts: std::sync::Arc<NodeFacts>,
    colours: bool,
}

impl<'a> Shown<'a> {
    fn new(before: &'a Handed, after: &'a Handed) -> Self {
        Self {
            before: &before.workflow,
            after: &after.workflow,
            names: (&before.name, &after.name),
            facts: NodeFacts::bundled(),
            colours: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    fn say(&self, line: &str, colour: &str) {
        if self.colours {
            report::line(format_args!("\x1b[{colour}m{line}\x1b[0m"));
        } else {
            report::line(line);
        }
    }

    fn all(&self, found: &Comparison) {
        if !found.identical {
            self.say(&format!("--- {}", self.names.0), "1");
            self.say(&format!("+++ {}", self.names.1), "1");
        }
        for node in &found.nodes_removed {
            self.say(&format!("- {}", called(self.before, &node.id)), "31");
            for (input, value) in &node.inputs {
                let value = self.value(self.before, value, 0);
                self.say(&format!("-     {input}: {value}"), "31");
            }
        }
        for node in &found.nodes_modified {
            let mut name = called(self.before, &node.id);
            if let Some(new) = &node.new_id {
                name = format!("{name} -> [{new}]");
            }
            self.say(&format!("~ {name}"), "33");
            for change in &node.changes {
                self.change(change);
            }
        }
        for node in &found.nodes_added {
            self.say(&format!("+ {}", called(self.after, &node.id)), "32");
            for (input, value) in &node.inputs {
                let value = self.value(self.after, value, 0);
                self.say(&format!("+     {input}: {value}"), "32");
            }
        }
        if found.identical {
            for node in &found.nodes_retitled {
                let (class, id) = (&node.class, &node.id);
                let (from, to) = (Value::from(&*node.from), Value::from(&*node.to));
                self.say(
                    &format!("~ {class} [{id}], title only: {from} -> {to}"),
                    "33",
                );
            }
        }
        report::line(summary(found));
    }

    fn change(&self, change: &Change) {
        let input = &change.input;
        match (&change.from, &change.to) {
            (Some(from), Some(to)) => {
                let at = first_difference(from, to);
                let from = self.value(self.before, from, at);
                let to = self.value(self.after, to, at);
                self.say(&format!("~     {input}: {from} -> {to}"), "33");
            }
            (Some(from), None) => {
                let from = self.value(self.before, from, 0);
                self.say(&format!("-     {input}: {from}"), "31");
            }
            (None, to) => {
                let to = to.as_ref().unwrap_or(&Value::Null);
                let to = self.value(self.after, to, 0);
                self.say(&format!("+     {input}: {to}"), "32");
            }
        }
    }

    /// A value; of a link, the output that it comes from. Of long ones, the part around a letter.
    fn value(&self, workflow: &Workflow, value: &Value, at: usize) -> String {
        if let Some((id, slot)) = link(value) {
            let class = workflow.node(id).and_then(|node| node.class_type());
            let class = class.and_then(|class| self.facts.class(class));
            let output = class.and_then(|class| class.outputs().get(slot));
            let output = output.map_or_else(|| slot.to_string(), |output| output.name().to_owned());
            return format!("{}.{output}", called(workflow, id));
        }
        match value {
            Value::String(text) => part(text, at),
            value => {
                let text = value.to_string();
                if text.chars().count() > LETTERS {
                    part(&text, at)
                } else {
                    text
                }
            }
        }
    }
}

/// A node as a person finds it again.
fn called(workflow: &Workflow, id: &str) -> String {
    let Some(node) = workflow.node(id) else {
        return format!("(nothing) [{id}]");
    };
    let class = node.class_type().unwrap_or("(no class)");
    match node.title().filter(|title| *title != class) {
        Some(title) => format!("{class} [{id}] \"{title}\""),
        None => format!("{class} [{id}]"),
    }
}

fn summary(found: &Comparison) -> String {
    let counts = [
        (found.nodes_removed.len(), "removed"),
        (found.nodes_modified.len(), "changed"),
        (found.nodes_added.len(), "added"),
        (found.nodes_unchanged, "the same"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if counts.is_empty() {
        return "no nodes".to_owned();
    }
    format!("nodes: {}", counts.join(", "))
}

/// The first letter that is different in two texts.
fn first_difference(from: &Value, to: &Value) -> usize {
    let (Value::String(from), Value::String(to)) = (from, to) else {
        return 0;
    };
    let pairs = from.chars().zip(to.chars());
    pairs.take_while(|(one, other)| one == other).count()
}

/// The part of a long text around one of its letters, in quotes.
fn part(text: &str, at: usize) -> String {
    let count = text.chars().count();
    let start = if count > LETTERS {
        at.saturating_sub(BEFORE)
    } else {
        0
    };
    let shown: String = text.chars().skip(start).take(LETTERS).collect();
    let quoted = Value::from(&*shown).to_string();
    let before = if start > 0 { "…" } else { "" };
    let behind = if start + LETTERS < count { "…" } else { "" };
    format!("{before}{quoted}{behind}")
}
