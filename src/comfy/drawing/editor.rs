//! The graph that the editor opens (version 0.4 of its format, as frontend 1.49.6 saves it).
//!
//! Values stand in it without their names, in the order of the widgets, so the node classes must
//! be known. Seeds stay as they are from run to run (`fixed`). What comes out is converted back
//! before it is given away: the editor sends the same prompt, or there is an error.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::check::check;
use super::shape::{Field, Shape, Socket};
use super::wires::loose;
use super::{DrawError, Drawing, Look, Remark, Wire};
use crate::comfy::Workflow;
use crate::comfy::nodes::NodeFacts;
use crate::comfy::ui::{NodeName, dynamic_prompt};

/// Whole numbers are exact in the editor up to here.
const LARGEST_ID: u64 = 1 << 53;

/// The editor's own colour of groups.
const GROUP_COLOUR: &str = "#3f789e";

/// The room in a usual window, into which the whole graph is fitted when it is opened, and what
/// the editor's own bars take at its left and upper sides.
const WINDOW: (f64, f64) = (1500.0, 800.0);
const BARS: (f64, f64) = (60.0, 50.0);

/// Node packs that save values by name, those that the server does not declare as well.
const SAVES_BY_NAME: &str = "VHS_";

/// A graph for the editor.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The graph.
    pub graph: Value,
    /// What is not quite the same in it.
    pub remarks: Vec<Remark>,
}

/// The graph that the editor, with these node classes, shows and runs as this workflow.
pub fn to_ui(workflow: &Workflow, facts: &NodeFacts) -> Result<Drawn, DrawError> {
    let drawing = Drawing::of(workflow, facts, Look::Editor);
    refuse(workflow, facts, &drawing)?;
    let ids = numbers(&drawing.shapes);
    let graph = graph(workflow, &drawing, &ids);
    let named = drawing.shapes.iter().zip(&ids);
    let renumbered = named.filter(|(shape, id)| shape.id != id.to_string());
    let mut remarks: Vec<Remark> = renumbered
        .map(|(shape, id)| Remark::Renumbered {
            id: shape.id.to_owned(),
            new: *id,
        })
        .collect();
    let named: HashMap<&str, u64> = drawing
        .shapes
        .iter()
        .map(|shape| shape.id)
        .zip(ids)
        .collect();
    remarks.extend(check(workflow, &graph, facts, &named)?);
    Ok(Drawn { graph, remarks })
}

/// How messages call a node of a workflow.
pub(super) fn name(workflow: &Workflow, id: &str) -> NodeName {
    let node = workflow.node(id);
    let class = node.and_then(|node| node.class_type()).unwrap_or_default();
    let title = node.and_then(|node| node.title());
    NodeName {
        id: id.into(),
        title: title.filter(|title| *title != class).map(Into::into),
        class: class.into(),
        within: Box::default(),
    }
}

fn refuse(workflow: &Workflow, facts: &NodeFacts, drawing: &Drawing<'_>) -> Result<(), DrawError> {
    let unknown = drawing.shapes.iter().filter(|shape| shape.known.is_none());
    let nodes: Vec<NodeName> = unknown.map(|shape| name(workflow, shape.id)).collect();
    if let Some(first) = nodes.first() {
        return Err(DrawError::UnknownClass {
            nearest: facts.nearest(&first.class).map(str::to_owned),
            nodes,
        });
    }
    let loose = loose(workflow, &drawing.shapes, &drawing.wires);
    loose.into_iter().next().map_or(Ok(()), Err)
}

