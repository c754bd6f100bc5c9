//! A workflow as a flowchart in Mermaid's language, which many pages and editors draw.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::colours::of_title;
use super::shape::Shape;
use super::stage::{Stage, stages};
use super::telling::{short, shortened};
use super::{Look, shape};
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;

/// The longest title.
const TITLE: usize = 48;

/// The flowchart of a workflow, whatever is known of its classes.
#[must_use]
pub fn to_mermaid(workflow: &Workflow, facts: &NodeFacts) -> String {
    let (shapes, wires) = shape::shapes(workflow, facts, Look::Picture);
    let stages = stages(&shapes, &wires);
    let mut chart = String::from("flowchart LR\n");
    match &stages {
        None => {
            for (at, shape) in shapes.iter().enumerate() {
                node(&mut chart, at, shape, "    ");
            }
        }
        Some(stages) => {
            for (number, stage) in Stage::ALL.into_iter().enumerate() {
                if !stages.contains(&stage) {
                    continue;
                }
                line(
                    &mut chart,
                    format_args!("    subgraph part{number}[\"{}\"]", stage.title()),
                );
                let members = shapes.iter().enumerate().zip(stages);
                for ((at, shape), _) in members.filter(|(_, own)| **own == stage) {
                    node(&mut chart, at, shape, "        ");
                }
                line(&mut chart, format_args!("    end"));
            }
        }
    }
    for wire in &wires {
        let input = &shapes[wire.to].inputs[wire.input].name;
        let label = escaped(&shortened(input, TITLE));
        line(
            &mut chart,
            format_args!("    n{} -->|\"{label}\"| n{}", wire.from, wire.to),
        );
    }
    colours(&mut chart, &shapes);
    chart
}

fn node(chart: &mut String, at: usize, shape: &Shape<'_>, indent: &str) {
    let mut lines = vec![format!(
        "<b>{}</b> {}",
        escaped(&shortened(shape.title(), TITLE)),
        escaped(&shortened(shape.id, TITLE))
    )];
    lines.extend(
        shape
            .fields
            .iter()
            .map(|field| format!("{}: {}", escaped(&field.name), escaped(&short(field)))),
    );
    line(
        chart,
        format_args!("{indent}n{at}[\"{}\"]", lines.join("<br/>")),
    );
}

/// A class for each colour, and the nodes that have it.
fn colours(chart: &mut String, shapes: &[Shape<'_>]) {
    let mut by_colour: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (at, shape) in shapes.iter().enumerate() {
        by_colour
            .entry(of_title(shape))
            .or_default()
            .push(format!("n{at}"));
    }
    for (number, (colour, nodes)) in by_colour.into_iter().enumerate() {
        line(
            chart,
            format_args!("    classDef c{number} fill:{colour},stroke:{colour},color:#ffffff"),
        );
        line(
            chart,
            format_args!("    class {} c{number}", nodes.join(",")),
        );
    }
}

fn line(chart: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = writeln!(chart, "{line}");
}

/// A text within quotes. Whatever could mean something to Mermaid, or to the HTML and Markdown
/// that it makes of labels, is written as the number of the letter.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            char if char.is_control() => written.push(' '),
            char if char.is_alphanumeric() || " .,:_-+/()…".contains(char) => written.push(char),
            char => {
                let _ = write!(written, "#{};", u32::from(char));
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_means_something_to_mermaid_is_escaped() {
        assert_eq!(
            escaped("a \"b\" <c> #d `e`"),
            "a #34;b#34; #60;c#62; #35;d #96;e#96;"
        );
        assert_eq!(escaped("end\nof {x}"), "end of #123;x#125;");
        assert_eq!(escaped("füchse im schnee"), "füchse im schnee");
    }
}
