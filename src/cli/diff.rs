//! `mmf diff`: how two workflows differ.

use serde_json::Value;

use super::args::{DiffArgs, Global};
use super::handed::{Asked, workflow};
use super::node_words::{called, first_difference, value};
use super::{Ended, Stopped, report};
use crate::comfy::Workflow;
use crate::comfy::compare::{Change, Comparison, compare};
use crate::comfy::nodes::NodeFacts;
use crate::failure::{Code, Failure};

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
        let shown = Shown::new(&before.workflow, &after.workflow);
        if !found.identical {
            shown.names(&before.name, &after.name);
        }
        shown.all(&found);
    }
    Ok(if found.identical {
        Ended::Well
    } else {
        Ended::Different
    })
}

/// Shows how a workflow differs from the one before.
pub(super) fn show(before: &Workflow, after: &Workflow, found: &Comparison) {
    Shown::new(before, after).all(found);
}

/// The two workflows, and how their differences are shown.
struct Shown<'a> {
    before: &'a Workflow,
    after: &'a Workflow,
    /// For the names of outputs only, which are the same everywhere.
    facts: std::sync::Arc<NodeFacts>,
    colours: bool,
}

impl<'a> Shown<'a> {
    fn new(before: &'a Workflow, after: &'a Workflow) -> Self {
        Self {
            before,
            after,
            facts: NodeFacts::bundled(),
            colours: report::coloured(),
        }
    }

    fn say(&self, line: &str, colour: &str) {
        if self.colours {
            report::line(format_args!("\x1b[{colour}m{line}\x1b[0m"));
        } else {
            report::line(line);
        }
    }

    fn words(&self, workflow: &Workflow, it: &Value, at: usize) -> String {
        value(workflow, &self.facts, it, at)
    }

    fn names(&self, before: &str, after: &str) {
        self.say(&format!("--- {before}"), "1");
        self.say(&format!("+++ {after}"), "1");
    }

    fn all(&self, found: &Comparison) {
        for node in &found.nodes_removed {
            self.say(&format!("- {}", called(self.before, &node.id)), "31");
            for (input, value) in &node.inputs {
                let value = self.words(self.before, value, 0);
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
                let value = self.words(self.after, value, 0);
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
                let from = self.words(self.before, from, at);
                let to = self.words(self.after, to, at);
                self.say(&format!("~     {input}: {from} -> {to}"), "33");
            }
            (Some(from), None) => {
                let from = self.words(self.before, from, 0);
                self.say(&format!("-     {input}: {from}"), "31");
            }
            (None, to) => {
                let to = to.as_ref().unwrap_or(&Value::Null);
                let to = self.words(self.after, to, 0);
                self.say(&format!("+     {input}: {to}"), "32");
            }
        }
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
