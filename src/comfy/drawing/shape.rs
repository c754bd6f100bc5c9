//! A node as the editor shows it: its slots, its widgets and its size.

use serde_json::{Map, Value};

use super::telling::{letters_of, lines, most_telling, short};
use super::wires::wires;
use super::{Look, Wire, stage};
use crate::comfy::nodes::{NodeClass, NodeFacts};
use crate::comfy::ui::{Room, lay_out_prompt};
use crate::comfy::{Node, Workflow, link};

/// Heights of a slot and of a widget with the space behind it, and what is above and below of all
/// (frontend 1.49.6).
const SLOT: f64 = 20.0;
const WIDGET: f64 = 24.0;
const MARGIN: f64 = 10.0;

/// The width of a node with widgets, as most graphs have it; the editor makes none smaller than 225.
const WIDTH: f64 = 270.0;

/// A node with a text of many lines.
const TEXT_WIDTH: f64 = 400.0;
const TEXT_LINE: f64 = 18.0;
const TEXT_CHARS: usize = 52;
const TEXT_LEAST: f64 = 60.0;
const TEXT_MOST: f64 = 240.0;

/// The room for the pictures that a node shows.
const PREVIEW: f64 = 200.0;

/// The width of a letter in titles and slots.
const LETTER: f64 = 7.5;

/// How much wider titles are.
const BOLD: f64 = 1.1;

/// In a picture, widths are within these.
const NARROW: f64 = 150.0;
const BROAD: f64 = 330.0;

/// In a picture, longer texts have lines of so many letters.
pub(super) const PROSE: usize = 36;
const PROSE_WIDTH: f64 = 250.0;
pub(super) const PROSE_LINE: f64 = 16.0;

#[derive(Debug)]
pub(super) struct Shape<'w> {
    pub(super) id: &'w str,
    /// Empty where the workflow names none.
    pub(super) class: &'w str,
    /// As it is known.
    pub(super) known: Option<&'w NodeClass>,
    /// The title that somebody gave it.
    pub(super) titled: Option<&'w str>,
    pub(super) inputs: Vec<Socket>,
    pub(super) outputs: Vec<Socket>,
    pub(super) fields: Vec<Field>,
    /// Inputs whose links begin nowhere.
    pub(super) loose: Vec<Field>,
    /// Whether it brings models or media into the workflow.
    pub(super) loads: bool,
    pub(super) x: f64,
    /// Of the body, above which the title stands.
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// An input or output.
#[derive(Clone, Debug, Default)]
pub(super) struct Socket {
    pub(super) name: String,
    pub(super) io_type: String,
    pub(super) optional: bool,
    /// The field of an input that has one.
    pub(super) field: Option<usize>,
    pub(super) is_linked: bool,
    /// The middle of its dot, from the top of the body.
    pub(super) y: f64,
}

/// A widget with its value.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Option<Value>,
    pub(super) dynamic_prompt: bool,
    pub(super) multiline: bool,
    /// How many of the saved values are its: its own, and those that say how it changes.
    pub(super) saved: usize,
    /// Whether the value comes from another node.
    pub(super) is_linked: bool,
    pub(super) height: f64,
}

impl Shape<'_> {
    /// What stands above the node.
    pub(super) fn title(&self) -> &str {
        let named = self.known.map_or(self.class, NodeClass::display_name);
        self.titled.unwrap_or(named)
    }
}

/// All nodes, and the links between those that are there.
pub(super) fn shapes<'w>(
    workflow: &'w Workflow,
    facts: &'w NodeFacts,
    look: Look,
) -> (Vec<Shape<'w>>, Vec<Wire>) {
    let mut shapes: Vec<Shape<'w>> = workflow
        .nodes()
        .map(|node| Shape::new(node, facts))
        .collect();
    let wires = wires(workflow, &mut shapes);
    for shape in &mut shapes {
        if look == Look::Picture {
            shape.keep_what_tells();
        }
        shape.measure(look);
    }
    // What was left away in a picture had no links.
    let wires = wires.into_iter().filter_map(|(wire, input)| {
        let mut inputs = shapes[wire.to].inputs.iter();
        let input = inputs.position(|own| own.name == input)?;
        Some(Wire { input, ..wire })
    });
    let wires = wires.collect();
    (shapes, wires)
}

impl<'w> Shape<'w> {
    fn new(node: Node<'w>, facts: &'w NodeFacts) -> Self {
        let class = node.class_type().unwrap_or_default();
        let known = facts.class(class);
        let nothing = Map::new();
        let given = node.inputs().unwrap_or(&nothing);
        let (mut inputs, mut fields) = match known {
            Some(class) => declared(class, given),
            None => (Vec::new(), Vec::new()),
        };
        for (name, value) in given {
            let is_link = link(value).is_some();
            if is_link && !inputs.iter().any(|input| input.name == *name) {
                inputs.push(Socket {
                    name: name.clone(),
                    io_type: "*".to_owned(),
                    ..Socket::default()
                });
            } else if !is_link && !fields.iter().any(|field: &Field| field.name == *name) {
                fields.push(Field {
                    name: name.clone(),
                    value: Some(value.get("__value__").unwrap_or(value).clone()),
                    ..Field::default()
                });
            }
        }
        for input in &mut inputs {
            input.is_linked = given
                .get(&input.name)
                .is_some_and(|value| link(value).is_some());
            if let Some(field) = input.field.and_then(|field| fields.get_mut(field)) {
                field.is_linked = input.is_linked;
            }
        }
        let outputs = known.map_or(&[][..], NodeClass::outputs);
        let titled = node
            .title()
            .filter(|title| !title.is_empty() && *title != class);
        Self {
            id: node.id,
            class,
            titled: titled.filter(|title| known.is_none_or(|known| known.display_name() != *title)),
            known,
            loads: known.is_some_and(stage::brings_in),
            inputs,
            outputs: outputs
                .iter()
                .map(|output| Socket {
                    name: output.name().to_owned(),
                    io_type: output.io_type().name().to_owned(),
                    ..Socket::default()
                })
                .collect(),
            fields,
            loose: Vec::new(),
            x: 0.0,
            y: 0.0,
            width: 0.0,
            height: 0.0,
        }
    }

