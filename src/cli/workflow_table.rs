//! A workflow as a short table: a node a line, with the values that are written into it.

use std::collections::BTreeMap;

use crate::comfy::{Node, Workflow, link};

/// The widest line of a table in characters; what goes beyond is cut off.
const WIDTH: usize = 100;

/// The classes that a summary names at most.
const CLASSES: usize = 8;

/// The lines of the table.
pub(super) fn table(workflow: &Workflow) -> Vec<String> {
    let widest = |of: fn(Node<'_>) -> usize| workflow.nodes().map(of).max().unwrap_or_default();
    let id = widest(|node| node.id.chars().count()) + 2;
    let class = widest(|node| class(node).chars().count());
    let row = |node: Node<'_>| {
        let name = format!("[{}]", node.id);
        let values = node.inputs().into_iter().flatten();
        let values = values.filter(|(_, value)| link(value).is_none());
        let values: Vec<String> = values
            .map(|(input, value)| format!("{input}: {value}"))
            .collect();
        let row = format!(
            "{name:id$}  {:class$}  {}",
            self::class(node),
            values.join(", ")
        );
        cut(row.trim_end(), WIDTH)
    };
    workflow.nodes().map(row).collect()
}

/// How many nodes of which classes there are, in a line.
pub(super) fn summary(workflow: &Workflow) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order = vec![];
    for node in workflow.nodes() {
        let count = counts.entry(class(node)).or_default();
        if *count == 0 {
            order.push(class(node));
        }
        *count += 1;
    }
    let named = order.iter().take(CLASSES).map(|class| match counts[class] {
        1 => (*class).to_owned(),
        count => format!("{count} {class}"),
    });
    let mut classes = named.collect::<Vec<_>>().join(", ");
    if let Some(more) = order.len().checked_sub(CLASSES).filter(|more| *more > 0) {
        classes = format!("{classes} and {more} more");
    }
    match workflow.len() {
        0 => "no nodes".to_owned(),
        1 => format!("1 node: {classes}"),
        count => format!("{count} nodes: {classes}"),
    }
}

fn class(node: Node<'_>) -> &str {
    node.class_type().unwrap_or("(no class)")
}

fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_a_line_with_its_own_values() {
        let nodes = json!({
            "3": { "class_type": "CLIPTextEncode", "inputs": { "text": "x".repeat(200), "clip": ["4", 1] } },
            "4": { "class_type": "CLIPTextEncode", "inputs": { "text": "", "clip": ["12", 1] } },
            "12": { "class_type": "VAEDecode", "inputs": { "vae": ["4", 2] } },
        });
        let workflow = Workflow::from_json(nodes).unwrap();
        let table = table(&workflow);
        assert_eq!(
            table[1..],
            ["[4]   CLIPTextEncode  text: \"\"", "[12]  VAEDecode"]
        );
        assert!(table[0].ends_with("xxx…"), "{table:?}");
        assert_eq!(summary(&workflow), "3 nodes: 2 CLIPTextEncode, VAEDecode");
        let single = |n: usize| (n.to_string(), json!({ "class_type": format!("C{n}") }));
        let many = Workflow::from_nodes((0..10).map(single).collect());
        let told = "10 nodes: C0, C1, C2, C3, C4, C5, C6, C7 and 2 more";
        assert_eq!(super::summary(&many), told);
    }
}
