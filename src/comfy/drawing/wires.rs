//! The links between the nodes of a drawing, and the types that follow from them.

use std::collections::{BTreeSet, HashMap};

use super::editor::name;
use super::shape::{Field, Shape, Socket, shapes};
use super::{DrawError, Look, Wire};
use crate::comfy::nodes::NodeFacts;
use crate::comfy::{Workflow, link};

/// The links of a workflow that begin at no node or at an output that its class does not have.
#[must_use]
pub fn loose_links(workflow: &Workflow, facts: &NodeFacts) -> Vec<DrawError> {
    let (shapes, wires) = shapes(workflow, facts, Look::Editor);
    loose(workflow, &shapes, &wires)
}

/// The links that no wire stands for.
pub(super) fn loose(workflow: &Workflow, shapes: &[Shape<'_>], wires: &[Wire]) -> Vec<DrawError> {
    let drawn = wires.iter().map(|wire| {
        let input = &shapes[wire.to].inputs[wire.input];
        (wire.to, input.name.as_str())
    });
    let drawn: BTreeSet<(usize, &str)> = drawn.collect();
    let mut loose = Vec::new();
    for (at, node) in workflow.nodes().enumerate() {
        for (input, value) in node.inputs().into_iter().flatten() {
            if let Some((from, output)) = link(value)
                && !drawn.contains(&(at, input.as_str()))
            {
                loose.push(DrawError::Loose {
                    node: name(workflow, node.id),
                    input: input.clone(),
                    from: from.into(),
                    output,
                });
            }
        }
    }
    loose
}

/// The links, each with the name of its input; nodes of unknown classes get the outputs that are
/// used, and types that follow from others are filled in.
pub(super) fn wires(workflow: &Workflow, shapes: &mut [Shape<'_>]) -> Vec<(Wire, String)> {
    let index: HashMap<&str, usize> = shapes
        .iter()
        .enumerate()
        .map(|(at, shape)| (shape.id, at))
        .collect();
    let mut wires = Vec::new();
    for (to, node) in workflow.nodes().enumerate() {
        for (name, value) in node.inputs().into_iter().flatten() {
            let Some((id, output)) = link(value) else {
                continue;
            };
            let input = shapes[to].inputs.iter().position(|own| own.name == *name);
            if let (Some(&from), Some(input)) = (index.get(id), input)
                && invent_output(&mut shapes[from], output)
            {
                wires.push(Wire {
                    from,
                    output,
                    to,
                    input,
                    io_type: String::new(),
                    way: Vec::new(),
                });
            } else {
                shapes[to].loose.push(Field {
                    name: name.clone(),
                    value: Some(format!("missing ({id}, {output})").into()),
                    ..Field::default()
                });
            }
        }
    }
    // Types pass through a chain of such nodes one node at a time; few are longer.
    for _ in 0..4 {
        settle_types(&wires, shapes);
    }
    let named = wires.into_iter().map(|mut wire| {
        let output = &mut shapes[wire.from].outputs[wire.output];
        output.is_linked = true;
        wire.io_type.clone_from(&output.io_type);
        let name = shapes[wire.to].inputs[wire.input].name.clone();
        (wire, name)
    });
    named.collect()
}

/// The most outputs that a node of an unknown class is given.
const MOST_OUTPUTS: usize = 64;

/// Whether a node has such an output, now that it may have got one.
fn invent_output(shape: &mut Shape<'_>, output: usize) -> bool {
    if shape.known.is_none() && output < MOST_OUTPUTS {
        while shape.outputs.len() <= output {
            shape.outputs.push(Socket {
                name: format!("{}", shape.outputs.len()),
                io_type: "*".to_owned(),
                ..Socket::default()
            });
        }
    }
    output < shape.outputs.len()
}

/// Gives outputs that are of whatever type comes in, and outputs of unknown classes, the types at
/// the other ends of their links.
fn settle_types(wires: &[Wire], shapes: &mut [Shape<'_>]) {
    const OPEN: [&str; 2] = ["*", "COMFY_MATCHTYPE_V3"];
    for wire in wires {
        let is_open = |shape: &Shape<'_>, output: usize| {
            OPEN.contains(&shape.outputs[output].io_type.as_str())
        };
        let given = shapes[wire.from].outputs[wire.output].io_type.clone();
        if is_open(&shapes[wire.from], wire.output) && shapes[wire.from].known.is_none() {
            let wanted = shapes[wire.to].inputs[wire.input].io_type.clone();
            if !wanted.contains(',') && !OPEN.contains(&wanted.as_str()) {
                shapes[wire.from].outputs[wire.output].io_type = wanted;
            }
        }
        let target = &mut shapes[wire.to];
        let follows = target.known.is_some_and(|class| {
            let input = class.input(&target.inputs[wire.input].name);
            input.is_some_and(|input| input.io_type().is("COMFY_MATCHTYPE_V3"))
        });
        if follows && !OPEN.contains(&given.as_str()) {
            let open = target.outputs.iter_mut();
            for output in open.filter(|output| output.io_type == "COMFY_MATCHTYPE_V3") {
                output.io_type.clone_from(&given);
            }
        }
    }
}