    /// Whether it is there for its own sake, and nothing hangs on it.
    pub(super) fn ends(&self) -> bool {
        let is_output = self.known.is_some_and(NodeClass::is_output_node);
        is_output && self.outputs.iter().all(|output| !output.is_linked)
    }

    /// Leaves away what is not connected, and of the values all but a few.
    fn keep_what_tells(&mut self) {
        self.fields = most_telling(std::mem::take(&mut self.fields));
        self.fields.append(&mut self.loose);
        self.inputs.retain(|input| input.is_linked);
        if self.ends() {
            self.outputs.clear();
        }
        for input in &mut self.inputs {
            input.field = None;
        }
    }

    fn measure(&mut self, look: Look) {
        let letters =
            |text: &str| LETTER * f64::from(u16::try_from(letters_of(text)).unwrap_or(u16::MAX));
        let sockets = self.inputs.iter().filter(|input| input.field.is_none());
        let rows = sockets.clone().count().max(self.outputs.len());
        let longest = |sockets: &mut dyn Iterator<Item = &Socket>| {
            sockets
                .map(|socket| letters(&socket.name))
                .fold(0.0, f64::max)
        };
        let names = longest(&mut sockets.clone()) + longest(&mut self.outputs.iter()) + 50.0;
        let id = letters(self.id);
        self.width = names.max(letters(self.title()) * BOLD + id + 40.0);
        match look {
            Look::Picture => {
                for field in &self.fields {
                    let wanted = match lines(field, PROSE) {
                        Some(_) => PROSE_WIDTH,
                        None => letters(&field.name) + letters(&short(field)) + 40.0,
                    };
                    self.width = self.width.max(wanted);
                }
                self.width = self.width.clamp(NARROW, BROAD);
            }
            Look::Editor if self.fields.iter().any(|field| field.multiline) => {
                self.width = self.width.max(TEXT_WIDTH);
            }
            Look::Editor if !self.fields.is_empty() || self.shows_pictures() => {
                self.width = self.width.max(WIDTH);
            }
            Look::Editor => {}
        }
        self.width = (self.width / 10.0).ceil() * 10.0;
        let mut y = MARGIN / 2.0 + SLOT * f64::from(u16::try_from(rows).unwrap_or(u16::MAX));
        let mut tops = Vec::with_capacity(self.fields.len());
        for field in &mut self.fields {
            field.height = match look {
                Look::Picture => lines(field, PROSE).map_or(SLOT, |lines| {
                    PROSE_LINE * f64::from(u8::try_from(lines.len()).unwrap_or(u8::MAX)) + 6.0
                }),
                Look::Editor if field.multiline => text_height(field),
                Look::Editor => WIDGET,
            };
            tops.push(y);
            y += field.height;
            if look == Look::Editor {
                let controls = field.saved.saturating_sub(1);
                y += WIDGET * f64::from(u8::try_from(controls).unwrap_or(0));
            }
        }
        self.height = y + MARGIN;
        if look == Look::Editor && self.shows_pictures() {
            self.height += PREVIEW;
        }
        let mut row = 0.0;
        for input in &mut self.inputs {
            if let Some(top) = input.field.and_then(|field| tops.get(field)) {
                input.y = top + WIDGET / 2.0;
            } else {
                input.y = MARGIN / 2.0 + SLOT * row + SLOT / 2.0;
                row += 1.0;
            }
        }
        let mut row = 0.0;
        for output in &mut self.outputs {
            output.y = MARGIN / 2.0 + SLOT * row + SLOT / 2.0;
            row += 1.0;
        }
    }

    fn shows_pictures(&self) -> bool {
        self.known.is_some_and(|class| {
            let shows = |name: &str| matches!(name, "IMAGE" | "VIDEO" | "MASK");
            let takes = class
                .inputs()
                .iter()
                .any(|input| shows(input.io_type().name()));
            let asks = class
                .inputs()
                .iter()
                .any(|input| input.flag("image_upload"));
            (class.is_output_node() && takes) || asks
        })
    }
}

/// The slots and widgets that the editor makes for a class.
fn declared(class: &NodeClass, given: &Map<String, Value>) -> (Vec<Socket>, Vec<Field>) {
    let layout = lay_out_prompt(class, given);
    let fields = layout.widgets.into_iter().map(|widget| Field {
        name: widget.name,
        value: widget.value,
        dynamic_prompt: widget.dynamic_prompt,
        multiline: widget.room == Room::Lines,
        saved: widget.saved,
        ..Field::default()
    });
    let sockets = layout.slots.into_iter().map(|slot| Socket {
        name: slot.name,
        io_type: slot.io_type,
        optional: slot.optional,
        field: slot.widget,
        ..Socket::default()
    });
    (sockets.collect(), fields.collect())
}

fn text_height(field: &Field) -> f64 {
    let text = field.value.as_ref().and_then(Value::as_str);
    let lines = text.unwrap_or_default().lines();
    let lines: usize = lines.map(|line| letters_of(line) / TEXT_CHARS + 1).sum();
    let lines = f64::from(u16::try_from(lines).unwrap_or(u16::MAX));
    (lines * TEXT_LINE + SLOT).clamp(TEXT_LEAST, TEXT_MOST)
}