/// The ids that the nodes have in the graph: their own where those are whole numbers.
fn numbers(shapes: &[Shape<'_>]) -> Vec<u64> {
    let own = |id: &str| {
        let number: u64 = id.parse().ok()?;
        (number.to_string() == id && number < LARGEST_ID).then_some(number)
    };
    let mut last = shapes
        .iter()
        .filter_map(|shape| own(shape.id))
        .max()
        .unwrap_or(0);
    shapes
        .iter()
        .map(|shape| {
            own(shape.id).unwrap_or_else(|| {
                last += 1;
                last
            })
        })
        .collect()
}

fn graph(workflow: &Workflow, drawing: &Drawing<'_>, ids: &[u64]) -> Value {
    let mut links: Vec<&Wire> = drawing.wires.iter().collect();
    links.sort_by_key(|wire| (wire.from, wire.output, wire.to, wire.input));
    let order = order(drawing);
    let nodes: Vec<Value> = drawing
        .shapes
        .iter()
        .enumerate()
        .map(|(at, shape)| node(shape, at, ids[at], order[at], &links))
        .collect();
    let links: Vec<Value> = links
        .iter()
        .enumerate()
        .map(|(at, wire)| {
            let ends = (ids[wire.from], ids[wire.to]);
            json!([
                at + 1,
                ends.0,
                wire.output,
                ends.1,
                wire.input,
                wire.io_type
            ])
        })
        .collect();
    let groups: Vec<Value> = drawing
        .groups
        .iter()
        .enumerate()
        .map(|(at, group)| {
            json!({
                "id": at + 1,
                "title": group.title,
                "bounding": [whole(group.x), whole(group.y), whole(group.width), whole(group.height)],
                "color": GROUP_COLOUR,
                "font_size": 24,
                "flags": {},
            })
        })
        .collect();
    json!({
        "id": graph_id(workflow),
        "revision": 0,
        "last_node_id": ids.iter().max().copied().unwrap_or(0),
        "last_link_id": links.len(),
        "nodes": nodes,
        "links": links,
        "groups": groups,
        "config": {},
        "extra": { "ds": view(drawing) },
        "version": 0.4,
    })
}

/// The same workflow always is the same graph.
fn graph_id(workflow: &Workflow) -> String {
    let hash = blake3::hash(workflow.fingerprint().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// The part of the canvas that is seen at first: everything.
fn view(drawing: &Drawing<'_>) -> Value {
    let room = (drawing.width + 200.0, drawing.height + 200.0);
    let scale = (WINDOW.0 / room.0).min(WINDOW.1 / room.1).clamp(0.1, 1.0);
    let scale = (scale * 100.0).floor() / 100.0;
    let middle =
        |bar: f64, room: f64, extent: f64| whole((bar + room / 2.0) / scale - extent / 2.0);
    let offset = [
        middle(BARS.0, WINDOW.0, drawing.width),
        middle(BARS.1, WINDOW.1, drawing.height),
    ];
    json!({ "scale": scale, "offset": offset })
}

/// The place of each node in the order in which they run.
fn order(drawing: &Drawing<'_>) -> Vec<usize> {
    let mut left_to_right: Vec<usize> = (0..drawing.shapes.len()).collect();
    let place = |at: usize| (drawing.shapes[at].x, drawing.shapes[at].y);
    left_to_right.sort_by(|&one, &other| {
        let ((ax, ay), (bx, by)) = (place(one), place(other));
        ax.total_cmp(&bx).then(ay.total_cmp(&by))
    });
    let mut order = vec![0; left_to_right.len()];
    for (place, at) in left_to_right.into_iter().enumerate() {
        order[at] = place;
    }
    order
}

fn node(shape: &Shape<'_>, at: usize, id: u64, order: usize, links: &[&Wire]) -> Value {
    let mut node = json!({
        "id": id,
        "type": shape.class,
        "pos": [whole(shape.x), whole(shape.y)],
        "size": [whole(shape.width), whole(shape.height)],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": shape.inputs.iter().enumerate().map(|(input, socket)| {
            let link = links.iter().position(|wire| (wire.to, wire.input) == (at, input));
            self::input(socket, &shape.fields, link.map(|link| link + 1))
        }).collect::<Value>(),
        "outputs": shape.outputs.iter().enumerate().map(|(output, socket)| {
            let all = links.iter().enumerate();
            let own = all.filter(|(_, wire)| (wire.from, wire.output) == (at, output));
            let own: Vec<usize> = own.map(|(link, _)| link + 1).collect();
            json!({
                "name": socket.name,
                "type": socket.io_type,
                "links": if own.is_empty() { Value::Null } else { json!(own) },
            })
        }).collect::<Value>(),
    });
    if let Some(title) = shape.titled {
        node["title"] = title.into();
    }
    let is_own = shape.known.is_some_and(|class| !class.is_custom());
    node["properties"] = if is_own {
        json!({ "cnr_id": "comfy-core", "Node name for S&R": shape.class })
    } else {
        json!({ "Node name for S&R": shape.class })
    };
    node["widgets_values"] = values(shape);
    node
}

fn input(socket: &Socket, fields: &[Field], link: Option<usize>) -> Value {
    let mut input = json!({ "name": socket.name, "type": socket.io_type });
    if socket.optional {
        // A ring instead of a dot.
        input["shape"] = 7.into();
    }
    if let Some(field) = socket.field.and_then(|field| fields.get(field)) {
        input["widget"] = json!({ "name": field.name });
    }
    input["link"] = json!(link);
    input
}

/// The values of the widgets, in their order.
fn values(shape: &Shape<'_>) -> Value {
    if shape.class.starts_with(SAVES_BY_NAME) {
        let named = shape.fields.iter();
        let named =
            named.map(|field| (field.name.clone(), field.value.clone().unwrap_or_default()));
        return Value::Object(named.collect::<Map<_, _>>());
    }
    let mut values = Vec::new();
    for field in shape.fields.iter().filter(|field| field.saved > 0) {
        values.push(match &field.value {
            Some(Value::String(text)) if field.dynamic_prompt => literally(text).into(),
            value => value.clone().unwrap_or_default(),
        });
        if field.saved > 1 {
            values.push("fixed".into());
        }
        values.extend((2..field.saved).map(|_| json!("")));
    }
    let uploads = shape
        .known
        .into_iter()
        .flat_map(crate::comfy::nodes::NodeClass::inputs);
    // The button to upload another picture.
    values.extend(
        uploads
            .filter(|input| input.flag("image_upload"))
            .map(|_| json!("image")),
    );
    values.into()
}

/// A text in which the editor sees no alternatives and no comments.
fn literally(text: &str) -> String {
    if dynamic_prompt(text).0 == text {
        return text.to_owned();
    }
    let mut written = String::with_capacity(text.len() + 8);
    let mut last = ' ';
    for char in text.chars() {
        if matches!(char, '{' | '}' | '|') {
            written.push('\\');
        } else if last == '/' && matches!(char, '/' | '*') {
            // An empty choice: there is no other way to part them.
            written.push_str("{}");
        }
        written.push(char);
        last = char;
    }
    written
}

fn whole(number: f64) -> Value {
    // Places are whole numbers of some thousands.
    format!("{:.0}", number.round() + 0.0)
        .parse::<i64>()
        .map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_through_the_editor_as_they_are() {
        for text in [
            "a red fox",
            "{a|b} c",
            "see https://example.org/a for more",
            "x /* y */ z",
            "a | b } c",
            "//",
            "C:\\dir",
        ] {
            let (back, drawn) = dynamic_prompt(&literally(text));
            assert_eq!((back.as_str(), drawn), (text, false), "{}", literally(text));
        }
        assert_eq!(literally("a | b"), "a | b");
    }
}
